"""Calls with a derivative of their own: what `Function`, `custom_vjp`, `checkpoint` and the like are made of.

A call is one node on each tape, with a tuple of answers; each answer is a node that picks its place in the tuple.
The forward runs once, below every level, on constants. What it saves is kept as places (input 0, answer 1), so that
each level, and each order, gets its own values back. A saved value that is neither is computed again where a backward
pass is itself differentiated: the derivative of the derivative is right without the author's doing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from hograd import tree
from hograd.core.dispatch import bare, is_raw, wrap
from hograd.core.engine import backward_pass, below, unbroadcast
from hograd.core.levels import Level, level_of, no_grad, state
from hograd.core.primitive import kernels, ops
from hograd.core.replay import DrawnInside, replay, restore, watched
from hograd.core.restoring import silent
from hograd.core.tape import Node, leaf
from hograd.core.tensor import Batched, Dual, Tensor
from hograd.errors import ArgumentError, DtypeError, GradientError, LevelError, ShapeError

Values = Sequence[Any]


class Place(NamedTuple):
    """Input or answer number `index` of a call, or what its `vmap` kept, in the place of its value."""

    kind: str
    index: int


class Bundle:
    """The cotangent of a tuple of answers: some of them, by place. Looks to the engine like a number."""

    __slots__ = ("parts",)
    shape = ()
    dtype = None

    def __init__(self, parts: dict[int, Any]) -> None:
        self.parts = parts

    def __add__(self, other: Bundle) -> Bundle:
        # A bundle belongs to one visit of one node, which takes in the others: a call may have thousands of answers.
        for i, g in other.parts.items():
            self.parts[i] = self.parts[i] + g if i in self.parts else g
        return self


class Pick:
    """The primitive of one answer of a call."""

    kind = "custom"
    __slots__ = ("index", "name", "vjps")

    def __init__(self, name: str, index: int) -> None:
        self.name = name
        self.index = index
        self.vjps = (lambda F, g, s, p: Bundle({index: g}),)


class Call:
    """One application of a function with its own derivatives: what stands in the place of a primitive on the tape.

    Attributes:
        name: what errors and printed graphs call it.
        tracked: for each tensor that went in, whether a derivative by it may be asked for.
        bottom: the level that it is evaluated on; below all for a function.
        generated: whether `vmap` runs its forward and backward on values with a batch axis.
    """

    bottom = -1
    differentiable = True
    generated = False
    kind = "custom"
    __slots__ = ("name", "tracked")

    def __init__(self, name: str, tracked: Sequence[bool]) -> None:
        self.name = name
        self.tracked = tuple(tracked)

    def forward(self, inputs: list[Tensor]) -> tuple[list[Tensor], Residue]:
        """The answers, and what the derivative needs of this evaluation."""
        raise NotImplementedError

    def backward(self, residue: Residue, cotangents: list[Any]) -> Sequence[Any]:
        """The cotangent of each input (None for zero); those of the answers are None where nothing used them."""
        raise NotImplementedError

    def tangent(self, residue: Residue, tangents: list[Any]) -> Sequence[Any] | None:
        """The tangent of each answer (None for zero), or None to take them from `backward`."""
        return None

    def batched(self, size: int, inputs: list[Any], axes: list[int | None], randomness: str) -> list[Any] | None:
        """The answers for inputs with a batch axis, one level below, batch axis in front; None if there is no rule."""
        return None

    def late(self, inputs: list[Tensor], outputs: list[Tensor]) -> Residue:
        """What the derivative needs, where `batched` took the place of `forward`."""
        raise NotImplementedError

    def evaluate(self, args: Values) -> tuple[list[Any], Any]:
        """The answers for values that no level above `bottom` knows, and the residue."""
        values = [bare(arg) for arg in args]
        inputs = [Tensor(value) for value in values]
        with watched() as random:
            outputs, residue = self.forward(inputs)
        for i, (x, value) in enumerate(zip(inputs, values, strict=True)):
            if x.value is not value:
                raise ArgumentError(
                    f"{self.name} changed its input {i} in place. Tensors are never written to here: compute a new "
                    "tensor and return it, and bind it by x = f(x) or x.copy_(f(x))."
                )
        if any(map(has_level, outputs)):
            if (drawn := _drawn_in([*outputs, *residue.leaves])) is None:
                raise _closure(self)
            restore(random)
            raise DrawnInside(drawn)
        residue.random = random
        return [bare(y) for y in outputs], residue.place(inputs, outputs)

    @staticmethod
    def link(node: Node, index: int, value: Any, number: int) -> Tensor:
        """Answer `index` of the call that `node` records."""
        picked = Node(Pick(node.primitive.name, index), (node,), None, None, value.shape, value.dtype)
        return Tensor(value, picked, number)

    @property
    def vjps(self) -> Any:
        return _Pulls(self)


class _Pulls:
    """The rules of a call for one visit of the backward pass: `backward` is called once for all inputs."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.pulled: Sequence[Any] | None = None

    def __getitem__(self, position: int) -> Any:
        def rule(F: Any, g: Bundle, saved: tuple[Any, ...], params: Any) -> Any:
            raw = F is kernels
            if self.pulled is None:
                outputs, *inputs, residue = saved
                with no_grad() if raw else contextlib.nullcontext():
                    parts = {i: _conjugate(part) for i, part in g.parts.items()}
                    self.pulled = [_conjugate(x) for x in pull(self.call, residue, parts, outputs, inputs)]
            result = self.pulled[position]
            return result.detach().value if result is not None and raw else result

        return rule


