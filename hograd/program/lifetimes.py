"""How long the memory of a program's values is needed."""

from __future__ import annotations

from collections.abc import Sequence

from hograd.program.ir import Instruction, Program


def last_reads(program: Program, positions: Sequence[int] | None = None) -> dict[int, int]:
    """For every slot the number of the last instruction that needs its memory, also through what may be a view of it.

    Answers are needed behind the last instruction. `positions`: where each instruction runs, if it waits for another.
    """
    memory = origins(program)
    last: dict[int, int] = {}
    for i, at in enumerate(program.instructions):
        place = i if positions is None else positions[i]
        for x in at.reads():
            for s in memory.get(x, (x,)):
                last[s] = max(place, last.get(s, 0))
        last[at.output] = max(place, last.get(at.output, 0))
    for s in program.outputs:
        last.update(dict.fromkeys(memory.get(s, (s,)), len(program.instructions)))
    return last


def origins(program: Program) -> dict[int, frozenset[int]]:
    """For every slot those in whose memory its value may lie."""
    memory: dict[int, frozenset[int]] = {}
    for at in program.instructions:
        if makes_new(at):
            memory[at.output] = frozenset([at.output])
        else:
            memory[at.output] = frozenset([at.output]).union(*[memory.get(x, (x,)) for x in at.reads()])
    return memory


def makes_new(at: Instruction) -> bool:
    """Whether an instruction's answer is known to lie in memory of its own."""
    name = at.primitive.name
    if name in ("loop", "sum", "matmul", "mm_nn", "mm_nt", "mm_tn", "softmax", "concatenate"):
        return True
    return at.primitive.kind == "elementwise" and name not in ("clone", "astype", "convert", "power", "checked")
