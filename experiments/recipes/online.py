"""The recipe `online`: hyperparameters learned while training goes on, beside the same training without."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

import hograd as ho
from experiments.components import (
    Count,
    DataChoice,
    Distinct,
    LossChoice,
    ModelChoice,
    OptimizerChoice,
    choose,
    register,
)
from experiments.components.training import square
from experiments.errors import DivergedError, Refused
from experiments.experiment import Outcome, Report, Task
from experiments.recipes.online_report import report
from optim.base import fields
from optim.hyper import Online


@register("experiment")
@dataclasses.dataclass(frozen=True)
class online:
    """Hypergradient descent: an optimizer is stepped by another one at every step (Baydin et al., 2018).

    Args:
        data: what is trained and validated on.
        model: the network.
        loss: of single examples.
        optimizer: of the parameters; trains once as it is, and once with `by`.
        plain: whether it trains as it is, too.
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
    plain: bool = True
    learn: Distinct[str] = ("lr",)
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
        kinds = (False, True) if self.plain else (True,)
        return [OnlineTask(self, seed, adaptive) for seed in seeds for adaptive in kinds]

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        """First epoch, end, and the learned rates."""
        return report(self, outcomes)


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
