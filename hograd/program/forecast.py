"""How much memory what is being captured will take when it runs, known as soon as it is captured."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from hograd.core.levels import state
from hograd.core.tensor import Tensor
from hograd.core.traced import Traced
from hograd.program.ir import Kind, Program
from hograd.program.lifetimes import last_reads, origins
from hograd.program.loops import LOOP, PART, LoopCode, has_loops, trimming
from hograd.program.passes import optimize

#: These show the memory of what they read, or pass it on.
_SHOWN = frozenset({"reshape", "permute", "broadcast_to", "getitem", "after", "clone"})

#: Longer programs are taken as they are, since the passes take time.
_SHORT = 300


def so_far() -> int:
    """How many instructions the program that is being captured has."""
    return len(state.trace.instructions)


def forecast(first: int, answers: Iterable[Any]) -> int:
    """The most bytes that the program which is being captured will hold at a time for some tensors that it computes.

    Counted is what its instructions from number `first` on make and keep for one another, with what their loops stack;
    not what was there before them, nor what is made once of constants, such as the indicator of classes. The passes
    that run later change little of it: what loops keep for their way back is settled when they are captured.
    """
    trace = state.trace
    instructions = trace.instructions[first:]
    made = {at.output for at in instructions}
    read = dict.fromkeys(itertools.chain.from_iterable(at.reads() for at in instructions))
    outside = [s for s in read if s not in made]
    program = Program(
        inputs=tuple(s for s in outside if s not in trace.constants),
        draws=(),
        constants={s: trace.constants[s] for s in outside if s in trace.constants},
        instructions=tuple(instructions),
        outputs=tuple(s for s in map(_slot, answers) if s is not None and s in made),
        kinds=dict(trace.kinds),
        fast_math=trace.fast_math,
    )
    program = trimming(program)
    return most(optimize(program) if len(program.instructions) < _SHORT else program)


def _slot(value: Any) -> int | None:
    """The slot of the program that a tensor of any level rests on."""
    while isinstance(value, Tensor):
        if type(value) is Traced:
            return value.value.number
        value = value.value
    return None


def most(program: Program) -> int:
    """The most bytes that a program holds at a time while it runs, beside its arguments and constants.

    As replays do it: values lie in buffers that are there as long as the program runs, and serve again for values of
    their kind. Loops make room for themselves, and for what they stack where some of them is computed again.
    """
    last, own = last_reads(program), origins(program)
    kept = {o for s in program.outputs for o in own.get(s, (s,))}
    dying: dict[int, list[int]] = {}
    for s, i in last.items():
        dying.setdefault(i, []).append(s)
    parts: dict[int, dict[int, int]] = {}
    for at in program.instructions:
        if at.primitive is PART:
            parts.setdefault(at.operands[0], {})[at.output] = at.params["index"]
    again = any(at.primitive is LOOP and has_loops(at.params["code"].step) for at in program.instructions)
    free: Counter[Kind] = Counter()
    buffered: set[int] = set()
    held: dict[int, int] = {}
    buffers = peak = 0

    def place(s: int, given: Sequence[int] = ()) -> None:
        nonlocal buffers
        kind = program.kinds[s]
        if s in kept:
            held[s] = _bytes(kind)
            return
        buffered.add(s)
        reused = [x for x in given if x in buffered and program.kinds[x] == kind]
        if reused:
            buffered.discard(reused[0])
        elif free[kind]:
            free[kind] -= 1
        else:
            buffers += _bytes(kind)

    for i, at in enumerate(program.instructions):
        if at.primitive is LOOP:
            code: LoopCode = at.params["code"]
            mine, carried = parts.get(at.output, {}), code.step.outputs[: code.carry]
            for s, index in mine.items():
                if index < code.carry or again:
                    held[s] = _bytes(program.kinds[s])
                else:
                    place(s)
            within = most(code.step) + sum(_bytes(code.step.kinds[s]) for s in carried)
            peak = max(peak, sum(held.values()) + within)
        elif at.primitive is not PART and at.primitive.name not in _SHOWN:
            # Written to the place of an operand that is not needed any more.
            place(at.output, [x for x in at.reads() if last.get(x) == i] if at.primitive.kind == "elementwise" else ())
        peak = max(peak, sum(held.values()))
        for s in dying.get(i, ()):
            held.pop(s, None)
            if s in buffered:
                buffered.discard(s)
                free[program.kinds[s]] += 1
    return buffers + peak


def _bytes(kind: Kind) -> int:
    return 0 if kind.dtype == object else math.prod(kind.shape) * kind.dtype.itemsize
