"""Bilevel algorithms on batches: how far they come with so many evaluations, and in so much time."""

from __future__ import annotations

import dataclasses
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from benchmarks.hypergradient.tasks import Task, rows
from benchmarks.table import WIDTH, seconds
from hograd.errors import HogradError
from optim import SGD
from optim.hyper import CG, Implicit, Truncated, bilevel, penalty, stochastic

#: Shares of the way to the goal whose cost is told.
LEVELS = (0.5, 0.1, 0.02)

#: An outer variable beyond this has gone astray.
ASTRAY = 1e6


@dataclasses.dataclass
class Curve:
    """One algorithm with one outer rate.

    Each entry: seconds, epochs (examples that a loss was evaluated on, over the number of inner examples), and the
    share of the way that is left.
    """

    algorithm: str
    outer_lr: float
    steps: int = 0
    seconds: list[float] = dataclasses.field(default_factory=list)
    epochs: list[float] = dataclasses.field(default_factory=list)
    left: list[float] = dataclasses.field(default_factory=list)

    def cost(self, level: float, of: Sequence[float]) -> float | None:
        """The first cost at which no more than `level` is left."""
        return next((c for c, left in zip(of, self.left, strict=True) if left <= level), None)

    def merit(self) -> tuple[float, ...]:
        """Smaller is better: the levels that it reaches count first, and the time to the last of them."""
        times = [self.cost(level, self.seconds) for level in LEVELS]
        reached = [t for t in times if t is not None]
        return (-len(reached), reached[-1] if reached else 0.0, self.left[-1] if self.left else np.inf)


def algorithms(task: Task) -> dict[str, Callable[[float], Any]]:
    """The algorithms on batches by name, as functions of the outer rate; with the defaults of their papers else."""
    batches: dict[str, Any] = {"inner_lr": task.inner_lr, "outer_batches": rows(task.sizes[1], task.batch, seed=1)}
    counts = tuple(size // min(task.batch, size) for size in task.sizes)
    found: dict[str, Callable[[float], Any]] = {}
    for name in ("BSA", "TTSA", "StocBiO", "AmIGO", "SOBA", "SABA", "FSLA", "MRBO", "SUSTAIN"):
        algorithm = getattr(stochastic, name)
        own = batches | ({"counts": counts} if name == "SABA" else {})
        found[name] = lambda lr, algorithm=algorithm, own=own: algorithm(outer_lr=lr, **own)
    for algorithm in (penalty.F2SA, penalty.BOME):
        found[algorithm.__name__] = lambda lr, algorithm=algorithm: algorithm(outer_lr=lr, **batches)
    return found


def steps_on_batches(task: Task, algorithm: Any) -> Iterator[Any]:
    """The outer variables after every step."""
    problem = dataclasses.replace(task.bilevel, outer_loss=task.outer_loss)
    at = algorithm.init(problem, task.outer)
    while True:
        at = algorithm.step(problem, at)
        yield at.outer


class Stop(Exception):
    """The time is up."""


def record(task: Task, name: str, outer_lr: float, run: Callable[[Callable[[Any], None]], None], limit: float) -> Curve:
    """The curve of `run`, which calls its argument with the outer variables after every step, for `limit` seconds."""
    places: list[tuple[float, int, np.ndarray]] = []
    curve = Curve(name, outer_lr)
    task.counter.examples = 0
    due = limit / 500
    begun = time.perf_counter()

    def note(outer: Any) -> None:
        nonlocal due
        curve.steps += 1
        passed = time.perf_counter() - begun
        if passed >= due or passed >= limit:
            values = outer.numpy()
            places.append((passed, task.counter.examples, values))
            due = passed * 1.3
            if passed >= limit or not np.abs(values).max() < ASTRAY:
                raise Stop

    # One that diverges ends, and has reached what it has reached.
    with np.errstate(all="ignore"), suppress(Stop, HogradError):
        run(note)
    for passed, examples, values in places:
        if np.abs(values).max() < ASTRAY:
            left = task.left(task.judge(values))
            curve.seconds.append(passed)
            curve.epochs.append(examples / task.sizes[0])
            curve.left.append(left)
    return curve


def curves(task: Task, limit: float, only: Callable[[str], bool] = lambda name: True) -> list[Curve]:
    """Each algorithm with the best of the outer rates, the rates being tried for `limit` seconds each."""
    runs: dict[str, Callable[[float], Callable[[Callable[[Any], None]], None]]] = {}
    for name, make in algorithms(task).items():

        def on_batches(lr: float, make: Any = make) -> Callable[[Callable[[Any], None]], None]:
            def run(note: Callable[[Any], None]) -> None:
                for outer in steps_on_batches(task, make(lr)):
                    note(outer)

            return run

        runs[name] = on_batches
    for name, method in (
        ("all data, CG(5)", Implicit(CG(steps=5), steps=10)),
        ("all data, reverse", Truncated(steps=10, last=10)),
    ):

        def on_all(lr: float, method: Any = method) -> Callable[[Callable[[Any], None]], None]:
            problem = dataclasses.replace(task.bilevel, batches=None)

            def run(note: Callable[[Any], None]) -> None:
                def callback(number: int, outer: Any, result: Any) -> None:
                    note(outer)

                bilevel(problem, task.outer, SGD(lr=lr), method, 10**9, warm_start=True, callback=callback)

            return run

        runs[name] = on_all
    found = []
    for name, run in runs.items():
        if only(name):
            tried = [record(task, name, lr, run(lr), limit) for lr in task.outer_lrs]
            found.append(min(tried, key=Curve.merit))
    return found


def table(task: Task, found: Sequence[Curve]) -> str:
    """One row an algorithm: its rate, the share of the way left at the end, and what shares cost."""
    lines = [
        task.title,
        *textwrap.wrap(f"(left: the share of the way from {task.first:.4f} to {task.goal:.4f}, {task.what})", WIDTH),
        f"{'':<17}{'outer':>7}{'left at':>8}{'epochs until left':>24}{'time until left':>23}",
        f"{'':<17}{'rate':>7}{'the end':>8}" + "".join(f"{f'{v:.0%}':>8}" for v in LEVELS * 2),
        "-" * WIDTH,
    ]
    for curve in sorted(found, key=Curve.merit):
        epochs = "".join(f"{_number(curve.cost(level, curve.epochs)):>8}" for level in LEVELS)
        times = "".join(f"{(seconds(curve.cost(level, curve.seconds)) or '-').replace(' ', ''):>8}" for level in LEVELS)
        left = f"{curve.left[-1]:.1%}" if curve.left else "astray"
        lines.append(f"{curve.algorithm:<17}{curve.outer_lr:>7g}{left:>8}{epochs}{times}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
