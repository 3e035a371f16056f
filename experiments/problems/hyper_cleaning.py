"""Data hyper-cleaning: find wrong labels by a weight for each training example, learned on validation examples.

The protocol of Franceschi et al., "Forward and reverse gradient-based hyperparameter optimization" (2017), section 6.1.
The labels of some training examples are replaced by wrong ones. A softmax regression is trained on the weighted
examples; the outer loss is that of the solution on a few validation examples with right labels. Its hypergradient in
all the weights comes from the implicit function theorem, and after each outer step the weights are projected on the box
[0, 1]^n, or on the part of it where their sum is bounded. Examples of a small weight are reported as wrong.

Two comparisons say what cleaning is worth. In the first, nothing is trained on the validation examples: the weighted
examples stand between the noisy ones and the same ones with all labels right. The second is the paper's, in which every
training has the validation examples too, and the upper end has only those of the noisy examples whose labels are right.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import hograd as ho
from experiments.data.images import Labelled, MissingDataError, load, skipped
from experiments.errors import DivergedError, ExperimentError, UsageError
from experiments.report.plots import COLOURS, figure, legend_below
from experiments.report.tables import number, table
from hograd.errors import ConvergenceError
from optim import LBFGS, SGD, Adam
from optim.constraints import CappedSimplex
from optim.hyper import CG, Bilevel, Implicit, bilevel

if TYPE_CHECKING:
    from experiments.runner import Run
    from experiments.schema import HyperCleaning

CLASSES = 10
TRAININGS = ("noisy", "validation", "clean")
#: The paper's baseline and oracle.
BESIDE_VALIDATION = ("noisy", "right")
#: What a line of a table is about.
GROUP = ("data", "weights", "seed")


class Corrupted:
    """One seed's split of a data set, half of whose training labels, say, are wrong."""

    def __init__(self, config: "HyperCleaning", dataset: str, images: tuple[Labelled, Labelled | None], seed: int):
        self.config = config
        everything, aside = images
        sizes = getattr(config, dataset)
        self.l2 = sizes.l2
        used = sizes.train + sizes.validation
        if used + (aside is None) > len(everything.classes):
            raise UsageError(
                f"{dataset} has {len(everything.classes)} images, but {dataset}.train and {dataset}.validation take "
                f"{used} and leave none for the test"
            )
        random = np.random.default_rng(seed)
        order = random.permutation(len(everything.classes))
        self.rows, held, rest = np.split(order, [sizes.train, used])
        self.train, self.validation = everything.take(self.rows), everything.take(held)
        self.test = everything.take(rest) if aside is None else aside
        self.wrong = np.zeros(sizes.train, bool)
        self.wrong[random.permutation(sizes.train)[: round(config.wrong_share * sizes.train)]] = True
        moved = (self.train.classes + random.integers(1, CLASSES, sizes.train)) % CLASSES
        self.labels = np.where(self.wrong, moved, self.train.classes)
        self.given = Labelled(self.train.pixels, self.labels)

    def begin(self) -> dict[str, ho.Tensor]:
        """The parameters that training begins with."""
        dtype = self.config.dtype
        return {
            "weight": ho.zeros(self.train.pixels.shape[1], CLASSES, dtype=dtype),
            "bias": ho.zeros(CLASSES, dtype=dtype),
        }

    def objective(self, images: Labelled, l2: float = 0.0) -> Callable[..., ho.Tensor]:
        """The mean cross-entropy in nats, weighted if weights are given, plus l2 times the squared weights."""
        pixels, classes = ho.tensor(images.pixels.astype(self.config.dtype)), ho.tensor(images.classes)

        def loss(params: Any, weights: Any = None) -> ho.Tensor:
            logits = pixels @ params["weight"] + params["bias"]
            if weights is None:
                fit = ho.cross_entropy(logits, classes)
            else:
                fit = (weights * ho.cross_entropy(logits, classes, reduction="none")).mean()
            return fit + l2 * (params["weight"] ** 2).sum() if l2 else fit

        return loss

    def problem(self) -> Bilevel:
        """The weights judged by the validation loss of what is trained with them."""
        judged = self.objective(self.validation)
        return Bilevel(
            inner_loss=self.objective(self.given, self.l2),
            outer_loss=lambda params, weights: judged(params),
            init=self.begin(),
            optimizer=SGD(lr=1.0),
        )

    def solve(self, images: Labelled, l2: float, *weights: ho.Tensor) -> Any:
        """Training to its end."""
        solver = LBFGS(tolerance=self.config.inner_tolerance)
        return solver.minimize(self.objective(images, l2), self.begin(), *weights).params

    def best_beside_validation(self, images: Labelled) -> tuple[float, Any]:
        """Training on these and the validation examples, and its L2 strength.

        The strength is that which is best for training on these and half of the validation examples, on the other half.
        """
        strengths = self.config.baseline_l2
        halves = np.array_split(np.arange(len(self.validation.classes)), 2)
        seen, unseen = map(self.validation.take, halves)
        scores = [self.accuracy(self.solve(joined(images, seen), l2), unseen) for l2 in strengths]
        best = strengths[int(np.argmax(scores))]
        return best, self.solve(joined(images, self.validation), best)

    def cleaned_beside_validation(self, weights: np.ndarray) -> Any:
        """Training with learned weights, and on the validation examples with the largest of these.

        The validation examples have shaped the weights, so no half of them can choose an L2 strength: the penalty stays
        that of the inner problem, to whose sum over the examples theirs are added.
        """
        count, added = len(weights), len(self.validation.classes)
        scaled = np.concatenate([weights / (weights.max() or 1.0), np.ones(added, weights.dtype)])
        l2 = self.l2 * count / (count + added)
        return self.solve(joined(self.given, self.validation), l2, ho.tensor(scaled))

    def accuracy(self, params: Any, images: Labelled) -> float:
        """The share of images whose likeliest class is right."""
        logits = images.pixels @ params["weight"].numpy() + params["bias"].numpy()
        return float(np.mean(logits.argmax(-1) == images.classes))

    def f1(self, weights: np.ndarray) -> float:
        """Harmonic mean of the shares of found labels that are wrong and of wrong labels that are found."""
        found = weights < self.config.threshold
        return 2 * float(np.sum(found & self.wrong)) / float(np.sum(found) + np.sum(self.wrong))


