"""SciPy's special functions as kernels, imported when one is first used."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from hograd.backend import is_number
from hograd.core.dispatch import promote, wrap
from hograd.ops.axes import tensor_of


def scipy_function(name: str) -> Callable[..., Any]:
    """`scipy.special.<name>` as a kernel."""

    def kernel(*args: Any) -> Any:
        # Python numbers are weak for NumPy's functions, but not for SciPy's, which know no float16 either.
        dtype = next(arg.dtype for arg in args if hasattr(arg, "dtype"))
        half = dtype == np.float16
        inside = np.dtype(np.float32) if half else dtype
        known = [arg.astype(inside) if half and hasattr(arg, "dtype") else arg for arg in args]
        y = _special(name)(*[arg if hasattr(arg, "dtype") else inside.type(arg) for arg in known])
        return y.astype(dtype) if half else y

    return kernel


@functools.cache
def _special(name: str) -> Any:
    return getattr(importlib.import_module("scipy.special"), name)


def floats(name: str, *args: Any) -> list[Any]:
    """The arguments in one floating dtype, Python numbers too, since rules take their logarithms."""
    args = tuple(promote(name, *args))
    if not any(isinstance(a, float) or getattr(a, "dtype", np.dtype(bool)).kind in "fc" for a in args):
        args = tuple(promote(name, args[0] * 1.0, *args[1:]))
    dtype = next((a.dtype for a in args if not is_number(a)), None)
    return [tensor_of(a, name) if dtype is None else wrap(dtype.type(a)) if is_number(a) else a for a in args]
