"""Programs as machine code, with NumPy's calls in between for what it does not compute."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hograd.program.ir import Literal, Program
from hograd.program.native import threads
from hograd.program.native.assemble import DGEMM, RUN_TYPE, SGEMM, SUMS, Assembler, Code
from hograd.program.native.lower import Lowering, Node
from hograd.program.native.memory import ALIGNMENT, Plan
from hograd.program.native.products import blas_address
from hograd.program.native.schedule import Schedule
from hograd.program.native.target import Library
from hograd.program.native.views import View

#: From so many operations on, a further thread is worth its start.
WORTH_A_THREAD = 1_000_000


class NativeReplay:
    """A program, ready to run.

    Args:
        program: after the passes.
        name: unused by machine code; as of other backends.
        most_threads: how many threads may share the work.
    """

    def __init__(self, program: Program, name: str, most_threads: int) -> None:
        self.name = name
        self.most_threads = most_threads
        lowering = Lowering(program)
        schedule = Schedule(lowering)
        self.plan = plan = Plan(lowering, schedule)
        self.views, self.kinds = plan.views, plan.kinds
        self.arguments = [*program.inputs, *[s for s, _ in program.draws]]
        self.answers = program.outputs
        self.constants = {s: np.asarray(v, order="C") for s, v in program.constants.items()}
        calls = [segment.call for segment in schedule.segments if segment.call is not None]
        #: Answers that machine code fills, by their number.
        direct = {block: root for root, (block, _) in plan.places.items() if type(block) is int}
        self.direct = [(j, self.kinds[root].shape, self.kinds[root].dtype) for j, root in sorted(direct.items())]
        self.number_of = {j: i for i, (j, _, _) in enumerate(self.direct)}
        bases: dict[Any, int] = {}
        count = DGEMM + 1
        for s in self.constants:
            bases[s] = count
            count += 1
        self.first = count
        for j, _, _ in self.direct:
            bases["output", j] = count
            count += 1
        for s in self.arguments:
            bases.setdefault(s, count)
            count += 1
        self.last = count
        for node in calls:
            bases[node.output] = count
            count += 1
        self.bases, self.base_count = bases, count
        assembler = Assembler(plan, bases)
        self.steps: list[Any] = []
        for segment in schedule.segments:
            self.steps.append(assembler.code(segment) if segment.call is None else Call(self, segment.call))
        self.source = assembler.text()
        self.library = Library(self.source)
        known: dict[str, int] = {}
        codes = [step for step in self.steps if type(step) is Code]
        for code in codes:
            code.link(self.library, known)
        self.run = RUN_TYPE(self.library.address("run"))
        self.longest = max([1, *[len(code.source) for code in codes]])
        self.fixed = {bases[s]: array.ctypes.data for s, array in self.constants.items()}
        for base, single in ((SGEMM, True), (DGEMM, False)):
            if any(base in code.source for code in codes):
                self.fixed[base] = blas_address(single)
        self.objects = ctypes.py_object * (self.last - self.first)
        self.sums = [(root, place) for root, (block, place) in plan.places.items() if block == "sums"]
        self.finish = [self._answer(j, s) for j, s in enumerate(self.answers)]
        self.waiting: list[Context] = []

    def _answer(self, j: int, s: int) -> Callable[[Values], Any]:
        """How an answer is taken from what has been computed."""
        view = self.views[s]
        if j in self.number_of:
            i = self.number_of[j]
            shape = self.kinds[s].shape if view.shape == self.kinds[view.root].shape else view.shape
            if not view.shape:
                return lambda values: values.outputs[i].reshape(())[()]
            if shape != self.direct[i][1]:
                return lambda values: values.outputs[i].reshape(shape)
            return lambda values: values.outputs[i]
        read = Reading(self, view)
        if view.root in self.plan.places or view.root in {s for s in self.bases if type(s) is int} - {
            *self.arguments,
            *self.constants,
        }:
            return lambda values: np.array(read(values))[()]
        return read

    def __call__(self, *given: Any) -> list[Any]:
        """The answers for arrays: inputs, then draws."""
        try:
            context = self.waiting.pop()
        except IndexError:
            context = Context(self)
        try:
            outputs = [np.empty(shape, dtype) for _, shape, dtype in self.direct]
            arrays = [np.asarray(x, order="C") for x in given]
            objects = self.objects(*outputs, *arrays)
            # Counted as bases are.
            place = ctypes.addressof(objects) - 8 * self.first
            values = Values(context, outputs, arrays)
            first, last = self.first, self.last
            for step in self.steps:
                if type(step) is not Code:
                    if first < last:
                        context.bases[first:last] = [x.ctypes.data for x in (*outputs, *arrays)]
                        first = last
                    step(values)
                elif step.batch == 1:
                    self.run(step.address, context.address, context.places[0], 0, 1, place, first, last)
                    first = last
                else:
                    self._batch(step, context, place, first)
                    first = last
            return [finish(values) for finish in self.finish]
        finally:
            self.waiting.append(context)

    def _batch(self, code: Code, context: Context, place: int, first: int) -> None:
        """A segment along the batch, in threads where there is work enough."""
        count = min(len(context.tables), code.batch, 1 + code.work * code.batch // WORTH_A_THREAD)
        for sums in context.sums[:count]:
            sums.fill(0)
        if count == 1:
            self.run(code.address, context.address, context.places[0], 0, code.batch, place, first, self.last)
            return
        ends = [code.batch * (t + 1) // count for t in range(count)]
        jobs = []
        if first < self.last:
            # Every thread starts from all addresses.
            self.run(code.address, context.address, context.places[0], 0, 0, place, first, self.last)
        for t in range(1, count):
            context.share(t)
            jobs.append((code.address, context.addresses[t], context.places[t], ends[t - 1], ends[t], None, 0, 0))
        threads.together(self.run, (code.address, context.address, context.places[0], 0, ends[0], None, 0, 0), jobs)
        for total, *others in context.totals:
            for other in others[: count - 1]:
                total += other


class Values:
    """What there is during a call."""

    __slots__ = ("arrays", "called", "context", "outputs")

    def __init__(self, context: Context, outputs: list[Any], arrays: list[Any]) -> None:
        self.context = context
        self.outputs = outputs
        self.arrays = arrays
        self.called: dict[int, Any] = {}


class Context:
    """The memory of one call; there are as many as there are calls at one time.

    Attributes:
        bases: addresses that offsets count from; `addresses` are those of this table for each thread.
        tables: for each thread the addresses that a segment's functions take.
        totals: for each sum over the batch its parts, one a thread.
    """

    def __init__(self, replay: NativeReplay) -> None:
        sizes, count = replay.plan.sizes, replay.most_threads
        self.arena = _memory(sizes["arena"])
        self.locals = [_memory(sizes["local"]) for _ in range(count)]
        self.sums = [_memory(sizes["sums"]) for _ in range(count)]
        self.bases = np.zeros(replay.base_count, np.int64)
        for base, address in replay.fixed.items():
            self.bases[base] = address
        self.all_bases = [self.bases, *[self.bases.copy() for _ in range(count - 1)]]
        self.addresses = [b.ctypes.data for b in self.all_bases]
        self.address = self.addresses[0]
        self.mine = np.array(
            [
                [self.arena.ctypes.data, a.ctypes.data, b.ctypes.data]
                for a, b in zip(self.locals, self.sums, strict=True)
            ],
            np.int64,
        )
        self.bases[: SUMS + 1] = self.mine[0]
        self.tables = [np.empty(replay.longest, np.int64) for _ in range(count)]
        self.places = [t.ctypes.data for t in self.tables]
        self.totals = []
        for root, place in replay.sums:
            shape, dtype = replay.kinds[root]
            size = math.prod(shape) * dtype.itemsize
            self.totals.append([s[place : place + size].view(dtype) for s in self.sums])

    def share(self, thread: int) -> None:
        """Give a thread all addresses, and its own memory."""
        bases = self.all_bases[thread]
        bases[:] = self.bases
        bases[: SUMS + 1] = self.mine[thread]


class Reading:
    """Takes a window on some memory as an array, while a program runs."""

    def __init__(self, replay: NativeReplay, view: View) -> None:
        root = view.root
        self.kind = replay.kinds[root]
        self.view = view
        self.root = root
        self.fixed = replay.constants.get(root)
        self.argument = replay.arguments.index(root) if root in replay.arguments else None
        self.place = replay.plan.places.get(root)
        self.number_of = replay.number_of

    def __call__(self, values: Values) -> Any:
        array = self._root(values)
        view, kind = self.view, self.kind
        if not (view.offset == 0 and view.shape == array.shape and view.strides == _strides(array)):
            array = np.lib.stride_tricks.as_strided(
                array.reshape(-1)[view.offset :], view.shape, [s * kind.dtype.itemsize for s in view.strides]
            )
        return array if view.shape else array.reshape(-1)[0]

    def _root(self, values: Values) -> Any:
        if self.place is not None:
            block, start = self.place
            if type(block) is int:
                return values.outputs[self.number_of[block]]
            memory = values.context.arena if block == "arena" else values.context.sums[0]
            size = math.prod(self.kind.shape) * self.kind.dtype.itemsize
            return memory[start : start + size].view(self.kind.dtype).reshape(self.kind.shape)
        if self.fixed is not None:
            return self.fixed
        if self.argument is not None:
            return values.arrays[self.argument]
        return values.called[self.root]


class Call:
    """An operation that NumPy computes."""

    def __init__(self, replay: NativeReplay, node: Node) -> None:
        assert node.at is not None
        self.kernel = node.at.primitive.kernel
        self.params = node.params
        self.reads = [x.value if type(x) is Literal else Reading(replay, x) for x in node.reads]
        self.output = node.output
        self.base = replay.bases[node.output]

    def __call__(self, values: Values) -> None:
        given = [x(values) if type(x) is Reading else x for x in self.reads]
        with np.errstate(all="ignore"):
            array = np.asarray(self.kernel(*given, **self.params), order="C")
        values.called[self.output] = array
        values.context.bases[self.base] = array.ctypes.data


def _strides(array: Any) -> tuple[int, ...]:
    return tuple(s // array.itemsize for s in array.strides)


def _memory(size: int) -> np.ndarray:
    """Bytes that begin where a register's worth does."""
    block = np.empty(size + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + size]
