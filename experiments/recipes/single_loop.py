"""The recipe `single_loop`: algorithms that step inner and outer variables together, on quadratics."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge

import hograd as ho
from experiments.components import Count, Positive, SingleLoopChoice, register
from experiments.errors import DivergedError, Refused
from experiments.experiment import Outcome, Plot, Report, Table, Task
from experiments.recipes.names import told_apart
from experiments.report.plots import COLOURS, figure, legend_below
from experiments.report.seeds import by_setting, interval, several
from experiments.report.tables import number
from optim.hyper import Bilevel
from optim.hyper.stochastic import Position

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Batches of each loss; the noise of each is drawn once.
BATCHES = 64


@register("experiment")
@dataclasses.dataclass(frozen=True)
class single_loop:
    """Bilevel algorithms on noisy quadratics whose solution is known: error against batches drawn.

    The inner loss is  w A w / 2 - w (B x + c) , the outer one  |C w - d|^2 / 2 + ridge |x|^2 / 2 , where C is such
    that the largest curvature in x is 1 + ridge; each batch adds noise to both gradients.

    Args:
        algorithms: what is compared.
        inner, outer: how many variables w and x there are.
        condition: condition number of A, whose eigenvalues lie between 1 / condition and 1.
        ridge: of the outer variables.
        noise: standard deviation of the noise of a batch in each gradient.
        steps: how many each algorithm takes.
        every: how many steps lie between two lines of metrics.
    """

    algorithms: tuple[SingleLoopChoice, ...]
    inner: Count = 10
    outer: Count = 5
    condition: Annotated[float, Ge(1)] = 5.0
    ridge: Positive = 0.1
    noise: Annotated[float, Ge(0)] = 0.1
    steps: Count = 1000
    every: Count = 20

    def check(self) -> None:
        """Refuse an empty list."""
        if not self.algorithms:
            raise Refused("algorithms", "it is empty; write [{name: SOBA, inner_lr: 0.5, outer_lr: 0.1}] for example")

    def memory(self) -> int:
        """The matrices, and a memory of all batches."""
        return 8 * (self.inner + self.outer) * (self.inner + self.outer + 8 * BATCHES)

    def tasks(self, seeds: Sequence[int]) -> Sequence[Task]:
        """For each seed every algorithm."""
        return [SingleLoopTask(self, seed, index) for seed in seeds for index in range(len(self.algorithms))]

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        """The error at the end, and on the way there."""
        known = [one for one in outcomes if one.metrics]
        best = min(by_setting(known), key=lambda pair: np.mean([_last(one) for one in pair[1]]), default=None)
        found = [] if best is None else [f"The smallest mean error of the last tenth is that of {best[0]['method']}."]
        return Report(
            question="Which algorithm comes closest to the solution with so many batches?",
            findings=found,
            tables=[_table(known)] if known else [],
            plots=[Plot("error", "Error against the batches drawn, geometric means over seeds.", lambda: _plot(known))]
            if known
            else [],
            figures=[(one.labels, {"error": one.metrics[-1]["error"], "last_tenth": _last(one)}) for one in known],
        )


class SingleLoopTask:
    """One algorithm on one seed's problem; a step is `every` steps of it."""

    def __init__(self, recipe: single_loop, seed: int, index: int):
        self.recipe, self.seed = recipe, seed
        self.choice = recipe.algorithms[index]
        self.name = f"seed{seed}-{index + 1:02d}-{self.choice.name}"
        self.labels: Mapping[str, str | int] = {"seed": seed, "method": told_apart(recipe.algorithms)[index]}
        self.steps = -(-recipe.steps // recipe.every)

    def prepare(self) -> None:
        """Draw the problem and its batches, and solve it."""
        recipe, random = self.recipe, np.random.default_rng([self.seed, 5])
        n, m = recipe.inner, recipe.outer
        turned, _ = np.linalg.qr(random.standard_normal((n, n)))
        a = (turned * np.geomspace(1 / recipe.condition, 1, n)) @ turned.T
        b, c = random.standard_normal((n, m)) / math.sqrt(n), random.standard_normal(n)
        seen, wanted = random.standard_normal((m, n)) / math.sqrt(n), random.standard_normal(m)
        # w = A^-1 (B x + c), so that the outer loss is a least squares problem in x.
        linear, constant = seen @ np.linalg.solve(a, b), seen @ np.linalg.solve(a, c)
        # The largest curvature of that problem is 1, whatever was drawn, so that rates mean the same for each seed.
        scale = np.linalg.norm(linear, 2)
        seen, linear, constant = seen / scale, linear / scale, constant / scale
        system = linear.T @ linear + recipe.ridge * np.eye(m)
        self.solution = np.linalg.solve(system, linear.T @ (wanted - constant))
        noises = [recipe.noise * random.standard_normal((2, BATCHES, size)) for size in (n, m)]
        # Over all batches the noise sums to 0: the solution is that of all of them together.
        noises = [noise - noise.mean(1, keepdims=True) for noise in noises]
        inner_noise = [tuple(map(ho.tensor, pair)) for pair in zip(noises[0][0], noises[1][0], strict=True)]
        outer_noise = [tuple(map(ho.tensor, pair)) for pair in zip(noises[0][1], noises[1][1], strict=True)]
        order = np.random.default_rng([self.seed, 6]).integers(BATCHES, size=4096)
        a, b, c, seen, wanted = map(ho.tensor, (a, b, c, seen, wanted))

        def inner_loss(w: Any, x: Any, noise: Any) -> Any:
            return 0.5 * w @ (a @ w) - w @ (b @ x + c) + noise[0] @ w

        def outer_loss(w: Any, x: Any, noise: Any = (0.0, 0.0)) -> Any:
            missed = seen @ w - wanted
            return 0.5 * (missed @ missed + recipe.ridge * x @ x) + (noise[0] * w).sum() + (noise[1] * x).sum()

        def batch(noise: Any) -> Any:
            return lambda number: noise[order[number % len(order)]]

        self.problem = Bilevel(inner_loss, outer_loss, init=ho.zeros(n), batches=batch(inner_noise))
        fields = getattr(self.choice.make, "__dataclass_fields__", {})
        if "counts" in fields:  # and so takes each batch by its own number
            self.problem = dataclasses.replace(self.problem, batches=inner_noise.__getitem__)
            made = self.choice.build(outer_batches=outer_noise.__getitem__, counts=(BATCHES, BATCHES))
        else:
            made = self.choice.build(outer_batches=batch(outer_noise))
        self.algorithm = made
        self.first = np.linalg.norm(self.solution)

    def start(self) -> Any:
        """Everything at 0."""
        return _stored(self.algorithm.init(self.problem, ho.zeros(self.recipe.outer)))

    def step(self, state: Any) -> tuple[Any, Mapping[str, Any]]:
        """Some steps of the algorithm."""
        at = Position(**{**state, "drawn": tuple(state["drawn"])})
        for _ in range(min(self.recipe.every, self.recipe.steps - at.number)):
            at = self.algorithm.step(self.problem, at)
        error = float(np.linalg.norm(at.outer.numpy() - self.solution) / self.first)
        if not math.isfinite(error):
            raise DivergedError(
                f"{self.name}, step {at.number}: the outer variables are not finite; lower outer_lr or inner_lr of it"
            )
        return _stored(at), {"step": at.number, "error": error, "batches": sum(at.drawn)}

    def done(self, state: Any) -> bool:
        """Whether all steps are taken."""
        return state["number"] >= self.recipe.steps

    def score(self, state: Any) -> float | None:
        """The last one counts."""
        return None

    def result(self, state: Any) -> Mapping[str, Any]:
        """Where it ended, and the solution."""
        return {"outer": state["outer"].numpy(), "solution": self.solution}


def _stored(at: Position) -> dict[str, Any]:
    return {field.name: getattr(at, field.name) for field in dataclasses.fields(at)}


def _last(outcome: Outcome) -> float:
    """The mean error of the last tenth of the steps: that of the last one alone is noise."""
    errors = [line["error"] for line in outcome.metrics]
    return float(np.mean(errors[-max(len(errors) // 10, 1) :]))


def _table(outcomes: Sequence[Outcome]) -> Table:
    """A line for each algorithm: means over seeds."""
    rows = []
    settings = by_setting(outcomes)
    for labels, seeds in settings:
        mean, half = interval([_last(one) for one in seeds])
        reached = [next((line["batches"] for line in one.metrics if line["error"] < 0.1), None) for one in seeds]
        there = [count for count in reached if count is not None]
        batches = f"{np.mean(there):.0f}" if len(there) == len(seeds) else f"{len(there)} of {len(seeds)} seeds"
        rows.append(
            [
                *map(str, labels.values()),
                number(mean) + ("" if math.isnan(half) else f" ± {number(half)}"),
                f"{np.mean([one.metrics[-1]['batches'] for one in seeds]):.0f}",
                batches if there else "-",
                f"{np.mean([one.seconds for one in seeds]):.1f}",
            ]
        )
    header = [*settings[0][0], "error at\nthe end", "batches", "batches\nto 0.1", "s"]
    notes = [
        "Error of the outer variables, relative to that at the start: the mean of the last tenth of the steps"
        + (", and over seeds, with half of its 95 % interval." if several(outcomes) else "."),
        "Batches drawn of both losses together, and until the error was below 0.1.",
    ]
    return Table("Algorithms", header, rows, notes)


def _plot(outcomes: Sequence[Outcome]) -> Figure:
    chart, (axes,) = figure(height=4.2)
    for index, (labels, seeds) in enumerate(by_setting(outcomes)):
        shortest = min(len(one.metrics) for one in seeds)
        errors = [[line["error"] for line in one.metrics[:shortest]] for one in seeds]
        batches = [line["batches"] for line in seeds[0].metrics[:shortest]]
        style: dict[str, Any] = {
            "color": COLOURS[index % len(COLOURS)],
            "linestyle": "-" if index < len(COLOURS) else "--",
        }
        mean = np.exp(np.mean(np.log(np.maximum(errors, 1e-300)), axis=0))
        axes.plot(batches, mean, label=str(labels["method"]), linewidth=1.8, **style)
    axes.set(xscale="log", yscale="log", xlabel="batches drawn of both losses", ylabel="relative error of x")
    legend_below(chart, axes, columns=3)
    return chart
