"""Cross-entropy and the likelihood of classes; names, arguments and defaults are PyTorch's, derivatives right."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from hograd.backend import is_array
from hograd.core import fast
from hograd.core.batching import in_front, shift
from hograd.core.declare import case, general, operation
from hograd.core.dispatch import apply, bare, promote, wrap
from hograd.core.primitive import kernels, ops, register
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, IndexingError, ShapeError
from hograd.ops.axes import tensor_of
from hograd.ops.checked import checked
from hograd.ops.losses import reduced
from hograd.ops.stable import shifted

__all__ = ["cross_entropy", "nll_loss"]


def _cross_entropy_kernel(a: Any, b: Any, axis: int) -> Any:
    # A class without weight may have the logit -inf.
    return -np.add.reduce(np.where(b == 0, 0, b * kernels.log_softmax(a, axis)), axis=axis)


def _pull_logits(F: Any, g: Any, a: Any, b: Any, axis: int) -> Any:
    return F.expand_dims(g, axis) * (F.softmax(a, axis) * F.sum(b, axis, True) - b)


def _pull_weights(F: Any, g: Any, a: Any, axis: int) -> Any:
    return -F.expand_dims(g, axis) * F.log_softmax(a, axis)


def _push(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    a, b = values[1:]
    axis = params["axis"]
    tangent = None
    if tangents[0] is not None:
        tangent = F.sum((F.softmax(a, axis) * F.sum(b, axis, True) - b) * tangents[0], axis)
    if tangents[1] is not None:
        term = -F.sum(F.log_softmax(a, axis) * tangents[1], axis)
        tangent = term if tangent is None else tangent + term
    return tangent


#: -sum_c b_c log_softmax(a)_c: one node, whose backward pass is softmax(a) sum_c b_c - b.
_softmax_cross_entropy = general(
    "softmax_cross_entropy",
    _cross_entropy_kernel,
    [_pull_logits, _pull_weights],
    jvp=_push,
    batch=shift("axis"),
    arguments="a b",
)


@functools.lru_cache(64)
def _few_numbers(count: int) -> Any:
    return np.arange(count)


def _numbers(count: int, b: Any) -> Any:
    """0, 1, ... count - 1, where the array b lies."""
    if isinstance(b, (np.ndarray, np.generic)):
        return _few_numbers(count) if count <= 4096 else np.arange(count)
    return np.arange(count, like=b)


def _indicator_kernel(b: Any, axis: int, classes: int) -> Any:
    ladder = _numbers(classes, b)
    return np.expand_dims(b, axis) == ladder.reshape((classes,) + (1,) * (b.ndim - axis))


#: True at the class of each target, along a new axis of classes.
_indicator = general("indicator", _indicator_kernel, None, batch=shift("axis"), arguments="b")
register(
    "indicator",
    lambda b, axis, classes: wrap(apply(_indicator, (b,), {"axis": axis, "classes": classes})),
    _indicator_kernel,
)


def _flat_places(b: Any, classes: int) -> Any:
    """Where the targets stand in a matrix of rows of classes, as one index, which is faster than two."""
    return _numbers(len(b), b) * classes + b


def _class_kernel(a: Any, b: Any, axis: int) -> Any:
    z = shifted(a, axis)
    normalizer = np.log(kernels.sum(np.exp(z), axis))
    if a.ndim == 1:
        return normalizer - z[b]
    if a.ndim == 2 and axis == 1:
        return normalizer - z.reshape(-1)[_flat_places(b, z.shape[1])]
    return normalizer - np.take_along_axis(z, np.expand_dims(b, axis), axis).squeeze(axis)


def _pull_class(F: Any, g: Any, a: Any, b: Any, axis: int) -> Any:
    return F.expand_dims(g, axis) * (F.softmax(a, axis) - F.indicator(b, axis, a.shape[axis]))


def _push_class(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    a, b = values[1:]
    axis = params["axis"]
    return F.sum((F.softmax(a, axis) - F.indicator(b, axis, a.shape[axis])) * tangents[0], axis)


def _without_target(F: Any, a: Any, b: Any, axis: int) -> Any:
    """softmax(a) minus the indicator of b, in a new array."""
    p = F.softmax(a, axis)
    if a.ndim == 2 and axis == 1 and p.flags.c_contiguous:
        p.reshape(-1)[_flat_places(b, p.shape[1])] -= 1
    else:
        place = np.expand_dims(b, axis)
        np.put_along_axis(p, place, np.take_along_axis(p, place, axis) - 1, axis)
    return p


def _pull_class_fused(F: Any, g: Any, a: Any, b: Any, axis: int) -> Any:
    p = _without_target(F, a, b, axis)
    p *= g[(slice(None),) * axis + (None,)]
    return p


#: -log_softmax(a)_b of classes b: one node, whose backward pass is softmax(a) minus the indicator of b.
_class_cross_entropy = general(
    "class_cross_entropy",
    _class_kernel,
    [_pull_class, None],
    jvp=_push_class,
    batch=shift("axis"),
    arguments="a b",
    fused=[_pull_class_fused, None],
)


def _total_kernel(a: Any, b: Any, axis: int, count: int) -> Any:
    return np.add.reduce(_class_kernel(a, b, axis), axis=None) / count


def _pull_total(F: Any, g: Any, a: Any, b: Any, axis: int, count: int) -> Any:
    return (F.softmax(a, axis) - F.indicator(b, axis, a.shape[axis])) * (g / count)


def _pull_total_fused(F: Any, g: Any, a: Any, b: Any, axis: int, count: int) -> Any:
    p = _without_target(F, a, b, axis)
    p *= g / count
    return p


def _push_total(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    return F.sum(_push_class(F, tangents, values, params)) / params["count"]


def _batch_total(primitive: Any, size: int, values: Any, batched: Any, params: Any) -> Any:
    shifted_values = [in_front(v, m, size) for v, m in zip(values, batched, strict=True)]
    losses = wrap(apply(_class_cross_entropy, shifted_values, {"axis": params["axis"] + 1}))
    if losses.ndim > 1:
        losses = ops.sum(losses, tuple(range(1, losses.ndim)))
    return bare(losses / params["count"])


#: The sum of these over all targets, divided by a count.
_total_cross_entropy = fast.several(
    general(
        "total_cross_entropy",
        _total_kernel,
        [_pull_total, None],
        jvp=_push_total,
        batch=_batch_total,
        arguments="a b",
        fused=[_pull_total_fused, None],
    )
)


def _classes(s: Any) -> list[Any]:
    five = np.array([0, 2, 1, 1, 0])
    return [
        case(s.normal(5, 3), five),
        case(s.normal(5, 3), five, reduction="none"),
        case(s.normal(4), np.array(2)),
        case(s.normal(2, 3, 4), np.array([[0, 1, 2, 2], [1, 1, 0, 2]]), reduction="sum"),
        case(s.normal(5, 3), s.simplex(5, 3)),
        case(s.normal(5, 3), five, s.positive(3)),
        case(s.normal(5, 3), five, s.positive(3), ignore_index=1, label_smoothing=0.2),
        case(s.normal(5, 3), s.simplex(5, 3), s.positive(3), label_smoothing=0.2),
    ]


@operation(None, _classes)
def cross_entropy(
    logits: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Negative log-likelihood of classes under  softmax(logits).

    -w_t log_softmax(logits)_t  for a class t;  -sum_c w_c p_c log_softmax(logits)_c  for probabilities p.

    Args:
        logits: floating tensor of shape (n, classes), (classes,) or (n, classes, ...), as in PyTorch (`input`).
        target: integer classes in [0, classes), of the shape of `logits` without the class axis; or probabilities,
            floating, of the shape of `logits`.
        weight: of each class, shape (classes,); default 1.
        ignore_index: the target that counts nothing.
        reduction: "mean" over all targets, by their weights if they are classes; "sum" or "none".
        label_smoothing: in [0, 1]; this much of each target is spread over all classes equally.

    Raises:
        ShapeError: the shapes do not fit. IndexingError: a class is out of range.

    >>> import hograd as ho
    >>> ho.cross_entropy(ho.tensor([[0.0, 0.0], [0.0, 10.0]]), ho.tensor([1, 1]))
    tensor(0.3466)
    """
    logits, target = tensor_of(logits, "cross_entropy"), tensor_of(target, "cross_entropy")
    if logits.dtype.kind != "f":
        raise DtypeError(f"cross_entropy: logits have dtype {logits.dtype}, expected a floating dtype.")
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"cross_entropy got label_smoothing={label_smoothing}, expected a number from 0 to 1.")
    axis = _class_axis(logits, "cross_entropy", "logits")
    classes = logits.shape[axis]
    if target.dtype.kind == "f":
        if target.shape != logits.shape:
            raise ShapeError(
                f"cross_entropy: target probabilities have shape {tuple(target.shape)}, expected that of logits, "
                f"{tuple(logits.shape)}."
            )
        shares, counts = target, None
    else:
        target, ignored = check_classes(target, logits.shape, axis, ignore_index, "cross_entropy")
        if weight is None and not label_smoothing and not ignored:
            count = math.prod(target.shape) if reduction == "mean" else 1
            if count and reduction in ("mean", "sum"):
                return _total_cross_entropy(logits, target, axis=axis, count=count)
            losses = wrap(apply(_class_cross_entropy, (logits, target), {"axis": axis}))
            return reduced(losses, reduction, "cross_entropy")
        shares = ops.astype(ops.indicator(target, axis, classes), logits.dtype)
        counts = ops.astype(ops.ne(target, ignore_index), logits.dtype) if ignored else None
    if label_smoothing:
        shares = shares * (1 - label_smoothing) + label_smoothing / classes
    if counts is not None:
        shares = shares * ops.expand_dims(counts, axis)
    if weight is not None:
        weight = class_weights(weight, classes, "cross_entropy")
        shares = shares * _upright(weight, logits.ndim, axis)
        if target.dtype.kind != "f":
            counts = _weight_of(weight, target, counts)
    logits, shares = promote("cross_entropy", logits, shares)
    losses = wrap(apply(_softmax_cross_entropy, (logits, shares), {"axis": axis}))
    if reduction == "mean" and counts is not None:
        return _weighted_mean(losses, counts)
    return reduced(losses, reduction, "cross_entropy")


