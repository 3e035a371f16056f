"""Fourier transforms of a window that moves along a signal, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.declare import case, operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import tensor_of, whole

__all__ = ["istft", "stft"]


def _window(x: Tensor, window: Any, n_fft: int, win_length: Any, hop_length: Any, name: str) -> tuple[Any, int]:
    """The window in the middle of n_fft numbers, or None, and by how much it moves."""
    n_fft = whole(n_fft, name, "n_fft")
    hop = whole(n_fft // 4 if hop_length is None else hop_length, name, "hop_length")
    width = whole(n_fft if win_length is None else win_length, name, "win_length")
    if hop < 1 or not 0 < width <= n_fft:
        raise ArgumentError(
            f"{name} got n_fft={n_fft}, hop_length={hop} and win_length={width}, expected hop_length of at least 1 and "
            "win_length from 1 to n_fft."
        )
    if window is None:
        window = None if width == n_fft else Tensor(np.ones(width, np.finfo(x.dtype).dtype))
    elif tuple((window := tensor_of(window, name)).shape) != (width,):
        raise ShapeError(f"{name}: window has shape {tuple(window.shape)}, expected ({width},).")
    left = (n_fft - width) // 2
    return window if window is None or width == n_fft else ops.pad(window, (left, n_fft - width - left)), hop


def _frames(n_fft: int, hop: int, count: int) -> np.ndarray:
    """The places of each window's numbers, a row a window."""
    return np.arange(count)[:, None] * hop + np.arange(n_fft)


@operation(
    None,
    lambda s: [
        case(s.normal(20), 6, return_complex=True),
        case(s.normal(2, 20), 7, 3, 5, s.positive(5), normalized=True, return_complex=False),
        case(s.normal(12), 4, center=False, onesided=False, return_complex=True),
    ],
)
def stft(
    x: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
) -> Tensor:
    """Short-time Fourier transform:  X(w, t) = sum_k window(k) x(t hop + k) e**(-2 pi i w k / n_fft).

    Args:
        x: signals, shape (length,) or (n, length) (`input`).
        n_fft: length of each transform.
        hop_length: from one window to the next; by default n_fft // 4.
        win_length: length of the window, which lies in the middle of the n_fft numbers; by default n_fft.
        window: shape (win_length,); by default 1.
        center: pad the signal on both sides by n_fft // 2, so that window t has its middle at t hop.
        pad_mode: how, as in `pad`.
        normalized: divide by the root of n_fft.
        onesided: leave the negative frequencies out; by default where signal and window are real.
        return_complex: complex numbers, and not their parts along a last axis; must be said for real signals.

    Returns:
        Shape (n, frequencies, windows), without n for one signal, and with a last axis of length 2 for parts.

    >>> import hograd as ho
    >>> ho.stft(ho.ones(8), 4, 4, center=False, return_complex=True).abs()
    tensor([[4., 4.],
            [0., 0.],
            [0., 0.]])
    """
    x = tensor_of(x, "stft")
    window, hop = _window(x, window, n_fft, win_length, hop_length, "stft")
    if len(x.shape) not in (1, 2):
        raise ShapeError(f"stft: x has shape {tuple(x.shape)}, expected (length,) or (n, length).")
    is_real = "c" not in (x.dtype.kind, window is not None and window.dtype.kind)
    if return_complex is None and is_real:
        raise ArgumentError("stft got no return_complex: pass True, or False for real and imaginary parts.")
    if center:
        x = ops.pad(x, (n_fft // 2, n_fft // 2), pad_mode)
    length = x.shape[-1]
    if length < n_fft:
        raise ShapeError(f"stft got n_fft={n_fft}, but the signal has {length} numbers.")
    parts = ops.getitem(x, (Ellipsis, _frames(n_fft, hop, 1 + (length - n_fft) // hop)))
    parts = parts if window is None else parts * window
    transform = ops.fft_rfft if (is_real if onesided is None else onesided) else ops.fft_fft
    y = ops.swapaxes(transform(parts, norm="ortho" if normalized else "backward"), -1, -2)
    return ops.view_as_real(y) if return_complex is False else y


@operation(None, lambda s: [case(s.complex(4, 5), 6), case(s.complex(2, 4, 5), 7, 3, 6, s.positive(6), length=10)])
def istft(
    x: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """Signal of least squares to which `stft` belongs (Griffin and Lim, 1984).

    Args:
        x: complex, shape (frequencies, windows) or (n, frequencies, windows) (`input`).
        n_fft, hop_length, win_length, window, center, normalized: as `stft` was called.
        onesided: whether x has no negative frequencies; by default if it has n_fft // 2 + 1 frequencies.
        length: of the signal; by default as far as the windows reach, without the padding.
        return_complex: whether the signal is complex.

    The answer is nan where no window reaches, and 0 beyond the last one.

    >>> import hograd as ho
    >>> ho.istft(ho.stft(ho.tensor([1.0, 2.0, 3.0, 4.0]), 4, return_complex=True), 4)
    tensor([1., 2., 3., 4.])
    """
    x = tensor_of(x, "istft")
    window, hop = _window(x, window, n_fft, win_length, hop_length, "istft")
    one = n_fft // 2 + 1
    shorter = n_fft != x.shape[-2] if onesided is None and len(x.shape) > 1 else onesided
    if len(x.shape) not in (2, 3) or x.dtype.kind != "c" or x.shape[-2] != (one if shorter else n_fft):
        raise ShapeError(
            f"istft: x is {x.dtype} of shape {tuple(x.shape)}, expected complex of shape (frequencies, windows) or "
            f"(n, frequencies, windows), with {one if shorter else n_fft} frequencies."
        )
    if shorter and return_complex:
        raise ArgumentError("istft got return_complex=True and no negative frequencies, of which signals are real.")
    norm = "ortho" if normalized else "backward"
    spectra = ops.swapaxes(x, -1, -2)
    parts = ops.fft_irfft(spectra, n_fft, norm=norm) if shorter else ops.fft_ifft(spectra, norm=norm)
    parts = parts if shorter or return_complex else ops.real(parts)
    window = ops.ones_like(ops.real(parts)[(0,) * (len(parts.shape) - 1)]) if window is None else window
    places = _frames(n_fft, hop, x.shape[-1])
    reach = n_fft + hop * (x.shape[-1] - 1)
    begin = n_fft // 2 if center else 0
    end = reach - begin if length is None else min(begin + whole(length, "istft", "length"), reach)

    def added(frames: Any) -> Any:
        """Each number at its place in the signal, and the sum where windows meet."""
        whole_signal = ops.zeros_like(ops.broadcast_to(frames[..., :1, :1], (*frames.shape[:-2], 1, reach)))[..., 0, :]
        return ops.at_add(whole_signal, (Ellipsis, places), frames)[..., begin:end]

    squares = ops.broadcast_to(window * window, tuple(parts.shape[-2:]))
    y = added(parts * window) / added(squares)
    return y if length is None or end - begin == length else ops.pad(y, (0, length - (end - begin)))
