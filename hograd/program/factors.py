"""Passes for the steps of loops: what is linear is done where there are fewer numbers.

A sum of  c * (x - constant) , or its product with a constant, is that of x, less one that is known, times c. In a loop
it pays to look for such places, since its step runs many times.
"""

from __future__ import annotations

import heapq
import math
from typing import Any, NamedTuple

from hograd.core.levels import state
from hograd.core.primitive import primitives
from hograd.core.restoring import silent
from hograd.program.expressions import readers
from hograd.program.invariants import absorbed, stacked
from hograd.program.ir import Instruction, Kind, Literal, Program, dead_code
from hograd.program.linear import of_loop
from hograd.program.passes import chosen, optimize
from hograd.program.ranges import ranges, views

_PRODUCTS = frozenset({"mm_nn", "mm_nt", "mm_tn", "matmul"})
_CONTRACTIONS = _PRODUCTS | {"sum"}
_SHOWN = frozenset({"reshape", "permute", "getitem"})

#: Passes that would put what is carried into other arrays.
_NOT_OF_STEPS = ("packing", "flattening", "linear", "recompute")

#: Smaller values are not worth it, and shorter matrices.
_FEW, _LEAST = 8, 64


def of_step(program: Program, consts: int, arguments: int | None = None) -> Program:
    """The step of a loop after the passes that suit it.

    What is carried stays in arrays of its own, so that what one step carries out and the next one takes in is kept
    once. With the pass `linear` factors wait behind sums and products, and constants are taken out of them, where that
    leaves less to compute.

    Args:
        program: of a step, or of a step and its derivative.
        consts: how many inputs are constants of the loop.
        arguments: how many inputs the step has, all by default; those behind are cotangents.
    """
    names = passes_of_steps()
    program = optimize(program, [name for name in names if name not in _NOT_OF_STEPS])
    if "linear" in names:
        program = linear(of_loop(program, consts, len(program.inputs) if arguments is None else arguments))
    if "ranges" in names:
        program = views(stacked(ranges(program), consts))
    return absorbed(program, consts) if "linear" in names else program


def passes_of_steps() -> list[str]:
    """The names of the passes that steps of loops go through in what is being captured."""
    trace = state.trace
    return chosen(False) if trace is None else chosen(trace.fast_math, trace.passes)


def linear(program: Program) -> Program:
    """With factors behind sums and products, and constants taken out of them, where that leaves less to compute."""
    reading, places = readers(program), _places(program)
    for s in [at.output for at in program.instructions]:
        if s in places and _saves(program, s, reading, places):
            moved = _later(program, s)
            if moved is not None and _work(moved) < _work(program):
                program = moved
                reading, places = readers(program), _places(program)
    return dead_code(_without_constants(program))


def _places(program: Program) -> dict[int, int]:
    return {at.output: i for i, at in enumerate(program.instructions)}


def _saves(program: Program, origin: int, reading: dict[int, list[int]], places: dict[int, int]) -> bool:
    """Whether less is computed if a factor is multiplied by later, seen from those alone that wait for it."""
    kinds, instructions = program.kinds, program.instructions
    found = _factor(kinds, instructions[places[origin]])
    if found is None or _size(program, origin) < _FEW:
        return False
    pending: dict[int, tuple[int, _Factor]] = {origin: found}
    more = -_size(program, origin)
    waiting = sorted(set(reading[origin]))
    while waiting:
        i = heapq.heappop(waiting)
        at = instructions[i]
        if i < 0 or at.output in pending or not any(x in pending for x in at.reads()):
            continue
        again = _factor(kinds, at)
        if again is not None and again[0] in pending:
            c = pending[again[0]][1]
            if isinstance(c, _Number) or isinstance(again[1], _Number):
                more += 1
                continue
            more -= _size(program, at.output)
            if c * again[1] == 1:
                continue
            pending[at.output] = at.output, c * again[1]
        elif _absorbed(at, pending) is not None:
            continue
        elif (through := _through(kinds, at, pending)) is not None:
            pending[at.output] = at.output, through
        else:
            for x in {x for x in at.reads() if x in pending}:
                more += _size(program, x)
                del pending[x]
            continue
        for j in reading[at.output]:
            heapq.heappush(waiting, j)
    return more + sum(_size(program, s) for s in set(program.outputs) if s in pending) < 0


