"""Losses, composed so that derivatives of every order are right; names, arguments and defaults are PyTorch's.

`reduction` is "mean" over all elements, "sum" or "none". Predictions and targets have one shape: broadcasting a loss is
almost always a mistake.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.declare import case, elementwise, operation
from hograd.core.dispatch import call, promote
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import tensor_of

__all__ = ["huber_loss", "kl_div", "l1_loss", "mse", "mse_loss", "smooth_l1_loss"]


def reduced(losses: Any, reduction: str, name: str) -> Any:
    """The losses of all elements, reduced as the user said."""
    if reduction == "mean":
        return ops.mean(losses)
    if reduction == "sum":
        return ops.sum(losses)
    if reduction == "none":
        return losses
    raise ArgumentError(f"{name} got reduction={reduction!r}, expected 'mean', 'sum' or 'none'.")


def alike(prediction: Any, target: Any, name: str, first: str = "x") -> tuple[Tensor, Tensor]:
    """Two tensors of one shape."""
    prediction, target = tensor_of(prediction, name), tensor_of(target, name)
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{name}: {first} has shape {tuple(prediction.shape)}, but target has shape {tuple(target.shape)}; "
            "reshape one."
        )
    return prediction, target


def _pull_squares(a: Any, b: Any, g: Any) -> Any:
    d = a - b
    if d.ndim:
        d *= g
        d += d
        return d
    return 2 * g * d


_squared_error = elementwise(
    "squared_error",
    lambda a, b: np.square(a - b),
    [lambda F, a, b: 2 * (a - b), lambda F, a, b: 2 * (b - a)],
    "a b",
    fused=[lambda F, g, a, b: _pull_squares(a, b, g), lambda F, g, a, b: _pull_squares(b, a, g)],
)


@operation(
    None,
    lambda s: [case(s.normal(3, 4), s.normal(3, 4)), case(s.normal(5), s.normal(5), reduction="none")],
)
def mse(prediction: Any, target: Any, *, reduction: str = "mean") -> Tensor:
    """Squared error  (prediction - target)**2.

    Args:
        prediction, target: floating tensors of one shape.
        reduction: "mean" over all elements, "sum" or "none".

    Raises:
        ShapeError: the shapes differ; broadcasting a loss is almost always a mistake.

    >>> import hograd as ho
    >>> ho.mse(ho.tensor([1.0, 2.0]), ho.tensor([1.0, 4.0]))
    tensor(2.)
    """
    prediction, target = promote("mse", *alike(prediction, target, "mse", "prediction"))
    return reduced(call(_squared_error, (prediction, target), {}), reduction, "mse")


mse_loss = mse


def _pairs(s: Any) -> list[Any]:
    return [
        case(s.normal(3, 4), s.normal(3, 4)),
        case(s.normal(5), s.normal(5), reduction="none"),
        case(s.normal(), s.normal(), reduction="sum"),
    ]


@operation(None, _pairs)
def l1_loss(x: Any, target: Any, *, reduction: str = "mean") -> Tensor:
    """Absolute error  |x - target|; its derivative at 0 is 0.

    Args:
        x, target: floating tensors of one shape.
        reduction: "mean" over all elements, "sum" or "none".

    >>> import hograd as ho
    >>> ho.l1_loss(ho.tensor([1.0, 2.0]), ho.tensor([1.0, 4.0]))
    tensor(1.)
    """
    x, target = alike(x, target, "l1_loss")
    return reduced(ops.abs(x - target), reduction, "l1_loss")


@operation(None, lambda s: [*_pairs(s), case(s.normal(3, 4) * 3, s.normal(3, 4), delta=1.7)])
def huber_loss(x: Any, target: Any, *, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """Squared error near 0 and absolute error beyond:  d**2 / 2  for |d| < delta, else  delta (|d| - delta / 2).

    Args:
        x, target: floating tensors of one shape; d = x - target.
        reduction: "mean" over all elements, "sum" or "none".
        delta: where the two meet, > 0.

    >>> import hograd as ho
    >>> ho.huber_loss(ho.tensor([1.0, 2.0]), ho.tensor([1.5, 4.0]), reduction="none")
    tensor([0.1250, 1.5000])
    """
    x, target = alike(x, target, "huber_loss")
    if not delta > 0:
        raise ArgumentError(f"huber_loss got delta={delta}, expected a number above 0.")
    return reduced(_huber(x - target, delta), reduction, "huber_loss")


def _huber(d: Any, delta: float) -> Any:
    size = ops.abs(d)
    return ops.where(ops.lt(size, delta), ops.square(d) / 2, delta * (size - delta / 2))


@operation(None, lambda s: [*_pairs(s), case(s.normal(3, 4) * 3, s.normal(3, 4), beta=1.7)])
def smooth_l1_loss(x: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """The Huber loss divided by beta:  d**2 / (2 beta)  for |d| < beta, else  |d| - beta / 2.

    Args:
        x, target: floating tensors of one shape; d = x - target.
        reduction: "mean" over all elements, "sum" or "none".
        beta: where the two meet, >= 0; 0 is the absolute error.

    >>> import hograd as ho
    >>> ho.smooth_l1_loss(ho.tensor([1.0, 2.0]), ho.tensor([1.5, 4.0]), reduction="none")
    tensor([0.1250, 1.5000])
    """
    x, target = alike(x, target, "smooth_l1_loss")
    if not beta >= 0:
        raise ArgumentError(f"smooth_l1_loss got beta={beta}, expected a number of at least 0.")
    losses = ops.abs(x - target) if beta == 0 else _huber(x - target, beta) / beta
    return reduced(losses, reduction, "smooth_l1_loss")


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), s.simplex(3, 4)),
        case(s.normal(3, 4), s.simplex(3, 4), reduction="batchmean"),
        case(s.normal(3, 4), s.normal(3, 4), log_target=True, reduction="none"),
    ],
)
def kl_div(x: Any, target: Any, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """Kullback-Leibler divergence  p (ln p - x)  of log-probabilities x from probabilities p; 0 where p is 0.

    Args:
        x: floating tensor of log-probabilities (`input`).
        target: p, or ln p with `log_target`; of the shape of `x`.
        reduction: "mean" over all elements, "batchmean" (the divergence: the sum divided by the length of the first
            axis), "sum" or "none".
        log_target: whether `target` is ln p.

    Where p is 0, the infinite derivative of  p ln p  by p is taken as 0.

    >>> import hograd as ho
    >>> ho.kl_div(ho.tensor([[0.5, 0.5]]).log(), ho.tensor([[0.0, 1.0]]), reduction="batchmean")
    tensor(0.6931)
    """
    x, target = alike(x, target, "kl_div")
    if log_target:
        losses = ops.exp(target) * (target - x)
    else:
        held = ops.gt(target, 0)
        losses = ops.where(held, target * ops.log(ops.where(held, target, 1.0)), 0.0) - target * x
    if reduction == "batchmean":
        return ops.sum(losses) / (x.shape[0] if x.ndim else 1)
    return reduced(losses, reduction, "kl_div")
