"""A program as nodes: what is computed, on which windows of memory; shapes and slices alone compute nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hograd.program.ir import Instruction, Kind, Literal, Program
from hograd.program.native import views
from hograd.program.native.elementwise import ALIASES, computed_in
from hograd.program.native.emit import BOOL, is_native
from hograd.program.native.views import View

#: Longest last axis that is held in registers as one vector.
LONGEST_ROW = 64


@dataclass(eq=False, slots=True)
class Node:
    """One computation.

    Attributes:
        kind: "elementwise", "sum", "softmax", "product", or "call" for what NumPy does.
        name: of the primitive.
        params: of the primitive.
        reads: windows on what it reads; Python numbers as literals. Those of an elementwise node have the shape
            `domain`, those of a product are matrices or stacks of them.
        output: the slot whose memory it fills.
        domain: the shape of the loop, without axes of length 1: for a sum that of its operand; for a product that of
            the stack.
        strides: of the answer in that loop: 0 where it is summed.
        computed: the dtype in which it computes.
        at: the instruction, for a call.
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

    def roots(self) -> list[int]:
        """The slots whose memory it reads."""
        return [x.root for x in self.reads if type(x) is View]


class Lowering:
    """The nodes of a program.

    Attributes:
        nodes: in an order in which they can run.
        views: where the value of each slot lies.
        kinds: shape and dtype of each slot's memory, also of slots that are new.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.kinds: dict[int, Kind] = dict(program.kinds)
        self.views: dict[int, View] = {}
        self.nodes: list[Node] = []
        self.turned: dict[View, View] = {}
        self.next = max(self.kinds, default=0) + 1
        for s in [*program.inputs, *[s for s, _ in program.draws], *program.constants]:
            self.views[s] = views.whole(s, self.kinds[s].shape)
        self.transposed = self._transposed_products()
        for at in program.instructions:
            if not self._view(at) and not self._native(at):
                self._call(at)

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
                copied = self._copy(x, kind.dtype)
                view = views.reshape(copied, kind.shape)
        elif name == "permute":
            view = views.permute(x, at.params["axes"])
        elif name == "broadcast_to":
            view = views.broadcast(x, kind.shape)
        elif name == "getitem":
            view = views.index(x, at.params["index"])
        elif (name in ALIASES and source.dtype == kind.dtype) or (name == "sum" and not at.params["axis"]):
            view = x if x.shape == kind.shape else None
        if view is None or view.shape != kind.shape:
            return False
        self.views[at.output] = view
        return True

    def _copy(self, x: View, dtype: Any) -> View:
        """The same value in memory of its own, in order."""
        root = self.new(x.shape, dtype)
        self._add("elementwise", "clone", {}, [x], root, x.shape, dtype)
        return views.whole(root, x.shape)

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
        if at.primitive.kind == "elementwise":
            dtypes = [kinds[x].dtype if type(x) is int else None for x in at.operands]
            if any(type(x) is Literal and type(x.value) not in (bool, int, float) for x in reads):
                return False
            computed = computed_in(name, at.params, dtypes, kind.dtype)
            if computed is None:
                return False
            self._add("elementwise", name, at.params, reads, at.output, kind.shape, computed)
        elif kind.dtype == BOOL:
            return False
        elif name == "sum" and kinds[at.operands[0]].dtype == kind.dtype:
            self._add("sum", name, {}, reads, at.output, kinds[at.operands[0]].shape, kind.dtype, at.params["axis"])
        elif name == "softmax" and at.params["axis"] % len(kind.shape) == len(kind.shape) - 1:
            if not 1 < kind.shape[-1] <= LONGEST_ROW:
                return False
            self._add("softmax", name, {}, reads, at.output, kind.shape, kind.dtype)
        elif name in ("matmul", "mm_nn", "mm_nt", "mm_tn") and all(type(x) is int for x in at.operands):
            if any(kinds[x].dtype != kind.dtype for x in at.reads()) or min(map(len, shapes)) < 2:
                return False
            self._product(at, name, kind)
        else:
            return False
        self.views.setdefault(at.output, views.whole(at.output, kind.shape))
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
            b = self._in_rows(b, kind.dtype)
        strides = views.contiguous((*stack, rows, columns))[: len(stack)]
        kept = [i for i, n in enumerate(stack) if n != 1]
        a, b = (views.permute(x, (*kept, len(stack), len(stack) + 1)) for x in (a, b))
        domain, strides = tuple(stack[i] for i in kept), tuple(strides[i] for i in kept)
        self.nodes.append(Node("product", name, {}, [a, b], at.output, domain, strides, kind.dtype))

    def _in_rows(self, b: View, dtype: Any) -> View:
        """A stack of matrices with each row in one piece: itself, or a copy, which others use too."""
        if b not in self.turned:
            # Without the axes along which it repeats.
            kept = tuple(slice(None) if s or i >= len(b.shape) - 2 else 0 for i, s in enumerate(b.strides))
            distinct = views.index(b, kept)
            assert distinct is not None
            copied = self._copy(distinct, dtype)
            shape = tuple(n if type(k) is slice else 1 for n, k in zip(b.shape, kept, strict=True))
            again = views.reshape(copied, shape)
            assert again is not None
            self.turned[b] = views.broadcast(again, b.shape)
        return self.turned[b]

    def _call(self, at: Instruction) -> None:
        reads = [self.views[x] if type(x) is int else x for x in at.operands]
        self.views[at.output] = views.whole(at.output, self.kinds[at.output].shape)
        self.nodes.append(Node("call", at.primitive.name, at.params, reads, at.output, (), (), None, at))
