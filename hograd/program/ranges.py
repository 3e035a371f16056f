"""The pass `ranges`: what is taken out of flat arrays and put together again, without the way through other arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hograd.core.primitive import primitives
from hograd.program.expressions import readers
from hograd.program.ir import Instruction, Kind, Literal, Program, dead_code

#: What is done to all parts of a concatenation alike can be done to the whole.
_ELEMENTWISE = frozenset({"add", "sub", "mul", "div", "neg"})


def ranges(program: Program) -> Program:
    """With sums of zeros around parts as concatenations, done to the whole what is done to all parts, and parts that
    lie one behind the other in an array already as a view of it.

    Training on one flat array of parameters takes it apart for the model, and puts the gradients together.
    """
    if not any(at.primitive.name in ("place", "concatenate") for at in program.instructions):
        return program
    return views(_on_the_whole(_concatenated(program)))


class _Writer:
    """A program that is being written anew."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.made = {at.output: at for at in program.instructions}
        self.reading = readers(program)
        self.kinds = dict(program.kinds)
        self.constants = dict(program.constants)
        self.kept: list[Instruction] = []
        self.next = max(self.kinds, default=0) + 1

    def slot(self, kind: Kind) -> int:
        number, self.next = self.next, self.next + 1
        self.kinds[number] = kind
        return number

    def write(self, name: str, operands: tuple[Any, ...], params: dict[str, Any], output: int, line: str) -> int:
        self.kept.append(Instruction(primitives[name], operands, params, output, line))
        return output

    def maker(self, s: Any) -> Instruction | None:
        """What makes a value, if that is read once."""
        return self.made.get(s) if type(s) is int and len(self.reading.get(s, ())) == 1 else None

    def written(self) -> Program:
        return dead_code(
            self.program.with_(instructions=tuple(self.kept), kinds=self.kinds, constants=self.constants, groups=())
        )


def _concatenated(program: Program) -> Program:
    """put(a, 0:k) + put(b, k:n) + c  as  c + (concatenate(a, b) + 0),  where 0 makes 0 of -0 as the zeros around do."""
    if not any(at.primitive.name == "place" for at in program.instructions):
        return program
    new = _Writer(program)
    #: Of sums that are not whole yet the terms: parts with zeros around, and at most one other. Of two others one might
    #: be added before some parts and one behind them.
    terms: dict[int, list[int]] = {}
    for at in program.instructions:
        if at.primitive.name != "add" or not _of_one_kind(new, at):
            new.kept.append(at)
            continue
        found = [t for x in at.operands for t in (terms[x] if x in terms and new.maker(x) is not None else [x])]
        parts = [maker for t in found if (maker := new.maker(t)) is not None and maker.primitive.name == "place"]
        others = [t for t in found if t not in {part.output for part in parts}]
        partition = _partition(parts) if len(others) <= 1 else None
        if partition is None:
            new.kept.append(at)
            if parts and len(others) <= 1:
                terms[at.output] = found
            continue
        parts, params = partition
        whole = new.slot(new.kinds[at.output])
        new.write("concatenate", tuple(part.operands[0] for part in parts), params, whole, at.line)
        positive = new.slot(new.kinds[at.output]) if others else at.output
        new.write("add", (whole, Literal(0)), {}, positive, at.line)
        if others:
            new.write("add", (others[0], positive), {}, at.output, at.line)
    return new.written()


def _of_one_kind(new: _Writer, at: Instruction) -> bool:
    return all(type(x) is int and new.kinds[x] == new.kinds[at.output] for x in at.operands)


def _partition(parts: list[Instruction]) -> tuple[list[Instruction], dict[str, Any]] | None:
    """Zeros around parts in order, and how to join the parts; None if these are not the whole."""
    found = [_bounds(at) for at in parts]
    if len(parts) < 2 or None in found:
        return None
    ordered = sorted(zip(found, parts, strict=True), key=lambda pair: pair[0])  # type: ignore[arg-type,return-value]
    axes, starts, stops = zip(*[bounds for bounds, _ in ordered], strict=True)  # type: ignore[misc]
    if len(set(axes)) > 1 or (*starts, parts[0].params["shape"][axes[0]]) != (0, *stops):
        return None
    return [at for _, at in ordered], {"axis": axes[0], "offsets": (0, *stops)}


def _bounds(at: Instruction) -> tuple[int, int, int] | None:
    """The axis of which an index takes a part, and all of those before it, and where the part begins and ends."""
    index, axis = at.params["index"], len(at.params["index"]) - 1
    if axis < 0 or not isinstance(index[-1], slice) or any(i != slice(None) for i in index[:-1]):
        return None
    start, stop, step = index[-1].indices(at.params["shape"][axis])
    return (axis, start, stop) if step == 1 and start < stop else None