def _conjugate(g: Any) -> Any:
    """Between cotangents of rules and gradients as users know them, which are conjugates for complex values."""
    return ops.conj(wrap(g)) if g is not None and g.dtype.kind == "c" else g


class Residue:
    """What one evaluation left for its derivative: a tree of tensors and anything else.

    Inputs and answers among the leaves are kept as places.

    Attributes:
        shapes: of the inputs. answers: shape and dtype of each.
        constant: the answers that have no derivative.
        random: what the draws of the evaluation depended on.
    """

    __slots__ = ("answers", "constant", "leaves", "random", "shapes", "structure")

    def __init__(self, content: Any, constant: Iterable[int] = ()) -> None:
        self.leaves, self.structure = tree.flatten(content)
        self.constant = frozenset(constant)
        self.random: Any = None
        self.shapes: list[tuple[int, ...]] = []
        self.answers: list[tuple[tuple[int, ...], Any]] = []

    @property
    def content(self) -> Any:
        return tree.unflatten(self.structure, self.leaves)

    def place(self, inputs: Values, outputs: Values) -> Residue:
        """Keep inputs and answers as places, and look at their shapes."""
        places = {id(x): Place("output", i) for i, x in enumerate(outputs)}
        places.update({id(x): Place("input", i) for i, x in enumerate(inputs)})
        self.leaves = [places.get(id(x), x) for x in self.leaves]
        self.shapes = [tuple(x.shape) for x in inputs]
        self.answers = [(tuple(y.shape), y.dtype) for y in outputs]
        return self

    def replaced(self, leaves: list[Any]) -> Residue:
        other = Residue(None, self.constant)
        other.leaves, other.structure, other.random = leaves, self.structure, self.random
        other.shapes, other.answers = self.shapes, self.answers
        return other

    def bind(self, inputs: Values, outputs: Values) -> Residue:
        """With values in the places."""
        of = {"input": inputs, "output": outputs}
        return self.replaced([of[x.kind][x.index] if type(x) is Place else x for x in self.leaves])

    def intermediate(self) -> list[Tensor]:
        """The values with a derivative that are neither inputs nor answers."""
        return [x for x in self.leaves if isinstance(x, Tensor) and x.dtype.kind in "fc"]

    def keeps(self, kind: str, index: int) -> bool:
        """Whether the derivative needs that input or answer."""
        if Place(kind, index) in [x for x in self.leaves if type(x) is Place]:
            return True
        return kind == "input" and any(
            (isinstance(x, Tensor) and x.dtype.kind in "fc") or (type(x) is Place and x.kind == "kept")
            for x in self.leaves
        )

    def bound(self, call: Call, outputs: Values, inputs: Values) -> Residue:
        """With the values of this level and order in the places."""
        intermediate = self.intermediate()
        if any(map(is_tracked, inputs)) and not all(map(is_tracked, intermediate)):
            fresh = list(inputs)
            with replay(self.random):
                again, residue = call.forward(fresh)
            residue.random = self.random
            return residue.place(fresh, again).bind(inputs, again)
        return self.bind(inputs, outputs)

    def pull(self, call: Call, cotangents: list[Any], outputs: Values, inputs: Values) -> Sequence[Any]:
        bound = self.bound(call, outputs, inputs)
        return checked(call, call.backward(bound, cotangents), self.shapes)

    def push(self, call: Call, tangents: list[Any], outputs: Values, inputs: Values) -> Sequence[Any] | None:
        return call.tangent(self.bound(call, outputs, inputs), tangents)


