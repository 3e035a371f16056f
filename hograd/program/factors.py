"""Passes for the steps of loops: what is linear is done where there are fewer numbers.

A sum of  c * (x - constant) , or its product with a constant, is that of x, less one that is known, times c. In a loop
it pays to look for such places, since its step runs many times.
"""

from __future__ import annotations

import math

import numpy as np

from hograd.core.primitive import primitives
from hograd.program.invariants import absorbed, stacked
from hograd.program.ir import Instruction, Kind, Literal, Program, dead_code
from hograd.program.linear import of_loop
from hograd.program.memory import once
from hograd.program.passes import PASSES, optimize
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

    Factors wait behind sums and products, and constants are taken out of them, where that leaves less to compute. What
    is carried stays in arrays of its own, so that what one step carries out and the next one takes in is kept once.

    Args:
        program: of a step, or of a step and its derivative.
        consts: how many inputs are constants of the loop.
        arguments: how many inputs the step has, all by default; those behind are cotangents.
    """
    program = optimize(program, [name for name in PASSES if name not in _NOT_OF_STEPS])
    program = of_loop(program, consts, len(program.inputs) if arguments is None else arguments)
    return absorbed(views(stacked(ranges(linear(program)), consts)), consts)


def linear(program: Program) -> Program:
    """With factors behind sums and products, and constants taken out of them, where that leaves less to compute."""
    for at in program.instructions:
        if _factor(program, at) is not None and _size(program, at.output) >= _FEW:
            moved = _later(program, at.output)
            if moved is not None and _work(moved) < _work(program):
                program = moved
    return dead_code(_without_constants(program))


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


def _factor(program: Program, at: Instruction) -> tuple[int, float] | None:
    """What an instruction multiplies by which number."""
    if at.primitive.name == "neg" and type(at.operands[0]) is int and program.kinds[at.output].dtype.kind == "f":
        return at.operands[0], -1.0
    if at.primitive.name != "mul" or program.kinds[at.output].dtype.kind != "f":
        return None
    for x, c in (at.operands, at.operands[::-1]):
        if type(x) is int and type(c) is Literal and type(c.value) is float and 1e-9 < abs(c.value) < 1e9:
            return x, c.value
    return None


def _later(program: Program, origin: int) -> Program | None:
    """The program with the factor of instruction `origin` multiplied by as late as can be."""
    kinds = dict(program.kinds)
    fresh = max(kinds) + 1
    #: Slots that are not computed: what is, and the factor.
    pending: dict[int, tuple[int, float]] = {}
    kept: list[Instruction] = []

    def settle(s: int, line: str) -> None:
        base, c = pending.pop(s)
        if c == -1:
            kept.append(Instruction(primitives["neg"], (base,), {}, s, line))
        else:
            kept.append(Instruction(primitives["mul"], (base, Literal(c)), {}, s, line))

    for at in program.instructions:
        if at.output == origin:
            found = _factor(program, at)
            if found is None:
                return None
            pending[origin] = found
            continue
        here = [x for x in at.reads() if x in pending]
        if not here:
            kept.append(at)
            continue
        if (absorbed := _absorbed(at, pending)) is not None:
            kept.append(absorbed)
            continue
        c = _through(program, at, pending)
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
    return dead_code(program.with_(instructions=tuple(kept), kinds=kinds, groups=()))


def _absorbed(at: Instruction, pending: dict[int, tuple[int, float]]) -> Instruction | None:
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


def _through(program: Program, at: Instruction, pending: dict[int, tuple[int, float]]) -> float | None:
    """The factor of an answer whose operands have some, if there is one for all of it."""
    name, out = at.primitive.name, program.kinds[at.output]
    factors = [pending[x][1] if type(x) is int and x in pending else None for x in at.operands]
    if any(program.kinds[x].dtype != out.dtype for x in at.reads()):
        return None
    if name in ("mul", *_PRODUCTS):
        given = [f for f in factors if f is not None]
        return given[0] if len(given) == 1 else None
    if name in ("add", "sub"):
        return factors[0] if factors[0] == factors[1] else None
    if name in ("neg", "sum", *_SHOWN):
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
        with np.errstate(all="ignore"):
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


def _bordered(matrix: np.ndarray) -> np.ndarray:
    """The transpose of a matrix, and a row of ones: replays read matrices by columns."""
    rows, columns = matrix.shape
    wider = np.ones((columns + 1, rows), matrix.dtype)
    wider[:-1] = matrix.T
    return wider


def with_border(program: Program) -> Program:
    """With  A W + b  as  [A 1] [W; b] , and  A' G  beside the sum of the rows of G as parts of  [A 1]' G .

    A is a constant. With NumPy it saves the way through what is as long as A.
    """
    kinds, constants = dict(program.kinds), dict(program.constants)
    made = {at.output: at for at in program.instructions}
    readers: dict[int, list[Instruction]] = {}
    for at in program.instructions:
        for x in at.reads():
            readers.setdefault(x, []).append(at)
    bordered: dict[int, int] = {}

    def new(shape: tuple[int, ...], like: int) -> int:
        number = max(kinds) + 1
        kinds[number] = Kind(shape, kinds[like].dtype)
        return number

    def border(a: int) -> int:
        if a not in bordered:
            rows, columns = kinds[a].shape
            bordered[a] = new((rows, columns + 1), a)
            constants[bordered[a]] = once(constants[a], "border", _bordered).T
        return bordered[a]

    kept: list[Instruction] = []
    known: dict[int, int] = {}
    for at in program.instructions:
        bias = _bias(program, at, made, readers)
        rows = _rows(program, at, readers)
        if bias is not None:
            (a, weight), b = bias
            row = new((1, kinds[weight].shape[1]), weight)
            joined = new((kinds[weight].shape[0] + 1, kinds[weight].shape[1]), weight)
            offsets = (0, kinds[weight].shape[0], kinds[weight].shape[0] + 1)
            kept.append(Instruction(primitives["reshape"], (b,), {"shape": kinds[row].shape}, row, at.line))
            params = {"axis": 0, "offsets": offsets}
            kept.append(Instruction(primitives["concatenate"], (weight, row), params, joined, at.line))
            kept.append(Instruction(primitives["mm_nn"], (border(a), joined), {}, at.output, at.line))
        elif rows is not None:
            a, g = rows
            count, columns = kinds[a].shape[1], kinds[g].shape[1]
            if g not in known:
                known[g] = new((count + 1, columns), g)
                kept.append(Instruction(primitives["mm_tn"], (border(a), g), {}, known[g], at.line))
            index = (slice(None, count, None),) if at.primitive.name == "mm_tn" else (count,)
            kept.append(Instruction(primitives["getitem"], (known[g],), {"index": index}, at.output, at.line))
        else:
            kept.append(at)
    return dead_code(program.with_(instructions=tuple(kept), constants=constants, kinds=kinds, groups=()))


def _bias(
    program: Program, at: Instruction, made: dict[int, Instruction], readers: dict[int, list[Instruction]]
) -> tuple[tuple[int, int], int] | None:
    """The factors of a product with a constant to which a row is added, and the row."""
    if at.primitive.name != "add":
        return None
    for x, b in (at.operands, at.operands[::-1]):
        product = made.get(x) if type(x) is int and type(b) is int else None
        if product is None or product.primitive.name != "mm_nn" or len(readers[x]) > 1 or x in program.outputs:
            continue
        a, weight = product.operands
        kinds = [program.kinds[s] for s in (a, weight, x, b, at.output)]
        one_dtype = len({kind.dtype for kind in kinds}) == 1 and kinds[0].dtype.kind == "f"
        is_row = kinds[4] == kinds[2] and kinds[3].shape in (kinds[2].shape[1:], (1, *kinds[2].shape[1:]))
        if is_row and one_dtype and a in program.constants and _is_long(kinds[0].shape):
            return (a, weight), b
    return None


def _rows(program: Program, at: Instruction, readers: dict[int, list[Instruction]]) -> tuple[int, int] | None:
    """For a product with a constant beside a sum of rows, or that sum: the constant, and what both read."""
    name = at.primitive.name
    if name not in ("mm_tn", "sum") or type(g := at.operands[-1]) is not int or len(program.kinds[g].shape) != 2:
        return None
    products = [r for r in readers[g] if r.primitive.name == "mm_tn" and r.operands[1] == g != r.operands[0]]
    sums = [
        r for r in readers[g] if r.primitive.name == "sum" and r.params["axis"] == (0,) and not r.params["keepdims"]
    ]
    if len(products) != 1 or not sums or (at not in products and at not in sums):
        return None
    a = products[0].operands[0]
    same = program.kinds[a].dtype == program.kinds[g].dtype == program.kinds[sums[0].output].dtype
    return (a, g) if a in program.constants and same and _is_long(program.kinds[a].shape) else None


def _is_long(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[0] >= max(4 * shape[1], _LEAST)
