"""MAML and its kin: an initialisation from which a few steps of an optimizer fit a new task."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Literal

from hograd import Tensor, cross_entropy, nn
from optim.base import Optimizer
from optim.meta.adaptation import expect_order, expect_steps, last, path
from optim.meta.base import STATISTICS, Examples, Network, Predict, Task, first, judged, outputs, steps_of, tensors
from optim.meta.chosen import Filter, Learn, Learned, Part, learned_of, names_of, replaced, value_of
from optim.sgd import SGD


@dataclasses.dataclass(frozen=True, eq=False)
class MAML:
    """Model-agnostic meta-learning (Finn et al., 2017): learns the parameters that adaptation begins at.

    minimise over w:  criterion on the query examples at w_K ,  w_0 = w ,  w_{k+1} = step of `inner` on the gradient of
    the criterion on the support examples at w_k.

    Args:
        net: the network, a `hograd.nn.Layer` or an object with `init(seed)` and `apply(params, x)`.
        criterion: function (outputs, targets) with a scalar answer.
        inner: the inner optimizer, any of `optim`, behind clipping or with schedules as one likes.
        steps: how many inner steps, >= 0.
        order: 2 differentiates through the inner gradients, 1 takes them as constants (FOMAML): then memory does not
            grow with the steps.
        learn: hyperparameters of `inner` that are learned with the rest: names, or a dict from names to `Learned` or
            to a constraint, in which they stay. What is learned holds them under "inner", as free numbers.
        adapted: which parameters the inner steps change, see `Filter`; default all. The others are learned by the outer
            loop alone.

    Batch norm: inner steps and the loss normalise by the batch that they see. With "transductive" layers, the default
    of `nn.conv4` and of MAML's experiments, so do predictions; with "running" and "per_step" ones these use averages.
    Layers before the first that adapts see the support examples once.

    >>> import hograd as ho
    >>> from hograd import nn
    >>> from optim.meta import Examples, Task
    >>> algorithm = MAML(nn.linear(1, 1), criterion=ho.mse, inner=SGD(lr=0.1), steps=3)
    >>> learned = algorithm.init(0)
    >>> x = ho.tensor([[1.0], [2.0]])
    >>> predict = algorithm.adapt(learned, Examples(x, 3 * x), steps=100)
    >>> predict(ho.tensor([[4.0]]))
    tensor([[11.7000]])
    >>> slope = ho.func.grad(algorithm.loss, has_aux=True)(learned, Task(Examples(x, 3 * x), Examples(x, 3 * x)))[0]
    >>> slope["params"]["weight"].shape
    (1, 1)
    """

    net: Network
    criterion: Callable[[Any, Any], Tensor] = cross_entropy
    inner: Optimizer = dataclasses.field(default_factory=lambda: SGD(lr=0.1))
    steps: int = 5
    order: Literal[1, 2] = 2
    learn: Learn = ()
    adapted: Filter = None

    def __post_init__(self) -> None:
        expect_steps(f"{type(self).__name__}: steps", self.steps)
        expect_order(f"{type(self).__name__}: order", self.order)
        learned_of(self.learn, self.inner, f"{type(self).__name__}: learn")

    def init(self, seed: Any = None, *, dtype: Any = None) -> dict[str, Any]:
        """New parameters, and the first values of the hyperparameters that are learned."""
        learned = first(self.net, seed, dtype)
        part = self._part.take(learned["params"])
        rates = {
            name: how.start(value_of(self.inner, name), part, max(self.steps, 1)) for name, how in self._learned.items()
        }
        return {**learned, "inner": rates} if rates else learned

    def adapt(self, learned: Any, support: Examples, steps: int | None = None) -> Predict:
        """The network after so many inner steps on these examples."""
        steps = self.steps if steps is None else steps
        expect_steps(f"{type(self).__name__}: steps", steps)
        params, _ = last(self.path(learned, support, steps))

        def predict(x: Any) -> Tensor:
            return outputs(self.net, params, tensors(x), learned.get(STATISTICS), step=max(steps - 1, 0))[0]

        return predict

    def loss(self, learned: Any, task: Task) -> tuple[Tensor, dict[str, Any]]:
        """The criterion on the query examples after the inner steps."""
        params, statistics = last(self.path(learned, task.support, self.steps))
        return self.query_loss(params, statistics, task.query, self.steps)

    def query_loss(self, params: Any, statistics: Any, query: Examples, steps: int) -> tuple[Tensor, dict[str, Any]]:
        """The criterion on query examples after so many steps, and what `loss` tells beside it."""
        predicted, statistics = outputs(
            self.net, params, tensors(query.x), statistics, train=True, step=max(steps - 1, 0)
        )
        value, told = judged(self.criterion, predicted, query.y)
        return value, {**told, STATISTICS: statistics} if statistics else told

    def path(
        self, learned: Any, support: Examples, steps: int, order: int | Tensor | None = None
    ) -> Iterator[tuple[Any, Any]]:
        """The parameters and running statistics before the first inner step and after each."""
        params, (x, y) = learned["params"], tensors(support)
        begin, statistics = self._part.take(params), learned.get(STATISTICS)
        fixed, changing = self._halves(params)
        if fixed is not None:
            x, statistics = outputs(fixed, params, x, statistics, train=True)

        def inner_loss(part: Any, statistics: Any, number: int) -> tuple[Tensor, Any]:
            predicted, statistics = outputs(
                changing, self._part.put(part, params), x, statistics, train=True, step=number
            )
            return self.inner_value(self.criterion(predicted, y), part, begin), statistics

        walk = path(
            inner_loss,
            begin,
            statistics,
            inner=self.optimizer(learned),
            steps=steps,
            order=self.order if order is None else order,
        )
        for part, statistics in walk:
            yield self._part.put(part, params), statistics

    def inner_value(self, value: Tensor, part: Any, begin: Any) -> Tensor:
        """What inner steps make small, from the criterion on the support examples, the parameters that are adapted, and
        those that adaptation began at."""
        return value

    def optimizer(self, learned: Any) -> Optimizer:
        """The inner optimizer with what is learned of it."""
        inner = self.inner
        for name, how in self._learned.items():
            inner = replaced(inner, name, how.value(learned["inner"][name]))
        return inner

    def _halves(self, params: Any) -> tuple[Any, Any]:
        """The layers before the first that adapts, if there are any, and the others: what the first give stays."""
        net: Any = self.net
        if self.adapted is not None and isinstance(net, nn.sequential):
            adapting = {name.partition(".")[0] for name in names_of(self._part.take(params))}
            cut = min(place for place, (name, _) in enumerate(net.layers) if name in adapting)
            if cut and steps_of(net[:cut]) is None:
                return net[:cut], net[cut:]
        return None, net

    @property
    def _learned(self) -> dict[str, Learned]:
        return learned_of(self.learn, self.inner, f"{type(self).__name__}: learn")

    @property
    def _part(self) -> Part:
        return Part(self.adapted, f"{type(self).__name__}: adapted")
