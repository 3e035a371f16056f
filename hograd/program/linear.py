"""The pass `linear`: factors and constant terms that go through products to where they cost nothing."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Container
from typing import Any, NamedTuple

import numpy as np

from hograd.core.primitive import primitives
from hograd.program.expressions import readers
from hograd.program.invariants import invariant
from hograd.program.ir import Instruction, Kind, Literal, Program
from hograd.program.loops import depending
from hograd.program.memory import scaled_by
from hograd.program.recompute import FAR

#: Arrays of fewer elements are not worth it, nor are factors of constants that are not used at least so often.
_LARGE = 1024
_OFTEN = 3
_MOST_READERS = 16
_PRODUCTS = ("mm_tn", "mm_nn")


def linear(program: Program) -> Program:
    """With factors of large arrays as factors of the constant matrices that these are multiplied with.

    C^T (k d) = (k C)^T d,  where k is a number, or a number for each row; from there to d it may pass other products
    and sums over columns. And  C^T (d - K) = C^T d - C^T K  for constant C and K, where C^T K is computed once.
    """
    for _ in range(3):
        changed = _sunk(program, program.constants, often=_OFTEN)
        if changed is program:
            break
        program = changed
    return _distributed(program, program.constants)


def of_loop(program: Program, consts: int, arguments: int) -> Program:
    """The same for the step of a loop, where what follows from the first `consts` inputs is computed once.

    `arguments`: how many inputs the step has; those behind are cotangents. What follows from them will run in another
    loop, which has to compute its terms again anyway.
    """
    behind = depending(program, program.inputs[arguments:])
    for _ in range(3):
        changed = _sunk(program, invariant(program, consts), often=1)
        if changed is program:
            break
        program = changed
    return _distributed(program, invariant(program, consts), behind)


class _Plan(NamedTuple):
    """A product with a factor that can be left out, if the matrices of `ends` get it, and the sums among them."""

    start: Instruction
    kept: int
    factor: Any
    ends: list[int]


def _sunk(program: Program, fixed: Container[int], *, often: int) -> Program:
    reading = readers(program)
    plans: list[_Plan] = []
    taken: set[int] = set()
    for at in program.instructions:
        plan = _plan(program, at, reading, fixed) if at.primitive.name == "mul" else None
        if plan is not None and not taken & {*plan.ends, *reading[plan.start.output]}:
            plans.append(plan)
            taken |= {*plan.ends, *reading[plan.start.output]}
    matrices = Counter((program.instructions[i].operands[0], plan.factor) for plan in plans for i in plan.ends)
    plans = [
        plan
        for plan in plans
        if type(plan.factor) is Literal
        or all(matrices[program.instructions[i].operands[0], plan.factor] >= often for i in plan.ends)
    ]
    return _applied(program, plans) if plans else program


def _plan(program: Program, at: Instruction, reading: dict[int, list[int]], fixed: Container[int]) -> _Plan | None:
    kinds = program.kinds
    shape = kinds[at.output].shape
    if len(shape) != 2 or math.prod(shape) < _LARGE or kinds[at.output].dtype.kind != "f":
        return None
    for factor, kept in (at.operands, at.operands[::-1]):
        if type(kept) is not int or kinds[kept] != kinds[at.output]:
            continue
        if type(factor) is Literal:
            if not 1e-15 < abs(factor.value) < 1e15:
                continue
        elif (
            kinds[factor] != ((shape[0], 1), kinds[kept].dtype)
            or factor in program.constants
            or (fixed is not program.constants and factor not in fixed)
        ):
            continue
        ends = _ends(program, at.output, factor, reading, fixed)
        if ends:
            return _Plan(at, kept, factor, ends)
    return None


def _ends(
    program: Program, start: int, factor: Any, reading: dict[int, list[int]], fixed: Container[int]
) -> list[int] | None:
    """The products with constants in which a factor of `start` ends; None if it shows elsewhere."""
    inside, waiting, both, ends = {start}, [start], [], []
    rows = program.kinds[start].shape[0]
    while waiting:
        s = waiting.pop()
        if len(inside) > _MOST_READERS:
            return None
        for i in reading.get(s, ()):
            if i < 0:
                return None
            at = program.instructions[i]
            name, shape = at.primitive.name, program.kinds[at.output].shape
            if name in _PRODUCTS and at.operands[1] == s and at.operands[0] in fixed:
                ends.append(i)
                continue
            if _sums_rows(at) and factor in fixed:
                ends.append(i)
                continue
            if name in ("add", "sub", "mul"):
                both.append(at)
            elif name != "neg" and not (name == "sum" and at.params == {"axis": (1,), "keepdims": True}):
                return None
            if len(shape) != 2 or shape[0] != rows:
                return None
            if at.output not in inside:
                inside.add(at.output)
                waiting.append(at.output)
    for at in both:
        count = sum(x in inside for x in at.reads())
        if count != (1 if at.primitive.name == "mul" else 2):
            return None
    return ends


def _sums_rows(at: Instruction) -> bool:
    return at.primitive.name == "sum" and at.params == {"axis": (0,), "keepdims": False}


def _applied(program: Program, plans: list[_Plan]) -> Program:
    kinds, constants = dict(program.kinds), dict(program.constants)
    same = {plan.start.output: plan.kept for plan in plans}
    factors = {i: plan.factor for plan in plans for i in plan.ends}
    scaled: dict[Any, int] = {}
    numbers = itertools.count(max(kinds) + 1)
    kept: list[Instruction] = []
    for i, at in enumerate(program.instructions):
        if at.output in same:
            continue
        if any(x in same for x in at.reads()):
            at = at._replace(operands=tuple(_renamed(x, same) for x in at.operands))
        if i in factors and _sums_rows(at):
            # The sum of k d over the rows is  k^T d .
            row = next(numbers)
            kinds[row] = Kind((1, *kinds[at.output].shape), kinds[at.output].dtype)
            product = Instruction(primitives["mm_tn"], (_renamed(factors[i], same), *at.operands), {}, row, at.line)
            kept += [
                product,
                Instruction(primitives["reshape"], (row,), {"shape": kinds[at.output].shape}, at.output, at.line),
            ]
            continue
        if i in factors:
            matrix, factor = at.operands[0], _renamed(factors[i], same)
            key = matrix, factor, at.primitive.name
            if key not in scaled:
                number = scaled[key] = next(numbers)
                kinds[number] = kinds[matrix]
                if type(factor) is Literal:
                    constants[number] = scaled_by(constants[matrix], factor.value)
                else:
                    if at.primitive.name == "mm_nn":
                        row, column = next(numbers), factor
                        kinds[row] = Kind(kinds[column].shape[::-1], kinds[column].dtype)
                        params = {"shape": kinds[row].shape}
                        kept.append(Instruction(primitives["reshape"], (column,), params, row, at.line))
                        factor = row
                    kept.append(Instruction(primitives["mul"], (matrix, factor), {}, number, at.line))
            at = at._replace(operands=(scaled[key], at.operands[1]))
        kept.append(at)
    outputs = tuple(_renamed(s, same) for s in program.outputs)
    return program.with_(instructions=tuple(kept), kinds=kinds, constants=constants, outputs=outputs, groups=())


def _renamed(x: Any, same: dict[int, int]) -> Any:
    while type(x) is int and x in same:
        x = same[x]
    return x


def _distributed(program: Program, fixed: Container[int], elsewhere: Container[int] = ()) -> Program:
    """Constant terms of what is multiplied as constant terms of the product."""
    reading, made = readers(program), {at.output: at for at in program.instructions}
    kinds, constants = dict(program.kinds), dict(program.constants)

    numbered = {at.output: i for i, at in enumerate(program.instructions)}

    def goes_elsewhere(slot: int, i: int) -> bool:
        """Whether a reader can do without a sum: a product, or one for which it is computed again."""
        if i < 0:
            return False
        other = program.instructions[i]
        if other.output in elsewhere and slot not in elsewhere:
            return True
        return i - numbered[slot] > FAR or (other.primitive.name in _PRODUCTS and other.operands[1] == slot)

    def term(at: Instruction) -> Instruction | None:
        """The sum or difference with a constant that a product takes, if nothing else does."""
        inner = made.get(at.operands[1]) if at.primitive.name in _PRODUCTS else None
        if inner is None or inner.primitive.name not in ("add", "sub"):
            return None
        if not all(goes_elsewhere(inner.output, i) for i in reading[inner.output]):
            return None
        d, constant = inner.operands
        wanted = kinds[inner.output]
        if wanted.dtype != np.float64 or math.prod(wanted.shape) < _LARGE or constant not in fixed:
            return None
        return inner if type(d) is int and kinds[d] == kinds[constant] == wanted else None

    counts = Counter((at.operands[0], inner.operands[1]) for at in program.instructions if (inner := term(at)))
    images: dict[Any, int] = {}
    numbers = itertools.count(max(kinds, default=0) + 1)
    kept: list[Instruction] = []

    def new(like: Instruction, make: Callable[[int], None]) -> int:
        number = next(numbers)
        kinds[number] = Kind(*kinds[like.output])
        make(number)
        return number

    for at in program.instructions:
        inner = term(at)
        if inner is None or not (at.operands[0] in fixed or counts[at.operands[0], inner.operands[1]] >= _OFTEN):
            kept.append(at)
            continue
        matrix, (d, constant) = at.operands[0], inner.operands
        key = matrix, constant, at.primitive.name
        if key not in images:
            if matrix in constants and constant in constants:
                image = at.primitive.kernel(constants[matrix], constants[constant])
                images[key] = new(at, lambda n, v=image: constants.__setitem__(n, v))
            else:
                product = at._replace(operands=(matrix, constant))
                images[key] = new(at, lambda n, p=product: kept.append(p._replace(output=n)))
        moved = new(at, lambda n, a=at, x=d: kept.append(a._replace(operands=(a.operands[0], x), output=n)))
        kept.append(inner._replace(operands=(moved, images[key]), output=at.output))
    return program.with_(instructions=tuple(kept), kinds=kinds, constants=constants, groups=())
