"""Passes: functions from a program to one that computes the same with less work.

Each stands alone; `optimize` runs those that are named, by default all of `PASSES`, in their order. The same is
computed bit for bit, but that sums may be added in another order; what changes numbers beyond that is `FAST_MATH`,
which runs only where a program allows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from hograd.core.primitive import primitives
from hograd.core.restoring import silent
from hograd.program.flattening import flattening
from hograd.program.ir import Instruction, Kind, Literal, Program, dead_code
from hograd.program.linear import linear
from hograd.program.loops import trimming
from hograd.program.packing import packing
from hograd.program.products import products
from hograd.program.ranges import ranges
from hograd.program.recompute import recompute
from hograd.program.reductions import factoring, reductions
from hograd.program.scaling import scaling

Pass = Callable[[Program], Program]

#: Elementwise operations in which the order of the two operands does not matter; of 0 and -0 the maximum is the first.
_COMMUTE = frozenset({"add", "mul", "eq", "ne"})


#: Computed in every run though they depend on constants alone: they would fill memory, or take time at once.
_NOT_FOLDED = frozenset({"broadcast_to", "loop", "part"})


def constant_folding(program: Program) -> Program:
    """With what depends on constants alone computed now."""
    constants = dict(program.constants)
    kept = []
    for at in program.instructions:
        if not all(type(x) is Literal or x in constants for x in at.operands) or at.primitive.name in _NOT_FOLDED:
            kept.append(at)
            continue
        args = [x.value if type(x) is Literal else constants[x] for x in at.operands]
        with silent():
            constants[at.output] = at.primitive.kernel(*args, **at.params)
    return program.with_(instructions=tuple(kept), constants=constants)


def common_subexpressions(program: Program) -> Program:
    """With every value computed once, but what a checkpoint computes again."""
    seen: dict[Any, int] = {}
    same: dict[int, int] = {}
    for s, value in program.constants.items():
        if np.size(value) < 1_000_000:
            # By bytes, so that 0.0 and -0.0 differ and nan equals itself.
            first = seen.setdefault(("constant", program.kinds[s], np.asarray(value).tobytes()), s)
            if first != s:
                same[s] = first
    kept = []
    for at in program.instructions:
        operands = tuple([same.get(x, x) if type(x) is int else x for x in at.operands])
        if operands != at.operands:
            at = at._replace(operands=operands)
        names: list[Any] = [(type(x.value), repr(x.value)) if isinstance(x, Literal) else x for x in operands]
        if at.primitive.name in _COMMUTE:
            names.sort(key=repr)
        params = frozen(at.params)
        if params is None:
            kept.append(at)
            continue
        first = seen.setdefault((at.primitive, tuple(names), params, at.scope), at.output)
        if first == at.output:
            kept.append(at)
        else:
            same[at.output] = first
    return _renamed(program.with_(instructions=tuple(kept)), same)


def identities(program: Program) -> Program:
    """Without x + -0, x - 0, x * 1, x / 1, --x, copies, and shapes or dtypes that are there already.

    x + 0 stays, unless of integers: it makes 0 of -0. So does all arithmetic of complex numbers: inf (1 + 0i) has nan.

    And with  relu(x) > 0  for  x > 0 , since a derivative then needs the one array and not both.
    """
    same: dict[int, int] = {}
    made: dict[int, Instruction] = {}
    rectified: dict[int, int] = {}
    kept = []
    for at in program.instructions:
        if any(x in same for x in at.reads()):
            at = at._replace(operands=tuple([same.get(x, x) if type(x) is int else x for x in at.operands]))
        if at.primitive.name == "relu" and type(at.operands[0]) is int:
            rectified[at.operands[0]] = at.output
        elif at.primitive.name == "gt" and at.operands[0] in rectified and at.operands[1] == Literal(0):
            at = at._replace(operands=(rectified[at.operands[0]], at.operands[1]))
        replacement = _simpler(program, at, made)
        if type(replacement) is int:
            same[at.output] = replacement
            continue
        made[at.output] = replacement
        kept.append(replacement)
    return _renamed(program.with_(instructions=tuple(kept)), same)


def _simpler(program: Program, at: Instruction, made: dict[int, Instruction]) -> Any:
    """The slot that an instruction only repeats, or a simpler instruction, or itself."""
    kind = program.kinds[at.output]
    name = at.primitive.name
    x = at.operands[0] if at.operands else None
    if type(x) is int and name in ("clone", "astype", "convert", "broadcast_to", "reshape"):
        if program.kinds[x] == kind:
            return x
        inner = made.get(x)
        if name == "reshape" and inner is not None and inner.primitive.name == "reshape":
            source = inner.operands[0]
            return source if program.kinds[source] == kind else at._replace(operands=(source,))
        return at
    if name == "power" and type(x) is int and at.params["exponent"] == 1 and program.kinds[x] == kind:
        return x
    if name == "neg" and type(x) is int and x in made and made[x].primitive.name == "neg":
        return made[x].operands[0]
    if name == "permute" and type(x) is int and x in made and made[x].primitive.name == "permute":
        inner = made[x].params["axes"]
        axes = tuple(inner[i] for i in at.params["axes"])
        source = made[x].operands[0]
        if axes == tuple(range(len(axes))):
            return source
        return at._replace(operands=(source,), params={"axes": axes})
    if name in ("add", "sub", "mul", "div") and len(at.operands) == 2 and kind.dtype.kind in "fiu":
        neutral = {"add": -0.0, "sub": 0.0}.get(name, 1.0)
        a, b = at.operands
        if type(a) is int and program.kinds[a] == kind and _is(program, b, neutral, kind):
            return a
        if name in ("add", "mul") and type(b) is int and program.kinds[b] == kind and _is(program, a, neutral, kind):
            return b
    return at


def _is(program: Program, operand: Any, number: float, kind: Kind) -> bool:
    """Whether an operand is this number everywhere; of floats also its sign."""
    value = operand.value if type(operand) is Literal else program.constants.get(operand)
    if value is None or not np.all(np.asarray(value) == number):
        return False
    return kind.dtype.kind != "f" or bool(np.all(np.signbit(value) == np.signbit(number)))


def broadcasting(program: Program) -> Program:
    """Without values spread over axes that the elementwise operation which reads them spreads itself."""
    made = {at.output: at for at in program.instructions}
    kept = []
    for at in program.instructions:
        if at.primitive.kind == "elementwise" and len(at.operands) > 1:
            operands = list(at.operands)
            for i, x in enumerate(operands):
                spread = _spread_from(program, made, x)
                if spread is None:
                    continue
                trial = [*operands[:i], spread, *operands[i + 1 :]]
                shapes = [program.kinds[v].shape if type(v) is int else () for v in trial]
                # One operand with axes stays, since dtypes of those without follow other rules.
                if () not in shapes[i : i + 1] and np.broadcast_shapes(*shapes) == program.kinds[at.output].shape:
                    operands = trial
            if operands != list(at.operands):
                at = at._replace(operands=tuple(operands))
        kept.append(at)
    return program.with_(instructions=tuple(kept))


def _spread_from(program: Program, made: dict[int, Instruction], slot: Any) -> int | None:
    """What a value was spread from, be it that an axis of length 1 was put between: (m) -> (n, m) -> (n, 1, m)."""
    source = made.get(slot) if type(slot) is int else None
    if source is not None and source.primitive.name == "reshape":
        shape = source.params["shape"]
        source = made.get(source.operands[0])
        if source is None or len(shape) != 3 or program.kinds[source.output].shape != (shape[0], shape[2]):
            return None
        if type(source.operands[0]) is not int or len(program.kinds[source.operands[0]].shape) != 1:
            return None
    if source is None or source.primitive.name != "broadcast_to" or type(source.operands[0]) is not int:
        return None
    return source.operands[0]


def fusion(program: Program) -> Program:
    """With `groups`: runs of elementwise instructions of one shape that could be one loop over elements.

    An instruction joins the group of its operands if all that it reads and that this group makes is elementwise and of
    its own shape; the instructions themselves stay as they are.
    """
    groups: list[list[int]] = []
    current: list[int] = []
    shape: tuple[int, ...] | None = None
    for i, at in enumerate(program.instructions):
        fits = at.primitive.kind == "elementwise" and program.kinds[at.output].shape != ()
        if fits and current and program.kinds[at.output].shape == shape:
            current.append(i)
            continue
        if len(current) > 1:
            groups.append(current)
        current, shape = ([i], program.kinds[at.output].shape) if fits else ([], None)
    if len(current) > 1:
        groups.append(current)
    return program.with_(groups=tuple(map(tuple, groups)))


#: Operations that eager code runs as one, as programs of (primitive, operands): 0, 1 are their operands, 2 and on the
#: values made before, and numbers are floats.
_PARTS: dict[str, tuple[tuple[str, tuple[Any, ...]], ...]] = {
    "tanh_backward": (("mul", (1, 1)), ("sub", (1.0, 2)), ("mul", (0, 3))),
    "sigmoid_backward": (("sub", (1.0, 1)), ("mul", (1, 2)), ("mul", (0, 3))),
}


def expansion(program: Program) -> Program:
    """With operations that were joined to save Python's time in their parts, which other passes can share and fuse."""
    kinds = dict(program.kinds)
    kept: list[Instruction] = []
    for at in program.instructions:
        parts = _PARTS.get(at.primitive.name)
        if parts is None or type(at.operands[1]) is not int:
            kept.append(at)
            continue
        values = list(at.operands)
        for i, (name, operands) in enumerate(parts):
            slot = at.output
            if i < len(parts) - 1:
                slot = max(kinds) + 1
                kinds[slot] = kinds[at.operands[1]]
            given = tuple(Literal(int(x)) if type(x) is float else values[x] for x in operands)
            kept.append(Instruction(primitives[name], given, {}, slot, at.line))
            values.append(slot)
    return program.with_(instructions=tuple(kept), kinds=kinds)


