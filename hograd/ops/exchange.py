"""Tensors from the arrays of other libraries; none of them is imported."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.backend import as_array
from hograd.core.tensor import Tensor
from hograd.errors import DtypeError

__all__ = ["from_dlpack", "from_numpy"]


def is_foreign(value: Any) -> bool:
    """Whether `value` is an array of a library such as PyTorch or JAX, on which NumPy's functions do not work."""
    numpy_like = hasattr(value, "__array_function__") or isinstance(value, np.generic)
    return not numpy_like and hasattr(value, "__array__")


def to_numpy(value: Any) -> np.ndarray:
    """A foreign array as one of NumPy, without what its library knows of derivatives, from whatever device."""
    try:
        if hasattr(value, "detach"):
            return value.numpy(force=True)
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise DtypeError(
            f"data is a {kind} of dtype {getattr(value, 'dtype', 'unknown')}, which NumPy cannot hold ({error}); "
            "convert it to float32 or float64 first."
        ) from None


def from_numpy(array: Any) -> Tensor:
    """A tensor with a copy of the array: unlike PyTorch's, it does not share memory, since tensors never change.

    >>> import hograd as ho, numpy as np
    >>> ho.from_numpy(np.arange(3))
    tensor([0, 1, 2])
    """
    if not isinstance(array, np.ndarray):
        raise DtypeError(f"expected np.ndarray (got {type(array).__name__}): use tensor(), which takes anything.")
    return Tensor(as_array(array, copy=True))


def from_dlpack(array: Any) -> Tensor:
    """A tensor with a copy of an array of any library that speaks DLPack, in main memory.

    Args:
        array: object with `__dlpack__`, such as a PyTorch tensor, a JAX array or a NumPy array.

    Raises:
        DtypeError: `array` does not speak DLPack, or lies on a device.

    >>> import hograd as ho, numpy as np
    >>> ho.from_dlpack(np.array([1.0, 2.0]))
    tensor([1., 2.])
    """
    if not hasattr(array, "__dlpack__"):
        raise DtypeError(f"from_dlpack got {type(array).__name__}, expected an object with __dlpack__.")
    try:
        return Tensor(as_array(np.from_dlpack(array), copy=True))
    except (RuntimeError, BufferError) as error:
        raise DtypeError(
            f"from_dlpack cannot read this {type(array).__name__}: {error} (expected numbers in main memory, without "
            "gradients)."
        ) from error
