"""Reptile: towards where training on a task ends."""

from __future__ import annotations

import dataclasses
from typing import Any

from hograd import Tensor, no_grad, stack, tree
from optim.meta.adaptation import last
from optim.meta.base import Task
from optim.meta.maml import MAML


@dataclasses.dataclass(frozen=True, eq=False)
class Reptile(MAML):
    """Reptile (Nichol et al., 2018): parameters go towards those that training on a task ends at.

    Its loss is  1/2 |w - w_K|^2  with w_K as a constant, whose gradient w - w_K is Reptile's direction: with
    `outer=SGD(lr=e)` it is  w <- w + e (w_K - w) . What it tells beside is the criterion on the query examples at w_K.

    Args:
        net, criterion, inner, steps, adapted: see `MAML`; nothing of `inner` can be learned, since no derivative goes
            through the steps.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> from optim.meta.tasks import LinearRegressions
    >>> algorithm = Reptile(nn.linear(4, 1), criterion=ho.mse, steps=3)
    >>> learned, task = algorithm.init(0), LinearRegressions()[0]
    >>> (weights, _) = ho.func.grad(algorithm.loss, has_aux=True)(learned, task)
    >>> *_, (end, _) = algorithm.path(learned, task.support, steps=3)
    >>> bool((weights["params"]["weight"] == learned["params"]["weight"] - end["weight"]).all())
    True
    """

    order: Any = dataclasses.field(default=1, init=False)
    learn: Any = dataclasses.field(default=(), init=False)

    def loss(self, learned: Any, task: Task) -> tuple[Tensor, dict[str, Any]]:
        """Half the square of the way to the adapted parameters."""
        with no_grad():
            end, statistics = last(self.path(tree.detach(learned), task.support, self.steps))
            _, told = self.query_loss(end, statistics, task.query, self.steps)
        end, told = tree.detach((end, told))
        distances = tree.map(lambda begin, to: ((begin - to) ** 2).sum(), learned["params"], end)
        return stack(tree.leaves(distances)).sum() / 2, told
