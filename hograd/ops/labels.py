"""Losses of several labels at once, and of sequences of labels; names, arguments and defaults are PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.core.declare import case, operation
from hograd.core.dispatch import wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor, concrete
from hograd.errors import ArgumentError, DtypeError, IndexingError, ShapeError
from hograd.ops.axes import beside, tensor_of
from hograd.ops.checked import within
from hograd.ops.create import full_like, zeros
from hograd.ops.losses import alike, reduced

__all__ = ["ctc_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss"]

#: The logarithm of what cannot happen: finite, so that its derivatives are 0 and not nan.
_NEVER = -1e30


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), s.mask(3, 4).astype(float)),
        case(s.normal(2, 4), s.simplex(2, 4), s.positive(4), reduction="none"),
        case(s.normal(4), s.mask(4).astype(float), reduction="sum"),
    ],
)
def multilabel_soft_margin_loss(x: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Tensor:
    """-w (t ln sigmoid(x) + (1 - t) ln sigmoid(-x)),  the mean over the classes.

    Args:
        x: scores, shape (..., classes) (`input`).
        target: t, 1 or 0, of the shape of `x`.
        weight: w, broadcast against `x`; default 1.
        reduction: "mean" over all examples, "sum" or "none".

    >>> import hograd as ho
    >>> ho.multilabel_soft_margin_loss(ho.tensor([[0.0, 0.0, 9.0]]), ho.tensor([[1.0, 0.0, 1.0]]))
    tensor(0.4621)
    """
    x, target = alike(x, target, "multilabel_soft_margin_loss")
    losses = ops.softplus(-x) + (1 - target) * x
    if weight is not None:
        losses = losses * tensor_of(weight, "multilabel_soft_margin_loss")
    return reduced(ops.mean(losses, -1), reduction, "multilabel_soft_margin_loss")


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), np.array([[3, 0, -1, 1], [1, -1, -1, -1], [-1, 0, 1, 2]])),
        case(s.normal(4), np.array([1, 2, -1, 0]), reduction="sum"),
        case(s.normal(2, 3), np.array([[0, 1, 2], [2, 0, -1]]), reduction="none"),
    ],
)
def multilabel_margin_loss(x: Any, target: Any, *, reduction: str = "mean") -> Tensor:
    """sum_j sum_i max(0, 1 - x_j + x_i) / classes,  over labels j and all classes i that are none.

    Args:
        x: scores, shape (n, classes) or (classes,) (`input`).
        target: the labels of each example, and behind the last of them -1; of the shape of `x`.
        reduction: "mean" over all examples, "sum" or "none".

    The derivative at the margin is 0.

    >>> import hograd as ho
    >>> ho.multilabel_margin_loss(ho.tensor([0.1, 0.2, 0.4, 0.8]), ho.tensor([3, 0, -1, 1]))
    tensor(0.8500)
    """
    x, target = alike(x, target, "multilabel_margin_loss")
    if not x.ndim:
        x, target = ops.reshape(x, (1,)), ops.reshape(target, (1,))
    if x.ndim > 2 or not x.shape[-1]:
        raise ShapeError(f"multilabel_margin_loss: x has shape {tuple(x.shape)}, expected (n, classes) or (classes,).")
    classes = x.shape[-1]
    if target.dtype.kind not in "iu":
        raise DtypeError(f"multilabel_margin_loss: target has dtype {target.dtype}, expected integer classes.")
    target = within(
        target,
        -1,
        classes - 1,
        lambda least, largest: IndexingError(
            f"multilabel_margin_loss: target has classes from {least:g} to {largest:g}, expected -1 to {classes - 1}."
        ),
    )
    given = ops.eq(ops.cumsum(ops.astype(ops.lt(target, 0), np.int64), -1), 0)
    labels = ops.where(given, target, 0)
    own = ops.expand_dims(ops.take_along_axis(x, labels, x.ndim - 1), -1)
    numbers = beside(x, wrap(np.arange(classes)))
    is_label = ops.logical_and(ops.eq(ops.expand_dims(labels, -1), numbers), ops.expand_dims(given, -1))
    others = ops.logical_not(ops.any(is_label, -2, True))
    counts = ops.logical_and(ops.expand_dims(given, -1), others)
    terms = ops.where(counts, ops.relu(1 - own + ops.expand_dims(x, -2)), 0.0)
    return reduced(ops.sum(terms, (-2, -1)) / classes, reduction, "multilabel_margin_loss")


def _lengths(lengths: Any, like: Tensor, largest: int, what: str) -> Tensor:
    lengths, n = beside(like, tensor_of(lengths, "ctc_loss")), like.shape[1]
    if lengths.dtype.kind not in "iu" or tuple(lengths.shape) not in ((n,), () if n == 1 else (n,)):
        raise ShapeError(
            f"ctc_loss: {what} have dtype {lengths.dtype} and shape {tuple(lengths.shape)}, expected whole numbers of "
            f"shape ({n},)."
        )
    lengths = within(
        lengths,
        0,
        largest,
        lambda least, most: ArgumentError(f"ctc_loss: {what} are from {least:g} to {most:g}, expected 0 to {largest}."),
    )
    return ops.reshape(lengths, (n,))


def _padded(targets: Tensor, lengths: Any, n: int) -> Tensor:
    """Sequences that stand one behind the other, as rows."""
    counts = concrete(tensor_of(lengths, "ctc_loss"), "ctc_loss with all targets in one row").reshape(-1)
    if len(counts) != n or counts.sum() != targets.shape[0]:
        raise ShapeError(
            f"ctc_loss: {targets.shape[0]} targets in one row, expected as many as target_lengths add up to for {n} "
            f"sequences, {int(counts.sum())}."
        )
    starts = np.cumsum(counts) - counts
    places = starts[:, None] + np.arange(max(int(counts.max(initial=0)), 1))
    if not targets.shape[0]:
        return beside(targets, zeros(n, 1, dtype=np.int64))
    return targets[beside(targets, wrap(np.minimum(places, targets.shape[0] - 1)))]


@operation(
    None,
    lambda s: [
        case(
            ops.log_softmax(wrap(s.normal(5, 2, 4)), -1).value,
            np.array([[1, 2, 2], [3, 1, 1]]),
            (5, 4),
            (3, 2),
        ),
        case(ops.log_softmax(wrap(s.normal(4, 3)), -1).value, np.array([0, 1]), 4, 2, 2, reduction="sum"),
        case(ops.log_softmax(wrap(s.normal(4, 2, 3)), -1).value, np.array([[1], [2]]), np.array([4, 3]), (1, 0),
             reduction="none"),
    ],
)  # fmt: skip
def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-ln P(targets): over all alignments of labels and blanks with the inputs (Graves et al., 2006).

    An alignment names a class for every time; without repeats, and then without blanks, it is the sequence of targets.
    The sum over all of them runs forward in time, in logarithms, and has derivatives of every order. The gradient is
    that by `log_probs` as they are; PyTorch's holds only behind `log_softmax`, through which both agree.

    Args:
        log_probs: log-probabilities, shape (times, n, classes) or (times, classes).
        targets: integer classes, shape (n, s), or (s,) for one sequence or all of them one behind the other.
        input_lengths: how many times count of each sequence, shape (n,) or ().
        target_lengths: how many targets count, likewise.
        blank: the class of the blank.
        reduction: "mean" over the sequences of the loss by its target length, "sum" or "none".
        zero_infinity: 0 and not inf where the targets do not fit into the inputs.

    >>> import hograd as ho
    >>> halves = ho.full((2, 2), 0.5).log()
    >>> ho.ctc_loss(halves, ho.tensor([1]), 2, 1)  # 1 1, 0 1 and 1 0 of four alignments
    tensor(0.2877)
    """
    log_probs, targets = tensor_of(log_probs, "ctc_loss"), tensor_of(targets, "ctc_loss")
    single = log_probs.ndim == 2
    if single:
        log_probs = ops.expand_dims(log_probs, 1)
    if log_probs.ndim != 3 or log_probs.dtype.kind != "f" or not log_probs.shape[0]:
        raise ShapeError(
            f"ctc_loss: log_probs have dtype {log_probs.dtype} and shape {tuple(log_probs.shape)}, expected a floating "
            "dtype and (times, n, classes) or (times, classes)."
        )
    times, n, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise ArgumentError(f"ctc_loss: blank is {blank}, expected a class from 0 to {classes - 1}.")
    if targets.dtype.kind not in "iu" or not 1 <= targets.ndim <= 2:
        raise DtypeError(
            f"ctc_loss: targets are {targets.dtype} of shape {tuple(targets.shape)}, expected integer classes of shape "
            "(n, s) or (s,)."
        )
    if targets.ndim == 1:
        targets = ops.expand_dims(targets, 0) if single else _padded(targets, target_lengths, n)
    if targets.shape[0] != n:
        raise ShapeError(f"ctc_loss: targets have shape {tuple(targets.shape)}, expected ({n}, s).")
    if targets.shape[1] == 0:
        targets = beside(log_probs, zeros(n, 1, dtype=np.int64))
    targets = within(
        targets,
        0,
        classes - 1,
        lambda least, largest: IndexingError(
            f"ctc_loss: targets are from {least:g} to {largest:g}, expected 0 to {classes - 1}."
        ),
    )
    ends = _lengths(input_lengths, log_probs, times, "input_lengths")
    counts = _lengths(target_lengths, log_probs, targets.shape[1], "target_lengths")
    losses = -_alignments(ops.maximum(log_probs, _NEVER), targets, ends, counts, blank)
    losses = ops.where(ops.gt(losses, -0.5 * _NEVER), 0.0 if zero_infinity else math.inf, losses)
    if single:
        losses, counts = ops.reshape(losses, ()), ops.reshape(counts, ())
    return reduced(losses / ops.maximum(counts, 1) if reduction == "mean" else losses, reduction, "ctc_loss")


