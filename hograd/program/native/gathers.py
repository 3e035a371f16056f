"""Rows of an array at positions that are numbers of another array."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hograd.program.native.emit import Function
from hograd.program.native.schedule import Piece


@dataclass(frozen=True, slots=True)
class Gather:
    """y[j] = x[positions[j]].

    Attributes:
        count: number of positions.
        length: number of rows of x.
        distance: bytes between them.
        size: bytes of one.
    """

    count: int
    length: int
    distance: int
    size: int


def canonical(piece: Piece, kinds: dict[int, Any]) -> tuple[Gather, list[tuple[int, int, int]]]:
    """A gather, and the addresses that it takes: slot, offset in elements, step along the batch."""
    x, positions = piece.reads
    item = kinds[x.root].dtype.itemsize
    gather = Gather(math.prod(positions.shape), x.shape[0], x.strides[0] * item, math.prod(x.shape[1:]) * item)
    return gather, [(x.root, x.offset, 0), (positions.root, positions.offset, 0), (piece.node.output, 0, 0)]


class GatherWriter:
    """The code of one gather.

    Args:
        gather: what to write.
        width: unused; as of other writers.
        declarations: of the module.
    """

    def __init__(self, gather: Gather, width: int, declarations: dict[str, str]) -> None:
        self.gather = gather
        self.function = Function(declarations)

    def write(self, name: str) -> str:
        """The function: of x, the positions, y, and a flag that it sets if one of them is out of range."""
        f, g = self.function, self.gather
        f.declarations.setdefault("llvm.memcpy", "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
        with f.loop(g.count) as j:
            given = f.let(f"load i64, ptr {f.element('i64', '%a1', j)}")
            negative = f.let(f"icmp slt i64 {given}, 0")
            turned = f.let(f"add i64 {given}, {g.length}")
            place = f.let(f"select i1 {negative}, i64 {turned}, i64 {given}")
            outside = f.let(f"icmp uge i64 {place}, {g.length}")
            before = f.let("load i64, ptr %a3")
            f.do(f"store i64 {f.let(f'select i1 {outside}, i64 1, i64 {before}')}, ptr %a3")
            safe = f.let(f"select i1 {outside}, i64 0, i64 {place}")
            source = f.element("i8", "%a0", f.times(safe, g.distance))
            target = f.element("i8", "%a2", f.times(j, g.size))
            f.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {g.size}, i1 false)")
        return f.finish(name, 4)