def _class_axis(x: Any, name: str, called: str) -> int:
    if not x.ndim:
        raise ShapeError(f"{name}: {called} have shape (), expected an axis of classes.")
    return 0 if x.ndim == 1 else 1


def _upright(row: Tensor, rank: int, axis: int) -> Tensor:
    """One number a class, along the axis of the classes."""
    return ops.reshape(row, tuple(-1 if i == axis else 1 for i in range(rank)))


def class_weights(weight: Any, classes: int, name: str) -> Tensor:
    """The weights of classes as a tensor, one for each."""
    weight = tensor_of(weight, name)
    if weight.shape != (classes,):
        raise ShapeError(f"{name}: weight has shape {tuple(weight.shape)}, expected ({classes},), one for each class.")
    return weight


def _weight_of(weight: Tensor, target: Any, counts: Any) -> Tensor:
    """The weight of each target, 0 where it is ignored."""
    if counts is None:
        return weight[target]
    return weight[ops.where(ops.ne(counts, 0), target, 0)] * counts


def _weighted_mean(losses: Any, counts: Any) -> Any:
    """nan where nothing counts, with derivatives of 0."""
    total = ops.sum(counts)
    nothing = ops.eq(total, 0)
    return ops.where(nothing, np.nan, ops.sum(losses) / ops.where(nothing, 1.0, total))


