"""References of complex numbers and of the Fourier transforms."""

from __future__ import annotations

from typing import Any

import numpy as np


def _transform(name: str) -> Any:
    def function(x: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Any:
        return getattr(np.fft, name)(x, n, axis, norm)

    return function


def _transform_n(name: str, default: Any = None) -> Any:
    def function(x: Any, s: Any = None, axis: Any = default, norm: Any = None) -> Any:
        axes = tuple(range(x.ndim - len(s), x.ndim)) if axis is None and s is not None else axis
        return getattr(np.fft, name)(x, s, axes, norm)

    return function


def _shift(name: str) -> Any:
    return lambda x, axis=None: getattr(np.fft, name)(x, axis)


FOURIER: dict[str, Any] = {
    "complex": lambda a, b: a + 1j * b,
    "polar": lambda size, angle: size * np.exp(1j * angle),
    "sgn": np.sign,
    "view_as_real": lambda x: np.stack([x.real, x.imag], -1),
    "view_as_complex": lambda x: x[..., 0] + 1j * x[..., 1],
    **{f"fft_{name}": _transform(name) for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")},
    **{f"fft_{name}": _transform_n(name) for name in ("fftn", "ifftn", "rfftn", "irfftn")},
    **{f"fft_{name}": _transform_n(name, (-2, -1)) for name in ("fft2", "ifft2", "rfft2", "irfft2")},
    **{f"fft_{name}": _shift(name) for name in ("fftshift", "ifftshift")},
}
