"""The functions that run a segment, and the code of all segments of a program."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from hograd.program.native import loops, products
from hograd.program.native.memory import Plan
from hograd.program.native.schedule import Group, Segment
from hograd.program.native.target import Library, machine

#: Where an array keeps the address of its elements: behind what every object has.
DATA = object.__basicsize__

#: bases[i] = address of the elements of objects[i]; then for each element of the batch, the calls in their order.
RUN = """
define void @run(ptr %segment, ptr %bases, ptr %table, i64 %low, i64 %high, ptr %objects, i64 %first, i64 %last)
  nounwind {
entry:
  %some = icmp ult i64 %first, %last
  br i1 %some, label %object, label %ready
object:
  %o = phi i64 [ %first, %entry ], [ %o.next, %object ]
  %o.place = getelementptr ptr, ptr %objects, i64 %o
  %o.value = load ptr, ptr %o.place
  %o.data = getelementptr i8, ptr %o.value, i64 DATA
  %o.address = load i64, ptr %o.data
  %o.base = getelementptr i64, ptr %bases, i64 %o
  store i64 %o.address, ptr %o.base
  %o.next = add i64 %o, 1
  %o.more = icmp ult i64 %o.next, %last
  br i1 %o.more, label %object, label %ready
ready:
  %count = load i64, ptr %segment
  %sources.at = getelementptr ptr, ptr %segment, i64 1
  %sources = load ptr, ptr %sources.at
  %offsets.at = getelementptr ptr, ptr %segment, i64 2
  %offsets = load ptr, ptr %offsets.at
  %steps.at = getelementptr ptr, ptr %segment, i64 3
  %steps = load ptr, ptr %steps.at
  %calls.at = getelementptr ptr, ptr %segment, i64 4
  %calls = load i64, ptr %calls.at
  %functions.at = getelementptr ptr, ptr %segment, i64 5
  %functions = load ptr, ptr %functions.at
  %starts.at = getelementptr ptr, ptr %segment, i64 6
  %starts = load ptr, ptr %starts.at
  br label %fill
fill:
  %a = phi i64 [ 0, %ready ], [ %a.next, %fill ]
  %a.source.at = getelementptr i64, ptr %sources, i64 %a
  %a.source = load i64, ptr %a.source.at
  %a.base.at = getelementptr i64, ptr %bases, i64 %a.source
  %a.base = load i64, ptr %a.base.at
  %a.offset.at = getelementptr i64, ptr %offsets, i64 %a
  %a.offset = load i64, ptr %a.offset.at
  %a.step.at = getelementptr i64, ptr %steps, i64 %a
  %a.step = load i64, ptr %a.step.at
  %a.moved = mul i64 %a.step, %low
  %a.sum = add i64 %a.base, %a.offset
  %a.address = add i64 %a.sum, %a.moved
  %a.place = getelementptr i64, ptr %table, i64 %a
  store i64 %a.address, ptr %a.place
  %a.next = add i64 %a, 1
  %a.more = icmp ult i64 %a.next, %count
  br i1 %a.more, label %fill, label %batch
batch:
  %b = phi i64 [ %low, %fill ], [ %b.next, %move.end ]
  br label %call
call:
  %c = phi i64 [ 0, %batch ], [ %c.next, %call ]
  %c.function.at = getelementptr ptr, ptr %functions, i64 %c
  %c.function = load ptr, ptr %c.function.at
  %c.start.at = getelementptr i64, ptr %starts, i64 %c
  %c.start = load i64, ptr %c.start.at
  %c.table = getelementptr i64, ptr %table, i64 %c.start
  call void %c.function(ptr %c.table)
  %c.next = add i64 %c, 1
  %c.more = icmp ult i64 %c.next, %calls
  br i1 %c.more, label %call, label %after
after:
  %b.next = add i64 %b, 1
  %b.more = icmp ult i64 %b.next, %high
  br i1 %b.more, label %move, label %done
move:
  %m = phi i64 [ 0, %after ], [ %m.next, %move ]
  %m.place = getelementptr i64, ptr %table, i64 %m
  %m.address = load i64, ptr %m.place
  %m.step.at = getelementptr i64, ptr %steps, i64 %m
  %m.step = load i64, ptr %m.step.at
  %m.sum = add i64 %m.address, %m.step
  store i64 %m.sum, ptr %m.place
  %m.next = add i64 %m, 1
  %m.more = icmp ult i64 %m.next, %count
  br i1 %m.more, label %move, label %move.end
move.end:
  br label %batch
done:
  ret void
}
""".replace("DATA", str(DATA))


#: What `run` of a library is called with.
RUN_TYPE = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 2, ctypes.c_void_p, *[ctypes.c_int64] * 2)

#: Bases that every program has; behind them come constants, then what is new in each call.
ARENA, LOCAL, SUMS, SGEMM, DGEMM = range(5)


class Code:
    """One segment as calls of functions, and the addresses that these take.

    Attributes:
        source, offset, step: for each address its base, bytes from there, and bytes between elements of the batch.
        functions: names, one a call.
        starts: for each call the first of its addresses.
    """

    def __init__(self, segment: Segment) -> None:
        self.batch = segment.batch
        self.source: list[int] = []
        self.offset: list[int] = []
        self.step: list[int] = []
        self.functions: list[str] = []
        self.starts: list[int] = []
        self.work = 0

    def link(self, library: Library, known: dict[str, int]) -> None:
        """Find the functions, and lay the tables out as the machine code reads them."""
        for name in self.functions:
            if name not in known:
                known[name] = library.address(name)
        self.tables = [np.array(x, np.int64) for x in (self.source, self.offset, self.step)]
        self.tables += [np.array([known[n] for n in self.functions], np.int64), np.array(self.starts, np.int64)]
        places = [t.ctypes.data for t in self.tables]
        self.block = np.array([len(self.source), *places[:3], len(self.functions), *places[3:]], np.int64)
        self.address = self.block.ctypes.data


class Assembler:
    """The module of a program: every function once, however often it is called."""

    def __init__(self, plan: Plan, bases: dict[Any, int]) -> None:
        self.plan = plan
        self.bases = bases
        self.names: dict[Any, str] = {}
        self.declarations: dict[str, str] = {}
        self.texts: list[str] = []

    def code(self, segment: Segment) -> Code:
        """The calls of a segment."""
        code = Code(segment)
        for item in segment.items:
            if type(item) is Group:
                loop, addresses = loops.canonical(item, self.plan.kinds, self.plan.kept)
                if not any(a.role != "load" for a in loop.accesses):
                    continue
                name = self._function(
                    loop.key(), lambda loop=loop: loops.LoopWriter(loop, machine().width, self.declarations)
                )
                code.work += int(np.prod(loop.domain, dtype=np.int64)) * len(loop.steps)
            else:
                product, addresses = products.canonical(item, self.plan.kinds)
                name = self._function(
                    product, lambda product=product: products.ProductWriter(product, machine().width, self.declarations)
                )
                code.work += int(
                    np.prod((*product.stack, product.rows, product.inner, product.columns), dtype=np.int64)
                )
                if product.is_large:
                    addresses = [*addresses, (None, SGEMM if product.dtype.itemsize == 4 else DGEMM, 0)]
            code.functions.append(name)
            code.starts.append(len(code.source))
            for root, offset, step in addresses:
                self._address(code, root, offset, step)
        return code

    def _function(self, key: Any, writer: Any) -> str:
        if key not in self.names:
            self.names[key] = f"f{len(self.names)}"
            self.texts.append(writer().write(self.names[key]))
        return self.names[key]

    def _address(self, code: Code, root: Any, offset: int, step: int) -> None:
        if root is None:
            code.source.append(offset)
            code.offset.append(0)
            code.step.append(0)
            return
        size = self.plan.kinds[root].dtype.itemsize
        base, start = self.base(root)
        code.source.append(base)
        code.offset.append(start + offset * size)
        code.step.append(0 if root in self.plan.stepless else step * size)

    def base(self, root: int) -> tuple[int, int]:
        """The base of a slot's memory, and bytes from there."""
        if root not in self.plan.places:
            return self.bases[root], 0
        block, start = self.plan.places[root]
        names = {"arena": ARENA, "local": LOCAL, "sums": SUMS}
        return (names[block] if type(block) is str else self.bases["output", block]), start

    def text(self) -> str:
        """The whole module."""
        return "\n".join([RUN, *self.declarations.values(), "", *self.texts])
