"""Elementwise operations: arithmetic, powers, exponentials, and functions with kinks.

Arguments are broadcast against each other, and cast to one dtype by PyTorch's rule (`core.dispatch.promote`).
The derivative at a kink or pole is the one that the documentation names, as in PyTorch.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from hograd.backend import is_number, scalarize
from hograd.core.declare import binary, case, composite, elementwise, operation, unary
from hograd.core.dispatch import apply, as_operand, bare, call, promote, wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor


def _pairs(s: Any) -> list[Any]:
    """Two tensors of one shape, broadcast both ways, and with Python numbers on either side."""
    return [
        case(s.normal(3, 4), s.normal(3, 4)),
        case(s.normal(3, 1), s.normal(4)),
        case(s.normal(2, 3), 2.5),
        case(-1.5, s.normal(3)),
        case(s.normal(), s.normal(2)),
        case(s.normal(), s.normal()),
    ]


def _positive_pairs(s: Any) -> list[Any]:
    return [
        case(s.positive(3, 4), s.positive(3, 4)),
        case(s.positive(3, 1), s.positive(4)),
        case(s.positive(2, 3), 2.5),
        case(1.5, s.positive(3)),
        case(s.positive(), s.positive()),
    ]


def _any(s: Any) -> list[Any]:
    return [case(s.normal(3, 4)), case(s.normal()), case(s.normal(2, 1, 3))]


def _positive(s: Any) -> list[Any]:
    return [case(s.positive(3, 4)), case(s.positive()), case(s.positive(2, 1, 3))]


def _away_from_zero(s: Any) -> list[Any]:
    return [case(s.away_from_zero(3, 4)), case(s.away_from_zero()), case(s.away_from_zero(2, 1, 3))]


add = binary(
    "add",
    operator.add,
    (1, 1),
    samples=_pairs,
    doc="""Sum  a + b, elementwise.

    >>> import hograd as ho
    >>> ho.add(ho.tensor([1.0, 2.0]), 3)
    tensor([4., 5.])
    """,
)

sub = binary(
    "sub",
    operator.sub,
    (1, -1),
    samples=_pairs,
    doc="""Difference  a - b, elementwise.

    >>> import hograd as ho
    >>> ho.sub(5, ho.tensor([1.0, 2.0]))
    tensor([4., 3.])
    """,
)

mul = binary(
    "mul",
    operator.mul,
    (lambda F, b: b, lambda F, a: a),
    samples=_pairs,
    doc="""Product  a * b, elementwise.

    >>> import hograd as ho
    >>> ho.mul(ho.tensor([1.0, 2.0]), ho.tensor([3.0, 4.0]))
    tensor([3., 8.])
    """,
)

div = binary(
    "div",
    np.true_divide,
    (lambda F, g, b: g / b, lambda F, g, y, b: -g * y / b),
    samples=lambda s: [
        case(s.normal(3, 4), s.away_from_zero(3, 4)),
        case(s.normal(3, 1), s.away_from_zero(4)),
        case(s.normal(2, 3), 2.5),
        case(-1.5, s.away_from_zero(3)),
        case(s.normal(), s.away_from_zero()),
    ],
    doc="""Quotient  a / b, elementwise; integers are divided to floating numbers.

    >>> import hograd as ho
    >>> ho.div(ho.tensor([1.0, -2.0]), 4)
    tensor([ 0.2500, -0.5000])
    """,
)

neg = unary(
    "neg",
    operator.neg,
    -1,
    samples=_any,
    doc="""Negative  -x.

    >>> import hograd as ho
    >>> ho.neg(ho.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """,
)

clone = unary(
    "clone",
    operator.pos,
    1,
    samples=_any,
    doc="""The same values as a new tensor, with an identity derivative.

    >>> import hograd as ho
    >>> ho.clone(ho.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """,
)

exp = unary(
    "exp",
    np.exp,
    lambda F, y: y,
    samples=_any,
    doc="""Exponential  e**x.

    >>> import hograd as ho
    >>> ho.exp(ho.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """,
)

log = unary(
    "log",
    np.log,
    lambda F, g, x: g / x,
    samples=_positive,
    doc="""Natural logarithm  ln x; -inf at 0, nan below.

    >>> import hograd as ho
    >>> ho.log(ho.tensor([1.0, 10.0]))
    tensor([0.0000, 2.3026])
    """,
)

log1p = unary(
    "log1p",
    np.log1p,
    lambda F, g, x: g / (x + 1),
    samples=_positive,
    doc="""ln(1 + x), precise for small x.

    >>> import hograd as ho
    >>> ho.log1p(ho.tensor([0.0, 1.0]))
    tensor([0.0000, 0.6931])
    """,
)

expm1 = unary(
    "expm1",
    np.expm1,
    lambda F, y: y + 1,
    samples=_any,
    doc="""e**x - 1, precise for small x.

    >>> import hograd as ho
    >>> ho.expm1(ho.tensor([0.0, 1.0]))
    tensor([0.0000, 1.7183])
    """,
)

sqrt = unary(
    "sqrt",
    np.sqrt,
    lambda F, g, y: g / (2 * y),
    samples=_positive,
    doc="""Square root; its derivative at 0 is inf.

    >>> import hograd as ho
    >>> ho.sqrt(ho.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """,
)

safe_sqrt = unary(
    "safe_sqrt",
    np.sqrt,
    lambda F, g, y: F.where(y == 0, 0.0, g / (2 * F.where(y == 0, 1.0, y))),
    samples=_positive,
    doc="""Square root whose derivatives at 0 are 0, so that what multiplies them decides.

    >>> import hograd as ho
    >>> x = ho.tensor([0.0, 4.0], requires_grad=True)
    >>> ho.grad(ho.safe_sqrt(x).sum(), x)
    (tensor([0.0000, 0.2500]),)
    """,
)

sin = unary(
    "sin",
    np.sin,
    lambda F, x: F.cos(x),
    samples=_any,
    doc="""Sine of x in radians.

    >>> import hograd as ho
    >>> ho.sin(ho.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8415])
    """,
)

cos = unary(
    "cos",
    np.cos,
    lambda F, x: -F.sin(x),
    samples=_any,
    doc="""Cosine of x in radians.

    >>> import hograd as ho
    >>> ho.cos(ho.tensor([0.0, 1.0]))
    tensor([1.0000, 0.5403])
    """,
)

tanh = unary(
    "tanh",
    np.tanh,
    lambda F, y: 1 - y * y,
    samples=_any,
    doc="""Hyperbolic tangent.

    >>> import hograd as ho
    >>> ho.tanh(ho.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """,
)


def _sigmoid(x: Any) -> Any:
    # Precise in both tails: exp overflows to inf for large negative x, and 1 / inf is the right 0.
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


sigmoid = unary(
    "sigmoid",
    _sigmoid,
    lambda F, y: y * (1 - y),
    samples=_any,
    doc="""Logistic function  1 / (1 + e**-x).

    >>> import hograd as ho
    >>> ho.sigmoid(ho.tensor([0.0, 2.0]))
    tensor([0.5000, 0.8808])
    """,
)

softplus = unary(
    "softplus",
    lambda x: np.logaddexp(x, 0),
    lambda F, x: F.sigmoid(x),
    samples=_any,
    doc="""ln(1 + e**x), stable for large |x|.

    >>> import hograd as ho
    >>> ho.softplus(ho.tensor([-800.0, 0.0, 800.0]))
    tensor([  0.0000,   0.6931, 800.0000])
    """,
)

relu = unary(
    "relu",
    lambda x: np.maximum(x, 0),
    lambda F, x: x > 0,
    samples=_away_from_zero,
    doc="""max(x, 0); its derivative at 0 is 0.

    >>> import hograd as ho
    >>> ho.relu(ho.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """,
)

abs = unary(
    "abs",
    np.abs,
    lambda F, x: F.sign(x),
    samples=_away_from_zero,
    doc="""Absolute value; its derivative at 0 is 0.

    >>> import hograd as ho
    >>> ho.abs(ho.tensor([-1.0, 2.0]))
    tensor([1., 2.])
    """,
)

sign = unary(
    "sign",
    np.sign,
    0,
    samples=_away_from_zero,
    doc="""Sign: -1, 0 or 1; its derivative is 0 everywhere.

    >>> import hograd as ho
    >>> ho.sign(ho.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """,
)

square = unary(
    "square",
    np.square,
    lambda F, x: 2 * x,
    samples=_any,
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
    samples=_away_from_zero,
    doc="""1 / x.

    >>> import hograd as ho
    >>> ho.reciprocal(ho.tensor([-4.0, 2.0]))
    tensor([-0.2500,  0.5000])
    """,
)

maximum = binary(
    "maximum",
    np.maximum,
    (
        lambda F, g, a, b: F.where(a > b, g, F.where(a == b, g / 2, 0.0)),
        lambda F, g, a, b: F.where(b > a, g, F.where(a == b, g / 2, 0.0)),
    ),
    samples=_pairs,
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
        lambda F, g, a, b: F.where(a < b, g, F.where(a == b, g / 2, 0.0)),
        lambda F, g, a, b: F.where(b < a, g, F.where(a == b, g / 2, 0.0)),
    ),
    samples=_pairs,
    doc="""The smaller of a and b, elementwise, nan if one is; ties share the derivative equally.

    >>> import hograd as ho
    >>> ho.minimum(ho.tensor([1.0, 5.0]), 3)
    tensor([1., 3.])
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


def _power_slope(F: Any, x: Any, exponent: float) -> Any:
    if exponent == 2:
        return 2 * x
    return exponent * F.pow(x, exponent - 1)


_power = elementwise("power", lambda x, exponent: x**exponent, [_power_slope], "x")
_power_tensor = elementwise(
    "pow",
    lambda a, b: a**b,
    (
        # b a**(b-1), and 0 where b is 0, also at a = 0.
        lambda F, g, a, b: g * b * a ** F.where(b == 0, 1.0, b - 1),
        # y ln a, and 0 where a is 0 and b is not negative: the limit from b > 0.
        lambda F, g, y, a, b: F.where((a == 0) & (b >= 0), 0.0, g * y * F.log(F.where(a == 0, 1.0, a))),
    ),
    "a b",
)


def _pow_kernel(a: Any, b: Any) -> Any:
    return a**b


@operation(
    _pow_kernel,
    lambda s: [
        *_positive_pairs(s),
        case(s.normal(3, 4), 2),
        case(s.normal(3), 3),
        case(s.away_from_zero(3), -2),
        case(s.normal(2), 0),
        case(s.normal(2), 1),
        case(s.positive(4), 0.5),
    ],
)
def pow(a: Any, b: Any) -> Tensor:
    """Power  a**b, elementwise.

    Args:
        a: base; where it is negative, the exponent must be whole.
        b: exponent; a Python number is exact at a = 0 to every order (x**2 has derivatives 2x, 2, 0).

    Where b is a tensor, the derivative with respect to a is 0 at b = 0, and the one with respect to b is 0 at
    a = 0 for b >= 0, as in PyTorch.

    >>> import hograd as ho
    >>> ho.pow(ho.tensor([2.0, 3.0]), 2)
    tensor([4., 9.])
    """
    a = a if is_number(a) else wrap(as_operand(a, "pow", 0)) if not isinstance(a, Tensor) else a
    if is_number(b) and isinstance(a, Tensor):
        if a.dtype.kind in "iub" and type(b) is float:
            a = ops.astype(a, promote("pow", a, b)[0].dtype)
        if a.dtype.kind == "f":
            if b == 0:
                return ops.ones_like(a)
            return ops.clone(a) if b == 1 else wrap(apply(_power, (a,), {"exponent": b}))
    a, b = promote("pow", a, b)
    if is_number(a) and is_number(b):
        a = as_operand([a], "pow", 0)[0]
    return call(_power_tensor, [as_base(a, b), b], {})


def as_base(a: Any, b: Any) -> Any:
    """A Python number under a tensor exponent, in the exponent's dtype: rules take its logarithm."""
    return np.asarray(a, dtype=b.dtype)[()] if is_number(a) else a


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
    a, b = promote("where", a, b)
    if is_number(a) and is_number(b):
        a, b = (Tensor(np.asarray(v, np.result_type(type(a), type(b)))[()]) for v in (a, b))
    return call(_where, (condition, a, b), {})


@composite(
    lambda s: [
        case(s.normal(3, 4), -0.5, 0.7),
        case(s.normal(3), 0.1),
        case(s.normal(3), max=0.1),
        case(s.normal(3), s.normal(3) - 2, s.normal(3) + 2),
    ]
)
def clip(F: Any, x: Any, min: Any = None, max: Any = None) -> Any:
    """x limited to the range from `min` to `max`, elementwise.

    Args:
        x: tensor.
        min, max: numbers, tensors or None for no limit.

    At the limits the derivative with respect to x is 1; where x is outside, it goes to the limit.

    >>> import hograd as ho
    >>> ho.clip(ho.tensor([-2.0, 0.5, 3.0]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
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
    _any,
    "Whether x is neither infinite nor nan",
    "ho.tensor([1.0]))\n    tensor([True])",
)
isnan = _test("isnan", np.isnan, _any, "Whether x is nan", "ho.tensor([1.0]))\n    tensor([False])")


_astype = elementwise("astype", lambda x, dtype: x.astype(dtype, copy=False), [lambda F, g: g], "x")
_convert = elementwise("convert", lambda x, dtype: x.astype(dtype, copy=False), None, "x")


def _astype_kernel(x: Any, dtype: Any) -> Any:
    return x.astype(dtype, copy=False)


@operation(_astype_kernel, lambda s: [case(s.normal(3), np.float64)])
def astype(x: Any, dtype: Any) -> Tensor:
    """x with its elements converted; between floating dtypes the derivative is 1.

    Args:
        x: tensor.
        dtype: such as `hograd.float32` or `hograd.int64`.

    >>> import hograd as ho
    >>> ho.astype(ho.tensor([1.0, 2.0]), ho.int64)
    tensor([1, 2])
    """
    dtype = np.dtype(dtype)
    if isinstance(x, Tensor) and x.dtype == dtype:
        return x
    return call(_astype if dtype.kind in "fc" else _convert, (x,), {"dtype": dtype})


@operation(lambda x: x, lambda s: [case(s.normal(3))], differentiable=False)
def stop_gradient(x: Any) -> Tensor:
    """The same values as a constant, at every level (`Tensor.detach`).

    >>> import hograd as ho
    >>> ho.stop_gradient(ho.tensor([1.0], requires_grad=True)).requires_grad
    False
    """
    return x.detach() if isinstance(x, Tensor) else wrap(bare(x))
