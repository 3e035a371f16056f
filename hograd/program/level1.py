"""Arithmetic of flat arrays as calls of BLAS, which take a third of the time of NumPy's.

Sums with multiples and inner products are so with fast math alone, since BLAS does not round the products.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hograd.program.blas import extension
from hograd.program.code_numpy import Generator
from hograd.program.expressions import readers
from hograd.program.ir import Instruction, Literal, Program
from hograd.program.memory import is_tall

_BLAS = extension("_fblas")
_FLOAT64 = np.dtype(np.float64)


class Multiple(NamedTuple):
    """A sum  rest + number * array  or a difference  rest - number * array ."""

    rest: int
    array: int
    number: Any


def multiples(program: Program, is_float: Callable[[int], bool]) -> tuple[dict[int, Multiple], set[int]]:
    """Sums of flat arrays of which one is a multiple that nothing else reads, and these multiples."""
    found: dict[int, Multiple] = {}
    inside: set[int] = set()
    made = {at.output: at for at in program.instructions}
    reading = readers(program)
    for i, at in enumerate(program.instructions):
        if at.primitive.name not in ("add", "sub") or not _is_flat(program, at.output):
            continue
        for x, rest in (at.operands[::-1], at.operands)[: 1 if at.primitive.name == "sub" else 2]:
            product = made.get(x) if type(x) is int and reading.get(x) == [i] else None
            scaled = None if product is None else factor(program, product, is_float)
            if scaled is None or any(
                type(v) is not int or program.kinds[v] != program.kinds[at.output] for v in at.operands
            ):
                continue
            if scaled[0] != rest:
                found[at.output] = Multiple(rest, *scaled)
                inside.add(x)
                break
    return found, inside


def factor(program: Program, at: Instruction, is_float: Callable[[int], bool]) -> tuple[int, Any] | None:
    """The flat array and the number that an instruction multiplies."""
    if at.primitive.name != "mul" or not _is_flat(program, at.output):
        return None
    for x, c in (at.operands, at.operands[::-1]):
        if type(x) is int and program.kinds[x] == program.kinds[at.output]:
            number = type(c) is Literal and type(c.value) in (int, float) and math.isfinite(c.value) and c.value
            if number or (type(c) is int and is_float(c)):
                return x, c
    return None


def _is_flat(program: Program, s: int) -> bool:
    """Whether a value's elements lie one behind the other, row by row, when it is in a buffer."""
    shape, dtype = program.kinds[s]
    return bool(shape) and math.prod(shape) > 0 and dtype == _FLOAT64 and not is_tall(shape)


class FlatGenerator(Generator):
    """A generator of programs that do much with flat arrays."""

    def _written_inside(self) -> set[int]:
        self.multiples, inside = multiples(self.program, self._is_float) if self.program.fast_math else ({}, set[int]())
        return inside

    def _blas(self, name: str) -> str:
        self.objects[name] = getattr(_BLAS, name)
        return name

    def _number(self, c: Any, at: Instruction) -> tuple[str, str]:
        """A factor, and the condition that it is not 0: BLAS takes 0 times infinity for 0."""
        if type(c) is Literal:
            return repr(float(c.value)), ""
        name = f"k{at.output}"
        self.lines.append(f"{name} = {self.names[c]}")
        return name, f" if {name} else "

    def _ufunc(self, at: Instruction, kind: Any, name: str, target: str) -> bool:
        if at.output in self.multiples:
            return self._with_multiple(at, kind, target)
        scaled = factor(self.program, at, self._is_float) if name == "mul" else None
        private = self.reuse and at.output not in self.kept
        if scaled is None or not private or not (self._dies(scaled[0], at, kind) or self.places.get(at.output)):
            return super()._ufunc(at, kind, name, target)
        x, out = self.names[scaled[0]], self._destination(at, kind, safe=True)
        number, condition = self._number(scaled[1], at)
        plain = f"np.multiply({x}, {number}, {out})"
        if out == x:
            call = f"{self._blas('dscal')}({number}, {self._flat(x, kind)})"
            self.lines.append(f"{call}{condition}{plain if condition else ''}")
        else:
            self.lines.append(plain)
        return True

    def _with_multiple(self, at: Instruction, kind: Any, target: str) -> bool:
        multiple = self.multiples[at.output]
        x, y, function = self.names[multiple.array], self.names[multiple.rest], f"np.{_PLAIN[at.primitive.name]}"
        private = self.reuse and at.output not in self.kept
        free = private and at.output not in self.placed and at.output not in self.places
        out: str | None
        if free and self._dies(multiple.rest, at, kind):
            out = self.held[at.output] = self.names[at.output] = self.held.pop(multiple.rest)
        elif free and self._is_lent(multiple.rest, at):
            out = self.names[at.output] = y
        else:
            out = self._destination(at, kind, safe=False)
        number, condition = self._number(multiple.number, at)
        if out is not None and out == y and self._overlap(out, x):
            # The array shows what it is added to in another order.
            self.lines.append(f"{function}({out}, {number} * {x}, {out})")
            return True
        if out is None or self._overlap(out, x):
            # The array itself is written over, or the answer lies in new memory.
            into = "" if out is None else f", {out}"
            self.lines.append(f"{out or target} = np.multiply({x}, {number}{into})")
            self.lines.append(f"{function}({y}, {out or target}, {out or target})")
            return True
        if out != y:
            self.lines.append(f"np.copyto({out}, {y})")
        sign = "-" if at.primitive.name == "sub" else ""
        count = math.prod(kind.shape)
        call = f"{self._blas('daxpy')}({self._flat(x, kind)}, {self._flat(out, kind)}, {count}, {sign}{number})"
        self.lines.append(f"{call}{condition}{f'{function}({out}, {number} * {x}, {out})' if condition else ''}")
        return True

    def _flat(self, name: str, kind: Any) -> str:
        """An array with one axis."""
        return name if len(kind.shape) == 1 else self._changed(name, f".reshape({math.prod(kind.shape)})")

    def _is_lent(self, s: int, at: Instruction) -> bool:
        """Whether the memory of what was carried into a step is free for as long as an answer is needed."""
        return False

    def _overlap(self, a: str, b: str) -> bool:
        first, second = self.memory.arrays.get(a), self.memory.arrays.get(b)
        return first is not None and second is not None and np.may_share_memory(first, second)

    def _total(self, at: Instruction, i: int) -> bool:
        x = at.operands[0]
        if x in self.inside and self._is_float(at.output) and _is_flat(self.program, x):
            product = self.program.instructions[self.numbers[x]].operands
            first, second = [self._flat(self.names[v], self.program.kinds[v]) for v in (*product, *product)[:2]]
            self.lines.append(f"{self._local(i, at)} = {self._blas('ddot')}({first}, {second})")
            return True
        return super()._total(at, i)


_PLAIN = {"add": "add", "sub": "subtract"}
