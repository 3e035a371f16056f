"""The order of nodes: segments that run at one go, and in them groups that share one loop.

Nodes whose first axis is the batch of stacked products (tasks that were mapped, say) run one element of the batch after
another, so that what lies between them stays in the fastest memory, and in threads.
"""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hograd.program.native.lower import LONGEST_ROW, Lowering, Node
from hograd.program.native.views import View, contiguous

LARGEST_GROUP = 48
SMALLEST_BATCH = 4
#: In so many chunks a batch runs, whatever the number of threads, so that sums over it are always rounded alike.
CHUNKS = 8
#: How many groups are looked at for a place.
NEAREST = 8


@dataclass(eq=False, slots=True)
class Piece:
    """A node within a segment: without the batch axis, if the segment has one.

    Attributes:
        reads: windows or literals.
        steps: for each read the distance between elements of the batch.
        strides: of the answer over `domain`.
        step: of the answer.
        adds: whether the answer is summed over the batch.
    """

    node: Node
    domain: tuple[int, ...]
    reads: list[Any]
    steps: list[int]
    strides: tuple[int, ...]
    step: int
    adds: bool


@dataclass(eq=False, slots=True)
class Group:
    """Pieces that share one loop over `domain`.

    Attributes:
        levels: for the answers that later pieces may read in the same loop: "full", or "row" for one number for each
            row along the last axis.
        rows: whether the loop holds whole rows, since some piece reads what they are reduced to.
    """

    domain: tuple[int, ...]
    pieces: list[Piece] = field(default_factory=list)
    levels: dict[int, str] = field(default_factory=dict)
    made: set[int] = field(default_factory=set)
    read: set[int] = field(default_factory=set)
    rows: bool = False

    def fits(self, piece: Piece) -> bool:
        """Whether a piece can join, and make it if so."""
        if len(self.pieces) >= LARGEST_GROUP:
            return False
        short = self.domain[:-1]
        can_hold = bool(self.domain) and self.domain[-1] <= LONGEST_ROW
        if piece.domain == self.domain:
            level = "full"
        elif can_hold and piece.domain == short and any(self.levels.get(x.root) == "row" for x in _windows(piece)):
            level = "row"
        else:
            return False
        rows = self.rows or level == "row"
        for x in _windows(piece):
            if x.root not in self.made:
                continue
            made = self.levels.get(x.root)
            if made is None or x.offset or (level == "row" and made == "full"):
                return False
            strides = contiguous(self.domain if made == "full" else short)
            if made == "row":
                if not can_hold:
                    return False
                rows = True
                strides = strides if level == "row" else (*strides, 0)
            if x.strides != strides:
                return False
        self.add(piece, level)
        self.rows = rows
        return True

    def add(self, piece: Piece, level: str) -> None:
        output = piece.node.output
        self.pieces.append(piece)
        self.made.add(output)
        self.read.update(x.root for x in _windows(piece))
        if piece.node.kind != "reduce":
            self.levels[output] = level
        elif level == "full" and not piece.adds and self.domain and piece.strides == (*contiguous(self.domain[:-1]), 0):
            self.levels[output] = "row"


@dataclass(eq=False, slots=True)
class Segment:
    """What runs at one go: groups and products, or one call of NumPy.

    Attributes:
        batch: how often it runs, along the batch.
        chunk: elements of the batch that one thread takes at a time.
        items: groups, and pieces of other kinds.
        call: the node, if it is a call of NumPy.
    """

    batch: int
    chunk: int
    items: list[Any]
    call: Node | None = None


def _windows(piece: Piece) -> list[View]:
    return [x for x in piece.reads if type(x) is View]


def batch_of(nodes: Sequence[Node]) -> int:
    """The length of the batch axis; 1 if there is none."""
    lengths = Counter(node.domain[0] for node in nodes if node.kind == "product" and node.domain)
    found = [(count, n) for n, count in lengths.items() if n >= SMALLEST_BATCH and count > 1]
    return max(found)[1] if found else 1