def _on_the_whole(program: Program) -> Program:
    """concatenate(k a, k b)  as  k concatenate(a, b),  also through changes of shape."""
    while True:
        new = _Writer(program)
        extents = _extents(program)
        changed = False
        for at in program.instructions:
            alike = _alike(new, at.operands, extents) if _is_flat(new, at) else None
            if alike is None:
                new.kept.append(at)
                continue
            changed = True
            operands = [_whole(new, column, at) for column in zip(*[a.operands for a in alike], strict=True)]
            new.kept.append(alike[0]._replace(operands=tuple(operands), output=at.output))
        if not changed:
            return program
        program = new.written()


def _is_flat(new: _Writer, at: Instruction) -> bool:
    return at.primitive.name == "concatenate" and len(new.kinds[at.output].shape) == 1


def _whole(new: _Writer, column: tuple[Any, ...], at: Instruction) -> Any:
    """Operands of what makes the parts as the operand of what makes the whole."""
    if all(_same(x, column[0], new.kinds) for x in column):
        return column[0]
    kind = new.kinds[at.output]
    if all(x in new.constants for x in column):
        number = new.slot(kind)
        new.constants[number] = np.concatenate([np.ravel(new.constants[x]) for x in column])
        return number
    rows = []
    for x, part in zip(column, at.operands, strict=True):
        if new.kinds[x] != new.kinds[part]:
            x = new.write("reshape", (x,), {"shape": new.kinds[part].shape}, new.slot(new.kinds[part]), at.line)
        rows.append(x)
    return new.write("concatenate", tuple(rows), at.params, new.slot(kind), at.line)


def _alike(new: _Writer, parts: tuple[Any, ...], extents: dict[int, _Range]) -> list[Instruction] | None:
    """What makes each part, if all are made alike, and of operands that lie together or can be computed together."""
    found: list[Instruction] = []
    for part in parts:
        source = new.maker(part)
        if source is not None and source.primitive.name == "reshape":
            source = new.maker(source.operands[0])
        if source is None or source.primitive.name not in _ELEMENTWISE or not new.kinds[source.output].shape:
            return None
        if found and source.primitive is not found[0].primitive:
            return None
        found.append(source)
    for column in zip(*[source.operands for source in found], strict=True):
        if all(_same(x, column[0], new.kinds) for x in column):
            continue
        if any(type(x) is not int or new.kinds[x] != new.kinds[at.output] for x, at in zip(column, found, strict=True)):
            return None
        if not _are_together(new, column, extents):
            return None
    return found


def _are_together(new: _Writer, column: tuple[int, ...], extents: dict[int, _Range]) -> bool:
    """Whether it costs nothing to have values as one array."""
    if all(x in new.constants for x in column):
        return True
    if _follow([extents.get(x) or _Range(x, 0, -1) for x in column]) or _alike(new, column, extents) is not None:
        return True
    # Products and sums are computed where they belong.
    makers = [new.maker(x) for x in column]
    makers = [new.maker(at.operands[0]) if at is not None and at.primitive.name == "reshape" else at for at in makers]
    return all(at is not None and at.primitive.name in ("mm_nn", "mm_nt", "mm_tn", "sum") for at in makers)


def _follow(found: list[_Range]) -> bool:
    """Whether ranges lie one behind the other in one array."""
    return [(a.of, a.stop) for a in found[:-1]] == [(b.of, b.start) for b in found[1:]]


def lie_together(program: Program, slots: Sequence[int]) -> bool:
    """Whether values lie one behind the other in one array."""
    extents = _extents(program)
    return _follow([extents.get(s) or _Range(s, 0, -1) for s in slots])


def _extents(program: Program) -> dict[int, _Range]:
    """Where values that are views of others lie in these."""
    where: dict[int, _Range] = {}
    for at in program.instructions:
        if at.primitive.name in ("reshape", "getitem") and type(x := at.operands[0]) is int:
            source = where.get(x) or _Range(x, 0, math.prod(program.kinds[x].shape))
            found = source if at.primitive.name == "reshape" else _taken(program.kinds, at, source)
            if found is not None:
                where[at.output] = found
    return where


def _same(x: Any, y: Any, kinds: dict[int, Kind]) -> bool:
    """Whether two operands are one number."""
    if type(x) is Literal or type(y) is Literal:
        return x == y
    return x == y and kinds[x].shape == ()


class _Range(NamedTuple):
    """Elements of an array, counted row by row."""

    of: int
    start: int
    stop: int


