"""Methods of complex tensors, each the operation of that name with the tensor as first argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hograd.core.primitive import ops

if TYPE_CHECKING:
    from hograd.core.tensor import Tensor


class ComplexMethods:
    """The methods of complex tensors that PyTorch's tensors have."""

    __slots__ = ()

    @property
    def real(self) -> Tensor:
        """The real part."""
        return ops.real(self)

    @property
    def imag(self) -> Tensor:
        """The imaginary part."""
        return ops.imag(self)

    def conj(self) -> Tensor:
        return ops.conj(self)

    def angle(self) -> Tensor:
        return ops.angle(self)

    def sgn(self) -> Tensor:
        return ops.sgn(self)

    def is_complex(self) -> bool:
        """Whether the elements are complex numbers."""
        return self.dtype.kind == "c"  # type: ignore[attr-defined]
