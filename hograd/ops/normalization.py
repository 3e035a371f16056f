"""Normalisation: by the statistics of a batch, a layer, groups of channels, or a norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.backend import is_number
from hograd.core.declare import case, operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import axis_of, shape_of, tensor_of, whole

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "normalize", "renorm", "rms_norm"]


def _standardized(x: Any, axes: tuple[int, ...], eps: float) -> Any:
    centered = x - ops.mean(x, axes, True)
    return centered / ops.sqrt(ops.mean(ops.square(centered), axes, True) + eps)


def _more_than_one(count: int, x: Any, name: str) -> None:
    if count == 1:
        raise ShapeError(
            f"{name}: Expected more than 1 value per channel when training, got x of shape {tuple(x.shape)}: a single "
            "value is its own mean. Pass a larger batch, or use given statistics."
        )


def _channels(v: Any, rank: int, name: str) -> Tensor:
    """One number a channel, along axis 1."""
    v = tensor_of(v, name)
    return ops.reshape(v, (-1, *(1,) * (rank - 2)))


def _scaled(x: Any, weight: Any, bias: Any) -> Any:
    if weight is not None:
        x = x * weight
    return x if bias is None else x + bias


def _of_channels(x: Any, weight: Any, bias: Any, name: str) -> Any:
    for called, v in (("weight", weight), ("bias", bias)):
        if v is not None and tuple(np.shape(v) if not isinstance(v, Tensor) else v.shape) != (x.shape[1],):
            raise ShapeError(f"{name}: {called} expected of shape ({x.shape[1]},), one for each channel.")
    weight, bias = (None if v is None else _channels(v, x.ndim, name) for v in (weight, bias))
    return _scaled(x, weight, bias)


def _with_channels(x: Any, name: str) -> Tensor:
    x = tensor_of(x, name)
    if x.ndim < 2:
        raise ShapeError(f"{name}: x has shape {tuple(x.shape)}, expected (n, channels, ...).")
    return x


@operation(
    None,
    lambda s: [
        case(s.normal(4, 3), s.normal(3), s.positive(3)),
        case(s.normal(4, 3), None, None, s.normal(3), s.normal(3), training=True),
        case(s.normal(2, 3, 4), s.normal(3), s.positive(3), s.normal(3), s.normal(3)),
        case(s.normal(2, 3, 2, 2), None, None, training=True),
    ],
)
def batch_norm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias,  channel by channel.

    Args:
        x: shape (n, channels, ...) (`input`).
        running_mean, running_var: the statistics used unless `training`, shape (channels,); None: the batch's own.
        weight, bias: shape (channels,); default 1 and 0.
        training: use mean and variance (without Bessel's correction) of the batch itself.
        momentum: taken for PyTorch's sake and not used: unlike there, the running statistics are not written to.
            `hograd.nn.batch_norm` returns their next values.
        eps: added to the variance.

    Raises:
        ArgumentError: not `training`, and no statistics given. ShapeError: `training`, and one value a channel.

    >>> import hograd as ho
    >>> ho.batch_norm(ho.tensor([[1.0], [3.0]]), None, None, training=True)
    tensor([[-1.0000],
            [ 1.0000]])
    """
    x = _with_channels(x, "batch_norm")
    if training:
        _more_than_one(x.shape[0] * math.prod(x.shape[2:]), x, "batch_norm")
        y = _standardized(x, (0, *range(2, x.ndim)), eps)
    elif running_mean is None or running_var is None:
        raise ArgumentError("batch_norm got no running_mean or running_var: pass both, or training=True.")
    else:
        mean, var = (_channels(v, x.ndim, "batch_norm") for v in (running_mean, running_var))
        y = (x - mean) / ops.sqrt(var + eps)
    return _of_channels(y, weight, bias, "batch_norm")


