"""Further Fourier transforms of real signals, made of those in `fourier`."""

from __future__ import annotations

from typing import Any

from hograd.core.declare import case, composite
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError
from hograd.ops.axes import operand

#: The transform forth is scaled as the one back, seen from the other side.
_OPPOSITE = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}


def _opposite(norm: str | None, name: str) -> str:
    if norm not in _OPPOSITE:
        raise ArgumentError(f"fft.{name} got norm={norm!r}, expected 'backward', 'ortho' or 'forward'.")
    return _OPPOSITE[norm]


@composite(lambda s: [case(s.normal(2, 3)), case(s.normal(2, 3, 2), (2, 5), norm="ortho")], name="fft_rfft2")
def rfft2(F: Any, x: Any, s: Any = None, axis: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`rfftn` over the last two axes.

    >>> import hograd as ho
    >>> ho.fft.rfft2(ho.ones(1, 2))
    tensor([[2.+0.j, 0.+0.j]])
    """
    return F.fft_rfftn(x, s, axis, norm)


@composite(lambda s: [case(s.complex(2, 3)), case(s.complex(2, 3, 2), (2, 5), norm="ortho")], name="fft_irfft2")
def irfft2(F: Any, x: Any, s: Any = None, axis: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """Inverse of `rfft2`, with the same arguments.

    >>> import hograd as ho
    >>> ho.fft.irfft2(ho.tensor([[2.0 + 0j, 0.0]]))
    tensor([[1., 1.]])
    """
    return F.fft_irfftn(x, s, axis, norm)


@composite(lambda s: [case(s.complex(3)), case(s.complex(4, 3), 5, 0, "ortho")], name="fft_hfft")
def hfft(F: Any, x: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """Fourier transform of a signal of which one half is given, since the other is its conjugate: it is real.

    The arguments are those of `irfft`.

    >>> import hograd as ho
    >>> ho.fft.hfft(ho.tensor([1.0 + 0j, 1.0]))
    tensor([2., 0.])
    """
    return F.fft_irfft(F.conj(operand(F, x, "hfft")), n, axis, _opposite(norm, "hfft"))


@composite(lambda s: [case(s.normal(5)), case(s.normal(4, 3), 6, 0, "ortho")], name="fft_ihfft")
def ihfft(F: Any, x: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """Inverse of `hfft`, with the same arguments.

    >>> import hograd as ho
    >>> ho.fft.ihfft(ho.tensor([2.0, 0.0]))
    tensor([1.-0.j, 1.-0.j])
    """
    return F.conj(F.fft_rfft(x, n, axis, _opposite(norm, "ihfft")))
