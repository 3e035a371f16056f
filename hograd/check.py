"""Checking derivatives of any order against numerical ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from hograd import func, tree
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, GradcheckError

__all__ = ["gradcheck", "gradgradcheck"]

Arrays: TypeAlias = list[np.ndarray]


def gradcheck(
    f: Callable[..., Any],
    args: Any,
    order: int = 1,
    modes: Sequence[str] = ("reverse", "forward"),
    *,
    eps: float = 1e-3,
    atol: float = 1e-8,
    rtol: float = 1e-6,
    directions: int | None = None,
    seed: int = 0,
    raise_exception: bool = True,
) -> bool:
    """Whether the derivatives of `f` up to an order, in every sequence of modes, agree with numerical ones.

    The derivative of order n is the analytic derivative of the analytic derivative of order n - 1, which is compared
    with central differences of the latter, so that no numerical error builds up:

        D(h) = (f(x + h u) - f(x - h u)) / 2h,   (4 D(h/2) - D(h)) / 3 = df(x) u + O(h**4).

    Each derivative is a product of the Jacobian J with fixed random weights, which no wrong entry of J survives
    unseen: in reverse mode v J, of which every element is compared; in forward mode J u, likewise. At order 2 both
    modes are applied to both, and so on: 2 + 4 + ... + 2**order comparisons for two modes.

    Args:
        f: pure function of trees of floating tensors, which returns a tree of tensors. Outputs that are not floating
            have no derivative and are left out.
        args: tuple of the arguments, with leaves of dtype float64; a single tensor is one argument. Close over
            arguments of other dtypes. `f` has to be smooth within a distance of 1.5 eps.
        order: highest order, at least 1.
        modes: what to build sequences of: "reverse" (vjp), "forward" (jvp).
        eps: step h of the differences, in units of the arguments.
        atol, rtol: largest difference, as  atol + rtol * |numerical|.
        directions: in reverse mode compare v J u for this many random u instead of every element of v J, where `f` has
            too many arguments; wrong entries are still seen, but not told apart from right ones.
        seed: of the random weights.
        raise_exception: whether to raise instead of returning False.

    Returns:
        True if all agree.

    Raises:
        GradcheckError: a derivative differs. The message names the sequence of modes, the leaf of `args`, the output
            and both numbers.
        DtypeError: a leaf is not float64.

    Source for the recursion: https://github.com/HIPS/autograd (`check_grads`).

    >>> import hograd as ho
    >>> gradcheck(lambda x, y: ho.sin(x) * y, (ho.tensor([0.5, 1.0]), ho.tensor(2.0)), order=3)
    True
    >>> def wrong(x):  # the value of x**2, the derivative of x
    ...     return x + (x**2 - x).detach()
    >>> gradcheck(wrong, ho.tensor([3.0]), raise_exception=False)
    False
    """
    if order < 1:
        raise ArgumentError(f"order is {order}, expected at least 1.")
    for mode in modes:
        if mode not in _MODES:
            raise ArgumentError(f"modes has {mode!r}, expected 'reverse' and 'forward' only.")
    if not modes:
        raise ArgumentError("modes is empty, expected 'reverse', 'forward' or both.")
    base, point = _flat(f, args)
    check = _Check(point, modes, eps, atol, rtol, directions, np.random.default_rng(seed))
    try:
        for value in (*base.evaluate(point), *map(_array, point)):
            if not np.isfinite(value).all():
                raise GradcheckError("the arguments or outputs are not finite, so there is no numerical derivative.")
        for a, b, name in zip(base.evaluate(point), base.evaluate(point), base.outputs, strict=True):
            if not np.array_equal(a, b):
                raise GradcheckError(f"{name} differs between two calls with equal arguments: f must be pure.")
        check.recurse(base, (), order)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    f: Callable[..., Any], args: Any, modes: Sequence[str] = ("reverse", "forward"), **options: Any
) -> bool:
    """`gradcheck` to order 2.

    Args:
        f, args, modes, **options: as of `gradcheck`.

    Returns:
        True if all derivatives of order 1 and 2 agree with numerical ones.

    Raises:
        GradcheckError: a derivative differs.

    >>> import hograd as ho
    >>> gradgradcheck(lambda x: (x**3).sum(), ho.tensor([1.0, 2.0]))
    True
    """
    return gradcheck(f, args, 2, modes, **options)


class _Function(NamedTuple):
    """A function of tensors that returns a tuple of tensors, with names for both in messages."""

    call: Callable[..., tuple[Tensor, ...]]
    inputs: list[str]
    outputs: list[str]

    def evaluate(self, point: Sequence[Tensor]) -> Arrays:
        return [_array(y) for y in self.call(*point)]


def _array(tensor: Tensor) -> np.ndarray:
    return np.asarray(tensor.detach().numpy())


def _flat(f: Callable[..., Any], args: Any) -> tuple[_Function, list[Tensor]]:
    """`f` as a function of the leaves of its arguments that returns its floating leaves, and the leaves."""
    args = args if isinstance(args, tuple) else (args,)
    leaves, structure = tree.flatten(args)
    names = [f"args{path}" for path in tree.paths(args)]
    point = []
    for leaf, name in zip(leaves, names, strict=True):
        tensor = leaf.detach() if isinstance(leaf, Tensor) else ops.tensor(leaf)
        if tensor.dtype != np.float64:
            raise DtypeError(
                f"{name} has dtype {tensor.dtype}, expected float64: numerical derivatives need the precision (use "
                ".double()). Close over arguments that have no derivative."
            )
        point.append(tensor)
    if not point:
        raise ArgumentError("args has no tensors, expected at least one to differentiate by.")
    kept: list[int] = []
    outputs: list[str] = []
    result = f(*tree.unflatten(structure, [x.detach().requires_grad_() for x in point]))
    for i, (y, path) in enumerate(zip(tree.leaves(result), tree.paths(result), strict=True)):
        if not isinstance(y, Tensor):
            raise DtypeError(f"output{path} is {type(y).__name__}, expected a tensor.")
        if y.dtype.kind == "f":
            kept.append(i)
            outputs.append(f"output{path}")
    if not kept:
        raise DtypeError("f returned no floating tensor, expected at least one to differentiate.")

    def call(*xs: Tensor) -> tuple[Tensor, ...]:
        # As in PyTorch, `f` may take a gradient with respect to what it is given.
        tracked = [x.detach().requires_grad_() if type(x) is Tensor and not x.requires_grad else x for x in xs]
        ys = tree.leaves(f(*tree.unflatten(structure, tracked)))
        return tuple(ys[i] for i in kept)

    return _Function(call, names, outputs), point


def _reverse(g: _Function, weights: Sequence[Tensor]) -> _Function:
    """x -> v J(x), with cotangents v for the outputs of `g`."""

    def call(*xs: Tensor) -> tuple[Tensor, ...]:
        return func.vjp(g.call, *xs)[1](tuple(weights))

    return _Function(call, g.inputs, [f"gradient by {name}" for name in g.inputs])


def _forward(g: _Function, weights: Sequence[Tensor]) -> _Function:
    """x -> J(x) u, with tangents u for the inputs of `g`."""

    def call(*xs: Tensor) -> tuple[Tensor, ...]:
        return func.jvp(g.call, xs, tuple(weights))[1]

    return _Function(call, g.inputs, [f"tangent of {name}" for name in g.outputs])


_MODES = {"reverse": _reverse, "forward": _forward}


@dataclass(frozen=True)
class _Check:
    """One run of `gradcheck`: the point and the options."""

    point: list[Tensor]
    modes: Sequence[str]
    eps: float
    atol: float
    rtol: float
    directions: int | None
    random: np.random.Generator

    def recurse(self, g: _Function, sequence: tuple[str, ...], order: int) -> None:
        """Check the derivatives of `g`, which was made by `sequence`, and of these `order` - 1 times more."""
        values = g.evaluate(self.point)
        for mode in self.modes:
            like = values if mode == "reverse" else [_array(x) for x in self.point]
            weights = [self.weights(value.shape) for value in like]
            derivative = _MODES[mode](g, [Tensor(w) for w in weights])
            path = (*sequence, mode)
            self.compare(g, derivative, weights, path)
            if order > 1:
                self.recurse(derivative, path, order - 1)

    def weights(self, shape: tuple[int, ...]) -> Any:
        """Random numbers away from 0, so that every entry of a Jacobian counts."""
        return self.random.uniform(0.5, 1.5, shape) * self.random.choice([-1.0, 1.0], shape)

    def slope(self, g: _Function, direction: Sequence[Any]) -> Arrays:
        """J u by central differences and one step of Richardson's extrapolation."""

        def difference(h: float) -> Arrays:
            ahead, behind = (
                g.evaluate([Tensor((_array(x) + s * u)[()]) for x, u in zip(self.point, direction, strict=True)])
                for s in (h, -h)
            )
            return [(a - b) / (2 * h) for a, b in zip(ahead, behind, strict=True)]

        coarse, fine = difference(self.eps), difference(self.eps / 2)
        return [(4 * b - a) / 3 for a, b in zip(coarse, fine, strict=True)]

    def basis(self) -> Iterator[tuple[int, tuple[int, ...], list[Any]]]:
        """For every element of the inputs: which leaf, which element, and the unit direction."""
        zeros = [np.zeros(x.shape) for x in self.point]
        for i, zero in enumerate(zeros):
            for index in np.ndindex(zero.shape):
                unit = zero.copy()
                unit[index] = 1.0
                yield i, index, [*zeros[:i], unit, *zeros[i + 1 :]]

    def compare(self, g: _Function, derivative: _Function, weights: Arrays, path: tuple[str, ...]) -> None:
        """Compare a derivative with the numerical one; look for the wrong block only if there is one."""
        found = derivative.evaluate(self.point)
        agrees = self.reverse_agrees if path[-1] == "reverse" else self.forward_agrees
        like = [_array(x) for x in self.point] if path[-1] == "reverse" else g.evaluate(self.point)
        for a, b, name in zip(found, like, derivative.outputs, strict=True):
            if a.shape != b.shape:
                raise GradcheckError(f"{' -> '.join(path)}: the {name} has shape {a.shape}, expected {b.shape}.")
        if not agrees(g, found, weights):
            raise GradcheckError(self.report(g, weights, path))

    def forward_agrees(self, g: _Function, found: Arrays, weights: Arrays) -> bool:
        return all(map(self.close, found, self.slope(g, weights)))

    def reverse_agrees(self, g: _Function, found: Arrays, weights: Arrays) -> bool:
        if self.directions is None:
            return all(
                self.close(found[i][index], _dot(weights, self.slope(g, unit))) for i, index, unit in self.basis()
            )
        for _ in range(self.directions):
            direction = [self.weights(x.shape) for x in self.point]
            if not self.close(_dot(found, direction), _dot(weights, self.slope(g, direction))):
                return False
        return True

    def close(self, found: Any, expected: Any) -> bool:
        with np.errstate(invalid="ignore"):
            return bool(np.all(np.abs(found - expected) <= self.atol + self.rtol * np.abs(expected)))

    def report(self, g: _Function, weights: Arrays, path: tuple[str, ...]) -> str:
        """Where the derivative is wrong: the pair of one input and one output that differ most."""
        worst: tuple[float, str] = (-1.0, "")
        mode = path[-1]
        for i, k in itertools.product(range(len(g.inputs)), range(len(g.outputs))):
            alone = k if mode == "reverse" else i
            block = [w if n == alone else np.zeros_like(w) for n, w in enumerate(weights)]
            derivative = _MODES[mode](g, [Tensor(w) for w in block])
            if mode == "reverse":
                found = derivative.evaluate(self.point)[i]
                slopes = [_dot(block, self.slope(g, unit)) for leaf, _, unit in self.basis() if leaf == i]
                expected = np.reshape(slopes, found.shape)
            else:
                found, expected = derivative.evaluate(self.point)[k], self.slope(g, block)[k]
            if self.close(found, expected) or not found.size:
                continue
            with np.errstate(invalid="ignore"):
                excess = np.abs(found - expected) - self.rtol * np.abs(expected)
            excess = np.where(np.isnan(excess), np.inf, excess)
            place = np.unravel_index(np.argmax(excess), found.shape)
            if excess[place] > worst[0]:
                at = str([int(n) for n in place]) if place else ""
                element = (at, "") if mode == "reverse" else ("", at)
                worst = (
                    float(excess[place]),
                    f" of {g.outputs[k]}{element[1]} by {g.inputs[i]}{element[0]} is {float(found[place])!r}, but "
                    f"numerically {float(expected[place])!r}",
                )
        what = "gradient" if mode == "reverse" else "tangent"
        return (
            f"order {len(path)}, {' -> '.join(path)}: the {what}{worst[1] or ' of several leaves together is wrong'} "
            f"(eps {self.eps}, atol {self.atol}, rtol {self.rtol}). Either the derivative is wrong, or f is not "
            "smooth here."
        )


def _dot(a: Arrays, b: Arrays) -> float:
    return sum(float(np.sum(x * y)) for x, y in zip(a, b, strict=True))
