"""Learn a schedule of learning rates, the momentum and an L2 strength on handwritten digits.

The inner problem is multinomial logistic regression, trained from zero by full-batch gradient descent with
momentum and an L2 penalty. The outer problem is the validation loss at the end of that training; Adam follows
its exact hypergradient in unconstrained coordinates. The baseline is the search that this replaces: a grid of
constant learning rates and momenta at the same inner budget, with L2 at its initial value. Both are judged by
the smallest validation loss that they came upon.
"""

import dataclasses
import hashlib
import textwrap
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import hograd as ho
from experiments.data.digits import Split, load_split
from experiments.errors import DivergedError
from experiments.report.plots import COLOURS, figure, legend_below, log_scale
from experiments.report.tables import number, table
from optim import SGD, Adam
from optim.constraints import Positive, UnitInterval, constrain, unconstrain
from optim.hyper import Bilevel, Reverse, hypergradient, train
from optim.schedules import PerStep

if TYPE_CHECKING:
    from experiments.runner import Run
    from experiments.schema import DigitsLearningRates

#: What is learned, and the range of each; Adam steps the free numbers behind them.
RANGES = {"learning_rates": Positive(), "momentum": UnitInterval(), "l2": Positive()}


class Training:
    """Logistic regression on one split: `params` holds weight, shape (64, 10), and bias, shape (10,)."""

    def __init__(self, split: Split, steps: int):
        self.split = split
        self.steps = steps
        # Tensors once, not in every step: each would be a copy that the tape keeps.
        train, validation = (tuple(map(ho.tensor, images)) for images in (split.train, split.validation))
        self.problem = Bilevel(
            inner_loss=lambda params, hyper: loss(params, *train),
            outer_loss=lambda params, hyper: loss(params, *validation),
            init={"weight": ho.zeros(64, 10), "bias": ho.zeros(10)},
            optimizer=optimizer,
        )
        self.free_problem = dataclasses.replace(self.problem, optimizer=lambda free: optimizer(constrain(RANGES, free)))

    def train(self, hyper: Any) -> tuple[ho.Tensor, Any]:
        """The validation loss at the end of training, and the parameters."""
        params, _ = train(self.problem, hyper, self.steps)
        return self.problem.outer_loss(params, hyper), params

    def test_accuracy(self, weight: np.ndarray, bias: np.ndarray) -> float:
        """The share of test images whose likeliest class is right."""
        logits = self.split.test.pixels @ weight + bias
        return float(np.mean(logits.argmax(-1) == self.split.test.digits))


def loss(params: Any, pixels: ho.Tensor, digits: ho.Tensor) -> ho.Tensor:
    """Mean cross-entropy in nats, without the penalty."""
    return ho.cross_entropy(pixels @ params["weight"] + params["bias"], digits)


def optimizer(hyper: Any) -> SGD:
    """Gradient descent with momentum; its weight decay is the gradient of an L2 penalty of strength `l2`."""
    return SGD(lr=PerStep(hyper["learning_rates"]), momentum=hyper["momentum"], weight_decay=hyper["l2"])


@dataclass
class Outcome:
    """What is known of one seed so far. Entry k of `losses` is the validation loss after k outer steps."""

    seed: int
    training: Training
    grid: list[dict[str, float]] = field(default_factory=list)
    grid_seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    learning_seconds: float = 0.0
    #: Of the outer step with the smallest loss.
    hyper: dict[str, np.ndarray] = field(default_factory=dict)
    params: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def best_point(self) -> dict[str, float]:
        """The grid point with the smallest validation loss."""
        return min(self.grid, key=lambda point: np.nan_to_num(point["validation_loss"], nan=np.inf))

    @property
    def best_step(self) -> int:
        """The outer step with the smallest validation loss."""
        return int(np.argmin(self.losses))

    @property
    def trainings_to_pass(self) -> int | None:
        """Inner trainings until the learned schedule was better than the best grid point."""
        best = self.best_point["validation_loss"]  # nan, which every loss passes, if no grid point was finite
        return next((count for count, loss in enumerate(self.losses, start=1) if not loss >= best), None)


