"""Arithmetic and powers. Arguments are broadcast, and cast to one dtype by `core.dispatch.promote`."""

from __future__ import annotations

import builtins
import math
import operator
from typing import Any

import numpy as np

from hograd.backend import default_dtype, is_number
from hograd.core.declare import binary, case, elementwise, extended, operation, unary
from hograd.core.dispatch import apply, as_operand, call, promote, wrap
from hograd.core.primitive import ops, register
from hograd.core.tensor import Tensor
from hograd.core.traced import is_weak
from hograd.errors import ArgumentError
from hograd.ops.samples import anywhere, away_from_zero, pairs, positive_pairs

__all__ = [
    "add",
    "div",
    "floor_divide",
    "gcd",
    "lcm",
    "mul",
    "neg",
    "pow",
    "reciprocal",
    "remainder",
    "rsub",
    "square",
    "sub",
]

binary("add", operator.add, (1, 1), samples=pairs, doc="")


@extended
def add(a: Any, b: Any, *, alpha: Any = 1) -> Tensor:
    """Sum  a + alpha * b, elementwise.

    >>> import hograd as ho
    >>> ho.add(ho.tensor([1.0, 2.0]), 3)
    tensor([4., 5.])
    """
    return ops.add(a, b if type(alpha) is int and alpha == 1 else ops.mul(b, alpha))


binary("sub", operator.sub, (1, -1), samples=pairs, doc="")


@extended
def sub(a: Any, b: Any, *, alpha: Any = 1) -> Tensor:
    """Difference  a - alpha * b, elementwise.

    >>> import hograd as ho
    >>> ho.sub(5, ho.tensor([1.0, 2.0]))
    tensor([4., 3.])
    """
    return ops.sub(a, b if type(alpha) is int and alpha == 1 else ops.mul(b, alpha))


@operation(None, lambda s: [case(s.normal(3), s.normal(2, 1)), case(s.normal(3), 2.5, alpha=3)])
def rsub(a: Any, b: Any, alpha: Any = 1) -> Tensor:
    """Difference the other way round,  b - alpha * a, elementwise.

    >>> import hograd as ho
    >>> ho.rsub(ho.tensor([1.0, 2.0]), 5, alpha=2)
    tensor([3., 1.])
    """
    return sub(b, a, alpha=alpha)


mul = binary(
    "mul",
    operator.mul,
    (lambda F, b: b, lambda F, a: a),
    samples=pairs,
    doc="""Product  a * b, elementwise.

    >>> import hograd as ho
    >>> ho.mul(ho.tensor([1.0, 2.0]), ho.tensor([3.0, 4.0]))
    tensor([3., 8.])
    """,
)


_FLOAT64 = np.dtype(np.float64)


def _quotient(a: Any, b: Any) -> Any:
    y = np.true_divide(a, b)
    if y.dtype is _FLOAT64 and default_dtype() != _FLOAT64 and np.result_type(a, b).kind in "iub":
        return y.astype(default_dtype())
    return y


binary(
    "div",
    _quotient,
    (lambda F, g, b: g / b, lambda F, g, y, b: -(g / b * y)),
    samples=lambda s: [
        case(s.normal(3, 4), s.away_from_zero(3, 4)),
        case(s.normal(3, 1), s.away_from_zero(4)),
        case(s.normal(2, 3), 2.5),
        case(-1.5, s.away_from_zero(3)),
        case(s.normal(), s.away_from_zero()),
    ],
    doc="",
)


@extended
def div(a: Any, b: Any, *, rounding_mode: str | None = None) -> Tensor:
    """Quotient  a / b, elementwise; integers are divided to floating numbers, unless the quotient is rounded.

    Args:
        a, b: tensors or numbers.
        rounding_mode: None for the quotient itself, "trunc" to round it towards 0, "floor" to round it down; rounded it
            has the derivative 0.

    >>> import hograd as ho
    >>> ho.div(ho.tensor([1.0, -2.0]), 4)
    tensor([ 0.2500, -0.5000])
    >>> ho.div(ho.tensor([7, -7]), 2, rounding_mode="trunc")
    tensor([ 3, -3])
    """
    return ops.div(a, b) if rounding_mode is None else ops.rounded_quotient(a, b, rounding_mode)


def _rounded_quotient(a: Any, b: Any, rounding_mode: str) -> Tensor:
    if rounding_mode == "floor":
        return ops.floor_divide(a, b)
    if rounding_mode != "trunc":
        raise ArgumentError(f"div got rounding_mode={rounding_mode!r}, expected None, 'trunc' or 'floor'.")
    rest = ops.fmod(a, b)
    return ops.trunc(ops.div(a, b)) if rest.dtype.kind == "f" else ops.floor_divide(ops.sub(a, rest), b)


register("rounded_quotient", _rounded_quotient, None)


neg = unary(
    "neg",
    operator.neg,
    -1,
    integers=True,
    samples=anywhere,
    doc="""Negative  -x.

    >>> import hograd as ho
    >>> ho.neg(ho.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """,
)


floor_divide = binary(
    "floor_divide",
    np.floor_divide,
    (0, 0),
    samples=lambda s: [
        case(s.array([5.3, -7.1, 9.4]), s.array([2.0, 2.2, -4.1])),
        case(s.array([5.3, -7.1]), 2.0),
    ],
    doc="""The quotient a / b rounded down, elementwise; its derivative is 0.

    >>> import hograd as ho
    >>> ho.floor_divide(ho.tensor([7.0, -7.0]), 2)
    tensor([ 3., -4.])
    """,
)


