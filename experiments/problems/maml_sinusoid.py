"""MAML on sinusoids: learn an initialisation from which one gradient step fits a task it has never seen.

The protocol of Finn, Abbeel and Levine, "Model-agnostic meta-learning for fast adaptation of deep networks"
(2017), section 5.1. All tasks of an iteration are adapted and differentiated as one batch.
"""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import hograd as ho
from experiments.data.sinusoids import INPUTS, Points, Tasks, sample_tasks, sinusoid
from experiments.errors import DivergedError
from experiments.models import mlp, mlp_init
from experiments.report.plots import COLOURS, figure, legend_below, log_scale
from experiments.report.tables import table
from optim import SGD, Adam, meta

if TYPE_CHECKING:
    from experiments.runner import Run
    from experiments.schema import MamlSinusoid

#: 97.5 % quantile of the normal distribution: a mean over hundreds of tasks, plus and minus this many errors.
QUANTILE = 1.959964
SHOWN_TASKS = 6


@dataclass
class Outcome:
    """What is known of one seed so far; `errors` has a row for each held-out task, a column for each step."""

    seed: int
    tasks: np.random.Generator
    held_out: Tasks
    params: Any
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    errors: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    def interval(self, step: int) -> tuple[float, float]:
        """Mean error over the held-out tasks after `step` inner steps, and half its 95 % interval."""
        column = self.errors[:, step]
        return float(column.mean()), float(QUANTILE * column.std(ddof=1) / np.sqrt(len(column)))


