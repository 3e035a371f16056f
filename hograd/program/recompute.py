"""The pass `recompute`: large values that are cheap to compute are computed again where they are read much later."""

from __future__ import annotations

import itertools
from typing import Any

from hograd.program.ir import Instruction, Program, dead_code

_CHEAP = frozenset({"add", "sub", "mul", "neg", "square", "astype", "convert", "gt", "ge", "lt", "le", "eq", "ne"})
#: Below so many bytes a value stays in the processor's cache.
_LARGE = 32_768
#: Values are read much later if there are so many instructions between.
FAR = 100


def recompute(program: Program) -> Program:
    """With less memory held, mostly from a forward pass for the backward pass, for one cheap operation more.

    A value is computed again if what it is computed from is still there, or is several times smaller.
    """
    return _Recompute(program).rewritten()


class _Recompute:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.kinds = dict(program.kinds)
        self.numbers = itertools.count(max(self.kinds, default=0) + 1)
        self.made = {at.output: i for i, at in enumerate(program.instructions)}
        self.last: dict[int, int] = {}
        for i, at in enumerate(program.instructions):
            self.last.update(dict.fromkeys(at.reads(), i))
        self.last.update(dict.fromkeys(program.outputs, len(program.instructions)))
        for s in (*program.inputs, *program.constants, *(s for s, _ in program.draws)):
            self.last[s] = len(program.instructions)
        self.kept: list[Instruction] = []
        #: For a slot the latest place where it was computed or read, and the slot that has it there.
        self.latest: dict[int, tuple[int, int]] = {}

    def rewritten(self) -> Program:
        for i, at in enumerate(self.program.instructions):
            operands = tuple(self._near(x, i) if type(x) is int else x for x in at.operands)
            self.kept.append(at if operands == at.operands else at._replace(operands=operands))
            self.latest[at.output] = i, at.output
        return dead_code(self.program.with_(instructions=tuple(self.kept), kinds=self.kinds, groups=()))

    def _near(self, x: int, i: int) -> int:
        """The slot from which instruction `i` takes the value of `x`."""
        if x not in self.latest:
            return x
        before, slot = self.latest[x]
        if i - before > FAR and self._can(x, i):
            at = self.program.instructions[self.made[x]]
            operands = tuple(self._near(v, i) if type(v) is int else v for v in at.operands)
            slot = next(self.numbers)
            self.kinds[slot] = self.kinds[x]
            self.kept.append(at._replace(operands=operands, output=slot))
        self.latest[x] = i, slot
        return slot

    def _can(self, x: int, i: int) -> bool:
        if x in self.program.outputs:
            return False
        at, size = self.program.instructions[self.made[x]], self._bytes(x)
        if at.primitive.name not in _CHEAP or size < _LARGE:
            return False
        # Of two large values the sum is kept, or else what follows from one another would be computed all over again.
        if len({v for v in at.reads() if 4 * self._bytes(v) > size and v not in self.program.constants}) > 1:
            return False
        return all(self.last[v] >= i or 4 * self._bytes(v) <= size or self._again(v, i) for v in at.reads())

    def _again(self, x: Any, i: int) -> bool:
        return x in self.made and i - self.latest[x][0] > FAR and self._can(x, i)

    def _bytes(self, x: int) -> int:
        shape, dtype = self.kinds[x]
        size = dtype.itemsize
        for n in shape:
            size *= n
        return size
