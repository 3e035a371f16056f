"""Derivatives given by hand, as in JAX: `custom_vjp` and `custom_jvp`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from hograd import tree
from hograd.core.custom import Call, Residue, evaluate, is_tracked
from hograd.core.dispatch import wrap
from hograd.core.primitive import ops
from hograd.core.replay import replay
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, GradientError, StructureError
from hograd.func.arguments import name_of
from hograd.func.reverse import vjp


class TreeCall(Call):
    """One application of a function of trees, whose tensors are the inputs of the call."""

    generated = True
    __slots__ = ("arguments", "leaves", "positions", "result", "structure")

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.leaves, self.structure = tree.flatten(arguments)
        self.positions = [i for i, x in enumerate(self.leaves) if isinstance(x, Tensor)]
        super().__init__(name, [is_tracked(self.leaves[i]) for i in self.positions])
        self.arguments = [tree.structure(argument) for argument in arguments]
        self.result: Any = None

    def __call__(self) -> Any:
        inputs = [self.leaves[i] for i in self.positions]
        for i in self.positions:
            self.leaves[i] = None
        outputs, _ = evaluate(self, inputs)
        return tree.unflatten(self.result, [wrap(y) for y in outputs])

    def full(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """The arguments with these tensors in them."""
        leaves = list(self.leaves)
        for i, x in zip(self.positions, inputs, strict=True):
            leaves[i] = x
        return tree.unflatten(self.structure, leaves)

    def outputs(self, result: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The answers in a tree; an input among them becomes a tensor of its own."""
        leaves, self.result = tree.flatten(result)
        for i, y in enumerate(leaves):
            if not isinstance(y, Tensor):
                raise DtypeError(f"{self.name} returned {type(y).__name__} at output {i}, expected tensors only.")
        return [ops.clone(y) if any(y is x for x in inputs) else y for y in leaves]

    def cotangents(self, residue: Residue, parts: Sequence[Any]) -> Any:
        """The cotangents of the answers as a tree, zeros where nothing used one."""
        filled = [
            ops.zeros(*shape, dtype=dtype) if g is None else g
            for g, (shape, dtype) in zip(parts, residue.answers, strict=True)
        ]
        return tree.unflatten(self.result, filled)

    def spread(self, given: Any) -> list[Any]:
        """What a bwd rule returned for each argument, a tree or None, as one cotangent for each input."""
        found = len(given) if isinstance(given, (tuple, list)) else type(given).__name__
        if found != len(self.arguments):
            raise StructureError(
                f"the bwd rule of {self.name} must return a tuple with one entry for each of {len(self.arguments)} "
                f"arguments, found {found}."
            )
        leaves: list[Any] = []
        for i, (entry, structure) in enumerate(zip(given, self.arguments, strict=True)):
            if entry is None:
                leaves += [None] * structure.num_leaves
                continue
            names, caller = (f"argument {i}", "cotangent"), f"the bwd rule of {self.name}"
            expected = tree.unflatten(structure, range(structure.num_leaves))
            leaves += tree.match(expected, entry, names, caller=caller, is_leaf=lambda x: x is None)
        return [leaves[i] for i in self.positions]


class _VjpCall(TreeCall):
    """One call of a `custom_vjp`."""

    __slots__ = ("bwd", "f", "fwd")

    def __init__(self, name: str, f: Any, fwd: Any, bwd: Any, arguments: tuple[Any, ...]) -> None:
        super().__init__(name, arguments)
        self.f, self.fwd, self.bwd = f, fwd, bwd

    def forward(self, inputs: list[Tensor]) -> tuple[list[Tensor], Residue]:
        if not any(self.tracked):
            return self.outputs(self.f(*self.full(inputs)), inputs), Residue(None)
        pair = self.fwd(*self.full(inputs))
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise StructureError(
                f"the fwd rule of {self.name} must return (output, residuals), found {type(pair).__name__}."
            )
        outputs = self.outputs(pair[0], inputs)
        return outputs, Residue(pair[1])

    def backward(self, residue: Residue, cotangents: list[Any]) -> Sequence[Any]:
        return self.spread(self.bwd(residue.content, self.cotangents(residue, cotangents)))