def settled(program: Program) -> Program:
    """Without waiting for other values, where nothing is left that would be computed once instead of again."""
    same: dict[int, int] = {}
    kept = []
    for at in program.instructions:
        operands = tuple(same.get(x, x) if type(x) is int else x for x in at.operands)
        if at.primitive.name == "after" and type(operands[0]) is int:
            same[at.output] = operands[0]
        else:
            kept.append(at._replace(operands=operands))
    return program.with_(instructions=tuple(kept), outputs=tuple(same.get(s, s) for s in program.outputs), groups=())


def _size(program: Program, s: int) -> int:
    return math.prod(program.kinds[s].shape)


def _work(program: Program) -> int:
    """How many numbers are computed."""
    return sum(_size(program, at.output) for at in program.instructions if at.primitive.name not in _SHOWN)


class _Number(NamedTuple):
    """A factor that is computed or given: the slot of a number."""

    slot: int


_Factor = float | _Number


def _factor(kinds: dict[int, Kind], at: Instruction) -> tuple[int, _Factor] | None:
    """What an instruction multiplies by which number."""
    if at.primitive.name == "neg" and type(at.operands[0]) is int and kinds[at.output].dtype.kind == "f":
        return at.operands[0], -1.0
    if at.primitive.name != "mul" or kinds[at.output].dtype.kind != "f":
        return None
    for x, c in (at.operands, at.operands[::-1]):
        if type(x) is int and type(c) is Literal and type(c.value) is float and 1e-9 < abs(c.value) < 1e9:
            return x, c.value
        kind = kinds[at.output]
        if type(x) is int and type(c) is int and kinds[c] == ((), kind.dtype) and kinds[x] == kind:
            return (x, _Number(c)) if kind.shape else None
    return None


def _later(program: Program, origin: int) -> Program | None:
    """The program with the factor of instruction `origin` multiplied by as late as can be."""
    kinds = dict(program.kinds)
    fresh = max(kinds) + 1
    #: Slots that are not computed: what is, and the factor.
    pending: dict[int, tuple[int, _Factor]] = {}
    kept: list[Instruction] = []
    same: dict[int, int] = {}

    def operand(c: _Factor) -> Any:
        return c.slot if isinstance(c, _Number) else Literal(c)

    def settle(s: int, line: str) -> None:
        base, c = pending.pop(s)
        if c == -1:
            kept.append(Instruction(primitives["neg"], (base,), {}, s, line))
        else:
            kept.append(Instruction(primitives["mul"], (base, operand(c)), {}, s, line))

    for at in program.instructions:
        if at.output == origin:
            found = _factor(kinds, at)
            if found is None:
                return None
            pending[origin] = found
            continue
        if any(x in same for x in at.reads()):
            at = at._replace(operands=tuple(same.get(x, x) if type(x) is int else x for x in at.operands))
        again = _factor(kinds, at)
        if again is not None and again[0] in pending:
            base, c = pending[again[0]]
            if isinstance(c, _Number) or isinstance(again[1], _Number):
                # To multiply the numbers takes no time.
                kinds[fresh] = Kind((), kinds[at.output].dtype)
                factors = operand(c), operand(again[1])
                kept.append(Instruction(primitives["mul"], factors, {}, fresh, at.line))
                kept.append(Instruction(primitives["mul"], (base, fresh), {}, at.output, at.line))
                fresh += 1
            elif c * again[1] == 1:
                same[at.output] = base
            else:
                pending[at.output] = base, c * again[1]
            continue
        here = [x for x in at.reads() if x in pending]
        if not here:
            kept.append(at)
            continue
        if (absorbed := _absorbed(at, pending)) is not None:
            kept.append(absorbed)
            continue
        c = _through(kinds, at, pending)
        if c is None:
            for x in dict.fromkeys(here):
                settle(x, at.line)
            kept.append(at)
            continue
        kinds[fresh] = kinds[at.output]
        operands = tuple(pending[x][0] if type(x) is int and x in pending else x for x in at.operands)
        kept.append(at._replace(operands=operands, output=fresh))
        pending[at.output] = fresh, c
        fresh += 1
    for s in program.outputs:
        if s in pending:
            settle(s, "")
    outputs = tuple(same.get(s, s) for s in program.outputs)
    return dead_code(program.with_(instructions=tuple(kept), outputs=outputs, kinds=kinds, groups=()))


