"""A program as nodes: what is computed, on which windows of memory; shapes and slices alone compute nothing."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hograd.ops.indices import SLOT
from hograd.program.ir import Instruction, Kind, Literal, Program
from hograd.program.native import views
from hograd.program.native.elementwise import ALIASES, computed_in
from hograd.program.native.emit import BOOL, INT64, is_native
from hograd.program.native.expand import expand
from hograd.program.native.views import View

#: Longest last axis that is held in registers as one vector.
LONGEST_ROW = 64
REDUCTIONS = ("sum", "amax", "amin")


@dataclass(eq=False, slots=True)
class Node:
    """One computation.

    Attributes:
        kind: "elementwise", "reduce", "product", "join" for parts that are put into one array, "gather" for
            rows at given positions, "loop", or "call" for what NumPy does.
        name: of the primitive; "quick amax" where nan need not come through.
        params: of the primitive.
        reads: windows on what it reads; Python numbers as literals. Those of an elementwise node have the shape
            `domain`, those of a product are matrices or stacks of them, those of a join have the shape of their part.
        output: the slot whose memory it fills.
        domain: the shape of the loop, without axes of length 1: for a reduction that of its operand; for a product
            that of the stack; for a join that of the answer.
        strides: of the answer in that loop: 0 where it is reduced.
        computed: the dtype in which it computes.
        at: the instruction, for a call.
        more: of a loop, the other slots whose memory it fills.
    """

    kind: str
    name: str
    params: dict[str, Any]
    reads: list[Any]
    output: int
    domain: tuple[int, ...]
    strides: tuple[int, ...]
    computed: Any
    at: Instruction | None = None
    more: tuple[int, ...] = ()

    @property
    def outputs(self) -> tuple[int, ...]:
        """The slots whose memory it fills."""
        return (self.output, *self.more)

    def roots(self) -> list[int]:
        """The slots whose memory it reads."""
        return [x.root for x in self.reads if type(x) is View]


class Lowering:
    """The nodes of a program.

    Args:
        program: after the passes.
        own_answers: whether each answer needs memory of its own that machine code fills.
        loop: adds a loop's node, and returns the slots of its answers; None if all loops are left to NumPy.

    Attributes:
        nodes: in an order in which they can run.
        views: where the value of each slot lies.
        kinds: shape and dtype of each slot's memory, also of slots that are new.
        constants: those of the program, and others.
        outputs: where the answers lie.
        complete: whether machine code does all.
    """

    def __init__(self, program: Program, *, own_answers: bool = False, loop: Any = None) -> None:
        self.program = program = expand(program)
        self.loop = loop
        self.answers: dict[int, list[int]] = {}
        self.kinds: dict[int, Kind] = dict(program.kinds)
        self.constants: dict[int, Any] = dict(program.constants)
        self.views: dict[int, View] = {}
        self.nodes: list[Node] = []
        self.turned: dict[View, View] = {}
        self.next = max(self.kinds, default=0) + 1
        for s in [*program.inputs, *[s for s, _ in program.draws], *program.constants]:
            self.views[s] = views.whole(s, self.kinds[s].shape)
        self.transposed = self._transposed_products()
        for at in program.instructions:
            if not self._loop(at) and not self._view(at) and not self._native(at):
                self._call(at)
        self.complete = all(node.kind != "call" for node in self.nodes)
        self.outputs = [self.views[s] for s in program.outputs]
        if own_answers:
            self._separate()

    def constant(self, value: Any) -> View:
        """An array that is fixed."""
        slot = self.new(value.shape, value.dtype)
        self.constants[slot] = value
        return views.whole(slot, value.shape)

    def new(self, shape: tuple[int, ...], dtype: Any) -> int:
        """A slot that the program does not have."""
        self.kinds[self.next] = Kind(shape, dtype)
        self.next += 1
        return self.next - 1

    def _transposed_products(self) -> set[int]:
        """Products that are only read turned over, and can be computed so."""
        program = self.program
        readers: dict[int, list[Instruction]] = {}
        for at in program.instructions:
            for s in at.reads():
                readers.setdefault(s, []).append(at)
        found = set()
        for at in program.instructions:
            ndim = len(self.kinds[at.output].shape)
            turned = (*range(ndim - 2), ndim - 1, ndim - 2)
            if (
                at.primitive.name == "matmul"
                and at.output not in program.outputs
                and all(
                    r.primitive.name == "permute" and r.params["axes"] == turned for r in readers.get(at.output, ())
                )
            ):
                found.add(at.output)
        return found

    def _view(self, at: Instruction) -> bool:
        """Whether the answer is a window on an operand's memory."""
        name = at.primitive.name
        if not at.operands or type(at.operands[0]) is not int:
            return False
        x, kind = self.views[at.operands[0]], self.kinds[at.output]
        source = self.kinds[at.operands[0]]
        view: View | None = None
        if name == "reshape":
            view = views.reshape(x, kind.shape) if math.prod(kind.shape) else None
            if view is None and math.prod(kind.shape) and is_native(kind.dtype):
                copied = self.copied(x)
                view = None if copied is None else views.reshape(copied, kind.shape)
        elif name == "permute":
            view = views.permute(x, at.params["axes"])
        elif name == "broadcast_to":
            view = views.broadcast(x, kind.shape)
        elif name == "getitem":
            view = views.index(x, at.params["index"])
        elif name == "after":
            view = x
        elif (name in ALIASES and source.dtype == kind.dtype) or (name in REDUCTIONS and not at.params["axis"]):
            view = x if x.shape == kind.shape else None
        if view is None or view.shape != kind.shape:
            return False
        self.views[at.output] = view
        return True

    def copied(self, x: View) -> View | None:
        """The same value in memory of its own, in order; None where machine code cannot copy it."""
        dtype = self.kinds[x.root].dtype
        if not is_native(dtype) or not math.prod(x.shape):
            return None
        root = self.new(x.shape, dtype)
        self._add("elementwise", "clone", {}, [x], root, x.shape, dtype)
        return views.whole(root, x.shape)

    def _separate(self) -> None:
        """Give each answer memory of its own."""
        filled = {s for node in self.nodes if node.kind != "call" for s in node.outputs}
        taken: set[int] = set()
        for i, view in enumerate(self.outputs):
            if (
                view.root in taken
                or view.root not in filled
                or not view.is_whole(math.prod(self.kinds[view.root].shape))
            ):
                copy = self.copied(view)
                self.complete = self.complete and copy is not None
                view = copy or view
            taken.add(view.root)
            self.outputs[i] = view

    def _loop(self, at: Instruction) -> bool:
        """Whether a loop, or one of its answers, is machine code's."""
        if at.primitive.name == "loop" and self.loop is not None:
            answers = self.loop(self, at)
            if answers is not None:
                self.answers[at.output] = answers
                return True
        if at.primitive.name == "part" and at.operands[0] in self.answers:
            slot = self.answers[at.operands[0]][at.params["index"]]
            self.views[at.output] = views.whole(slot, self.kinds[slot].shape)
            return True
        return False

    def _add(
        self,
        kind: str,
        name: str,
        params: dict[str, Any],
        reads: list[Any],
        output: int,
        shape: tuple[int, ...],
        computed: Any,
        summed: tuple[int, ...] = (),
    ) -> None:
        """A node that loops over `shape`."""
        kept = [i for i, n in enumerate(shape) if n != 1]
        strides = views.contiguous([1 if i in summed else n for i, n in enumerate(shape)])
        strides = tuple(0 if i in summed else s for i, s in enumerate(strides))
        for k, x in enumerate(reads):
            if type(x) is View:
                spread = views.spread(x, shape)
                reads[k] = View(x.root, x.offset, tuple(shape[i] for i in kept), tuple(spread[i] for i in kept))
        domain, strides = tuple(shape[i] for i in kept), tuple(strides[i] for i in kept)
        self.nodes.append(Node(kind, name, params, reads, output, domain, strides, computed))

    def _native(self, at: Instruction) -> bool:
        """Whether machine code computes the answer."""
        kinds, kind, name = self.kinds, self.kinds[at.output], at.primitive.name
        shapes = [kinds[x].shape for x in at.reads()]
        if not at.reads() or not all(map(math.prod, [kind.shape, *shapes])):
            return False
        if not is_native(kind.dtype) or not all(is_native(kinds[x].dtype) for x in at.reads()):
            return False
        reads = [self.views[x] if type(x) is int else x for x in at.operands]
        if name == "checked":
            return self._check(at, reads[0])
        if at.primitive.kind == "elementwise":
            dtypes = [kinds[x].dtype if type(x) is int else None for x in at.operands]
            if any(type(x) is Literal and type(x.value) not in (bool, int, float) for x in reads):
                return False
            weak = all(type(x.value) is int for x in at.operands if type(x) is Literal)
            computed = computed_in(name, at.params, dtypes, kind.dtype, weak)
            if computed is None:
                return False
            self._add("elementwise", name, at.params, reads, at.output, kind.shape, computed)
        elif name == "concatenate" and len(at.reads()) == len(reads):
            axis = at.params["axis"]
            starts = itertools.accumulate([0, *[x.shape[axis] for x in reads]])
            places = [
                (slice(None),) * axis + (slice(n, n + x.shape[axis]),) for n, x in zip(starts, reads, strict=False)
            ]
            return self._join(at, kind, reads, places, zero=False)
        elif name == "place":
            return self._join(at, kind, reads, [at.params["index"]], zero=True)
        elif name == "indicator":
            self._indicator(at, kind, reads[0])
        elif name in ("gather_index", "scatter_index") and len(at.reads()) == len(reads):
            return self._gather(at, kind, reads, name == "scatter_index")
        elif kind.dtype.kind != "f":
            return False
        elif name in REDUCTIONS and kinds[at.operands[0]].dtype == kind.dtype:
            name = "quick amax" if at.params.get("quick") else name
            self._add("reduce", name, {}, reads, at.output, shapes[0], kind.dtype, at.params["axis"])
        elif name in ("matmul", "mm_nn", "mm_nt", "mm_tn") and all(type(x) is int for x in at.operands):
            if any(kinds[x].dtype != kind.dtype for x in at.reads()) or min(map(len, shapes)) < 2:
                return False
            self._product(at, name, kind)
        else:
            return False
        self.views.setdefault(at.output, views.whole(at.output, kind.shape))
        return True

    def _indicator(self, at: Instruction, kind: Kind, labels: View) -> None:
        axis = at.params["axis"] % len(kind.shape)
        numbers = self.constant(np.arange(at.params["classes"]))
        ladder = views.reshape(numbers, (kind.shape[axis], *(1,) * (len(kind.shape) - axis - 1)))
        column = views.index(labels, (*(slice(None),) * axis, None))
        self._add("elementwise", "eq", {}, [column, ladder], at.output, kind.shape, INT64)

    def _gather(self, at: Instruction, kind: Kind, reads: list[View], adds: bool) -> bool:
        """Add a node that takes rows at some positions, or adds them there, if those are along the first axes."""
        template = at.params["template"]
        first, *positions = reads
        axes = len(positions)
        if any(i is not SLOT for i in template[:axes]) or any(i != slice(None) for i in template[axes:]):
            return False
        if any(p.shape != positions[0].shape or not views.is_contiguous(p.shape, p.strides) for p in positions):
            return False
        if any(self.kinds[p.root].dtype != INT64 for p in positions) or (adds and kind.dtype.kind != "f"):
            return False
        answer = views.whole(at.output, kind.shape)
        rows = first.shape[len(positions[0].shape) if adds else axes :]
        table = answer if adds else first
        if table.shape[axes:] != rows or not views.is_contiguous(rows, first.strides[len(first.shape) - len(rows) :]):
            return False
        if adds and not views.is_contiguous(first.shape, first.strides):
            return False
        if not adds and kind.shape != (*positions[0].shape, *rows):
            return False
        params = {"adds": adds, "answer": answer}
        self.nodes.append(Node("gather", at.primitive.name, params, list(reads), at.output, (), (), kind.dtype))
        self.views[at.output] = answer
        return True

    def _check(self, at: Instruction, x: View) -> bool:
        """Add a node that looks whether whole numbers are those that are allowed; the answer is what it looks at."""
        allowed = at.params["allowed"]
        if allowed is None or self.kinds[x.root].dtype != INT64 or not views.is_contiguous(x.shape, x.strides):
            return False
        root = self.new((1,), BOOL)
        self.nodes.append(Node("gather", "checked", {"allowed": allowed}, [x], root, (), (), BOOL))
        self.views[at.output] = x
        return True

    def _join(self, at: Instruction, kind: Kind, parts: list[View], places: list[Any], zero: bool) -> bool:
        """Add a node that puts parts into an array at basic indices; elsewhere it is 0, if it is not full."""
        if any(self.kinds[x.root].dtype != kind.dtype for x in parts):
            return False
        answer = views.whole(at.output, kind.shape)
        windows = [views.index(answer, place) for place in places]
        if any(w is None or len(w.shape) < len(x.shape) for w, x in zip(windows, parts, strict=True)):
            return False
        found = [w for w in windows if w is not None]
        reads: list[Any] = [views.broadcast(x, w.shape) for x, w in zip(parts, found, strict=True)]
        params = {"windows": found, "zero": zero}
        self.nodes.append(
            Node("join", at.primitive.name, params, reads, at.output, kind.shape, answer.strides, kind.dtype)
        )
        self.views[at.output] = answer
        return True

    def _product(self, at: Instruction, name: str, kind: Kind) -> None:
        a, b = (self.views[x] for x in at.operands)
        if name == "mm_tn":
            a = views.permute(a, (1, 0))
        if name == "mm_nt":
            b = views.permute(b, (1, 0))
        stack = kind.shape[:-2]
        a = views.broadcast(a, (*stack, *a.shape[-2:]))
        b = views.broadcast(b, (*stack, *b.shape[-2:]))
        swap = (*range(len(stack)), len(stack) + 1, len(stack))
        rows, columns = kind.shape[-2:]
        if at.output in self.transposed:
            a, b = views.permute(b, swap), views.permute(a, swap)
            rows, columns = columns, rows
            self.views[at.output] = views.permute(views.whole(at.output, (*stack, rows, columns)), swap)
            self.kinds[at.output] = Kind((*stack, rows, columns), kind.dtype)
        if columns > 1 and rows >= 4 and b.strides[-1] != 1:
            # The loop over columns wants them side by side.
            b = self._in_rows(b)
        strides = views.contiguous((*stack, rows, columns))[: len(stack)]
        kept = [i for i, n in enumerate(stack) if n != 1]
        a, b = (views.permute(x, (*kept, len(stack), len(stack) + 1)) for x in (a, b))
        domain, strides = tuple(stack[i] for i in kept), tuple(strides[i] for i in kept)
        self.nodes.append(Node("product", name, {}, [a, b], at.output, domain, strides, kind.dtype))

    def _in_rows(self, b: View) -> View:
        """A stack of matrices with each row in one piece: itself, or a copy, which others use too."""
        if b not in self.turned:
            # Without the axes along which it repeats.
            kept = tuple(slice(None) if s or i >= len(b.shape) - 2 else 0 for i, s in enumerate(b.strides))
            distinct = views.index(b, kept)
            assert distinct is not None
            copied = self.copied(distinct)
            assert copied is not None
            shape = tuple(n if type(k) is slice else 1 for n, k in zip(b.shape, kept, strict=True))
            again = views.reshape(copied, shape)
            assert again is not None
            self.turned[b] = views.broadcast(again, b.shape)
        return self.turned[b]

    def _call(self, at: Instruction) -> None:
        reads = [self.views[x] if type(x) is int else x for x in at.operands]
        self.views[at.output] = views.whole(at.output, self.kinds[at.output].shape)
        self.nodes.append(Node("call", at.primitive.name, at.params, reads, at.output, (), (), None, at))
