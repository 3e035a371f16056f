"""SciPy's special functions as kernels, imported when one is first used."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

from hograd.errors import GradientError


def scipy_function(name: str) -> Callable[..., Any]:
    """`scipy.special.<name>` as a kernel."""

    def kernel(*args: Any) -> Any:
        # Python numbers are weak for NumPy's functions, but not for SciPy's.
        dtype = next(arg.dtype for arg in args if hasattr(arg, "dtype"))
        return _special(name)(*[arg if hasattr(arg, "dtype") else dtype.type(arg) for arg in args])

    return kernel


@functools.cache
def _special(name: str) -> Any:
    return getattr(importlib.import_module("scipy.special"), name)


def no_derivative(name: str, argument: str) -> Any:
    """What a rule does that is not there; PyTorch has none either."""
    raise GradientError(
        f"{name} has no derivative with respect to its {argument} argument: it has no closed form, and is not "
        "implemented. Detach that argument, or pass it as a number."
    )
