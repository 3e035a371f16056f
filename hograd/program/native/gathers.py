"""Rows of an array at positions that are numbers of other arrays: taken from there, or added to them. And checks of
such numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hograd.program.native.emit import Function, stored_type, type_of
from hograd.program.native.schedule import Piece


@dataclass(frozen=True, slots=True)
class Gather:
    """y[j] = x[a[j], b[j], ...], or for all j  x[a[j], b[j], ...] += y[j]  from x = 0.

    Attributes:
        adds: whether it is the latter.
        count: number of positions.
        lengths: of the axes of x that have positions.
        strides: of these axes, in elements.
        row: elements of a row, which lie side by side.
        dtype: of the elements.
    """

    adds: bool
    count: int
    lengths: tuple[int, ...]
    strides: tuple[int, ...]
    row: int
    dtype: Any

    @property
    def flag(self) -> int:
        """The number of the address of the flag, behind x, y and the positions."""
        return 2 + len(self.lengths)


def canonical(piece: Piece, kinds: dict[int, Any]) -> tuple[Gather, list[tuple[int, int, int]]]:
    """A gather, and the addresses that it takes: slot, offset in elements, step along the batch."""
    first, *positions = piece.reads
    answer, dtype = piece.node.output, kinds[piece.node.output].dtype
    axes, adds = len(positions), piece.node.params["adds"]
    table = piece.node.params["answer"] if adds else first
    row = math.prod(table.shape[axes:])
    gather = Gather(adds, math.prod(positions[0].shape), table.shape[:axes], table.strides[:axes], row, dtype)
    given, made = (first.root, first.offset, 0), (answer, 0, 0)
    ends = [made, given] if adds else [given, made]
    return gather, [*ends, *[(p.root, p.offset, 0) for p in positions]]


class GatherWriter:
    """The code of one gather.

    Args:
        gather: what to write.
        width: bytes of a vector register.
        declarations: of the module.
    """

    def __init__(self, gather: Gather, width: int, declarations: dict[str, str]) -> None:
        self.gather = gather
        self.width = width // gather.dtype.itemsize
        self.function = Function(declarations)

    def write(self, name: str) -> str:
        """The function: of x, y, the positions, and a flag that it sets if one of them is out of range."""
        f, g = self.function, self.gather
        size = g.dtype.itemsize
        if g.adds:
            f.declarations.setdefault("llvm.memset", "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
            total = g.lengths[0] * g.strides[0] * size
            f.do(f"call void @llvm.memset.p0.i64(ptr %a0, i8 0, i64 {total}, i1 false)")
        with f.loop(g.count) as j:
            place = "0"
            for i, (length, stride) in enumerate(zip(g.lengths, g.strides, strict=True)):
                place = f.plus(place, f.times(self._position(f"%a{2 + i}", j, length), stride))
            x = f.element(stored_type(g.dtype, 0), "%a0", place)
            y = f.element(stored_type(g.dtype, 0), "%a1", f.times(j, g.row))
            if g.adds:
                self._add(x, y)
            else:
                f.declarations.setdefault("llvm.memcpy", "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
                f.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {y}, ptr {x}, i64 {g.row * size}, i1 false)")
        return f.finish(name, g.flag + 1)

    def _position(self, pointer: str, j: str, length: int) -> str:
        """A position; 0 where it is out of range, and the flag is set."""
        f = self.function
        given = f.let(f"load i64, ptr {f.element('i64', pointer, j)}")
        negative = f.let(f"icmp slt i64 {given}, 0")
        turned = f.let(f"add i64 {given}, {length}")
        place = f.let(f"select i1 {negative}, i64 {turned}, i64 {given}")
        outside = f.let(f"icmp uge i64 {place}, {length}")
        before = f.let(f"load i64, ptr %a{self.gather.flag}")
        f.do(f"store i64 {f.let(f'select i1 {outside}, i64 1, i64 {before}')}, ptr %a{self.gather.flag}")
        return f.let(f"select i1 {outside}, i64 0, i64 {place}")

    def _add(self, x: str, y: str) -> None:
        """Add a row to another."""
        f, g = self.function, self.gather
        full, rest = divmod(g.row, self.width)
        kind = stored_type(g.dtype, 0)
        if full:
            with f.loop(full) as i:
                at = f.times(i, self.width)
                self._add_lanes(self.width, f.element(kind, x, at), f.element(kind, y, at))
        if rest:
            at = full * self.width
            self._add_lanes(rest if rest > 1 else 0, f.element(kind, x, at), f.element(kind, y, at))

    def _add_lanes(self, lanes: int, x: str, y: str) -> None:
        f, dtype = self.function, self.gather.dtype
        a, b = f.load(dtype, lanes, x), f.load(dtype, lanes, y)
        f.store(dtype, lanes, f.let(f"fadd {type_of(dtype, lanes)} {a}, {b}"), x)


@dataclass(frozen=True, slots=True)
class Range:
    """Whether `count` whole numbers are from `low` to `high`, or `other`."""

    count: int
    low: int
    high: int
    other: int


def checked(piece: Piece) -> tuple[Range, list[tuple[int, int, int]]]:
    """A check, and the address of the numbers."""
    (x,) = piece.reads
    return Range(math.prod(x.shape), *piece.node.params["allowed"]), [(x.root, x.offset, 0)]


class RangeWriter:
    """The code of one check.

    Args:
        what: the check.
        width: of registers, unused.
        declarations: of the module.
    """

    def __init__(self, what: Range, width: int, declarations: dict[str, str]) -> None:
        self.what = what
        self.function = Function(declarations)

    def write(self, name: str) -> str:
        """The function: of the numbers, and a flag that it sets if one of them is not allowed."""
        f, what = self.function, self.what
        with f.loop(what.count) as j:
            x = f.let(f"load i64, ptr {f.element('i64', '%a0', j)}")
            # Seen as unsigned, what is below the least number is large.
            above = f.let(f"sub i64 {x}, {what.low}")
            outside = f.let(f"icmp ugt i64 {above}, {what.high - what.low}")
            wrong = f.let(f"and i1 {outside}, {f.let(f'icmp ne i64 {x}, {what.other}')}")
            before = f.let("load i64, ptr %a1")
            f.do(f"store i64 {f.let(f'select i1 {wrong}, i64 1, i64 {before}')}, ptr %a1")
        return f.finish(name, 2)
