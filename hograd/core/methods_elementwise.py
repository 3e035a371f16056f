"""Methods of tensors for the elementwise functions that PyTorch has as methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hograd.core.primitive import ops

if TYPE_CHECKING:
    from hograd.core.tensor import Tensor


class ElementwiseMethods:
    """Each is the operation of that name with the tensor as first argument."""

    __slots__ = ()

    def tan(self) -> Tensor:
        return ops.tan(self)

    def asin(self) -> Tensor:
        return ops.asin(self)

    arcsin = asin

    def acos(self) -> Tensor:
        return ops.acos(self)

    arccos = acos

    def atan(self) -> Tensor:
        return ops.atan(self)

    arctan = atan

    def sinh(self) -> Tensor:
        return ops.sinh(self)

    def cosh(self) -> Tensor:
        return ops.cosh(self)

    def asinh(self) -> Tensor:
        return ops.asinh(self)

    arcsinh = asinh

    def acosh(self) -> Tensor:
        return ops.acosh(self)

    arccosh = acosh

    def atanh(self) -> Tensor:
        return ops.atanh(self)

    arctanh = atanh

    def deg2rad(self) -> Tensor:
        return ops.deg2rad(self)

    def rad2deg(self) -> Tensor:
        return ops.rad2deg(self)

    def sinc(self) -> Tensor:
        return ops.sinc(self)

    def log2(self) -> Tensor:
        return ops.log2(self)

    def log10(self) -> Tensor:
        return ops.log10(self)

    def exp2(self) -> Tensor:
        return ops.exp2(self)

    def rsqrt(self) -> Tensor:
        return ops.rsqrt(self)

    def floor(self) -> Tensor:
        return ops.floor(self)

    def ceil(self) -> Tensor:
        return ops.ceil(self)

    def trunc(self) -> Tensor:
        return ops.trunc(self)

    fix = trunc

    def frac(self) -> Tensor:
        return ops.frac(self)

    def isinf(self) -> Tensor:
        return ops.isinf(self)

    def isposinf(self) -> Tensor:
        return ops.isposinf(self)

    def isneginf(self) -> Tensor:
        return ops.isneginf(self)

    def signbit(self) -> Tensor:
        return ops.signbit(self)

    def erf(self) -> Tensor:
        return ops.erf(self)

    def erfc(self) -> Tensor:
        return ops.erfc(self)

    def erfinv(self) -> Tensor:
        return ops.erfinv(self)

    def digamma(self) -> Tensor:
        return ops.digamma(self)

    def i0(self) -> Tensor:
        return ops.i0(self)

    def atan2(self, other: Any) -> Tensor:
        return ops.atan2(self, other)

    arctan2 = atan2

    def hypot(self, other: Any) -> Tensor:
        return ops.hypot(self, other)

    def logaddexp(self, other: Any) -> Tensor:
        return ops.logaddexp(self, other)

    def logaddexp2(self, other: Any) -> Tensor:
        return ops.logaddexp2(self, other)

    def xlogy(self, other: Any) -> Tensor:
        return ops.xlogy(self, other)

    def fmod(self, other: Any) -> Tensor:
        return ops.fmod(self, other)

    def copysign(self, other: Any) -> Tensor:
        return ops.copysign(self, other)

    def heaviside(self, other: Any) -> Tensor:
        return ops.heaviside(self, other)

    def fmax(self, other: Any) -> Tensor:
        return ops.fmax(self, other)

    def fmin(self, other: Any) -> Tensor:
        return ops.fmin(self, other)

    def isclose(self, other: Any, **tolerances: Any) -> Tensor:
        return ops.isclose(self, other, **tolerances)

    def prelu(self, weight: Any) -> Tensor:
        return ops.prelu(self, weight)

    def hardshrink(self, lambd: Any = 0.5) -> Tensor:
        return ops.hardshrink(self, lambd)

    def round(self, *, decimals: Any = 0) -> Tensor:
        return ops.round(self, decimals=decimals)

    def nan_to_num(self, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Tensor:
        return ops.nan_to_num(self, nan, posinf, neginf)

    def logit(self, eps: Any = None) -> Tensor:
        return ops.logit(self, eps)

    def lerp(self, end: Any, weight: Any) -> Tensor:
        return ops.lerp(self, end, weight)

    def addcmul(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
        return ops.addcmul(self, tensor1, tensor2, value=value)

    def addcdiv(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
        return ops.addcdiv(self, tensor1, tensor2, value=value)

    def lgamma(self) -> Tensor:
        return ops.gammaln(self)

    def polygamma(self, n: Any) -> Tensor:
        return ops.polygamma(n, self)

    def igamma(self, other: Any) -> Tensor:
        return ops.gammainc(self, other)

    def igammac(self, other: Any) -> Tensor:
        return ops.gammaincc(self, other)

    def absolute(self) -> Tensor:
        return ops.abs(self)

    def negative(self) -> Tensor:
        return ops.neg(self)

    def positive(self) -> Tensor:
        return ops.clone(self)
