"""CAVIA: a task changes an input, and no parameter."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import hograd as ho
from hograd import Tensor, cross_entropy, tree
from optim.base import Optimizer
from optim.meta.adaptation import expect_order, expect_steps, last, path
from optim.meta.base import STATISTICS, Examples, Network, Predict, Task, first, judged, outputs, tensors
from optim.sgd import SGD


@dataclasses.dataclass(frozen=True, eq=False)
class CAVIA:
    """Fast context adaptation (Zintgraf et al., 2019): inner steps change context parameters, which begin at 0.

    The context c, shape (context,), stands beside every input: the network sees  [x, c]  for inputs of shape (n, k),
    and c as further channels, the same at every pixel, for images (n, channels, height, width). So it takes `context`
    more features, or channels, than an input has: `nn.mlp([1 + 4, 40, 40, 1])` for numbers and a context of 4.

    Args:
        net: the network; any, see above.
        criterion: function (outputs, targets) with a scalar answer.
        context: how many numbers.
        inner: the inner optimizer.
        steps: how many inner steps, >= 0.
        order: 2, or 1 for gradients as constants.

    Batch norm: as for `MAML`.

    >>> from hograd import nn
    >>> algorithm = CAVIA(nn.mlp([1 + 4, 20, 1]), criterion=ho.mse, context=4, inner=SGD(lr=1.0), steps=1)
    >>> x = ho.tensor([[0.5], [1.0]])
    >>> algorithm.adapt(algorithm.init(0), Examples(x, x))(x).shape
    (2, 1)
    """

    net: Network
    criterion: Callable[[Any, Any], Tensor] = cross_entropy
    context: int = 5
    inner: Optimizer = dataclasses.field(default_factory=lambda: SGD(lr=1.0))
    steps: int = 1
    order: Literal[1, 2] = 2

    def __post_init__(self) -> None:
        expect_steps("CAVIA: context", self.context, 1)
        expect_steps("CAVIA: steps", self.steps)
        expect_order("CAVIA: order", self.order)

    def init(self, seed: Any = None, *, dtype: Any = None) -> dict[str, Any]:
        """New parameters; the context is not learned."""
        return first(self.net, seed, dtype)

    def adapt(self, learned: Any, support: Examples, steps: int | None = None) -> Predict:
        """The network beside the context of these examples."""
        steps = self.steps if steps is None else steps
        expect_steps("CAVIA: steps", steps)
        context, _ = self._adapted(learned, support, steps)

        def predict(x: Any) -> Tensor:
            return self._outputs(learned, context, tensors(x), learned.get(STATISTICS), max(steps - 1, 0), False)[0]

        return predict

    def loss(self, learned: Any, task: Task) -> tuple[Tensor, dict[str, Any]]:
        """The criterion on the query examples, beside the context of the support examples."""
        context, statistics = self._adapted(learned, task.support, self.steps)
        query = tensors(task.query)
        predicted, statistics = self._outputs(learned, context, query.x, statistics, max(self.steps - 1, 0), True)
        value, told = judged(self.criterion, predicted, query.y)
        return value, {**told, STATISTICS: statistics} if statistics else told

    def _adapted(self, learned: Any, support: Examples, steps: int) -> tuple[Tensor, Any]:
        x, y = tensors(support)

        def inner_loss(context: Tensor, statistics: Any, number: int) -> tuple[Tensor, Any]:
            predicted, statistics = self._outputs(learned, context, x, statistics, number, True)
            return self.criterion(predicted, y), statistics

        begin = ho.zeros(self.context, dtype=tree.leaves(learned["params"])[0].dtype)
        walk = path(inner_loss, begin, learned.get(STATISTICS), inner=self.inner, steps=steps, order=self.order)
        return last(walk)

    def _outputs(
        self, learned: Any, context: Tensor, x: Tensor, statistics: Any, step: int, train: bool
    ) -> tuple[Tensor, Any]:
        shape = (x.shape[0], self.context, *x.shape[2:])
        beside = ho.broadcast_to(context.reshape(1, -1, *(1,) * (x.ndim - 2)), shape)
        return outputs(self.net, learned["params"], ho.concatenate([x, beside], 1), statistics, train=train, step=step)
