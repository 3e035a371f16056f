"""Losses of single examples as components: a function of a network's outputs and the targets, of shape (n,)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hograd as ho
from experiments.components.registry import register
from experiments.components.types import Momentum, Positive

Loss = Callable[[Any, Any], ho.Tensor]


@register("loss")
def cross_entropy(*, label_smoothing: Momentum = 0.0) -> Loss:
    """The cross-entropy of classes, in nats, or of given probabilities, shape (n, classes).

    Args:
        label_smoothing: the share that is spread over all classes.
    """
    return lambda outputs, y: ho.cross_entropy(outputs, y, reduction="none", label_smoothing=label_smoothing)


@register("loss")
def binary_cross_entropy() -> Loss:
    """The cross-entropy of two classes told apart by the sign of one output, in nats."""
    return lambda outputs, y: ho.binary_cross_entropy_with_logits(outputs[:, 0], y, reduction="none")


@register("loss")
def squared_error() -> Loss:
    """The square of the distance, the mean over the outputs of an example."""
    return lambda outputs, y: ((outputs - y.reshape(outputs.shape)) ** 2).mean(-1)


@register("loss")
def huber(*, delta: Positive = 1.0) -> Loss:
    """Squared near 0 and linear beyond, the mean over the outputs of an example.

    Args:
        delta: where it becomes linear.
    """
    return lambda outputs, y: ho.huber_loss(outputs, y.reshape(outputs.shape), reduction="none", delta=delta).mean(-1)
