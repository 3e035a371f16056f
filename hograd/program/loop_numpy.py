"""The source of loops in replays with NumPy."""

from __future__ import annotations

import dataclasses
import linecache
from collections.abc import Callable
from typing import Any

import numpy as np

from hograd.program.code_numpy import Generator
from hograd.program.factors import with_border
from hograd.program.ir import Instruction, Kind
from hograd.program.loops import LoopCode
from hograd.program.memory import by_columns, is_tall


def generated(code: LoopCode, *, scalars: bool) -> Callable[..., list[Any]]:
    """The function of arrays that runs a loop."""
    code = dataclasses.replace(code, step=with_border(code.step))
    generator = LoopGenerator(code, scalars=scalars)
    source = generator.generate("loop")
    file = f"<hograd loop {id(code):#x} {scalars}>"
    exec(compile(source, file, "exec"), generator.objects)
    # Tracebacks show the line.
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    return generator.objects["loop"]


class LoopGenerator(Generator):
    """The source of a loop: what its steps give is written to its place in the stack at once, where that can be."""

    def __init__(self, code: LoopCode, *, scalars: bool) -> None:
        super().__init__(code.step, scalars=scalars)
        self.code = code
        step = code.step
        self.rows: dict[int, str] = {}
        made = {at.output for at in step.instructions}
        for j, s in enumerate(step.outputs[code.carry :]):
            if s in made and s not in self.rows and step.kinds[s].shape and step.kinds[s].dtype.kind in "fc":
                self.rows[s] = f"row{j}"
        self.kept = {o for s in step.outputs for o in self.origins.get(s, (s,)) if not (o == s and s in self.rows)}

    def _destination(self, at: Instruction, kind: Any, *, safe: bool) -> str | None:
        if at.output in self.rows:
            self.names[at.output] = self.rows[at.output]
            return self.rows[at.output]
        return super()._destination(at, kind, safe=safe)

    def generate(self, name: str) -> str:
        code, step = self.code, self.code.step
        outputs, carried = step.outputs[code.carry :], step.inputs[code.consts : code.consts + code.carry]
        sliced_from = code.consts + code.carry
        sliced = step.inputs[sliced_from:]
        head, begin, end = [], [], []
        for s, value in step.constants.items():
            tall = is_tall(step.kinds[s].shape)
            self.objects[self.names[s]] = float(value) if self._is_float(s) else by_columns(value) if tall else value
        head += [f"{self.names[s]} = float({self.names[s]})" for s in step.inputs[:sliced_from] if self._is_float(s)]
        for j, s in enumerate(sliced):
            if self._is_float(s):
                head.append(f"X{j} = X{j}.tolist()")
            begin.append(f"{self.names[s]} = X{j}[t]")
        for j, s in enumerate(outputs):
            kind = step.kinds[s]
            head.append(f"Y{j} = {stack_of(kind, code.length)} if Y{j} is None else Y{j}")
            if self.rows.get(s) == f"row{j}":
                begin.append(f"row{j} = Y{j}[t]")
        for i, at in enumerate(step.instructions):
            self._instruction(i, at)
            for s in self.dying.get(i, ()):
                self._release(s)
        for j, s in enumerate(outputs):
            if self.rows.get(s) != f"row{j}" or self.names[s] != f"row{j}":
                end.append(f"Y{j}[t] = {self.names[s]}")
        new = [self.names[s] for s in step.outputs[: code.carry]]
        old = [self.names[s] for s in carried]
        changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
        if changed:
            end.append(f"{', '.join(a for a, _ in changed)} = {', '.join(b for _, b in changed)}")
        head += self.memory.lines
        # What is carried out may lie in memory of an argument or of a stack.
        answers = [f"array({self._array(s)})" for s in carried] + [f"Y{j}" for j in range(len(outputs))]
        self.objects["array"] = own
        arguments = [self.names[s] for s in step.inputs[:sliced_from]]
        arguments += [f"X{j}" for j in range(len(sliced))] + [f"Y{j}" for j in range(len(outputs))]
        times = f"range({code.length - 1}, -1, -1)" if code.reverse else f"range({code.length})"
        lines = [*head, f"for t in {times}:"]
        lines += [f"    {line}" for line in [*begin, *self.lines, *end] or ["pass"]]
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
