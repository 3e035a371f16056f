"""What the engine asks of an array module: which types are arrays, and how to make one of anything else.

Kernels take the array module from their arguments: they call NumPy's functions, which hand over to the array's own
module through NumPy's protocols (`__array_ufunc__`, `__array_function__`; NEP 13 and 18). What they make beside their
arguments they make with `zeros`, so that it lies where the arguments lie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from hograd.errors import ArgumentError, DtypeError

Array: TypeAlias = Any
"""An `numpy.ndarray`, a NumPy scalar (arrays without axes are held as scalars, which are ten times cheaper), or an
array of another module that follows NumPy's protocols, such as CuPy."""

RAW: set[type] = {np.ndarray} | {
    np.dtype(code).type for code in ("?", "b", "B", "h", "H", "i", "I", "l", "L", "q", "Q", "e", "f", "d", "F", "D")
}
"""Types of values on which kernels work; those of other modules are added as they come in."""

FLOATING = "fc"
"""Kinds of dtypes that can carry a derivative."""

SUPPORTED = "fciub"

_default = np.dtype(np.float64)

# The C library of Linux gives freed memory back to the system, whose every page then costs 1 to 3 us when it is needed
# again: a quarter of the time of a small training step. It stops to do so below twice the size of the largest block
# that was allocated and freed, of at most 32 MiB. So here is one of that size; its pages are never touched.
np.empty(2**25 - 2**16, np.uint8)

_NUMBERS = (bool, int, float, complex)


def is_number(value: object) -> bool:
    """Whether `value` is a Python number, whose dtype is weak: it follows the tensors that it meets."""
    return type(value) in _NUMBERS


def is_array(value: Any) -> bool:
    """Whether `value` is an array that kernels take as it is: NumPy's, or one that follows its protocols."""
    kind = type(value)
    if kind in RAW:
        return True
    if isinstance(value, (np.ndarray, np.generic)) or not (
        hasattr(kind, "__array_function__") and hasattr(kind, "__array_ufunc__") and hasattr(value, "astype")
    ):
        return False
    RAW.add(kind)
    return True


def zeros(like: Array, shape: tuple[int, ...], dtype: Any = None) -> Array:
    """Zeros where `like` lies, by default of its dtype; `np.zeros_like` is five times slower on NumPy's own arrays."""
    if isinstance(like, (np.ndarray, np.generic)):
        return np.zeros(shape, like.dtype if dtype is None else dtype)
    return np.zeros_like(like, shape=shape, dtype=dtype)


def to_numpy(array: Array) -> np.ndarray:
    """`array` in the memory of the CPU, as NumPy's."""
    return array.get() if hasattr(array, "get") else np.asarray(array)


def through_cpu(function: Callable[..., Any], *arrays: Array) -> Array:
    """`function` of NumPy arrays (SciPy's, which knows no others) on arrays of any module."""
    array = arrays[0]
    if isinstance(array, (np.ndarray, np.generic)):
        return function(*arrays)
    return np.asarray(function(*map(to_numpy, arrays)), like=array)


def as_array(value: Any, dtype: Any = None, *, copy: bool = False, name: str = "data") -> Array:
    """`value` as an array of a supported dtype; what has no axes becomes a NumPy scalar.

    Floating Python numbers, and no numbers at all, get the default dtype; arrays keep theirs.
    """
    try:
        if is_array(value) and not isinstance(value, (np.ndarray, np.generic)):
            array = value.astype(value.dtype if dtype is None else dtype, copy=copy)
        else:
            array = np.array(value, dtype=dtype, copy=True if copy else None, order="K")
    except (ValueError, TypeError) as error:
        raise DtypeError(
            f"{name} cannot be made into a tensor: found {type(value).__name__}, expected numbers or nested "
            f"lists of numbers with equal lengths ({error})."
        ) from None
    if array.dtype.kind not in SUPPORTED:
        raise DtypeError(
            f"{name} has dtype {array.dtype}, expected a bool, integer, floating or complex dtype; "
            "convert it to numbers first."
        )
    made_here = dtype is None and not is_array(value)
    if made_here and (array.dtype == np.float64 or array.size == 0):
        array = array.astype(_default, copy=False)
    return scalarize(array)


def scalarize(array: Array) -> Array:
    """An array without axes as a NumPy scalar, any other array as it is."""
    return array[()] if array.ndim == 0 else array


def check_device(device: Any) -> None:
    """Raise unless `device`, which creation functions take as in PyTorch, names the memory of NumPy's arrays."""
    if device is not None and str(device) != "cpu":
        raise ArgumentError(
            f'device is {device!r}, expected None or "cpu": new tensors are NumPy arrays. Tensors elsewhere come from '
            "arrays that are there, such as hograd.tensor(cupy_array)."
        )


def default_dtype() -> np.dtype[Any]:
    """The floating dtype that Python numbers get."""
    return _default


def set_default_dtype(dtype: Any) -> None:
    """Set the floating dtype that Python numbers, and creation functions without `dtype`, get.

    Args:
        dtype: `float64` (the initial value), `float32` or `float16`.

    Raises:
        DtypeError: `dtype` is not a floating dtype.

    >>> import hograd as ho
    >>> ho.set_default_dtype(ho.float32)
    >>> ho.tensor(1.5).dtype
    dtype('float32')
    >>> ho.set_default_dtype(ho.float64)
    """
    global _default
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise DtypeError(f"dtype is {dtype}, expected a floating dtype such as float64 or float32.")
    _default = dtype
