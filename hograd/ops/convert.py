"""The same numbers as another tensor: copies, other dtypes, constants."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from hograd.core.declare import case, elementwise, operation, unary
from hograd.core.dispatch import call
from hograd.core.tensor import Tensor
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


@operation(lambda x: x, lambda s: [case(s.normal(3))], differentiable=False)
def stop_gradient(x: Any) -> Tensor:
    """The same values as a constant, at every level (`Tensor.detach`).

    >>> import hograd as ho
    >>> ho.stop_gradient(ho.tensor([1.0], requires_grad=True)).requires_grad
    False
    """
    return tensor_of(x, "stop_gradient").detach()
