"""A function recorded on a tape, to be pulled back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from hograd.core.dispatch import bare, is_raw, wrap
from hograd.core.engine import backward_pass, below
from hograd.core.levels import OFF, Level, state
from hograd.core.primitive import ops
from hograd.core.tape import leaf
from hograd.core.tensor import Batched, Tensor


class Recording:
    """A tape with fresh leaves, on which a function can be recorded once and pulled back.

    Inside another `grad`, a function of values that lie on that one's tape is recorded there, with an identity in front
    of its inputs: the derivative with respect to those is the same, and each operation is recorded once instead of
    twice. With vmaps between, `pull` must then be called where they are the innermost levels, which `at_once` promises.
    """

    def __init__(self, values: Sequence[Any], *, at_once: bool) -> None:
        self.shared = _recording_tape()
        if self.shared is not None:
            # A rule, or the forward of a function with a derivative of its own, runs on values below the open tapes.
            number, batches = self.shared
            if (batches and not at_once) or not any(_on_tape(x, number) for x in values):
                self.shared = None
        self.level = Level("tape")
        if self.shared is None:
            self.number = self.level.number
            self.inputs: list[Any] = [Tensor(bare(x), leaf(x), self.number) for x in values]
            self.nodes = [x.node for x in self.inputs]
            if not all(is_raw(x.value) for x in self.inputs):
                self.level.raw = False
        else:
            self.number, batches = self.shared
            self.batches = batches
            self.inputs = [_fresh(x, self.number, batches) for x in values]
            self.nodes = [self._unbatch(x).node for x in self.inputs]

    def open(self) -> Any:
        """The context in which the function runs."""
        return self.level if self.shared is None else nullcontext()

    def strip(self, value: Any) -> Any:
        """An output as the code outside sees it."""
        if self.shared is not None:
            # A tensor of its own, so that `pull` does not see what is done to this one in place.
            return Tensor(value.value, value.node, value.level) if type(value) is Tensor else value
        return wrap(below(value, self.number)) if isinstance(value, Tensor) else value

    def pull(self, outputs: Sequence[Tensor], cotangents: Sequence[Any], retain: bool) -> list[Tensor]:
        """The cotangents of the inputs."""
        shared = self.shared is not None
        if shared:
            outputs = [self._unbatch(y) for y in outputs]
            cotangents = [self._unbatch(g) for g in cotangents]
        roots = [
            (y.node, bare(g))
            for y, g in zip(outputs, cotangents, strict=True)
            if type(y) is Tensor and y.level == self.number and y.node is not None
        ]
        raw = not shared and self.level.raw and all(is_raw(g) for _, g in roots)
        if not raw:
            roots = [(node, wrap(g)) for node, g in roots]
        # The rules run below the vmaps between, which what they differentiate themselves must not see.
        with Level("rule") if shared and self.batches else nullcontext():
            pulled = backward_pass(
                roots,
                self.number,
                wanted=self.nodes,
                # Under `no_grad` the derivative is a constant of the tape that it was taken on.
                create_graph=shared and self.number >= state.floor,
                retain_graph=retain or shared,
                raw=raw,
                all_lead_there=not shared and not self.level.has_leaves,
            )
        result = []
        for x, g in zip(self.inputs, pulled, strict=True):
            if g is None:
                result.append(ops.zeros_like(x))
            else:
                result.append(self._rebatch(wrap(g)) if shared else wrap(g))
        return result

    def _unbatch(self, value: Any) -> Any:
        """A value inside the vmaps that lie between the shared tape and here, with all batch axes in front."""
        for number, size in reversed(self.batches):
            if type(value) is Batched and value.level == number:
                value = wrap(value.value)
            else:
                value = ops.broadcast_to(value, (size, *value.shape))
        return value

    def _rebatch(self, value: Any) -> Any:
        for number, _ in self.batches:
            value = Batched(bare(value), number)
        return value


def _recording_tape() -> tuple[int, list[tuple[int, int]]] | None:
    """The innermost open tape, if only vmaps were opened since and it is recording, and those vmaps."""
    batches: list[tuple[int, int]] = []
    for level in reversed(state.stack):
        if level.kind == "tape":
            if state.floor != OFF and level.number >= state.floor:
                return level.number, batches[::-1]
            return None
        if level.kind != "vmap":
            return None
        batches.append((level.number, level.size))
    return None


def _on_tape(x: Any, number: int) -> bool:
    """Whether `x`, whatever batch axes it has, is recorded on that tape."""
    while type(x) is Batched and x.level > number:
        x = x.value
    return type(x) is Tensor and x.level == number and x.node is not None


def _fresh(x: Any, number: int, batches: list[tuple[int, int]]) -> Any:
    """`x` behind a node of its own on the shared tape, with every batch axis between."""
    for batch, size in batches:
        if not _has_batch(x, batch):
            x = _insert_batch(x, batch, size, batches)
    inner = x
    while type(inner) is Batched and inner.level > number:
        inner = wrap(inner.value)
    if type(inner) is Tensor and inner.level == number and inner.node is not None:
        return ops.clone(x)
    fresh: Any = Tensor(bare(inner), leaf(inner), number)
    for batch, _ in batches:
        fresh = Batched(fresh, batch)
    return fresh


def _has_batch(x: Any, number: int) -> bool:
    while type(x) is Batched:
        if x.level == number:
            return True
        x = x.value
    return False


def _insert_batch(x: Any, number: int, size: int, batches: list[tuple[int, int]]) -> Any:
    """`x`, which is the same for every element of vmap `number`, repeated along its batch axis."""
    with_axis = ops.broadcast_to(x, (size, *x.shape))
    outer: list[int] = []
    while type(with_axis) is Batched and with_axis.level > number:
        # Peel the vmaps inside `number`, whose axes come behind its own.
        outer.append(with_axis.level)
        with_axis = ops.swapaxes(wrap(with_axis.value), 0, 1)
    value: Any = Batched(bare(with_axis), number)
    for level in reversed(outer):
        value = Batched(value, level)
    return value
