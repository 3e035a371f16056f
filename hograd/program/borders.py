"""Layers whose inputs are known, with the bias as one more row of the weight; for replays with NumPy."""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from hograd.core.primitive import primitives
from hograd.program.ir import Instruction, Kind, Program, dead_code
from hograd.program.loops import LOOP, LoopCode, trimming
from hograd.program.memory import once
from hograd.program.ranges import lie_together

#: Shorter constants are not worth it.
_LEAST = 64

#: Slices with a column of ones are kept beside those without if they take no more bytes.
_MOST_BYTES = 2**24


def with_wider_slices(program: Program) -> Program:
    """With a column of ones in constants that loops slice, where a step computes  A W + b  of a slice A.

    So it does in training on minibatches that were known when the program was captured.
    """
    constants, kinds = dict(program.constants), dict(program.kinds)
    kept: list[Instruction] = []
    changed = False
    for at in program.instructions:
        if at.primitive is LOOP:
            code: LoopCode = at.params["code"]
            first = code.consts + code.carry
            wider: dict[int, int] = {}
            for s, stack in zip(code.step.inputs[first:], at.operands[first:], strict=True):
                if stack in program.constants and _is_layer_of(code.step, s, program.constants[stack]):
                    wider[s] = max((*code.step.kinds, *wider.values())) + 1
                    constants[number := max(kinds) + 1] = once(program.constants[stack], "border", _with_ones)
                    kinds[number] = Kind(constants[number].shape, constants[number].dtype)
                    at = at._replace(operands=(*at.operands, number))
            if wider:
                changed = True
                at = at._replace(params={"code": _with_slices(code, wider)})
        kept.append(at)
    if not changed:
        return program
    return trimming(program.with_(instructions=tuple(kept), constants=constants, kinds=kinds))


def _with_slices(code: LoopCode, wider: dict[int, int]) -> LoopCode:
    """A loop that takes, behind its slices, these with a column of ones."""
    step, kinds = code.step, dict(code.step.kinds)
    for s, number in wider.items():
        (rows, columns), dtype = kinds[s]
        kinds[number] = Kind((rows, columns + 1), dtype)
    step = with_border(step.with_(inputs=(*step.inputs, *wider.values()), kinds=kinds), wider)
    return LoopCode(step, code.consts, code.carry, code.length, code.reverse, of=code.of)


def _is_layer_of(step: Program, s: int, stack: np.ndarray) -> bool:
    """Whether a step multiplies a slice with weights whose bias lies behind them."""
    if stack.ndim != 3 or stack.dtype.kind != "f" or stack.nbytes > _MOST_BYTES:
        return False
    made, readers = _made_and_read(step)
    found = [bias for at in step.instructions if (bias := _bias(step, at, made, readers, (s,))) is not None]
    return any(a == s and lie_together(step, (weight, b)) for (a, weight), b in found)


def _made_and_read(program: Program) -> tuple[dict[int, Instruction], dict[int, list[Instruction]]]:
    readers: dict[int, list[Instruction]] = {}
    for at in program.instructions:
        for x in at.reads():
            readers.setdefault(x, []).append(at)
    return {at.output: at for at in program.instructions}, readers


def with_border(program: Program, wider: dict[int, int] | None = None) -> Program:
    """With  A W + b  as  [A 1] [W; b] , and  A' G  beside the sum of the rows of G as parts of  [A 1]' G .

    With NumPy it saves the way through what is as long as A.

    Args:
        program: the step of a loop.
        wider: for inputs those that are the same with a column of ones; by default A is a constant.
    """
    wider = wider or {}
    kinds, constants = dict(program.kinds), dict(program.constants)
    made, readers = _made_and_read(program)
    bordered: dict[int, int] = {}

    def new(shape: tuple[int, ...], like: int) -> int:
        number = max(kinds) + 1
        kinds[number] = Kind(shape, kinds[like].dtype)
        return number

    def border(a: int) -> int:
        if a in wider:
            return wider[a]
        if a not in bordered:
            rows, columns = kinds[a].shape
            bordered[a] = new((rows, columns + 1), a)
            constants[bordered[a]] = once(constants[a], "border", _bordered).T
        return bordered[a]

    kept: list[Instruction] = []
    known: dict[int, int] = {}
    for at in program.instructions:
        bias = _bias(program, at, made, readers, wider)
        rows = _rows(program, at, readers, wider)
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
    program: Program,
    at: Instruction,
    made: dict[int, Instruction],
    readers: dict[int, list[Instruction]],
    wider: Container[int],
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
        if is_row and one_dtype and (a in wider or (a in program.constants and _is_long(kinds[0].shape))):
            return (a, weight), b
    return None


def _rows(
    program: Program, at: Instruction, readers: dict[int, list[Instruction]], wider: Container[int]
) -> tuple[int, int] | None:
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
    fits = a in wider or (a in program.constants and _is_long(program.kinds[a].shape))
    return (a, g) if fits and same else None


def _is_long(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[0] >= max(4 * shape[1], _LEAST)


def _bordered(matrix: np.ndarray) -> np.ndarray:
    """The transpose of a matrix, and a row of ones: replays read matrices by columns."""
    rows, columns = matrix.shape
    wider = np.ones((columns + 1, rows), matrix.dtype)
    wider[:-1] = matrix.T
    return wider


def _with_ones(stack: np.ndarray) -> np.ndarray:
    """Matrices with a column of ones."""
    wider = np.ones((*stack.shape[:2], stack.shape[2] + 1), stack.dtype)
    wider[..., :-1] = stack
    return wider