class Problem:
    """The experiment `maml_sinusoid`."""

    def __init__(self, config: "MamlSinusoid", run: "Run"):
        self.config = config
        self.run = run
        self.outcomes: list[Outcome] = []

    def work(self) -> None:
        """For each seed: learn an initialisation, measure it, save it."""
        for seed in self.config.seeds:
            outcome = self._start(seed)
            self.outcomes.append(outcome)
            self._learn(outcome)
            self._measure(outcome)

    def finish(self) -> tuple[dict[str, Any], str]:
        """The plots, the table, and the measurement of a seed that was broken off."""
        for outcome in self.outcomes:
            if not outcome.errors.size:
                self._measure(outcome)
        if self.outcomes:
            self._plot_tasks(self.outcomes[0])
            self._plot_errors()
        return {str(outcome.seed): self._results(outcome) for outcome in self.outcomes}, self._table()

    def _start(self, seed: int) -> Outcome:
        config = self.config
        training, testing, weights = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(3))
        points = config.support_points, config.query_points
        held_out = sample_tasks(testing, config.evaluation.tasks, *points, config.dtype)
        params = mlp_init(weights, [1, *config.hidden, 1], config.dtype)
        return Outcome(seed, training, held_out, params)

    def _learn(self, outcome: Outcome) -> None:
        config = self.config
        points = config.support_points, config.query_points
        adam = Adam(lr=config.outer_lr)
        state = adam.init(outcome.params)
        started = time.perf_counter()
        with self.run.progress.track(f"seed {outcome.seed}", config.iterations, "iteration") as counter:
            for iteration in range(config.iterations):
                tasks = sample_tasks(outcome.tasks, config.tasks_per_iteration, *points, config.dtype)
                gradient, value = ho.func.grad_and_value(self._meta_loss)(
                    outcome.params, _tensors(tasks.support), _tensors(tasks.query), config.inner_lr
                )
                loss = value.item()
                self._check(outcome, iteration, loss, tasks)
                outcome.params, state = adam.step(outcome.params, gradient, state)
                outcome.losses.append(loss)
                outcome.seconds = time.perf_counter() - started
                self.run.log(
                    kind="learning",
                    seed=outcome.seed,
                    outer_step=iteration,
                    adapted_loss=loss,
                    seconds=round(outcome.seconds, 4),
                )
                counter.advance(f"loss {np.mean(outcome.losses[-100:]):.3f}")

    def _meta_loss(self, params: Any, support: Points, query: Points, inner_lr: float) -> ho.Tensor:
        """Mean error on the query points after adapting to the support points of each task."""

        def adapted_loss(support: Points, query: Points) -> ho.Tensor:
            adapted = meta.adapt(
                task_loss,
                params,
                support,
                inner=SGD(lr=inner_lr),
                steps=self.config.inner_steps,
                order=self.config.order,
            )
            return task_loss(adapted, query)

        return ho.func.vmap(adapted_loss)(support, query).mean()

    def _check(self, outcome: Outcome, iteration: int, loss: float, tasks: Tasks) -> None:
        """Stop where the loss is not finite, and name the learning rate to blame."""
        if np.isfinite(loss):
            return
        unadapted = self._meta_loss(outcome.params, _tensors(tasks.support), _tensors(tasks.query), 0.0).item()
        name = "inner_lr" if np.isfinite(unadapted) else "outer_lr"
        raise DivergedError(
            f"seed {outcome.seed}, outer step {iteration}: the loss after adaptation is {loss} because of "
            f"{name} = {getattr(self.config, name):g}; lower it"
        )

    def _measure(self, outcome: Outcome) -> None:
        """The error on each held-out task after every number of inner steps; and save the initialisation."""
        last = max(self.config.evaluation.steps)

        def errors(support: Points, query: Points) -> list[ho.Tensor]:
            params, found = outcome.params, []
            for _ in range(last):
                found.append(task_loss(params, query))
                params = meta.adapt(task_loss, params, support, inner=SGD(lr=self.config.inner_lr), order=1)
            return [*found, task_loss(params, query)]

        with ho.no_grad():
            columns = ho.func.vmap(errors)(_tensors(outcome.held_out.support), _tensors(outcome.held_out.query))
        outcome.errors = np.stack([column.numpy() for column in columns], axis=1).astype(np.float64)
        arrays = {
            f"layers.{index}.{name}": value.numpy()
            for index, layer in enumerate(outcome.params)
            for name, value in layer.items()
        }
        self.run.write_tensors(f"learned/seed{outcome.seed}.safetensors", arrays)

    def _results(self, outcome: Outcome) -> dict[str, Any]:
        after = {}
        for step in self.config.evaluation.steps:
            mean, half_width = outcome.interval(step)
            after[str(step)] = {"mean_squared_error": mean, "half_width_95": half_width}
        return {"iterations": len(outcome.losses), "seconds": round(outcome.seconds, 3), "after_steps": after}

    def _table(self) -> str:
        steps = sorted(self.config.evaluation.steps)
        after = (f"after\n{step} {'step' if step == 1 else 'steps'}" for step in steps)
        header = ["seed", "outer\nsteps", *after, "seconds"]
        rows = []
        for outcome in self.outcomes:
            cells = [_interval(*outcome.interval(step)) for step in steps]
            rows.append([str(outcome.seed), str(len(outcome.losses)), *cells, f"{outcome.seconds:.1f}"])
        if len(self.outcomes) > 1:
            means = [np.mean([outcome.interval(step)[0] for outcome in self.outcomes]) for step in steps]
            rows.append(["mean", "", *(f"{mean:.3f}" for mean in means), ""])
        inner_lr, points = self.config.inner_lr, self.config.support_points
        notes = [
            f"Mean squared error and its 95 % interval on {self.config.evaluation.tasks} held-out tasks,",
            f"after so many gradient steps of {inner_lr:g} on {points} points.",
        ]
        return "\n".join([table(header, rows), "", *notes])

    def _plot_tasks(self, outcome: Outcome) -> None:
        """True sinusoids with the model before and after adaptation."""
        shown = min(SHOWN_TASKS, self.config.evaluation.tasks)
        x = np.linspace(*INPUTS, 200)[:, None]
        inputs = ho.tensor(x.astype(self.config.dtype))
        last = max(self.config.evaluation.steps)
        curves = {last: f"after {last} steps", 0: "before", 1: "after 1 step"}
        chart, panels = figure(2, -(-shown // 2), width=10, height=5.5)
        for task, axes in enumerate(panels[:shown]):
            support = Points(outcome.held_out.support.x[task], outcome.held_out.support.y[task])
            truth = sinusoid(x, outcome.held_out.amplitude[task], outcome.held_out.phase[task])
            axes.plot(x, truth, color="0.6", linewidth=5, alpha=0.6, label="truth")
            params = outcome.params
            for step in range(last + 1):
                if step in curves:
                    style = {0: (":", COLOURS[0]), 1: ("--", COLOURS[4])}.get(step, ("-", COLOURS[1]))
                    prediction = mlp(params, inputs).numpy()
                    axes.plot(x, prediction, style[0], color=style[1], linewidth=1.6, label=curves[step])
                if step < last:
                    inner = SGD(lr=self.config.inner_lr)
                    params = meta.adapt(task_loss, params, _tensors(support), inner=inner, order=1)
            axes.plot(support.x, support.y, "k.", markersize=7, label="support points")
        for axes in panels[shown:]:
            axes.set_visible(False)
        legend_below(chart, panels[0], columns=5)
        chart.suptitle(f"Tasks never seen before, adapted from one initialisation (seed {outcome.seed})")
        self.run.write_figure("adapted_sinusoids.png", chart)

    def _plot_errors(self) -> None:
        chart, (axes,) = figure()
        last = max(self.config.evaluation.steps)
        steps = np.arange(last + 1)
        if all(np.isfinite(outcome.errors).all() for outcome in self.outcomes):
            log_scale(axes)
        for index, outcome in enumerate(self.outcomes):
            colour = COLOURS[index % len(COLOURS)]
            means, half_widths = np.transpose([outcome.interval(step) for step in range(last + 1)])
            axes.plot(steps, means, "o-", color=colour, markersize=4, label=f"seed {outcome.seed}")
            axes.fill_between(steps, means - half_widths, means + half_widths, color=colour, alpha=0.2, linewidth=0)
        axes.set(xlabel="inner gradient steps", ylabel="mean squared error")
        axes.set_title(f"Error on {self.config.evaluation.tasks} held-out tasks, with 95 % interval")
        axes.set_xticks(steps if last <= 20 else steps[:: last // 10])
        axes.legend(frameon=False)
        self.run.write_figure("adaptation.png", chart)


def task_loss(params: Any, points: Points) -> ho.Tensor:
    """Mean squared error of the network on the points of one task."""
    return ho.mse(mlp(params, points.x), points.y)


def _tensors(points: Points) -> Points:
    return Points(ho.tensor(points.x), ho.tensor(points.y))


def _interval(mean: float, half_width: float) -> str:
    return f"{mean:.3f} ± {half_width:.2f}" if mean < 1000 else f"{mean:.2g} ± {half_width:.1g}"