def _drawn_in(values: Values) -> int | None:
    """The innermost vmap for each of whose elements values may have been drawn."""
    outer = state.place[2]
    inside = [
        level.number
        for level in state.stack
        if level.kind == "vmap" and (level.randomness == "different" or level.origin <= outer)
    ]
    return max([y.level for y in values if type(y) is Batched and y.level in inside], default=None)


def evaluate(call: Call, args: Values) -> tuple[list[Any], Any]:
    """The answers of a call on values of any level, as values, and its residue."""
    if state.trace is not None:
        args = state.trace.check(args)
    mapped: set[int] = set()
    while True:
        try:
            return interpret(call, args, frozenset(mapped))
        except DrawnInside as found:
            # Answers differ between the elements of that vmap, though no argument does.
            if found.level in mapped:
                raise _closure(call) from None
            mapped.add(found.level)


def _closure(call: Call) -> LevelError:
    return LevelError(
        f"{call.name} uses a tensor that is being differentiated or mapped, and that came in through a closure: pass "
        "it as an argument, so that its derivative is not lost."
    )


def interpret(call: Call, args: Values, mapped: frozenset[int]) -> tuple[list[Any], Any]:
    """`evaluate`, on the highest level first; `mapped` are vmaps that have a part in it, arguments or not."""
    top: Any = None
    for arg in args:
        if isinstance(arg, Tensor) and (top is None or arg.level > top.level) and has_level(arg):
            top = arg
    number = max(mapped, default=-1)
    if top is not None and top.level > max(number, call.bottom):
        if type(top) is Dual:
            return _push(call, args, top.level, mapped)
        if type(top) is not Batched:
            return _record(call, args, top.level, mapped)
        number = top.level
    if number < 0:
        return call.evaluate(args)
    from hograd.core.mapped import map_call

    return map_call(call, args, number, mapped - {number})


def has_level(value: Any) -> bool:
    """Whether a tape, `jvp` or `vmap` knows this value."""
    return isinstance(value, Tensor) and (value.level > 0 or value.node is not None)


def is_tracked(value: Any) -> bool:
    """Whether any level that is recording may ask for a derivative by this value."""
    while isinstance(value, Tensor):
        if type(value) is Dual or (type(value) is Tensor and value.node is not None and value.level >= state.floor):
            return True
        value = value.value
    return False


def is_recorded(value: Any) -> bool:
    """Whether some tape that is recording now would keep what is done with `value`."""
    while isinstance(value, Tensor):
        if value.node is not None and value.level >= state.floor:
            return True
        value = value.value
    return False


def _record(call: Call, args: Values, number: int, mapped: frozenset[int]) -> tuple[list[Any], Any]:
    inside = [has_level(arg) and arg.level == number for arg in args]
    values = [arg.value if at else bare(arg) for arg, at in zip(args, inside, strict=True)]
    outputs, residue = interpret(call, values, mapped)
    if number < state.floor:
        return outputs, residue
    if number and not all(map(is_raw, values)) and (level := level_of(number)) is not None:
        level.raw = False
    parents = tuple([arg.node if at else None for arg, at in zip(args, inside, strict=True)])
    saved = (
        tuple([y if residue.keeps("output", i) else None for i, y in enumerate(outputs)]),
        *[x if residue.keeps("input", i) else None for i, x in enumerate(values)],
        residue,
    )
    node = Node(call, parents, saved, None, (), None)
    return [
        y if i in residue.constant or y.dtype.kind not in "fc" else call.link(node, i, y, number)
        for i, y in enumerate(outputs)
    ], residue