@operation(
    None,
    lambda s: [
        case(s.normal(2, 3, 4)),
        case(s.normal(2, 3, 2, 2), None, None, s.normal(3), s.normal(3)),
        case(s.normal(2, 3, 4), s.normal(3), s.positive(3), use_input_stats=False),
    ],
)
def instance_norm(
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`batch_norm` in which each example has statistics of its own.

    Args:
        x: shape (n, channels, length, ...) (`input`).
        running_mean, running_var: used without `use_input_stats`, shape (channels,).
        weight, bias: shape (channels,); default 1 and 0.
        use_input_stats: use mean and variance of each channel of each example.
        momentum: taken for PyTorch's sake and not used, as in `batch_norm`.
        eps: added to the variance.

    >>> import hograd as ho
    >>> ho.instance_norm(ho.tensor([[[1.0, 3.0]]]))
    tensor([[[-1.0000,  1.0000]]])
    """
    x = _with_channels(x, "instance_norm")
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, eps=eps)
    if x.ndim < 3:
        raise ShapeError(f"instance_norm: x has shape {tuple(x.shape)}, expected (n, channels, length, ...).")
    _more_than_one(math.prod(x.shape[2:]), x, "instance_norm")
    return _of_channels(_standardized(x, tuple(range(2, x.ndim)), eps), weight, bias, "instance_norm")


def _last_axes(x: Any, normalized_shape: Any, name: str) -> tuple[int, ...]:
    shape = shape_of(normalized_shape, name)
    if not shape or tuple(x.shape[x.ndim - len(shape) :]) != shape or len(shape) > x.ndim:
        raise ShapeError(f"{name}: x has shape {tuple(x.shape)}, expected one that ends in normalized_shape {shape}.")
    return tuple(range(x.ndim - len(shape), x.ndim))


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), (4,)),
        case(s.normal(2, 3, 4), (3, 4), s.normal(3, 4), s.normal(3, 4)),
    ],
)
def layer_norm(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias,  with the statistics of the last axes.

    Args:
        x: floating tensor (`input`).
        normalized_shape: lengths of the last axes that are normalised.
        weight, bias: of that shape; default 1 and 0.
        eps: added to the variance.

    >>> import hograd as ho
    >>> ho.layer_norm(ho.tensor([[1.0, 3.0]]), (2,))
    tensor([[-1.0000,  1.0000]])
    """
    x = tensor_of(x, "layer_norm")
    weight, bias = (None if v is None else tensor_of(v, "layer_norm") for v in (weight, bias))
    return _scaled(_standardized(x, _last_axes(x, normalized_shape, "layer_norm"), eps), weight, bias)


@operation(
    None,
    lambda s: [case(s.normal(3, 4), (4,)), case(s.normal(2, 3, 4), (3, 4), s.normal(3, 4), eps=1e-2)],
)
def rms_norm(x: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Tensor:
    """x / sqrt(mean(x**2) + eps) * weight  over the last axes.

    Args:
        x: floating tensor (`input`).
        normalized_shape: lengths of the last axes that are normalised.
        weight: of that shape; default 1.
        eps: added to the mean square; default the dtype's precision.

    >>> import hograd as ho
    >>> ho.rms_norm(ho.tensor([[3.0, 3.0]]), (2,))
    tensor([[1., 1.]])
    """
    x = tensor_of(x, "rms_norm")
    axes = _last_axes(x, normalized_shape, "rms_norm")
    eps = float(np.finfo(x.dtype).eps) if eps is None else eps
    y = x / ops.sqrt(ops.mean(ops.square(x), axes, True) + eps)
    return _scaled(y, None if weight is None else tensor_of(weight, "rms_norm"), None)


@operation(
    None,
    lambda s: [
        case(s.normal(2, 4), 2),
        case(s.normal(2, 6, 3), 3, s.normal(6), s.normal(6)),
    ],
)
def group_norm(x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias,  with the statistics of groups of channels of each example.

    Args:
        x: shape (n, channels, ...) (`input`).
        num_groups: how many groups of neighbouring channels; divides their number.
        weight, bias: shape (channels,); default 1 and 0.
        eps: added to the variance.

    >>> import hograd as ho
    >>> ho.group_norm(ho.tensor([[1.0, 3.0]]), 1)
    tensor([[-1.0000,  1.0000]])
    """
    x = _with_channels(x, "group_norm")
    num_groups = whole(num_groups, "group_norm", "num_groups")
    if num_groups < 1 or x.shape[1] % num_groups:
        raise ArgumentError(
            f"group_norm got num_groups={num_groups}, expected a divisor of the number of channels, {x.shape[1]}."
        )
    shape = tuple(x.shape)
    _more_than_one(math.prod(shape) // num_groups, x, "group_norm")
    grouped = ops.reshape(x, (shape[0], num_groups, math.prod(shape[1:]) // num_groups))
    return _of_channels(ops.reshape(_standardized(grouped, (2,), eps), shape), weight, bias, "group_norm")


@operation(
    None,
    lambda s: [case(s.normal(3, 4)), case(s.normal(3, 4), 1.0, dim=0), case(s.normal(4), 3.0, axis=0)],
)
def normalize(x: Any, p: float = 2.0, axis: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(|x|_p, eps):  vectors along an axis, scaled to length 1.

    Args:
        x: floating tensor (`input`).
        p: order of the norm.
        axis: the axis of the vectors (`dim`).
        eps: least norm.

    >>> import hograd as ho
    >>> ho.normalize(ho.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    x = tensor_of(x, "normalize")
    return x / ops.clip(ops.norm(x, p, axis, True), eps)


@operation(None, lambda s: [case(s.normal(3, 4), 2.0, 0, 1.5), case(s.normal(2, 3, 2), 1.0, -1, 2.0)])
def renorm(x: Any, p: float, axis: int, maxnorm: float) -> Tensor:
    """Each slice along an axis, made shorter where its p-norm is above a bound.

    Args:
        x: tensor of at least two axes.
        p: order of the norm, above 0.
        axis: the axis along which slices lie (`dim`).
        maxnorm: the bound, at least 0.

    As in PyTorch, what is made shorter has the norm maxnorm n / (n + 1e-7), if it had n.

    >>> import hograd as ho
    >>> ho.renorm(ho.tensor([[3.0, 4.0], [0.0, 1.0]]), 2, 0, 2.5)
    tensor([[1.5000, 2.0000],
            [0.0000, 1.0000]])
    """
    x = tensor_of(x, "renorm")
    if x.ndim < 2:
        raise ShapeError(f"renorm: x has shape {tuple(x.shape)}, expected at least two axes.")
    if not (is_number(p) and is_number(maxnorm) and p > 0 and maxnorm >= 0):
        raise ArgumentError(f"renorm got p={p!r} and maxnorm={maxnorm!r}, expected p above 0 and maxnorm at least 0.")
    axis = axis_of(axis, x.ndim, "renorm")
    lengths = ops.linalg_vector_norm(x, p, tuple(i for i in range(x.ndim) if i != axis), True)
    return ops.where(ops.gt(lengths, maxnorm), x * (maxnorm / (lengths + 1e-7)), x)
