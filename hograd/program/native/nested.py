"""Loops within a program: the program of one step, and where what it takes and gives lies in each."""

from __future__ import annotations

import math
from typing import NamedTuple

from hograd.program.ir import Instruction, Kind
from hograd.program.native.emit import BOOL
from hograd.program.native.lower import Lowering, Node
from hograd.program.native.memory import ALIGNMENT, Plan
from hograd.program.native.schedule import Schedule
from hograd.program.native.views import View, is_contiguous
from hograd.program.passes import optimize


class Place(NamedTuple):
    """Memory that one step reads or fills: a slot, bytes from there in the first step, and to that of the next."""

    root: int
    offset: int
    move: int


class Carried(NamedTuple):
    """A value that goes from step to step: where it begins, its slot, that of its successor, and bytes."""

    begin: Place
    slot: int
    new: int
    size: int


class Nested(NamedTuple):
    """A loop.

    Attributes:
        times: number of steps.
        lowering, schedule, plan: of one step.
        inputs: of one step.
        outputs: of one step; those that are carried lie in `new` of `carried`.
        carried: what goes from step to step.
        scratch: the slot in which one step has its memory.
    """

    times: int
    lowering: Lowering
    schedule: Schedule
    plan: Plan
    inputs: list[Place]
    outputs: list[Place]
    carried: list[Carried]
    scratch: int


def lower_loop(outer: Lowering, at: Instruction) -> list[int] | None:
    """Add a loop to a program's nodes; the slots of its answers, or None where NumPy has to compute something in it."""
    code = at.params["code"]
    step = optimize(code.step)
    lowering = Lowering(step, own_answers=True, loop=lower_loop)
    if not lowering.complete or not all(type(x) is int for x in at.operands):
        return None
    given = [_in_order(outer, outer.views[x]) for x in at.operands]
    if any(x is None for x in given):
        return None
    reads: list[View] = [x for x in given if x is not None]
    schedule = Schedule(lowering)
    plan = Plan(lowering, schedule)
    scratch = outer.new((plan.sizes["arena"] + plan.sizes["local"] + ALIGNMENT,), BOOL)
    answers = [outer.new(kind.shape, kind.dtype) for kind in code.kinds()]
    last = code.length - 1

    def sliced(root: int, offset: int, size: int) -> Place:
        return Place(root, offset + (last * size if code.reverse else 0), -size if code.reverse else size)

    end = code.consts + code.carry
    inputs, carried, new = [], [], []
    for i, (x, s) in enumerate(zip(reads, step.inputs, strict=True)):
        size, offset = _bytes(step.kinds[s]), x.offset * step.kinds[s].dtype.itemsize
        if code.consts <= i < end:
            j = i - code.consts
            new.append(outer.new(*step.kinds[s]))
            carried.append(Carried(Place(x.root, offset, 0), answers[j], new[j], size))
            inputs.append(Place(answers[j], 0, 0))
        else:
            inputs.append(Place(x.root, offset, 0) if i < code.consts else sliced(x.root, offset, size))
    outputs = [Place(s, 0, 0) for s in new]
    for s, root in zip(step.outputs[code.carry :], answers[code.carry :], strict=True):
        outputs.append(sliced(root, 0, _bytes(step.kinds[s])))
    nested = Nested(code.length, lowering, schedule, plan, inputs, outputs, carried, scratch)
    node = Node("loop", "loop", {"nested": nested}, list(reads), scratch, (), (), None, more=(*answers, *new))
    outer.nodes.append(node)
    return answers


def _in_order(lowering: Lowering, view: View) -> View | None:
    """A value with its elements one after another: itself or a copy; None where machine code cannot copy it."""
    if is_contiguous(view.shape, view.strides):
        return view
    return lowering.copied(view)


def _bytes(kind: Kind) -> int:
    return math.prod(kind.shape) * kind.dtype.itemsize
