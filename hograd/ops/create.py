"""Creating tensors: from data, filled, and in steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.backend import as_array, check_device, default_dtype, scalarize
from hograd.core.primitive import kernels, ops
from hograd.core.tensor import Tensor, below
from hograd.errors import ArgumentError, DtypeError, ShapeError
from hograd.ops.axes import dtype_of, shape_of
from hograd.ops.exchange import is_foreign, to_numpy

__all__ = [
    "arange",
    "as_tensor",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "scalar_tensor",
    "tensor",
    "zeros",
    "zeros_like",
]


def _made(array: Any, requires_grad: bool, device: Any = None) -> Tensor:
    check_device(device)
    tensor = Tensor(scalarize(array) if isinstance(array, np.ndarray) else array)
    return tensor.requires_grad_() if requires_grad else tensor


def _lengths(shape: tuple[Any, ...], name: str) -> tuple[int, ...]:
    lengths = shape_of(shape[0] if len(shape) == 1 else shape, name)
    if min(lengths, default=0) < 0:
        raise ArgumentError(f"{name} got shape {lengths}, expected lengths of at least 0.")
    return lengths


def _dtype(dtype: Any) -> Any:
    return default_dtype() if dtype is None else dtype_of(dtype)


def _count(n: Any, name: str) -> int:
    """A number of elements."""
    try:
        count = n.__index__()
    except AttributeError:
        count = -1
    if count < 0:
        raise ArgumentError(f"{name} is {n!r}, expected a whole number of at least 0.")
    return count


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new leaf with a copy of `data`.

    Args:
        data: number, nested lists of numbers or of tensors, array or tensor; also of PyTorch, JAX and the like.
        dtype: default that of `data`; Python floats become the default dtype, ints int64.
        device: None or "cpu".
        requires_grad: whether to record operations on it.

    Raises:
        DtypeError: `data` is not numeric or is ragged, or `requires_grad` with integers.

    >>> import hograd as ho
    >>> ho.tensor([1.0, 4.0])
    tensor([1., 4.])
    """
    check_device(device)
    dtype = dtype if dtype is None else dtype_of(dtype)
    if isinstance(data, Tensor):
        data = data.detach()
        copy = data if dtype is None else ops.astype(data, dtype)
        copy = type(copy).clone(copy) if copy is data else copy
        return copy.requires_grad_() if requires_grad else copy
    if isinstance(data, (list, tuple)):
        if any(isinstance(part, (Tensor, list, tuple)) or is_foreign(part) for part in data):
            data = _plain(data)
    elif is_foreign(data):
        data = to_numpy(data)
    return _made(as_array(data, dtype, copy=True), requires_grad)


