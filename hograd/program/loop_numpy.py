"""The source of loops in replays with NumPy."""

from __future__ import annotations

import dataclasses
import itertools
import linecache
from collections.abc import Callable
from typing import Any

import numpy as np

from hograd.program.borders import with_border
from hograd.program.code_numpy import IN_PLACE
from hograd.program.expressions import readers
from hograd.program.ir import Instruction, Kind
from hograd.program.level1 import FlatGenerator
from hograd.program.loops import LoopCode
from hograd.program.memory import by_columns, is_tall
from hograd.program.ranges import views


def generated(code: LoopCode, *, scalars: bool) -> Callable[..., list[Any]]:
    """The function of arrays that runs a loop."""
    code = dataclasses.replace(code, step=views(with_border(code.step)))
    generator = LoopGenerator(code, scalars=scalars)
    source = generator.generate("loop")
    file = f"<hograd loop {id(code):#x} {scalars}>"
    exec(compile(source, file, "exec"), generator.objects)
    # Tracebacks show the line.
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    return generator.objects["loop"]


class LoopGenerator(FlatGenerator):
    """The source of a loop: what its steps give and carry is written to where it stays at once, where that can be.

    What is carried into a step and stacked is carried in the stack: the step before writes it there. What is carried
    and not stacked stays in one buffer, if a step needs the old value no more when it computes the new one.
    """

    def __init__(self, code: LoopCode, *, scalars: bool) -> None:
        super().__init__(code.step, scalars=scalars)
        self.code = code
        step = code.step
        # The places that slots are written to are rows of stacks, and buffers.
        made = {at.output for at in step.instructions}
        arrays = {s for s in made if step.kinds[s].shape and step.kinds[s].dtype.kind in "fc"}
        stacked, carried = step.outputs[code.carry :], step.inputs[code.consts : code.consts + code.carry]
        for j, s in enumerate(stacked):
            if s in arrays and s not in self.places:
                self.places[s] = f"row{j}"
        #: Stacks of what is carried into the steps: number of the carry -> number of the stack.
        self.through: dict[int, int] = {}
        for k, (before, after) in enumerate(zip(carried, step.outputs, strict=False)):
            if after not in arrays or after in self.places:
                continue
            if before in stacked:
                self.through[k] = stacked.index(before)
                self.places[after] = f"next{self.through[k]}"
            elif self._is_over(before, after) and not self._is_carried_again(k, after):
                kind = step.kinds[before]
                self.names[before] = self.places[after] = self.memory.take(kind.shape, kind.dtype)
                self.overwritten[before] = after
        self._forward_places()
        self.kept = {o for s in step.outputs for o in self.origins.get(s, (s,)) if not (o == s and s in self.places)}
        self.placed = self._placed()

    def _forward_places(self) -> None:
        """Compute what a multiple is added to in the place of the sum."""
        reading = readers(self.program)
        for i, at in reversed(list(enumerate(self.program.instructions))):
            place, multiple = self.places.get(at.output, ""), self.multiples.get(at.output)
            if multiple is None or not place.startswith(("row", "next")):
                continue
            if multiple.rest in self.numbers and reading[multiple.rest] == [i] and multiple.rest not in self.inside:
                self.places[multiple.rest] = place

    def _is_over(self, before: int, after: int) -> bool:
        """Whether a value is read no more when the one is computed that could take its place."""
        at = self.program.instructions[self.numbers[after]]
        last = self.last.get(before, -1)
        if at.primitive.name == "concatenate":
            # Its parts are written before it.
            return False
        return last < self.numbers[after] or (last == self.numbers[after] and at.primitive.name in IN_PLACE)

    def _is_lent(self, s: int, at: Instruction) -> bool:
        if s not in self.overwritten or self.last[s] != self.numbers[at.output]:
            return False
        after = self.program.instructions[self.numbers[self.overwritten[s]]]
        last, new = self.last[at.output], self.numbers[after.output]
        return last < new or (last == new and after.primitive.name in IN_PLACE)

    def _is_carried_again(self, k: int, after: int) -> bool:
        """Whether another value that is carried on may lie in the memory of this one."""
        outputs = self.program.outputs[: self.code.carry]
        return any(after in self.origins.get(s, (s,)) for i, s in enumerate(outputs) if i != k)

    def _destination(self, at: Instruction, kind: Any, *, safe: bool) -> str | None:
        if at.output in self.places:
            self.names[at.output] = self.places[at.output]
            return self.places[at.output]
        return super()._destination(at, kind, safe=safe)

    def generate(self, name: str) -> str:
        code, step = self.code, self.code.step
        outputs, carried = step.outputs[code.carry :], step.inputs[code.consts : code.consts + code.carry]
        sliced_from = code.consts + code.carry
        sliced = step.inputs[sliced_from:]
        arguments = [f"x{i}" for i in range(sliced_from)]
        head, begin, end = [], [], []
        #: What each step gets: names, and the sequences that they go through.
        each = ["t"], [f"range({code.length - 1}, -1, -1)" if code.reverse else f"range({code.length})"]
        turned = "[::-1]" if code.reverse else ""
        for s, value in step.constants.items():
            tall = is_tall(step.kinds[s].shape)
            self.objects[self.names[s]] = float(value) if self._is_float(s) else by_columns(value) if tall else value
        head += [f"{self.names[s]} = float({self.names[s]})" for s in step.inputs[:sliced_from] if self._is_float(s)]
        for j, s in enumerate(sliced):
            if self._is_float(s):
                head.append(f"X{j} = X{j}.tolist()")
            each[0].append(self.names[s])
            each[1].append(f"X{j}{turned}")
        for j, s in enumerate(outputs):
            kind = step.kinds[s]
            head.append(f"Y{j} = {stack_of(kind, code.length)} if Y{j} is None else Y{j}")
            if self.places.get(s) == f"row{j}":
                each[0].append(f"row{j}")
                each[1].append(f"Y{j}{turned}")
        for i, at in enumerate(step.instructions):
            self._instruction(i, at)
            for s in self.dying.get(i, ()):
                self._release(s)
        for j, s in enumerate(outputs):
            if j not in self.through.values() and (self.places.get(s) != f"row{j}" or self.names[s] != f"row{j}"):
                end.append(f"Y{j}[t] = {self.names[s]}")
        changed = []
        for k, (before, after) in enumerate(zip(carried, step.outputs, strict=False)):
            old, new, place = self.names[before], self.names[after], self.places.get(after, "")
            if k in self.through:
                j = self.through[k]
                head.append(f"copyto(Y{j}{turned}[0], {old})")
                head.append(f"{old} = Y{j}{turned}[0]")
                each[0].append(place)
                each[1].append(f"chain(Y{j}{turned}[1:], [empty_like({old})])")
                if new != place:
                    end.append(f"copyto({place}, {new})")
                changed.append((old, place))
            elif old == place:
                begin.append(f"copyto({old}, {arguments[code.consts + k]})")
                if new != place:
                    end.append(f"copyto({place}, {new})")
            elif old != new:
                changed.append((old, new))
        if changed:
            end.append(f"{', '.join(a for a, _ in changed)} = {', '.join(b for _, b in changed)}")
        head += [*self.memory.lines, *begin]
        # What is carried out may lie in memory of an argument or of a stack.
        answers = [f"array({self._array(s)})" for s in carried] + [f"Y{j}" for j in range(len(outputs))]
        self.objects.update(array=own, chain=itertools.chain, copyto=np.copyto, empty_like=np.empty_like)
        arguments += [f"X{j}" for j in range(len(sliced))] + [f"Y{j}" for j in range(len(outputs))]
        lines = [*head, f"for {', '.join(each[0])}, in zip({', '.join(each[1])}):"]
        lines += [f"    {line}" for line in [*self.lines, *end] or ["pass"]]
        lines.append(f"return [{', '.join(answers)}]")
        return "\n".join([f"def {name}({', '.join(arguments)}):", *[f"    {line}" for line in lines]]) + "\n"


def stack_of(kind: Kind, length: int) -> str:
    """Source that makes room for what the steps give."""
    if is_tall(kind.shape):
        # As buffers are, so that a step can write to its place.
        return f"empty({(length, *kind.shape[::-1])!r}, {kind.dtype.char!r}).transpose(0, 2, 1)"
    return f"empty({(length, *kind.shape)!r}, {kind.dtype.char!r})"


def own(value: Any) -> Any:
    """A value in memory of its own."""
    return np.array(value)[()]
