"""Groups as loops: one pass over the elements, on as many at a time as fit a register."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hograd.program.ir import Literal
from hograd.program.native.elementwise import Lanes
from hograd.program.native.emit import Function, constant, number, stored_type, suffix, type_of
from hograd.program.native.memory import Plan
from hograd.program.native.schedule import Group, Piece
from hograd.program.native.views import View

#: Where reductions begin.
IDENTITIES = {"sum": 0.0, "amax": -math.inf, "quick amax": -math.inf, "amin": math.inf}
#: Intrinsics for two, and for all lanes; the quick one leaves nan out.
EXTREMA = {
    "amax": ("maximum", "fmaximum"),
    "amin": ("minimum", "fminimum"),
    "quick amax": ("maxnum", "fmax"),
}


@dataclass(slots=True)
class Access:
    """Memory that a loop reads or fills: the position of its address, its dtype, strides, and what is done to it."""

    position: int
    dtype: Any
    strides: tuple[int, ...]
    role: str


@dataclass(slots=True)
class Loop:
    """A group in canonical form: what is written depends on this alone.

    Attributes:
        domain: the shape.
        rows: whether it is run row by row.
        fuses: whether sums may take in products that are not rounded.
        accesses: loads, stores and reductions; strides of values of one number a row lack the last axis.
        steps: for each piece its primitive, parameters, operands, dtypes, and the access that its answer goes to.
            Operands are ("load", access), ("value", step) or ("number", value).
    """

    domain: tuple[int, ...]
    rows: bool
    fuses: bool = False
    accesses: list[Access] = field(default_factory=list)
    steps: list[tuple[Any, ...]] = field(default_factory=list)

    def key(self) -> Any:
        """What is the same for loops with the same code."""
        accesses = tuple((a.position, a.dtype.char, a.strides, a.role) for a in self.accesses)
        steps = []
        for kind, name, params, operands, dtypes, computed, dtype, target, short in self.steps:
            # By their digits, since 0.0 equals -0.0, and nan not itself.
            numbers = tuple(repr(x) if source == "number" else x for source, x in operands)
            sources = tuple(source for source, _ in operands)
            chars = "".join("-" if d is None else d.char for d in (*dtypes, computed, dtype))
            steps.append((kind, name, repr(params) if params else "", sources, numbers, chars, target, short))
        return (self.domain, self.rows, self.fuses, accesses, tuple(steps))


def canonical(group: Group, plan: Plan) -> tuple[Loop, list[tuple[int, int, int]]]:
    """A group as a loop, and the addresses that it takes: slot, offset in elements, step along the batch."""
    kinds, kept = plan.kinds, plan.kept
    loop = Loop(group.domain, group.rows, plan.fast_math)
    addresses: dict[tuple[int, int, int], int] = {}
    loads: dict[Any, int] = {}
    values: dict[int, int] = {}

    def access(address: tuple[int, int, int], dtype: Any, strides: tuple[int, ...], role: str) -> int:
        key = (address, strides, role)
        if role != "load" or key not in loads:
            loads[key] = len(loop.accesses)
            loop.accesses.append(Access(addresses.setdefault(address, len(addresses)), dtype, strides, role))
        return loads[key]

    for piece in group.pieces:
        node = piece.node
        operands: list[tuple[str, Any]] = []
        dtypes = []
        for x, step in zip(piece.reads, piece.steps, strict=True):
            if type(x) is Literal:
                operands.append(("number", x.value))
                dtypes.append(None)
            elif x.root in values:
                operands.append(("value", values[x.root]))
                dtypes.append(kinds[x.root].dtype)
            else:
                assert type(x) is View
                dtype = kinds[x.root].dtype
                operands.append(("load", access((x.root, x.offset, step), dtype, x.strides, "load")))
                dtypes.append(dtype)
        output, dtype = node.output, kinds[node.output].dtype
        target = None
        of_rows = node.kind == "reduce" and group.rows and piece.domain == group.domain
        of_rows = of_rows and group.levels.get(output) == "row"
        if output in kept:
            role = "store"
            strides = piece.strides
            if of_rows:
                strides = strides[:-1]
            elif node.kind == "reduce":
                role = "add" if piece.adds else node.name
            target = access((output, 0, piece.step), dtype, strides, role)
        values[output] = len(loop.steps)
        kind = "row" if of_rows else node.kind
        short = piece.domain != group.domain
        loop.steps.append((kind, node.name, node.params, operands, dtypes, node.computed, dtype, target, short))
    return loop, list(addresses)


def joined(piece: Piece, kinds: dict[int, Any]) -> Iterator[tuple[Loop, list[tuple[int, int, int]]]]:
    """The loops of a join, one a part, each with its addresses."""
    node, batched = piece.node, len(piece.domain) < len(piece.node.domain)
    dtype = kinds[node.output].dtype

    def copy(domain: tuple[int, ...], source: Any, strides: tuple[int, ...]) -> Loop:
        kept = [i for i, n in enumerate(domain) if n != 1]
        loop = Loop(tuple(domain[i] for i in kept), False)
        operand: tuple[str, Any] = ("number", 0.0)
        if source is not None:
            loop.accesses.append(Access(0, dtype, tuple(source[i] for i in kept), "load"))
            operand = ("load", 0)
        target = len(loop.accesses)
        loop.accesses.append(Access(target, dtype, tuple(strides[i] for i in kept), "store"))
        loop.steps.append(("elementwise", "clone", {}, [operand], [dtype], dtype, dtype, target, False))
        return loop

    if node.params["zero"]:
        yield copy((math.prod(piece.domain),), None, (1,)), [(node.output, 0, piece.step)]
    for x, step, window in zip(piece.reads, piece.steps, node.params["windows"], strict=True):
        strides = window.strides[1:] if batched else window.strides
        addresses = [(x.root, x.offset, step), (node.output, window.offset, piece.step)]
        yield copy(x.shape, x.strides, strides), addresses


def merged(domain: tuple[int, ...], strides: Sequence[tuple[int, ...]]) -> tuple[list[int], list[list[int]]]:
    """The same loop with axes as one where all strides allow it."""
    shape = list(domain)
    all_strides = [list(s) for s in strides]
    i = len(shape) - 2
    while i >= 0:
        if all(s[i] == s[i + 1] * shape[i + 1] for s in all_strides):
            shape[i] *= shape.pop(i + 1)
            for s in all_strides:
                s.pop(i)
        i -= 1
    return shape, all_strides


class LoopWriter:
    """The code of one loop.

    Args:
        loop: what to write.
        width: bytes of a vector register.
        declarations: of the module.
    """

    def __init__(self, loop: Loop, width: int, declarations: dict[str, str]) -> None:
        self.loop = loop
        self.function = Function(declarations)
        widest = max([4, *[a.dtype.itemsize for a in loop.accesses]])
        self.width = max(2, width // widest)
        self.sums: dict[int, str] = {}

    def write(self, name: str) -> str:
        """The function."""
        f, accesses = self.function, self.loop.accesses
        for a in accesses:
            if a.role in IDENTITIES:
                size = math.prod(n for n, s in zip(self.loop.domain, a.strides, strict=False) if s)
                with f.loop(size) as i:
                    place = f.element(stored_type(a.dtype, 0), f"%a{a.position}", i)
                    f.store(a.dtype, 0, number(IDENTITIES[a.role], a.dtype), place)
        pointers = [f"%a{a.position}" for a in accesses]
        if self.loop.rows:
            outer = [a.strides if self._is_short(a) else a.strides[:-1] for a in accesses]
            shape, strides = merged(self.loop.domain[:-1], outer)
            self.inner = [0 if self._is_short(a) else a.strides[-1] for a in accesses]
            self._nest(shape, strides, pointers, self._row)
        elif not self.loop.domain:
            self.inner = [0] * len(accesses)
            self._body(0, pointers)
        else:
            shape, strides = merged(self.loop.domain, [a.strides for a in accesses])
            self.inner = [s[-1] for s in strides]
            self.length = shape[-1]
            self._nest(shape[:-1], [s[:-1] for s in strides], pointers, self._line)
        return f.finish(name, 1 + max(a.position for a in accesses))

    def _is_short(self, access: Access) -> bool:
        return len(access.strides) < len(self.loop.domain)

    def _nest(self, shape: list[int], strides: list[list[int]], pointers: list[str], body: Any) -> None:
        """Loops over all axes, with the body inside."""
        if not shape:
            body(pointers)
            return
        f = self.function
        with f.loop(shape[0]) as i:
            moved = [
                f.element(stored_type(a.dtype, 0), p, f.times(i, s[0])) if s[0] else p
                for a, p, s in zip(self.loop.accesses, pointers, strides, strict=True)
            ]
            self._nest(shape[1:], [s[1:] for s in strides], moved, body)

    def _row(self, pointers: list[str]) -> None:
        self._body(self.loop.domain[-1], pointers)

    def _line(self, pointers: list[str]) -> None:
        """The innermost axis: whole registers, then what is left."""
        f = self.function
        full, rest = divmod(self.length, self.width)
        if full > 1:
            for i, a in enumerate(self.loop.accesses):
                if a.role in (*IDENTITIES, "add") and not self.inner[i]:
                    self.sums[i] = f.variable(type_of(a.dtype, self.width))
                    start = constant(IDENTITIES.get(a.role, 0.0), a.dtype, self.width)
                    f.do(f"store {type_of(a.dtype, self.width)} {start}, ptr {self.sums[i]}")
        if full:
            with f.loop(full) as i:
                self._body(self.width, self._moved(pointers, f.times(i, self.width)))
        for i, variable in self.sums.items():
            dtype = self.loop.accesses[i].dtype
            value = f.let(f"load {type_of(dtype, self.width)}, ptr {variable}")
            self._add(i, 0, self._reduced(self.loop.accesses[i].role, dtype, self.width, value), pointers[i])
        self.sums = {}
        if rest:
            self._body(rest if rest > 1 else 0, self._moved(pointers, str(full * self.width)))

    def _moved(self, pointers: list[str], index: str) -> list[str]:
        f = self.function
        moved = []
        for a, p, s in zip(self.loop.accesses, pointers, self.inner, strict=True):
            at = str(int(index) * s) if index.isdigit() else f.times(index, s)
            moved.append(f.element(stored_type(a.dtype, 0), p, at) if s else p)
        return moved

    def _body(self, lanes: int, pointers: list[str]) -> None:
        """All pieces, on `lanes` elements; values of one number a row have none."""
        loaded: dict[tuple[int, int], str] = {}
        values: list[tuple[str, int]] = []
        for step in self.loop.steps:
            values.append(self._step(step, lanes, pointers, loaded, values))

    def _load(self, i: int, lanes: int, pointers: list[str]) -> str:
        f, access, stride = self.function, self.loop.accesses[i], self.inner[i]
        if not lanes or stride == 0:
            value = f.load(access.dtype, 0, pointers[i])
            return f.splat(access.dtype, lanes, value)
        if stride == 1:
            return f.load(access.dtype, lanes, pointers[i])
        return f.gather(access.dtype, lanes, pointers[i], stride)

    def _step(
        self, step: tuple[Any, ...], lanes: int, pointers: list[str], loaded: dict[Any, str], values: list[Any]
    ) -> tuple[str, int]:
        kind, name, params, operands, dtypes, computed, dtype, target, short = step
        f = self.function
        width = 0 if short else lanes
        given = []
        for (source, x), d in zip(operands, dtypes, strict=True):
            if source == "number":
                # Of the dtype in which it is used: a condition of `where` is a bool.
                given.append((constant(x, computed, width), computed))
            elif source == "value":
                value, made = values[x]
                given.append((value if made == width else f.splat(d, width, value), d))
            else:
                if (x, width) not in loaded:
                    loaded[x, width] = self._load(x, width, pointers)
                given.append((loaded[x, width], d))
        if kind == "elementwise":
            value = Lanes(f, width, fuses=self.loop.fuses).write(name, params, given, computed, dtype)
        elif kind == "row":
            value, width = self._reduced(name, dtype, width, given[0][0]), 0
        else:
            value = given[0][0]
            if target is not None:
                self._add(target, width, value, pointers[target])
            return value, width
        if target is not None and width and self.inner[target] != 1:
            f.scatter(dtype, width, value, pointers[target], self.inner[target])
        elif target is not None:
            f.store(dtype, width, value, pointers[target])
        return value, width

    def _add(self, target: int, lanes: int, value: str, pointer: str) -> None:
        """Add to a sum, or join an extremum, in a register or in memory."""
        f, access = self.function, self.loop.accesses[target]
        dtype, role = access.dtype, access.role
        kind = type_of(dtype, lanes)
        if lanes and target in self.sums:
            before = f.let(f"load {kind}, ptr {self.sums[target]}")
            f.do(f"store {kind} {self._joined(role, dtype, lanes, before, value)}, ptr {self.sums[target]}")
        elif lanes and not self.inner[target]:
            self._add(target, 0, self._reduced(role, dtype, lanes, value), pointer)
        else:
            before = f.load(dtype, lanes, pointer)
            f.store(dtype, lanes, self._joined(role, dtype, lanes, before, value), pointer)

    def _joined(self, role: str, dtype: Any, lanes: int, a: str, b: str) -> str:
        """Two partial results as one."""
        kind = type_of(dtype, lanes)
        if role in EXTREMA:
            return self.function.call(f"llvm.{EXTREMA[role][0]}.{suffix(dtype, lanes)}", kind, [(kind, a), (kind, b)])
        return self.function.let(f"fadd {kind} {a}, {b}")

    def _reduced(self, role: str, dtype: Any, lanes: int, value: str) -> str:
        """All lanes as one."""
        if role not in EXTREMA or not lanes:
            return self.function.total(dtype, lanes, value)
        full = f"llvm.vector.reduce.{EXTREMA[role][1]}.{suffix(dtype, lanes)}"
        return self.function.call(full, type_of(dtype, 0), [(type_of(dtype, lanes), value)])
