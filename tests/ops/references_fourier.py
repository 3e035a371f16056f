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


def _stft(x: Any, n: int, hop: Any = None, width: Any = None, window: Any = None, **options: Any) -> Any:
    """Window by window, by the matrix of the transform."""
    hop, width = hop or n // 4, width or n
    full = np.zeros(n)
    full[(n - width) // 2 : (n - width) // 2 + width] = 1 if window is None else window
    x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(n // 2, n // 2)], "reflect") if options.get("center", True) else x
    matrix = np.exp(-2j * np.pi * np.outer(range(n // 2 + 1 if options.get("onesided", True) else n), range(n)) / n)
    columns = [matrix @ (x[..., t : t + n] * full).T for t in range(0, x.shape[-1] - n + 1, hop)]
    y = np.stack([column.T for column in columns], -1) / (n**0.5 if options.get("normalized") else 1)
    return y if options["return_complex"] else np.stack([y.real, y.imag], -1)


def _istft(x: Any, n: int, hop: Any = None, width: Any = None, window: Any = None, *, length: Any = None) -> Any:
    """The sum of the windows over the sum of their squares, number by number."""
    hop, width = hop or n // 4, width or n
    full = np.zeros(n)
    full[(n - width) // 2 : (n - width) // 2 + width] = 1 if window is None else window
    reach = n + hop * (x.shape[-1] - 1)
    total, squares = np.zeros((*x.shape[:-2], reach)), np.zeros(reach)
    for t in range(x.shape[-1]):
        total[..., t * hop : t * hop + n] += np.fft.irfft(x[..., t], n) * full
        squares[t * hop : t * hop + n] += full**2
    inside = slice(n // 2, reach - n // 2 if length is None else n // 2 + length)
    return total[..., inside] / squares[inside]


FOURIER: dict[str, Any] = {
    "stft": _stft,
    "istft": _istft,
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
