"""Powers and logarithms to other bases, sums of what is given by logarithms, and products with a logarithm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.backend import scalarize
from hograd.core.declare import binary, case, composite, elementwise, operation, unary
from hograd.core.dispatch import call
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.ops.axes import operand, tensor_of
from hograd.ops.samples import anywhere, pairs, positive
from hograd.ops.scipy import floats, scipy_function

__all__ = ["exp2", "float_power", "ldexp", "log10", "log2", "logaddexp", "logaddexp2", "rsqrt", "xlogy"]

log2 = unary(
    "log2",
    np.log2,
    lambda F, g, x: g / (x * math.log(2)),
    samples=positive,
    doc="""Logarithm to base 2; -inf at 0, nan below.

    >>> import hograd as ho
    >>> ho.log2(ho.tensor([1.0, 8.0]))
    tensor([0., 3.])
    """,
)


log10 = unary(
    "log10",
    np.log10,
    lambda F, g, x: g / x * (1 / math.log(10)),
    samples=positive,
    doc="""Logarithm to base 10; -inf at 0, nan below.

    >>> import hograd as ho
    >>> ho.log10(ho.tensor([1.0, 100.0]))
    tensor([0., 2.])
    """,
)


exp2 = unary(
    "exp2",
    np.exp2,
    lambda F, y: y * math.log(2),
    samples=anywhere,
    doc="""Power of two  2**x.

    >>> import hograd as ho
    >>> ho.exp2(ho.tensor([0.0, 3.0]))
    tensor([1., 8.])
    """,
)


rsqrt = unary(
    "rsqrt",
    lambda x: 1 / np.sqrt(x),
    lambda F, y: y * y * y * -0.5,
    samples=positive,
    doc="""1 / sqrt(x); inf at 0, nan below.

    >>> import hograd as ho
    >>> ho.rsqrt(ho.tensor([1.0, 4.0]))
    tensor([1.0000, 0.5000])
    """,
)


logaddexp = binary(
    "logaddexp",
    np.logaddexp,
    (lambda F, a, b: F.sigmoid(a - b), lambda F, a, b: F.sigmoid(b - a)),
    samples=pairs,
    floating=True,
    doc="""ln(e**a + e**b), stable for large numbers; its derivatives are nan where both are the same infinity.

    >>> import hograd as ho
    >>> ho.logaddexp(ho.tensor([-1000.0, -1000.0]), ho.tensor([-1000.0, 0.0]))
    tensor([-999.3069,    0.0000])
    """,
)


logaddexp2 = binary(
    "logaddexp2",
    np.logaddexp2,
    (lambda F, a, b: F.sigmoid((a - b) * math.log(2)), lambda F, a, b: F.sigmoid((b - a) * math.log(2))),
    samples=pairs,
    floating=True,
    doc="""log2(2**a + 2**b), stable for large numbers; its derivatives are nan where both are the same infinity.

    >>> import hograd as ho
    >>> ho.logaddexp2(ho.tensor([0.0, -1000.0]), ho.tensor([0.0, -1000.0]))
    tensor([   1., -999.])
    """,
)


def _products(s: Any) -> list[Any]:
    return [
        case(s.normal(3, 4), s.positive(3, 4)),
        case(s.normal(3, 1), s.positive(4)),
        case(s.normal(2, 3), 2.5),
        case(-1.5, s.positive(3)),
        case(s.normal(), s.positive()),
    ]


def _flat(F: Any, a: Any, b: Any) -> Any:
    """Where the product is 0 by convention though the logarithm is not finite."""
    return (a == 0) & (b <= 0)


def _log_pull(F: Any, g: Any, a: Any, b: Any) -> Any:
    flat = _flat(F, a, b)
    return F.where(flat, 0.0, g * F.log(F.where(flat, 1.0, b)))


def _log1p_pull(F: Any, g: Any, a: Any, b: Any) -> Any:
    flat = _flat(F, a, b + 1)
    return F.where(flat, 0.0, g * F.log1p(F.where(flat, 0.0, b)))


def _quotient(F: Any, g: Any, a: Any, b: Any) -> Any:
    """g a / b, and 0 where both are 0."""
    flat = (a == 0) & (b == 0)
    return F.where(flat, 0.0, g * a / F.where(flat, 1.0, b))


xlogy = binary(
    "xlogy",
    scipy_function("xlogy"),
    (_log_pull, _quotient),
    samples=_products,
    floating=True,
    doc="""a ln b, and 0 where a is 0, unless b is nan.

    Where a is 0 and b <= 0 the derivatives are 0.

    >>> import hograd as ho
    >>> ho.xlogy(ho.tensor([0.0, 2.0]), ho.tensor([0.0, 10.0]))
    tensor([0.0000, 4.6052])
    """,
)


xlog1py = binary(
    "xlog1py",
    scipy_function("xlog1py"),
    (_log1p_pull, lambda F, g, a, b: _quotient(F, g, a, b + 1)),
    samples=_products,
    floating=True,
    doc="""a ln(1 + b), and 0 where a is 0, unless b is nan; precise for small b.

    Where a is 0 and b <= -1 the derivatives are 0.

    >>> import hograd as ho
    >>> ho.special.xlog1py(ho.tensor([0.0, 2.0]), ho.tensor([-1.0, 9.0]))
    tensor([0.0000, 4.6052])
    """,
)


@composite(lambda s: [case(s.positive(3, 4), s.normal(4)), case(s.normal(3), 2), case(2.0, s.normal(2))])
def float_power(F: Any, x: Any, exponent: Any) -> Tensor:
    """x**exponent in float64, or complex128.

    Args:
        x, exponent: numbers or tensors.

    >>> import hograd as ho
    >>> ho.float_power(ho.tensor([2, 3]), 2)
    tensor([4., 9.])
    """
    wide: list[Any] = [
        v if isinstance(v, (int, float, complex)) else operand(F, v, "float_power") for v in (x, exponent)
    ]
    for i, v in enumerate(wide):
        if hasattr(v, "dtype"):
            wide[i] = F.astype(v, np.complex128 if v.dtype.kind == "c" else np.float64)
    return F.pow(*wide)


#: No number of any dtype stays one when its exponent is raised by so much.
_BEYOND_EXPONENTS = 2**15


def _ldexp_kernel(a: Any, b: Any) -> Any:
    """a 2**b where 2**b is out of range, too: the whole part of b is added to the exponents."""
    if a.dtype.kind == "c":
        parts = np.stack([_ldexp_kernel(a.real, b.real), _ldexp_kernel(a.imag, b.real)], -1)
        return scalarize(parts.view(a.dtype)[..., 0])
    endless = np.isinf(b)
    whole = np.clip(np.trunc(np.where(np.isfinite(b), b, 0)), -_BEYOND_EXPONENTS, _BEYOND_EXPONENTS)
    # The factor left over is taken while the number is large, but never beyond the product.
    factor = np.exp2(np.where(endless, b, b - whole))
    y = np.ldexp(np.where(b < 0, a * factor, a), whole.astype(np.int32))
    return scalarize(np.where(b < 0, y, y * factor))


_ldexp = elementwise(
    "ldexp", _ldexp_kernel, (lambda F, g, b: F.ldexp(g, b), lambda F, g, y: g * y * math.log(2)), "a b"
)


@operation(_ldexp_kernel, lambda s: [case(s.normal(3, 4), s.normal(4)), case(s.normal(3), np.array([1, -2, 0]))])
def ldexp(a: Any, b: Any) -> Tensor:
    """a 2**b, elementwise, also where 2**b is out of range and the product is not.

    Args:
        a: number or tensor.
        b: number or tensor, of integers or floating.

    >>> import hograd as ho
    >>> ho.ldexp(ho.tensor([1.0, 3.0]), ho.tensor([2, -1]))
    tensor([4.0000, 1.5000])
    """
    b = tensor_of(b, "ldexp")
    if b.dtype.kind in "iu":
        b = ops.clip(ops.astype(b, np.int64), -_BEYOND_EXPONENTS, _BEYOND_EXPONENTS)
    return call(_ldexp, floats("ldexp", a, b), {})
