"""Reverse mode through a loop within a function that is being captured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hograd.core.dispatch import bare, wrap
from hograd.core.primitive import ops, primitives
from hograd.program.closed import closed
from hograd.program.cut import cut
from hograd.program.factors import of_step, settled
from hograd.program.ir import Instruction, Program, dead_code
from hograd.program.known import known
from hograd.program.loop_calls import Loop, call, outside, put, split
from hograd.program.loops import LOOP, PART, LoopCode, depending
from hograd.program.numbering import numbered
from hograd.program.remembered import remembered


class Reversal:
    """A loop whose steps keep what its backward loop needs.

    What is kept of a step is stacked. Not kept is what depends on constants of the loop alone, and what is carried out
    of a step where what is carried into the next one is kept: the backward loop hands it on.
    """

    def __init__(self, loop: Loop, tracked: Sequence[bool], values: Sequence[Any]) -> None:
        self.loop = loop
        self.values = list(values)
        self.wanted = loop.reached(values, tracked)
        self.step = loop.capture(values)
        kinds = [self.step.program.kinds[s] for s in self.step.program.outputs]
        self.floats = [kind.dtype.kind in "fc" for kind in kinds]
        weights = [np.ones(kind.shape, kind.dtype)[()] for kind in kinds if kind.dtype.kind in "fc"]
        joint = closed(loop.staged.joint(self.wanted), [*loop.examples(values), *weights], loop.name)
        program = handed_on(joint.program, len(values), loop.carry)
        program = dead_code(remembered(program, len(values), loop.length))
        program, more = known(program, values, loop.consts, loop.carry, loop.length, reverse=loop.reverse)
        self.values += more
        count = len(self.values)
        program = of_step(program, loop.consts, count)
        self.forth, self.back = cut(
            program, count, len(kinds), lambda read: self._free(program, program.outputs[: len(kinds)], read)
        )
        self.weights = joint.program.inputs[len(values) :]

    def _free(self, program: Program, answers: Sequence[int], read: set[int]) -> tuple[set[int], set[int]]:
        """What the backward step has anyway, and what depends on constants of the loop alone."""
        loop = self.loop
        carried = program.inputs[loop.consts : loop.first_slice]
        there = {s for s in program.inputs if s not in carried or s in read}
        there |= {s for s, before in zip(answers, carried, strict=False) if before in read and s not in program.inputs}
        fixed = set(program.inputs[: loop.consts])
        for at in program.instructions:
            if at.reads() and fixed.issuperset(at.reads()) and at.primitive not in (LOOP, PART):
                fixed.add(at.output)
        return there - fixed | set(program.inputs[: loop.consts]), fixed

    def forward(self) -> list[Any]:
        """The answers of the loop, whose steps are kept from now on."""
        loop, back = self.loop, self.back
        arguments, answers = self.forth.inputs, self.forth.outputs[: len(self.floats)]
        *values, hoisted, forth = outside(self.forth, loop.consts, self.values)
        consts = loop.consts + hoisted
        self.constants = dict(zip(forth.inputs[:consts], values, strict=False))
        self.slices = dict(zip(forth.inputs[consts + loop.carry :], values[consts + loop.carry :], strict=True))
        carried = arguments[loop.consts : loop.first_slice]
        read = {x for at in back.instructions for x in at.reads()} | set(back.outputs)
        self.handed = {
            s: carried[k]
            for k, s in enumerate(answers[: loop.carry])
            if s in read and carried[k] in read and s not in {*self.constants, *back.constants, *carried}
        }
        kept = [
            s
            for s in back.inputs[: len(back.inputs) - len(self.weights)]
            if s in read and s not in self.constants and s not in self.slices and s not in self.handed
        ]
        code = LoopCode(
            forth.with_(outputs=(*answers, *kept), groups=()),
            consts,
            loop.carry,
            loop.length,
            loop.reverse,
            of=loop.of,
        )
        shown = list(self.step.examples)
        shown += [np.ones((), forth.kinds[s].dtype) for s in kept]
        kinds = code.kinds()
        parts = put(code, values, [np.broadcast_to(y, kind.shape) for y, kind in zip(shown, kinds, strict=True)])
        self.slices.update(zip(kept, parts[len(answers) :], strict=True))
        self.last = dict(zip(answers[: loop.carry], parts, strict=False))
        return parts[: len(answers)]

    def backward(self, cotangents: Sequence[Any]) -> list[Any]:
        """The cotangents of what the loop takes, from those of its answers; None for what is not wanted."""
        loop, back = self.loop, self.back
        kinds, constants = dict(back.kinds), dict(back.constants)
        instructions = [at for at in back.instructions if at.output not in self.constants]
        pulled = dict(zip([i for i, w in enumerate(self.wanted) if w], back.outputs, strict=True))
        floating = [i for i, f in enumerate(self.floats) if f]
        weight = dict(zip(floating, self.weights, strict=True))
        carry: list[tuple[int, Any, int]] = []  # slot, value at the beginning, new value
        slices = dict(self.slices)
        for i in floating:
            s, g = weight[i], cotangents[i]
            at = loop.consts + i
            if i < loop.carry and self.wanted[at]:
                carry.append((s, _zeros(kinds[s]) if g is None else g, pulled[at]))
            elif i >= loop.carry and g is not None:
                slices[s] = g
            else:
                constants[s] = _zeros(kinds[s])
        begun = len(carry)
        carry += [(s, self.last[s], before) for s, before in self.handed.items()]
        sums = len(carry)
        number = max(kinds) + 1
        for i in range(loop.consts):
            if self.wanted[i]:
                kinds[number] = kinds[number + 1] = kinds[pulled[i]]
                instructions.append(Instruction(primitives["add"], (number, pulled[i]), {}, number + 1, loop.name))
                carry.append((number, _zeros(kinds[number]), number + 1))
                number += 2
        stacked = [pulled[i] for i in range(loop.first_slice, len(self.wanted)) if self.wanted[i]]
        program = Program(
            inputs=(*self.constants, *[s for s, _, _ in carry], *slices),
            draws=(),
            constants=constants,
            instructions=tuple(instructions),
            outputs=(*[new for _, _, new in carry], *stacked),
            kinds=kinds,
            fast_math=back.fast_math,
        )
        values = [*self.constants.values(), *[first for _, first, _ in carry], *slices.values()]
        *values, hoisted, program = outside(of_step(settled(program), len(self.constants)), len(self.constants), values)
        code = LoopCode(program, len(self.constants) + hoisted, len(carry), loop.length, not loop.reverse)
        parts = put(code, values, [np.broadcast_to(np.ones((), kind.dtype), kind.shape) for kind in code.kinds()])
        of_consts, of_carry, of_slices = iter(parts[sums : len(carry)]), iter(parts[:begun]), iter(parts[len(carry) :])
        found = []
        for i, w in enumerate(self.wanted):
            source = of_consts if i < loop.consts else of_carry if i < loop.first_slice else of_slices
            found.append(next(source) if w else None)
        return found


def handed_on(program: Program, arguments: int, carry: int) -> Program:
    """A step and its derivative, where what is computed again and is carried out of the step is that itself.

    The backward loop has what was carried into the next step, where that is kept.
    """
    number_of = numbered(program)
    carried = {number_of[s]: s for s in program.outputs[:carry] if s in number_of}
    behind = depending(program, program.inputs[arguments:])
    same = {
        at.output: carried[number_of[at.output]]
        for at in program.instructions
        if at.output in behind and number_of.get(at.output) in carried
    }
    instructions = [
        at._replace(operands=tuple(same.get(x, x) if type(x) is int else x for x in at.operands))
        for at in program.instructions
    ]
    outputs = tuple(same.get(s, s) for s in program.outputs)
    return dead_code(program.with_(instructions=tuple(instructions), outputs=outputs, groups=()))


def _zeros(kind: Any) -> Any:
    return np.zeros(kind.shape, kind.dtype)[()]


def pulled(loop: Loop, tracked: Sequence[bool], inputs: Sequence[Any], weights: Sequence[Any]) -> list[Any]:
    """The cotangents of what a loop takes, as functions of everything: their derivatives are right, too.

    One loop keeps what is carried into every step, another one goes back and takes each step's derivative there.
    """
    wanted, floats = loop.reached(inputs, tracked), loop.floating(inputs)
    pull = loop.staged.pulled(wanted).function

    def keeping(*values: Any) -> list[Any]:
        return [*loop.function(*values), *values[loop.consts : loop.first_slice]]

    answers = call(loop.other(keeping, "", loop.consts, loop.carry, back=False), inputs)
    kept = answers[len(floats) :]
    consts, _, slices = split(loop, [wrap(x) for x in inputs])
    some = [i for i, w in enumerate(wanted) if w]
    of_consts = [i for i in some if i < loop.consts]
    of_carry = [i for i in some if loop.consts <= i < loop.first_slice]
    of_slices = [i for i in some if i >= loop.first_slice]
    given = [
        ops.zeros_like(y) if g is None else wrap(g) for y, g, f in zip(answers, weights, floats, strict=False) if f
    ]
    given_for = dict(zip([i for i, f in enumerate(floats) if f], given, strict=True))
    stacked = [given_for[i] for i in given_for if i >= loop.carry]

    def step(*values: Any) -> list[Any]:
        own = iter(values)
        fixed = [next(own) for _ in consts]
        cotangent = {i - loop.consts: next(own) for i in of_carry}
        sums = [next(own) for _ in of_consts]
        primals = [*fixed, *[next(own) for _ in kept], *[next(own) for _ in slices]]
        for i in given_for:
            if i >= loop.carry:
                cotangent[i] = next(own)
            elif i not in cotangent:
                cotangent[i] = ops.zeros_like(wrap(primals[loop.consts + i]))
        found = dict(zip(some, pull(*primals, *[bare(cotangent[i]) for i in given_for]), strict=True))
        return [
            *[found[i] for i in of_carry],
            *[wrap(total) + wrap(found[i]) for total, i in zip(sums, of_consts, strict=True)],
            *[found[i] for i in of_slices],
        ]

    found = call(
        loop.other(step, "'s backward", loop.consts, len(of_carry) + len(of_consts), back=True),
        [
            *map(bare, consts),
            *[bare(given_for[i - loop.consts]) for i in of_carry],
            *[bare(ops.zeros_like(consts[i])) for i in of_consts],
            *map(bare, kept),
            *map(bare, slices),
            *map(bare, stacked),
        ],
    )
    by_place = dict(zip([*of_carry, *of_consts, *of_slices], found, strict=True))
    return [by_place.get(i) for i in range(len(wanted))]
