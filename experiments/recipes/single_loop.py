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
from experiments.report.plots import COLOURS, figure, legend_below
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

    The inner loss is  w A w / 2 - w (B x + c) , the outer one  |C w - d|^2 / 2 + ridge |x|^2 / 2 , and each batch adds
    noise to both gradients.

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
        rows = []
        for one in known:
            errors = [line["error"] for line in one.metrics]
            reached = next((line["batches"] for line in one.metrics if line["error"] < 0.1), None)
            rows.append(
                [
                    *map(str, one.labels.values()),
                    number(errors[-1]),
                    number(float(np.mean(errors[-max(len(errors) // 10, 1) :]))),
                    str(one.metrics[-1]["batches"]),
                    "-" if reached is None else str(reached),
                    f"{one.seconds:.1f}",
                ]
            )
        keys = list(known[0].labels) if known else ["seed", "method"]
        header = [*keys, "last\nerror", "mean of the\nlast tenth", "batches", "batches\nto 0.1", "s"]
        note = "Error of the outer variables, relative to that at the start; batches drawn of both losses together."
        best = min(known, key=lambda one: one.metrics[-1]["error"], default=None)
        return Report(
            question="Which algorithm comes closest to the solution with so many batches?",
            findings=[] if best is None else [f"The smallest error at the end is that of {best.labels['method']}."],
            tables=[Table("Algorithms", header, rows, [note])],
            plots=[Plot("error", "Error against the batches drawn.", lambda: _plot(known))] if known else [],
            figures=[(one.labels, {"error": one.metrics[-1]["error"]}) for one in known],
        )


class SingleLoopTask:
    """One algorithm on one seed's problem; a step is `every` steps of it."""

    def __init__(self, recipe: single_loop, seed: int, index: int):
        self.recipe, self.seed = recipe, seed
        self.choice = recipe.algorithms[index]
        same = sum(one.name == self.choice.name for one in recipe.algorithms) > 1
        self.name = f"seed{seed}-{index + 1:02d}-{self.choice.name}"
        called = f"{index + 1} {self.choice.name}" if same else self.choice.name
        self.labels: Mapping[str, str | int] = {"seed": seed, "method": called}
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
        system = linear.T @ linear + recipe.ridge * np.eye(m)
        self.solution = np.linalg.solve(system, linear.T @ (wanted - constant))
        noises = [recipe.noise * random.standard_normal((2, BATCHES, size)) for size in (n, m)]
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


def _plot(outcomes: Sequence[Outcome]) -> Figure:
    chart, (axes,) = figure()
    names = list(dict.fromkeys(str(one.labels["method"]) for one in outcomes))
    for one in outcomes:
        name = str(one.labels["method"])
        index, first = names.index(name), one.labels["seed"] == outcomes[0].labels["seed"]
        style = "-" if index < len(COLOURS) else "--"
        batches, errors = zip(*((line["batches"], line["error"]) for line in one.metrics), strict=True)
        axes.plot(batches, errors, style, color=COLOURS[index % len(COLOURS)], label=name if first else None)
    axes.set(xscale="log", yscale="log", xlabel="batches drawn of both losses", ylabel="relative error of x")
    legend_below(chart, axes, columns=4)
    return chart
