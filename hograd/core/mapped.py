"""What `vmap` does with a call that has a derivative of its own: its rule, its forward on whole batches, or a loop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from hograd.core.batching import without_elements
from hograd.core.custom import Call, Place, Residue, Values, checked, evaluate, interpret, pull, push
from hograd.core.dispatch import bare, wrap
from hograd.core.levels import Level, level_of, state
from hograd.core.primitive import kernels, ops
from hograd.core.replay import hidden, repeated, rewinding, undone, watched
from hograd.core.restoring import temporarily
from hograd.core.tensor import Batched, Tensor
from hograd.errors import LevelError


def map_call(call: Call, args: Values, number: int, mapped: frozenset[int]) -> tuple[list[Any], Any]:
    """Interpret a call at level `number`, that of a vmap: of its arguments none is above; see `interpret`."""
    level = level_of(number)
    if level is None:
        raise LevelError(f"{call.name} was given a value that belongs to a `vmap` that has returned.")
    inside = [type(arg) is Batched and arg.level == number for arg in args]
    values = [arg.value if at else bare(arg) for arg, at in zip(args, inside, strict=True)]
    if call.generated:
        whole = Mapped(call, level, inside)
        with each_by_itself(level):
            outputs, residue = interpret(whole, values, mapped)
        return [Batched(y, number) for y in outputs], InVmap(number, residue)
    axes = [0 if at else None for at in inside]
    own = call.batched(level.size, [wrap(v) for v in values], axes, level.randomness)
    if own is not None:
        outputs = [Batched(bare(y), number) for y in own]
        return outputs, Late.of(call, [wrap(arg) for arg in args], outputs)
    if not level.size:
        return _map_nothing(call, values, inside, number, mapped)
    rows, residues = [], []
    with each_by_itself(level) as one:
        for i in range(level.size):
            with one(i):
                elements = [_element(v, i) if at else v for v, at in zip(values, inside, strict=True)]
                row, residue = interpret(call, elements, mapped)
            rows.append(row)
            residues.append(residue)
    stacked = [ops.stack([wrap(y) for y in column]) for column in zip(*rows, strict=True)]
    return [Batched(bare(y), number) for y in stacked], Loop(number, residues)


def _map_nothing(
    call: Call, values: Values, inside: list[bool], number: int, mapped: frozenset[int]
) -> tuple[list[Any], Any]:
    """A call inside a vmap of size 0 that has no rule for it."""
    constant: frozenset[int] = frozenset()

    def on_zeros(*blanks: Any) -> list[Any]:
        nonlocal constant
        with rewinding(), undone():
            answers, residue = interpret(call, blanks, mapped)
        constant = residue.constant
        return answers

    outputs = without_elements(call.name, on_zeros, list(values), inside)
    return [Batched(bare(y), number) for y in outputs], Nothing(constant)


def each_by_itself(level: Level) -> Any:
    """While a vmap's elements are gone through by other means, random draws do not see it, but its `randomness`.

    Gives a context for the computation of each element. Where numbers are given rather than drawn, all elements have
    them from the same places.
    """
    given = level.origin <= state.place[2]
    draws = repeated() if given or level.randomness == "same" else contextlib.nullcontext

    @contextlib.contextmanager
    def one(element: int) -> Iterator[None]:
        with draws(), temporarily((level, "element", element)):
            yield

    if level.randomness == "error" and not given:
        return contextlib.nullcontext(one)
    return temporarily(*hidden(lambda other: other.origin == level.origin), given=one)


def _element(value: Any, index: int) -> Any:
    return (ops if isinstance(value, Tensor) else kernels).getitem(value, index)


class Late(NamedTuple):
    """The residue of a call that its own vmap rule evaluated: found when it is needed, from inputs and answers."""

    shapes: Sequence[tuple[int, ...]]
    constant: frozenset[int]

    @staticmethod
    def of(call: Call, inputs: Values, outputs: Values) -> Any:
        shapes = [tuple(x.shape) for x in inputs]
        if isinstance(call, (Split, Join)):
            return Residue(None).place(inputs, outputs)
        constant = call.late(list(inputs), list(outputs)).constant if any(call.tracked) else frozenset()
        return Late(shapes, constant)

    def keeps(self, kind: str, index: int) -> bool:
        return True

    def pull(self, call: Call, cotangents: list[Any], outputs: Values, inputs: Values) -> Sequence[Any]:
        return checked(call, call.backward(call.late(list(inputs), list(outputs)), cotangents), self.shapes)

    def push(self, call: Call, tangents: list[Any], outputs: Values, inputs: Values) -> Sequence[Any] | None:
        return call.tangent(call.late(list(inputs), list(outputs)), tangents)


class Nothing(NamedTuple):
    """The residue of a call inside a vmap of size 0: all derivatives are zeros, of which there are none."""

    constant: frozenset[int]

    def keeps(self, kind: str, index: int) -> bool:
        return True

    def pull(self, call: Call, cotangents: list[Any], outputs: Values, inputs: Values) -> Sequence[Any]:
        return [ops.zeros_like(x) if x.dtype.kind in "fc" else None for x in inputs]

    def push(self, call: Call, tangents: list[Any], outputs: Values, inputs: Values) -> Sequence[Any]:
        return [ops.zeros_like(y) if y.dtype.kind in "fc" else None for y in outputs]


class Loop(NamedTuple):
    """The residues of a call inside vmap that went through its elements, one for each."""

    level: int
    parts: list[Any]

    @property
    def constant(self) -> frozenset[int]:
        return self.parts[0].constant

    def keeps(self, kind: str, index: int) -> bool:
        return self.parts[0].keeps(kind, index)

    def pull(self, call: Call, cotangents: list[Any], outputs: Values, inputs: Values) -> Sequence[Any]:
        def one(part: Any, g: list[Any], y: list[Any], x: list[Any]) -> Sequence[Any]:
            return pull(call, part, {i: v for i, v in enumerate(g) if v is not None}, y, x)

        return self.each(one, cotangents, outputs, inputs)

    def push(self, call: Call, tangents: list[Any], outputs: Values, inputs: Values) -> Sequence[Any]:
        return self.each(lambda part, t, y, x: push(call, part, t, y, x), tangents, outputs, inputs)

    def each(self, function: Callable[..., Sequence[Any]], *groups: Values) -> list[Any]:
        """`function` of what belongs to every element, its answers joined again."""
        size = len(self.parts)
        split = [[self._split(value, size) for value in group] for group in groups]
        rows, level = [], level_of(self.level)
        opened = Level("none", origin=self.level) if level is None else contextlib.nullcontext(level)
        with opened as level, each_by_itself(level) as one:
            for i, part in enumerate(self.parts):
                with one(i):
                    rows.append(function(part, *[[v[i] for v in group] for group in split]))
        columns: list[Any] = []
        for column in zip(*rows, strict=True):
            like = next((y for y in column if y is not None), None)
            if like is None:
                columns.append(None)
                continue
            filled = [ops.zeros_like(like) if y is None else y for y in column]
            columns.append(join(filled, self.level))
        return columns

    def _split(self, value: Any, size: int) -> list[Any]:
        known = isinstance(value, Tensor) and value.level >= self.level
        return split(value, self.level, size) if known else [value] * size


class Split(Call):
    """The elements of a value along the batch axis of one vmap, as its answers; `Join` is its adjoint.

    Elements of a value on the levels above that vmap cannot be had by indexing: the batch axis does not show there.
    """

    __slots__ = ("bottom", "size")

    def __init__(self, bottom: int, size: int) -> None:
        super().__init__("split", [True])
        self.bottom, self.size = bottom, size

    def evaluate(self, args: Values) -> tuple[list[Any], Any]:
        (value,) = args
        if type(value) is Batched and value.level == self.bottom:
            outputs = [_element(value.value, i) for i in range(self.size)]
        else:
            outputs = [value] * self.size
        return outputs, Residue(None).place(args, outputs)

    def backward(self, residue: Residue, cotangents: list[Any]) -> Sequence[Any]:
        return [join(_filled(residue, cotangents), self.bottom)]

    def tangent(self, residue: Residue, tangents: list[Any]) -> Sequence[Any]:
        return [None] * self.size if tangents[0] is None else split(tangents[0], self.bottom, self.size)

    def batched(self, size: int, inputs: list[Any], axes: list[int | None], randomness: str) -> list[Any]:
        return split(inputs[0], self.bottom, self.size)


class Join(Call):
    """The value that has these elements along the batch axis of one vmap; `Split` is its adjoint."""

    __slots__ = ("bottom", "size")

    def __init__(self, bottom: int, size: int) -> None:
        super().__init__("join", [True] * size)
        self.bottom, self.size = bottom, size

    def evaluate(self, args: Values) -> tuple[list[Any], Any]:
        outputs = [Batched(bare(ops.stack([wrap(x) for x in args])), self.bottom)]
        return outputs, Residue(None).place(args, outputs)

    def backward(self, residue: Residue, cotangents: list[Any]) -> Sequence[Any]:
        return split(cotangents[0], self.bottom, self.size)

    def tangent(self, residue: Residue, tangents: list[Any]) -> Sequence[Any]:
        _, dtype = residue.answers[0]
        return [
            join(
                [ops.zeros(*s, dtype=dtype) if t is None else t for s, t in zip(residue.shapes, tangents, strict=True)],
                self.bottom,
            )
        ]

    def batched(self, size: int, inputs: list[Any], axes: list[int | None], randomness: str) -> list[Any]:
        full = [x if at == 0 else ops.broadcast_to(x, (size, *x.shape)) for x, at in zip(inputs, axes, strict=True)]
        return [join(full, self.bottom)]


def split(value: Any, level: int, size: int) -> list[Any]:
    """The elements of a value of any level along the batch axis of vmap `level`."""
    return [wrap(y) for y in evaluate(Split(level, size), [value])[0]]


def join(elements: Sequence[Any], level: int) -> Any:
    """The value of vmap `level` that has these elements."""
    return wrap(evaluate(Join(level, len(elements)), list(elements))[0][0])


def _filled(residue: Residue, parts: Sequence[Any]) -> list[Any]:
    return [
        ops.zeros(*shape, dtype=dtype) if g is None else g
        for g, (shape, dtype) in zip(parts, residue.answers, strict=True)
    ]


class Mapped(Call):
    """A call on whole batches: its forward, and its backward, each under a vmap of its own."""

    generated = True
    __slots__ = ("inner", "inside", "kind", "origin", "randomness", "size")

    def __init__(self, inner: Call, level: Level, inside: list[bool]) -> None:
        super().__init__(inner.name, inner.tracked)
        self.inner, self.inside = inner, inside
        # What draws do not see now, they do not see later either.
        self.kind = level.kind
        self.size, self.randomness, self.origin = level.size, level.randomness, level.origin

    def _level(self) -> Level:
        """The vmap, opened again."""
        return Level(self.kind, self.size, self.randomness, self.origin)

    def _enter(self, values: Values, level: Level) -> list[Any]:
        return [x if x is None else Batched(bare(x), level.number) for x in values]

    def _inputs(self, values: Values, level: Level) -> list[Any]:
        entered = self._enter(values, level)
        return [e if at else x for e, x, at in zip(entered, values, self.inside, strict=True)]

    def _leave(self, value: Any, level: Level) -> Any:
        if type(value) is Batched and value.level == level.number:
            return wrap(value.value)
        return ops.broadcast_to(value, (self.size, *value.shape))

    def forward(self, inputs: list[Tensor]) -> tuple[list[Tensor], Residue]:
        with self._level() as level:
            entered = self._inputs(inputs, level)
            with watched() as random:
                answers, residue = self.inner.forward(entered)
            residue.random = random
            template = residue.place(entered, answers)
            kept, leaves = [], []
            for x in template.leaves:
                if isinstance(x, Tensor):
                    leaves.append(Place("kept", len(kept)))
                    kept.append(self._leave(x, level))
                else:
                    leaves.append(x)
            template = template.replaced(leaves)
            outputs = [self._leave(y, level) for y in answers]
        content = {
            "kept": kept,
            "template": template,
            "inputs": {i: x for i, x in enumerate(inputs) if template.keeps("input", i)},
            "outputs": {i: y for i, y in enumerate(outputs) if template.keeps("output", i)},
        }
        return outputs, Residue(content, sorted(residue.constant))

    def _opened(self, residue: Residue, level: Level) -> tuple[Residue, list[Any], list[Any]]:
        content = residue.content
        inputs = [content["inputs"].get(i) for i in range(len(self.tracked))]
        outputs = [content["outputs"].get(i) for i in range(len(residue.answers))]
        return opened(residue, level.number), self._inputs(inputs, level), self._enter(outputs, level)

    def backward(self, residue: Residue, cotangents: list[Any]) -> Sequence[Any]:
        with self._level() as level:
            template, inputs, outputs = self._opened(residue, level)
            pulled = template.pull(self.inner, self._enter(cotangents, level), outputs, inputs)
            left = [g if g is None else self._leave(g, level) for g in pulled]
        return [g if g is None or at else ops.sum(g, axis=0) for g, at in zip(left, self.inside, strict=True)]

    def tangent(self, residue: Residue, tangents: list[Any]) -> Sequence[Any] | None:
        with self._level() as level:
            template, inputs, outputs = self._opened(residue, level)
            pushed = template.push(self.inner, self._inputs(tangents, level), outputs, inputs)
            return pushed if pushed is None else [t if t is None else self._leave(t, level) for t in pushed]


def opened(residue: Residue, level: int) -> Residue:
    """The residue of a call from that of its `Mapped`, with what was kept as values of the vmap `level`."""
    content = residue.content
    kept, template = content["kept"], content["template"]
    return template.replaced(
        [Batched(bare(kept[x.index]), level) if type(x) is Place and x.kind == "kept" else x for x in template.leaves]
    )


class InVmap(NamedTuple):
    """The residue of a call inside vmap whose forward ran on whole batches."""

    level: int
    residue: Any

    @property
    def constant(self) -> frozenset[int]:
        return self.residue.constant

    def open(self) -> Residue:
        """The residue of the call itself, with values inside the vmap."""
        inner = self.residue.open() if isinstance(self.residue, InVmap) else self.residue
        return opened(inner, self.level)

    def keeps(self, kind: str, index: int) -> bool:
        return self.open().keeps(kind, index)

    def pull(self, call: Call, cotangents: list[Any], outputs: Values, inputs: Values) -> Sequence[Any]:
        return self.open().pull(call, cotangents, outputs, inputs)

    def push(self, call: Call, tangents: list[Any], outputs: Values, inputs: Values) -> Sequence[Any] | None:
        return self.open().push(call, tangents, outputs, inputs)
