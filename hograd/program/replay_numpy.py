"""Programs as straight-line Python that calls NumPy."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any

import numpy as np

from hograd.program.ir import Program


def generate(program: Program, name: str) -> tuple[str, dict[str, Any]]:
    """The source of a function of arrays (inputs, then draws), and the objects that it names."""
    names = program.names()
    objects: dict[str, Any] = {"np": np}
    objects.update({names[s]: value for s, value in program.constants.items()})
    lines = [f"def {name}({', '.join([*(names[s] for s in program.inputs), *(names[s] for s, _ in program.draws)])}):"]
    for i, at in enumerate(program.instructions):
        kernel = f"{at.primitive.name}_{i}"
        objects[kernel] = at.primitive.kernel
        operands = [names[x] if type(x) is int else repr_of(x.value, objects, f"number_{i}") for x in at.operands]
        for key, value in at.params.items():
            operands.append(f"{key}={repr_of(value, objects, f'{key}_{i}')}")
        lines.append(f"    {names[at.output]} = {kernel}({', '.join(operands)})")
    lines.append(f"    return [{', '.join(names[s] for s in program.outputs)}]")
    return "\n".join(lines) + "\n", objects


def repr_of(value: Any, objects: dict[str, Any], name: str) -> str:
    """A value as source, or the name of an object that stands for it."""
    if type(value) in (bool, int, type(None)) or (type(value) is float and np.isfinite(value)):
        return repr(value)
    if type(value) is tuple and all(type(v) is int for v in value):
        return repr(value)
    objects[name] = value
    return name


def build(program: Program, name: str) -> tuple[Callable[..., list[Any]], str]:
    """A function of arrays that runs the program, and its source."""
    source, objects = generate(program, name)
    file = f"<hograd program {name} {id(program):#x}>"
    exec(compile(source, file, "exec"), objects)
    # Tracebacks show the line.
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    return objects[name], source
