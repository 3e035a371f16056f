"""Learn the learning rate while training goes on: hypergradient descent.

The logistic regression of Baydin et al., "Online learning rate adaptation with hypergradient descent" (2018). SGD, SGD
with Nesterov's momentum and Adam train on the same batches with a constant learning rate and with one that is itself
stepped, at every step, along the derivative of the last update.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import hograd as ho
from experiments.data.images import Labelled, MissingDataError, load, skipped
from experiments.errors import DivergedError, ExperimentError, UsageError
from experiments.models import mlp, mlp_init
from experiments.report.plots import COLOURS, figure, legend_below, log_scale
from experiments.report.tables import number, table
from optim import SGD, Adam, Optimizer
from optim.hyper import Online

if TYPE_CHECKING:
    from experiments.runner import Run
    from experiments.schema import HypergradientDescent

CLASSES = 10
NAMES = {"sgd": "SGD", "nesterov": "Nesterov", "adam": "Adam"}


class Split:
    """One seed's split of a data set, pixels with mean 0 and variance 1 over all of the training images."""

    def __init__(self, config: "HypergradientDescent", dataset: str, images: Labelled, seed: int):
        sizes = getattr(config, dataset)
        count = len(images.classes)
        if sizes.train >= count:
            raise UsageError(
                f"{dataset} has {count} images, and {dataset}.train = {sizes.train} leaves none to validate"
            )
        order = np.random.default_rng(seed).permutation(count)
        used = images.pixels[order[: sizes.train]]
        pixels = ((images.pixels - used.mean()) / used.std()).astype(config.dtype)
        self.train, self.validation = ((pixels[rows], images.classes[rows]) for rows in np.split(order, [sizes.train]))
        self.batch_size = sizes.batch_size

    def batches(self, random: np.random.Generator) -> list[np.ndarray]:
        """The rows of every batch of an epoch; the last one may be smaller."""
        count = len(self.train[1])
        return np.split(random.permutation(count), range(self.batch_size, count, self.batch_size))


@dataclass
class Outcome:
    """What is known of one training so far."""

    dataset: str
    seed: int
    optimizer: str
    adaptive: bool
    #: Mean training loss over the batches of each epoch, as they came; and the validation loss after it.
    losses: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    #: The learning rate of every step.
    rates: list[float] = field(default_factory=list)
    #: On all training images after the last epoch.
    final: float = float("nan")

    @property
    def name(self) -> str:
        """As in the paper: SGD, or SGD-HD."""
        return NAMES[self.optimizer] + ("-HD" if self.adaptive else "")