PASSES: dict[str, Pass] = {
    "expansion": expansion,
    "dead_code": dead_code,
    "constant_folding": constant_folding,
    "identities": identities,
    "products": products,
    "reductions": reductions,
    "factoring": factoring,
    "broadcasting": broadcasting,
    "common_subexpressions": common_subexpressions,
    "ranges": ranges,
    "packing": packing,
    "flattening": flattening,
    "scaling": scaling,
    "linear": linear,
    "trimming": trimming,
    "recompute": recompute,
    "fusion": fusion,
}
"""By name, in the order in which they run."""

FAST_MATH = frozenset({"factoring", "scaling", "linear"})
"""Those that change numbers: they join factors, and move them and constants through sums and products."""

_LAST = ("trimming", "recompute", "fusion")
"""What common subexpressions would undo, and what belongs to the instructions as they are in the end."""


def chosen(fast_math: bool, names: Iterable[str] | None = None) -> list[str]:
    """The names of the passes that run where some are asked for, all by default; in order."""
    return [name for name in PASSES if (names is None or name in names) and (fast_math or name not in FAST_MATH)]


def before_cut(program: Program, names: Iterable[str] | None) -> list[str]:
    """Those of the named passes (default all) that put nothing of forward together with what belongs to backward."""
    joining = ("packing", "flattening", "recompute")
    return [name for name in chosen(program.fast_math, names) if name not in joining]


