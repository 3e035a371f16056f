"""What the step of a loop need not compute in every step, since it follows from constants of the loop."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from hograd.core.primitive import primitives
from hograd.program.expressions import readers
from hograd.program.ir import Instruction, Kind, Literal, Program, dead_code
from hograd.program.loops import LOOP, PART
from hograd.program.memory import once, scaled_by


def invariant(program: Program, consts: int) -> set[int]:
    """What depends on constants and on the first inputs alone."""
    fixed = set(program.constants) | set(program.inputs[:consts])
    for at in program.instructions:
        if at.reads() and fixed.issuperset(at.reads()) and at.primitive not in (LOOP, PART):
            fixed.add(at.output)
    return fixed


def stacked(program: Program, consts: int) -> Program:
    """The products A d and B d, one below the other, as one product, where A and B are constants of the loop."""
    fixed, reading = invariant(program, consts), readers(program)
    made = {at.output: at for at in program.instructions}
    kinds, constants = dict(program.kinds), dict(program.constants)
    numbers = itertools.count(max(kinds, default=0) + 1)

    def product(x: Any) -> Instruction | None:
        at = made.get(x) if type(x) is int and len(reading.get(x, ())) == 1 else None
        if at is not None and at.primitive.name == "reshape":
            return product(at.operands[0])
        return at if at is not None and at.primitive.name in ("mm_tn", "mm_nn") and at.operands[0] in fixed else None

    def turned(s: int, line: str) -> int:
        """The transpose of a matrix; of a constant with a factor for each row, its transpose with these."""
        number, (shape, dtype) = next(numbers), kinds[s]
        kinds[number] = Kind(shape[::-1], dtype)
        at = made.get(s)
        if s in constants:
            constants[number] = once(constants[s], "turned", lambda x: np.ascontiguousarray(x.T))
        elif 1 in shape:
            kept.append(Instruction(primitives["reshape"], (s,), {"shape": shape[::-1]}, number, line))
        elif at is not None and at.primitive.name == "mul" and all(_is_matrix(kinds, x, shape) for x in at.operands):
            operands = tuple(turned(x, line) for x in at.operands)
            kept.append(at._replace(operands=operands, output=number))
        else:
            kept.append(Instruction(primitives["permute"], (s,), {"axes": (1, 0)}, number, line))
        return number

    def below(products: list[Instruction], line: str) -> int:
        """The left factors of some products, as they are multiplied with, one below the other."""
        rows = [turned(p.operands[0], line) if p.primitive.name == "mm_tn" else p.operands[0] for p in products]
        offsets = tuple(itertools.accumulate([kinds[r].shape[0] for r in rows], initial=0))
        whole = next(numbers)
        kinds[whole] = Kind((offsets[-1], kinds[rows[0]].shape[1]), kinds[rows[0]].dtype)
        params = {"axis": 0, "offsets": offsets}
        kept.append(Instruction(primitives["concatenate"], tuple(rows), params, whole, line))
        return whole

    kept: list[Instruction] = []
    for at in program.instructions:
        found = [product(x) for x in at.operands] if at.primitive.name == "concatenate" else []
        products = [p for p in found if p is not None]
        alike = len(found) > 1 and len(products) == len(found) and len({p.operands[1] for p in products}) == 1
        if not alike or len(kinds[at.output].shape) != 1:
            kept.append(at)
            continue
        matrix = below(products, at.line)
        answer = next(numbers)
        kinds[answer] = Kind((kinds[matrix].shape[0], kinds[products[0].output].shape[1]), kinds[at.output].dtype)
        kept.append(Instruction(primitives["mm_nn"], (matrix, products[0].operands[1]), {}, answer, at.line))
        kept.append(
            Instruction(primitives["reshape"], (answer,), {"shape": kinds[at.output].shape}, at.output, at.line)
        )
    return dead_code(program.with_(instructions=tuple(kept), kinds=kinds, constants=constants, groups=()))


def _is_matrix(kinds: dict[int, Kind], x: Any, shape: tuple[int, ...]) -> bool:
    """Whether an operand has this shape, or is a column of it."""
    return type(x) is int and kinds[x].shape in (shape, (shape[0], 1))


def absorbed(program: Program, consts: int) -> Program:
    """k (c x)  as  (k c) x,  and  k (A d - b)  as  (k A) d - k b  in the step of a loop with A and b as constants."""
    while (changed := _Absorbing(program, consts).changed()) is not program:
        program = changed
    return program


class _Absorbing:
    """One number that goes to where it costs nothing."""

    def __init__(self, program: Program, consts: int) -> None:
        self.program = program
        self.fixed = invariant(program, consts)
        self.reading = readers(program)
        self.places = {at.output: i for i, at in enumerate(program.instructions)}
        self.kinds = dict(program.kinds)
        self.constants = dict(program.constants)
        self.next = max(self.kinds, default=0) + 1
        #: What to write before an instruction.
        self.added: dict[int, list[Instruction]] = {}
        #: Slots that are computed in another way by now.
        self.touched: set[int] = set()

    def changed(self) -> Program:
        """The program with fewer numbers, or itself."""
        same: dict[int, int] = {}
        # What is computed last first: its number goes through those before it.
        for i, at in reversed(list(enumerate(self.program.instructions))):
            if at.output in self.touched:
                continue
            found = _times(self.program, at)
            if found is not None and self._can(found[0], outermost=True):
                same[at.output] = self._times(*found, i)
            elif (found := self._divisor(at)) is not None:
                above, (below, k) = at.operands[0], found
                self.touched.add(at.operands[1])
                above = self._times(above, 1 / k, i)
                slot, self.next = self.next, self.next + 1
                self.kinds[slot] = self.kinds[at.output]
                self.added.setdefault(i, []).append(at._replace(operands=(above, below), output=slot))
                same[at.output] = slot
        return self._written(same) if same else self.program

    def _divisor(self, at: Instruction) -> tuple[int, float] | None:
        """The divisor, and the number that it is multiplied by, if the dividend can take that in."""
        if at.primitive.name != "div" or not all(type(x) is int for x in at.operands):
            return None
        above, below = at.operands
        maker = self._maker(below)
        found = None if maker is None else _times(self.program, maker)
        fits = self.kinds[above] == self.kinds[below] == self.kinds[at.output]
        return found if found is not None and fits and self._can(above, outermost=True) else None

    def _written(self, same: dict[int, int]) -> Program:
        instructions = []
        for k, other in enumerate(self.program.instructions):
            for at in (*self.added.get(k, ()), other):
                operands = tuple(same.get(v, v) if type(v) is int else v for v in at.operands)
                instructions.append(at if operands == at.operands else at._replace(operands=operands))
        return dead_code(
            self.program.with_(
                instructions=tuple(instructions),
                outputs=tuple(same.get(s, s) for s in self.program.outputs),
                kinds=self.kinds,
                constants=self.constants,
                groups=(),
            )
        )

    def _maker(self, s: int) -> Instruction | None:
        return self.program.instructions[self.places[s]] if len(self.reading.get(s, ())) == 1 else None

    def _can(self, s: Any, *, outermost: bool = False) -> bool:
        """Whether a factor of a value can be taken in by what that is computed from."""
        if type(s) is not int:
            return False
        if s in self.fixed:
            return not outermost
        at = self._maker(s)
        if at is None:
            return False
        name, operands = at.primitive.name, at.operands
        if name in ("reshape", "neg"):
            return type(operands[0]) is int and self._can(operands[0])
        if name in ("add", "sub"):
            return all(type(x) is int and self.kinds[x] == self.kinds[s] and self._can(x) for x in operands)
        if name == "mm_nn":
            return operands[0] in self.fixed and operands[0] not in self.constants
        return self._taking(at) is not None

    def _taking(self, at: Instruction) -> int | None:
        """Which operand of a product or quotient takes in a factor: a number, or an array that can."""
        if at.primitive.name not in ("mul", "div") or self.kinds[at.output].dtype.kind != "f":
            return None
        for i, x in enumerate(at.operands[: 1 if at.primitive.name == "div" else 2]):
            if type(x) is Literal and type(x.value) in (int, float) and 1e-15 < abs(x.value) < 1e15:
                return i
            # To multiply a number takes no time.
            if type(x) is int and self.kinds[x] == ((), self.kinds[at.output].dtype) and len(at.operands) == 2:
                return i
        for i, x in enumerate(at.operands[: 1 if at.primitive.name == "div" else 2]):
            if type(x) is int and self.kinds[x] == self.kinds[at.output] and x not in self.fixed and self._can(x):
                return i
        return None

    def _times(self, s: Any, k: float, place: int) -> Any:
        """The slot of k times a value, which is written before an instruction."""
        if type(s) is Literal:
            return Literal(s.value * k)
        self.touched.add(s)
        slot, self.next = self.next, self.next + 1
        self.kinds[slot] = self.kinds[s]
        if s in self.constants:
            self.constants[slot] = scaled_by(self.constants[s], k)
            return slot
        at = self._maker(s)
        if s in self.fixed or at is None or self.kinds[s].shape == ():
            line = self.program.instructions[place].line
            new = Instruction(primitives["mul"], (s, Literal(k)), {}, slot, line)
        elif (i := 0 if at.primitive.name == "mm_nn" else self._taking(at)) is not None:
            operands = list(at.operands)
            operands[i] = self._times(operands[i], k, place)
            new = at._replace(operands=tuple(operands), output=slot)
        else:
            operands = [self._times(x, k, place) for x in at.operands]
            new = at._replace(operands=tuple(operands), output=slot)
        self.added.setdefault(place, []).append(new)
        return slot


def _times(program: Program, at: Instruction) -> tuple[int, float] | None:
    """What an instruction multiplies by which number."""
    kind = program.kinds[at.output]
    if at.primitive.name != "mul" or kind.dtype.kind != "f" or not kind.shape:
        return None
    for x, c in (at.operands, at.operands[::-1]):
        if type(x) is int and program.kinds[x] == kind and type(c) is Literal and type(c.value) in (int, float):
            return (x, float(c.value)) if 1e-9 < abs(c.value) < 1e9 else None
    return None