def _absorbed(at: Instruction, pending: dict[int, tuple[int, _Factor]]) -> Instruction | None:
    """A sum or difference that a sign turns into the other one."""
    if at.primitive.name not in ("add", "sub"):
        return None
    a, b = at.operands
    other = primitives["sub" if at.primitive.name == "add" else "add"]
    if type(b) is int and b in pending and pending[b][1] == -1 and a not in pending:
        return at._replace(primitive=other, operands=(a, pending[b][0]))
    if at.primitive.name == "add" and a in pending and pending[a][1] == -1 and b not in pending:
        return at._replace(primitive=other, operands=(b, pending[a][0]))
    return None


def _through(kinds: dict[int, Kind], at: Instruction, pending: dict[int, tuple[int, _Factor]]) -> _Factor | None:
    """The factor of an answer whose operands have some, if there is one for all of it."""
    name, out = at.primitive.name, kinds[at.output]
    factors = [pending[x][1] if type(x) is int and x in pending else None for x in at.operands]
    if any(kinds[x].dtype != out.dtype for x in at.reads()):
        return None
    if name in ("mul", *_PRODUCTS):
        given = [f for f in factors if f is not None]
        return given[0] if len(given) == 1 else None
    if name in ("add", "sub"):
        return factors[0] if factors[0] == factors[1] else None
    if name in ("neg", "sum", *_SHOWN) or (name == "div" and factors[1] is None):
        return factors[0]
    return None


def _without_constants(program: Program) -> Program:
    """With x - constant, where only contractions with constants read it, contracted by itself."""
    made = {at.output: at for at in program.instructions}
    readers: dict[int, list[Instruction]] = {}
    for at in program.instructions:
        for x in at.reads():
            readers.setdefault(x, []).append(at)
    kinds, constants = dict(program.kinds), dict(program.constants)
    fresh = max(kinds, default=0) + 1
    takeable = {}
    for x, found in readers.items():
        side = _constant_side(program, made[x]) if x in made and x not in program.outputs else None
        if side is not None and all(_is_contraction(program, reader, x) for reader in found):
            takeable[x] = made[x], side
    kept: list[Instruction] = []
    for at in program.instructions:
        place = next((i for i, x in enumerate(at.operands) if type(x) is int and x in takeable), None)
        if place is None:
            kept.append(at)
            continue
        x = at.operands[place]
        source, side = takeable[x]
        value, other = constants[source.operands[side]], source.operands[1 - side]
        operands = [constants[v] if v != x else value for v in at.operands]
        with silent():
            constants[fresh] = at.primitive.kernel(*operands, **at.params)
        kinds[fresh] = kinds[fresh + 1] = kinds[at.output]
        replaced = tuple(other if i == place else v for i, v in enumerate(at.operands))
        kept.append(at._replace(operands=replaced, output=fresh + 1))
        sides = (fresh, fresh + 1) if side == 0 else (fresh + 1, fresh)
        kept.append(Instruction(source.primitive, sides, {}, at.output, at.line))
        fresh += 2
    return dead_code(program.with_(instructions=tuple(kept), constants=constants, kinds=kinds, groups=()))


def _is_contraction(program: Program, at: Instruction, x: int) -> bool:
    """Whether an instruction makes less of x, and reads constants beside it."""
    if at.primitive.name not in _CONTRACTIONS or _size(program, at.output) * 2 > _size(program, x):
        return False
    return at.operands.count(x) == 1 and all(v == x or v in program.constants for v in at.operands)


def _constant_side(program: Program, at: Instruction) -> int | None:
    """Which operand of a sum or difference is a constant beside a value of the same kind."""
    if at.primitive.name in ("add", "sub"):
        for side, x in enumerate(at.operands):
            other = at.operands[1 - side]
            if x not in program.constants or type(other) is not int or other in program.constants:
                continue
            if program.kinds[x] == program.kinds[other] == program.kinds[at.output]:
                return side
    return None
