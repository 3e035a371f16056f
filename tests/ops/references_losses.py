"""Losses and distances, written down once more as formulas and loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

REDUCTIONS = {"mean": np.mean, "sum": np.sum, "none": np.asarray}


def _gaussian(x: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, *, reduction: str = "mean") -> Any:
    var = np.maximum(var if np.ndim(var) == x.ndim else var[..., None], eps)
    constant = math.log(2 * math.pi) if full else 0.0
    return REDUCTIONS[reduction](0.5 * (np.log(var) + (x - target) ** 2 / var + constant))


def _poisson(x: Any, target: Any, log_input=True, full=False, *, eps: float = 1e-8, reduction: str = "mean") -> Any:
    losses = np.exp(x) - target * x if log_input else x - target * np.log(x + eps)
    if full:
        with np.errstate(all="ignore"):
            stirling = target * np.log(target) - target + 0.5 * np.log(2 * np.pi * target)
        losses = losses + np.where(target > 1, stirling, 0)
    return REDUCTIONS[reduction](losses)


def _hinge(x: Any, target: Any, *, margin: float = 1.0, reduction: str = "mean") -> Any:
    return REDUCTIONS[reduction](np.maximum(0, margin - target * x))


def _multi_margin(x: Any, target: Any, p=1, margin=1.0, weight=None, *, reduction: str = "mean") -> Any:
    if x.ndim == 1:
        return REDUCTIONS[reduction](_multi_margin(x[None], target[None], p, margin, weight, reduction="none")[0])
    losses = np.zeros(len(x))
    for row, (scores, t) in enumerate(zip(x, target, strict=True)):
        others = [max(0.0, margin - scores[t] + s) ** p for i, s in enumerate(scores) if i != t]
        losses[row] = sum(others) * (1 if weight is None else weight[t]) / len(scores)
    return REDUCTIONS[reduction](losses)


def _distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False) -> Any:
    return np.sum(np.abs(x1 - x2 + eps) ** p, -1, keepdims=keepdims) ** (1 / p)


def _triplet(a: Any, b: Any, c: Any, *, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction: str = "mean") -> Any:
    far = _distance(a, c, p, eps)
    if swap:
        far = np.minimum(far, _distance(b, c, p, eps))
    return REDUCTIONS[reduction](np.maximum(0, margin + _distance(a, b, p, eps) - far))


def _bilinear(x1: Any, x2: Any, weight: Any, bias: Any = 0.0) -> Any:
    return np.einsum("...i,kij,...j->...k", x1, weight, x2) + bias


LOSSES: dict[str, Any] = {
    "gaussian_nll_loss": _gaussian,
    "poisson_nll_loss": _poisson,
    "hinge_loss": _hinge,
    "multi_margin_loss": _multi_margin,
    "pairwise_distance": _distance,
    "triplet_margin_loss": _triplet,
    "bilinear": _bilinear,
}