class Schedule:
    """The segments of a program.

    Attributes:
        parts: slots that hold a sum for each chunk of the batch, with the number of elements of one.
    """

    def __init__(self, lowering: Lowering) -> None:
        self.lowering = lowering
        self.batch = batch_of(lowering.nodes)
        self.chunk = -(-self.batch // CHUNKS)
        #: For answers that are computed along the batch, the distance between its elements.
        self.steps: dict[int, int] = {}
        self.parts: dict[int, int] = {}
        self.nodes: list[Node] = []
        self.modes: list[str] = []
        for node in lowering.nodes:
            mode = self._mode(node)
            if mode == "batch" and not node.strides[0]:
                self._sum(node)
            else:
                self.nodes.append(node)
                self.modes.append(mode)
        self.segments = [self._segment(mode, numbers) for mode, numbers in self._runs()]

    def _sum(self, node: Node) -> None:
        """A sum over the batch: one for each chunk, and the sum of these."""
        kind = self.lowering.kinds[node.output]
        size, count = math.prod(kind.shape), -(-self.batch // self.chunk)
        part = self.lowering.new((count, size), kind.dtype)
        self.parts[part] = size
        self.nodes.append(dataclasses.replace(node, output=part))
        axes = [(count, size, 0), (size, 1, 1)]
        domain, strides, summed = (
            zip(*[axis for axis in axes if axis[0] != 1], strict=True) if count * size > 1 else ((),) * 3
        )
        self.nodes.append(
            Node("reduce", "sum", {}, [View(part, 0, domain, strides)], node.output, domain, summed, kind.dtype)
        )
        self.modes += ["batch", "plain"]

    def _mode(self, node: Node) -> str:
        if node.kind in ("call", "loop"):
            return "call" if node.kind == "call" else "plain"
        if self.batch == 1 or not node.domain or node.domain[0] != self.batch:
            return "plain"
        if not all(self._aligned(x) for x in node.reads if type(x) is View):
            return "plain"
        if node.kind == "reduce" and node.name != "sum" and not node.strides[0]:
            return "plain"
        if node.kind == "join" and not all(_within(w, node) for w in node.params["windows"]):
            return "plain"
        if node.strides[0]:
            self.steps[node.output] = node.strides[0]
        return "batch"

    def _aligned(self, x: View) -> bool:
        """Whether element b of the batch is read only for element b."""
        step = self.steps.get(x.root)
        if step is None:
            return True
        span = [(n - 1) * s for n, s in zip(x.shape[1:], x.strides[1:], strict=True)]
        return x.strides[0] == step and min(span, default=0) >= 0 and x.offset + sum(span) < step

    def _runs(self) -> list[tuple[str, list[int]]]:
        """Nodes of one mode that run together, in an order in which all is there that they read."""
        maker = {s: i for i, node in enumerate(self.nodes) for s in node.outputs}
        needs = [[maker[s] for s in node.roots() if s in maker] for node in self.nodes]
        left = list(range(len(self.nodes)))
        done: set[int] = set()
        runs = []
        while left:
            for mode in ("plain", "batch", "call"):
                run: list[int] = []
                ready = set(done)
                rest = []
                for i in left:
                    if self.modes[i] == mode and all(p in ready for p in needs[i]):
                        run.append(i)
                        # Sums over the batch are there when all of it has run.
                        if mode == "plain" or (mode == "batch" and self.nodes[i].output in self.steps):
                            ready.add(i)
                    else:
                        rest.append(i)
                if not run:
                    continue
                left = rest
                done.update(run)
                runs += [(mode, [i]) for i in run] if mode == "call" else [(mode, run)]
        return runs

    def _segment(self, mode: str, numbers: list[int]) -> Segment:
        if mode == "call":
            return Segment(1, 1, [], self.nodes[numbers[0]])
        batched = mode == "batch"
        pieces = [_piece(self.nodes[i], batched) for i in numbers]
        return Segment(self.batch if batched else 1, self.chunk if batched else 1, _grouped(pieces))


def _within(window: View, node: Node) -> bool:
    """Whether a part of a join that is for element b of the batch goes to element b of the answer."""
    step = node.strides[0]
    if not window.shape or window.shape[0] != node.domain[0] or window.strides[0] != step:
        return False
    span = [(n - 1) * s for n, s in zip(window.shape[1:], window.strides[1:], strict=True)]
    return min(span, default=0) >= 0 and window.offset + sum(span) < step


def _piece(node: Node, batched: bool) -> Piece:
    if not batched:
        return Piece(node, node.domain, node.reads, [0] * len(node.reads), node.strides, 0, False)
    reads: list[Any] = []
    steps = []
    for x in node.reads:
        if type(x) is View:
            reads.append(View(x.root, x.offset, x.shape[1:], x.strides[1:]))
            steps.append(x.strides[0])
        else:
            reads.append(x)
            steps.append(0)
    adds = node.kind == "reduce" and not node.strides[0]
    return Piece(node, node.domain[1:], reads, steps, node.strides[1:], node.strides[0], adds)


def _grouped(pieces: Sequence[Piece]) -> list[Any]:
    """Groups and products in an order in which all is there that they read."""
    items: list[Any] = []
    place: dict[int, int] = {}
    by_domain: dict[tuple[int, ...], list[int]] = {}
    for piece in pieces:
        windows = _windows(piece)
        first = max([place[x.root] for x in windows if x.root in place], default=-1)
        if piece.node.kind in ("product", "join", "gather", "loop"):
            place.update(dict.fromkeys(piece.node.outputs, len(items)))
            items.append(piece)
            continue
        roots = {x.root for x in windows}
        chosen = None
        known = by_domain.get(piece.domain, [])
        start = bisect_left(known, first)
        candidates = known[start : start + NEAREST]
        if first >= 0 and first not in candidates:
            candidates.insert(0, first)
        for i in candidates:
            group = items[i]
            # Only with some of them is there anything to share.
            if type(group) is Group and (i == first or roots & (group.read | group.made)) and group.fits(piece):
                chosen = i
                break
        if chosen is None:
            group = Group(piece.domain)
            fitted = group.fits(piece)
            assert fitted
            chosen = len(items)
            items.append(group)
            by_domain.setdefault(piece.domain, []).append(chosen)
        place[piece.node.output] = chosen
    return items
