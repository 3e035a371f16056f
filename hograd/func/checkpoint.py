"""Derivatives by computing again: less memory for more time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from hograd import tree
from hograd.core.custom import Residue, is_recorded
from hograd.core.levels import state
from hograd.core.primitive import ops
from hograd.core.replay import replay
from hograd.core.tensor import Tensor
from hograd.errors import GradientError
from hograd.func.arguments import name_of
from hograd.func.custom import TreeCall
from hograd.func.forward import jvp
from hograd.func.recording import Recording


class Again(TreeCall):
    """One call of a checkpointed function: its arguments are what is kept.

    Where a derivative of the derivative may be asked for, the rule is a checkpointed function itself, so that every
    order keeps arguments alone.
    """

    __slots__ = ("f",)

    def __init__(self, name: str, f: Any, arguments: tuple[Any, ...]) -> None:
        super().__init__(name, arguments)
        self.f = f

    def forward(self, inputs: list[Tensor]) -> tuple[list[Tensor], Residue]:
        # Recording is on, so that a tensor that came in through a closure shows; what is recorded is not kept.
        return self.outputs(self.f(*self.full(inputs)), inputs), Residue(list(inputs))

    def _differentiated(self, inputs: Sequence[Any]) -> list[bool]:
        """For each input, whether a derivative by it may be asked for."""
        return [tracked and x.dtype.kind in "fc" for x, tracked in zip(inputs, self.tracked, strict=True)]

    def _taken_apart(self, inputs: Sequence[Any]) -> tuple[list[Any], Any]:
        """The inputs with a derivative, and the function of those alone to the answers that may have one."""
        at = self._differentiated(inputs)

        def f(*values: Any) -> Any:
            given = iter(values)
            full = [next(given) if chosen else x for x, chosen in zip(inputs, at, strict=True)]
            return [y for y in tree.leaves(self.f(*self.full(full))) if y.dtype.kind in "fc"]

        return [x for x, chosen in zip(inputs, at, strict=True) if chosen], f

    def backward(self, residue: Residue, cotangents: list[Any]) -> Sequence[Any]:
        inputs = residue.content
        weights = [
            g
            for g, (_, dtype) in zip(tree.leaves(self.cotangents(residue, cotangents)), residue.answers, strict=True)
            if dtype.kind in "fc"
        ]

        def pulled(inputs: list[Any], weights: list[Any]) -> list[Any]:
            if state.trace is not None and weights:
                # Or else a captured program would compute nothing again: the values are the same.
                inputs = [ops.after(x, weights[0]) for x in inputs]
            values, f = self._taken_apart(inputs)
            tape = Recording(values, at_once=True)
            with replay(residue.random, again=True), tape.open():
                outputs = f(*tape.inputs)
            if [tuple(y.shape) for y in outputs] != [tuple(g.shape) for g in weights]:
                raise GradientError(
                    f"{self.name} returned other shapes when it was called again for its derivative: it must depend on "
                    "its arguments alone."
                )
            # What is kept for the rule is freed on the way back.
            return tape.pull(outputs, weights, retain=False)

        if any(map(is_recorded, [*inputs, *weights])):
            found = Again(f"{self.name}'s vjp", pulled, (inputs, weights))()
        else:
            found = pulled(inputs, weights)
        given = iter(found)
        return [next(given) if chosen else None for chosen in self._differentiated(inputs)]

    def tangent(self, residue: Residue, tangents: list[Any]) -> Sequence[Any]:
        inputs = residue.content
        directions = [
            ops.zeros_like(x) if t is None else t
            for x, t, chosen in zip(inputs, tangents, self._differentiated(inputs), strict=True)
            if chosen
        ]

        def pushed(inputs: list[Any], directions: list[Any]) -> list[Any]:
            values, f = self._taken_apart(inputs)
            with replay(residue.random, again=True):
                return jvp(f, values, directions)[1]

        if any(map(is_recorded, [*inputs, *directions])):
            found = Again(f"{self.name}'s jvp", pushed, (inputs, directions))()
        else:
            found = pushed(inputs, directions)
        given = iter(found)
        return [next(given) if dtype.kind in "fc" else None for _, dtype in residue.answers]


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, keeping only its arguments for the backward pass and computing the rest again there.

    A chain of n equal steps, checkpointed in groups of k, holds about n / k + k of them instead of n, and runs each
    forward twice (Griewank and Walther, 2000); `scan` does that for loops. Checkpoints may lie within one another.
    JAX's name for it is `remat`.

    Args:
        f: function of trees that returns a tree of tensors, the same whenever it is called. Random draws are
            repeated, also those from generators of its own; what NumPy draws by itself only if the generator comes
            from `hograd.default_generator()` within `f`, and a generator that `f` spawns is another one each time.
            What `f` is differentiated by are its arguments, not closures.

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
        return Again(name_of(f), lambda args, kwargs: f(*args, **kwargs), (args, kwargs))()

    return transformed


remat = checkpoint
