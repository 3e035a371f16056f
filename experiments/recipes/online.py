"""The recipe `online`: hyperparameters learned while training goes on, beside the same training without."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge

import hograd as ho
from experiments.components import Count, DataChoice, LossChoice, ModelChoice, OptimizerChoice, choose, register
from experiments.components.training import square
from experiments.errors import DivergedError, Refused
from experiments.experiment import Outcome, Plot, Report, Table, Task
from experiments.report.plots import COLOURS, figure, legend_below, log_scale
from experiments.report.tables import number
from optim.base import fields
from optim.hyper import Online

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@register("experiment")
@dataclasses.dataclass(frozen=True)
class online:
    """Hypergradient descent: an optimizer is stepped by another one at every step (Baydin et al., 2018).

    Args:
        data: what is trained and validated on.
        model: the network.
        loss: of single examples.
        optimizer: of the parameters; trains once as it is, and once with `by`.
        by: steps the hyperparameters of the optimizer, and may be `Online` itself: a tower of optimizers.
        learn: names of the hyperparameters that it steps.
        epochs: how often all training examples are seen.
        batch: examples of a step.
        l2: half of l2 * |weights|^2 is added to the loss.
    """

    data: DataChoice
    by: OptimizerChoice
    model: ModelChoice = choose("linear")
    loss: LossChoice = choose("cross_entropy")
    optimizer: OptimizerChoice = choose("SGD")
    learn: tuple[str, ...] = ("lr",)
    epochs: Count = 20
    batch: Count = 128
    l2: Annotated[float, Ge(0)] = 0.0

    def check(self) -> None:
        """Refuse hyperparameters that there are not, and data that cannot be had."""
        known = fields(type(self.optimizer.build()))
        for name in self.learn:
            if name not in known:
                raise Refused("learn", f"{self.optimizer.name} has no '{name}'; it has {', '.join(known)}")
        if not self.learn:
            raise Refused("learn", "it is empty, so there is nothing to learn; write [lr] for example")
        split = self.data.build(0)
        if not len(split.validation.x):
            raise Refused("data.validation", "no examples are left to validate on")

    def memory(self) -> int:
        """The data, and a few copies of the parameters."""
        split = self.data.build(0)
        params = self.model.build(split.shape, split.outputs).init(0)
        data = sum(array.nbytes for part in (split.train, split.validation, split.test) for array in part)
        return 3 * data + 30 * sum(leaf.numel() * leaf.dtype.itemsize for leaf in ho.tree.leaves(params))

    def tasks(self, seeds: Sequence[int]) -> Sequence[Task]:
        """For each seed: without, and with hypergradient descent."""
        return [OnlineTask(self, seed, adaptive) for seed in seeds for adaptive in (False, True)]

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        """First epoch, end, and the learned rates."""
        known = [one for one in outcomes if one.metrics]
        return Report(
            question="What does it gain to step an optimizer's hyperparameters while it trains?",
            findings=_findings(known),
            tables=[_table(known, self.learn)],
            plots=[
                Plot(
                    "losses",
                    "Training and validation loss, and the first of the learned numbers.",
                    lambda: _plot(known, self.learn),
                )
            ]
            if known
            else [],
            figures=[
                (one.labels, {key: float(v) for key, v in (one.result or {}).items() if isinstance(v, int | float)})
                for one in known
            ],
        )


class OnlineTask:
    """One training; a step is an epoch."""

    def __init__(self, recipe: online, seed: int, adaptive: bool):
        self.recipe, self.seed, self.adaptive = recipe, seed, adaptive
        self.name = f"seed{seed}-{'learned' if adaptive else 'plain'}"
        self.labels: Mapping[str, str | int] = {
            "optimizer": recipe.optimizer.name,
            "seed": seed,
            "method": "learned" if adaptive else "plain",
        }
        self.steps = recipe.epochs

    def prepare(self) -> None:
        """Make the data, the network, and the compiled step."""
        recipe = self.recipe
        self.split = recipe.data.build(self.seed)
        self.net = recipe.model.build(self.split.shape, self.split.outputs)
        plain = recipe.optimizer.build()
        self.optimizer = Online(plain, by=recipe.by.build(), learn=recipe.learn) if self.adaptive else plain
        loss_of, penalty = recipe.loss.build(), square(0.5 * recipe.l2) if recipe.l2 else None
        net, optimizer = self.net, self.optimizer

        def loss(params: Any, x: Any, y: Any) -> ho.Tensor:
            value = loss_of(net.apply(params, x), y).mean()
            return value if penalty is None else value + penalty(params)

        @ho.compile
        def step(params: Any, state: Any, x: Any, y: Any) -> Any:
            grads, value = ho.func.grad_and_value(loss)(params, x, y)
            return *optimizer.step(params, grads, state, value), value

        self.train, self.judge = step, ho.compile(loss)

    def start(self) -> Any:
        """The first parameters."""
        dtype = self.split.train.x.dtype
        params = ho.tree.map(lambda leaf: leaf.astype(dtype), self.net.init(self.seed))
        # The number of the step is a tensor, so that one program serves all steps.
        return {"epoch": 0, "params": params, "state": ho.tree.map(ho.as_tensor, self.optimizer.init(params))}

    def step(self, state: Any) -> tuple[Any, Mapping[str, Any]]:
        """One epoch over batches in an order that seed and epoch fix."""
        epoch, params, inner = state["epoch"], state["params"], state["state"]
        x, y = self.split.train
        batch = min(self.recipe.batch, len(x))
        order = np.random.default_rng([self.seed, 1, epoch]).permutation(len(x))
        losses = []
        for rows in np.split(order, range(batch, len(x), batch)):
            params, inner, loss = self.train(params, inner, ho.tensor(x[rows]), ho.tensor(y[rows]))
            losses.append(loss.item())
        metrics = {
            "epoch": epoch + 1,
            "running_loss": float(np.mean(losses)),
            "training_loss": self.judge(params, *map(ho.tensor, self.split.train)).item(),
            "validation_loss": self.judge(params, *map(ho.tensor, self.split.validation)).item(),
            **self._learned(inner),
        }
        if not all(math.isfinite(value) for key, value in metrics.items() if key.endswith("loss")):
            rate = f"lower optimizer.lr{' or by.lr' if self.adaptive else ''}"
            raise DivergedError(f"{self.name}, epoch {epoch + 1}: the loss is not finite; {rate}")
        return {"epoch": epoch + 1, "params": params, "state": inner}, metrics

    def _learned(self, state: Any) -> dict[str, float]:
        if not self.adaptive:
            return {}
        found = {}
        for name, value in state["learned"].items():
            leaves = ho.tree.leaves(value)
            for index, leaf in enumerate(leaves):
                found[name if len(leaves) == 1 else f"{name}[{index}]"] = float(leaf.mean())
        return found

    def done(self, state: Any) -> bool:
        """Whether all epochs are over."""
        return state["epoch"] >= self.steps

    def score(self, state: Any) -> float | None:
        """No epoch is better than another."""
        return None

    def result(self, state: Any) -> Mapping[str, Any]:
        """The losses at the end, and what was learned."""
        if not state["epoch"]:
            return {"epochs": 0}
        return {
            "epochs": state["epoch"],
            "training_loss": self.judge(state["params"], *map(ho.tensor, self.split.train)).item(),
            "validation_loss": self.judge(state["params"], *map(ho.tensor, self.split.validation)).item(),
            **self._learned(state["state"]),
        }


Pairs = list[tuple[Mapping[str, str | int], dict[str, Outcome]]]


def _pairs(outcomes: Sequence[Outcome]) -> Pairs:
    found: dict[tuple, tuple[Mapping[str, str | int], dict[str, Outcome]]] = {}
    for outcome in outcomes:
        labels = {key: value for key, value in outcome.labels.items() if key != "method"}
        found.setdefault(tuple(labels.items()), (labels, {}))[1][str(outcome.labels["method"])] = outcome
    return list(found.values())


def _table(outcomes: Sequence[Outcome], names: Sequence[str]) -> Table:
    pairs = _pairs(outcomes)
    learned = list(dict.fromkeys(key for one in outcomes for key in _numbers(one, names)))
    header = [*(pairs[0][0] if pairs else []), "method", "first\nepoch", "final\ntraining", "final\nvalidation", "gap"]
    rows = []
    for labels, pair in pairs:
        for name, one in pair.items():
            first, last = one.metrics[0], one.metrics[-1]
            losses = [first["running_loss"], last["training_loss"], last["validation_loss"]]
            gap = f"{last['validation_loss'] - last['training_loss']:+.4f}"
            told = [f"{last[key]:.2g}" if key in last else "-" for key in learned]
            rows.append([*map(str, labels.values()), name, *map(number, losses), gap, *told])
    notes = [
        "First epoch: the mean loss over its batches as they came. Final: on all training and validation",
        "examples after the last epoch, with the penalty. Gap: validation less training.",
    ]
    return Table("Without and with hypergradient descent", [*header, *(f"last\n{key}" for key in learned)], rows, notes)


def _findings(outcomes: Sequence[Outcome]) -> list[str]:
    ratios = [
        pair["learned"].metrics[0]["running_loss"] / pair["plain"].metrics[0]["running_loss"]
        for _, pair in _pairs(outcomes)
        if len(pair) == 2
    ]
    if not ratios:
        return []
    return [f"Mean loss in the first epoch, learned against plain: {', '.join(f'{ratio:.2f}' for ratio in ratios)}."]


def _numbers(outcome: Outcome, names: Sequence[str]) -> list[str]:
    """The keys of its metrics that hold what is learned: lr, or betas[0]."""
    return [key for key in outcome.metrics[-1] if key.partition("[")[0] in names]


def _plot(outcomes: Sequence[Outcome], names: Sequence[str]) -> Figure:
    chart, (left, middle, right) = figure(columns=3, width=11.0, height=4.0)
    kinds = list(dict.fromkeys(_kind(one) for one in outcomes))
    seen = set()
    for one in outcomes:
        learned = one.labels["method"] == "learned"
        style: dict[str, Any] = {
            "color": COLOURS[kinds.index(_kind(one)) % len(COLOURS)],
            "linestyle": "-" if learned else "--",
        }
        name = f"{_kind(one)}, {one.labels['method']}"
        label = None if name in seen else name
        seen.add(name)
        epochs = [line["epoch"] for line in one.metrics]
        left.plot(epochs, [line["running_loss"] for line in one.metrics], label=label, **style)
        middle.plot(epochs, [line["validation_loss"] for line in one.metrics], **style)
        numbers = _numbers(one, names)
        if numbers:
            right.plot(epochs, [line[numbers[0]] for line in one.metrics], **style)
    log_scale(left)
    log_scale(middle)
    # Nothing keeps what is learned above 0.
    right.axhline(0, color="0.3", linewidth=0.8)
    left.set(xlabel="epoch", ylabel="mean training loss in the epoch")
    middle.set(xlabel="epoch", ylabel="validation loss")
    right.set(xlabel="epoch", ylabel="what is learned")
    legend_below(chart, left, columns=4)
    return chart


def _kind(outcome: Outcome) -> str:
    return str(outcome.labels.get("variant", outcome.labels["optimizer"]))
