"""Linear maps taken from functions: `linearize`, and Gauss-Newton products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hograd import tree
from hograd.core.primitive import ops
from hograd.core.replay import repeated
from hograd.func.arguments import inputs_of, matching
from hograd.func.forward import hvp, jvp
from hograd.func.reverse import vjp


def linearize(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of `f` and its derivative as a linear function:  t -> J t , for many directions t at one point.

    `f` runs once; each direction then costs about as much as one backward pass, where `jvp` would run `f` again.

    Args:
        f: function of trees of floating tensors that returns a tree of floating tensors.
        *primals: the arguments.

    Returns:
        (output, push). `push` takes one tree for each of `primals` and returns a tree like the output; it may be called
        many times, mapped by `vmap`, and differentiated.

    Raises:
        StructureError, ShapeError: by `push`, if the tangents do not match `primals`.

    The map is the transpose of the transpose: `vjp` of the linear function that `vjp` returns. What both record stays
    alive as long as `push` does.

    >>> import hograd as ho
    >>> y, push = linearize(lambda x: x**2, ho.tensor([1.0, 2.0]))
    >>> push(ho.tensor([1.0, 0.0])), push(ho.tensor([0.0, 1.0]))
    (tensor([2., 0.]), tensor([0., 4.]))
    """
    values, structure = inputs_of(primals, "primals")
    output, pull = vjp(f, *primals)
    _, transpose = vjp(pull, tree.map(ops.zeros_like, output))

    def push(*tangents: Any) -> Any:
        given = matching(tangents, values, structure, "tangents")
        return transpose(tree.unflatten(structure, given))[0]

    return output, push


def ggnvp(f: Callable[[Any], Any], loss: Callable[[Any], Any], primals: Any, tangents: Any) -> Any:
    """Product of the generalised Gauss-Newton matrix of `loss(f(x))` with a vector:  J^T H J v.

    J is the Jacobian of `f` at x, H the Hessian of `loss` at f(x). Unlike the Hessian of the whole it is positive
    semidefinite wherever `loss` is convex, and it is the Fisher matrix where `loss` is a negative log-likelihood of the
    exponential family in its natural parameters, such as cross-entropy of logits (Schraudolph, 2002).

    Args:
        f: function of one tree of floating tensors, the model; it returns a tree of tensors.
        loss: function of the output of `f`, with a scalar output, shape ().
        primals: the point x, such as the parameters.
        tangents: the vector v; the same structure, shapes and dtypes as `primals`.

    Returns:
        A tree like `primals`.

    Raises:
        StructureError, ShapeError: `tangents` does not match `primals`; the message names the first leaf that differs.

    >>> import hograd as ho
    >>> ggnvp(lambda x: x**2, lambda y: (y**2).sum(), ho.tensor([1.0, 2.0]), ho.tensor([1.0, 1.0]))
    tensor([ 8., 32.])
    """
    draws = repeated()
    with draws():
        output, moved = jvp(f, (primals,), (tangents,))
    with draws():
        _, pull = vjp(f, primals)
    return pull(hvp(loss, output, moved))[0]


def functional_call(module: Any, params: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
    """Call a model with the given parameters, PyTorch's name for what `module.apply(params, x)` does.

    Args:
        module: a layer of `hograd.nn`, or anything with `apply(params, *args)`; or a function of (params, *args).
        params: the tree of parameters, passed on as it is. Models keep none of their own here, so it is always whole.
        args: tuple of the other arguments; one that is no tuple is taken as the only one.
        kwargs: arguments by keyword.

    Returns:
        What the model returns.

    >>> import hograd as ho
    >>> line = lambda params, x: params["slope"] * x + params["offset"]
    >>> functional_call(line, {"slope": ho.tensor(2.0), "offset": ho.tensor(1.0)}, ho.tensor([0.0, 3.0]))
    tensor([1., 7.])
    """
    given = args if isinstance(args, tuple) else (args,)
    return getattr(module, "apply", module)(params, *given, **(kwargs or {}))
