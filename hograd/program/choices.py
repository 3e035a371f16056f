"""The source of choices by a mask, of a replay with NumPy."""

from __future__ import annotations

import math
from typing import Any

from hograd.program.ir import Instruction, Literal, Program

#: Of fewer elements it is not worth while to ask whether a mask holds anywhere.
_MANY = 1024


class Choices:
    """Part of the generator; it has the program, the names of its slots, and the memory."""

    program: Program
    names: dict[int, str]
    lines: list[str]
    held: dict[int, str]
    numbers: dict[int, int]
    placed: dict[int, tuple[int, int, int]]
    places: dict[int, str]
    overwritten: dict[int, int]
    anywhere: dict[int, str]

    def _destination(self, at: Instruction, kind: Any, *, safe: bool) -> str | None:
        raise NotImplementedError

    def _dies(self, x: Any, at: Instruction, kind: Any) -> bool:
        raise NotImplementedError

    def _operand(self, x: Any) -> str:
        raise NotImplementedError

    def _where(self, at: Instruction, kind: Any) -> bool:
        """One choice everywhere, and the other where the mask says so: faster than `np.where`."""
        mask, first, second = at.operands
        fits = [type(x) is Literal or self.program.kinds[x].dtype == kind.dtype for x in (first, second)]
        if type(mask) is not int or not all(fits):
            return False
        choice, condition = self._operand(first), self._rarely(mask)
        if self._dies(second, at, kind) and at.output not in self.placed:
            into = self.held[at.output] = self.names[at.output] = self.held.pop(second)
        elif condition and self._is_fixed(second, kind) and at.output not in self.places:
            # Without a copy, unless one is needed.
            buffer, name = self._destination(at, kind, safe=False), f"u{at.output}"
            whole = self._operand(second)
            copies = f"np.copyto({buffer}, {whole}); np.copyto({buffer}, {choice}, where={self.names[mask]})"
            self.lines += [f"{name} = {whole}", f"{condition}{copies}; {name} = {buffer}"]
            self.names[at.output] = name
            return True
        else:
            into = self._destination(at, kind, safe=False)
            self.lines.append(f"np.copyto({into}, {self._operand(second)})")
        self.lines.append(f"{condition}np.copyto({into}, {choice}, where={self.names[mask]})")
        return True

    def _rarely(self, mask: int) -> str:
        """A condition for what is to be done where a mask says so, if that is hardly ever anywhere: x == 0, say."""
        at = self.program.instructions[self.numbers[mask]] if mask in self.numbers else None
        if at is None or at.primitive.name != "eq" or math.prod(self.program.kinds[mask].shape) < _MANY:
            return ""
        if mask not in self.anywhere:
            self.anywhere[mask] = f"any{mask}"
            self.lines.append(f"{self.anywhere[mask]} = {self.names[mask]}.any()")
        return f"if {self.anywhere[mask]}: "

    def _is_fixed(self, x: Any, kind: Any) -> bool:
        """Whether an operand of this kind is an argument that is not written to, or a constant."""
        program = self.program
        return type(x) is int and program.kinds[x] == kind and x not in self.numbers and x not in self.overwritten
