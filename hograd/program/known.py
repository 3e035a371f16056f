"""What the steps of a loop have from slices that are known when it is captured, computed for all of them at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hograd import func
from hograd.core.dispatch import bare, wrap
from hograd.core.levels import no_transforms
from hograd.core.restoring import silent
from hograd.program.factors import passes_of_steps
from hograd.program.ir import Instruction, Literal, Program, dead_code, evaluate
from hograd.program.loops import LOOP, PART, needed

#: What is known is kept for all steps if it takes no more bytes.
_MOST_BYTES = 2**20


def known(
    program: Program, values: Sequence[Any], consts: int, carry: int, length: int, *, reverse: bool
) -> tuple[Program, list[Any]]:
    """The step of a loop in which what follows from known slices and from the number of the step comes in as slices.

    The labels of a minibatch, say, are known when inner training is captured, and so are their indicators, and that all
    of them count. What is the same in every step becomes a constant of the step.

    Args:
        program: the step; its inputs are constants, what is carried, slices, and perhaps cotangents.
        values: of the inputs but cotangents, where they are arrays; of slices the whole stacks.
        consts, carry: how many inputs are constants of the loop, and are carried.
        length: the number of steps.
        reverse: whether the last slices are taken first.

    Returns:
        The step, with further slices behind the others, and the stacks that these come from.
    """
    stacks = {
        s: v
        for s, v in zip(program.inputs[consts + carry : len(values)], values[consts + carry :], strict=True)
        if _is_array(v)
    }
    if "constant_folding" not in passes_of_steps():
        return program, []
    stacks |= _counters(program, values, consts, carry, length, reverse=reverse)
    fixed = {s: v for s, v in zip(program.inputs[:consts], values, strict=False) if _is_array(v)} | program.constants
    inside: dict[int, Instruction] = {}
    for at in program.instructions:
        reads = at.reads()
        moving = any(x in stacks or x in inside for x in reads)
        if moving and all(x in stacks or x in inside or x in fixed for x in reads) and _fits(program, at, length):
            inside[at.output] = at
    read = {x for at in program.instructions if at.output not in inside for x in at.reads()} | set(program.outputs)
    found = [s for s in inside if s in read]
    if not found:
        return program, []
    # What is equal is one value from here on.
    columns = _for_all_steps(program, list(inside.values()), stacks, fixed, found)
    constants, added = dict(program.constants), dict[int, Any]()
    first, same = dict[Any, int](), dict[int, int]()
    for s, column in zip(found, columns, strict=True):
        kind = program.kinds[s]
        if (column.shape, column.dtype) != ((length, *kind.shape), kind.dtype):
            return program, []
        if column.tobytes() == column[:1].tobytes() * length:
            constants[s] = column[0]
        elif (twin := first.setdefault((kind, column.tobytes()), s)) != s:
            same[s] = twin
        else:
            added[s] = column
    inputs = (*program.inputs[: len(values)], *added, *program.inputs[len(values) :])
    instructions = tuple(
        at._replace(operands=tuple(same.get(x, x) if type(x) is int else x for x in at.operands))
        for at in program.instructions
        if at.output not in inside
    )
    outputs = tuple(same.get(s, s) for s in program.outputs)
    changed = program.with_(inputs=inputs, instructions=instructions, outputs=outputs, constants=constants, groups=())
    return dead_code(changed), list(added.values())


def _is_array(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic))


def _fits(program: Program, at: Instruction, length: int) -> bool:
    kind = program.kinds[at.output]
    return at.primitive not in (LOOP, PART) and length * math.prod(kind.shape) * kind.dtype.itemsize <= _MOST_BYTES


def _counters(
    program: Program, values: Sequence[Any], consts: int, carry: int, length: int, *, reverse: bool
) -> dict[int, Any]:
    """What is carried and is a known whole number, to which every step adds the same: its values in all steps."""
    made = {at.output: at for at in program.instructions}
    found = {}
    for s, new, value in zip(program.inputs[consts : consts + carry], program.outputs, values[consts:], strict=False):
        at = made.get(new)
        if at is None or (name := at.primitive.name) not in ("add", "sub"):
            continue
        if not _is_array(value) or value.shape or value.dtype.kind not in "iu":
            continue
        for x, by in (at.operands, at.operands[::-1])[: 1 if name == "sub" else 2]:
            more = by.value if type(by) is Literal else program.constants.get(by)
            if x == s and more is not None and np.ndim(more) == 0 and program.kinds[new] == program.kinds[s]:
                sign = -1 if name == "sub" else 1
                numbers = (value + sign * np.arange(length) * np.asarray(more)).astype(value.dtype)
                found[s] = numbers[::-1] if reverse else numbers
    return found


def _for_all_steps(
    program: Program, instructions: list[Instruction], stacks: dict[int, Any], fixed: dict[int, Any], found: list[int]
) -> list[Any]:
    """The stacks of some values, computed as a batch of steps."""
    part = program.with_(instructions=tuple(instructions), constants=fixed, outputs=tuple(found), draws=(), groups=())
    live = needed(part, found)
    inputs = tuple(s for s in stacks if s in live)
    part = part.with_(
        inputs=inputs,
        instructions=tuple(at for at in instructions if at.output in live),
        constants={s: v for s, v in fixed.items() if s in live},
    )
    with no_transforms(), silent():
        answers = func.vmap(lambda *rows: [wrap(y) for y in evaluate(part, rows)])(*[stacks[s] for s in inputs])
        return [np.ascontiguousarray(bare(y)) for y in answers]
