"""Jacobians and Hessians: `vjp` or `jvp` over all unit directions at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hograd import tree
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.func.arguments import inputs_of, select
from hograd.func.forward import jvp
from hograd.func.reverse import vjp
from hograd.func.vectorize import vmap


def _directions(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Unit directions of all tensors together: for each a tensor with one row for each element of all."""
    total = sum(x.numel() for x in tensors)
    start, rows = 0, []
    for x in tensors:
        n = x.numel()
        block = np.zeros((total, n), x.dtype)
        block[start : start + n] = np.eye(n)
        rows.append(Tensor(block.reshape(total, *x.shape)))
        start += n
    return rows


def jacrev(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that returns the Jacobian of `f` by reverse mode, one pass for all rows.

    Args:
        f: function that returns a tree of tensors.
        argnums: which positional arguments to differentiate by.
        has_aux: `f` returns a pair whose second part is passed on.
        chunk_size: how many rows to compute at once, to bound the memory; None is all of them.

    Returns:
        A function that returns, for each output in the tree of outputs, a tree like the argument (a tuple for several
        `argnums`) of tensors with shape (*output.shape, *input.shape); or (Jacobian, aux).

    >>> import hograd as ho
    >>> jacrev(lambda x: x**2)(ho.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    def transformed(*args: Any, **kwargs: Any) -> Any:
        chosen, replaced = select(args, argnums)
        y, pull, *aux = vjp(lambda x: f(*replaced(x), **kwargs), chosen, has_aux=has_aux)
        outputs, out_structure = tree.flatten(y)
        in_structure = tree.structure(chosen)
        pulled = vmap(pull, chunk_size=chunk_size)(tree.unflatten(out_structure, _directions(outputs)))[0]
        columns = tree.leaves(pulled)
        start, blocks = 0, []
        for output in outputs:
            n = output.numel()
            parts = [ops.reshape(c[start : start + n], (*output.shape, *c.shape[1:])) for c in columns]
            blocks.append(tree.unflatten(in_structure, parts))
            start += n
        jacobian = tree.unflatten(out_structure, blocks)
        return (jacobian, aux[0]) if has_aux else jacobian

    return transformed


def jacfwd(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that returns the Jacobian of `f` by forward mode, one pass for all columns.

    Args:
        f: function that returns a tree of tensors.
        argnums: which positional arguments to differentiate by.
        has_aux: `f` returns a pair whose second part is passed on.
        randomness: of draws in `f`, as in `vmap`; with "same" all columns belong to the same draws.
        chunk_size: how many columns to compute at once, to bound the memory; None is all of them.

    Returns:
        A function that returns, for each output in the tree of outputs, a tree like the argument (a tuple for several
        `argnums`) of tensors with shape (*output.shape, *input.shape); or (Jacobian, aux).

    >>> import hograd as ho
    >>> jacfwd(lambda x: x**2)(ho.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    def transformed(*args: Any, **kwargs: Any) -> Any:
        chosen, replaced = select(args, argnums)
        inputs, in_structure = inputs_of(chosen, "argument")
        aux: list[Any] = []

        def push(*directions: Any) -> Any:
            x = tree.unflatten(in_structure, inputs)
            t = tree.unflatten(in_structure, list(directions))
            _, pushed, *aux[:] = jvp(lambda v: f(*replaced(v), **kwargs), (x,), (t,), has_aux=has_aux)
            return pushed

        pushed = vmap(push, out_dims=-1, randomness=randomness, chunk_size=chunk_size)(*_directions(inputs))
        outputs, out_structure = tree.flatten(pushed)
        blocks = []
        for rows in outputs:
            start, parts = 0, []
            for x in inputs:
                n = x.numel()
                parts.append(ops.reshape(rows[..., start : start + n], (*rows.shape[:-1], *x.shape)))
                start += n
            blocks.append(tree.unflatten(in_structure, parts))
        jacobian = tree.unflatten(out_structure, blocks)
        return (jacobian, aux[0]) if has_aux else jacobian

    return transformed


def hessian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns the Hessian of `f`, forward over reverse.

    Args:
        f: function with a scalar output, shape ().
        argnums: which positional arguments to differentiate by.

    Returns:
        A function that returns a tree like the argument of trees like the argument, of tensors with shape
        (*row.shape, *column.shape), all of the same random draws in `f`.

    >>> import hograd as ho
    >>> hessian(lambda x: (x**3).sum())(ho.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(f, argnums), argnums, randomness="same")
