"""Rounding, signs and the parts of numbers, tests for infinities, and elementwise sums of products."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hograd.core.declare import binary, case, composite, elementwise, operation, unary
from hograd.core.dispatch import call
from hograd.core.fast import as_floating
from hograd.core.primitive import ops, register
from hograd.core.tensor import Tensor
from hograd.errors import DtypeError
from hograd.ops.axes import operand, tensor_of
from hograd.ops.samples import anywhere, away_from_zero

__all__ = [
    "addcdiv",
    "addcmul",
    "ceil",
    "copysign",
    "floor",
    "fmod",
    "frac",
    "frexp",
    "heaviside",
    "isinf",
    "isneginf",
    "isposinf",
    "lerp",
    "nan_to_num",
    "nextafter",
    "round",
    "signbit",
    "trunc",
]


def _whole(kernel: Any) -> Any:
    """A rounding function that leaves whole numbers in their dtype."""
    return lambda x: kernel(x) if x.dtype.kind == "f" else +x


floor = unary(
    "floor",
    _whole(np.floor),
    0,
    integers=True,
    samples=anywhere,
    doc="""Largest whole number that is not above x; its derivative is 0 everywhere.

    >>> import hograd as ho
    >>> ho.floor(ho.tensor([1.5, -1.5]))
    tensor([ 1., -2.])
    """,
)


ceil = unary(
    "ceil",
    _whole(np.ceil),
    0,
    integers=True,
    samples=anywhere,
    doc="""Smallest whole number that is not below x; its derivative is 0 everywhere.

    >>> import hograd as ho
    >>> ho.ceil(ho.tensor([1.5, -1.5]))
    tensor([ 2., -1.])
    """,
)


trunc = unary(
    "trunc",
    _whole(np.trunc),
    0,
    integers=True,
    samples=anywhere,
    doc="""x rounded towards 0; its derivative is 0 everywhere.

    >>> import hograd as ho
    >>> ho.trunc(ho.tensor([1.5, -1.5]))
    tensor([ 1., -1.])
    """,
)


frac = unary(
    "frac",
    lambda x: x - np.trunc(x),
    1,
    samples=anywhere,
    doc="""x minus x rounded towards 0; its derivative is 1 everywhere.

    >>> import hograd as ho
    >>> ho.frac(ho.tensor([1.5, -1.25]))
    tensor([ 0.5000, -0.2500])
    """,
)


class Parts(NamedTuple):
    """A number as  mantissa 2**exponent."""

    mantissa: Tensor
    exponent: Tensor


_exponent = elementwise("binary_exponent", lambda x: np.frexp(x)[1], None, "x")
_mantissa = elementwise(
    "mantissa", lambda x: np.frexp(x)[0], [lambda F, g, x: F.ldexp(g, F.neg(F.binary_exponent(x)))], "x"
)
register("binary_exponent", lambda x: call(_exponent, (x,), {}), lambda x: np.frexp(x)[1])


@operation(np.frexp, away_from_zero)
def frexp(x: Any) -> Parts:
    """x as  mantissa 2**exponent  with |mantissa| from 1/2 up to but without 1; both are 0 where x is 0.

    Args:
        x: floating tensor. The derivative of the mantissa is 2**-exponent; the exponent is int32 and constant.

    >>> import hograd as ho
    >>> ho.frexp(ho.tensor([1.5, -8.0]))
    Parts(mantissa=tensor([ 0.7500, -0.5000]), exponent=tensor([1, 4], dtype=int32))
    """
    x = tensor_of(x, "frexp")
    if x.dtype.kind != "f":
        raise DtypeError(f"frexp only supports floating-point dtypes, found {x.dtype}.")
    return Parts(call(_mantissa, (x,), {}), ops.binary_exponent(x))


def _round_kernel(x: Any, decimals: int = 0) -> Any:
    return np.round(x, decimals) if x.dtype.kind == "f" or decimals < 0 else +x


_round = elementwise("round", _round_kernel, [0], "x")


@operation(_round_kernel, lambda s: [*anywhere(s), case(s.normal(3), decimals=1)])
def round(x: Any, *, decimals: int = 0) -> Tensor:
    """x rounded to the nearest number of so many decimals, halves to the even one; its derivative is 0 everywhere.

    Args:
        x: tensor.
        decimals: int; negative ones round to tens, hundreds and so on.

    >>> import hograd as ho
    >>> ho.round(ho.tensor([0.5, 1.5, -2.75]))
    tensor([ 0.,  2., -3.])
    """
    return call(_round, (tensor_of(x, "round"),), {"decimals": decimals})


fmod = binary(
    "fmod",
    np.fmod,
    (1, lambda F, g, a, b: -g * F.trunc(F.stop_gradient(a / b))),
    samples=lambda s: [
        case(s.array([5.3, -7.1, 9.4]), s.array([2.0, 2.2, -4.1])),
        case(s.array([5.3, -7.1]), 2.0),
    ],
    doc="""a - b * trunc(a / b), elementwise, with the sign of a.

    >>> import hograd as ho
    >>> ho.fmod(ho.tensor([7.0, -7.0]), 4)
    tensor([ 3., -3.])
    """,
)


heaviside = binary(
    "heaviside",
    np.heaviside,
    (0, lambda F, g, a: F.where(a == 0, g, 0.0)),
    samples=lambda s: [
        case(s.away_from_zero(3, 4), s.normal(3, 4)),
        case(s.away_from_zero(3, 1), s.normal(4)),
        case(s.away_from_zero(3), 0.5),
    ],
    doc="""Step: 0 where a < 0, 1 where a > 0, and b where a is 0, elementwise; its derivative in a is 0 everywhere.

    >>> import hograd as ho
    >>> ho.heaviside(ho.tensor([-2.0, 0.0, 2.0]), 0.5)
    tensor([0.0000, 0.5000, 1.0000])
    """,
)


copysign = binary(
    "copysign",
    np.copysign,
    (lambda F, g, y, a: F.where(a == 0, 0.0, F.where((y < 0) == (a < 0), g, -g)), 0),
    samples=lambda s: [
        case(s.away_from_zero(3, 4), s.away_from_zero(3, 4)),
        case(s.away_from_zero(3, 1), s.away_from_zero(4)),
        case(s.away_from_zero(3), -1.0),
    ],
    floating=True,
    doc="""The magnitude of a with the sign of b, elementwise; its derivative at a = 0 is 0.

    >>> import hograd as ho
    >>> ho.copysign(ho.tensor([1.0, -2.0]), -1)
    tensor([-1., -2.])
    """,
)


def _nan_to_num_kernel(x: Any, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


_nan_to_num = elementwise("nan_to_num", _nan_to_num_kernel, [lambda F, g, x: F.where(F.isfinite(x), g, 0.0)], "x")


@operation(_nan_to_num_kernel, lambda s: [*anywhere(s), case(s.normal(3), nan=1.0, posinf=2.0, neginf=-2.0)])
def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """x with numbers in place of nan and the infinities, where the derivative is 0.

    Args:
        x: floating tensor.
        nan: number for nan.
        posinf, neginf: numbers for inf and -inf; None takes the largest and smallest numbers of the dtype.

    >>> import hograd as ho
    >>> ho.nan_to_num(ho.tensor([1.0, ho.nan, ho.inf]), posinf=9.0)
    tensor([1., 0., 9.])
    """
    options = {"nan": 0.0 if nan is None else nan, "posinf": posinf, "neginf": neginf}
    return call(_nan_to_num, (as_floating(x, _nan_to_num),), options)


def _test(name: str, kernel: Any, doc: str, example: str, answer: str) -> Any:
    return unary(
        name,
        kernel,
        None,
        samples=away_from_zero,
        doc=f"""{doc}, elementwise, as a bool tensor.

    >>> import hograd as ho
    >>> ho.{name}(ho.tensor([{example}]))
    tensor([{answer}])
    """,
    )


isinf = _test("isinf", np.isinf, "Whether x is inf or -inf", "1.0, -ho.inf", "False,  True")


isposinf = _test("isposinf", np.isposinf, "Whether x is inf", "1.0, ho.inf", "False,  True")


isneginf = _test("isneginf", np.isneginf, "Whether x is -inf", "1.0, -ho.inf", "False,  True")


signbit = _test("signbit", np.signbit, "Whether x has a minus sign, as -0.0 has", "0.0, -0.0", "False,  True")


def _three(s: Any) -> list[Any]:
    return [
        case(s.normal(3, 4), s.normal(3, 4), s.away_from_zero(3, 4)),
        case(s.normal(3, 1), s.normal(4), s.away_from_zero()),
    ]


@composite(lambda s: [*_three(s), case(s.normal(3), s.normal(3), 0.3)])
def lerp(F: Any, start: Any, end: Any, weight: Any) -> Tensor:
    """Linear interpolation  start + weight (end - start), elementwise.

    Args:
        start, end: floating tensors.
        weight: number or tensor; 0 gives `start`, 1 gives `end`, others go beyond.

    >>> import hograd as ho
    >>> ho.lerp(ho.tensor([0.0, 10.0]), ho.tensor([1.0, 20.0]), 0.5)
    tensor([ 0.5000, 15.0000])
    """
    start, end = operand(F, start, "lerp"), operand(F, end, "lerp")
    return F.add(start, F.mul(weight, F.sub(end, start)))


@composite(lambda s: [*_three(s), case(s.normal(3), s.normal(3), s.normal(3), value=0.3)])
def addcmul(F: Any, x: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """x + value tensor1 tensor2, elementwise.

    Args:
        x, tensor1, tensor2: tensors, broadcast against each other.
        value: number or tensor.

    >>> import hograd as ho
    >>> ho.addcmul(ho.tensor([1.0, 2.0]), ho.tensor([3.0, 4.0]), ho.tensor([5.0, 6.0]), value=0.5)
    tensor([ 8.5000, 14.0000])
    """
    x, product = operand(F, x, "addcmul"), F.mul(tensor1, tensor2)
    return F.add(x, product if isinstance(value, int) and value == 1 else F.mul(value, product))


@composite(lambda s: [*_three(s), case(s.normal(3), s.normal(3), s.away_from_zero(3), value=0.3)])
def addcdiv(F: Any, x: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """x + value tensor1 / tensor2, elementwise.

    Args:
        x, tensor1, tensor2: tensors, broadcast against each other.
        value: number or tensor.

    >>> import hograd as ho
    >>> ho.addcdiv(ho.tensor([1.0, 2.0]), ho.tensor([3.0, 4.0]), ho.tensor([2.0, 5.0]), value=2)
    tensor([4.0000, 3.6000])
    """
    x, quotient = operand(F, x, "addcdiv"), F.div(tensor1, tensor2)
    return F.add(x, quotient if isinstance(value, int) and value == 1 else F.mul(value, quotient))


nextafter = binary(
    "nextafter",
    np.nextafter,
    (1, 0),
    samples=lambda s: [case(s.normal(3, 4), s.normal(3, 4)), case(s.normal(3, 1), s.normal(4))],
    doc="""The floating number next to a in the direction of b, elementwise; its derivative is that of a.

    >>> import hograd as ho
    >>> (ho.nextafter(ho.tensor([1.0]), ho.tensor([2.0])) > 1).all()
    tensor(True)
    """,
)