def _push(call: Call, args: Values, number: int, mapped: frozenset[int]) -> tuple[list[Any], Any]:
    inside = [type(arg) is Dual and arg.level == number for arg in args]
    primals = [arg.value if at else bare(arg) for arg, at in zip(args, inside, strict=True)]
    tangents = [wrap(arg.tangent) if at else None for arg, at in zip(args, inside, strict=True)]
    outputs, residue = interpret(call, primals, mapped)
    with silent():
        pushed = push(call, residue, tangents, [wrap(y) for y in outputs], [wrap(x) for x in primals])
    return [
        y
        if t is None or i in residue.constant or y.dtype.kind not in "fc"
        else Dual(y, bare(_like(call, t, y)), number)
        for i, (y, t) in enumerate(zip(outputs, pushed, strict=True))
    ], residue


def _like(call: Call, tangent: Any, y: Any) -> Any:
    if tuple(tangent.shape) != tuple(y.shape):
        raise ShapeError(
            f"{call.name}: its jvp returned a tangent of shape {tuple(tangent.shape)} for an answer of shape "
            f"{tuple(y.shape)}; a tangent has its answer's shape."
        )
    return tangent if tangent.dtype == y.dtype else ops.astype(tangent, y.dtype)


def pull(call: Call, residue: Any, parts: dict[int, Any], outputs: Values, inputs: Values) -> Sequence[Any]:
    """The cotangents of the inputs, from those of the answers that have one."""
    outputs = [y if y is None else wrap(y) for y in outputs]
    inputs = [x if x is None else wrap(x) for x in inputs]
    return residue.pull(call, [wrap(parts[i]) if i in parts else None for i in range(len(outputs))], outputs, inputs)


def checked(call: Call, pulled: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> Sequence[Any]:
    """What a backward returned, if it fits the inputs."""
    if len(pulled) != len(shapes):
        raise GradientError(
            f"function {call.name}Backward returned an incorrect number of gradients (expected {len(shapes)}, "
            f"got {len(pulled)})."
        )
    for i, (g, shape) in enumerate(zip(pulled, shapes, strict=True)):
        if g is None:
            continue
        if not isinstance(g, Tensor):
            raise DtypeError(f"{call.name}: its backward returned {type(g).__name__} at index {i}, expected a tensor.")
        found = tuple(g.shape)
        tail = found[len(found) - len(shape) :]
        if len(found) < len(shape) or any(n != m and m != 1 for n, m in zip(tail, shape, strict=True)):
            raise ShapeError(
                f"Function {call.name}Backward returned an invalid gradient at index {i} - got {list(found)} but "
                f"expected shape compatible with {list(shape)}."
            )
    return [
        g if g is None or tuple(g.shape) == shape else unbroadcast(ops, g, shape)
        for g, shape in zip(pulled, shapes, strict=True)
    ]


def push(call: Call, residue: Any, tangents: list[Any], outputs: Values, inputs: Values) -> Sequence[Any]:
    """The tangents of the answers, by the function's own rule or by transposing its backward."""
    pushed = residue.push(call, tangents, outputs, inputs)
    if pushed is None:
        return _transpose(call, residue, tangents, outputs, inputs)
    if len(pushed) != len(outputs):
        raise GradientError(f"{call.name}: its jvp returned {len(pushed)} tangents for {len(outputs)} answers.")
    return pushed


def _transpose(call: Call, residue: Any, tangents: list[Any], outputs: Values, inputs: Values) -> list[Any]:
    """A vjp is linear in its cotangent, and its transpose is the jvp."""
    with Level("tape") as level:
        level.raw = False
        zeros = {
            i: ops.zeros_like(y) for i, y in enumerate(outputs) if y.dtype.kind in "fc" and i not in residue.constant
        }
        seeds = {i: Tensor(bare(zero), leaf(zero), level.number) for i, zero in zeros.items()}
        pulled = pull(call, residue, dict(seeds), outputs, inputs)
        roots = [
            (g.node, t if t.dtype == g.dtype else ops.astype(t, g.dtype))
            for g, t in zip(pulled, tangents, strict=True)
            if g is not None and t is not None and type(g) is Tensor and g.level == level.number and g.node is not None
        ]
        wanted = [seed.node for seed in seeds.values()]
        terms = backward_pass(
            roots, level.number, wanted=wanted, create_graph=False, retain_graph=False, raw=False
        )  # fmt: skip
    found = {i: below(t, level.number) for i, t in zip(seeds, terms, strict=True) if t is not None}
    return [wrap(found[i]) if i in found else None for i in range(len(outputs))]
