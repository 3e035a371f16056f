"""MAML++: MAML made stable."""

from __future__ import annotations

import dataclasses
from typing import Any

import hograd as ho
from hograd import Tensor, tree
from optim.meta.adaptation import expect_steps
from optim.meta.base import STATISTICS, Examples, Predict, Task
from optim.meta.chosen import Learn, Learned
from optim.meta.maml import MAML


@dataclasses.dataclass(frozen=True, eq=False)
class MAMLPlusPlus(MAML):
    """MAML++ (Antoniou et al., 2019): losses of every step, annealed order, rates for each layer and step.

    The loss is  sum over k of v_k * criterion on the query examples after k steps . All weights v_k begin at 1 / steps;
    over `multi_step` iterations those before the last fall to 0.03 / steps, and the last takes what they lose. Before
    iteration `second_order_from` inner gradients are taken as constants. The iteration is counted with what is learned,
    under "statistics".

    Statistics and affine parameters of batch norm for every step are the network's: `nn.conv4(..., norm="per_step",
    steps=5)`; it is told its step. The cosine annealing of the outer rate is a schedule of the outer optimizer.

    Args:
        net, criterion, inner, steps, order, adapted: see `MAML`.
        learn: as there; default a rate for each layer and step.
        multi_step: iterations over which the weights are annealed; 0 for the last step alone.
        second_order_from: the first iteration of second order.

    >>> from hograd import nn
    >>> algorithm = MAMLPlusPlus(nn.mlp([2, 8, 5]), steps=4, multi_step=100)
    >>> algorithm.weights(ho.tensor(0.0)), algorithm.weights(ho.tensor(1000.0))
    (tensor([0.2500, 0.2500, 0.2500, 0.2500]), tensor([0.0075, 0.0075, 0.0075, 0.9775]))
    """

    learn: Learn = dataclasses.field(default_factory=lambda: {"lr": Learned(per="layer", per_step=True)})
    multi_step: int = 1000
    second_order_from: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_steps("MAMLPlusPlus: steps", self.steps, 1)
        for name in ("multi_step", "second_order_from"):
            expect_steps(f"MAMLPlusPlus: {name}", getattr(self, name))

    def weights(self, iteration: Tensor) -> Tensor:
        """The weights of the losses after 1, 2, ... steps, shape (steps,)."""
        steps = self.steps
        share = ho.minimum(iteration / max(self.multi_step, 1), 1.0) if self.multi_step else ho.ones_like(iteration)
        least = 0.03 / steps if self.multi_step else 0.0
        before = 1 / steps + share * (least - 1 / steps)
        return ho.stack([*[before] * (steps - 1), 1 - (steps - 1) * before])

    def init(self, seed: Any = None, *, dtype: Any = None) -> dict[str, Any]:
        """New parameters and rates, before the first iteration."""
        learned = super().init(seed, dtype=dtype)
        iteration = ho.zeros((), dtype=tree.leaves(learned["params"])[0].dtype)
        return {**learned, STATISTICS: {"network": learned.get(STATISTICS, {}), "iteration": iteration}}

    def adapt(self, learned: Any, support: Examples, steps: int | None = None) -> Predict:
        """The network after so many inner steps on these examples."""
        return super().adapt(self._network(learned), support, steps)

    def loss(self, learned: Any, task: Task) -> tuple[Tensor, dict[str, Any]]:
        """The weighted losses on the query examples; what is told beside is of the last."""
        iteration = learned[STATISTICS]["iteration"]
        order: Any = self.order
        if order == 2 and self.second_order_from:
            order = (iteration >= self.second_order_from).astype(iteration.dtype)
        weights, total, told = self.weights(iteration), 0.0, {}
        walk = self.path(self._network(learned), task.support, self.steps, order)
        for number, (params, statistics) in enumerate(walk):
            if number:
                value, told = self.query_loss(params, statistics, task.query, number)
                total = total + weights[number - 1] * value
        counted = {"network": told.pop(STATISTICS, {}), "iteration": iteration + 1}
        return ho.as_tensor(total), {**told, STATISTICS: counted}

    def _network(self, learned: Any) -> Any:
        """What is learned as MAML has it: statistics are those of the network, if it keeps any."""
        own = {name: part for name, part in learned.items() if name != STATISTICS}
        statistics = learned[STATISTICS]["network"]
        return {**own, STATISTICS: statistics} if statistics else own
