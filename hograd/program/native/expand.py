"""Operations that NumPy computes by functions of their own, as several that machine code puts into one loop."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hograd.core.primitive import primitives
from hograd.ops.norms import SCALES
from hograd.program.ir import Instruction, Kind, Literal, Program
from hograd.program.native.emit import is_native


class Expansion:
    """Writes the instructions that take the place of one.

    Args:
        kinds: of all slots; new ones are added.
        at: what is replaced.
        numbers: of new slots.
    """

    def __init__(self, kinds: dict[int, Kind], at: Instruction, numbers: Iterator[int]) -> None:
        self.kinds = kinds
        self.at = at
        self.numbers = numbers
        self.written: list[Instruction] = []

    def kind(self, x: int) -> Kind:
        return self.kinds[x]

    def add(self, name: str, shape: tuple[int, ...], dtype: Any, /, *operands: Any, **params: Any) -> int:
        """An instruction; the slot of its answer."""
        slot = next(self.numbers)
        self.kinds[slot] = Kind(shape, np.dtype(dtype))
        self.written.append(Instruction(primitives[name], operands, params, slot, self.at.line))
        return slot

    def like(self, name: str, x: int, *others: Any) -> int:
        """An elementwise instruction with an answer like x."""
        return self.add(name, *self.kinds[x], x, *others)

    def along(self, name: str, x: int, axis: tuple[int, ...], keepdims: bool = True, **params: Any) -> int:
        """A reduction."""
        shape, dtype = self.kinds[x]
        kept = [1 if i in axis else n for i, n in enumerate(shape) if keepdims or i not in axis]
        return self.add(name, tuple(kept), dtype, x, axis=axis, keepdims=keepdims, **params)

    def finish(self, last: int) -> list[Instruction]:
        """All, with the answer of the last one in the slot of what is replaced."""
        self.written[-1] = self.written[-1]._replace(output=self.at.output)
        del self.kinds[last]
        return self.written


def _exponentials(e: Expansion, x: int, axis: int) -> tuple[int, int, int]:
    """x less its maximum along an axis, its exponential, and the sum of that."""
    # Any number near the maximum serves, and nan comes through the exponential.
    largest = e.along("amax", x, (axis,), quick=True)
    z = e.like("sub", x, largest)
    exponential = e.like("exp", z)
    return z, exponential, e.along("sum", exponential, (axis,))


def _axis(e: Expansion, x: int) -> int:
    return e.at.params["axis"] % len(e.kind(x).shape)


def _softmax(e: Expansion, x: int) -> int:
    _, exponential, total = _exponentials(e, x, _axis(e, x))
    return e.like("div", exponential, total)


def _log_softmax(e: Expansion, x: int) -> int:
    z, _, total = _exponentials(e, x, _axis(e, x))
    return e.like("sub", z, e.like("log", total))


def _class_cross_entropy(e: Expansion, a: int, b: int) -> int:
    axis = _axis(e, a)
    shape, dtype = e.kind(a)
    z, _, total = _exponentials(e, a, axis)
    chosen = e.add("indicator", shape, np.bool_, b, axis=axis, classes=shape[axis])
    picked = e.along("sum", e.add("where", shape, dtype, chosen, z, Literal(0)), (axis,), False)
    normalizer = e.add("reshape", e.kind(picked).shape, dtype, e.like("log", total), shape=e.kind(picked).shape)
    return e.like("sub", normalizer, picked)


def _total_cross_entropy(e: Expansion, a: int, b: int) -> int:
    each = _class_cross_entropy(e, a, b)
    total = e.along("sum", each, tuple(range(len(e.kind(each).shape))), False)
    return e.like("div", total, Literal(e.at.params["count"]))


def _softmax_cross_entropy(e: Expansion, a: int, b: int) -> int:
    logs = _log_softmax(e, a)
    shape, dtype = e.kind(logs)
    # A class without weight may have the logit -inf.
    nothing = e.add("eq", e.kind(b).shape, np.bool_, b, Literal(0))
    terms = e.add("where", shape, dtype, nothing, Literal(0), e.add("mul", shape, dtype, b, logs))
    return e.like("neg", e.along("sum", terms, (_axis(e, a),), False))


def _affine(e: Expansion, x: int, weight: int, bias: int) -> int:
    shape, dtype = e.kinds[e.at.output]
    return e.add("add", shape, dtype, e.add("mm_nt", shape, dtype, x, weight), bias)


def _euclidean_norm(e: Expansion, x: int) -> int:
    axis, keepdims = e.at.params["axis"], e.at.params["keepdims"]
    if not axis:
        return e.like("abs", x)
    scales = SCALES[e.kind(x).dtype]

    def squares(scaled: int) -> int:
        return e.along("sum", e.like("mul", scaled, scaled), axis, keepdims)

    def length(scale: float, shift: float) -> int:
        scaled = e.like("mul", x, Literal(scale))
        total = squares(e.like("add", scaled, Literal(shift)) if shift else scaled)
        return e.like("mul", e.like("sqrt", total), Literal(1 / scale))

    # All three sums are one loop, in which a branch would cost more than they do. A processor is slow where numbers
    # underflow, as the squares that `down` scales do in ordinary vectors.
    total, tiny, huge = squares(x), length(scales.up, 0.0), length(scales.down, scales.nothing)
    shape, dtype = e.kind(total)
    y = e.like("sqrt", total)
    for name, bound, other in (("lt", scales.least, tiny), ("eq", math.inf, huge)):
        y = e.add("where", shape, dtype, e.add(name, shape, np.bool_, total, Literal(bound)), other, y)
    return y


_EXPANSIONS: dict[str, Callable[..., int]] = {
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "class_cross_entropy": _class_cross_entropy,
    "total_cross_entropy": _total_cross_entropy,
    "softmax_cross_entropy": _softmax_cross_entropy,
    "affine": _affine,
    "euclidean_norm": _euclidean_norm,
}


def expand(program: Program) -> Program:
    """The program with what machine code computes better in parts in parts."""
    kinds = dict(program.kinds)
    numbers = itertools.count(max(kinds, default=0) + 1)
    instructions: list[Instruction] = []
    for at in program.instructions:
        if at.primitive.name in _EXPANSIONS and _fits(kinds, at):
            e = Expansion(kinds, at, numbers)
            instructions += e.finish(_EXPANSIONS[at.primitive.name](e, *at.operands))
        else:
            instructions.append(at)
    return program.with_(instructions=tuple(instructions), kinds=kinds)


def _fits(kinds: dict[int, Kind], at: Instruction) -> bool:
    """Whether all floating operands have the answer's dtype, one of machine code, and none is empty or a number."""
    if not all(type(x) is int and math.prod(kinds[x].shape) for x in at.operands):
        return False
    floats = {kinds[x].dtype for x in at.operands if kinds[x].dtype.kind == "f"}
    return floats == {kinds[at.output].dtype} and is_native(kinds[at.output].dtype)