_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def check_classes(target: Any, shape: Any, axis: int, ignore_index: int | None, name: str) -> tuple[Tensor, bool]:
    """The targets, and whether one is ignored; raises where one is no class, and is not `ignore_index`."""
    expected = tuple(shape[:axis] + shape[axis + 1 :])
    if target.shape != expected:
        raise ShapeError(
            f"{name}: target classes have shape {tuple(target.shape)}, expected {expected} for logits of "
            f"shape {tuple(shape)}."
        )
    if target.dtype.kind not in "iu":
        raise DtypeError(f"{name}: target has dtype {target.dtype}, expected integer classes or probabilities.")
    classes = shape[axis]

    def look(array: Any) -> bool:
        """Whether a target is ignored; raises where one is no class."""
        if ignore_index is None or not 0 <= ignore_index < classes:
            # Seen as unsigned, a negative class is larger than any that there is.
            unsigned = array if array.dtype.kind == "u" else array.view(_UNSIGNED[array.dtype.itemsize])
            if not array.size or int(np.maximum.reduce(unsigned, axis=None)) < classes:
                return False
        named = array if ignore_index is None else array[array != ignore_index]
        if named.size and not (named.min() >= 0 and named.max() < classes):
            wrong = named.min() if named.min() < 0 else named.max()
            raise IndexingError(f"{name}: target class {wrong} is out of range, expected 0 to {classes - 1}.")
        return bool(named.size < array.size)

    value: Any = target
    while isinstance(value, Tensor):
        value = value.value
    if is_array(value):
        return target, look(value)
    # While a function is compiled there is nothing to look at: any target may be one that is ignored. The numbers that
    # stand there for those to come say nothing.
    allowed = 0, classes - 1, 0 if ignore_index is None else ignore_index
    return checked(target, look, allowed), ignore_index is not None


