"""Forward mode: `jvp`, and `hvp` by forward over reverse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hograd import tree
from hograd.core.dispatch import bare, wrap
from hograd.core.levels import Level
from hograd.core.primitive import ops
from hograd.core.tensor import Dual
from hograd.errors import StructureError
from hograd.func.arguments import inputs_of, matching, name_of, outputs_of
from hograd.func.reverse import grad


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], *, has_aux: bool = False) -> Any:
    """The value of `f` and its derivative along a direction:  J t , by forward mode.

    Args:
        f: function of trees of floating tensors that returns a tree of tensors.
        primals: tuple of the arguments.
        tangents: tuple of directions, trees like `primals`.
        has_aux: `f` returns a pair whose second part is passed on.

    Returns:
        (output, tangent of the output), or (output, tangent, aux).

    Raises:
        StructureError, ShapeError: `tangents` do not match `primals`.

    >>> import hograd as ho
    >>> jvp(lambda x: x**2, (ho.tensor([1.0, 2.0]),), (ho.tensor([1.0, 0.0]),))
    (tensor([1., 4.]), tensor([2., 0.]))
    """
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise StructureError("jvp: primals and tangents are tuples with one entry for each argument of the function.")
    values, structure = inputs_of(tuple(primals), "primals")
    directions = matching(tuple(tangents), values, structure, "tangents")
    aux = None
    with Level("jvp") as level:
        number = level.number
        duals = [Dual(bare(x), bare(t), number) for x, t in zip(values, directions, strict=True)]
        result = f(*tree.unflatten(structure, duals))
        if has_aux:
            result, aux = result
    outputs, out_structure = outputs_of(result, name_of(f))

    def primal(y: Any) -> Any:
        return wrap(y.value) if type(y) is Dual and y.level == number else y

    def tangent(y: Any) -> Any:
        return wrap(y.tangent) if type(y) is Dual and y.level == number else ops.zeros_like(y)

    output = tree.unflatten(out_structure, [primal(y) for y in outputs])
    derivative = tree.unflatten(out_structure, [tangent(y) for y in outputs])
    return (output, derivative, tree.map(primal, aux)) if has_aux else (output, derivative)


def hvp(f: Callable[..., Any], primals: Any, tangents: Any) -> Any:
    """Product of the Hessian of `f` with a vector, at the cost of about four evaluations of `f`.

    Forward over reverse:  H v = d/de grad f(x + e v) at e = 0   (Pearlmutter, 1994).

    Args:
        f: function of one tree of tensors, with a scalar output, shape ().
        primals: the point x; a tree of floating tensors.
        tangents: the vector v; the same structure, shapes and dtypes as `primals`.

    Returns:
        A tree like `primals`.

    Raises:
        StructureError, ShapeError: `tangents` does not match `primals`; the message names the first leaf that differs.

    >>> import hograd as ho
    >>> hvp(lambda x: (x**3).sum(), ho.tensor([1.0, 2.0]), ho.tensor([1.0, 0.0]))
    tensor([6., 0.])
    """
    return jvp(grad(f), (primals,), (tangents,))[1]
