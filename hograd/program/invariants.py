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

    def changed(self) -> Program:
        """The program with one number less, or itself."""
        for i, at in reversed(list(enumerate(self.program.instructions))):
            found = _times(self.program, at)
            if found is None or not self._can(found[0], outermost=True):
                continue
            slot = self._times(*found, i)
            same = {at.output: slot}
            instructions = [
                x for k, other in enumerate(self.program.instructions) for x in (*self.added.get(k, ()), other)
            ]
            return dead_code(
                self.program.with_(
                    instructions=tuple(
                        x._replace(operands=tuple(same.get(v, v) if type(v) is int else v for v in x.operands))
                        for x in instructions
                    ),
                    outputs=tuple(same.get(s, s) for s in self.program.outputs),
                    kinds=self.kinds,
                    constants=self.constants,
                    groups=(),
                )
            )
        return self.program

    def _maker(self, s: int) -> Instruction | None:
        return self.program.instructions[self.places[s]] if len(self.reading.get(s, ())) == 1 else None

    def _can(self, s: int, *, outermost: bool = False) -> bool:
        """Whether a factor of a value can be taken in by what that is computed from."""
        if s in self.fixed:
            return not outermost
        at = self._maker(s)
        if at is None:
            return False
        if at.primitive.name in ("reshape", "neg"):
            return type(at.operands[0]) is int and self._can(at.operands[0])
        if at.primitive.name in ("add", "sub"):
            return all(type(x) is int and self.kinds[x] == self.kinds[s] and self._can(x) for x in at.operands)
        if at.primitive.name == "mm_nn":
            return at.operands[0] in self.fixed and at.operands[0] not in self.constants
        return _times(self.program, at) is not None

    def _times(self, s: int, k: float, place: int) -> int:
        """The slot of k times a value, which is written before an instruction."""
        slot, self.next = self.next, self.next + 1
        self.kinds[slot] = self.kinds[s]
        if s in self.constants:
            self.constants[slot] = scaled_by(self.constants[s], k)
            return slot
        if s in self.fixed:
            operands: tuple[Any, ...] = (s, Literal(k))
            new = Instruction(primitives["mul"], operands, {}, slot, self.program.instructions[place].line)
        else:
            at = self.program.instructions[self.places[s]]
            scaled = _times(self.program, at)
            if scaled is not None and at.primitive.name == "mul":
                new = Instruction(primitives["mul"], (scaled[0], Literal(scaled[1] * k)), {}, slot, at.line)
            elif at.primitive.name == "mm_nn":
                new = at._replace(operands=(self._times(at.operands[0], k, place), at.operands[1]), output=slot)
            else:
                operands = tuple(self._times(x, k, place) for x in at.operands)
                new = at._replace(operands=operands, output=slot)
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
