"""The pass `flattening`: small arrays that the same is done to as one array."""

from __future__ import annotations

import math
from typing import Any

from hograd.core.primitive import primitives
from hograd.program.ir import Instruction, Literal, Program
from hograd.program.packing import PAIRED, Packing, Pair

#: Of more elements the arithmetic takes longer than to begin, and two operations are as good as one.
_SMALL = 16_384
_ROUNDS = 3
_MOST_WAITING = 4


def flattening(program: Program) -> Program:
    """With arrays of different shapes one behind the other, where an optimizer does the same to them.

    It begins with operations that share a number which is computed or given, such as a learning rate, and goes on with
    what is computed from both in the same way.
    """
    for _ in range(_ROUNDS):
        changed = _Flattening(program).packed()
        if changed is program:
            break
        program = changed
    return program


class _Flattening(Packing):
    def find(self) -> None:
        waiting: dict[Any, list[int]] = {}
        for at in self.program.instructions:
            if self._continued(at) or at.output in self.of or not self._begins(at):
                continue
            key = at.primitive, tuple(x if self._is_scalar(x) else None for x in at.operands)
            others = waiting.setdefault(key, [])
            for other in reversed(others):
                if self._fit(other, at.output) and self._begun(self.program.instructions[self.made[other]], at):
                    others.remove(other)
                    break
            else:
                waiting[key] = [*others[1 - _MOST_WAITING :], at.output]

    def _begun(self, first: Instruction, second: Instruction) -> bool:
        """Join two operations that begin to do the same, if they do, and if both are there at the same time."""
        leaves = self._leaves(first, second)
        if leaves is None or first.params != second.params or not self._are_apart(first.output, second.output):
            return False
        self._made(first.output, second.output, leaves)
        return True

    def _begins(self, at: Instruction) -> bool:
        """Whether an operation takes one array and a number that is no literal."""
        if at.primitive.name not in PAIRED or not self.kinds[at.output].shape:
            return False
        numbers = [x for x in at.operands if type(x) is not Literal and self._is_scalar(x)]
        return bool(numbers) and self.kinds[at.output].dtype.kind == "f"

    def _fit(self, weight: Any, bias: Any) -> bool:
        if not type(weight) is type(bias) is int or weight == bias or weight in self.of or bias in self.of:
            return False
        a, b = self.kinds[weight], self.kinds[bias]
        sizes = math.prod(a.shape), math.prod(b.shape)
        fits = a.dtype == b.dtype and a.dtype.kind in "fb" and bool(a.shape) and bool(b.shape) and a.shape != b.shape
        return fits and min(sizes) > 0 and max(sizes) <= _SMALL

    def _gradients(self, pair: Pair, place: int) -> bool:
        return False

    def _layers(self) -> None:
        """Layers are matters of `packing`."""

    def _shape(self, pair: Pair) -> tuple[int, ...]:
        return (sum(math.prod(self.kinds[x].shape) for x in (pair.weight, pair.bias)),)

    def _parts(self, pair: Pair) -> list[Instruction]:
        parts, begin = [], 0
        for x in (pair.weight, pair.bias):
            end = begin + math.prod(self.kinds[x].shape)
            row = self._slot((end - begin,), x)
            parts.append(Instruction(primitives["getitem"], (pair.slot,), {"index": (slice(begin, end),)}, row, ""))
            parts.append(Instruction(primitives["reshape"], (row,), {"shape": self.kinds[x].shape}, x, ""))
            begin = end
        return parts
