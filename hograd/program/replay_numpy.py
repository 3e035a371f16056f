"""Programs as straight-line Python that calls NumPy."""

from __future__ import annotations

import contextvars
import linecache
from collections.abc import Callable
from typing import Any

from hograd.core.restoring import silent
from hograd.program.borders import with_wider_slices
from hograd.program.ir import Program
from hograd.program.level1 import FlatGenerator

#: Programs of more instructions are worth loading SciPy for.
_MANY = 100


class Replay:
    """The code of a program with its buffers: as many sets of them as there are calls at one time."""

    def __init__(self, program: Program, name: str, *, reuse: bool = True, scalars: bool = True) -> None:
        program = with_wider_slices(program)
        generator = FlatGenerator(program, reuse=reuse, scalars=scalars)
        self.source = generator.generate("program")
        file = f"<hograd program {name!a} {id(self):#x}>"
        exec(compile(self.source, file, "exec"), generator.objects)
        exec(compile(generator.memory.source("new_buffers"), file, "exec"), generator.objects)
        # Tracebacks show the line.
        linecache.cache[file] = (len(self.source), None, self.source.splitlines(True), file)
        self.code: Callable[..., list[Any]] = generator.objects["program"]
        self.new_buffers: Callable[[], list[Any]] = generator.objects["new_buffers"]
        self.program = program
        self.name = name
        #: The same without Python's numbers, for what these refuse.
        self.careful: Replay | None = None if scalars else self
        #: Sets of buffers that no call is using, each with a context in which NumPy does not warn, since to run in one
        #: is cheaper than to make one; taking and giving back are atomic.
        self.waiting: list[tuple[contextvars.Context, list[Any]]] = [_quiet(list(generator.memory.arrays.values()))]

    def __call__(self, *values: Any) -> list[Any]:
        """The answers for arrays: inputs, then draws."""
        try:
            own = self.waiting.pop()
        except IndexError:
            own = _quiet(self.new_buffers())
        context, buffers = own
        try:
            answers = context.run(self.code, buffers, *values)
        except (ArithmeticError, ValueError):
            self.waiting.append(own)
            # Python's numbers refuse what NumPy's answer with inf or nan.
            if self.careful is None:
                self.careful = Replay(self.program, self.name, scalars=False)
            if self.careful is self:
                raise
            return self.careful(*values)
        # Where another exception leaves, Ctrl-C say, they are dropped: nobody knows what is in them.
        self.waiting.append(own)
        return answers


def _quiet(buffers: list[Any]) -> tuple[contextvars.Context, list[Any]]:
    with silent():
        return contextvars.copy_context(), buffers