def _bound(f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Positional arguments for what was given by name, defaults included."""
    if not kwargs:
        return args
    bound = inspect.signature(f).bind(*args, **kwargs)
    bound.apply_defaults()
    if bound.kwargs:
        raise ArgumentError(f"{name_of(f)} has keyword-only arguments, which a custom derivative cannot see.")
    return bound.args


class custom_vjp:
    """Decorator that gives a function of trees its own reverse rule, set by `defvjp(fwd, bwd)`, as in JAX.

    Args:
        f: function of trees that returns a tree of tensors.
        nondiff_argnums: positions of arguments without derivative, of any type; `bwd` gets them first.

    fwd(*args) returns (output, residuals), a tree of what the backward needs; bwd(*nondiff, residuals, g) returns a
    tuple with one entry for each other argument: a tree like it, or None for zeros. Both are differentiated where a
    derivative of higher order is asked for. Forward mode works too and transposes `bwd`, which has to be linear in g.
    Under `vmap` the functions run on values with a batch axis. Tensors that are being differentiated or mapped come in
    as arguments, not through closures.

    >>> import hograd as ho
    >>> @ho.func.custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(lambda x: (x, ()), lambda residuals, g: (ho.clip(g, -1, 1),))
    >>> ho.func.grad(lambda x: 5 * clipped(x))(ho.tensor(2.0))
    tensor(1.)
    """

    def __init__(self, f: Callable[..., Any], nondiff_argnums: Sequence[int] = ()) -> None:
        functools.update_wrapper(self, f)
        self.f = f
        self.nondiff = tuple(nondiff_argnums)
        self.rules: tuple[Any, Any] | None = None

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Set the two rules, fwd(*args) and bwd(*nondiff, residuals, g)."""
        self.rules = (fwd, bwd)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.rules is None:
            raise GradientError(f"No VJP defined for custom_vjp function {name_of(self.f)} using defvjp.")
        args = _bound(self.f, args, kwargs)
        chosen, whole, fixed = _split(args, self.nondiff)
        fwd, bwd = self.rules
        call = _VjpCall(
            name_of(self.f),
            lambda *xs: self.f(*whole(xs)),
            lambda *xs: fwd(*whole(xs)),
            lambda residuals, g: bwd(*fixed, residuals, g),
            chosen,
        )
        return call()


def _split(args: tuple[Any, ...], nondiff: tuple[int, ...]) -> tuple[tuple[Any, ...], Any, tuple[Any, ...]]:
    """The arguments with a derivative, the function that puts others in their place, and those without."""
    fixed = {i % len(args): args[i] for i in nondiff}
    chosen = tuple(x for i, x in enumerate(args) if i not in fixed)

    def whole(xs: Sequence[Any]) -> tuple[Any, ...]:
        rest = iter(xs)
        return tuple(fixed[i] if i in fixed else next(rest) for i in range(len(args)))

    return chosen, whole, tuple(args[i] for i in nondiff)


class _JvpCall(TreeCall):
    """One call of a `custom_jvp`."""

    __slots__ = ("f", "rule")

    def __init__(self, name: str, f: Any, rule: Any, arguments: tuple[Any, ...]) -> None:
        super().__init__(name, arguments)
        self.f, self.rule = f, rule

    def forward(self, inputs: list[Tensor]) -> tuple[list[Tensor], Residue]:
        return self.outputs(self.f(*self.full(inputs)), inputs), Residue(list(inputs))

    def tangent(self, residue: Residue, tangents: list[Any]) -> Sequence[Any]:
        primals = residue.content
        filled = [ops.zeros_like(x) if t is None else t for t, x in zip(tangents, primals, strict=True)]
        # The rule computes the answer again.
        with replay(residue.random):
            pair = self.rule(self.full(primals), self.full(filled))
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise StructureError(
                f"the jvp rule of {self.name} must return (output, tangent of it), found {type(pair).__name__}."
            )
        output = tree.unflatten(self.result, range(self.result.num_leaves))
        return tree.match(output, pair[1], ("output", "tangent"))

    def backward(self, residue: Residue, cotangents: list[Any]) -> Sequence[Any]:
        floating = [x.dtype.kind in "fc" for x in residue.content]

        def linear(*directions: Any) -> Any:
            given = iter(directions)
            return tuple(self.tangent(residue, [next(given) if at else None for at in floating]))

        zeros = [ops.zeros_like(x) for x, at in zip(residue.content, floating, strict=True) if at]
        pulled = iter(vjp(linear, *zeros)[1](tuple(tree.leaves(self.cotangents(residue, cotangents)))))
        return [next(pulled) if at else None for at in floating]


class custom_jvp:
    """Decorator that gives a function of trees its own forward rule, set by `defjvp(rule)`, as in JAX.

    Args:
        f: function of trees that returns a tree of tensors.
        nondiff_argnums: positions of arguments without derivative, of any type; the rule gets them first.

    rule(*nondiff, primals, tangents) returns (output, tangent of the output), linear in the tangents. Reverse mode
    transposes it. Under `vmap` both functions run on values with a batch axis.

    >>> import hograd as ho
    >>> @ho.func.custom_jvp
    ... def cube(x):
    ...     return x**3
    >>> @cube.defjvp
    ... def rule(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return cube(x), 3 * x**2 * t
    >>> ho.func.grad(ho.func.grad(cube))(ho.tensor(2.0))
    tensor(12.)
    """

    def __init__(self, f: Callable[..., Any], nondiff_argnums: Sequence[int] = ()) -> None:
        functools.update_wrapper(self, f)
        self.f = f
        self.nondiff = tuple(nondiff_argnums)
        self.rule: Any = None

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Set the rule; may be used as a decorator."""
        self.rule = rule
        return rule

    def defjvps(self, *rules: Callable[..., Any] | None) -> None:
        """Set a rule for each argument instead: rule(tangent, output, *primals), or None for zero.

        >>> import hograd as ho
        >>> product = ho.func.custom_jvp(lambda x, y: x * y)
        >>> product.defjvps(lambda t, output, x, y: t * y, lambda t, output, x, y: t * x)
        >>> ho.func.grad(product)(ho.tensor(2.0), ho.tensor(3.0))
        tensor(3.)
        """
        if self.nondiff:
            raise ArgumentError("defjvps cannot be used with nondiff_argnums: use defjvp.")

        def rule(primals: Any, tangents: Any) -> Any:
            output = self(*primals)
            terms = [r(t, output, *primals) for r, t in zip(rules, tangents, strict=True) if r is not None]
            zero = tree.map(ops.zeros_like, output)
            return output, functools.reduce(lambda a, b: tree.map(ops.add, a, b), terms, zero)

        self.rule = rule

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.rule is None:
            raise GradientError(f"No JVP defined for custom_jvp function {name_of(self.f)} using defjvp.")
        args = _bound(self.f, args, kwargs)
        chosen, whole, fixed = _split(args, self.nondiff)
        call = _JvpCall(
            name_of(self.f),
            lambda *xs: self.f(*whole(xs)),
            lambda primals, tangents: self.rule(*fixed, primals, tangents),
            chosen,
        )
        return call()
