"""Reverse mode: `grad`, `grad_and_value` and `vjp`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from hograd import tree
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import DtypeError, GradientError
from hograd.func.arguments import inputs_of, matching, name_of, outputs_of, select
from hograd.func.recording import Recording


def grad_and_value(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the gradient of `f` and its value.

    Args:
        f: function with a scalar output, shape (), or (output, anything) with `has_aux`.
        argnums: which positional arguments to differentiate by; each a tree of floating tensors.
        has_aux: `f` returns a pair whose second part is passed on.

    Returns:
        A function of the arguments of `f` that returns (gradient, value), or (gradient, (value, aux)). The gradient
        is a tree like the argument, zeros where `f` does not depend on it; a tuple of them for several `argnums`.

    Raises:
        GradientError: the output is not a scalar. DtypeError: an argument is not floating.

    >>> import hograd as ho
    >>> grad_and_value(lambda x: (x**2).sum())(ho.tensor([1.0, 2.0]))
    (tensor([2., 4.]), tensor(5.))
    """

    @functools.wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        chosen, replaced = select(args, argnums)
        values, structure = inputs_of(chosen, "argument")
        tape = Recording(values, at_once=True)
        aux = None
        with tape.open():
            y = f(*replaced(tree.unflatten(structure, tape.inputs)), **kwargs)
            if has_aux:
                if not isinstance(y, tuple) or len(y) != 2:
                    raise GradientError(
                        f"{name_of(f)} with has_aux=True must return (output, aux), found {type(y).__name__}."
                    )
                y, aux = y
        if not isinstance(y, Tensor):
            raise DtypeError(f"{name_of(f)} returned {type(y).__name__}, expected a scalar tensor to differentiate.")
        if y.shape != ():
            raise GradientError(
                f"grad can be implicitly created only for scalar outputs: {name_of(f)} returned shape "
                f"{tuple(y.shape)}, expected (). Reduce it with sum() or mean(), or use vjp or jacrev."
            )
        if y.dtype.kind == "c":
            raise GradientError(
                f"grad can be implicitly created only for real scalar outputs but {name_of(f)} returned {y.dtype}: "
                "take the real part or the absolute value, or use vjp."
            )
        gradient = tree.unflatten(structure, tape.pull([y], [ops.ones_like(y)], retain=False))
        value = tape.strip(y)
        return (gradient, (value, tree.map(tape.strip, aux))) if has_aux else (gradient, value)

    return transformed


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of `f`.

    Args:
        f: function with a scalar output, shape (), or (output, anything) with `has_aux`.
        argnums: which positional arguments to differentiate by; each a tree of floating tensors.
        has_aux: `f` returns a pair whose second part is passed on.

    Returns:
        A function of the arguments of `f` that returns the gradient, a tree like the argument (a tuple for several
        `argnums`), or (gradient, aux).

    Raises:
        GradientError: the output is not a scalar. DtypeError: an argument is not floating.

    >>> import hograd as ho
    >>> grad(grad(lambda x: x**3))(ho.tensor(2.0))
    tensor(12.)
    """
    both = grad_and_value(f, argnums, has_aux)

    @functools.wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return transformed


def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `f` and the function that multiplies cotangents by its Jacobian:  v -> v J.

    Args:
        f: function of trees of floating tensors that returns a tree of tensors.
        *primals: the arguments.
        has_aux: `f` returns a pair whose second part is passed on.

    Returns:
        (output, pull) or (output, pull, aux). `pull` takes a tree like the output and returns a tuple of trees, one
        for each of `primals`; it may be called many times.

    >>> import hograd as ho
    >>> y, pull = vjp(lambda x: x**2, ho.tensor([1.0, 2.0]))
    >>> pull(ho.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    values, structure = inputs_of(primals, "primals")
    tape = Recording(values, at_once=False)
    aux = None
    with tape.open():
        result = f(*tree.unflatten(structure, tape.inputs))
        if has_aux:
            result, aux = result
    outputs, out_structure = outputs_of(result, name_of(f))

    def pull(cotangents: Any) -> Any:
        items = matching(cotangents, outputs, out_structure, "cotangents")
        return tree.unflatten(structure, tape.pull(outputs, items, retain=True))

    output = tree.unflatten(out_structure, [tape.strip(y) for y in outputs])
    return (output, pull, tree.map(tape.strip, aux)) if has_aux else (output, pull)
