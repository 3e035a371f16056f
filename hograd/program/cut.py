"""A program with its derivative, cut into a forward and a backward one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hograd.program.ir import Instruction, Program
from hograd.program.passes import dead_code

#: These only show other values' memory.
_SHOWN = frozenset({"reshape", "permute", "broadcast_to", "getitem"})

#: What backward computes again instead of having forward keep it, since that is as fast as memory.
CHEAP = _SHOWN | {
    *("add", "sub", "mul", "div", "neg", "abs", "square", "maximum", "minimum", "relu"),
    *("where", "eq", "ne", "lt", "le", "gt", "ge", "astype", "convert", "gather_index"),
}

#: Fewer bytes are kept whatever they are.
_FEW = 512

#: How many operations it may take to compute a value again.
_MOST_AGAIN = 8


class Cut(NamedTuple):
    """The two halves of a joint program.

    Attributes:
        forward: from the arguments to the answers, and behind them the residuals.
        backward: from the arguments, the residuals and the cotangents to the cotangents of the arguments.
    """

    forward: Program
    backward: Program


Free = Callable[[set[int]], tuple[set[int], set[int]]]
"""From what backward reads: the slots that it has without their being kept, and those that it costs nothing to keep."""


def cut(joint: Program, arguments: int, answers: int, free: Free | None = None) -> Cut:
    """Cut a program where the cotangents come in.

    Args:
        joint: its inputs are the arguments and then the cotangents of the answers; its outputs are the answers and
            then the cotangents of the arguments.
        arguments: how many inputs are arguments.
        answers: how many outputs are answers.
        free: what backward has anyway: by default all arguments.
    """
    inputs, cotangents = joint.inputs[:arguments], joint.inputs[arguments:]
    behind = set(cotangents)
    forward: list[Instruction] = []
    backward: list[Instruction] = []
    for at in joint.instructions:
        if any(x in behind for x in at.reads()):
            behind.add(at.output)
            backward.append(at)
        else:
            forward.append(at)
    read = _reads(backward, joint.outputs[answers:])
    there, costless = (set(inputs), set[int]()) if free is None else free(read)
    kept, again = _kept(joint, {at.output: at for at in forward}, read, there | set(joint.constants), costless)
    repeated = [at for at in forward if at.output in again]
    return Cut(
        dead_code(
            joint.with_(
                inputs=inputs,
                instructions=tuple(forward),
                outputs=(*joint.outputs[:answers], *kept),
                groups=(),
            )
        ),
        dead_code(
            joint.with_(
                inputs=(*inputs, *kept, *cotangents),
                instructions=(*repeated, *backward),
                outputs=joint.outputs[answers:],
                groups=(),
            )
        ),
    )


def _kept(
    program: Program, made: dict[int, Instruction], read: set[int], there: set[int], costless: set[int]
) -> tuple[tuple[int, ...], set[int]]:
    """What forward keeps, and what backward computes again from it and from what is there."""
    kept = (read & set(made)) - there
    again: set[int] = set()
    while True:
        #: For values that are not kept: what could be computed again if they were.
        instead: dict[int, list[int]] = {}
        for s in sorted(kept, reverse=True):
            if s in costless or (_bytes(program, s) < _FEW and made[s].primitive.name not in _SHOWN):
                continue
            steps, few, missing = _from_others(program, made, s, kept | again | there, costless)
            if len(steps) > _MOST_AGAIN or len(missing) > 1:
                continue
            for x in missing:
                instead.setdefault(x, []).append(s)
            if not missing:
                kept = (kept - {s}) | few
                again |= steps
        better = [x for x, values in instead.items() if sum(_bytes(program, s) for s in values) > _bytes(program, x)]
        if not better:
            return tuple(sorted(kept)), again
        kept.add(better[0])


def _from_others(
    program: Program, made: dict[int, Instruction], s: int, known: set[int], costless: set[int]
) -> tuple[set[int], set[int], set[int]]:
    """How a value follows from known ones: by which cheap operations, from which small values, and what is missing."""
    waiting, steps, few, missing = [s], set[int](), set[int](), set[int]()
    while waiting and len(steps) <= _MOST_AGAIN:
        x = waiting.pop()
        if x != s and x in known:
            continue
        if x not in costless and x in made and made[x].primitive.name in CHEAP:
            if x not in steps:
                steps.add(x)
                waiting += made[x].reads()
        elif x in costless or (x in made and _bytes(program, x) < _FEW):
            few.add(x)
        else:
            missing.add(x)
            if x not in made or x == s:
                # An argument that is not there, or nothing cheap, which one more value does not help.
                return steps, few, {s, x, -1}
    return steps, few, missing


def _bytes(program: Program, s: int) -> int:
    kind = program.kinds[s]
    return math.prod(kind.shape) * kind.dtype.itemsize


def _reads(instructions: Sequence[Instruction], outputs: Sequence[int]) -> set[int]:
    return set(outputs).union(*[at.reads() for at in instructions])
