"""Functions that need care to be stable: softmax and its logarithm."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.batching import shift
from hograd.core.declare import case, general, operation
from hograd.core.dispatch import apply, wrap
from hograd.core.primitive import kernels, ops
from hograd.core.tensor import Tensor
from hograd.errors import DtypeError
from hograd.ops.axes import axis_of, tensor_of

__all__ = ["log_softmax", "softmax", "softmin"]


def shifted(x: Any, axis: int) -> Any:
    """x minus its maximum over the axis, or minus another number that is as good.

    Where all elements lie close together their common maximum serves every
    row, and NumPy finds it twenty times faster than those of many short rows.
    """
    if not x.size:
        return x
    largest = np.maximum.reduce(x, None)
    if float(largest) - float(np.minimum.reduce(x, None)) < 30:  # Python's floats: of inf - inf NumPy's would warn
        return x - largest
    return x - np.maximum.reduce(x, axis=axis, keepdims=True)


def _softmax_kernel(x: Any, axis: int) -> Any:
    z = shifted(x, axis)
    e = np.exp(z, out=z) if type(z) is np.ndarray else np.exp(z)
    e /= kernels.sum(e, axis, True)
    return e


def _log_softmax_kernel(x: Any, axis: int) -> Any:
    z = shifted(x, axis)
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


@operation(None, _logits)
def softmin(x: Any, axis: int = -1, *, dtype: Any = None) -> Tensor:
    """softmax(-x)  along one axis.

    Args:
        x: floating tensor.
        axis: int (`dim`).
        dtype: convert to this dtype first.

    >>> import hograd as ho
    >>> ho.softmin(ho.tensor([0.0, 0.0, 1000.0]))
    tensor([0.5000, 0.5000, 0.0000])
    """
    x = tensor_of(x, "softmin")
    return softmax(-(x if dtype is None else ops.astype(x, dtype)), axis)