def joined(first: Labelled, second: Labelled) -> Labelled:
    """The images of both."""
    return Labelled(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))


def regained(accuracy: float, noisy: float, clean: float) -> float:
    """The share of the gap between two accuracies, if there is one."""
    return (accuracy - noisy) / (clean - noisy) if clean > noisy else float("nan")


@dataclass
class Outcome:
    """What is known of one seed and constraint so far; entry k of the lists is after k outer steps."""

    dataset: str
    seed: int
    constraint: str
    data: Corrupted
    baselines: dict[str, float]
    #: With the validation examples in every training, as the paper compares.
    beside: dict[str, float]
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    #: Of the smallest validation loss so far.
    weights: np.ndarray = field(default_factory=lambda: np.empty(0))
    accuracy: float = float("nan")
    #: With the validation examples added to the weighted ones.
    accuracy_beside: float = float("nan")
    seconds: float = 0.0

    @property
    def f1(self) -> float:
        """Of finding the wrong labels."""
        return self.data.f1(self.weights)

    @property
    def gap(self) -> float:
        """What cleaning regains of the accuracy that wrong labels cost."""
        return regained(self.accuracy, self.baselines["noisy"], self.baselines["clean"])

    @property
    def gap_beside(self) -> float:
        """The same where every training has the validation examples, and the upper end no other right labels."""
        return regained(self.accuracy_beside, self.beside["noisy"], self.beside["right"])


