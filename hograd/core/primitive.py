"""Primitives: how an operation is declared, and what follows from its kind.

A rule is written once, as a function of the namespace `F` and of the values that it names: `y` for the answer, the
primitive's own argument names (`x`, or `a` and `b`) for what went in, `x_shape` for a shape, `axis` and the like for
parameters, `g` for a cotangent or tangent. What a rule names is what the tape saves for it, and nothing else.
`F` is `kernels` (bare arrays, first order) or `ops` (everything else), so one rule serves every order and every level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from types import SimpleNamespace
from typing import Any

kernels: Any = SimpleNamespace()
"""The operations on bare arrays, by name."""

ops: Any = SimpleNamespace()
"""The same operations on values of any level, by name."""

primitives: dict[str, Primitive] = {}
"""Every primitive, by name."""

fused_rules: dict[Any, Any] = {}
"""For some primitives, faster forms of their `vjps` that take their place for order one on bare arrays."""

Rule = Callable[[Any, Any, tuple[Any, ...], dict[str, Any]], Any]
"""rule(F, g, values, params), where values = (answer, *arguments)."""


class Primitive:
    """One operation that the engine knows: its kernel on arrays and its rules.

    Attributes:
        name: what errors and printed graphs call it.
        kernel: function of arrays (and parameters by keyword) that computes the answer.
        arguments: names of the arguments; the last may be `*name` for any number of them.
        vjps: for each argument the rule from the answer's cotangent to that argument's; None is a zero
            derivative. None instead of a sequence: no derivative at all, the answer is never recorded.
        jvp: rule(F, tangents, values, params), the tangent of the answer; tangents are None where zero.
        batch: rule(size, values, batched, params), how `vmap` maps it; the batch axis comes first.
        differentiable: whether its answers can be recorded.
    """

    __slots__ = (
        "arguments",
        "batch",
        "differentiable",
        "jvp",
        "kernel",
        "keep",
        "kind",
        "name",
        "needs",
        "samples",
        "shapes",
        "vjps",
    )

    def __init__(
        self,
        name: str,
        kernel: Callable[..., Any],
        arguments: Sequence[str],
        kind: str,
        *,
        rules: Sequence[Any] | None,
        jvp: Any = None,
        batch: Any = None,
        samples: Any = None,
        fused: Sequence[Any] | None = None,
    ) -> None:
        self.name = name
        self.kernel = kernel
        self.arguments = tuple(arguments)
        self.kind = kind
        self.jvp = jvp
        self.batch = batch
        self.samples = samples
        self.differentiable = rules is not None
        #: Per argument, which of (answer, *arguments) its rule reads.
        self.needs: tuple[frozenset[str], ...] = ()
        self.vjps: Any = None
        self.shapes: tuple[tuple[int, str], ...] = ()
        #: Which values to save, by which arguments are tracked; filled on first use.
        self.keep: dict[tuple[bool, ...], tuple[bool, ...] | None] = {}
        if rules is not None:
            built = [adapt(rule, self.arguments) for rule in rules]
            self.needs = tuple(need for _, need in built)
            self.vjps = tuple(rule for rule, _ in built)
            if self.arguments[-1].startswith("*"):
                self.vjps = Repeated(self.vjps, position_aware=self.kind == "variadic")
            # A fused rule reads what the rule that it replaces reads, since that is what is saved.
            if fused is not None:
                fused_rules[self] = tuple(adapt(f or r, self.arguments)[0] for f, r in zip(fused, rules, strict=True))
            wanted = frozenset().union(*self.needs)
            self.shapes = tuple((i, f"{n}_shape") for i, n in enumerate(self.arguments) if f"{n}_shape" in wanted)
        if name in primitives:
            raise ValueError(f"a primitive named {name!r} exists already")
        primitives[name] = self

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def saving(self, tracked: tuple[bool, ...]) -> tuple[bool, ...] | None:
        """Which of (answer, *arguments) the rules of the tracked arguments read; None if none is."""
        names = ["y", *self.arguments]
        if names[-1].startswith("*"):
            names[-1:] = [names[-1]] * (len(tracked) + 2 - len(names))
        last = len(self.needs) - 1
        wanted = frozenset().union(*(self.needs[min(i, last)] for i, t in enumerate(tracked) if t))
        keep = tuple(name in wanted for name in names)
        self.keep[tracked] = result = keep if any(keep) else None
        return result


class Repeated:
    """Rules for a primitive with any number of arguments: the last rule serves all that follow."""

    def __init__(self, rules: tuple[Any, ...], *, position_aware: bool) -> None:
        self.rules = rules
        self.position_aware = position_aware

    def __getitem__(self, position: int) -> Any:
        rule = self.rules[min(position, len(self.rules) - 1)]
        if not self.position_aware:
            return rule
        return lambda F, g, s, p: rule(F, g, s, {**p, "position": position})


def adapt(rule: Any, arguments: tuple[str, ...]) -> tuple[Rule | None, frozenset[str]]:
    """The rule in the form that the engine calls, and the names of the values that it reads.

    A number is a constant slope. A function without `g` among its parameters is a slope: the cotangent is multiplied
    by it. A function with `g` gives the product itself.
    """
    if rule is None:
        return None, frozenset()
    if not callable(rule):
        return _constant_slope(rule), frozenset()
    names = rule.__code__.co_varnames[: rule.__code__.co_argcount]
    positions = {"y": 0, **{name: i + 1 for i, name in enumerate(arguments) if not name.startswith("*")}}
    if arguments[-1].startswith("*"):
        positions[arguments[-1][1:]] = slice(len(arguments), None)  # type: ignore[assignment]
    product = "g" in names
    reads = names[2 if product else 1 :]
    needs = frozenset("*" + n if "*" + n in arguments else n for n in reads if n in positions or n.endswith("_shape"))
    values = [positions[n] for n in reads if n in positions]
    params = [n for n in reads if n not in positions]
    if [n for n in reads if n in positions] + params != list(reads):
        raise ValueError(f"a rule names the values it reads before its parameters, found {names}")
    return (_product_rule if product else _slope_rule)(rule, values, params), needs


def _constant_slope(slope: float) -> Rule:
    if slope == 0:
        return lambda F, g, s, p: F.zeros_like(g)
    if slope == 1:
        return lambda F, g, s, p: g
    if slope == -1:
        return lambda F, g, s, p: -g
    return lambda F, g, s, p: g * slope


def _slope_rule(rule: Any, values: list[Any], params: list[str]) -> Rule:
    if params or len(values) > 2:
        return lambda F, g, s, p: g * rule(F, *[s[i] for i in values], *[p[n] for n in params])
    if not values:
        return lambda F, g, s, p: g * rule(F)
    if len(values) == 1:
        i = values[0]
        return lambda F, g, s, p: g * rule(F, s[i])
    i, j = values
    return lambda F, g, s, p: g * rule(F, s[i], s[j])


def _product_rule(rule: Any, values: list[Any], params: list[str]) -> Rule:
    if params:
        # Names of parameters are strings: `of` gives a tuple of them in any number.
        of = itemgetter(*params) if len(params) > 1 else lambda p, name=params[0]: (p[name],)
        if not values:
            return lambda F, g, s, p: rule(F, g, *of(p))
        if len(values) == 1:
            k = values[0]
            return lambda F, g, s, p: rule(F, g, s[k], *of(p))
        return lambda F, g, s, p: rule(F, g, *[s[i] for i in values], *of(p))
    if not values:
        return lambda F, g, s, p: rule(F, g)
    if len(values) == 1:
        i = values[0]
        return lambda F, g, s, p: rule(F, g, s[i])
    return lambda F, g, s, p: rule(F, g, *[s[i] for i in values])


def register(name: str, function: Any, kernel: Any) -> None:
    """Make an operation known to rules and to tensor methods under `name`."""
    setattr(ops, name, function)
    setattr(kernels, name, kernel)
