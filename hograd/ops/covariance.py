"""Covariances and correlations of variables, and counts in bins; names, arguments and defaults are PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.backend import is_number
from hograd.core.declare import case, operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import beside, tensor_of
from hograd.ops.checked import within
from hograd.ops.create import linspace
from hograd.ops.losses import extremes

__all__ = ["corrcoef", "cov", "histc"]


def _centred(x: Any, fweights: Any, aweights: Any, name: str) -> tuple[Tensor, Any, Any]:
    x = tensor_of(x, name)
    if x.ndim > 2:
        raise ShapeError(
            f"{name}: x has shape {tuple(x.shape)}, expected (variables, observations) or (observations,)."
        )
    if x.ndim < 2:
        x = ops.reshape(x, (1, -1))
    if x.dtype.kind in "biu":
        x = ops.astype(x, np.float64)
    weights: Any = None
    for kind, given in (("fweights", fweights), ("aweights", aweights)):
        if given is None:
            continue
        given = tensor_of(given, name)
        least = 0 if kind == "aweights" or given.dtype.kind in "iu" else math.inf

        def refused(low: float, _: float, kind: str = kind, dtype: Any = given.dtype) -> Exception:
            what = "whole numbers" if kind == "fweights" else "numbers"
            return ArgumentError(f"{name}: {kind} are {dtype} from {low:g}, expected {what} of at least 0.")

        given = beside(x, ops.astype(within(given, least, math.inf, refused), x.dtype))
        if tuple(given.shape) != (x.shape[1],):
            raise ShapeError(f"{name}: weights have shape {tuple(given.shape)}, expected ({x.shape[1]},).")
        weights = given if weights is None else weights * given
    if weights is None:
        return x - ops.mean(x, 1, True), None, x.shape[1]
    total = ops.sum(weights)
    return x - ops.sum(x * weights, 1, True) / total, weights, total


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4)),
        case(s.normal(5), correction=0),
        case(s.normal(2, 4), fweights=np.array([1, 2, 1, 3]), aweights=np.array([0.5, 1.0, 2.0, 0.25])),
    ],
)
def cov(x: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Tensor:
    """Covariances of variables,  sum_k w_k (x_ik - m_i) (x_jk - m_j) / (sum_k w_k - correction).

    Args:
        x: shape (variables, observations), or (observations,) of one variable (`input`).
        correction: 1 for an unbiased estimate.
        fweights: how often each observation counts, whole numbers, shape (observations,).
        aweights: how much each observation counts; with them the correction is weighted too, as in PyTorch and NumPy.

    Returns:
        Shape (variables, variables), or () of one variable.

    >>> import hograd as ho
    >>> ho.cov(ho.tensor([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]]))
    tensor([[ 1.0000, -0.5000],
            [-0.5000,  1.0000]])
    """
    d, weights, total = _centred(x, fweights, aweights, "cov")
    lost: Any = correction
    if aweights is not None:
        lost = correction * ops.sum(weights * beside(d, ops.astype(tensor_of(aweights, "cov"), d.dtype))) / total
    right = d if weights is None else d * weights
    products = ops.matmul(right, ops.conj(ops.transpose(d)))
    return ops.squeeze(products / ops.maximum(total - lost, 0.0))


@operation(None, lambda s: [case(s.normal(3, 4)), case(s.normal(2, 5))])
def corrcoef(x: Any) -> Tensor:
    """Correlations of variables,  c_ij / (c_ii c_jj)**(1/2),  c their covariances.

    Args:
        x: shape (variables, observations), or (observations,) of one variable (`input`).

    Returns:
        Shape (variables, variables), or () of one variable; within [-1, 1], but nan of a variable that is constant.

    >>> import hograd as ho
    >>> ho.corrcoef(ho.tensor([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]]))
    tensor([[ 1.0000, -0.5000],
            [-0.5000,  1.0000]])
    """
    c = cov(x)
    if not c.ndim:
        return c / c
    deviations = ops.sqrt(ops.real(ops.diagonal(c)))
    return c / ops.expand_dims(deviations, 1) / deviations


@operation(
    None,
    lambda s: [case(s.normal(5, 4), 4, -1.0, 1.0), case(s.normal(7), 3, -2.0, 2.0)],
    differentiable=False,
)
def histc(x: Any, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of equally wide bins, in the dtype of `x`; no derivative.

    Args:
        x: floating tensor (`input`).
        bins: how many.
        min, max: where the first begins and the last ends; with both the same, the least and the largest element.

    The last bin holds its end too. What lies outside does not count.

    >>> import hograd as ho
    >>> ho.histc(ho.tensor([0.1, 0.2, 0.9, 5.0]), bins=2, min=0, max=1)
    tensor([2., 1.])
    """
    x = ops.reshape(tensor_of(x, "histc"), (-1,)).detach()
    if not isinstance(bins, (int, np.integer)) or bins < 1:
        raise ArgumentError(f"histc got bins={bins!r}, expected a whole number above 0.")
    if not (is_number(min) and is_number(max)):
        raise ArgumentError(f"histc got min={min!r} and max={max!r}, expected numbers.")
    low, high = float(min), float(max)
    if low == high and x.numel():
        low, high = extremes(x)
    if low == high:
        low, high = low - 1, high + 1
    if not low < high or not np.isfinite(high - low):
        raise ArgumentError(f"histc got the range from {low} to {high}, expected finite ends and min below max.")
    places = ops.floor((x - low) * (bins / (high - low)))
    places = ops.where(ops.eq(x, high), bins - 1, places)
    numbers = beside(x, linspace(0, bins - 1, bins, dtype=x.dtype))
    return ops.astype(ops.sum(ops.eq(ops.expand_dims(places, 1), numbers), 0), x.dtype)
