"""Methods of tensors: further names that PyTorch has for operations, and functions that it has as methods too."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hograd.core.primitive import ops

if TYPE_CHECKING:
    from hograd.core.tensor import Tensor


def _method(name: str) -> Any:
    """The operation of this name as a method."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        return getattr(ops, name)(self, *args, **options)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`hograd.{name}` with the tensor as first argument."
    return method


def _alias(name: str) -> Any:
    """Another name of the method `name`."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        return getattr(self, name)(*args, **options)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"The same as `{name}`."
    return method


def _converted(dtype: Any) -> Any:
    def method(self: Any) -> Any:
        return ops.astype(self, np.dtype(dtype))

    method.__doc__ = f"The tensor in {np.dtype(dtype)}."
    return method


class NamedMethods:
    """Each is the operation of that name with the tensor as first argument."""

    __slots__ = ()

    dtype: Any
    shape: Any

    multiply, subtract, divide, true_divide = _alias("mul"), _alias("sub"), _alias("div"), _alias("div")
    greater, greater_equal, less, less_equal = _method("gt"), _method("ge"), _method("lt"), _method("le")
    not_equal = _method("ne")
    bitwise_and, bitwise_or = _method("bitwise_and"), _method("bitwise_or")
    bitwise_xor, bitwise_not = _method("bitwise_xor"), _method("bitwise_not")
    bitwise_left_shift, bitwise_right_shift = _method("bitwise_left_shift"), _method("bitwise_right_shift")
    __lshift__, __rshift__ = bitwise_left_shift, bitwise_right_shift

    def __rlshift__(self, other: Any) -> Tensor:
        return ops.bitwise_left_shift(other, self)

    def __rrshift__(self, other: Any) -> Tensor:
        return ops.bitwise_right_shift(other, self)

    clamp_min, clamp_max = _method("clamp_min"), _method("clamp_max")
    gcd, lcm, nextafter = _method("gcd"), _method("lcm"), _method("nextafter")
    float_power, ldexp, mvlgamma = _method("float_power"), _method("ldexp"), _method("mvlgamma")
    adjoint, isreal = _method("adjoint"), _method("isreal")
    conj_physical, resolve_conj, resolve_neg = _method("conj"), _method("clone"), _method("clone")
    cov, corrcoef, histc, renorm = _method("cov"), _method("corrcoef"), _method("histc"), _method("renorm")
    frexp, histogram, stft, istft = _method("frexp"), _method("histogram"), _method("stft"), _method("istft")
    index_put, put, take_along_dim = _method("index_put"), _method("put"), _method("take_along_dim")
    index_reduce = _method("index_reduce")
    select_scatter, slice_scatter = _method("select_scatter"), _method("slice_scatter")
    diagonal_scatter = _method("diagonal_scatter")
    unique_consecutive = _method("unique_consecutive")
    multinomial, bernoulli = _method("multinomial"), _method("bernoulli")

    half, short, byte, char = _converted("f2"), _converted("i2"), _converted("u1"), _converted("i1")
    cfloat, cdouble = _converted("c8"), _converted("c16")

    @property
    def mH(self) -> Tensor:
        """The last two axes swapped, and the conjugate."""
        return ops.adjoint(self)

    H = mH

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return math.prod(self.shape) * self.dtype.itemsize
