"""Discrete Fourier transforms, by the names and with the meaning of `torch.fft`.

Gradients by complex tensors follow PyTorch's convention, dL/da + i dL/db for z = a + i b.
"""

from hograd.ops.fourier import (
    fft,
    fft2,
    fftfreq,
    fftn,
    fftshift,
    ifft,
    ifft2,
    ifftn,
    ifftshift,
    irfft,
    irfftn,
    rfft,
    rfftfreq,
    rfftn,
)
from hograd.ops.fourier_real import hfft, ihfft, irfft2, rfft2

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]
