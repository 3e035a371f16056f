"""Programs as machine code, with NumPy's calls in between for what it does not compute."""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hograd.core.restoring import silent
from hograd.errors import IndexingError
from hograd.program.ir import Literal, Program
from hograd.program.native import threads
from hograd.program.native.assemble import (
    ARENA,
    DGEMM,
    FLAG,
    LOCAL,
    SGEMM,
    Assembler,
    Code,
    Linker,
    Module,
    Steps,
    the_driver,
)
from hograd.program.native.lower import Lowering, Node
from hograd.program.native.memory import ALIGNMENT, Plan
from hograd.program.native.nested import lower_loop
from hograd.program.native.products import blas_address
from hograd.program.native.schedule import Schedule
from hograd.program.native.views import View
from hograd.program.passes import optimize

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
        lowering = Lowering(program, loop=lower_loop)
        schedule = Schedule(lowering)
        self.plan = plan = Plan(lowering, schedule)
        self.kinds = plan.kinds
        self.arguments = [*program.inputs, *[s for s, _ in program.draws]]
        self.constants = {s: np.asarray(v, order="C") for s, v in lowering.constants.items()}
        #: Answers that machine code fills, by their number: shape and dtype of the memory.
        direct = {block: root for root, (block, _) in plan.places.items() if type(block) is int}
        self.direct = {j: self.kinds[root] for j, root in sorted(direct.items())}
        count = itertools.count(FLAG + 1)
        bases: dict[Any, int] = {s: next(count) for s in self.constants}
        self.first = next(count)
        new = [*[("output", j) for j in self.direct], *self.arguments]
        bases.update({key: self.first + i for i, key in enumerate(new)})
        count = itertools.count(self.first + len(new))
        called = [segment.call.output for segment in schedule.segments if segment.call is not None]
        bases.update({s: next(count) for s in called})
        self.bases = bases
        #: Arrays whose addresses are those of bases.
        self.fixed: dict[int, Any] = {bases[s]: array for s, array in self.constants.items()}
        module = Module()
        assembler = Assembler(plan, bases, module, count, self.fixed)
        self.steps: list[Any] = []
        for segment in schedule.segments:
            self._append(assembler.code(segment) if segment.call is None else [Call(self, segment.call)])
        self.source = module.text()
        linker = Linker(self.source)
        self.linker = linker
        codes = [step for step in self.steps if type(step) is not Call]
        for code in codes:
            code.link(linker)
        self.longest = max([1, *[code.longest for code in codes]])
        self.driver = the_driver()
        self.base_count = next(count)
        self.blas = (
            {base: blas_address(base == SGEMM) for base in (SGEMM, DGEMM)} if "call void %a3" in self.source else {}
        )
        self.objects = ctypes.py_object * len(new)
        self.finish = [
            self._answer(j, view, self.kinds[s].shape)
            for j, (s, view) in enumerate(zip(program.outputs, lowering.outputs, strict=True))
        ]
        self.waiting: list[Context] = []

    def _append(self, codes: Sequence[Any]) -> None:
        """Add code: what runs in one thread is one sequence."""
        for code in codes:
            shared = type(code) is Code and code.batch > 1 and self._threads(code) > 1
            if type(code) is Call or shared:
                self.steps.append(code)
            elif self.steps and type(self.steps[-1]) is Steps:
                self.steps[-1].items.append(code)
            else:
                self.steps.append(Steps([code]))

    def _threads(self, code: Code) -> int:
        return min(self.most_threads, code.batch, 1 + code.work * code.batch // WORTH_A_THREAD)

    def _answer(self, j: int, view: View, shape: tuple[int, ...]) -> Callable[[Values], Any]:
        """How an answer is taken from what has been computed."""
        if j in self.direct:
            if not shape:
                return lambda values: values.outputs[j].reshape(())[()]
            if shape != self.direct[j].shape:
                return lambda values: values.outputs[j].reshape(shape)
            return lambda values: values.outputs[j]
        read = Reading(self, view)
        if view.root in self.constants or view.root in self.arguments:
            return read
        return lambda values: np.array(read(values))[()]

    def __call__(self, *given: Any) -> list[Any]:
        """The answers for arrays: inputs, then draws."""
        try:
            context = self.waiting.pop()
        except IndexError:
            context = Context(self)
        outputs = {j: np.empty(shape, dtype) for j, (shape, dtype) in self.direct.items()}
        arrays = [np.asarray(x, order="C") for x in given]
        objects = self.objects(*outputs.values(), *arrays)
        if objects:
            self.driver.enter(context.address + 8 * self.first, ctypes.addressof(objects), len(objects))
        values = Values(context, outputs, arrays)
        for step in self.steps:
            if type(step) is Steps:
                self.driver.sequence(step.address, context.address, context.places[0])
            elif type(step) is Code:
                self._together(step, values)
            else:
                step(values)
        if context.flag[0]:
            raise IndexingError(f"{self.name}: an index or a class is out of range.")
        answers = [finish(values) for finish in self.finish]
        # Where an exception leaves, the context is dropped: nobody knows what is in it.
        self.waiting.append(context)
        return answers

    def _together(self, code: Code, values: Values) -> None:
        """Run a segment along the batch in several threads."""
        context = values.context
        context.counter[0] = 0
        jobs = []
        for thread in range(self._threads(code)):
            context.share(thread)
            jobs.append((code.address, context.addresses[thread], context.places[thread], context.counter.ctypes.data))
        threads.together(self.driver.run, jobs, (self, values))


class Values:
    """What there is during a call."""

    __slots__ = ("arrays", "called", "context", "outputs")

    def __init__(self, context: Context, outputs: dict[int, Any], arrays: list[Any]) -> None:
        self.context = context
        self.outputs = outputs
        self.arrays = arrays
        self.called: dict[int, Any] = {}


class Context:
    """The memory of one call; there are as many as there are calls at one time.

    Attributes:
        bases: addresses that offsets count from; `addresses` are those of this table for each thread.
        tables: for each thread the addresses that a segment's functions take.
        counter: how many chunks of a batch have been taken.
        flag: not 0 if a position was out of range.
    """

    def __init__(self, replay: NativeReplay) -> None:
        sizes, count = replay.plan.sizes, replay.most_threads
        self.arena = _memory(sizes["arena"])
        self.locals = [_memory(sizes["local"]) for _ in range(count)]
        self.bases = np.zeros(replay.base_count, np.int64)
        self.bases[ARENA], self.bases[LOCAL] = self.arena.ctypes.data, self.locals[0].ctypes.data
        self.flag = np.zeros(1, np.int64)
        self.bases[FLAG] = self.flag.ctypes.data
        for base, address in replay.blas.items():
            self.bases[base] = address
        for base, array in replay.fixed.items():
            self.bases[base] = array.ctypes.data
        self.all_bases = [self.bases, *[self.bases.copy() for _ in range(count - 1)]]
        self.addresses = [b.ctypes.data for b in self.all_bases]
        self.address = self.addresses[0]
        self.tables = [np.empty(replay.longest, np.int64) for _ in range(count)]
        self.places = [t.ctypes.data for t in self.tables]
        self.counter = np.zeros(1, np.int64)

    def share(self, thread: int) -> None:
        """Give a thread all addresses, and its own memory."""
        if thread:
            self.all_bases[thread][:] = self.bases
            self.all_bases[thread][LOCAL] = self.locals[thread].ctypes.data


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

    def __call__(self, values: Values) -> Any:
        array = self._root(values)
        if self.kind.dtype == object:
            return array
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
                return values.outputs[block]
            size = math.prod(self.kind.shape) * self.kind.dtype.itemsize
            return values.context.arena[start : start + size].view(self.kind.dtype).reshape(self.kind.shape)
        if self.fixed is not None:
            return self.fixed
        if self.argument is not None:
            return values.arrays[self.argument]
        return values.called[self.root]


class Call:
    """An operation that NumPy computes."""

    def __init__(self, replay: NativeReplay, node: Node) -> None:
        assert node.at is not None
        self.kernel: Callable[..., Any] = node.at.primitive.kernel
        self.params = node.params
        if node.name == "loop":
            self.kernel, self.params = Loop(node.params["code"], replay), {}
        self.reads = [x.value if type(x) is Literal else Reading(replay, x) for x in node.reads]
        self.output = node.output
        self.base = replay.bases[node.output]

    def __call__(self, values: Values) -> None:
        given = [x(values) if type(x) is Reading else x for x in self.reads]
        with silent():
            answer = self.kernel(*given, **self.params)
        if isinstance(answer, list):
            # Several, of a loop.
            values.called[self.output] = answer
            return
        array = np.asarray(answer, order="C")
        values.called[self.output] = array
        values.context.bases[self.base] = array.ctypes.data


class Loop:
    """A loop with steps in which NumPy computes something, from Python."""

    def __init__(self, code: Any, replay: NativeReplay) -> None:
        self.code = code
        self.step = NativeReplay(optimize(code.step), replay.name, replay.most_threads)

    def __call__(self, *given: Any) -> list[Any]:
        code, end = self.code, self.code.consts + self.code.carry
        consts, carry, slices = given[: code.consts], list(given[code.consts : end]), given[end:]
        stacked = [np.empty(shape, dtype) for shape, dtype in code.kinds()[code.carry :]]
        for t in range(code.length - 1, -1, -1) if code.reverse else range(code.length):
            answers = self.step(*consts, *carry, *[x[t] for x in slices])
            carry = answers[: code.carry]
            for all_answers, answer in zip(stacked, answers[code.carry :], strict=True):
                all_answers[t] = answer
        return [*carry, *stacked]


def _strides(array: Any) -> tuple[int, ...]:
    return tuple(s // array.itemsize for s in array.strides)


def _memory(size: int) -> np.ndarray:
    """Bytes that begin where a register's worth does."""
    block = np.empty(size + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + size]