@operation(
    None,
    lambda s: [
        case(s.normal(5, 3), np.array([0, 2, 1, 1, 0])),
        case(s.normal(5, 3), np.array([0, 2, 1, 1, 0]), s.positive(3), ignore_index=1),
        case(s.normal(4), np.array(2), reduction="sum"),
        case(s.normal(2, 3, 4), np.array([[0, 1, 2, 2], [1, 1, 0, 2]]), reduction="none"),
    ],
)
def nll_loss(x: Any, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> Tensor:
    """Negative log-likelihood  -w_t x_t  of classes t, given log-probabilities x.

    Args:
        x: floating tensor of shape (n, classes), (classes,) or (n, classes, ...) (`input`).
        target: integer classes, of the shape of `x` without the class axis.
        weight: of each class, shape (classes,); default 1.
        ignore_index: the target that counts nothing.
        reduction: "mean" weighted by the targets' weights, "sum" or "none".

    >>> import hograd as ho
    >>> ho.nll_loss(ho.tensor([[-1.0, -2.0], [-3.0, -4.0]]), ho.tensor([0, 1]))
    tensor(2.5000)
    """
    x, target = tensor_of(x, "nll_loss"), tensor_of(target, "nll_loss")
    axis = _class_axis(x, "nll_loss", "log-probabilities")
    target, ignored = check_classes(target, x.shape, axis, ignore_index, "nll_loss")
    counts = ops.astype(ops.ne(target, ignore_index), x.dtype) if ignored else None
    safe = target if counts is None else ops.where(ops.ne(counts, 0), target, 0)
    picked = ops.squeeze(ops.take_along_axis(x, ops.expand_dims(safe, axis), axis), axis)
    if weight is not None:
        counts = _weight_of(class_weights(weight, x.shape[axis], "nll_loss"), target, counts)
    if counts is None:
        return reduced(-picked, reduction, "nll_loss")
    # A target that is ignored may have the log-probability -inf.
    losses = -ops.where(ops.ne(target, ignore_index), picked, 0.0) * counts
    if reduction == "mean":
        return _weighted_mean(losses, counts)
    return reduced(losses, reduction, "nll_loss")