def _plain(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data.detach().tolist()
    if is_foreign(data):
        return to_numpy(data).tolist()
    return [_plain(part) for part in data] if isinstance(data, (list, tuple)) else data


def as_tensor(data: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor: a tensor of that dtype as it is, anything else copied.

    >>> import hograd as ho
    >>> x = ho.tensor(1.0)
    >>> ho.as_tensor(x) is x
    True
    """
    if isinstance(data, Tensor):
        check_device(device)
        return data if dtype is None else ops.astype(data, dtype)
    return tensor(data, dtype=dtype, device=device)


def zeros(*shape: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros.

    Args:
        *shape: lengths, or one tuple of them.
        dtype: default the default floating dtype.
        device: None or "cpu".
        requires_grad: whether to record operations on it.

    >>> import hograd as ho
    >>> ho.zeros(2)
    tensor([0., 0.])
    """
    return _made(np.zeros(_lengths(shape, "zeros"), _dtype(dtype)), requires_grad, device)


def ones(*shape: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones.

    Args:
        *shape: lengths, or one tuple of them.
        dtype: default the default floating dtype.
        device: None or "cpu".
        requires_grad: whether to record operations on it.

    >>> import hograd as ho
    >>> ho.ones((1, 2))
    tensor([[1., 1.]])
    """
    return _made(np.ones(_lengths(shape, "ones"), _dtype(dtype)), requires_grad, device)


def empty(*shape: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor to be filled later: zeros, since no tensor holds what nobody wrote.

    >>> import hograd as ho
    >>> ho.empty(2).shape
    (2,)
    """
    return zeros(*shape, dtype=dtype, device=device, requires_grad=requires_grad)


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A number as a tensor of shape (), of the default dtype unless another is given.

    >>> import hograd as ho
    >>> ho.scalar_tensor(3)
    tensor(3.)
    """
    return full((), s, dtype=_dtype(dtype), device=device, requires_grad=requires_grad)


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with `fill_value` everywhere, of its dtype.

    Args:
        shape: tuple of lengths, or one length.
        fill_value: number, or tensor of shape ().
        dtype: default that of `fill_value`.
        device: None or "cpu".
        requires_grad: whether to record operations on it.

    >>> import hograd as ho
    >>> ho.full((2,), 0.5)
    tensor([0.5000, 0.5000])
    """
    value = tensor(fill_value, dtype=dtype)
    if value.shape:
        raise ShapeError(f"full: fill_value has shape {value.shape}, expected shape () or a number.")
    if isinstance(value.value, Tensor):
        return ops.broadcast_to(value, _lengths((shape,), "full"))
    made = np.full_like(value.value, value.value, shape=_lengths((shape,), "full"))
    return _made(made, requires_grad, device)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Numbers from `start` (0 if only one is given) up to but without `end`, in steps of `step`.

    Args:
        start, end, step: numbers; all ints give int64.
        dtype: dtype of the answer.
        device: None or "cpu".
        requires_grad: whether to record operations on it.

    >>> import hograd as ho
    >>> ho.arange(1, 4)
    tensor([1, 2, 3])
    """
    if end is None:
        start, end = 0, start
    for v in (start, end, step):
        if not isinstance(v, (int, float, np.integer, np.floating)):
            raise DtypeError(f"arange got {type(v).__name__} {v!r}, expected numbers.")
    if step == 0:
        raise ArgumentError("arange got step 0, expected a number other than 0.")
    if not math.isfinite((end - start) / step):
        raise ArgumentError(f"arange got unsupported range from {start} to {end} in steps of {step}: it has no end.")
    whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    count = max(math.ceil((end - start) / step), 0)
    return _made(
        (start + step * np.arange(count)).astype(np.int64 if whole and dtype is None else _dtype(dtype)),
        requires_grad,
        device,
    )


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` evenly spaced numbers from `start` to `end`, both included:  start + k (end - start) / (steps - 1).

    Args:
        start, end: numbers, or tensors of shape (), by which the answer is differentiable.
        steps: how many, at least 0.
        dtype: default the default floating dtype.
        device: None or "cpu".
        requires_grad: whether to record operations on it.

    >>> import hograd as ho
    >>> ho.linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    count, dtype = _count(steps, "steps of linspace"), _dtype(dtype)
    if not isinstance(start, Tensor) and not isinstance(end, Tensor):
        return _made(np.linspace(start, end, count, dtype=dtype), requires_grad, device)
    for name, bound in (("start", start), ("end", end)):
        if isinstance(bound, Tensor) and bound.shape != ():
            raise ShapeError(
                f"linspace: {name} has shape {tuple(bound.shape)}, expected a number or a tensor of shape ()."
            )
    check_device(device)
    part = Tensor(np.linspace(0.0, 1.0, count))
    answer = ops.astype(ops.add(ops.mul(start, ops.sub(1.0, part)), ops.mul(end, part)), dtype)
    return answer.requires_grad_() if requires_grad else answer


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: Any = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from base**start to base**end, whose logarithms are evenly spaced.

    Args:
        start, end: numbers, or tensors of shape (), by which the answer is differentiable.
        steps: how many, at least 0.
        base: number, or a tensor of shape () above 0.
        dtype: default the default floating dtype.
        device: None or "cpu".
        requires_grad: whether to record operations on it.

    >>> import hograd as ho
    >>> ho.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    answer = ops.astype(ops.pow(base, linspace(start, end, steps, device=device)), _dtype(dtype))
    return answer.requires_grad_() if requires_grad else answer


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The n x n (or n x m) matrix with ones on its diagonal.

    Args:
        n, m: numbers of rows and columns.
        dtype: default the default floating dtype.
        device: None or "cpu".
        requires_grad: whether to record operations on it.

    >>> import hograd as ho
    >>> ho.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    rows, columns = _count(n, "n of eye"), None if m is None else _count(m, "m of eye")
    return _made(np.eye(rows, columns, dtype=_dtype(dtype)), requires_grad, device)


def _like(x: Any, value: float, dtype: Any, requires_grad: bool, device: Any) -> Tensor:
    x = x if isinstance(x, Tensor) else as_array(x, name="x")
    shape, dtype, beside = x.shape, x.dtype if dtype is None else dtype_of(dtype), below(x)
    if isinstance(beside, (np.ndarray, np.generic)):
        return _made(np.full(shape, value, dtype), requires_grad, device)
    return _made(np.full_like(beside, value, dtype=dtype, shape=shape), requires_grad, device)


def zeros_like(x: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape and dtype of `x`.

    >>> import hograd as ho
    >>> ho.zeros_like(ho.tensor([1.0, 2.0]))
    tensor([0., 0.])
    """
    return _like(x, 0, dtype, requires_grad, device)


def empty_like(x: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of the shape and dtype of `x` to be filled later: zeros.

    >>> import hograd as ho
    >>> ho.empty_like(ho.tensor([1.0, 2.0])).shape
    (2,)
    """
    return _like(x, 0, dtype, requires_grad, device)


def ones_like(x: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape and dtype of `x`.

    >>> import hograd as ho
    >>> ho.ones_like(ho.tensor([1.0, 2.0]))
    tensor([1., 1.])
    """
    return _like(x, 1, dtype, requires_grad, device)


def full_like(
    x: Any, fill_value: float, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`fill_value` everywhere, in the shape and dtype of `x`.

    >>> import hograd as ho
    >>> ho.full_like(ho.tensor([1.0, 2.0]), 7)
    tensor([7., 7.])
    """
    return _like(x, fill_value, dtype, requires_grad, device)


ops.tensor, ops.full, ops.zeros, ops.ones = tensor, full, zeros, ones
ops.zeros_like, ops.ones_like = zeros_like, ones_like
kernels.zeros_like = lambda x: np.zeros_like(x)[()]
kernels.ones_like = lambda x: np.ones_like(x)[()]
