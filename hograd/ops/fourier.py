"""Discrete Fourier transforms; `hograd.fft` has them under their usual names."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.backend import default_dtype
from hograd.core.batching import shift
from hograd.core.declare import case, composite, linear
from hograd.core.dispatch import apply, wrap
from hograd.core.primitive import ops, register
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, ShapeError
from hograd.ops.axes import axes_of, axis_of, operand

#: How the transform back is scaled, seen as one forth.
_FLIPPED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _fourier_kernel(x: Any, axes: Any, norm: Any, inverse: bool) -> Any:
    return (np.fft.ifftn if inverse else np.fft.fftn)(x, axes=axes, norm=norm)


#: Of complex tensors, over several axes. Its matrix is symmetric.
_fourier = linear(
    "fourier",
    _fourier_kernel,
    lambda F, g, axes, norm, inverse: F.fourier(g, axes=axes, norm=norm, inverse=inverse),
    batch=shift("axes"),
)


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, part)


def _pull_real(F: Any, g: Any, x_shape: Any, axis: int, norm: str) -> Any:
    full = F.place(g, _along(axis, slice(0, g.shape[axis])), x_shape)
    return F.real(F.fourier(full, axes=(axis,), norm=norm, inverse=False))


#: Of real tensors: the first half of the spectrum.
_real_fourier = linear(
    "real_fourier", lambda x, axis, norm: np.fft.rfft(x, axis=axis, norm=norm), _pull_real, batch=shift("axis")
)


def _pull_inverse(F: Any, g: Any, axis: int, n: int, norm: str) -> Any:
    spectrum = F.conj(F.real_fourier(g, axis=axis, norm=_flipped(norm)))
    # All but the frequency 0 and, for even n, the highest one stand for two, which are conjugate.
    last = n // 2 + n % 2
    parts = [spectrum[_along(axis, slice(0, 1))], 2 * spectrum[_along(axis, slice(1, last))]]
    return F.concatenate([*parts, spectrum[_along(axis, slice(max(last, 1), None))]], axis=axis)


def _flipped(norm: str) -> str:
    return _FLIPPED[norm]


#: The real tensor, n long, of the first half of a spectrum.
_inverse_real_fourier = linear(
    "inverse_real_fourier",
    lambda x, axis, n, norm: np.fft.irfft(x, n, axis=axis, norm=norm),
    _pull_inverse,
    batch=shift("axis"),
)

for _primitive in (_fourier, _real_fourier, _inverse_real_fourier):
    register(
        _primitive.name,
        lambda x, _primitive=_primitive, **params: wrap(apply(_primitive, (x,), params)),
        _primitive.kernel,
    )


def _signal(F: Any, x: Any, name: str, *, real: bool = False) -> Any:
    """What is to be transformed, as a real or as a complex tensor."""
    x = operand(F, x, f"fft.{name}")
    if real and x.dtype.kind == "c":
        raise DtypeError(f"fft.{name} expects a real input tensor, found {x.dtype}: use fft.{name[1:]}.")
    if x.dtype.kind not in "fc":
        x = F.astype(x, default_dtype())
    return x if real or x.dtype.kind == "c" else F.astype(x, np.result_type(x.dtype, 1j))


def _norm(norm: str | None, name: str) -> str:
    if norm is None:
        return "backward"
    if norm not in _FLIPPED:
        raise ArgumentError(f"fft.{name} got norm={norm!r}, expected 'backward', 'ortho' or 'forward'.")
    return norm


def _resized(F: Any, x: Any, axis: int, n: int | None, name: str) -> Any:
    """`x` cut, or filled up with zeros, to length n along an axis."""
    length: int = x.shape[axis]
    wanted: int = length if n is None or n == -1 else n
    _expect_points(wanted, axis, name)
    if wanted < length:
        return x[_along(axis, slice(0, wanted))]
    if wanted > length:
        return F.place(x, _along(axis, slice(0, length)), (*x.shape[:axis], wanted, *x.shape[axis + 1 :]))
    return x


def _expect_points(n: int, axis: int, name: str) -> None:
    if n < 1:
        raise ShapeError(f"fft.{name}: Invalid number of data points ({n}) along axis {axis}, expected at least 1.")


def _axis(x: Any, axis: int, name: str) -> int:
    if not x.ndim:
        raise ShapeError(f"fft.{name} expects a tensor of at least one axis, found shape ().")
    return axis_of(axis, x.ndim, f"fft.{name}")


def _axes(x: Any, s: Any, axis: Any, name: str) -> tuple[tuple[int, ...], list[Any]]:
    """The axes to transform, and the length wanted for each (None: as it is)."""
    if axis is None and s is not None:
        axis = tuple(range(x.ndim - len(s), x.ndim))
    axes = axes_of(axis, x.ndim, f"fft.{name}")
    lengths = [None] * len(axes) if s is None else list(s)
    if len(lengths) != len(axes):
        raise ArgumentError(f"fft.{name} got {len(lengths)} lengths s={s} for {len(axes)} axes, expected one each.")
    return axes, lengths


def _transform(F: Any, x: Any, axes: Any, lengths: Any, norm: str | None, inverse: bool, name: str) -> Any:
    norm = _norm(norm, name)
    for axis, n in zip(axes, lengths, strict=True):
        x = _resized(F, x, axis, n, name)
    return F.fourier(x, axes=tuple(axes), norm=norm, inverse=inverse) if axes else x


@composite(
    lambda s: [case(s.complex(5)), case(s.normal(3, 4), 3, 0, "ortho"), case(s.complex(2, 3), 5, norm="forward")],
    name="fft_fft",
)
def fft(F: Any, x: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """Discrete Fourier transform along an axis,  y_k = sum_j x_j exp(-2 pi i j k / n).

    Args:
        x: real or complex tensor.
        n: cut, or fill up with zeros, to this length first.
        axis: which axis (`dim`).
        norm: "backward" (the default) divides the inverse transform by n, "forward" this one, "ortho" both by the
            root of n.

    Returns:
        Complex tensor.

    >>> import hograd as ho
    >>> ho.fft.fft(ho.tensor([1.0, 0.0]))
    tensor([1.+0.j, 1.+0.j])
    """
    x = _signal(F, x, "fft")
    return _transform(F, x, (_axis(x, axis, "fft"),), (n,), norm, False, "fft")


@composite(
    lambda s: [case(s.complex(5)), case(s.normal(3, 4), 3, 0, "ortho"), case(s.complex(2, 3), 5, norm="forward")],
    name="fft_ifft",
)
def ifft(F: Any, x: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """Inverse of `fft`, with the same arguments:  x_j = 1/n sum_k y_k exp(2 pi i j k / n).

    >>> import hograd as ho
    >>> ho.fft.ifft(ho.fft.fft(ho.tensor([1.0, 2.0])))
    tensor([1.+0.j, 2.+0.j])
    """
    x = _signal(F, x, "ifft")
    return _transform(F, x, (_axis(x, axis, "ifft"),), (n,), norm, True, "ifft")


@composite(
    lambda s: [case(s.complex(2, 3)), case(s.normal(3, 4), (2, 5)), case(s.complex(2, 3, 2), None, (0, 2), "ortho")],
    name="fft_fftn",
)
def fftn(F: Any, x: Any, s: Any = None, axis: Any = None, norm: str | None = None) -> Tensor:
    """Discrete Fourier transform over several axes.

    Args:
        x: real or complex tensor.
        s: cut, or fill up with zeros, to these lengths first; -1 leaves one as it is.
        axis: which axes (`dim`); by default the last ones that `s` has lengths for, or all.
        norm: as `fft` takes it, for each axis.

    >>> import hograd as ho
    >>> ho.fft.fftn(ho.ones(2, 2))
    tensor([[4.+0.j, 0.+0.j],
            [0.+0.j, 0.+0.j]])
    """
    x = _signal(F, x, "fftn")
    return _transform(F, x, *_axes(x, s, axis, "fftn"), norm, False, "fftn")


@composite(
    lambda s: [case(s.complex(2, 3)), case(s.normal(3, 4), (2, 5)), case(s.complex(2, 3, 2), None, (0, 2), "forward")],
    name="fft_ifftn",
)
def ifftn(F: Any, x: Any, s: Any = None, axis: Any = None, norm: str | None = None) -> Tensor:
    """Inverse of `fftn`, with the same arguments.

    >>> import hograd as ho
    >>> ho.fft.ifftn(ho.tensor([[4.0, 0.0], [0.0, 0.0]]))
    tensor([[1.+0.j, 1.+0.j],
            [1.+0.j, 1.+0.j]])
    """
    x = _signal(F, x, "ifftn")
    return _transform(F, x, *_axes(x, s, axis, "ifftn"), norm, True, "ifftn")


@composite(lambda s: [case(s.complex(2, 3)), case(s.normal(2, 3, 2), (2, 5), norm="ortho")], name="fft_fft2")
def fft2(F: Any, x: Any, s: Any = None, axis: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`fftn` over the last two axes.

    >>> import hograd as ho
    >>> ho.fft.fft2(ho.ones(1, 2))
    tensor([[2.+0.j, 0.+0.j]])
    """
    return F.fft_fftn(x, s, axis, norm)


