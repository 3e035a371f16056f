"""Numbers of values: two slots with one number hold the same."""

from __future__ import annotations

from typing import Any

from hograd.program.ir import Program
from hograd.program.passes import frozen

#: Constants of fewer bytes are compared.
_LOOKED_AT = 2**18


def numbered(program: Program) -> dict[int, Any]:
    """For slots of a program a number that all with the same value have, be it computed once more after something."""
    numbers: dict[Any, int] = {}
    number_of: dict[int, Any] = {}
    for s, value in program.constants.items():
        # What was computed from constants when the step was captured is another array each time.
        content = value.tobytes() if value.nbytes < _LOOKED_AT else id(value)
        number_of[s] = numbers.setdefault((program.kinds[s], content), s)
    for at in program.instructions:
        operands = [number_of.get(x, x) if type(x) is int else x for x in at.operands]
        params = frozen(at.params)
        if at.primitive.name in ("after", "clone"):
            number_of[at.output] = operands[0]
        elif params is not None:
            number_of[at.output] = numbers.setdefault((at.primitive, tuple(operands), params), at.output)
    return number_of
