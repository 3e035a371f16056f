"""Which instructions of a program are written inside of the one that reads them."""

from __future__ import annotations

from collections.abc import Callable, Set

from hograd.program.ir import Instruction, Literal, Program

#: The same on Python floats; what these refuse (1 / 0, overflow) is computed again by NumPy's functions. Exponentials
#: and the like are NumPy's here too: the C library's, which Python calls, differ in the last bit.
SCALARS = {
    "add": "({} + {})",
    "sub": "({} - {})",
    "mul": "({} * {})",
    "div": "({} / {})",
    "neg": "(-{})",
    "tanh": "float(np.tanh({}))",
    "exp": "float(np.exp({}))",
    "log": "float(np.log({}))",
    "sin": "float(np.sin({}))",
    "cos": "float(np.cos({}))",
    "sqrt": "sqrt({})",
    "square": "({0} * {0})",
    "pow": "pow({}, {})",
    "power": "pow({}, {exponent!r})",
    "where": "({1} if {0} else {2})",
}
#: The powers that are roots to their kernel, too.
_ROOTS = {0.5: "sqrt({})", -0.5: "(1 / sqrt({}))"}

#: Expressions nest so far; Python's parser has a limit.
_DEEPEST = 12


def scalar(at: Instruction, operands: list[str]) -> str:
    """An instruction on Python floats."""
    form = _ROOTS.get(at.params["exponent"]) if at.primitive.name == "power" else None
    return (form or SCALARS[at.primitive.name]).format(*operands, **at.params)


def readers(program: Program) -> dict[int, list[int]]:
    """For each instruction's slot those that read it, once for each operand; being an answer counts as -1."""
    found: dict[int, list[int]] = {at.output: [] for at in program.instructions}
    for i, at in enumerate(program.instructions):
        for x in at.reads():
            if x in found:
                found[x].append(i)
    for s in program.outputs:
        if s in found:
            found[s].append(-1)
    return found


def written_inside(
    program: Program, is_float: Callable[[int], bool], more: Set[int] = frozenset()
) -> tuple[set[int], list[int]]:
    """What is written where its only reader is, and for every instruction the number of the one where it is written.

    These are numbers, which become one expression, and numbers that become one array; and what is known to be, as
    `more`. With fast math also products of which all elements are added: BLAS adds them without rounding them.
    """
    inside: set[int] = set(more)
    depth: dict[int, int] = {}
    reading = readers(program)
    rows = _rows(program, reading, is_float)
    for at in program.instructions:
        s = at.output
        if is_expression(program, at, is_float):
            depth[s] = 1 + max([depth.get(x, 0) for x in at.reads()], default=0)
        if len(reading[s]) == 1 and reading[s][0] >= 0:
            reader = program.instructions[reading[s][0]]
            if s not in depth:
                if (program.fast_math and reader.primitive.name == "sum" and _is_inner(program, at, reader)) or (
                    reader.primitive.name == "concatenate" and s in rows
                ):
                    inside.add(s)
            elif depth[s] < _DEEPEST and is_expression(program, reader, is_float) and reader.primitive.name != "square":
                inside.add(s)
        if s not in inside:
            depth[s] = 0
    positions = list(range(len(program.instructions)))
    for i, at in reversed(list(enumerate(program.instructions))):
        if at.output in inside:
            positions[i] = positions[reading[at.output][0]]
    return inside, positions


def is_expression(program: Program, at: Instruction, is_float: Callable[[int], bool]) -> bool:
    """Whether an instruction is one of Python's numbers on Python's numbers."""
    if at.primitive.name not in SCALARS or not is_float(at.output):
        return False
    # A condition is a number of NumPy's.
    numbers = at.operands[1:] if at.primitive.name == "where" else at.operands
    return all(type(x) is Literal or is_float(x) for x in numbers)


def _is_inner(program: Program, at: Instruction, reader: Instruction) -> bool:
    """Whether a product and the sum that reads it are an inner product."""
    kinds = program.kinds
    kind = kinds[at.output]
    return (
        at.primitive.name in ("mul", "square")
        and bool(kind.shape)
        and kind.dtype.char in "fd"
        and kinds[reader.output] == ((), kind.dtype)
        and all(type(x) is int and kinds[x] == kind for x in at.operands)
    )


def _rows(program: Program, reading: dict[int, list[int]], is_float: Callable[[int], bool]) -> set[int]:
    """Numbers as arrays of shape (1,) that are joined with nothing but others of their kind."""
    single = {
        at.output
        for at in program.instructions
        if at.primitive.name == "reshape"
        and program.kinds[at.output].shape == (1,)
        and type(at.operands[0]) is int
        and is_float(at.operands[0])
        and len(reading[at.output]) == 1
    }
    found: set[int] = set()
    for at in program.instructions:
        if at.primitive.name == "concatenate" and all(x in single for x in at.operands):
            found.update(at.operands)
    return found
