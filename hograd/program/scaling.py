"""The pass `scaling`: fewer products and quotients by numbers, which are rounded otherwise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.core.primitive import primitives
from hograd.program.ir import Instruction, Literal, Program


def scaling(program: Program) -> Program:
    """With factors in a row as one factor, quotients by a number as products, and signs in sums and differences."""
    kinds = dict(program.kinds)
    scaled: dict[int, tuple[int, Any]] = {}
    inverses: dict[int, int] = {}
    kept: list[Instruction] = []
    for at in program.instructions:
        at = _with_numbers(program, at)
        if _divides_many(program, at):
            below = at.operands[1]
            if below not in inverses:
                inverses[below] = max(max(kinds), max(inverses.values(), default=0)) + 1
                kinds[inverses[below]] = kinds[below]
                inverse = Instruction(primitives["div"], (Literal(1), below), {}, inverses[below], at.line)
                kept.append(inverse)
            at = at._replace(primitive=primitives["mul"], operands=(at.operands[0], inverses[below]))
        name, kind = at.primitive.name, kinds[at.output]
        if kind.dtype.kind != "f" or name not in ("add", "sub", "mul", "div", "neg"):
            kept.append(at)
            continue
        a, b = (*at.operands, None)[:2]
        x, factor = a, None
        if name == "neg":
            factor = -1
        elif name == "mul" and isinstance(b, Literal):
            factor = b.value
        elif name == "mul" and isinstance(a, Literal):
            x, factor = b, a.value
        elif name == "div" and isinstance(b, Literal) and b.value:
            factor = 1 / b.value
        elif name == "add" and a == b:
            factor = 2
        elif name == "sub" and isinstance(a, Literal) and a.value == 0:
            x, factor = b, -1
            at = at._replace(primitive=primitives["neg"], operands=(b,))
        if factor is not None and isinstance(x, int) and kinds[x] == kind and _is_moderate(factor):
            source, before = scaled.get(x, (x, 1))
            if _is_moderate(before * factor):
                scaled[at.output] = source, before * factor
                if source != x or at.primitive.name != "neg":
                    at = at._replace(primitive=primitives["mul"], operands=(source, Literal(before * factor)))
        elif name in ("add", "sub") and isinstance(b, int) and _is_negative(scaled, b):
            other = primitives["sub" if name == "add" else "add"]
            at = at._replace(primitive=other, operands=(a, scaled[b][0]))
        elif name == "add" and isinstance(a, int) and _is_negative(scaled, a):
            at = at._replace(primitive=primitives["sub"], operands=(b, scaled[a][0]))
        kept.append(at)
    return program.with_(instructions=tuple(kept), kinds=kinds)


def _divides_many(program: Program, at: Instruction) -> bool:
    """Whether an instruction divides many elements by the same number, which takes longer than to multiply them."""
    if at.primitive.name != "div" or not all(type(x) is int for x in at.operands):
        return False
    above, below = (program.kinds[x] for x in at.operands)
    kind = program.kinds[at.output]
    return below == ((), kind.dtype) and above == kind and kind.dtype.kind == "f" and math.prod(kind.shape) >= 64


def _with_numbers(program: Program, at: Instruction) -> Instruction:
    """With constants that are one number everywhere as literals, where the other operand shows shape and dtype."""
    if at.primitive.name not in ("add", "sub", "mul", "div"):
        return at
    if not any(type(x) is int and x in program.constants for x in at.operands):
        return at
    operands = list(at.operands)
    for i, x in enumerate(operands):
        other = operands[1 - i]
        if x in program.constants and isinstance(other, int) and program.kinds[other] == program.kinds[at.output]:
            value = np.asarray(program.constants[x])
            if value.size and value.dtype == program.kinds[other].dtype and (value == value.flat[0]).all():
                operands[i] = Literal(value.flat[0].item())
    return at._replace(operands=tuple(operands))


def _is_moderate(factor: Any) -> bool:
    """Whether a product with this factor neither overflows nor vanishes where two in a row did not."""
    return type(factor) in (int, float) and 1e-15 < abs(factor) < 1e15


def _is_negative(scaled: dict[int, tuple[int, Any]], slot: int) -> bool:
    return slot in scaled and scaled[slot][1] == -1
