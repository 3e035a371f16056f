"""Losses, composed so that derivatives of every order are right; names, arguments and defaults are PyTorch's.

`reduction` is "mean" over all elements, "sum" or "none". Predictions and targets have one shape: broadcasting a loss is
almost always a mistake.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.backend import is_array
from hograd.core.declare import case, elementwise, operation
from hograd.core.dispatch import call, promote
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import tensor_of
from hograd.ops.checked import within

__all__ = [
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse",
    "mse_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]


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


def extremes(x: Any) -> tuple[float, float]:
    """The least and the largest number of a tensor, inf and -inf of none; read from the data, whatever follows them."""
    while isinstance(x, Tensor):
        x = x.value
    # While a function is compiled there is nothing to look at.
    if not (is_array(x) and x.size):
        return math.inf, -math.inf
    return float(np.minimum.reduce(x, axis=None)), float(np.maximum.reduce(x, axis=None))


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


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), s.normal(3, 4), s.positive(3, 4)),
        case(s.normal(3, 4), s.normal(3, 4), s.positive(3, 1), full=True, reduction="sum"),
        case(s.normal(3, 4), s.normal(3, 4), s.positive(3), reduction="none"),
    ],
)
def gaussian_nll_loss(
    x: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, *, reduction: str = "mean"
) -> Tensor:
    """(ln v + (x - target)**2 / v) / 2,  with  v = max(var, eps): minus the logarithm of a normal density.

    Args:
        x: means (`input`).
        target: of the shape of `x`, or broadcast against it.
        var: variances of at least 0: of the shape of `x`, or with one axis of length 1 or without the last one; or a
            number.
        full: add the constant  ln(2 pi) / 2.
        eps: least variance; where it stands in, derivatives are those at eps, as in PyTorch.
        reduction: "mean" over all elements, "sum" or "none".

    Source: Nix and Weigend, 1994.

    >>> import hograd as ho
    >>> ho.gaussian_nll_loss(ho.tensor([1.0]), ho.tensor([3.0]), ho.tensor([2.0]))
    tensor(1.3466)
    """
    name = "gaussian_nll_loss"
    x, target, var = (tensor_of(v, name) for v in (x, target, var))
    if var.ndim and var.shape != x.shape:
        if x.shape[:-1] == var.shape:
            var = ops.expand_dims(var, -1)
        elif x.ndim != var.ndim or sum(v for n, v in zip(x.shape, var.shape, strict=True) if n != v) != 1:
            raise ShapeError(f"{name}: var is of incorrect size {tuple(var.shape)} for x of shape {tuple(x.shape)}.")
    var = within(var, 0, math.inf, lambda *_: ArgumentError(f"{name}: var has negative entries, expected variances."))
    # The limit moves the value but not the derivative.
    var = var + (ops.clip(var, eps) - var).detach()
    losses = (ops.log(var) + ops.square(x - target) / var) / 2
    return reduced(losses + math.log(2 * math.pi) / 2 if full else losses, reduction, name)


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), s.positive(3, 4)),
        case(s.positive(3, 4), s.positive(3, 4) * 3, log_input=False, reduction="sum"),
        case(s.normal(4), s.array([0.0, 0.5, 2.0, 5.0]), full=True, reduction="none"),
    ],
)
def poisson_nll_loss(
    x: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """e**x - target x: minus the logarithm of the probability of counts of the rate e**x, but for a constant.

    Args:
        x: logarithms of rates, or rates (`input`).
        target: counts, of the shape of `x`.
        log_input: False: x is rates, of which the loss is  x - target ln(x + eps).
        full: add Stirling's approximation  t ln t - t + ln(2 pi t) / 2  of ln t!  for targets above 1.
        eps: keeps the logarithm from 0.
        reduction: "mean" over all elements, "sum" or "none".

    >>> import hograd as ho
    >>> ho.poisson_nll_loss(ho.tensor([0.0, 1.0]), ho.tensor([2.0, 2.0]), reduction="none")
    tensor([1.0000, 0.7183])
    """
    x, target = alike(x, target, "poisson_nll_loss")
    losses = ops.exp(x) - target * x if log_input else x - target * ops.log(x + eps)
    if full:
        many = ops.gt(target, 1)
        t = ops.where(many, target, 1.0)
        losses = losses + ops.where(many, t * ops.log(t) - t + ops.log(2 * math.pi * t) / 2, 0.0)
    return reduced(losses, reduction, "poisson_nll_loss")
