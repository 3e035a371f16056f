"""Loops as instructions of a program: a program for one step, run many times on slices of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hograd.program.ir import Instruction, Kind, Program, dead_code


class Machinery:
    """What an instruction needs of a primitive, for those that users never call and that transforms never see."""

    differentiable = False
    kind = "machinery"

    def __init__(self, name: str, kernel: Callable[..., Any]) -> None:
        self.name = name
        self.kernel = kernel

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


class Answers(list[Any]):
    """What a loop gives: the carry at its end, and then what its steps gave. Looks to a program like a number."""

    shape = ()
    dtype = np.dtype(object)
    nbytes = 0


ANSWERS = Kind((), Answers.dtype)


@dataclass(frozen=True, eq=False)
class LoopCode:
    """A loop: how often, and the program of one step.

    Attributes:
        step: its inputs are constants of the loop, then what is carried, then slices; its outputs the new carry, and
            then what is stacked.
        consts: how many inputs are constants. carry: how many are carried.
        length: number of steps, at least 1.
        reverse: whether the first step takes the last slices.
        of: the function of a step, and how many constants it takes, where these and the values that come in tell all
            that comes out.
    """

    step: Program
    consts: int
    carry: int
    length: int
    reverse: bool = False
    of: tuple[Any, int] | None = field(default=None, repr=False)
    made: dict[bool, Callable[..., list[Any]]] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return f"<{len(self.step.instructions)} instructions, {self.length} times>"

    @property
    def steps(self) -> range:
        """The numbers of the slices, in the order in which they are taken."""
        return range(self.length - 1, -1, -1) if self.reverse else range(self.length)

    def kinds(self) -> list[Kind]:
        """Shapes and dtypes of the answers."""
        kinds = [self.step.kinds[s] for s in self.step.outputs]
        return [
            *kinds[: self.carry],
            *[Kind((self.length, *kind.shape), kind.dtype) for kind in kinds[self.carry :]],
        ]

    def run(self, *values: Any, stacks: Sequence[Any] | None = None) -> Answers:
        """The answers for arrays: constants, what is carried, and what is sliced along the first axis.

        Args:
            stacks: for each answer that is stacked the array that it is to be written to, or None for a new one.
        """
        stacks = stacks or (None,) * (len(self.step.outputs) - self.carry)
        try:
            return Answers(self.compiled(scalars=True)(*values, *stacks))
        except (ArithmeticError, ValueError):
            # Python's numbers refuse what NumPy's answer with inf or nan.
            return Answers(self.compiled(scalars=False)(*values, *stacks))

    def compiled(self, *, scalars: bool) -> Callable[..., list[Any]]:
        """The generated code, with numbers of Python's or NumPy's."""
        if scalars not in self.made:
            from hograd.program.loop_numpy import generated

            self.made[scalars] = generated(self, scalars=scalars)
        return self.made[scalars]


#: The answers of a loop, from its constants, what it carries at its beginning, and what it slices.
LOOP = Machinery("loop", lambda *values, code: code.run(*values))
#: One of the answers.
PART = Machinery("part", lambda answers, index: answers[index])


def has_loops(program: Program) -> bool:
    """Whether some instruction of a program is a loop."""
    return any(at.primitive is LOOP for at in program.instructions)


def trimming(program: Program) -> Program:
    """Without the parts of loops that nothing needs: what they stack, carry and take."""
    if not has_loops(program):
        return program
    while (smaller := _trimmed(program)) is not program:
        program = smaller
    return dead_code(program)


def _trimmed(program: Program) -> Program:
    parts: dict[int, list[Instruction]] = {}
    live = needed(program, program.outputs)
    for at in program.instructions:
        if at.primitive is PART and at.output in live:
            parts.setdefault(at.operands[0], []).append(at)
    changed: dict[int, Instruction] = {}
    moved: dict[int, Instruction] = {}
    for at in program.instructions:
        if at.primitive is not LOOP or at.output not in live:
            continue
        code: LoopCode = at.params["code"]
        mine = parts.get(at.output, [])
        wanted = {part.params["index"] for part in mine}
        smaller, inputs, outputs = without(code, wanted)
        if smaller is code:
            continue
        changed[at.output] = at._replace(operands=tuple(at.operands[i] for i in inputs), params={"code": smaller})
        places = {old: new for new, old in enumerate(outputs)}
        for part in mine:
            moved[part.output] = part._replace(params={"index": places[part.params["index"]]})
    if not changed:
        return program
    return program.with_(
        instructions=tuple(
            changed.get(at.output, moved.get(at.output, at)) for at in program.instructions if at.output in live
        ),
        groups=(),
    )


def without(code: LoopCode, wanted: set[int]) -> tuple[LoopCode, list[int], list[int]]:
    """A loop that gives the wanted answers alone, and the numbers of its inputs and outputs in the whole one."""
    step, carried = code.step, code.consts + code.carry
    keep = set(wanted)
    while True:
        live = needed(step, [step.outputs[i] for i in keep])
        more = {i for i in range(code.carry) if step.inputs[code.consts + i] in live} - keep
        if not more:
            break
        keep |= more
    outputs = sorted(keep)
    inputs = [
        i
        for i, s in enumerate(step.inputs)
        if (s in live if i < code.consts or i >= carried else i - code.consts in keep)
    ]
    if len(outputs) == len(step.outputs) and len(inputs) == len(step.inputs):
        return code, inputs, outputs
    smaller = LoopCode(
        step.with_(
            inputs=tuple(step.inputs[i] for i in inputs),
            outputs=tuple(step.outputs[i] for i in outputs),
            instructions=tuple(at for at in step.instructions if at.output in live),
            constants={s: v for s, v in step.constants.items() if s in live},
            groups=(),
        ),
        sum(i < code.consts for i in inputs),
        sum(i < code.carry for i in outputs),
        code.length,
        code.reverse,
    )
    return smaller, inputs, outputs


def needed(program: Program, outputs: Sequence[int]) -> set[int]:
    """The slots that some values depend on, and those themselves."""
    live = set(outputs)
    for at in reversed(program.instructions):
        if at.output in live:
            live.update(at.reads())
    return live


def depending(program: Program, slots: Sequence[int]) -> set[int]:
    """The slots that depend on some, and those themselves."""
    behind = set(slots)
    for at in program.instructions:
        if not behind.isdisjoint(at.reads()):
            behind.add(at.output)
    return behind