remainder = binary(
    "remainder",
    np.remainder,
    (1, lambda F, g, a, b: -g * F.floor_divide(a, b)),
    samples=lambda s: [
        case(s.array([5.3, -7.1, 9.4]), s.array([2.0, 2.2, -4.1])),
        case(s.array([5.3, -7.1]), 2.0),
    ],
    doc="""a - b * floor(a / b), elementwise, with the sign of b.

    >>> import hograd as ho
    >>> ho.remainder(ho.tensor([7.0, -7.0]), 4)
    tensor([3., 1.])
    """,
)


square = unary(
    "square",
    np.square,
    lambda F, x: 2 * x,
    integers=True,
    samples=anywhere,
    doc="""Square  x**2.

    >>> import hograd as ho
    >>> ho.square(ho.tensor([-3.0, 2.0]))
    tensor([9., 4.])
    """,
)


reciprocal = unary(
    "reciprocal",
    lambda x: 1 / x,
    lambda F, y: -y * y,
    samples=away_from_zero,
    doc="""1 / x.

    >>> import hograd as ho
    >>> ho.reciprocal(ho.tensor([-4.0, 2.0]))
    tensor([-0.2500,  0.5000])
    """,
)


def _power_kernel(x: Any, exponent: Any) -> Any:
    if not is_number(exponent):
        return x**exponent
    if type(exponent) is int and exponent == 1:
        return x
    # As NumPy has it for arrays, but not for numbers: nan at -inf, and -0.0 at -0.0.
    if exponent == 0.5:
        return np.sqrt(x)
    if exponent == -0.5:
        return 1 / np.sqrt(x)
    if x.dtype.kind == "c" and -math.inf < exponent < 0 and exponent == int(exponent):
        # The power itself may be too large.
        return (1 / x) ** -int(exponent)
    return x**exponent


def _power_pull(F: Any, g: Any, x: Any, exponent: float) -> Any:
    return g * (exponent * F.pow(x, exponent - 1)) if exponent else F.zeros_like(g)


_power = elementwise("power", _power_kernel, [_power_pull], "x")


def _exponent_pull(F: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    """y ln a, and 0 where a is 0 and b is not negative: the limit from b > 0."""
    flat = (a == 0) & (b >= 0)
    return F.where(flat, 0.0, g * y * F.log(F.where(flat, 1.0, a)))


_power_tensor = elementwise(
    "pow",
    lambda a, b: a**b,
    (
        # b a**(b-1), and 0 where both are 0.
        lambda F, g, a, b: g * b * a ** F.where((a == 0) & (b == 0), 1.0, b - 1),
        _exponent_pull,
    ),
    "a b",
)


@operation(
    _power_kernel,
    lambda s: [
        *positive_pairs(s),
        case(s.normal(3, 4), 2),
        case(s.normal(3), 3),
        case(s.away_from_zero(3), -2),
        case(s.normal(2), 0),
        case(s.normal(2), 1),
        case(s.positive(4), 0.5),
        case(s.positive(3), s.array([0.0, 1.0, 2.0])),
    ],
)
def pow(a: Any, b: Any) -> Tensor:
    """Power  a**b, elementwise.

    Args:
        a: base; where it is negative, the exponent must be whole.
        b: exponent; a Python number is exact at a = 0 to every order (x**2 has derivatives 2x, 2, 0), and 0.5 is the
            square root, nan at -inf and -0.0 at -0.0, as in PyTorch.

    Where b is a tensor, the derivative with respect to a is 0 at b = 0, and the one with respect to b is 0 at
    a = 0 for b >= 0, as in PyTorch.

    >>> import hograd as ho
    >>> ho.pow(ho.tensor([2.0, 3.0]), 2)
    tensor([4., 9.])
    """
    a, b = (v if isinstance(v, Tensor) else as_operand(v, "pow", i) for i, v in enumerate((a, b)))
    a = a if is_number(a) else wrap(a)
    if is_number(b) and isinstance(a, Tensor):
        if a.dtype.kind in "iu" and type(b) is int and b < 0:
            raise ArgumentError(f"Integers to negative integer powers are not allowed: found {b}, write {b}.0 instead.")
        if a.dtype.kind in "iub" and type(b) is float:
            a = ops.astype(a, promote("pow", a, b)[0].dtype)
        if a.dtype.kind == "f" or (a.dtype.kind == "c" and type(b) is not builtins.complex):
            return wrap(apply(_power, (a,), {"exponent": b}))
    if not (is_weak(b) and isinstance(a, Tensor) and a.dtype.kind == "f"):
        a, b = promote("pow", a, b)
    if is_number(a) and not is_weak(b):
        # Rules take its logarithm, in the dtype of the exponent.
        a = ops.tensor(a, dtype=getattr(b, "dtype", None))
    return call(_power_tensor, [a, b], {})


def _whole_pairs(s: Any) -> list[Any]:
    return [case(np.array([12, -18, 0]), np.array([8, 27, 5])), case(np.array([[4], [6]]), np.array([6, 10]))]


gcd = binary(
    "gcd",
    np.gcd,
    None,
    samples=_whole_pairs,
    doc="""Greatest common divisor of whole numbers, elementwise.

    >>> import hograd as ho
    >>> ho.gcd(ho.tensor([12, 7]), 8)
    tensor([4, 1])
    """,
)

lcm = binary(
    "lcm",
    np.lcm,
    None,
    samples=_whole_pairs,
    doc="""Least common multiple of whole numbers, elementwise.

    >>> import hograd as ho
    >>> ho.lcm(ho.tensor([12, 7]), 8)
    tensor([24, 56])
    """,
)
