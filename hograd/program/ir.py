"""Flat programs of primitives: what capturing makes, passes rewrite, and replaying runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from hograd.core.dispatch import apply
from hograd.program.identity import identity


class Literal(NamedTuple):
    """A Python number among the operands, whose dtype is weak; equal to those of its type and its bits."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return type(other) is Literal and identity(self.value) == identity(other.value)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(identity(self.value))


class Kind(NamedTuple):
    """Shape and dtype of a value."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


class Instruction(NamedTuple):
    """One operation: slot `output` becomes `primitive` of the operands, which are numbers of slots or literals.

    Equal operations of different `scope` are computed each for itself: a checkpoint does so to keep less.
    """

    primitive: Any
    operands: tuple[Any, ...]
    params: dict[str, Any]
    output: int
    line: str
    scope: int = 0

    def reads(self) -> list[int]:
        """The slots among the operands."""
        return [x for x in self.operands if type(x) is int]


@dataclass(frozen=True)
class Program:
    """Instructions without branches, each value in a slot of its own.

    Attributes:
        inputs: slots of the arguments.
        draws: slots of random numbers, each with the function that draws them, in the order of drawing.
        constants: slots of arrays that were fixed when the program was captured.
        instructions: in an order in which every slot is filled before it is read.
        outputs: slots of the answers.
        kinds: shape and dtype of every slot.
        groups: numbers of instructions, in runs of elementwise ones that can be one loop.
        fast_math: whether what rewrites and runs it may change numbers.
    """

    inputs: tuple[int, ...]
    draws: tuple[tuple[int, Callable[[], Any]], ...]
    constants: dict[int, Any]
    instructions: tuple[Instruction, ...]
    outputs: tuple[int, ...]
    kinds: dict[int, Kind]
    groups: tuple[tuple[int, ...], ...] = field(default=())
    fast_math: bool = False

    def with_(self, **changes: Any) -> Program:
        """A copy with other parts."""
        return replace(self, **changes)

    def __str__(self) -> str:
        names = self.names()
        lines = ["program(" + ", ".join(f"{names[s]}: {self.kinds[s]}" for s in self.inputs) + ")"]
        lines += [f"  {names[s]}: {self.kinds[s]} = random draw" for s, _ in self.draws]
        for s, value in self.constants.items():
            shown = f"{value}" if np.size(value) == 1 else "constant"
            lines.append(f"  {names[s]}: {self.kinds[s]} = {shown}")
        for at in self.instructions:
            operands = [names[x] if type(x) is int else repr(x.value) for x in at.operands]
            operands += [f"{key}={value}" for key, value in at.params.items()]
            line = f"  {names[at.output]}: {self.kinds[at.output]} = {at.primitive.name}({', '.join(operands)})"
            lines.append(f"{line:<78}  # {at.line}")
            # The program of a loop's step stands below it.
            for value in at.params.values():
                if isinstance(step := getattr(value, "step", None), Program):
                    lines += [f"    {inner}" for inner in str(step).splitlines()]
        lines.append("  return " + ", ".join(names[s] for s in self.outputs))
        return "\n".join(lines)

    def names(self) -> dict[int, str]:
        """A short name for every slot."""
        names = {s: f"x{i}" for i, s in enumerate(self.inputs)}
        names.update({s: f"r{i}" for i, (s, _) in enumerate(self.draws)})
        names.update({s: f"c{i}" for i, s in enumerate(self.constants)})
        names.update({at.output: f"v{i}" for i, at in enumerate(self.instructions)})
        return names


def evaluate(program: Program, values: Sequence[Any]) -> list[Any]:
    """The answers of a program on values of any level: inputs, and behind them the draws."""
    slots: dict[int, Any] = dict(program.constants)
    slots.update(zip([*program.inputs, *[s for s, _ in program.draws]], values, strict=True))
    for at in program.instructions:
        args = [slots[x] if type(x) is int else x.value for x in at.operands]
        slots[at.output] = apply(at.primitive, args, at.params)
    return [slots[s] for s in program.outputs]


def dead_code(program: Program) -> Program:
    """Without instructions, constants and draws' uses that no answer depends on; draws stay, to keep their order."""
    needed = set(program.outputs)
    kept: list[Instruction] = []
    for at in reversed(program.instructions):
        if at.output in needed:
            kept.append(at)
            needed.update(at.reads())
    constants = {s: v for s, v in program.constants.items() if s in needed}
    return program.with_(instructions=tuple(reversed(kept)), constants=constants)