class Problem:
    """The experiment `hypergradient_descent`."""

    def __init__(self, config: "HypergradientDescent", run: "Run"):
        self.config = config
        self.run = run
        self.outcomes: list[Outcome] = []
        self.skipped: list[str] = []

    def work(self) -> None:
        """For each data set, seed and optimizer: train with and without hypergradient descent."""
        for dataset in self.config.datasets:
            folder = getattr(getattr(self.config, dataset), "folder", None)
            try:
                images, _ = load(dataset, None if folder is None else Path(folder).expanduser())
            except MissingDataError as missing:
                self.skipped.append(skipped(missing))
                self.run.log(kind="skipped", dataset=dataset, reason=str(missing))
                self.run.progress.note(self.skipped[-1])
                continue
            for seed in self.config.seeds:
                split = Split(self.config, dataset, images, seed)
                for optimizer in NAMES:
                    for adaptive in (False, True):
                        outcome = Outcome(dataset, seed, optimizer, adaptive)
                        self.outcomes.append(outcome)
                        self._train(outcome, split)
        if len(self.skipped) == len(self.config.datasets):
            raise ExperimentError("no data set was found, so there was nothing to do")

    def finish(self) -> tuple[dict[str, Any], str]:
        """The plots, the table, and the learning rates."""
        trained = [outcome for outcome in self.outcomes if outcome.losses]
        results: dict[str, Any] = {}
        for outcome in trained:
            arrays = {
                "learning_rates": np.array(outcome.rates),
                "training_losses": np.array(outcome.losses),
                "validation_losses": np.array(outcome.validation),
            }
            self.run.write_tensors(f"learned/{outcome.dataset}_seed{outcome.seed}_{outcome.name}.safetensors", arrays)
            results.setdefault(outcome.dataset, {}).setdefault(str(outcome.seed), {})[outcome.name] = {
                "first_epoch_loss": outcome.losses[0],
                "final_training_loss": outcome.final,
                "final_validation_loss": outcome.validation[-1],
                "learning_rate": outcome.rates[-1],
            }
        for dataset in dict.fromkeys(outcome.dataset for outcome in trained):
            self._plot(dataset, [outcome for outcome in trained if outcome.dataset == dataset])
        return results, "\n\n".join([self._table(trained), *self.skipped])

    def _optimizer(self, outcome: Outcome) -> Optimizer:
        config = self.config
        plain: Optimizer
        if outcome.optimizer == "adam":
            plain = Adam(lr=config.lr)
        elif outcome.optimizer == "nesterov":
            plain = SGD(lr=config.lr, momentum=config.momentum, nesterov=True)
        else:
            plain = SGD(lr=config.lr)
        return Online(plain, by=SGD(lr=getattr(config.hyper_lr, outcome.optimizer))) if outcome.adaptive else plain

    def _loss(self, params: Any, pixels: Any, classes: Any) -> ho.Tensor:
        penalty = 0.5 * self.config.l2 * (params[0]["weight"] ** 2).sum()
        return ho.cross_entropy(mlp(params, pixels), classes) + penalty

    def _train(self, outcome: Outcome, split: Split) -> None:
        config, optimizer = self.config, self._optimizer(outcome)
        random = np.random.default_rng([outcome.seed, 1])
        params = mlp_init(random, [split.train[0].shape[1], CLASSES], config.dtype)
        # The number of the step is a tensor, so that one program serves all steps.
        state = ho.tree.map(ho.as_tensor, optimizer.init(params))

        @ho.compile
        def step(params: Any, state: Any, pixels: Any, classes: Any) -> Any:
            grads, loss = ho.func.grad_and_value(self._loss)(params, pixels, classes)
            return *optimizer.step(params, grads, state), loss

        judge = ho.compile(self._loss)
        everything = [tuple(map(ho.tensor, part)) for part in (split.train, split.validation)]
        name = f"{outcome.dataset}, seed {outcome.seed}, {outcome.name}"
        started = time.perf_counter()
        with self.run.progress.track(name, config.epochs, "epoch") as counter:
            for epoch in range(1, config.epochs + 1):
                losses = []
                for rows in split.batches(random):
                    pixels, classes = (ho.tensor(part[rows]) for part in split.train)
                    params, state, loss = step(params, state, pixels, classes)
                    losses.append(loss.item())
                    outcome.rates.append(state["learned"]["lr"].item() if outcome.adaptive else config.lr)
                final, validation = (judge(params, *part).item() for part in everything)
                if not np.isfinite([*losses, final, validation]).all():
                    raise DivergedError(
                        f"{name}, epoch {epoch}: the loss is not finite at a learning rate of {outcome.rates[-1]:.4g}; "
                        f"lower lr = {config.lr:g} or hyper_lr.{outcome.optimizer} = "
                        f"{getattr(config.hyper_lr, outcome.optimizer):g}"
                    )
                outcome.losses.append(float(np.mean(losses)))
                outcome.validation.append(validation)
                outcome.final = final
                self.run.log(
                    kind="epoch",
                    dataset=outcome.dataset,
                    seed=outcome.seed,
                    optimizer=outcome.name,
                    epoch=epoch,
                    training_loss=outcome.losses[-1],
                    validation_loss=validation,
                    learning_rate=outcome.rates[-1],
                    seconds=round(time.perf_counter() - started, 3),
                )
                counter.advance(f"training loss {number(outcome.losses[-1])}")

    def _table(self, outcomes: list[Outcome]) -> str:
        pairs: dict[tuple[str, str, int], dict[bool, Outcome]] = {}
        for outcome in outcomes:
            pairs.setdefault((outcome.dataset, outcome.optimizer, outcome.seed), {})[outcome.adaptive] = outcome
        rows = []
        for (dataset, optimizer, seed), pair in pairs.items():
            if len(pair) == 2:
                plain, learned = pair[False], pair[True]
                numbers = [[outcome.losses[0], outcome.final, outcome.validation[-1]] for outcome in (plain, learned)]
                cells = [number(value) for one in zip(*numbers, strict=True) for value in one]
                rows.append([dataset, NAMES[optimizer], str(seed), *cells, f"{learned.rates[-1]:.2g}"])
        header = [
            "\n\ndata",
            "\n\noptimizer",
            "\n\nseed",
            "first\nepoch\nplain",
            "\n\nHD",
            "final\ntrain.\nplain",
            "\n\nHD",
            "final\nvalid.\nplain",
            "\n\nHD",
            "last\nrate\nHD",
        ]
        note = (
            "Losses with a constant learning rate (plain) and hypergradient descent (HD):\n"
            "mean over the batches of the first epoch as they came, and on all training and\n"
            "validation images after the last one."
        )
        return f"{table(header, rows)}\n\n{note}" if rows else note

    def _plot(self, dataset: str, outcomes: list[Outcome]) -> None:
        chart, (left, middle, right) = figure(columns=3, width=11.0, height=4.0)
        first = outcomes[0].seed
        for outcome in outcomes:
            colour = COLOURS[list(NAMES).index(outcome.optimizer)]
            style: dict[str, Any] = {"color": colour, "linestyle": "-" if outcome.adaptive else "--"}
            label = outcome.name if outcome.seed == first else None
            epochs = range(1, len(outcome.losses) + 1)
            left.plot(epochs, outcome.losses, label=label, **style)
            middle.plot(epochs, outcome.validation, **style)
            right.plot(np.arange(1, len(outcome.rates) + 1) / len(outcome.rates) * len(epochs), outcome.rates, **style)
        log_scale(left)
        log_scale(middle)
        # Nothing keeps what is learned above 0.
        right.axhline(0, color="0.3", linewidth=0.8)
        left.set(xlabel="epoch", ylabel="mean training loss in the epoch")
        middle.set(xlabel="epoch", ylabel="validation loss")
        right.set(xlabel="epoch", ylabel="learning rate")
        legend_below(chart, left, columns=6)
        self.run.write_figure(f"losses_{dataset}.png", chart)
