"""The code of a program: every function once, and for each segment the tables of what is called on which addresses."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from hograd.program.native import driver, gathers, loops, products
from hograd.program.native.memory import Plan
from hograd.program.native.nested import Nested
from hograd.program.native.schedule import Group, Piece, Segment
from hograd.program.native.target import Library, machine

#: Bases that every program has; behind them come constants, then what is new in each call.
ARENA, LOCAL, SGEMM, DGEMM, FLAG = range(5)


class Module:
    """Functions under names, each written once."""

    def __init__(self) -> None:
        self.names: dict[Any, str] = {}
        self.declarations: dict[str, str] = {}
        self.texts: list[str] = []

    def function(self, key: Any, writer: Callable[..., Any], what: Any) -> str:
        """The name of the function that `writer` makes of `what`."""
        if key not in self.names:
            self.names[key] = f"f{len(self.names)}"
            self.texts.append(writer(what, machine().width, self.declarations).write(self.names[key]))
        return self.names[key]

    def text(self) -> str:
        """The whole module."""
        return "\n".join([*self.declarations.values(), "", *self.texts])


class Linker:
    """Addresses of functions, and the tables that machine code reads, which it keeps."""

    def __init__(self, text: str) -> None:
        self.library = Library(text)
        self.known: dict[str, int] = {}
        self.tables: list[np.ndarray] = []

    def table(self, numbers: Sequence[int]) -> int:
        """The address of numbers."""
        self.tables.append(np.array(numbers, np.int64))
        return self.tables[-1].ctypes.data

    def functions(self, names: Sequence[str]) -> int:
        """The address of addresses of functions."""
        for name in names:
            if name not in self.known:
                self.known[name] = self.library.address(name)
        return self.table([self.known[name] for name in names])


class Code:
    """One segment as calls of functions, and the addresses that these take.

    Attributes:
        sources, offsets, steps, parts: for each address its base, bytes from there, between elements of the batch, and
            between chunks of it.
        zeros: numbers of addresses, and bytes that are 0 when a chunk begins.
        functions: names, one a call.
        starts: for each call the first of its addresses.
        work: about how many operations one element of the batch takes.
    """

    def __init__(self, segment: Segment) -> None:
        self.batch, self.chunk = segment.batch, segment.chunk
        self.sources: list[int] = []
        self.offsets: list[int] = []
        self.steps: list[int] = []
        self.parts: list[int] = []
        self.zeros: list[int] = []
        self.functions: list[str] = []
        self.starts: list[int] = []
        self.work = 0

    @property
    def longest(self) -> int:
        """How many addresses it takes."""
        return len(self.sources)

    def link(self, linker: Linker) -> int:
        """The address of its block."""
        columns = [linker.table(x) for x in (self.sources, self.offsets, self.steps, self.parts)]
        calls = [len(self.functions), linker.functions(self.functions), linker.table(self.starts)]
        zeros = [len(self.zeros) // 2, linker.table(self.zeros)]
        self.address = linker.table([len(self.sources), *columns, *calls, self.batch, self.chunk, *zeros])
        return self.address


class Steps:
    """Segments and loops that run one after another, a number of times.

    Attributes:
        bindings: bases that are others with an offset: (base, other, bytes) each.
        beginnings, copies: memory that is copied at the beginning, and after each time: the base and the bytes from
            there that it goes to, the same that it comes from, and bytes.
        moves: bases that move after each time, with bytes.
    """

    def __init__(self, items: list[Any], times: int = 1) -> None:
        self.items = items
        self.times = times
        self.bindings: list[int] = []
        self.beginnings: list[int] = []
        self.copies: list[int] = []
        self.moves: list[int] = []

    @property
    def longest(self) -> int:
        """How many addresses a segment within takes at most."""
        return max([1, *[item.longest for item in self.items]])

    def link(self, linker: Linker) -> int:
        """The address of its block."""
        places = [item.link(linker) for item in self.items]
        kinds = [int(type(item) is not Code) for item in self.items]
        tables = [(self.bindings, 3), (self.beginnings, 5), (self.copies, 5), (self.moves, 2)]
        counted = [x for table, width in tables for x in (len(table) // width, linker.table(table))]
        self.address = linker.table([self.times, len(places), linker.table(kinds), linker.table(places), *counted])
        return self.address


class Assembler:
    """Makes the code of a program.

    Args:
        plan: where values lie.
        bases: for each slot that is not in the plan, and for each answer ("output", number), its base.
        module: where functions go.
        count: bases that are taken, as an iterator over further ones.
        fixed: addresses of bases that never change; those of loops' constants are added.
        blocks: the bases of the arena and of the memory for one element of the batch.
    """

    def __init__(
        self,
        plan: Plan,
        bases: dict[Any, int],
        module: Module,
        count: Iterator[int],
        fixed: dict[int, Any],
        blocks: tuple[int, int] = (ARENA, LOCAL),
    ) -> None:
        self.plan = plan
        self.bases = bases
        self.module = module
        self.count = count
        self.fixed = fixed
        self.blocks = {"arena": blocks[0], "local": blocks[1]}

    def code(self, segment: Segment) -> list[Any]:
        """A segment as codes, with loops in between."""
        codes: list[Any] = []
        code = Code(segment)
        for item in segment.items:
            if type(item) is Piece and item.node.kind == "loop":
                codes += [code] if code.functions else []
                codes.append(self._nested(item.node.params["nested"]))
                code = Code(segment)
            else:
                self._item(code, item)
        return [*codes, code] if code.functions else codes

    def _item(self, code: Code, item: Any) -> None:
        """The calls of a group or of a piece."""
        if type(item) is Group:
            loop, addresses = loops.canonical(item, self.plan)
            if any(a.role != "load" for a in loop.accesses):
                self._loop_call(code, loop, addresses)
            return
        if item.node.kind == "join":
            for loop, addresses in loops.joined(item, self.plan.kinds):
                self._loop_call(code, loop, addresses)
            return
        if item.node.name == "checked":
            range_, addresses = gathers.checked(item)
            self._call(code, self.module.function(range_, gathers.RangeWriter, range_), addresses, FLAG)
            return
        if item.node.kind == "gather":
            gather, addresses = gathers.canonical(item, self.plan.kinds)
            self._call(code, self.module.function(gather, gathers.GatherWriter, gather), addresses, FLAG)
            return
        product, addresses = products.canonical(item, self.plan.kinds)
        name = self.module.function(product, products.ProductWriter, product)
        code.work += math.prod((*product.stack, product.rows, product.inner, product.columns))
        blas = SGEMM if product.dtype.itemsize == 4 else DGEMM
        self._call(code, name, addresses, blas if product.is_large else None)

    def _loop_call(self, code: Code, loop: loops.Loop, addresses: Any) -> None:
        name = self.module.function(loop.key(), loops.LoopWriter, loop)
        code.work += math.prod(loop.domain) * len(loop.steps)
        self._call(code, name, addresses)

    def _call(self, code: Code, name: str, addresses: Any, base: int | None = None) -> None:
        """A call on addresses of slots, and behind them that of a base."""
        code.functions.append(name)
        code.starts.append(len(code.sources))
        for root, offset, step in addresses:
            self._address(code, root, offset, step)
        if base is not None:
            code.sources.append(base)
            for column in (code.offsets, code.steps, code.parts):
                column.append(0)

    def _address(self, code: Code, root: int, offset: int, step: int) -> None:
        kind = self.plan.kinds[root]
        size = kind.dtype.itemsize
        base, start = self.base(root)
        part = self.plan.parts.get(root, 0) * size
        if part and code.batch > 1:
            code.zeros += [len(code.sources), part]
        code.sources.append(base)
        code.offsets.append(start + offset * size)
        code.steps.append(0 if root in self.plan.stepless else step * size)
        code.parts.append(part)

    def base(self, root: int) -> tuple[int, int]:
        """The base of a slot's memory, and bytes from there."""
        if root not in self.plan.places:
            return self.bases[root], 0
        block, start = self.plan.places[root]
        return (self.blocks[block] if type(block) is str else self.bases["output", block]), start

    def _nested(self, nested: Nested) -> Steps:
        """A loop as a sequence of its own, whose memory lies in what its node was given."""
        bases: dict[Any, int] = {}
        blocks = (next(self.count), next(self.count))
        sequence = Steps([], nested.times)
        program = nested.lowering.program

        def bind(base: int, root: int, offset: int = 0) -> None:
            other, start = self.base(root)
            sequence.bindings += [base, other, start + offset]

        bind(blocks[0], nested.scratch)
        bind(blocks[1], nested.scratch, nested.plan.sizes["arena"])
        for s, value in nested.lowering.constants.items():
            bases[s] = next(self.count)
            self.fixed[bases[s]] = np.asarray(value, order="C")
        for s, source in zip(program.inputs, nested.inputs, strict=True):
            bases[s] = next(self.count)
            bind(bases[s], source.root, source.offset)
            if source.move:
                sequence.moves += [bases[s], source.move]
        for j, target in enumerate(nested.outputs):
            bases["output", j] = next(self.count)
            bind(bases["output", j], target.root, target.offset)
            if target.move:
                sequence.moves += [bases["output", j], target.move]
        for begin, slot, new, size in nested.carried:
            base, start = self.base(begin.root)
            sequence.beginnings += [*self.base(slot), base, start + begin.offset, size]
            sequence.copies += [*self.base(slot), *self.base(new), size]
        inner = Assembler(nested.plan, bases, self.module, self.count, self.fixed, blocks)
        for segment in nested.schedule.segments:
            sequence.items += inner.code(segment)
        return sequence


class Driver:
    """The functions that run code, the same for all programs.

    Attributes:
        run: a segment, in one of several threads.
        sequence: a sequence.
        enter: finds the addresses of arrays.
    """

    def __init__(self) -> None:
        self.library = Library(driver.TEXT)
        self.run = driver.RUN(self.library.address("run"))
        self.sequence = driver.SEQUENCE_CALL(self.library.address("sequence"))
        self.enter = driver.ENTER(self.library.address("enter"))


@functools.cache
def the_driver() -> Driver:
    """The one of this process."""
    return Driver()
