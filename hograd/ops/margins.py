"""Losses of two classes, of margins and of angles; names, arguments and defaults are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.declare import case, operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import common_shape, tensor_of
from hograd.ops.cross_entropy import check_classes, class_weights
from hograd.ops.losses import alike, reduced

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cosine_similarity",
    "hinge_embedding_loss",
    "hinge_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "pairwise_distance",
    "soft_margin_loss",
    "triplet_margin_loss",
]

#: The logarithm below which a probability counts as this one, as in PyTorch.
_LEAST_LOG = -100.0


def _log_of_probability(p: Any) -> Any:
    lost = ops.lt(p, np.exp(_LEAST_LOG))
    return ops.where(lost, _LEAST_LOG, ops.log(ops.where(lost, 1.0, p)))


@operation(
    None,
    lambda s: [
        case(s.simplex(3, 4), s.simplex(3, 4)),
        case(s.simplex(3, 4), s.simplex(3, 4), s.positive(4), reduction="none"),
    ],
)
def binary_cross_entropy(x: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Tensor:
    """-w (t ln x + (1 - t) ln(1 - x))  for probabilities x.

    Args:
        x: probabilities in [0, 1] (`input`).
        target: t in [0, 1], of the shape of `x`.
        weight: w, broadcast against `x`; default 1.
        reduction: "mean" over all elements, "sum" or "none".

    The logarithms are at least -100, as in PyTorch, and have the derivative 0 where they are cut off (there PyTorch
    gives -t / 1e-12). Prefer `binary_cross_entropy_with_logits`, which needs no limit.

    >>> import hograd as ho
    >>> ho.binary_cross_entropy(ho.tensor([0.5, 0.2]), ho.tensor([1.0, 0.0]), reduction="none")
    tensor([0.6931, 0.2231])
    """
    x, target = alike(x, target, "binary_cross_entropy")
    losses = -(target * _log_of_probability(x) + (1 - target) * _log_of_probability(1 - x))
    return reduced(_weighted(losses, weight), reduction, "binary_cross_entropy")


def _weighted(losses: Any, weight: Any) -> Any:
    return losses if weight is None else losses * tensor_of(weight, "weight")


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4) * 5, s.simplex(3, 4)),
        case(s.normal(3, 4), s.simplex(3, 4), s.positive(4), reduction="none"),
        case(s.normal(3, 4), s.simplex(3, 4), pos_weight=2.5, reduction="sum"),
    ],
)
def binary_cross_entropy_with_logits(
    x: Any, target: Any, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
) -> Tensor:
    """-w (q t ln sigmoid(x) + (1 - t) ln(1 - sigmoid(x))),  stable for large |x|.

    Args:
        x: logits (`input`).
        target: t in [0, 1], of the shape of `x`.
        weight: w, broadcast against `x`; default 1.
        reduction: "mean" over all elements, "sum" or "none".
        pos_weight: q, the weight of positive examples, broadcast against `x`; default 1.

    >>> import hograd as ho
    >>> ho.binary_cross_entropy_with_logits(ho.tensor([0.0, -80.0]), ho.tensor([1.0, 1.0]), reduction="none")
    tensor([ 0.6931, 80.0000])
    """
    x, target = alike(x, target, "binary_cross_entropy_with_logits")
    minus_log = ops.softplus(-x)
    if pos_weight is not None:
        minus_log = minus_log * (1 + (tensor_of(pos_weight, "pos_weight") - 1) * target)
    return reduced(_weighted((1 - target) * x + minus_log, weight), reduction, "binary_cross_entropy_with_logits")


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), np.sign(s.away_from_zero(3, 4)).astype(int)),
        case(s.normal(5), np.array([1, -1, 1, -1, -1]), margin=0.5, reduction="none"),
    ],
)
def hinge_embedding_loss(x: Any, target: Any, *, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """x  where the target is 1,  max(0, margin - x)  where it is -1; its derivative at the margin is -1.

    Args:
        x: distances (`input`).
        target: 1 or -1, of the shape of `x`.
        margin: number.
        reduction: "mean" over all elements, "sum" or "none".

    >>> import hograd as ho
    >>> ho.hinge_embedding_loss(ho.tensor([0.3, 0.3]), ho.tensor([1, -1]), reduction="none")
    tensor([0.3000, 0.7000])
    """
    x, target = alike(x, target, "hinge_embedding_loss")
    # As in PyTorch, another target gets both terms.
    near = ops.where(ops.ne(target, -1), x, 0.0)
    far = ops.where(ops.ne(target, 1), ops.clip(margin - x, 0), 0.0)
    return reduced(near + far, reduction, "hinge_embedding_loss")


@operation(
    None,
    lambda s: [
        case(s.normal(5), s.normal(5), np.array([1, -1, 1, -1, -1])),
        case(s.normal(3, 4), s.normal(3, 4), np.array(1), margin=0.5, reduction="none"),
    ],
)
def margin_ranking_loss(x1: Any, x2: Any, target: Any, *, margin: float = 0.0, reduction: str = "mean") -> Tensor:
    """max(0, margin - t (x1 - x2)):  x1 shall be larger where t is 1, x2 where it is -1.

    Args:
        x1, x2: floating tensors (`input1`, `input2`), broadcast against `target`.
        target: t, 1 or -1.
        margin: number.
        reduction: "mean" over all elements, "sum" or "none".

    >>> import hograd as ho
    >>> ho.margin_ranking_loss(ho.tensor([1.0, 2.0]), ho.tensor([3.0, 1.0]), ho.tensor([1, 1]), reduction="none")
    tensor([2., 0.])
    """
    x1, x2, target = (tensor_of(x, "margin_ranking_loss") for x in (x1, x2, target))
    return reduced(ops.clip(margin - target * (x1 - x2), 0), reduction, "margin_ranking_loss")


@operation(None, lambda s: [case(s.normal(3, 4), np.sign(s.away_from_zero(3, 4)).astype(int))])
def soft_margin_loss(x: Any, target: Any, *, reduction: str = "mean") -> Tensor:
    """ln(1 + e**(-t x)),  stable for large |x|.

    Args:
        x: floating tensor (`input`).
        target: t, 1 or -1, of the shape of `x`.
        reduction: "mean" over all elements, "sum" or "none".

    >>> import hograd as ho
    >>> ho.soft_margin_loss(ho.tensor([0.0, 80.0]), ho.tensor([1, -1]), reduction="none")
    tensor([ 0.6931, 80.0000])
    """
    x, target = alike(x, target, "soft_margin_loss")
    return reduced(ops.softplus(-target * x), reduction, "soft_margin_loss")


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), s.normal(3, 4)),
        case(s.normal(3, 4), s.normal(4), dim=-1),
        case(s.normal(1, 2, 3), s.normal(2, 1, 3), dim=-2),
        case(s.normal(4), s.normal(4), axis=0),
    ],
)
def cosine_similarity(x1: Any, x2: Any, axis: int = 1, eps: float = 1e-8) -> Tensor:
    """Cosine of the angle between vectors,  <x1, x2> / (max(|x1|, eps) max(|x2|, eps)).

    Args:
        x1, x2: floating tensors, broadcast against each other.
        axis: the axis of the vectors (`dim`).
        eps: least norm; at a zero vector the derivatives are those of  <x1, x2> / (eps |x2|).

    >>> import hograd as ho
    >>> ho.cosine_similarity(ho.tensor([[3.0, 4.0]]), ho.tensor([[1.0, 0.0]]))
    tensor([0.6000])
    """
    x1, x2 = tensor_of(x1, "cosine_similarity"), tensor_of(x2, "cosine_similarity")
    if x1.shape != x2.shape:
        shape = common_shape("cosine_similarity", x1, x2)
        x1, x2 = ops.broadcast_to(x1, shape), ops.broadcast_to(x2, shape)
    return ops.sum(_unit(x1, axis, eps) * _unit(x2, axis, eps), axis)


def _unit(x: Any, axis: int, eps: float) -> Any:
    """Vectors of length 1; short ones only divided by the least norm."""
    length = ops.norm(x, 2, axis, True)
    return x / ops.where(ops.lt(length, eps), eps, length)


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), s.normal(3, 4), np.array([1, -1, 1])),
        case(s.normal(4), s.normal(4), np.array(1), margin=0.2, reduction="sum"),
    ],
)
def cosine_embedding_loss(x1: Any, x2: Any, target: Any, *, margin: float = 0.0, reduction: str = "mean") -> Tensor:
    """1 - cos(x1, x2)  where the target is 1,  max(0, cos(x1, x2) - margin)  where it is -1.

    As in PyTorch, 1e-12 is added to the squared length of each vector, so that the derivatives at 0 are finite.

    Args:
        x1, x2: shape (n, d) or (d,) (`input1`, `input2`).
        target: 1 or -1, shape (n,) or ().
        margin: in [-1, 1].
        reduction: "mean" over all pairs, "sum" or "none".

    >>> import hograd as ho
    >>> ho.cosine_embedding_loss(ho.tensor([[3.0, 4.0]]), ho.tensor([[1.0, 0.0]]), ho.tensor([1]))
    tensor(0.4000)
    """
    x1, x2, target = (tensor_of(x, "cosine_embedding_loss") for x in (x1, x2, target))
    if x1.shape != x2.shape or x1.shape[:-1] != target.shape or not 1 <= x1.ndim <= 2:
        raise ShapeError(
            f"cosine_embedding_loss: x1, x2 and target have shapes {tuple(x1.shape)}, {tuple(x2.shape)} and "
            f"{tuple(target.shape)}, expected (n, d), (n, d) and (n,), or these without n."
        )
    squares = (ops.sum(ops.square(x1), -1) + 1e-12) * (ops.sum(ops.square(x2), -1) + 1e-12)
    cosine = ops.sum(x1 * x2, -1) / ops.sqrt(squares)
    losses = ops.where(ops.eq(target, 1), 1 - cosine, 0.0) + ops.where(
        ops.eq(target, -1), ops.clip(cosine - margin, 0), 0.0
    )
    return reduced(losses, reduction, "cosine_embedding_loss")


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), np.sign(s.away_from_zero(3, 4)).astype(int)),
        case(s.normal(5), np.array([1, -1, 1, -1, -1]), margin=0.5, reduction="none"),
    ],
)
def hinge_loss(x: Any, target: Any, *, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """max(0, margin - t x), the loss of support vector machines; its derivative at the margin is -t.

    PyTorch has it only for distances, as `hinge_embedding_loss`, and for several classes, as `multi_margin_loss`.

    Args:
        x: scores, whose sign is the answer (`input`).
        target: t, 1 or -1, of the shape of `x`.
        margin: number.
        reduction: "mean" over all elements, "sum" or "none".

    >>> import hograd as ho
    >>> ho.hinge_loss(ho.tensor([0.3, 0.3, 2.0]), ho.tensor([1, -1, 1]), reduction="none")
    tensor([0.7000, 1.3000, 0.0000])
    """
    x, target = alike(x, target, "hinge_loss")
    return reduced(ops.clip(margin - target * x, 0), reduction, "hinge_loss")


@operation(
    None,
    lambda s: [
        case(s.normal(5, 3), np.array([0, 2, 1, 1, 0])),
        case(s.normal(5, 3), np.array([0, 2, 1, 1, 0]), 2, 0.7, s.positive(3), reduction="sum"),
        case(s.normal(4), np.array(2), reduction="none"),
    ],
)
def multi_margin_loss(
    x: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, *, reduction: str = "mean"
) -> Tensor:
    """sum_{i != t} w_t max(0, margin - x_t + x_i)**p / classes: the score of the class t shall lead by the margin.

    Args:
        x: scores, shape (n, classes) or (classes,) (`input`).
        target: integer classes t, shape (n,) or ().
        p: 1 or 2.
        margin: number.
        weight: of each class, shape (classes,); default 1.
        reduction: "mean" over the examples, "sum" or "none".

    With p = 1 the derivative at the margin is 0.

    >>> import hograd as ho
    >>> ho.multi_margin_loss(ho.tensor([[0.1, 0.2, 0.4, 0.8]]), ho.tensor([3]))
    tensor(0.3250)
    """
    x, target = tensor_of(x, "multi_margin_loss"), tensor_of(target, "multi_margin_loss")
    if not x.ndim:
        x = ops.reshape(x, (1,))
    if x.ndim > 2:
        raise ShapeError(f"multi_margin_loss: x has shape {tuple(x.shape)}, expected (n, classes) or (classes,).")
    if p not in (1, 2):
        raise ArgumentError(f"multi_margin_loss got p={p}, expected 1 or 2.")
    axis, classes = x.ndim - 1, x.shape[-1]
    if x.ndim == 1 and target.shape == (1,):
        target = ops.reshape(target, ())
    target, _ = check_classes(target, x.shape, axis, None, "multi_margin_loss")
    own = ops.take_along_axis(x, ops.expand_dims(target, axis), axis)
    behind = ops.where(ops.indicator(target, axis, classes), 0.0, ops.relu(margin - own + x))
    losses = ops.sum(behind if p == 1 else ops.square(behind), axis) / classes
    if weight is not None:
        losses = losses * class_weights(weight, classes, "multi_margin_loss")[target]
    return reduced(losses, reduction, "multi_margin_loss")


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), s.normal(3, 4)),
        case(s.normal(2, 1, 4), s.normal(3, 4), 3.0, keepdim=True),
    ],
)
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False) -> Tensor:
    """|x1 - x2 + eps|_p  along the last axis.

    Args:
        x1, x2: shape (..., d), broadcast against each other.
        p: order of the norm.
        eps: added to each difference, as in PyTorch.
        keepdims: keep the last axis with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.pairwise_distance(ho.tensor([[3.0, 4.0]]), ho.tensor([[0.0, 0.0]]))
    tensor([5.0000])
    """
    x1, x2 = tensor_of(x1, "pairwise_distance"), tensor_of(x2, "pairwise_distance")
    return ops.linalg_vector_norm(x1 - x2 + eps, p, -1, keepdims)


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), s.normal(3, 4), s.normal(3, 4)),
        case(s.normal(3, 4), s.normal(3, 4), s.normal(3, 4), margin=2.0, p=3.0, swap=True, reduction="none"),
        case(s.normal(4), s.normal(4), s.normal(4), margin=3.0, reduction="sum"),
    ],
)
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + d(a, p) - d(a, n)): the positive shall lie closer to the anchor than the negative.

    Args:
        anchor, positive, negative: shape (n, d) or (d,); d is `pairwise_distance`.
        margin: number above 0.
        p, eps: of the distance.
        swap: take the distance from the positive to the negative, if that is less (Balntas et al., 2016).
        reduction: "mean" over all triplets, "sum" or "none".

    >>> import hograd as ho
    >>> ho.triplet_margin_loss(ho.zeros(1, 2), ho.tensor([[3.0, 4.0]]), ho.tensor([[0.0, 2.0]]))
    tensor(4.0000)
    """
    a, b, c = (tensor_of(x, "triplet_margin_loss") for x in (anchor, positive, negative))
    if not a.ndim == b.ndim == c.ndim:
        raise ShapeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {a.ndim}D, positive {b.ndim}D, and negative {c.ndim}D inputs."
        )
    if not margin > 0:
        raise ArgumentError(f"triplet_margin_loss got margin={margin}, expected a number above 0.")
    near, far = pairwise_distance(a, b, p, eps), pairwise_distance(a, c, p, eps)
    if swap:
        far = ops.minimum(far, pairwise_distance(b, c, p, eps))
    return reduced(ops.clip(margin + near - far, 0), reduction, "triplet_margin_loss")
