"""Where values lie: one block of memory, used again as soon as what it holds is no longer needed."""

from __future__ import annotations

import math
from typing import Any

from hograd.program.native.lower import Lowering
from hograd.program.native.schedule import Group, Piece, Schedule, Segment
from hograd.program.native.views import View

ALIGNMENT = 64


class Plan:
    """Places for all values that machine code computes.

    Attributes:
        places: slot -> (block, offset in bytes). Blocks are "arena", "local" (one for each thread, for one
            element of the batch), or the number of an answer.
        sizes: bytes of the blocks.
        kept: slots that are read outside of the group that makes them.
        stepless: slots whose memory holds one element of the batch only.
        fast_math: whether numbers may change.
    """

    def __init__(self, lowering: Lowering, schedule: Schedule) -> None:
        self.kinds = lowering.kinds
        self.fast_math = lowering.program.fast_math
        self.outputs = lowering.outputs
        self.parts = schedule.parts
        self.places: dict[int, tuple[Any, int]] = {}
        self.sizes: dict[str, int] = {"arena": 0, "local": 0}
        self.stepless: set[int] = set()
        self._read(schedule)
        self._answers()
        self._allocate(schedule)

    def _read(self, schedule: Schedule) -> None:
        """When values are made and last read, counted in items."""
        self.made: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.segment_of: dict[int, Segment] = {}
        self.escaping: set[int] = set()
        self.kept: set[int] = set()
        origins: dict[int, set[int]] = {}
        time = 0
        for segment in schedule.segments:
            if segment.call is not None:
                roots = set(segment.call.roots())
                # The answer may be a window on what was read.
                origins[segment.call.output] = roots.union(*[origins.get(s, ()) for s in roots])
                self._reads(roots, time, segment, origins)
                time += 1
                continue
            for item in segment.items:
                pieces = item.pieces if type(item) is Group else [item]
                inside = {p.node.output for p in pieces}
                for piece in pieces:
                    for output in piece.node.outputs:
                        self.made[output] = self.last[output] = time
                        self.segment_of[output] = segment
                    if type(item) is not Group:
                        self.kept.update(piece.node.outputs)
                    roots = {x.root for x in piece.reads if type(x) is View}
                    self._reads(roots - inside.intersection(item_levels(item)), time, segment, origins)
                time += 1
        self.end = time
        self._reads({view.root for view in self.outputs}, time, None, origins)

    def _reads(self, roots: set[int], time: int, segment: Segment | None, origins: dict[int, set[int]]) -> None:
        for s in roots.union(*[origins.get(s, ()) for s in roots]):
            self.last[s] = time
            self.kept.add(s)
            if s in self.segment_of and self.segment_of[s] is not segment:
                self.escaping.add(s)

    def _answers(self) -> None:
        """Answers that are all of some memory that machine code fills go to new memory at once."""
        for j, view in enumerate(self.outputs):
            if (
                view.root in self.made
                and view.root not in self.places
                and view.is_whole(math.prod(self.kinds[view.root].shape))
            ):
                self.places[view.root] = (j, 0)

    def _allocate(self, schedule: Schedule) -> None:
        arena, local = _Block(), _Block()
        time = 0
        ending: dict[int, list[tuple[_Block, int]]] = {}
        for segment in schedule.segments:
            begin = time
            # What the next element of the batch reads again is kept until the last one has run.
            later: list[int] = []
            for item in segment.items or [None]:
                pieces = item.pieces if type(item) is Group else [item] if item is not None else []
                for piece in pieces:
                    self._place(piece, segment, arena, local, ending, begin)
                for block, s in ending.pop(time, ()):
                    if segment.batch > 1 and block is arena:
                        later.append(s)
                    else:
                        block.free(s)
                time += 1
            for s in later:
                arena.free(s)
            local = _Block(local.size) if segment.batch > 1 else local
        self.sizes["arena"], self.sizes["local"] = arena.size, max(self.sizes["local"], local.size)

    def _place(
        self, piece: Piece, segment: Segment, arena: _Block, local: _Block, ending: dict[int, Any], begin: int
    ) -> None:
        for output in piece.node.outputs:
            if output not in self.kept or output in self.places:
                continue
            kind, end = self.kinds[output], self.last[output]
            block, name, size = arena, "arena", math.prod(kind.shape)
            if segment.batch > 1 and output not in self.escaping:
                self.stepless.add(output)
                block, name, size = local, "local", piece.step
            elif segment.batch > 1:
                # Written to until the last element of the batch has run.
                end = max(end, begin + len(segment.items) - 1)
            self.places[output] = (name, block.take(output, _aligned(size * kind.dtype.itemsize)))
            ending.setdefault(end, []).append((block, output))


def item_levels(item: Any) -> dict[int, str]:
    """What later pieces of an item read without memory."""
    return item.levels if type(item) is Group else {}


class _Block:
    """Memory with gaps, in which values are placed first where they fit best."""

    def __init__(self, size: int = 0) -> None:
        self.size = size
        self.gaps: list[tuple[int, int]] = [(0, size)] if size else []
        self.taken: dict[int, tuple[int, int]] = {}

    def take(self, slot: int, size: int) -> int:
        fitting = [(length, start) for start, length in self.gaps if length >= size]
        if fitting:
            length, start = min(fitting)
            self.gaps.remove((start, length))
            if length > size:
                self.gaps.append((start + size, length - size))
        else:
            # The last gap grows.
            start = self.size
            for gap in self.gaps:
                if sum(gap) == self.size:
                    start = gap[0]
                    self.gaps.remove(gap)
                    break
            self.size = start + size
        self.taken[slot] = (start, size)
        return start

    def free(self, slot: int) -> None:
        start, length = self.taken.pop(slot)
        for gap in list(self.gaps):
            if gap[0] + gap[1] == start or start + length == gap[0]:
                self.gaps.remove(gap)
                start, length = min(start, gap[0]), length + gap[1]
        self.gaps.append((start, length))


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