def _alignments(log_probs: Any, targets: Any, ends: Any, counts: Any, blank: int) -> Any:
    """ln P of each sequence. The states are a blank, the first label, a blank, the second label, and so on."""
    times, n, _ = log_probs.shape
    length = targets.shape[1]
    blanks = full_like(targets, blank)
    states = ops.reshape(ops.stack([blanks, targets], -1), (n, 2 * length))
    states = ops.concatenate([states, blanks[:, :1]], 1)
    said = ops.take_along_axis(log_probs, ops.broadcast_to(states, (times, n, 2 * length + 1)), 2)
    # From one label to the next without a blank between, if they differ.
    differ = ops.concatenate([ops.ne(states[:, :2], states[:, :2]), ops.ne(states[:, 2:], states[:, :-2])], 1)
    never = full_like(said[0, :, :2], _NEVER)
    begun = ops.concatenate([said[0, :, :2], full_like(said[0, :, 2:], _NEVER)], 1)
    reached = begun
    for t in range(1, times):
        from_last = ops.concatenate([never[:, :1], reached[:, :-1]], 1)
        from_label = ops.where(differ, ops.concatenate([never, reached[:, :-2]], 1), _NEVER)
        moved = ops.logsumexp(ops.stack([reached, from_last, from_label]), 0) + said[t]
        reached = ops.where(ops.expand_dims(ops.gt(ends, t), 1), moved, reached)
    last = ops.expand_dims(2 * ops.astype(counts, np.int64), 1)
    in_blank = ops.take_along_axis(reached, last, 1)
    in_label = ops.take_along_axis(reached, ops.maximum(last - 1, 0), 1)
    in_label = ops.where(ops.gt(last, 0), in_label, _NEVER)
    answer = ops.reshape(ops.logsumexp(ops.concatenate([in_blank, in_label], 1), 1), (n,))
    # Without any input only the empty sequence is possible.
    return ops.where(ops.gt(ends, 0), answer, ops.where(ops.eq(counts, 0), 0.0 * answer, _NEVER))
