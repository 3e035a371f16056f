"""What a checkpointed loop keeps beside its checkpoints: small results of long computations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from hograd.program.ir import Instruction, Kind, Program, dead_code
from hograd.program.loops import LOOP, PART, LoopCode, depending
from hograd.program.numbering import numbered

#: A value is worth its place if it takes so many products or sums for each of its bytes.
_WORTH = 16

#: How much more may be kept than without.
_MOST = 2


def remembered(program: Program, arguments: int, times: int) -> Program:
    """A segment of a checkpointed loop and its derivative, where steps that run again are spared long computations.

    The gradient of a weight, say, is a sum over the examples: small beside what a step keeps of them. When the segment
    runs for the first time its loop gives such values, too, and the loop that runs again takes them. All segments keep
    together at most twice what checkpoints and one segment take, so that memory grows as before.

    Args:
        program: of one segment: the arguments and then cotangents come in; the loop that runs for the first time does
            not depend on the cotangents, the one that runs again waits for them.
        arguments: how many inputs are no cotangents.
        times: how many segments there are.
    """
    behind = depending(program, program.inputs[arguments:])
    loops = [at for at in program.instructions if at.primitive is LOOP and at.params["code"].of is not None]
    first = {at.output: at for at in loops if at.output not in behind}
    if not first or len(first) == len(loops):
        return program
    number_of = numbered(program)
    for at in loops:
        if at.output not in behind:
            continue
        same = [x for x in first.values() if _given(x, number_of) == _given(at, number_of)]
        if len(same) == 1 and (changed := _sharing(program, same[0], at, number_of, behind, times)) is not None:
            program = changed
            del first[same[0].output]
    return dead_code(program)


def _given(at: Instruction, number_of: dict[int, object]) -> tuple[object, ...]:
    """What a loop computes: two with the same answers have this in common."""
    code: LoopCode = at.params["code"]
    assert code.of is not None
    function, consts = code.of
    operands = [*at.operands[:consts], *at.operands[code.consts :]]
    return id(function), consts, code.carry, code.length, code.reverse, *[number_of.get(x, x) for x in operands]


def _sharing(
    program: Program, first: Instruction, again: Instruction, number_of: dict[int, object], behind: set[int], times: int
) -> Program | None:
    """The program in which one loop gives what another one, that computes the same later, need not compute."""
    code: LoopCode = again.params["code"]
    answers = len(first.params["code"].step.outputs)
    chosen = _chosen(code, answers, times)
    place = program.instructions.index(first)
    kinds = dict(program.kinds)
    slots = itertools.count(max(kinds) + 1)
    there: dict[object, int] = {
        number_of.get(s, s): s for s in (*program.inputs, *program.constants) if s not in behind
    }
    for at in program.instructions[:place]:
        if at.output not in behind:
            there.setdefault(number_of.get(at.output, at.output), at.output)
    made = {at.output: at for at in program.instructions}
    early: list[Instruction] = []

    def before(x: int) -> int | None:
        """A slot with the same value that is there before the first loop runs."""
        number = number_of.get(x, x)
        if number not in there:
            at = made.get(x)
            if at is None or at.primitive in (LOOP, PART):
                return None
            operands = [before(v) if type(v) is int else v for v in at.operands]
            if None in operands:
                return None
            there[number] = slot = next(slots)
            kinds[slot] = kinds[x]
            early.append(at._replace(operands=tuple(operands), output=slot))
        return there[number]

    operands = [before(x) if type(x) is int else x for x in again.operands[: len(code.step.inputs)]]
    if not chosen or None in operands:
        return None
    step = code.step
    giving = step.with_(outputs=(*step.outputs[:answers], *chosen), groups=())
    taking = step.with_(
        inputs=(*step.inputs, *chosen),
        instructions=tuple(at for at in step.instructions if at.output not in chosen),
        groups=(),
    )
    given = []
    for i, s in enumerate(chosen):
        slot = next(slots)
        kinds[slot] = Kind((code.length, *step.kinds[s].shape), step.kinds[s].dtype)
        given.append(Instruction(PART, (first.output,), {"index": answers + i}, slot, first.line))
    replaced: dict[int, list[Instruction]] = {
        first.output: [*early, first._replace(operands=tuple(operands), params={"code": _of(code, giving)}), *given],
        again.output: [
            again._replace(operands=(*again.operands, *[at.output for at in given]), params={"code": _of(code, taking)})
        ],
    }
    instructions = itertools.chain.from_iterable(replaced.get(at.output, [at]) for at in program.instructions)
    return program.with_(instructions=tuple(instructions), kinds=kinds, groups=())


def _of(code: LoopCode, step: Program) -> LoopCode:
    return LoopCode(dead_code(step), code.consts, code.carry, code.length, code.reverse)


def _chosen(code: LoopCode, answers: int, times: int) -> list[int]:
    """The slots of a step that are worth keeping in all segments."""
    step, size = code.step, bytes_of(code.step)
    left = _MOST * (
        code.length * sum(map(size, step.outputs[answers:])) + times * sum(map(size, step.outputs[: code.carry]))
    )
    worth = {
        at.output: _work(step, at) / size(at.output)
        for at in step.instructions
        if step.kinds[at.output].dtype.kind == "f" and step.kinds[at.output].shape and at.output not in step.outputs
    }
    chosen = []
    for s in sorted(worth, key=lambda s: -worth[s]):
        needed = times * code.length * size(s)
        if worth[s] >= _WORTH and needed <= left:
            left -= needed
            chosen.append(s)
    return sorted(chosen)


def bytes_of(program: Program) -> Callable[[int], int]:
    """The size of a slot's value."""
    return lambda s: math.prod(program.kinds[s].shape) * program.kinds[s].dtype.itemsize or 1


def _work(program: Program, at: Instruction) -> float:
    """How many products or sums an instruction computes, if it adds up many."""
    reads = at.reads()
    if at.primitive.name == "sum":
        return math.prod(program.kinds[reads[0]].shape)
    if at.primitive.kind == "multilinear" and len(reads) == 2:
        # (n m) (m k) (n k) is the square of n m k .
        return math.sqrt(math.prod(math.prod(program.kinds[s].shape) for s in (*reads, at.output)))
    return 0
