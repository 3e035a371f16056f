"""The passes `reductions` and `factoring`: sums in the form that is computed fastest."""

from __future__ import annotations

import itertools
import math
from typing import Any

from hograd.core.primitive import primitives
from hograd.program.expressions import readers
from hograd.program.ir import Instruction, Kind, Literal, Program, dead_code


def reductions(program: Program) -> Program:
    """With means as sums and quotients; those of float16 are added in float32."""
    kinds = dict(program.kinds)
    numbers = itertools.count(max(kinds, default=0) + 1)
    kept = []
    for at in program.instructions:
        if at.primitive.name != "mean" or type(at.operands[0]) is not int:
            kept.append(at)
            continue
        shape = kinds[at.operands[0]].shape
        count = math.prod(shape[a] for a in at.params["axis"])
        if not count or kinds[at.output].dtype.char not in "fd":
            kept.append(at)
            continue
        number = next(numbers)
        kinds[number] = kinds[at.output]
        kept.append(at._replace(primitive=primitives["sum"], output=number))
        kept.append(Instruction(primitives["div"], (number, Literal(count)), {}, at.output, at.line))
    return program.with_(instructions=tuple(kept), kinds=kinds)


def factoring(program: Program) -> Program:
    """With signs and factors of what is added up as signs and factors of the sum.

    sum(k x) = k sum(x),  and  sum(-x y) = -sum(x y),  where many elements are added and nothing else reads the product.
    """
    kinds = dict(program.kinds)
    numbers = itertools.count(max(kinds, default=0) + 1)
    made = {at.output: at for at in program.instructions}
    reading = readers(program)
    kept: list[Instruction] = []
    moved = False

    def factor(x: Any) -> Instruction | None:
        """The instruction that gives `x` a sign or a factor, if nothing else reads `x`."""
        at = made.get(x) if type(x) is int else None
        if at is None or len(reading.get(x, ())) > 1 or type(at.operands[0]) is not int or kinds[x].dtype.kind != "f":
            return None
        if at.primitive.name == "neg":
            return at
        if at.primitive.name in ("mul", "div") and kinds[at.operands[0]] == kinds[x]:
            return at if _is_number(at.operands[1], kinds, x) else None
        if at.primitive.name == "mul" and type(at.operands[1]) is int and kinds[at.operands[1]] == kinds[x]:
            return at._replace(operands=at.operands[::-1]) if _is_number(at.operands[0], kinds, x) else None
        return None

    for at in program.instructions:
        if at.primitive.name != "sum" or type(at.operands[0]) is not int or not _makes_less(kinds, at):
            kept.append(at)
            continue
        x, outside = at.operands[0], []
        while True:
            found = factor(x)
            product = made.get(x)
            if found is not None:
                x = found.operands[0]
                outside.append(found)
                continue
            if product is None or product.primitive.name != "mul" or len(reading.get(x, ())) > 1:
                break
            inner = next(((i, f) for i, v in enumerate(product.operands) if (f := factor(v)) is not None), None)
            if inner is None or kinds[product.operands[inner[0]]] != kinds[x]:
                break
            outside.append(inner[1])
            operands = list(product.operands)
            operands[inner[0]] = inner[1].operands[0]
            x = next(numbers)
            kinds[x] = kinds[product.output]
            made[x] = product._replace(operands=tuple(operands), output=x)
            kept.append(made[x])
        if not outside:
            kept.append(at)
            continue
        moved = True
        for step in [at._replace(operands=(x,)), *reversed(outside)]:
            number = next(numbers)
            kinds[number] = kinds[at.output]
            operands = step.operands if step.primitive.name == "sum" else (number - 1, *step.operands[1:])
            kept.append(step._replace(operands=operands, output=number, line=at.line))
        kept[-1] = kept[-1]._replace(output=at.output)
    return dead_code(program.with_(instructions=tuple(kept), kinds=kinds)) if moved else program


def _makes_less(kinds: dict[int, Kind], at: Instruction) -> bool:
    shape = kinds[at.output].shape
    return shape == () or 4 * math.prod(shape) <= math.prod(kinds[at.operands[0]].shape)


def _is_number(x: Any, kinds: dict[int, Kind], like: int) -> bool:
    return type(x) is Literal or kinds[x] == ((), kinds[like].dtype)