def views(program: Program) -> Program:
    """With concatenations of what lies one behind the other in one array as views of that array, and with parts of
    concatenations as what was joined."""
    new = _Writer(program)
    where: dict[int, _Range] = {}
    parts: dict[int, list[tuple[int, int, int]]] = {}
    same: dict[int, int] = {}

    def size(s: int) -> int:
        return math.prod(new.kinds[s].shape)

    def here(s: int) -> _Range:
        return where.get(s) or _Range(s, 0, size(s))

    def resolved(found: _Range) -> _Range:
        """The same elements in what was joined to the array, if they all lie in one of these."""
        for x, start, stop in parts.get(found.of, ()):
            if start <= found.start and found.stop <= stop:
                inner = here(x)
                return _Range(inner.of, inner.start + found.start - start, inner.start + found.stop - start)
        return found

    for at in program.instructions:
        if any(x in same for x in at.reads()):
            at = at._replace(operands=tuple(same.get(x, x) if type(x) is int else x for x in at.operands))
        name, found = at.primitive.name, None
        if name == "reshape" and type(at.operands[0]) is int:
            found = here(at.operands[0])
        elif name == "getitem":
            found = _taken(new.kinds, at, here(at.operands[0]))
        elif name == "concatenate" and at.params["axis"] == 0 and all(type(x) is int for x in at.operands):
            sources = [here(x) for x in at.operands]
            if _follow(sources) and _one_dtype(new, at, sources[0].of):
                found = _Range(sources[0].of, sources[0].start, sources[-1].stop)
            else:
                at = _with_runs(new, at, sources)
                row = math.prod(new.kinds[at.output].shape[1:])
                offsets = [row * i for i in at.params["offsets"]]
                parts[at.output] = list(zip(at.operands, offsets, offsets[1:], strict=False))
        if found is None or not new.kinds[at.output].shape or found.start >= found.stop:
            new.kept.append(at)
            continue
        where[at.output] = better = resolved(found)
        if better == _Range(better.of, 0, size(better.of)) and new.kinds[better.of] == new.kinds[at.output]:
            same[at.output] = better.of
        elif name == "concatenate" or better != found:
            _view(new, better, at)
        else:
            new.kept.append(at)
    new.program = program.with_(outputs=tuple(same.get(s, s) for s in program.outputs))
    return new.written()


def _with_runs(new: _Writer, at: Instruction, sources: list[_Range]) -> Instruction:
    """A concatenation to a flat array, where parts of it that lie together come as one."""
    if len(new.kinds[at.output].shape) != 1:
        return at
    operands: list[int] = []
    runs: list[_Range] = []
    for x, found in zip(at.operands, sources, strict=True):
        if runs and _follow([runs[-1], found]) and _one_dtype(new, at, found.of):
            runs[-1] = _Range(found.of, runs[-1].start, found.stop)
            operands[-1] = -1
        else:
            runs.append(found)
            operands.append(x)
    if len(runs) == len(sources):
        return at
    offsets = [0]
    for i, found in enumerate(runs):
        size = found.stop - found.start
        offsets.append(offsets[-1] + size)
        if operands[i] == -1:
            operands[i] = new.slot(Kind((size,), new.kinds[at.output].dtype))
            _view(new, found, at._replace(output=operands[i]))
    return at._replace(operands=tuple(operands), params={**at.params, "offsets": tuple(offsets)})


def _one_dtype(new: _Writer, at: Instruction, s: int) -> bool:
    return all(new.kinds[x].dtype == new.kinds[at.output].dtype for x in (*at.operands, s))


def _taken(kinds: dict[int, Kind], at: Instruction, source: _Range) -> _Range | None:
    """The elements that an index takes, if they lie one behind the other."""
    shape, index = kinds[at.operands[0]].shape, at.params["index"]
    if len(index) != 1 or not shape:
        return None
    row = math.prod(shape[1:])
    if isinstance(index[0], slice):
        start, stop, step = index[0].indices(shape[0])
        return _Range(source.of, source.start + row * start, source.start + row * stop) if step == 1 else None
    if isinstance(index[0], (int, np.integer)):
        start = int(index[0]) % shape[0]
        return _Range(source.of, source.start + row * start, source.start + row * (start + 1))
    return None


def _view(new: _Writer, found: _Range, at: Instruction) -> None:
    """Write the view of a range that has the shape of an instruction's answer."""
    kind, source = new.kinds[at.output], new.kinds[found.of]
    x, shape = found.of, source.shape
    count = math.prod(shape)
    steps: list[tuple[str, dict[str, Any], tuple[int, ...]]] = []
    if (found.start, found.stop) != (0, count):
        if len(shape) != 1:
            steps.append(("reshape", {"shape": (count,)}, (count,)))
        index = (slice(found.start, found.stop, None),)
        steps.append(("getitem", {"index": index}, (found.stop - found.start,)))
    if not steps or steps[-1][2] != kind.shape:
        steps.append(("reshape", {"shape": kind.shape}, kind.shape))
    for i, (name, params, made) in enumerate(steps):
        last = i == len(steps) - 1
        x = new.write(name, (x,), params, at.output if last else new.slot(Kind(made, source.dtype)), at.line)