class Problem:
    """The experiment `digits_learning_rates`."""

    def __init__(self, config: "DigitsLearningRates", run: "Run"):
        self.config = config
        self.run = run
        self.outcomes: list[Outcome] = []
        start = config.initial
        self.initial = {
            "learning_rates": np.full(config.inner_steps, start.lr),
            "momentum": np.float64(start.momentum),
            "l2": np.float64(start.l2),
        }

    def work(self) -> None:
        """For each seed: search the grid, learn the schedule, save it."""
        for seed in self.config.seeds:
            split = load_split(self.config.train_fraction, self.config.validation_fraction, seed)
            digest = hashlib.sha256(np.concatenate(split.rows).tobytes()).hexdigest()
            sizes = {part: len(getattr(split, part).digits) for part in ("train", "validation", "test")}
            self.run.log(kind="split", seed=seed, **sizes, sha256=digest)
            outcome = Outcome(seed, Training(split, self.config.inner_steps))
            self.outcomes.append(outcome)
            self._search(outcome)
            self._learn(outcome)
            self._save(outcome)

    def finish(self) -> tuple[dict[str, Any], str]:
        """The plots, the table, and what was learned on a seed that was broken off."""
        for outcome in self.outcomes:
            if len(outcome.losses) <= self.config.outer_steps:
                self._save(outcome)
        learned = [outcome for outcome in self.outcomes if outcome.losses]
        if learned:
            self._plot_losses(learned)
            self._plot_schedules(learned)
        return {str(outcome.seed): self._results(outcome) for outcome in self.outcomes}, self._table()

    def _search(self, outcome: Outcome) -> None:
        """Train the grid, all learning rates of one momentum in one batch."""
        training, grid, l2 = outcome.training, self.config.grid, self.config.initial.l2
        rates = np.geomspace(grid.learning_rates.low, grid.learning_rates.high, grid.learning_rates.count)
        schedules = np.repeat(rates[:, None], self.config.inner_steps, axis=1)
        started = time.perf_counter()
        with self.run.progress.track(f"seed {outcome.seed}, grid", len(grid.momenta), "momentum") as counter:
            for momentum in grid.momenta:
                hyper = {"learning_rates": ho.tensor(schedules), "momentum": momentum, "l2": l2}
                mapped = {"learning_rates": 0, "momentum": None, "l2": None}
                losses, params = ho.func.vmap(training.train, in_dims=(mapped,))(hyper)
                weights, biases = params["weight"].numpy(), params["bias"].numpy()
                for rate, loss, weight, bias in zip(rates, losses.numpy(), weights, biases, strict=True):
                    point = {
                        "lr": float(rate),
                        "momentum": momentum,
                        "validation_loss": float(loss),
                        "test_accuracy": training.test_accuracy(weight, bias),
                    }
                    outcome.grid.append(point)
                    self.run.log(kind="grid", seed=outcome.seed, **point)
                outcome.grid_seconds = time.perf_counter() - started
                counter.advance(f"best validation loss {number(outcome.best_point['validation_loss'])}")

    def _learn(self, outcome: Outcome) -> None:
        """Follow the hypergradient, and keep the hyperparameters that did best."""
        method, steps = Reverse(steps=self.config.inner_steps), self.config.outer_steps
        free = unconstrain(RANGES, {name: ho.tensor(value) for name, value in self.initial.items()})
        adam = Adam(lr=self.config.outer_lr)
        state = adam.init(free)
        grid_loss = outcome.best_point["validation_loss"]
        started = time.perf_counter()
        with self.run.progress.track(f"seed {outcome.seed}", steps + 1, "training") as counter:
            for step in range(steps + 1):
                hyper = _arrays(constrain(RANGES, free))
                value, slope, info = hypergradient(outcome.training.free_problem, free, method)
                loss = value.item()
                self._check(outcome, step, hyper, loss, _arrays(slope))
                if loss < min(outcome.losses, default=np.inf):
                    outcome.hyper, outcome.params = hyper, _arrays(info.params)
                outcome.losses.append(loss)
                outcome.learning_seconds = time.perf_counter() - started
                self.run.log(
                    kind="learning",
                    seed=outcome.seed,
                    outer_step=step,
                    validation_loss=loss,
                    mean_learning_rate=float(hyper["learning_rates"].mean()),
                    momentum=float(hyper["momentum"]),
                    l2=float(hyper["l2"]),
                    seconds=round(outcome.learning_seconds, 4),
                )
                counter.advance(f"validation loss {number(loss)}, grid {number(grid_loss)}")
                if step < steps:
                    free, state = adam.step(free, slope, state)

    def _check(
        self, outcome: Outcome, step: int, hyper: dict[str, np.ndarray], loss: float, slope: dict[str, np.ndarray]
    ) -> None:
        """Stop where a number is not finite, and name the hyperparameter to blame."""
        place = f"seed {outcome.seed}, outer step {step}"
        for name, value in hyper.items():
            if not np.all(np.isfinite(value)):
                raise DivergedError(f"{place}: {_worst(name, value)} is not finite; lower outer_lr")
        if not np.isfinite(loss):
            rates = _worst("learning_rates", hyper["learning_rates"])
            culprit, keys = rates, "initial.lr"
            for name in ("l2", "momentum"):
                without, _ = outcome.training.train(ho.tree.map(ho.tensor, {**hyper, name: 0.0}))
                if np.isfinite(without.item()):
                    culprit = f"{_worst(name, hyper[name])} with {rates} (with {name} = 0 it is finite)"
                    keys = f"initial.{name}, initial.lr"
                    break
            raise DivergedError(
                f"{place}: the validation loss is {loss} because of {culprit}; lower {keys} or outer_lr"
            )
        for name, value in slope.items():
            if not np.all(np.isfinite(value)):
                raise DivergedError(
                    f"{place}: the hypergradient of {name} is not finite, with {_worst(name, hyper[name])}; "
                    "lower its initial value or outer_lr"
                )

    def _save(self, outcome: Outcome) -> None:
        if not outcome.losses:
            return
        self.run.write_tensors(f"learned/seed{outcome.seed}.safetensors", outcome.hyper)
        step, loss = outcome.best_step, min(outcome.losses)
        readable = {name: outcome.hyper[name].tolist() for name in ("momentum", "l2", "learning_rates")}
        comment = f"Learned in {step} outer steps on seed {outcome.seed}: validation loss {number(loss)}."
        self.run.write_yaml(f"learned/seed{outcome.seed}.yaml", comment, readable)

    def _results(self, outcome: Outcome) -> dict[str, Any]:
        results: dict[str, Any] = {}
        if outcome.grid:
            results["grid"] = {
                **outcome.best_point,
                "inner_trainings": len(outcome.grid),
                "seconds": round(outcome.grid_seconds, 3),
            }
        if outcome.losses:
            results["learned"] = {
                "validation_loss": min(outcome.losses),
                "outer_step": outcome.best_step,
                "last_validation_loss": outcome.losses[-1],
                "test_accuracy": outcome.training.test_accuracy(**outcome.params),
                "inner_trainings": len(outcome.losses),
                "inner_trainings_to_pass_grid": outcome.trainings_to_pass,
                "momentum": float(outcome.hyper["momentum"]),
                "l2": float(outcome.hyper["l2"]),
                "seconds": round(outcome.learning_seconds, 3),
            }
        return results

    def _table(self) -> str:
        header = ["seed", "method", "validation\nloss", "test\naccuracy", "inner\ntrainings"]
        header += ["trainings to\npass the grid", "seconds"]
        rows, gains, points = [], [], []
        for outcome in self.outcomes:
            results = self._results(outcome)
            for key, method in (("grid", "best of the grid"), ("learned", "learned schedule")):
                if key in results:
                    row = results[key]
                    passed = row.get("inner_trainings_to_pass_grid")
                    rows.append(
                        [
                            str(outcome.seed),
                            method,
                            number(row["validation_loss"]),
                            f"{100 * row['test_accuracy']:.1f} %",
                            str(row["inner_trainings"]),
                            "-" if key == "grid" else "not yet" if passed is None else str(passed),
                            f"{row['seconds']:.1f}",
                        ]
                    )
            if "learned" in results:
                ratio = results["learned"]["validation_loss"] / results["grid"]["validation_loss"]
                gains.append(f"{100 * (ratio - 1):+.1f} %" if ratio < 10 else "far above")
            if "grid" in results:
                points.append(f"lr {results['grid']['lr']:.3g}, momentum {results['grid']['momentum']:g}")
        grid = self.config.grid
        size = f"{grid.learning_rates.count} x {len(grid.momenta)}"
        notes = [f"Grid: {size} constant learning rates and momenta, L2 at {self.config.initial.l2:g}."]
        if points:
            notes.append(f"Its best points: {'; '.join(points)}.")
        if gains:
            notes.append(f"Learned against grid, validation loss: {', '.join(gains)}.")
            notes.append("An inner training of the learned schedule includes its exact hypergradient.")
        wrapped = [line for note in notes for line in textwrap.wrap(note, 79)]
        return "\n".join([table(header, rows), "", *wrapped])

    def _plot_losses(self, outcomes: list[Outcome]) -> None:
        chart, (axes,) = figure()
        for index, outcome in enumerate(outcomes):
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(outcome.losses, color=colour, linewidth=2, label=f"seed {outcome.seed}")
            axes.axhline(outcome.best_point["validation_loss"], color=colour, linestyle="--", linewidth=1.2)
            passed = outcome.trainings_to_pass
            if passed is not None:
                axes.plot(passed - 1, outcome.losses[passed - 1], "o", color=colour, markersize=6)
        axes.plot([], [], color="0.4", linestyle="--", linewidth=1.2, label="best of its grid")
        axes.plot([], [], "o", color="0.4", markersize=6, label="where it is passed")
        # A leap of the outer loop leaves the chart rather than squeezing everything else into a line.
        start = max(max(outcome.losses[0], outcome.best_point["validation_loss"]) for outcome in outcomes)
        axes.set_ylim(top=min(1.25 * start, axes.get_ylim()[1]))
        axes.set(xlabel="outer step", ylabel="validation loss after training")
        axes.set_title("Learning rates, momentum and L2 learned by gradient descent")
        legend_below(chart, axes, columns=5)
        self.run.write_figure("validation_loss.png", chart)

    def _plot_schedules(self, outcomes: list[Outcome]) -> None:
        chart, (axes,) = figure()
        steps = np.arange(1, self.config.inner_steps + 1)
        log_scale(axes)
        before = _settings("before", self.initial)
        axes.plot(steps, self.initial["learning_rates"], color="0.4", linestyle="--", label=before)
        for index, outcome in enumerate(outcomes):
            label = _settings(f"seed {outcome.seed}", outcome.hyper)
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(steps, outcome.hyper["learning_rates"], color=colour, linewidth=2, label=label)
        axes.set(xlabel="inner step", ylabel="learning rate")
        axes.set_title("The schedule of learning rates before and after learning it")
        legend_below(chart, axes, columns=2)
        self.run.write_figure("learning_rates.png", chart)


def _settings(name: str, hyper: dict[str, np.ndarray]) -> str:
    return f"{name}: momentum {hyper['momentum']:.3f}, L2 {hyper['l2']:.1e}"


def _arrays(tensors: dict[str, ho.Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def _worst(name: str, value: np.ndarray) -> str:
    """The entry of a hyperparameter that is not finite, or else the largest, with its value."""
    if np.ndim(value) == 0:
        return f"{name} = {float(value):.4g}"
    index = int(np.argmax(np.where(np.isfinite(value), value, np.inf)))
    return f"{name}[{index}] = {value[index]:.4g}"
