"""Learners of features: every task gets a head of its own, which its examples determine in closed form."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import hograd as ho
from hograd import Tensor, cross_entropy, nn
from hograd.errors import ArgumentError
from optim.meta.adaptation import expect_steps
from optim.meta.base import STATISTICS, Examples, Network, Predict, Task, first, judged, outputs, tensors

Head = Callable[[Tensor], Tensor]
"""Function from features, shape (n, k), to outputs."""


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureLearner:
    """What algorithms with features share; a subclass writes `head`, and `start` if it learns more than features.

    Args:
        net: the network of the features. One that ends in a layer named `head`, as `nn.mlp` and `nn.conv4` do, is used
            without it, and its outputs are the classes of a task.
        criterion: function (outputs, targets) with a scalar answer.
        ways: classes of a task; by default the outputs of the layer that is left out.

    Batch norm: with "transductive" layers support and query examples are normalised as two batches, always; with
    "running" ones so in `loss`, while predictions use the averages.
    """

    net: Network
    criterion: Callable[[Any, Any], Tensor] = cross_entropy
    ways: int | None = None

    def __post_init__(self) -> None:
        if self.ways is not None:
            expect_steps(f"{type(self).__name__}: ways", self.ways, 1)
        if self.ways is None and self._left_out is None:
            raise ArgumentError(
                f"{type(self).__name__}: the network has no layer named 'head' that says how many classes there are; "
                "pass ways=."
            )

    # What a subclass writes

    def start(self, dtype: Any) -> dict[str, Any]:
        """First values of what is learned beside the features."""
        return {}

    def head(self, learned: Any, features: Tensor, y: Tensor) -> Head:
        """The head for a task with these features and targets."""
        raise NotImplementedError(f"{type(self).__name__} does not define head().")

    # What users call

    def init(self, seed: Any = None, *, dtype: Any = None) -> dict[str, Any]:
        """New parameters, and the first values of whatever else is learned."""
        learned = first(self._features, seed, dtype)
        leaves = ho.tree.leaves(learned["params"])
        further = self.start(leaves[0].dtype if leaves else dtype)
        return {**learned, "head": further} if further else learned

    def adapt(self, learned: Any, support: Examples, steps: int | None = None) -> Predict:
        """The features with the head of these examples; it takes no steps, whatever `steps` is."""
        if steps is not None:
            expect_steps(f"{type(self).__name__}: steps", steps)
        features, params, statistics = self._features, learned["params"], learned.get(STATISTICS)
        x, y = tensors(support)
        head = self.head(learned.get("head"), outputs(features, params, x, statistics)[0], y)
        return lambda x: head(outputs(features, params, tensors(x), statistics)[0])

    def loss(self, learned: Any, task: Task) -> tuple[Tensor, dict[str, Any]]:
        """The criterion on the query examples, with the head of the support examples."""
        features, params, statistics = self._features, learned["params"], learned.get(STATISTICS)
        support, query = tensors(task)
        seen, statistics = outputs(features, params, support.x, statistics, train=True)
        asked, statistics = outputs(features, params, query.x, statistics, train=True)
        value, told = judged(self.criterion, self.head(learned.get("head"), seen, support.y)(asked), query.y)
        return value, {**told, STATISTICS: statistics} if statistics else told

    def targets(self, y: Tensor, like: Tensor) -> Tensor:
        """Classes as rows of 0 and 1, shape (n, ways), in the dtype of the features."""
        if y.dtype.kind not in "iu":
            raise ArgumentError(
                f"{type(self).__name__}: targets have dtype {y.dtype}, expected classes: whole numbers."
            )
        left_out = self._left_out
        ways = self.ways if self.ways is not None or left_out is None else left_out.outputs
        return (y[:, None] == ho.arange(ways)).astype(like.dtype)

    @property
    def _left_out(self) -> nn.linear | None:
        """The layer `head` at the end of the network."""
        if isinstance(self.net, nn.sequential) and len(self.net) and self.net.layers[-1][0] == "head":
            layer = self.net.layers[-1][1]
            return layer if isinstance(layer, nn.linear) else None
        return None

    @property
    def _features(self) -> Any:
        if self._left_out is None:
            return self.net
        net: Any = self.net
        return net[:-1]


def means(features: Tensor, targets: Tensor) -> Tensor:
    """The mean of each class, shape (ways, k); zeros for a class without examples."""
    return targets.T @ features / ho.maximum(targets.sum(0), 1)[:, None]


def square_distances(a: Tensor, b: Tensor) -> Tensor:
    """|a_i - b_j|^2, shape (n, m)."""
    return ((a[:, None] - b[None]) ** 2).sum(-1)


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """The cosines between rows, shape (n, m); 0 with a row of zeros."""
    a, b = (x / ho.sqrt((x * x).sum(-1, keepdim=True) + 1e-12) for x in (a, b))
    return a @ b.T


@dataclasses.dataclass(frozen=True, eq=False)
class PrototypicalNetwork(FeatureLearner):
    """Prototypical network (Snell et al., 2017): the nearest mean of a class wins.

    logits_c = -|f(x) - mean of f over the examples of class c|^2 , or scale * cosine of the two, with a learned scale.

    Args:
        net, criterion, ways: see `FeatureLearner`.
        distance: "euclidean", or "cosine", whose scale begins at 10.

    It is trained best on more classes at a time than it is tested on.

    >>> from optim.meta import Examples
    >>> algorithm = PrototypicalNetwork(nn.sequential(), ways=2)  # without a network: nearest mean
    >>> predict = algorithm.adapt(algorithm.init(), Examples(ho.tensor([[0.0], [4.0]]), ho.tensor([0, 1])))
    >>> predict(ho.tensor([[1.0]]))
    tensor([[-1., -9.]])
    """

    distance: Literal["euclidean", "cosine"] = "euclidean"

    def start(self, dtype: Any) -> dict[str, Any]:
        return {} if self.distance == "euclidean" else {"log_scale": ho.tensor(10.0, dtype=dtype).log()}

    def head(self, learned: Any, features: Tensor, y: Tensor) -> Head:
        centers = means(features, self.targets(y, features))
        if self.distance == "euclidean":
            return lambda asked: -square_distances(asked, centers)
        return lambda asked: ho.exp(learned["log_scale"]) * cosines(asked, centers)


@dataclasses.dataclass(frozen=True, eq=False)
class MatchingNetwork(FeatureLearner):
    """Matching network (Vinyals et al., 2016), without full context embeddings: a vote of the examples by likeness.

    probability of class c = sum over its examples of softmax(scale * cosine of f(x) and f(x_i)) .

    Args:
        net, criterion, ways: see `FeatureLearner`; outputs are the logarithms of the probabilities.
        scale: 1 in the paper; larger numbers make votes sharper.

    >>> from optim.meta import Examples
    >>> algorithm = MatchingNetwork(nn.sequential(), ways=2, scale=1.0)
    >>> predict = algorithm.adapt(algorithm.init(), Examples(ho.eye(2), ho.tensor([0, 1])))
    >>> ho.softmax(predict(ho.tensor([[2.0, 0.0]])), -1)
    tensor([[0.7311, 0.2689]])
    """

    scale: float = 10.0

    def head(self, learned: Any, features: Tensor, y: Tensor) -> Head:
        targets = self.targets(y, features)

        def outputs(asked: Tensor) -> Tensor:
            votes = ho.log_softmax(self.scale * cosines(asked, features), -1)
            # A class without examples gets a probability that is almost 0.
            chosen = ho.where(targets[None] > 0, votes[:, :, None], -1e4)
            return ho.logsumexp(chosen, 1)

        return outputs


@dataclasses.dataclass(frozen=True, eq=False)
class R2D2(FeatureLearner):
    """Ridge regression on features (Bertinetto et al., 2019), for classes and for values.

    outputs = scale * f(x) W + shift ,  W = argmin |F W - Y|^2 + l2 |W|^2 , with F and Y those of the support examples,
    Y of 0 and 1 for classes. Learned with the features: l2 by its logarithm, scale and shift.

    Args:
        net, criterion, ways: see `FeatureLearner`.
        l2: where the strength begins.

    >>> from optim.meta import Examples
    >>> algorithm = R2D2(nn.sequential(), criterion=ho.mse, ways=1, l2=1.0)
    >>> predict = algorithm.adapt(algorithm.init(), Examples(ho.tensor([[1.0]]), ho.tensor([[4.0]])))
    >>> predict(ho.tensor([[3.0]]))
    tensor([[6.]])
    """

    l2: float = 1.0

    def start(self, dtype: Any) -> dict[str, Any]:
        made = {"log_l2": ho.tensor(self.l2).log(), "scale": ho.tensor(1.0), "shift": ho.tensor(0.0)}
        return made if dtype is None else {name: value.astype(dtype) for name, value in made.items()}

    def head(self, learned: Any, features: Tensor, y: Tensor) -> Head:
        targets = self.targets(y, features) if y.dtype.kind in "iu" else y
        l2 = ho.exp(learned["log_l2"])
        examples, k = features.shape
        # The same W by the smaller of two systems.
        if examples <= k:
            matrix = features @ features.T + l2 * ho.eye(examples, dtype=features.dtype)
            W = features.T @ ho.linalg.solve(matrix, targets)
        else:
            matrix = features.T @ features + l2 * ho.eye(k, dtype=features.dtype)
            W = ho.linalg.solve(matrix, features.T @ targets)
        return lambda asked: learned["scale"] * (asked @ W) + learned["shift"]
