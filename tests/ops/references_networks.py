"""Losses, normalisations and layers, written down once more as formulas and loops."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy import special

from .references_images import IMAGES
from .references_labels import LABELS
from .references_losses import LOSSES, REDUCTIONS
from .references_pool import POOLS
from .references_resize import RESIZE


def _classified(log_p: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
    axis = 0 if log_p.ndim == 1 else 1
    weight = np.ones(log_p.shape[axis]) if weight is None else weight
    moved = np.moveaxis(log_p, axis, -1)
    losses, weights = np.zeros(target.shape), np.zeros(target.shape)
    for place in np.ndindex(target.shape):
        c = int(target[place])
        if c != ignore_index:
            losses[place], weights[place] = -weight[c] * moved[(*place, c)], weight[c]
    return np.sum(losses) / np.sum(weights) if reduction == "mean" else REDUCTIONS[reduction](losses)


def _cross_entropy(
    logits: Any, target: Any, weight: Any = None, *, ignore_index=-100, reduction="mean", label_smoothing=0.0
) -> Any:
    axis = 0 if logits.ndim == 1 else 1
    log_p = special.log_softmax(logits, axis)
    classes = logits.shape[axis]
    if target.dtype.kind != "f":
        sharp = _classified(log_p, target, weight, ignore_index, reduction)
        if not label_smoothing:
            return sharp
        # Only (n, classes), reduced to the mean.
        w = np.ones(classes) if weight is None else weight
        kept = target != ignore_index
        smooth = -np.sum((log_p * w)[kept]) / np.sum(w[target[kept]])
        return (1 - label_smoothing) * sharp + label_smoothing / classes * smooth
    w = np.ones(classes) if weight is None else weight
    target = target * (1 - label_smoothing) + label_smoothing / classes
    return REDUCTIONS[reduction](-np.sum(w * target * log_p, axis))


def _nll(x: Any, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> Any:
    return _classified(x, target, weight, ignore_index, reduction)


def _loss(formula: Any) -> Any:
    """A loss of two tensors, reduced."""

    def function(x: Any, target: Any, *, reduction: str = "mean", **options: Any) -> Any:
        return REDUCTIONS[reduction](formula(x, target, **options))

    return function


@np.vectorize
def _huber(d: float, delta: float) -> float:
    return d * d / 2 if abs(d) <= delta else delta * abs(d) - delta * delta / 2


def _kl_div(x: Any, target: Any, *, reduction: str = "mean", log_target: bool = False) -> Any:
    p = np.exp(target) if log_target else target
    losses = special.rel_entr(p, np.exp(x))
    return np.sum(losses) / len(x) if reduction == "batchmean" else REDUCTIONS[reduction](losses)


def _binary(p: Any, x: Any, t: Any, weight: Any, reduction: str, q: Any) -> Any:
    losses = -(q * t * np.log(p) + (1 - t) * np.log(1 - p)) * (1 if weight is None else weight)
    return REDUCTIONS[reduction](losses)


def _bce(x: Any, t: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    return _binary(x, x, t, weight, reduction, 1)


def _bce_logits(x: Any, t: Any, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = 1) -> Any:
    return _binary(1 / (1 + np.exp(-x)), x, t, weight, reduction, pos_weight)


def _hinge(x: Any, t: Any, *, margin: float = 1.0, reduction: str = "mean") -> Any:
    return REDUCTIONS[reduction](np.where(t == 1, x, np.maximum(0, margin - x)))


def _ranking(a: Any, b: Any, t: Any, *, margin: float = 0.0, reduction: str = "mean") -> Any:
    return REDUCTIONS[reduction](np.maximum(0, margin - t * (a - b)))


def _cosine(a: Any, b: Any, axis: int = 1) -> Any:
    a, b = np.broadcast_arrays(a, b)
    return np.sum(a * b, axis) / np.linalg.norm(a, axis=axis) / np.linalg.norm(b, axis=axis)


def _cosine_loss(a: Any, b: Any, t: Any, *, margin: float = 0.0, reduction: str = "mean") -> Any:
    cosine = _cosine(a, b, -1)
    return REDUCTIONS[reduction](np.where(t == 1, 1 - cosine, np.maximum(0, cosine - margin)))


def _scaled(x: Any, weight: Any, bias: Any, shape: Any) -> Any:
    x = x if weight is None else x * np.reshape(weight, shape)
    return x if bias is None else x + np.reshape(bias, shape)


def _standard(x: Any, axes: Any, eps: float) -> Any:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def _batch_norm(x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, training: bool = False) -> Any:
    shape = (-1, *(1,) * (x.ndim - 2))
    if training:
        y = _standard(x, (0, *range(2, x.ndim)), 1e-5)
    else:
        y = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + 1e-5)
    return _scaled(y, weight, bias, shape)


def _instance_norm(x, mean=None, var=None, weight=None, bias=None, use_input_stats=True) -> Any:
    if not use_input_stats:
        return _batch_norm(x, mean, var, weight, bias)
    return _scaled(_standard(x, tuple(range(2, x.ndim)), 1e-5), weight, bias, (-1, *(1,) * (x.ndim - 2)))


def _layer_norm(x: Any, shape: Any, weight: Any = None, bias: Any = None) -> Any:
    return _scaled(_standard(x, tuple(range(-len(shape), 0)), 1e-5), weight, bias, shape)


def _rms_norm(x: Any, shape: Any, weight: Any = None, eps: float = np.finfo(float).eps) -> Any:
    axes = tuple(range(-len(shape), 0))
    return _scaled(x / np.sqrt(np.mean(x * x, axes, keepdims=True) + eps), weight, None, shape)


def _group_norm(x: Any, groups: int, weight: Any = None, bias: Any = None) -> Any:
    parts = [_standard(part, tuple(range(1, x.ndim)), 1e-5) for part in np.split(x, groups, 1)]
    return _scaled(np.concatenate(parts, 1), weight, bias, (-1, *(1,) * (x.ndim - 2)))


def _normalize(x: Any, p: float = 2.0, axis: int = 1) -> Any:
    return x / np.sum(np.abs(x) ** p, axis, keepdims=True) ** (1 / p)


def _linear(x: Any, weight: Any, bias: Any = 0.0) -> Any:
    return np.einsum("...i,oi->...o", x, weight) + bias


def _attention(q: Any, k: Any, v: Any, mask: Any = 0.0, is_causal: bool = False, scale: Any = None) -> Any:
    scores = q @ np.swapaxes(k, -1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        mask = np.tri(q.shape[-2], k.shape[-2]) > 0
    if np.asarray(mask).dtype == bool:
        mask = np.where(mask, 0.0, -np.inf)
    return special.softmax(scores + mask, -1) @ v


def _conv(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Any:
    rank = weight.ndim - 2
    if x.ndim == rank + 1:
        return _conv(x[None], weight, bias, stride, padding, dilation, groups)[0]
    stride, dilation = np.broadcast_to(stride, rank), np.broadcast_to(dilation, rank)
    kernel = weight.shape[2:]
    if padding == "same":
        pads = [(d * (k - 1) // 2, d * (k - 1) - d * (k - 1) // 2) for d, k in zip(dilation, kernel, strict=True)]
    else:
        pads = [(int(p), int(p)) for p in np.broadcast_to(padding, rank)]
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    per_in, per_out = weight.shape[1], weight.shape[0] // groups
    count = [(n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip(x.shape[2:], dilation, kernel, stride, strict=True)]
    y = np.zeros((len(x), len(weight), *count))
    for o, *place in np.ndindex(len(weight), *count):
        first = o // per_out * per_in
        for k in itertools.product(*map(range, kernel)):
            at = tuple(p * s + i * d for p, s, i, d in zip(place, stride, k, dilation, strict=True))
            part = x[(slice(None), slice(first, first + per_in), *at)]
            y[(slice(None), o, *place)] += part @ weight[(o, slice(None), *k)]
    return y if bias is None else y + np.reshape(bias, (-1, *(1,) * rank))


def _conv_transpose(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1) -> Any:
    rank = weight.ndim - 2
    if x.ndim == rank + 1:
        return _conv_transpose(x[None], weight, bias, stride, padding, output_padding, groups, dilation)[0]
    stride, padding, more, dilation = (np.broadcast_to(v, rank) for v in (stride, padding, output_padding, dilation))
    kernel = weight.shape[2:]
    per_in, per_out = len(weight) // groups, weight.shape[1]
    lengths = zip(x.shape[2:], stride, dilation, kernel, more, strict=True)
    full = [(n - 1) * s + d * (k - 1) + 1 + m for n, s, d, k, m in lengths]
    y = np.zeros((len(x), per_out * groups, *full))
    for c, *place in np.ndindex(len(weight), *x.shape[2:]):
        first = c // per_in * per_out
        for k in itertools.product(*map(range, kernel)):
            at = tuple(p * s + i * d for p, s, i, d in zip(place, stride, k, dilation, strict=True))
            for o in range(per_out):
                y[(slice(None), first + o, *at)] += x[(slice(None), c, *place)] * weight[(c, o, *k)]
    y = y[(..., *(slice(p, n - p) for p, n in zip(padding, full, strict=True)))]
    return y if bias is None else y + np.reshape(bias, (-1, *(1,) * rank))


def _embedding_bag(
    x: Any,
    weight: Any,
    offsets: Any = None,
    *options: Any,
    mode: str = "mean",
    include_last_offset: bool = False,
    padding_idx: Any = None,
) -> Any:
    mode, factors = (options[3], options[5]) if options else (mode, np.ones(x.shape))
    ends = [] if offsets is None else [*offsets[1:], *([] if include_last_offset else [len(x)])]
    spans = [] if offsets is None else [slice(i, j) for i, j in zip(offsets, ends, strict=False)]
    bags = [(x[at], factors[at]) for at in (range(len(x)) if offsets is None else spans)]
    answers = []
    for numbers, shares in bags:
        kept = [(weight[i] * c) for i, c in zip(numbers, shares, strict=True) if i - len(weight) != padding_idx]
        answers.append(getattr(np, mode)(kept, axis=0) if kept else np.zeros(weight.shape[1]))
    return np.stack(answers)


NETWORKS: dict[str, Any] = {
    "cross_entropy": _cross_entropy,
    "nll_loss": _nll,
    "mse": _loss(lambda x, t: (x - t) ** 2),
    "l1_loss": _loss(lambda x, t: np.abs(x - t)),
    "huber_loss": _loss(lambda x, t, delta=1.0: _huber(x - t, delta)),
    "smooth_l1_loss": _loss(lambda x, t, beta=1.0: _huber(x - t, beta) / beta),
    "kl_div": _kl_div,
    "binary_cross_entropy": _bce,
    "binary_cross_entropy_with_logits": _bce_logits,
    "hinge_embedding_loss": _hinge,
    "margin_ranking_loss": _ranking,
    "soft_margin_loss": _loss(lambda x, t: np.log(1 + np.exp(-t * x))),
    "cosine_similarity": _cosine,
    "cosine_embedding_loss": _cosine_loss,
    "batch_norm": _batch_norm,
    "instance_norm": _instance_norm,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "normalize": _normalize,
    "linear": _linear,
    "embedding_bag": _embedding_bag,
    "embedding": lambda x, weight, padding_idx=None: weight[x],
    **dict.fromkeys(
        ["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"],
        # All of it or nothing: draws are in test_random.py.
        lambda x, p=0.5, training=True: x * float(not (training and p == 1)),
    ),
    "scaled_dot_product_attention": _attention,
    "conv1d": _conv,
    "conv2d": _conv,
    "conv3d": _conv,
    "conv_transpose1d": _conv_transpose,
    "conv_transpose2d": _conv_transpose,
    "conv_transpose3d": _conv_transpose,
    **IMAGES,
    **LABELS,
    **LOSSES,
    **POOLS,
    **RESIZE,
}
