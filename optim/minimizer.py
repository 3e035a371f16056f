"""Solvers of whole problems: they go on until the gradient is 0, and the answer is differentiated as a solution."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from hograd import as_tensor, custom_root, func, tree
from hograd.core.replay import repeated
from hograd.core.restoring import silent
from hograd.errors import ArgumentError, ConvergenceError, ConvergenceWarning
from hograd.implicit import of_one_draw
from optim.line_search import Point, strong_wolfe
from optim.parameters import floating
from optim.stationary import Stationary
from optim.summary import summary

REASONS = {
    "gradient": "the gradient is small enough",
    "steps": "it took as many steps as it may",
    "line search": "no step along the direction lowers the loss",
    "unbounded": "the loss falls without end",
}

REMEDIES = dict.fromkeys(REASONS, "Let it take more `steps`, scale the parameters alike, or raise `tolerance`.") | {
    "unbounded": "It has no minimum to be found or differentiated: add a regularizer, or bounds by optim.constraints."
}

TOLERANCES = {2: 1e-2, 4: 1e-4, 8: 1e-10}
"""How small a gradient is asked for, by the bytes of a number."""

IDLE = 100
"""After so many steps in a row that lower neither the loss nor the gradient, rounding is all that is left."""

BEYOND = 1e10
"""A step by so many times the size of the parameters, after which the loss falls as before, leads nowhere."""


class Minimum(NamedTuple):
    """What a solver found.

    Attributes:
        params: where the loss is smallest; a tree like the one that the solver began with.
        value: the loss there, shape ().
        gradient: the largest element of its gradient there, absolute.
        steps: number of steps taken.
        evaluations: number of times that the loss and its gradient were computed.
        reason: why the solver stopped: "gradient", which it was to make small, "steps", "line search", or "unbounded"
            where the loss falls without end and has no minimum.
    """

    params: Any
    value: Any
    gradient: float
    steps: int
    evaluations: int
    reason: str

    __repr__ = summary

    @property
    def converged(self) -> bool:
        """Whether the gradient is as small as was asked for."""
        return self.reason == "gradient"


@dataclasses.dataclass(frozen=True)
class Minimizer:
    """A solver that minimises a loss by a line search along directions that a subclass chooses.

    Args:
        tolerance: stop when no element of the gradient exceeds tolerance * max(1, |its parameter|) * min(1, c), with c
            the largest curvature, the change of an element by that of its parameter, and when by its own curvature each
            parameter is nearer to the zero of its slope than sqrt(tolerance) * max(1, |it|). By default 1e-10, 1e-4
            if a parameter has single precision, and 1e-2 if one has half. A gradient that no step makes smaller, and
            that is nothing but the rounding of the parameters, is small enough, too.
        steps: how many steps to take at most, >= 0.
        decrease, curvature: of the strong Wolfe conditions, 0 < decrease < 1/2 and decrease < curvature < 1.
    """

    tolerance: float | None = None
    steps: int = 1000
    decrease: float = 1e-4
    curvature: float = 0.9

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.tolerance is not None and not self.tolerance >= 0:
            raise ArgumentError(f"{name}: tolerance is {self.tolerance}, expected a number of at least 0.")
        if not isinstance(self.steps, int) or self.steps < 0:
            raise ArgumentError(f"{name}: steps is {self.steps!r}, expected a whole number of at least 0.")
        if not 0 < self.decrease < 0.5:
            raise ArgumentError(f"{name}: decrease is {self.decrease}, expected a number between 0 and 1/2.")
        if not self.decrease < self.curvature < 1:
            raise ArgumentError(
                f"{name}: curvature is {self.curvature}, expected a number between decrease, which is "
                f"{self.decrease}, and 1."
            )

    def directions(self, point: Point) -> Iterator[tuple[Any, float]]:
        """Directions and the lengths to try first; each new point is sent back."""
        raise NotImplementedError(f"{type(self).__name__} does not define directions().")

    def minimize(self, loss: Callable[..., Any], params: Any, *args: Any, linear_solve: Any = None) -> Minimum:
        """The minimum of a loss, as a pure function that is differentiable in `args`.

        The derivative is that of the solution,  d params = -H^-1 (d^2 loss / dparams dargs) dargs  with the Hessian H,
        to every order, whatever way led there (`hograd.custom_root`). The memory is that of one step.

        Args:
            loss: function (params, *args) with a scalar answer. Tensors that are differentiated or mapped come to it
                through `args`, not by a closure.
            params: where to begin: tree of floating tensors. The answer has no derivative in them.
            *args: trees of whatever else the loss depends on.
            linear_solve: how derivatives solve with H: see `hograd.custom_root`.

        Returns:
            A `Minimum`. Under `vmap` each element is solved on its own, and the numbers are those of the one that took
            the most steps.

        Raises:
            ConvergenceError: the loss or its gradient is not finite where the solver begins.
            DtypeError: a parameter is not floating.

        A loss that draws random numbers draws once: a line search, the memory of past gradients and the derivative of
        the solution all mean one function, so that every evaluation sees the same draws, and the next call others.

        A solver that stops without a gradient as small as was asked for says so in `reason`, and warns with
        `ConvergenceWarning`: derivatives are no more accurate than the solution. A saddle that it meets is a
        solution to it: the gradient is 0.
        """
        begun = self._floating(params)

        def run(loss: Any, args: tuple[Any, ...]) -> Minimum:
            found: list[Minimum] = []

            def gradient(p: Any, *args: Any) -> Any:
                return func.grad(loss)(_in_dtypes(p, begun), *args)

            gradient.__name__ = f"the gradient of {getattr(loss, '__name__', 'the loss')}"

            def solve(p: Any, *args: Any) -> Any:
                found.append(self.search(loss, p, *args))
                return found[-1].params

            solve.__name__ = type(self).__name__
            root = custom_root(gradient, solve, linear_solve=linear_solve, tolerance=math.inf)
            solution = _in_dtypes(root(begun, *args), begun)
            last = max(found, key=lambda one: (not one.converged, one.steps))
            return last._replace(params=solution, value=loss(solution, *args))

        return of_one_draw(loss, run, *args)

    def search(self, loss: Callable[..., Any], params: Any, *args: Any) -> Minimum:
        """The minimum of a loss as a constant, with two gradients less than `minimize`.

        Args:
            loss, params, *args: as for `minimize`; none of them is differentiated.

        Returns:
            A `Minimum` of constants.

        Raises:
            ConvergenceError, DtypeError: as `minimize` does; it warns alike, too.
        """
        params, args = tree.detach((self._floating(params), args))
        flat, unravel = tree.ravel(params)
        coarsest = min((leaf.dtype.itemsize for leaf in tree.leaves(params)), default=8)
        # Half precision is too coarse for products of vectors.
        flat = flat.astype(np.promote_types(flat.dtype, np.float32))
        evaluations = power = 0
        draws = repeated()

        def evaluate(x: Any) -> tuple[float, Any]:
            nonlocal evaluations
            evaluations += 1
            with draws():
                slope, value = func.grad_and_value(loss)(_in_dtypes(unravel(as_tensor(x)), params), *args)
            return float(np.ldexp(float(value), power)), np.ldexp(tree.ravel(slope)[0].astype(flat.dtype).value, power)

        with silent():
            value, gradient = evaluate(flat.value)
            if not (math.isfinite(value) and _largest(gradient) < math.inf):
                raise ConvergenceError(
                    f"{type(self).__name__}: where it begins the loss is {value} and the largest element of its "
                    f"gradient {_largest(gradient)}; begin where both are finite."
                )
            # Of a loss so large or small that squares of its gradient leave the range, a multiple by a power of 2.
            away = int(np.frexp(_largest(gradient))[1])
            if abs(away) > np.finfo(flat.dtype).maxexp // 5:
                power = -away
                value, gradient = evaluate(flat.value)
            epsilon = float(np.finfo(f"f{coarsest}").eps)
            tolerance = TOLERANCES[coarsest] if self.tolerance is None else self.tolerance
            stationary = Stationary(lambda x: evaluate(x)[1], tolerance, epsilon)
            begun = Point(0.0, value, 0.0, flat.value, gradient)
            point, taken, reason = self._descend(evaluate, begun, stationary, 100 * epsilon)
            value, largest = np.ldexp(point.value, -power), float(np.ldexp(_largest(point.gradient), -power))
        solution = tree.detach(_in_dtypes(unravel(as_tensor(point.x)), params))
        if reason != "gradient":
            warnings.warn(
                f"{type(self).__name__} stopped after {taken} steps, since {REASONS[reason]}; the gradient is "
                f"{largest:.1e}. {REMEDIES[reason]}",
                ConvergenceWarning,
                stacklevel=2,
            )
        return Minimum(solution, as_tensor(float(value)), largest, taken, evaluations, reason)

    def _descend(self, evaluate: Any, begun: Point, stationary: Stationary, slack: float) -> tuple[Point, int, str]:
        """The last point, the number of steps to it, and why no further one was taken."""
        point, taken, far = begun, 0, False
        lowest, flattest, idle = begun.value, _largest(begun.gradient), 0
        steepest = flattest
        directions = self.directions(point)
        proposed = next(directions)
        while True:
            verdict = stationary.judge(point.x, point.gradient, far)
            if verdict.solved:
                return point, taken, "gradient"
            far = verdict.far
            vanishing = stationary.tolerance**2 * min(1.0, steepest)
            if far and (abs(point.gradient) <= vanishing * np.maximum(1.0, abs(point.x))).all():
                return point, taken, "unbounded"
            if taken == self.steps:
                return point, taken, "steps"
            stepped = self._step(evaluate, slack, point, *proposed)
            if stepped is None:
                # The memory of the past may mislead; the gradient alone does not.
                directions = self.directions(point)
                stepped = self._step(evaluate, slack, point, *next(directions))
            if stepped is not None:
                if self._falls_on(point, stepped):
                    return (stepped if math.isfinite(stepped.value) else point), taken, "unbounded"
                better = stepped.value < lowest or _largest(stepped.gradient) < flattest
                lowest, flattest = min(lowest, stepped.value), min(flattest, _largest(stepped.gradient))
                steepest = max(steepest, _largest(stepped.gradient))
                idle = 0 if better else idle + 1
            stuck = stepped is None or idle == IDLE
            if (stuck or idle % 10 == 5) and stationary.rounded(point.x, point.gradient, begun.x):
                return point, taken, "gradient"
            if stepped is None or stuck:
                return point, taken, "unbounded" if far else "line search"
            point, taken = stepped, taken + 1
            proposed = directions.send(point)  # type: ignore[attr-defined]

    def _falls_on(self, before: Point, after: Point) -> bool:
        """Whether the loss is -inf after a step, or falls as steeply as before after one that was immense."""
        if after.value == -math.inf:
            return True
        moved = _largest((after.x - before.x) / np.maximum(1.0, abs(before.x)))
        slope = float(before.gradient @ (after.x - before.x)) / after.length
        return moved > BEYOND and after.slope < self.curvature * slope < 0

    def _floating(self, params: Any) -> Any:
        """The parameters as tensors; an error unless all are floating."""
        return floating(f"{type(self).__name__}: params", params, kinds="f")

    def _step(self, evaluate: Any, slack: float, point: Point, direction: Any, first: float) -> Point | None:
        slope = float(point.gradient @ direction)
        if not (slope < 0 and 0 < first < math.inf):
            return None

        def at(length: float) -> Point:
            x = point.x + length * direction
            value, gradient = evaluate(x)
            return Point(length, value, float(gradient @ direction), x, gradient)

        start = point._replace(length=0.0, slope=slope)
        return strong_wolfe(at, start, first, self.decrease, self.curvature, slack * abs(start.value))


def _in_dtypes(solution: Any, params: Any) -> Any:
    """The solution in the dtypes of the parameters, which one flat vector cannot keep."""
    return tree.map(lambda x, p: x.astype(p.dtype), solution, params)


def _largest(x: Any) -> float:
    """The largest absolute value, 0 of nothing; inf if one is not finite."""
    found = float(abs(x).max()) if x.size else 0.0
    return found if math.isfinite(found) else math.inf