def optimize(program: Program, names: Iterable[str] | None = None) -> Program:
    """The program after the named passes (default all), and without what they left unused."""
    names = chosen(program.fast_math, names)
    for name in names:
        if name not in _LAST:
            program = PASSES[name](program)
    for name in ("common_subexpressions", "dead_code", *_LAST):
        if name in names:
            program = PASSES[name](program)
    return program.with_(kinds={s: program.kinds[s] for s in program.names()})


def _renamed(program: Program, same: dict[int, int]) -> Program:
    return program.with_(outputs=tuple(same.get(s, s) for s in program.outputs))


def frozen(params: dict[str, Any]) -> Any:
    """Parameters as something hashable, or None."""
    frozen = []
    for key, value in sorted(params.items()):
        item = _frozen_value(value)
        if item is None:
            return None
        frozen.append((key, item))
    return tuple(frozen)


def _frozen_value(value: Any) -> Any:
    if isinstance(value, slice):
        return ("slice", value.start, value.stop, value.step)
    if isinstance(value, tuple):
        items = [_frozen_value(v) for v in value]
        return None if any(v is None for v in items) else tuple(items)
    if value is None or isinstance(value, (bool, int, float, str, np.dtype, type)) or value is Ellipsis:
        return (type(value), repr(value))
    return ("object", id(value))