@composite(lambda s: [case(s.complex(2, 3)), case(s.normal(2, 3, 2), (2, 5), norm="ortho")], name="fft_ifft2")
def ifft2(F: Any, x: Any, s: Any = None, axis: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """Inverse of `fft2`, with the same arguments.

    >>> import hograd as ho
    >>> ho.fft.ifft2(ho.tensor([[2.0, 0.0]]))
    tensor([[1.+0.j, 1.+0.j]])
    """
    return F.fft_ifftn(x, s, axis, norm)


@composite(
    lambda s: [case(s.normal(5)), case(s.normal(4, 3), 6, 0, "ortho"), case(s.normal(2, 4), 3, norm="forward"),
               case(s.normal(1))],
    name="fft_rfft",
)  # fmt: skip
def rfft(F: Any, x: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """First half of the Fourier transform of a real tensor, n // 2 + 1 long: the other half is its conjugate.

    The arguments are those of `fft`.

    >>> import hograd as ho
    >>> ho.fft.rfft(ho.tensor([1.0, 0.0, 0.0, 0.0]))
    tensor([1.+0.j, 1.+0.j, 1.+0.j])
    """
    x = _signal(F, x, "rfft", real=True)
    axis = _axis(x, axis, "rfft")
    return F.real_fourier(_resized(F, x, axis, n, "rfft"), axis=axis, norm=_norm(norm, "rfft"))


@composite(
    lambda s: [case(s.complex(4)), case(s.complex(4), 7), case(s.complex(3, 2), 4, 0, "ortho"),
               case(s.normal(2, 3), 8, norm="forward"), case(s.complex(2), 1), case(s.complex(2), 2)],
    name="fft_irfft",
)  # fmt: skip
def irfft(F: Any, x: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """Inverse of `rfft`: the real tensor that the first half of a spectrum belongs to.

    The imaginary part of the frequency 0 and, for even n, of the highest one is ignored.

    Args:
        x: real or complex tensor.
        n: length of the answer, by default 2 (m - 1) for m frequencies; give it where it is odd.
        axis: which axis (`dim`).
        norm: as `fft` takes it.

    >>> import hograd as ho
    >>> ho.fft.irfft(ho.fft.rfft(ho.tensor([1.0, 2.0, 3.0])), 3)
    tensor([1., 2., 3.])
    """
    x = _signal(F, x, "irfft")
    axis = _axis(x, axis, "irfft")
    length: int = 2 * (x.shape[axis] - 1) if n is None else n
    _expect_points(length, axis, "irfft")
    x = _resized(F, x, axis, length // 2 + 1, "irfft")
    return F.inverse_real_fourier(x, axis=axis, n=length, norm=_norm(norm, "irfft"))


@composite(
    lambda s: [case(s.normal(3, 4)), case(s.normal(3, 4), (4, 5), norm="ortho"), case(s.normal(2, 3, 2), None, (2, 0))],
    name="fft_rfftn",
)
def rfftn(F: Any, x: Any, s: Any = None, axis: Any = None, norm: str | None = None) -> Tensor:
    """`rfft` along the last of several axes, then `fft` along the others; the arguments are those of `fftn`.

    >>> import hograd as ho
    >>> ho.fft.rfftn(ho.ones(2, 2))
    tensor([[4.+0.j, 0.+0.j],
            [0.+0.j, 0.+0.j]])
    """
    x = _signal(F, x, "rfftn", real=True)
    axes, lengths = _axes(x, s, axis, "rfftn")
    if not axes:
        raise ArgumentError("fft.rfftn must transform at least one axis.")
    half = F.fft_rfft(x, lengths[-1], axes[-1], norm)
    return _transform(F, half, axes[:-1], lengths[:-1], norm, False, "rfftn")


@composite(
    lambda s: [case(s.complex(3, 4)), case(s.complex(3, 4), (4, 5), norm="ortho"),
               case(s.complex(2, 3, 2), None, (2, 0))],
    name="fft_irfftn",
)  # fmt: skip
def irfftn(F: Any, x: Any, s: Any = None, axis: Any = None, norm: str | None = None) -> Tensor:
    """Inverse of `rfftn`; the last of the lengths `s` is that of the answer, as in `irfft`.

    >>> import hograd as ho
    >>> ho.fft.irfftn(ho.fft.rfftn(ho.ones(2, 2)))
    tensor([[1., 1.],
            [1., 1.]])
    """
    x = _signal(F, x, "irfftn")
    axes, lengths = _axes(x, s, axis, "irfftn")
    if not axes:
        raise ArgumentError("fft.irfftn must transform at least one axis.")
    whole = _transform(F, x, axes[:-1], lengths[:-1], norm, True, "irfftn")
    n = None if lengths[-1] == -1 else lengths[-1]
    return F.fft_irfft(whole, n, axes[-1], norm)


def _turned(F: Any, x: Any, starts: dict[int, int]) -> Any:
    """The elements of each axis from a start on, and then those before."""
    for axis, start in starts.items():
        x = F.concatenate([x[_along(axis, slice(start, None))], x[_along(axis, slice(0, start))]], axis=axis)
    return x


@composite(lambda s: [case(s.normal(5)), case(s.complex(2, 3), 0), case(s.normal(2, 3))], name="fft_fftshift")
def fftshift(F: Any, x: Any, axis: Any = None) -> Tensor:
    """The frequency 0 moved to the middle of the axes (all by default; `dim`).

    >>> import hograd as ho
    >>> ho.fft.fftshift(ho.tensor([0.0, 1.0, -2.0, -1.0]))
    tensor([-2., -1.,  0.,  1.])
    """
    x = operand(F, x, "fft.fftshift")
    axes = axes_of(axis, x.ndim, "fft.fftshift")
    return _turned(F, x, {i: x.shape[i] - x.shape[i] // 2 for i in axes})


@composite(lambda s: [case(s.normal(5)), case(s.complex(2, 3), 0), case(s.normal(2, 3))], name="fft_ifftshift")
def ifftshift(F: Any, x: Any, axis: Any = None) -> Tensor:
    """Inverse of `fftshift`.

    >>> import hograd as ho
    >>> ho.fft.ifftshift(ho.tensor([-2.0, -1.0, 0.0, 1.0]))
    tensor([ 0.,  1., -2., -1.])
    """
    x = operand(F, x, "fft.ifftshift")
    axes = axes_of(axis, x.ndim, "fft.ifftshift")
    return _turned(F, x, {i: x.shape[i] // 2 for i in axes})


def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None) -> Tensor:
    """The frequencies of `fft`, in cycles per unit of `d`: [0, 1, ..., -2, -1] / (d n).

    Args:
        n: length of what is transformed.
        d: distance between its elements.
        dtype: by default that of Python numbers.

    >>> import hograd as ho
    >>> ho.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    return ops.tensor(np.fft.fftfreq(n, d).astype(dtype or default_dtype()))


def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None) -> Tensor:
    """The frequencies of `rfft`, in cycles per unit of `d`: [0, 1, ..., n // 2] / (d n).

    Args:
        n: length of what is transformed.
        d: distance between its elements.
        dtype: by default that of Python numbers.

    >>> import hograd as ho
    >>> ho.fft.rfftfreq(4)
    tensor([0.0000, 0.2500, 0.5000])
    """
    return ops.tensor(np.fft.rfftfreq(n, d).astype(dtype or default_dtype()))
