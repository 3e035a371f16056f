"""Derivatives by computing again: less memory for more time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from hograd import tree
from hograd.core.custom import Residue
from hograd.core.replay import replay
from hograd.core.tensor import Tensor
from hograd.func.arguments import name_of
from hograd.func.custom import TreeCall
from hograd.func.reverse import vjp


class _Again(TreeCall):
    """One call of a checkpointed function."""

    __slots__ = ("f",)

    def __init__(self, name: str, f: Any, arguments: tuple[Any, ...]) -> None:
        super().__init__(name, arguments)
        self.f = f

    def forward(self, inputs: list[Tensor]) -> tuple[list[Tensor], Residue]:
        # Recording is on, so that a tensor that came in through a closure shows; what is recorded is not kept.
        return self.outputs(self.f(*self.full(inputs)), inputs), Residue(list(inputs))

    def backward(self, residue: Residue, cotangents: list[Any]) -> Sequence[Any]:
        inputs = residue.content
        floating = [x.dtype.kind in "fc" for x in inputs]
        chosen = [i for i, (_, dtype) in enumerate(residue.answers) if dtype.kind in "fc"]

        def again(*values: Any) -> Any:
            given = iter(values)
            full = [next(given) if at else x for x, at in zip(inputs, floating, strict=True)]
            outputs = tree.leaves(self.f(*self.full(full)))
            return tuple(outputs[i] for i in chosen)

        with replay(residue.random):
            _, back = vjp(again, *[x for x, at in zip(inputs, floating, strict=True) if at])
        weights = tree.leaves(self.cotangents(residue, cotangents))
        pulled = iter(back(tuple(weights[i] for i in chosen)))
        return [next(pulled) if at else None for at in floating]


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, keeping only its arguments for the backward pass and computing the rest again there.

    A chain of n equal steps, checkpointed in groups of k, holds about n / k + k of them instead of n, and runs each
    forward twice (Griewank and Walther, 2000). Checkpoints may lie within one another.

    Args:
        f: function of trees that returns a tree of tensors, the same whenever it is called. Random draws from the
            thread's own generator are repeated; those from a generator that `f` closes over are not. What `f` is
            differentiated by are its arguments, not closures.

    Returns:
        A function of the same arguments, with derivatives of every order in both modes.

    Raises:
        LevelError: `f` uses a tensor from a closure that is being differentiated or mapped.

    >>> import hograd as ho
    >>> ho.func.grad(ho.func.checkpoint(lambda x: (x.exp() * x).sum()))(ho.tensor([0.0, 1.0]))
    tensor([1.0000, 5.4366])
    """

    @functools.wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        return _Again(name_of(f), lambda args, kwargs: f(*args, **kwargs), (args, kwargs))()

    return transformed
