"""A program with its derivative, cut into a forward and a backward one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hograd.program.ir import Instruction, Program
from hograd.program.passes import dead_code

#: What backward computes again instead of having forward keep it: these only show other values' memory.
CHEAP = frozenset({"reshape", "permute", "broadcast_to", "getitem"})


class Cut(NamedTuple):
    """The two halves of a joint program.

    Attributes:
        forward: from the arguments to the answers, and behind them the residuals.
        backward: from the arguments, the residuals and the cotangents to the cotangents of the arguments.
    """

    forward: Program
    backward: Program


def cut(joint: Program, arguments: int, answers: int) -> Cut:
    """Cut a program where the cotangents come in.

    Args:
        joint: its inputs are the arguments and then the cotangents of the answers; its outputs are the answers and
            then the cotangents of the arguments.
        arguments: how many inputs are arguments.
        answers: how many outputs are answers.
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
    made = {at.output: at for at in forward}
    needed = _reads(backward, joint.outputs[answers:]) & set(made)
    again: set[int] = set()
    waiting = list(needed)
    while waiting:
        s = waiting.pop()
        if made[s].primitive.name in CHEAP and s not in again:
            again.add(s)
            more = {x for x in made[s].reads() if x in made} - needed
            needed |= more
            waiting += more
    residuals = tuple(sorted(needed - again))
    repeated = [at for at in forward if at.output in again]
    return Cut(
        dead_code(
            joint.with_(
                inputs=inputs,
                instructions=tuple(forward),
                outputs=(*joint.outputs[:answers], *residuals),
                groups=(),
            )
        ),
        dead_code(
            joint.with_(
                inputs=(*inputs, *residuals, *cotangents),
                instructions=(*repeated, *backward),
                outputs=joint.outputs[answers:],
                groups=(),
            )
        ),
    )


def _reads(instructions: Sequence[Instruction], outputs: Sequence[int]) -> set[int]:
    return set(outputs).union(*[at.reads() for at in instructions])
