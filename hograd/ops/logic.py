"""Choosing and comparing: extrema of two tensors, `where`, `clip`, comparisons and logic."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from hograd.backend import is_number, scalarize
from hograd.core.declare import binary, case, composite, elementwise, operation, unary
from hograd.core.dispatch import as_operand, call, promote
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor, as_tensor, concrete
from hograd.errors import DtypeError
from hograd.ops.axes import operand
from hograd.ops.samples import anywhere, pairs

__all__ = [
    "allclose",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "clamp_max",
    "clamp_min",
    "clip",
    "eq",
    "fmax",
    "fmin",
    "ge",
    "gt",
    "isclose",
    "isfinite",
    "isnan",
    "le",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "maximum",
    "minimum",
    "ne",
    "where",
]

maximum = binary(
    "maximum",
    np.maximum,
    (
        lambda F, g, a, b: F.where(a < b, 0.0, F.where(a == b, g / 2, g)),
        lambda F, g, a, b: F.where(b < a, 0.0, F.where(a == b, g / 2, g)),
    ),
    samples=pairs,
    doc="""The larger of a and b, elementwise, nan if one is; ties share the derivative equally.

    >>> import hograd as ho
    >>> ho.maximum(ho.tensor([1.0, 5.0]), 3)
    tensor([3., 5.])
    """,
)


minimum = binary(
    "minimum",
    np.minimum,
    (
        lambda F, g, a, b: F.where(a > b, 0.0, F.where(a == b, g / 2, g)),
        lambda F, g, a, b: F.where(b > a, 0.0, F.where(a == b, g / 2, g)),
    ),
    samples=pairs,
    doc="""The smaller of a and b, elementwise, nan if one is; ties share the derivative equally.

    >>> import hograd as ho
    >>> ho.minimum(ho.tensor([1.0, 5.0]), 3)
    tensor([1., 3.])
    """,
)


fmax = binary(
    "fmax",
    np.fmax,
    (
        lambda F, g, a, b: F.where((a >= b) | (b != b), g, 0.0),
        lambda F, g, a, b: F.where((a >= b) | (b != b), 0.0, g),
    ),
    samples=pairs,
    doc="""The larger of a and b, elementwise, the other where one is nan; ties give the derivative to a.

    >>> import hograd as ho
    >>> ho.fmax(ho.tensor([1.0, ho.nan]), 3)
    tensor([3., 3.])
    """,
)


fmin = binary(
    "fmin",
    np.fmin,
    (
        lambda F, g, a, b: F.where((a <= b) | (b != b), g, 0.0),
        lambda F, g, a, b: F.where((a <= b) | (b != b), 0.0, g),
    ),
    samples=pairs,
    doc="""The smaller of a and b, elementwise, the other where one is nan; ties give the derivative to a.

    >>> import hograd as ho
    >>> ho.fmin(ho.tensor([1.0, ho.nan]), 3)
    tensor([1., 3.])
    """,
)


_where = elementwise(
    "where",
    lambda c, a, b: scalarize(np.where(c, a, b)),
    (None, lambda F, g, c: F.where(c, g, 0.0), lambda F, g, c: F.where(c, 0.0, g)),
    "c a b",
)


@operation(
    _where.kernel,
    lambda s: [
        case(s.mask(3, 4), s.normal(3, 4), s.normal(3, 4)),
        case(s.mask(3, 1), s.normal(4), 0.0),
        case(s.mask(3), 1.5, s.normal(3)),
        case(s.mask(), s.normal(2), s.normal()),
    ],
)
def where(condition: Any, a: Any, b: Any) -> Tensor:
    """a where `condition` holds and b elsewhere, elementwise.

    Args:
        condition: bool tensor.
        a, b: tensors or numbers, broadcast against it.

    The branch that is not taken gets a zero cotangent. A branch that is infinite or nan where it is not taken still
    gives nan if its own derivative is infinite there (0 * inf), as in PyTorch: guard its argument with a `where` too.

    >>> import hograd as ho
    >>> ho.where(ho.tensor([True, False]), ho.tensor([1.0, 2.0]), 0)
    tensor([1., 0.])
    """
    condition = condition if isinstance(condition, Tensor) else as_operand(condition, "where", 0)
    if getattr(condition, "dtype", np.bool_) != np.bool_:
        raise DtypeError(f"where: condition has dtype {condition.dtype}, expected bool: compare first, as in x != 0.")
    a, b = promote("where", a, b)
    if is_number(a) and is_number(b):
        a, b = promote("where", ops.tensor(a), ops.tensor(b))
    return call(_where, (condition, a, b), {})


@composite(
    lambda s: [
        case(s.normal(3, 4), -0.5, 0.7),
        case(s.normal(3), 0.1),
        case(s.normal(3), max=0.1),
        case(s.normal(3), s.normal(3) - 2, s.normal(3) + 2),
    ]
)
def clip(F: Any, x: Any, min: Any = None, max: Any = None) -> Tensor:
    """x limited to the range from `min` to `max`, elementwise.

    Args:
        x: tensor.
        min, max: numbers, tensors or None for no limit.

    At the limits the derivative with respect to x is 1; where x is outside, it goes to the limit.

    >>> import hograd as ho
    >>> ho.clip(ho.tensor([-2.0, 0.5, 3.0]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    x = operand(F, x, "clip")
    if min is not None:
        x = F.where(F.lt(x, min), min, x)
    if max is not None:
        x = F.where(F.gt(x, max), max, x)
    return x


def _compared(s: Any) -> list[Any]:
    return [case(s.normal(3, 4), s.normal(3, 4)), case(s.normal(3, 1), s.normal(4)), case(s.normal(3), 0.0)]


def _comparison(name: str, kernel: Any, sign: str, examples: str) -> Any:
    return binary(
        name,
        kernel,
        None,
        samples=_compared,
        doc=f"""a {sign} b, elementwise, as a bool tensor.

    >>> import hograd as ho
    >>> ho.{name}(ho.tensor([1.0, 2.0]), 2)
    tensor([{examples}])
    """,
    )


eq = _comparison("eq", operator.eq, "==", "False,  True")


ne = _comparison("ne", operator.ne, "!=", " True, False")


lt = _comparison("lt", operator.lt, "<", " True, False")


le = _comparison("le", operator.le, "<=", "True, True")


gt = _comparison("gt", operator.gt, ">", "False, False")


ge = _comparison("ge", operator.ge, ">=", "False,  True")


def _masks(s: Any) -> list[Any]:
    return [case(s.mask(3, 4), s.mask(3, 4)), case(s.mask(3, 1), s.mask(4))]


def _logical(name: str, kernel: Any, word: str) -> Any:
    return binary(
        name,
        kernel,
        None,
        samples=_masks,
        doc=f"""{word}, elementwise.

    >>> import hograd as ho
    >>> ho.{name}(ho.tensor([True, False]), ho.tensor([True, True])).shape
    (2,)
    """,
    )


logical_and = _logical("logical_and", np.logical_and, "Whether a and b both hold")


logical_or = _logical("logical_or", np.logical_or, "Whether a or b holds")


logical_xor = _logical("logical_xor", np.logical_xor, "Whether exactly one of a and b holds")


bitwise_and = _logical("bitwise_and", operator.and_, "a & b of bools or integers")


bitwise_or = _logical("bitwise_or", operator.or_, "a | b of bools or integers")


bitwise_xor = _logical("bitwise_xor", operator.xor, "a ^ b of bools or integers")


def _shift(name: str, kernel: Any, sign: str, meaning: str, example: str) -> Any:
    return binary(
        name,
        kernel,
        None,
        samples=lambda s: [case(np.array([5, 12, -7]), np.array([1, 2, 0])), case(np.array([[3], [9]]), 2)],
        doc=f"""a {sign} b of integers, elementwise: {meaning}.

    >>> import hograd as ho
    >>> ho.{name}(ho.tensor([4, 8]), 2)
    tensor([{example}])
    """,
    )


bitwise_left_shift = _shift("bitwise_left_shift", np.left_shift, "<<", "a 2**b", "16, 32")


bitwise_right_shift = _shift("bitwise_right_shift", np.right_shift, ">>", "a / 2**b, rounded down", "1, 2")


def _test(name: str, kernel: Any, samples: Any, doc: str, example: str) -> Any:
    return unary(
        name,
        kernel,
        None,
        samples=samples,
        doc=f"""{doc}, elementwise, as a bool tensor.

    >>> import hograd as ho
    >>> ho.{name}({example}
    """,
    )


logical_not = _test(
    "logical_not",
    np.logical_not,
    lambda s: [case(s.mask(3, 4))],
    "Whether x is false or 0",
    "ho.tensor([True, False]))\n    tensor([False,  True])",
)


bitwise_not = unary(
    "bitwise_not",
    operator.invert,
    None,
    samples=lambda s: [case(s.mask(3, 4))],
    doc="""~x of bools or integers.

    >>> import hograd as ho
    >>> ho.bitwise_not(ho.tensor([True, False]))
    tensor([False,  True])
    """,
)


isfinite = _test(
    "isfinite",
    np.isfinite,
    anywhere,
    "Whether x is neither infinite nor nan",
    "ho.tensor([1.0]))\n    tensor([True])",
)


isnan = _test("isnan", np.isnan, anywhere, "Whether x is nan", "ho.tensor([1.0]))\n    tensor([False])")


@operation(
    np.isclose,
    lambda s: [*_compared(s), case(s.array([1.0, 2.0]), s.array([1.0 + 1e-9, 2.1]))],
    differentiable=False,
)
def isclose(x: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether two tensors agree within tolerances:  |x - b| <= atol + rtol |b| , elementwise, as a bool tensor.

    Args:
        x, b: tensors, broadcast against each other.
        rtol, atol: relative and absolute tolerance, at least 0.
        equal_nan: whether nan agrees with nan.

    >>> import hograd as ho
    >>> ho.isclose(ho.tensor([1.0, 2.0]), ho.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    return call(_isclose, (x, b), {"rtol": rtol, "atol": atol, "equal_nan": equal_nan})


_isclose = elementwise("isclose", np.isclose, None, "a b")


def allclose(x: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether two tensors agree everywhere within tolerances:  |x - b| <= atol + rtol |b| , as a Python bool.

    Args:
        x, b: tensors, broadcast against each other.
        rtol, atol: relative and absolute tolerance, at least 0.
        equal_nan: whether nan agrees with nan.

    >>> import hograd as ho
    >>> ho.allclose(ho.tensor([1.0, 2.0]), ho.tensor([1.0, 2.0 + 1e-9]))
    True
    """
    pair = [concrete(as_tensor(v), "allclose()") for v in (x, b)]
    return bool(np.allclose(*pair, rtol=rtol, atol=atol, equal_nan=equal_nan))


ops.allclose = allclose


def _limits(s: Any) -> list[Any]:
    return [case(s.normal(3, 4), 0.1), case(s.normal(3, 4), s.normal(4))]


@composite(_limits)
def clamp_min(F: Any, x: Any, min: Any) -> Tensor:
    """`clip` from below.

    >>> import hograd as ho
    >>> ho.clamp_min(ho.tensor([-2.0, 0.5]), 0)
    tensor([0.0000, 0.5000])
    """
    return F.clip(x, min, None)


@composite(_limits)
def clamp_max(F: Any, x: Any, max: Any) -> Tensor:
    """`clip` from above.

    >>> import hograd as ho
    >>> ho.clamp_max(ho.tensor([-2.0, 0.5]), 0)
    tensor([-2.,  0.])
    """
    return F.clip(x, None, max)
