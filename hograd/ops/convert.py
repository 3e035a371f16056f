"""The same numbers as another tensor: copies, other dtypes, constants."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from hograd.core.declare import case, elementwise, operation, unary
from hograd.core.dispatch import call
from hograd.core.primitive import ops, register
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError
from hograd.ops.axes import dtype_of, tensor_of
from hograd.ops.samples import anywhere

__all__ = ["astype", "clone", "stop_gradient"]

clone = unary(
    "clone",
    operator.pos,
    1,
    integers=True,
    samples=anywhere,
    doc="""The same values as a new tensor, with an identity derivative.

    >>> import hograd as ho
    >>> ho.clone(ho.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """,
)


def _astype_kernel(x: Any, dtype: Any) -> Any:
    if x.dtype.kind == "c" and np.dtype(dtype).kind not in "cb":
        x = x.real
    return x.astype(dtype, copy=False)


_astype = elementwise("astype", _astype_kernel, [lambda F, g: g], "x")

_convert = elementwise("convert", _astype_kernel, None, "x")


@operation(_astype_kernel, lambda s: [case(s.normal(3), np.float64)])
def astype(x: Any, dtype: Any) -> Tensor:
    """x with its elements converted; between floating dtypes the derivative is 1. Complex to real is the real part.

    Args:
        x: tensor.
        dtype: such as `hograd.float32` or `hograd.int64`.

    >>> import hograd as ho
    >>> ho.astype(ho.tensor([1.0, 2.0]), ho.int64)
    tensor([1, 2])
    """
    dtype = dtype_of(dtype)
    if isinstance(x, Tensor) and x.dtype == dtype:
        return x
    return call(_astype if dtype.kind in "fc" else _convert, (x,), {"dtype": dtype})


def _is_device(target: Any, x: Tensor) -> bool:
    """Whether this is where the tensor lies; any other device is refused, and what names none is a dtype."""
    kind = str(target).partition(":")[0]
    if isinstance(target, type) or kind not in {"cpu", "cuda", "gpu", "mps", "xpu", "meta", *x.device.split(":")[:1]}:
        return False
    if kind != x.device.partition(":")[0]:
        raise ArgumentError(
            f"to() got the device {str(target)!r}, but the tensor lies on {x.device!r}: make the tensor from an array "
            "that lies there."
        )
    return True


def _to(x: Tensor, *target: Any, dtype: Any = None, device: Any = None, copy: bool = False) -> Tensor:
    """`x` in a dtype, or in that of another tensor, with PyTorch's arguments.

    `target` is a dtype, a tensor or a device, which only may be that of `x`, with a dtype behind it; then follow
    `non_blocking` and `copy`. There is no work in the background and no layout in memory to choose.
    """
    first, rest = (target[0], target[1:]) if target else (None, ())
    if isinstance(first, Tensor):
        dtype = first.dtype
    elif first is None or _is_device(first, x):
        dtype, rest = (rest[0], rest[1:]) if rest and not isinstance(rest[0], bool) else (dtype, rest)
    else:
        dtype = first
    if len(rest) > 2:
        raise ArgumentError(f"to() got {len(target)} positional arguments, expected a target, non_blocking and copy.")
    if device is not None:
        _is_device(device, x)
    answer = x if dtype is None else astype(x, dtype)
    return ops.clone(answer) if answer is x and (copy or (len(rest) == 2 and rest[1])) else answer


register("to", _to, None)


@operation(lambda x: x, lambda s: [case(s.normal(3))], differentiable=False)
def stop_gradient(x: Any) -> Tensor:
    """The same values as a constant, at every level (`Tensor.detach`).

    >>> import hograd as ho
    >>> ho.stop_gradient(ho.tensor([1.0], requires_grad=True)).requires_grad
    False
    """
    return tensor_of(x, "stop_gradient").detach()
