"""Error against cost: every estimator with more and more work, on three problems whose answer is known."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.hypergradient.problems import Known, Problem
from benchmarks.table import WIDTH, seconds
from optim.hyper import (
    CG,
    DARTS,
    GMRES,
    MINRES,
    PES,
    Dense,
    FixedPoint,
    Forward,
    Identity,
    Implicit,
    Neumann,
    NormalCG,
    Nystrom,
    Reverse,
    Reversible,
    Truncated,
    ZeroOrder,
    diagnose,
)
from optim.hyper.diagnose import Row

#: How much work is asked for: inner steps, and as many products of an implicit method.
BUDGETS = (2, 5, 10, 20, 50, 100, 200, 500)

#: An estimator that took longer than this, in seconds, is not asked for more work.
PATIENCE = 2.0

#: The truth is no more exact than this.
ROUNDING = 1e-15

#: Errors whose cost is told.
LEVELS = (1e-1, 1e-3, 1e-6)


def from_start(problem: Problem) -> dict[str, Callable[[int], Any]]:
    """Estimators by name, as functions of the budget t: t inner steps, and up to t products with the Hessian."""
    count = problem.outer.numel()
    settled = 100
    found: dict[str, Callable[[int], Any]] = {
        "Reverse": Reverse,
        "Reversible": Reversible,
        "Truncated, last quarter": lambda t: Truncated(t, last=max(1, t // 4)),
        "Forward": Forward,
    }
    if not problem.has_momentum:
        del found["Reversible"]
    for name, solver in solvers(problem).items():
        found[f"Implicit, {name}"] = lambda t, solver=solver: Implicit(solver(t), steps=t)
    return found | {
        "DARTS": lambda t: DARTS(lr=problem.lr, steps=t),
        # These train as long as it takes, and the budget is how many times they do so.
        "ZeroOrder": lambda t: ZeroOrder(settled, sigma=problem.noise, samples=max(1, t * count // 50)),
        "PES": lambda t: PES(settled, window=20, sigma=problem.noise, samples=max(1, t * count // 50)),
    }


def solvers(problem: Problem) -> dict[str, Callable[[int], Any]]:
    """Solvers of the linear system by name, as functions of the number of products."""
    tolerance = {"tolerance": 1e-13}
    return {
        "CG": lambda k: CG(steps=k, **tolerance),
        "MINRES": lambda k: MINRES(steps=k, **tolerance),
        "GMRES": lambda k: GMRES(steps=k, **tolerance),
        # Two products in each iteration.
        "NormalCG": lambda k: NormalCG(steps=max(1, k // 2), **tolerance),
        "Neumann": lambda k: Neumann(k, lr=problem.lr),
        "FixedPoint": FixedPoint,
        "Nystrom": lambda k: Nystrom(rank=k, damping=problem.curvature),
        "Dense": lambda k: Dense(),
        "Identity": lambda k: Identity(lr=problem.lr),
    }


@dataclasses.dataclass(frozen=True)
class Point:
    """One estimator with one amount of work."""

    estimator: str
    budget: int
    row: Row

    @property
    def evaluations(self) -> int:
        """Gradients of the inner loss, and products with its Hessian."""
        return self.row.work


def sweep(
    problem: Problem, estimators: Mapping[str, Callable[[int], Any]], budgets: Sequence[int], patience: float
) -> list[Point]:
    """Every estimator at every budget, until a call takes longer than `patience` seconds."""
    known = Known(problem.bilevel.outer_loss(problem.solution, problem.outer), problem.exact)
    points = []
    for name, make in estimators.items():
        for budget in budgets:
            method = {name: make(budget)}
            row = diagnose(problem.bilevel, problem.outer, method, exact=known).rows[0]
            if row.seconds < patience / 10:
                # The first call may have met cold caches.
                again = diagnose(problem.bilevel, problem.outer, method, exact=known, repeats=3).rows[0]
                row = dataclasses.replace(row, seconds=again.seconds)
            points.append(Point(name, budget, row))
            if row.failure or row.seconds > patience:
                break
    return points


def at_solution(problem: Problem) -> Problem:
    """The same problem, whose training begins where it would end: what is left is the linear system."""
    return dataclasses.replace(problem, bilevel=dataclasses.replace(problem.bilevel, init=problem.solution))


def from_solution(problem: Problem) -> dict[str, Callable[[int], Any]]:
    """What there is to choose from once the inner solution is known."""
    found: dict[str, Callable[[int], Any]] = {
        # A step of momentum SGD has a velocity to differentiate only once there has been a step; it stays where it is.
        name: lambda k, solver=solver, steps=int(name == "FixedPoint"): Implicit(solver(k), steps=steps)
        for name, solver in solvers(problem).items()
    }
    return found | {"Truncated": lambda k: Truncated(k, last=k)}


def first_below(points: Sequence[Point], level: float, cost: Callable[[Point], float]) -> float | None:
    """The least cost with which an estimator has an error of at most `level`."""
    return min((cost(p) for p in points if p.row.error <= level), default=None)


def by_estimator(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Points without failures, by estimator, in the order in which they came."""
    found: dict[str, list[Point]] = {}
    for point in points:
        if not point.row.failure:
            found.setdefault(point.estimator, []).append(point)
    return found


def table(title: str, points: Sequence[Point], cost: Callable[[Point], float], what: str) -> str:
    """One row an estimator: the best error, its cosine, and what some errors cost."""
    levels = "".join(f"{level:>9.0e}" for level in LEVELS)
    lines = [*textwrap.wrap(title, WIDTH), f"{'':<24}{'least':>9}{'':>10}{what + ' to error':>27}{'time to':>10}"]
    lines += [f"{'':<24}{'error':>9}{'cosine':>10}{levels}{LEVELS[1]:>10.0e}", "-" * WIDTH]
    for name, own in by_estimator(points).items():
        best = min(own, key=lambda p: p.row.error)
        least = max(best.row.error, ROUNDING)
        costs = "".join(f"{_number(first_below(own, level, cost)):>9}" for level in LEVELS)
        time = first_below(own, LEVELS[1], lambda p: p.row.seconds)
        lines.append(f"{name:<24}{least:>9.1e}{best.row.cosine:>10.6f}{costs}{seconds(time) or '-':>10}")
    for point in points:
        if point.row.failure:
            lines.append(f"{point.estimator:<24}{point.row.failure}"[:WIDTH])
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