def _rows(outcomes: list[Outcome], cells: Callable[[Outcome], list[float]], formats: list[str]) -> list[list[str]]:
    """The lines of a table: each seed's cells, and their mean where there are several seeds."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.dataset, outcome.constraint), []).append(outcome)
    rows = []
    for (dataset, constraint), members in groups.items():
        lines = [(str(member.seed), cells(member)) for member in members]
        if len(members) > 1:
            lines.append(("mean", list(np.mean([line for _, line in lines], axis=0))))
        for label, line in lines:
            rows.append([dataset, constraint, label, *map(format, line, formats)])
    return rows


class Problem:
    """The experiment `hyper_cleaning`."""

    def __init__(self, config: "HyperCleaning", run: "Run"):
        self.config = config
        self.run = run
        self.outcomes: list[Outcome] = []
        self.skipped: list[str] = []

    def work(self) -> None:
        """For each data set, seed and constraint: train the baselines, learn the weights, train with them."""
        for dataset in self.config.datasets:
            folder = getattr(getattr(self.config, dataset), "folder", None)
            try:
                images = load(dataset, None if folder is None else Path(folder).expanduser())
            except MissingDataError as missing:
                self.skipped.append(skipped(missing))
                self.run.log(kind="skipped", dataset=dataset, reason=str(missing))
                self.run.progress.note(self.skipped[-1])
                continue
            for seed in self.config.seeds:
                data = Corrupted(self.config, dataset, images, seed)
                baselines, beside = self._baselines(dataset, seed, data)
                for constraint in self.config.constraints:
                    outcome = Outcome(dataset, seed, constraint, data, baselines, beside)
                    self.outcomes.append(outcome)
                    self._learn(outcome)
                    self._save(outcome)
        if len(self.skipped) == len(self.config.datasets):
            raise ExperimentError("no data set was found, so there was nothing to do")

    def finish(self) -> tuple[dict[str, Any], str]:
        """The plots, the table, and what was learned of a run that was broken off."""
        learned = [outcome for outcome in self.outcomes if outcome.losses]
        for outcome in learned:
            if np.isnan(outcome.accuracy):
                self._save(outcome)
        for dataset in dict.fromkeys(outcome.dataset for outcome in learned):
            self._plot(dataset, [outcome for outcome in learned if outcome.dataset == dataset])
        results: dict[str, Any] = {}
        for outcome in learned:
            found = {"f1": outcome.f1, "accuracy": outcome.accuracy, "gap_regained": outcome.gap}
            seeds = results.setdefault(outcome.dataset, {}).setdefault(outcome.constraint, {})
            beside = {"accuracy": outcome.accuracy_beside, "gap_regained": outcome.gap_beside}
            seeds[str(outcome.seed)] = found | {
                "baselines": outcome.baselines,
                "with_validation": beside | {"baselines": outcome.beside},
                "seconds": round(outcome.seconds, 3),
            }
        return results, "\n\n".join([self._table(learned), self._table_beside(learned), *self.skipped])

    def _baselines(self, dataset: str, seed: int, data: Corrupted) -> tuple[dict[str, float], dict[str, float]]:
        """Test accuracies without weights, each with the L2 strength that is best on validation examples.

        The first have no validation examples in training, but for the one that has nothing else; the others have them.
        """
        trained_on = dict(zip(TRAININGS, (data.given, data.validation, data.train), strict=True))
        joined = dict(zip(BESIDE_VALIDATION, (data.given, data.given.take(np.flatnonzero(~data.wrong))), strict=True))
        alone, beside = {}, {}
        count = len(trained_on) + len(joined)
        with self.run.progress.track(f"{dataset}, seed {seed}, baselines", count, "training") as counter:

            def note(name: str, l2: float, accuracy: float) -> None:
                self.run.log(kind="baseline", dataset=dataset, seed=seed, name=name, l2=l2, test_accuracy=accuracy)
                counter.advance(f"{name}: test accuracy {100 * accuracy:.1f} %")

            for name, images in trained_on.items():
                solutions = [data.solve(images, l2) for l2 in self.config.baseline_l2]
                # On examples that training has not seen. Wrong labels lower all accuracies; the best stays the best.
                judge = data.given if name == "validation" else data.validation
                best = int(np.argmax([data.accuracy(params, judge) for params in solutions]))
                alone[name] = data.accuracy(solutions[best], data.test)
                note(name, self.config.baseline_l2[best], alone[name])
            for name, images in joined.items():
                l2, params = data.best_beside_validation(images)
                beside[name] = data.accuracy(params, data.test)
                note(f"{name} and validation", l2, beside[name])
        return alone, beside

    def _learn(self, outcome: Outcome) -> None:
        config, data = self.config, outcome.data
        started = time.perf_counter()
        name = f"{outcome.dataset}, seed {outcome.seed}, {outcome.constraint}"
        method = Implicit(CG(steps=config.hessian_products), solve=LBFGS(tolerance=config.inner_tolerance))
        with self.run.progress.track(name, config.outer_steps + 1, "outer step") as counter:

            def note(step: int, weights: ho.Tensor, result: Any) -> None:
                loss, score = result.value.item(), data.f1(weights.numpy())
                if not outcome.losses or loss < min(outcome.losses):
                    outcome.weights = weights.numpy()
                outcome.losses.append(loss)
                outcome.scores.append(score)
                outcome.seconds = time.perf_counter() - started
                self.run.log(
                    kind="learning",
                    dataset=outcome.dataset,
                    seed=outcome.seed,
                    constraint=outcome.constraint,
                    outer_step=step,
                    validation_loss=loss,
                    f1=score,
                    inner_steps=result.info.inner_steps,
                )
                counter.advance(f"validation loss {number(loss)}, F1 {score:.3f}")

            begun = ho.full((len(data.labels),), config.initial_weight, dtype=config.dtype)
            project = self._projection(outcome.constraint, len(data.labels))
            optimizer = Adam(lr=config.outer_lr)
            try:
                bilevel(
                    data.problem(),
                    project(begun),
                    optimizer,
                    method,
                    config.outer_steps,
                    project=project,
                    warm_start=True,
                    callback=note,
                )
            except ConvergenceError as error:
                raise DivergedError(f"{name}: {error} Here that is outer_lr = {config.outer_lr:g}.") from error

    def _projection(self, constraint: str, count: int) -> Callable[[ho.Tensor], ho.Tensor]:
        if constraint == "box":
            return lambda weights: ho.clamp(weights, 0.0, 1.0)
        return CappedSimplex(self.config.simplex_share * count, at_most=True).project

    def _save(self, outcome: Outcome) -> None:
        """Train with the weights that were learned, and write these."""
        if not outcome.losses:
            return
        data = outcome.data
        params = data.solve(data.given, data.l2, ho.tensor(outcome.weights))
        outcome.accuracy = data.accuracy(params, data.test)
        outcome.accuracy_beside = data.accuracy(data.cleaned_beside_validation(outcome.weights), data.test)
        self.run.log(
            kind="cleaned",
            dataset=outcome.dataset,
            seed=outcome.seed,
            constraint=outcome.constraint,
            f1=outcome.f1,
            test_accuracy=outcome.accuracy,
            gap_regained=outcome.gap,
            test_accuracy_with_validation=outcome.accuracy_beside,
            gap_regained_with_validation=outcome.gap_beside,
        )
        arrays = {"weights": outcome.weights, "wrong": data.wrong, "rows": data.rows, "labels": data.labels}
        name = f"{outcome.dataset}_seed{outcome.seed}_{outcome.constraint}"
        self.run.write_tensors(f"learned/{name}.safetensors", arrays)

    def _table(self, outcomes: list[Outcome]) -> str:
        def cells(outcome: Outcome) -> list[float]:
            shares = (*(outcome.baselines[name] for name in TRAININGS), outcome.accuracy, outcome.gap)
            return [outcome.f1, *(100 * share for share in shares), outcome.seconds]

        header = ["F1", "noisy", "valid.", "clean", "cleaned", "gap", "s"]
        rows = _rows(outcomes, cells, [".3f", ".1f", ".1f", ".1f", ".1f", ".1f", ".0f"])
        note = (
            "F1: of finding the wrong labels. Then percent of the test images right: trained\n"
            "on noisy labels, on the validation examples alone, on right labels, and with\n"
            "the learned weights, which regain this share of the gap from noisy to clean."
        )
        return f"{table([*GROUP, *header], rows)}\n\n{note}" if rows else note

    def _table_beside(self, outcomes: list[Outcome]) -> str:
        def cells(outcome: Outcome) -> list[float]:
            baselines = [outcome.beside[name] for name in BESIDE_VALIDATION]
            return [100 * share for share in (*baselines, outcome.accuracy_beside, outcome.gap_beside)]

        rows = _rows(outcomes, cells, [".1f"] * 4)
        note = (
            "The same with the validation examples in every training, as the paper compares:\n"
            "with the noisy ones, with those of them that are right, and with the weighted."
        )
        return f"{table([*GROUP, 'noisy', 'right', 'cleaned', 'gap'], rows)}\n\n{note}" if rows else note

    def _plot(self, dataset: str, outcomes: list[Outcome]) -> None:
        chart, (left, right) = figure(columns=2, width=9.0, height=4.2)
        seeds = list(dict.fromkeys(outcome.seed for outcome in outcomes))
        for outcome in outcomes:
            colour = COLOURS[seeds.index(outcome.seed) % len(COLOURS)]
            style = "-" if outcome.constraint == "box" else "--"
            name = f"seed {outcome.seed}, {outcome.constraint}"
            # Before the first step all weights are alike.
            steps = range(1, len(outcome.scores))
            left.plot(steps, outcome.scores[1:], color=colour, linestyle=style, linewidth=2, label=name)
        left.set(xlabel="outer step", ylabel="F1 of finding the wrong labels")
        first = outcomes[0]
        edges = [place / 20 for place in range(21)]
        groups = {"right": first.weights[~first.data.wrong], "wrong": first.weights[first.data.wrong]}
        for (name, weights), colour in zip(groups.items(), (COLOURS[2], COLOURS[3]), strict=True):
            right.hist(weights, edges, color=colour, alpha=0.6, label=f"{name} labels")
        right.axvline(self.config.threshold, color="0.3", linestyle=":")
        right.set(xlabel=f"weight learned (seed {first.seed}, {first.constraint})", ylabel="training examples")
        right.legend(loc="upper center", framealpha=1, edgecolor="none")
        legend_below(chart, left, columns=3)
        self.run.write_figure(f"cleaning_{dataset}.png", chart)
