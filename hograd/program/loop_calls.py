"""A loop within a function that is being captured: its step is a program, and so is that of each of its derivatives.

Derivatives and batches of a loop are loops again, whose step is the derivative or the batch of the step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hograd.core.custom import Values, has_level
from hograd.core.custom import evaluate as evaluate_call
from hograd.core.dispatch import bare, wrap
from hograd.core.levels import state
from hograd.core.primitive import ops
from hograd.core.restoring import silent
from hograd.core.traced import Traced, user_line
from hograd.program.closed import Closed, closed, example_of
from hograd.program.derived import ProgramCall, Residue, Settings, Staged
from hograd.program.factors import of_step
from hograd.program.ir import Instruction
from hograd.program.known import known
from hograd.program.loops import ANSWERS, LOOP, PART, Answers, LoopCode, depending

Floats = Sequence[bool]


class Loop:
    """A function of tensors that is one step of a loop: of constants, what is carried, and slices.

    Attributes:
        function: returns a list: what is carried on, and then what is stacked.
        consts, carry: how many arguments are constants, and are carried; all others are slices.
        closure: the number of constants at the end that came in through a closure.
    """

    def __init__(
        self, function: Callable[..., list[Any]], name: str, consts: int, carry: int, length: int, reverse: bool
    ) -> None:
        self.function = function
        self.name = name
        self.consts = consts
        self.carry = carry
        self.length = length
        self.reverse = reverse
        self.staged = Staged(function, name, Settings())
        self.captured: dict[Any, Closed] = {}
        #: See `LoopCode`.
        self.of: tuple[Any, int] | None = None

    @property
    def first_slice(self) -> int:
        return self.consts + self.carry

    def examples(self, values: Values) -> list[Any]:
        """Arrays like the arguments of one step."""
        shown = [example_of(v) for v in values]
        return [x if i < self.first_slice else x[0] for i, x in enumerate(shown)]

    def capture(self, values: Values) -> Closed:
        """One step, captured on its own."""
        examples = self.examples(values)
        key = _kinds(examples)
        if key not in self.captured:
            self.know(values, closed(self.function, examples, self.name))
        return self.captured[key]

    def know(self, values: Values, step: Closed) -> None:
        """Take a step that has been captured for such values."""
        self.captured[_kinds(self.examples(values))] = step._replace(program=of_step(step.program, self.consts))

    def run(self, values: Values) -> list[Any]:
        """The answers for values of the program that is being captured."""
        step = self.capture(values)
        return place(step.program, self, values, step.examples)

    def reached(self, values: Values, given: Floats) -> tuple[bool, ...]:
        """Which floating arguments depend on the given ones in some step: more of what is carried may."""
        program = self.capture(values).program
        wanted = list(given)
        floats = [program.kinds[s].dtype.kind in "fc" for s in program.inputs]
        while True:
            behind = depending(program, [s for s, w in zip(program.inputs, wanted, strict=True) if w])
            more = [
                i
                for i in range(self.consts, self.first_slice)
                if not wanted[i] and floats[i] and program.outputs[i - self.consts] in behind
            ]
            if not more:
                return tuple(w and f for w, f in zip(wanted, floats, strict=True))
            for i in more:
                wanted[i] = True

    def floating(self, values: Values) -> list[bool]:
        """Which answers have a derivative."""
        program = self.capture(values).program
        return [program.kinds[s].dtype.kind in "fc" for s in program.outputs]

    def other(self, function: Callable[..., list[Any]], suffix: str, consts: int, carry: int, *, back: bool) -> Loop:
        """A loop over the same steps, the other way round if `back`."""
        return Loop(function, f"{self.name}{suffix}", consts, carry, self.length, self.reverse != back)


def _kinds(values: Values) -> tuple[Any, ...]:
    return tuple((tuple(np.shape(x)), x.dtype) for x in values)


def split(loop: Loop, values: Values) -> tuple[list[Any], list[Any], list[Any]]:
    """What a loop takes: constants, what is carried, and what is sliced."""
    return (
        list(values[: loop.consts]),
        list(values[loop.consts : loop.first_slice]),
        list(values[loop.first_slice :]),
    )


def place(program: Any, loop: Loop, values: Values, examples: Sequence[Any]) -> list[Any]:
    """Put a loop over the steps that `program` describes into the program that is being captured."""
    changed, more = known(program, values, loop.consts, loop.carry, loop.length, reverse=loop.reverse)
    if changed is not program:
        program = of_step(changed, loop.consts)
    values = outside(program, loop.consts, [*values, *more])
    program, hoisted = values.pop(), values.pop()
    code = LoopCode(program, loop.consts + hoisted, loop.carry, loop.length, loop.reverse, of=loop.of)
    shown = [y if i < loop.carry else np.broadcast_to(y, (loop.length, *np.shape(y))) for i, y in enumerate(examples)]
    return put(code, values, shown)


def put(code: LoopCode, values: Values, examples: Sequence[Any]) -> list[Any]:
    """The instructions of a loop and of its answers, in the program that is being captured."""
    trace, line = state.trace, user_line()
    operands = []
    for v in values:
        v = bare(v)
        operands.append(v.value.number if type(v) is Traced else trace.operand(np.asarray(v)[()]))
    answers = trace.slot(Answers(examples), line)
    trace.kinds[answers.number] = ANSWERS
    trace.instructions.append(Instruction(LOOP, tuple(operands), {"code": code}, answers.number, line))
    parts = []
    for i, example in enumerate(examples):
        slot = trace.slot(example, line)
        trace.instructions.append(Instruction(PART, (answers.number,), {"index": i}, slot.number, line))
        parts.append(Traced(slot))
    return parts


def outside(program: Any, consts: int, values: Values) -> list[Any]:
    """What depends on constants of a loop alone, computed before it.

    Returns:
        The values with these behind the constants, how many there are, and the program with them as arguments.
    """
    fixed = set(program.inputs[:consts]) | set(program.constants)
    early = []
    for at in program.instructions:
        if at.primitive not in (LOOP, PART) and at.reads() and fixed.issuperset(at.reads()):
            fixed.add(at.output)
            early.append(at)
    made = {at.output for at in early}
    rest = [at for at in program.instructions if at.output not in made]
    read = {x for at in rest for x in at.reads()} | set(program.outputs)
    entering = [s for s in made if s in read]
    if not entering:
        return [*values, 0, program]
    known: dict[int, Any] = dict(program.constants)
    known.update(zip(program.inputs, values, strict=True))
    for at in early:
        operands = [known[x] if type(x) is int else x.value for x in at.operands]
        known[at.output] = apply_here(at, operands)
    inputs = program.inputs
    smaller = program.with_(inputs=(*inputs[:consts], *entering, *inputs[consts:]), instructions=tuple(rest), groups=())
    return [*values[:consts], *[known[s] for s in entering], *values[consts:], len(entering), smaller]


def apply_here(at: Instruction, operands: Sequence[Any]) -> Any:
    """An instruction of another program, in the one that is being captured."""
    if all(type(bare(x)) is not Traced for x in operands):
        with silent():
            return at.primitive.kernel(*map(bare, operands), **at.params)
    return state.trace.record(at.primitive, operands, at.params)


def call(loop: Loop, values: Values) -> list[Any]:
    """The answers of a loop on values of any level."""
    if not any(map(has_level, values)):
        return [wrap(y) for y in loop.run(values)]
    return [wrap(y) for y in evaluate_call(LoopCall(loop, values), values)[0]]


class LoopCall(ProgramCall):
    """One run of a loop, as tapes record it while it is being captured."""

    __slots__ = ("loop",)

    def __init__(self, loop: Loop, args: Values) -> None:
        super().__init__(loop.staged, args)
        self.loop = loop

    def evaluate(self, args: Values) -> tuple[list[Any], Any]:
        values = [bare(x) for x in args]
        if not self.recorded:
            outputs = self.loop.run(values)
            return outputs, Residue(self, outputs)
        from hograd.program.loop_reverse import Reversal

        reversal = Reversal(self.loop, self.tracked, values)
        outputs = reversal.forward()
        return outputs, Residue(self, outputs, kept=reversal)

    def batched(self, size: int, inputs: list[Any], axes: list[int | None], randomness: str) -> list[Any]:
        loop = self.loop
        new = []
        for i, (x, axis) in enumerate(zip(inputs, axes, strict=True)):
            x = wrap(x)
            if loop.consts <= i < loop.first_slice and axis is None:
                x = ops.broadcast_to(x, (size, *x.shape))
            elif i >= loop.first_slice and axis is not None:
                x = ops.swapaxes(x, 0, 1)
            new.append(x)
        within = tuple(0 if loop.consts <= i < loop.first_slice else axis for i, axis in enumerate(axes))
        mapped = loop.staged.mapped(within).function
        answers = call(loop.other(mapped, " of a batch", loop.consts, loop.carry, back=False), list(map(bare, new)))
        return [bare(y if i < loop.carry else ops.swapaxes(y, 0, 1)) for i, y in enumerate(answers)]

    def backward(self, residue: Any, cotangents: list[Any]) -> Sequence[Any]:
        inputs = [bare(x) for x in residue.inputs]
        weights = [None if g is None else bare(g) for g in cotangents]
        from hograd.program.loop_reverse import pulled

        if residue.kept is not None and not any(map(has_level, [*inputs, *weights])):
            found = residue.kept.backward(weights)
        else:
            found = pulled(self.loop, self.tracked, inputs, weights)
        return [wrap(g) if tracked else None for g, tracked in zip(found, self.tracked, strict=True)]

    def tangent(self, residue: Any, tangents: list[Any]) -> Sequence[Any]:
        loop, inputs = self.loop, [wrap(x) for x in residue.inputs]
        given = [t is not None and t.dtype.kind in "fc" for t in tangents]
        moving = loop.reached(list(map(bare, inputs)), given)
        floats = loop.floating(list(map(bare, inputs)))
        count = len(inputs)
        pushed = loop.staged.pushed(moving).function
        carried = [i for i in range(loop.consts, loop.first_slice) if moving[i]]

        def step(*values: Any) -> list[Any]:
            consts, carry, slices = values[:consts_], values[consts_:slices_], values[slices_:]
            primals = [*consts[: loop.consts], *carry[: loop.carry], *slices[: count - loop.first_slice]]
            directions = [
                *consts[loop.consts :], *carry[loop.carry :], *slices[count - loop.first_slice :],
            ]  # fmt: skip
            answers = list(loop.function(*primals))
            pushes = iter(pushed(*primals, *directions))
            found = [next(pushes) if f else None for f in floats]
            return [
                *answers[: loop.carry],
                *[found[i - loop.consts] for i in carried],
                *[t for t in found[loop.carry :] if t is not None],
            ]

        directions = [
            ops.zeros_like(x) if t is None else wrap(t) for x, t, m in zip(inputs, tangents, moving, strict=True) if m
        ]
        some = [i for i, m in enumerate(moving) if m]
        of_consts = [d for i, d in zip(some, directions, strict=True) if i < loop.consts]
        of_carry = [d for i, d in zip(some, directions, strict=True) if loop.consts <= i < loop.first_slice]
        of_slices = [d for i, d in zip(some, directions, strict=True) if i >= loop.first_slice]
        consts, carry, slices = split(loop, inputs)
        consts_ = len(consts) + len(of_consts)
        slices_ = consts_ + len(carry) + len(of_carry)
        answers = call(
            loop.other(step, "'s tangent", consts_, slices_ - consts_, back=False),
            [*consts, *of_consts, *carry, *of_carry, *slices, *of_slices],
        )[loop.carry :]
        found = iter(answers)
        pushes = {i - loop.consts: next(found) for i in carried}
        pushes.update({i: next(found) for i, f in enumerate(floats) if f and i >= loop.carry})
        return [pushes.get(i) for i in range(len(floats))]
