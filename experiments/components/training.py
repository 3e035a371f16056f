"""Inner training put together from parts, each of which an outer variable may change."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

import hograd as ho
from experiments.components.data import Part, Split
from experiments.components.losses import Loss
from hograd import nn
from optim import Optimizer


@dataclasses.dataclass(frozen=True)
class Training:
    """What is trained, on what, and how: a value, so that an outer variable makes another one out of it.

    Attributes:
        net: the network; `apply` is how it is asked, so that an outer variable may come between.
        params: the first parameters.
        optimizer: of the parameters.
        loss: of single examples.
        x, y: the training examples.
        weights: of the examples in the mean of their losses; None for 1 each.
        penalties: functions of the parameters that are added to the mean loss.
        steps: how many the optimizer takes.
        batch: examples of a step; None for all.
    """

    net: nn.Layer
    apply: Callable[[Any, ho.Tensor], ho.Tensor]
    params: Any
    optimizer: Optimizer
    loss: Loss
    x: ho.Tensor
    y: ho.Tensor
    steps: int
    batch: int | None = None
    weights: ho.Tensor | None = None
    penalties: tuple[Callable[[Any], ho.Tensor], ...] = ()

    def replace(self, **changes: Any) -> Training:
        """The same with other parts."""
        return dataclasses.replace(self, **changes)

    def objective(self, params: Any, rows: ho.Tensor | None = None) -> ho.Tensor:
        """The inner loss on all examples, or on those of some rows."""
        x, y, weights = self.x, self.y, self.weights
        if rows is not None:
            x, y, weights = x[rows], y[rows], None if weights is None else weights[rows]
        losses = self.loss(self.apply(params, x), y)
        value = (losses if weights is None else weights * losses).mean()
        for penalty in self.penalties:
            value = value + penalty(params)
        return value

    def outside(self, params: Any, part: Part) -> ho.Tensor:
        """The mean loss on other examples, without weights and penalties."""
        return self.loss(self.apply(params, ho.tensor(part.x)), ho.tensor(part.y)).mean()


def matrices(params: Any, net: Any = None) -> list[ho.Tensor]:
    """The parameters of two or more axes: all but biases and scales; with `net`, in the order of its layers.

    The leaves of a dict are in the order of its keys, by which the head of a network stands before its first layer.
    """
    names = [name for name, _ in getattr(getattr(net, "net", net), "layers", ())]
    parts = [params[name] for name in names if name in params] if names else [params]
    return [leaf for leaf in ho.tree.leaves(parts) if leaf.ndim > 1]


def square(strength: float) -> Callable[[Any], ho.Tensor]:
    """The penalty  strength * sum of the squares of all weights, without biases."""

    def penalty(params: Any) -> ho.Tensor:
        total = ho.as_tensor(0.0)
        for leaf in matrices(params):
            total = total + (leaf**2).sum()
        return strength * total

    return penalty


def rows_of(step: int, count: int, batch: int, seed: int) -> np.ndarray:
    """The rows of one inner step: epochs in orders that the seed fixes, the rest of an epoch left out."""
    per_epoch = max(count // batch, 1)
    order = np.random.default_rng([seed, 7, step // per_epoch]).permutation(count)
    first = step % per_epoch * batch
    return order[first : first + batch]


def correct(training: Training, params: Any, part: Part, split: Split) -> float | None:
    """The share of examples whose likeliest class is right; None if there are no classes."""
    if split.kind != "classes" or not len(part.x):
        return None
    outputs = training.apply(params, ho.tensor(part.x)).numpy()
    found = outputs.argmax(-1) if split.outputs > 1 else outputs[:, 0] > 0
    return float(np.mean(found == part.y))
