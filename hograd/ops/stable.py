"""Functions that need care to be stable: softmax, and the losses built on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.batching import shift
from hograd.core.declare import case, composite, general, operation
from hograd.core.dispatch import apply, wrap
from hograd.core.primitive import kernels, ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, IndexingError, ShapeError
from hograd.ops.axes import axis_of, operand, tensor_of


def _shifted(x: Any, axis: int) -> Any:
    """x minus its maximum over the axis, or minus another number that is as good.

    Where all elements lie close together their common maximum serves every
    row, and NumPy finds it twenty times faster than those of many short rows.
    """
    if not x.size:
        return x
    largest = x.max()
    if float(largest) - float(x.min()) < 30:
        return x - largest
    return x - np.maximum.reduce(x, axis=axis, keepdims=True)


def _softmax_kernel(x: Any, axis: int) -> Any:
    e = np.exp(_shifted(x, axis))
    return e / kernels.sum(e, axis, True)


def _log_softmax_kernel(x: Any, axis: int) -> Any:
    z = _shifted(x, axis)
    return z - np.log(kernels.sum(np.exp(z), axis, True))


def _softmax_pull(F: Any, g: Any, y: Any, axis: int) -> Any:
    gy = g * y
    return gy - y * F.sum(gy, axis=axis, keepdims=True)


def _log_softmax_pull(F: Any, g: Any, y: Any, axis: int) -> Any:
    return g - F.exp(y) * F.sum(g, axis=axis, keepdims=True)


def _log_softmax_push(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    (t,) = tangents
    return t - F.sum(F.exp(values[0]) * t, axis=params["axis"], keepdims=True)


_softmax = general(
    "softmax",
    _softmax_kernel,
    [_softmax_pull],
    # The Jacobian is symmetric.
    jvp=lambda F, tangents, values, params: _softmax_pull(F, tangents[0], values[0], params["axis"]),
    batch=shift("axis"),
)
_log_softmax = general(
    "log_softmax", _log_softmax_kernel, [_log_softmax_pull], jvp=_log_softmax_push, batch=shift("axis")
)


def _logits(s: Any) -> list[Any]:
    return [
        case(s.normal(3, 4), 1),
        case(s.normal(3, 4), axis=0),
        case(s.normal(2, 3, 2), dim=1),
        case(s.normal(5) * 300, 0),
    ]


def _along(primitive: Any, x: Any, axis: int) -> Tensor:
    x = tensor_of(x, primitive.name)
    if x.dtype.kind != "f":
        raise DtypeError(f"{primitive.name}: x has dtype {x.dtype}, expected a floating dtype.")
    if x.ndim == 0:
        return ops.reshape(_along(primitive, ops.reshape(x, (1,)), 0), ())
    axis = axis_of(axis, x.ndim, primitive.name)
    return wrap(apply(primitive, (x,), {"axis": axis})) if x.shape[axis] else ops.clone(x)


@operation(_softmax_kernel, _logits)
def softmax(x: Any, axis: int = -1, *, dtype: Any = None) -> Tensor:
    """e**x / sum e**x  along one axis, stable for large |x|; nan where all are -inf, or one is inf.

    Args:
        x: floating tensor.
        axis: int (`dim`).
        dtype: convert to this dtype first.

    >>> import hograd as ho
    >>> ho.softmax(ho.tensor([0.0, 0.0, 1000.0]))
    tensor([0., 0., 1.])
    """
    return _along(_softmax, x if dtype is None else ops.astype(x, dtype), axis)


@operation(_log_softmax_kernel, _logits)
def log_softmax(x: Any, axis: int = -1, *, dtype: Any = None) -> Tensor:
    """x - ln sum e**x  along one axis, stable for large |x|.

    Args:
        x: floating tensor.
        axis: int (`dim`).
        dtype: convert to this dtype first.

    >>> import hograd as ho
    >>> ho.log_softmax(ho.tensor([0.0, 0.0]))
    tensor([-0.6931, -0.6931])
    """
    return _along(_log_softmax, x if dtype is None else ops.astype(x, dtype), axis)


def _reduced(F: Any, losses: Any, reduction: str, name: str) -> Any:
    if reduction == "mean":
        return F.mean(losses)
    if reduction == "sum":
        return F.sum(losses)
    if reduction == "none":
        return losses
    raise ArgumentError(f"{name} got reduction={reduction!r}, expected 'mean', 'sum' or 'none'.")


@operation(
    None,
    lambda s: [
        case(s.normal(5, 3), np.array([0, 2, 1, 1, 0])),
        case(s.normal(5, 3), np.array([0, 2, 1, 1, 0]), reduction="none"),
        case(s.normal(4), np.array(2)),
        case(s.normal(2, 3, 4), np.array([[0, 1, 2, 2], [1, 1, 0, 2]]), reduction="sum"),
        case(s.normal(5, 3), s.simplex(5, 3)),
    ],
)
def cross_entropy(logits: Any, target: Any, *, reduction: str = "mean") -> Tensor:
    """Negative log-likelihood of classes under  softmax(logits).

    For class indices  -log_softmax(logits)[target], for probabilities  -sum_c target_c log_softmax(logits)_c.

    Args:
        logits: floating tensor of shape (n, classes), (classes,) or (n, classes, ...), as in PyTorch.
        target: integer classes in [0, classes), of the shape of `logits` without the class axis; or probabilities,
            floating, of the shape of `logits`.
        reduction: "mean" over all targets, "sum" or "none".

    Raises:
        ShapeError: the shapes do not fit. IndexingError: a class is out of range.

    >>> import hograd as ho
    >>> ho.cross_entropy(ho.tensor([[0.0, 0.0], [0.0, 10.0]]), ho.tensor([1, 1]))
    tensor(0.3466)
    """
    logits, target = tensor_of(logits, "cross_entropy"), tensor_of(target, "cross_entropy")
    if not logits.ndim:
        raise ShapeError("cross_entropy: logits have shape (), expected an axis of classes.")
    axis = 0 if logits.ndim == 1 else 1
    if logits.dtype.kind != "f":
        raise DtypeError(f"cross_entropy: logits have dtype {logits.dtype}, expected a floating dtype.")
    log_p = log_softmax(logits, axis)
    if target.dtype.kind == "f":
        if target.shape != logits.shape:
            raise ShapeError(
                f"cross_entropy: target probabilities have shape {tuple(target.shape)}, expected that of logits, "
                f"{tuple(logits.shape)}."
            )
        return _reduced(ops, -ops.sum(target * log_p, axis), reduction, "cross_entropy")
    expected = logits.shape[:axis] + logits.shape[axis + 1 :]
    if target.shape != expected:
        raise ShapeError(
            f"cross_entropy: target classes have shape {tuple(target.shape)}, expected {tuple(expected)} for logits of "
            f"shape {tuple(logits.shape)}."
        )
    _check_classes(target, logits.shape[axis])
    rows = tuple(np.arange(n).reshape((-1,) + (1,) * (len(expected) - 1 - i)) for i, n in enumerate(expected))
    picked = ops.getitem(log_p, (*rows[:axis], target, *rows[axis:]))
    return _reduced(ops, -picked, reduction, "cross_entropy")


def _check_classes(target: Any, count: int) -> None:
    if target.dtype.kind not in "iu":
        raise DtypeError(f"cross_entropy: target has dtype {target.dtype}, expected integer classes or probabilities.")
    while isinstance(target, Tensor):
        target = target.value
    if target.size and not (target.min() >= 0 and target.max() < count):
        wrong = target.min() if target.min() < 0 else target.max()
        raise IndexingError(f"cross_entropy: target class {wrong} is out of range, expected 0 to {count - 1}.")


@composite(lambda s: [case(s.normal(3, 4), s.normal(3, 4)), case(s.normal(5), s.normal(5), reduction="none")])
def mse(F: Any, prediction: Any, target: Any, *, reduction: str = "mean") -> Any:
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
    prediction, target = operand(F, prediction, "mse"), operand(F, target, "mse")
    if prediction.shape != target.shape:
        raise ShapeError(
            f"mse: prediction has shape {tuple(prediction.shape)}, but target has shape "
            f"{tuple(target.shape)}; reshape one."
        )
    return _reduced(F, F.square(prediction - target), reduction, "mse")


mse_loss = mse
