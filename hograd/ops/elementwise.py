"""Elementwise functions of one tensor: exponentials, trigonometry, and functions with kinks.

The derivative at a kink or pole is the one that the documentation names, as in PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.backend import scalarize
from hograd.core import fast
from hograd.core.declare import case, elementwise, operation, unary
from hograd.core.primitive import kernels, ops, register
from hograd.core.restoring import silent
from hograd.core.tensor import Tensor
from hograd.ops.axes import tensor_of
from hograd.ops.samples import anywhere, away_from_zero, positive

__all__ = [
    "abs",
    "cos",
    "exp",
    "expm1",
    "log",
    "log1p",
    "relu",
    "safe_sqrt",
    "sigmoid",
    "sign",
    "sin",
    "softplus",
    "sqrt",
    "tanh",
]

exp = unary(
    "exp",
    np.exp,
    lambda F, y: y,
    samples=anywhere,
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
    samples=positive,
    doc="""Natural logarithm  ln x; -inf at 0, nan below.

    >>> import hograd as ho
    >>> ho.log(ho.tensor([1.0, 10.0]))
    tensor([0.0000, 2.3026])
    """,
)


def _square(x: Any) -> tuple[Any, Any]:
    """The square of float64 numbers, and its rounding error (Dekker, 1971)."""
    high = x * 134217729.0
    high = high - (high - x)
    low, y = x - high, x * x
    return y, ((high * high - y) + 2 * high * low) + low * low


def _sum(a: Any, b: Any) -> tuple[Any, Any]:
    """A sum and its rounding error (Knuth, 1969)."""
    y = a + b
    c = y - a
    return y, (a - (y - c)) + (b - c)


def _log1p(x: Any) -> Any:
    if x.dtype.kind != "c":
        return np.log1p(x)
    # The real part is  log1p(s) / 2  with  s = 2a + a**2 + b**2,  whose terms cancel beside the circle |1 + x| = 1.
    a, b = x.real.astype(np.float64), x.imag.astype(np.float64)
    near = (np.abs(a) < 3) & (np.abs(b) < 3)
    p, q = np.where(near, a, 0.0), np.where(near, b, 0.0)
    (pp, p_rest), (qq, q_rest) = _square(p), _square(q)
    first, first_rest = _sum(2 * p, pp)
    total, rest = _sum(first, qq)
    s = total + (rest + first_rest + p_rest + q_rest)
    precise = near & (s > -0.5)
    with silent():
        far = np.log(np.hypot(1 + a, b))
    size = np.where(precise, np.where(s == 0, a, np.log1p(np.where(precise, s, 0.0)) / 2), far)
    parts = np.stack([size, np.arctan2(b, 1 + a)], -1).astype(x.real.dtype)
    return scalarize(parts.view(x.dtype)[..., 0])


log1p = unary(
    "log1p",
    _log1p,
    lambda F, g, x: g / (x + 1),
    samples=positive,
    doc="""ln(1 + x), precise for small x.

    >>> import hograd as ho
    >>> ho.log1p(ho.tensor([0.0, 1.0]))
    tensor([0.0000, 0.6931])
    """,
)


expm1 = unary(
    "expm1",
    np.expm1,
    # Not y + 1, which is 0 long before e**x is.
    lambda F, x: F.exp(x),
    samples=anywhere,
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
    samples=positive,
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
    samples=positive,
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
    samples=anywhere,
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
    samples=anywhere,
    doc="""Cosine of x in radians.

    >>> import hograd as ho
    >>> ho.cos(ho.tensor([0.0, 1.0]))
    tensor([1.0000, 0.5403])
    """,
)


def _in_place(g: Any, s: Any) -> bool:
    """Whether the new array s can take the product with g."""
    return type(s) is type(g) is np.ndarray and s.shape == g.shape and s.dtype is g.dtype


def _tanh_backward_kernel(a: Any, b: Any) -> Any:
    s = b * b
    if not _in_place(a, s):
        return a * (1 - s)
    np.subtract(1, s, out=s)
    return np.multiply(s, a, out=s)


# The products of a cotangent and the slope of tanh, and of sigmoid, given its value: one node each of a derivative
# that is recorded, instead of three. Networks are full of them.
_tanh_backward = fast.binary(
    elementwise(
        "tanh_backward",
        _tanh_backward_kernel,
        [lambda F, g, b: F.tanh_backward(g, b), lambda F, g, a, b: g * a * b * -2],
        "a b",
    )
)
register("tanh_backward", _tanh_backward, _tanh_backward_kernel)


tanh = unary(
    "tanh",
    np.tanh,
    lambda F, g, y: F.tanh_backward(g, y),
    samples=anywhere,
    doc="""Hyperbolic tangent.

    >>> import hograd as ho
    >>> ho.tanh(ho.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """,
)


def _sigmoid(x: Any) -> Any:
    if x.dtype.kind == "c":
        # Infinite complex numbers have no direction to divide by.
        left = x.real < 0
        e = np.exp(np.where(left, x, -x))
        return scalarize(np.where(left, e, 1) / (1 + e))
    if x.dtype == np.float16:
        # Whose exponentials overflow long before their quotients vanish.
        return _sigmoid(x.astype(np.float32)).astype(np.float16)
    # Precise in both tails: exp overflows to inf for large negative x, and 1 / inf is the right 0.
    with silent():
        return 1 / (1 + np.exp(-x))


def _sigmoid_backward_kernel(a: Any, b: Any) -> Any:
    s = 1 - b
    if not _in_place(a, s):
        return a * (b * s)
    np.multiply(s, b, out=s)
    return np.multiply(s, a, out=s)


_sigmoid_backward = fast.binary(
    elementwise(
        "sigmoid_backward",
        _sigmoid_backward_kernel,
        [lambda F, g, b: F.sigmoid_backward(g, b), lambda F, g, a, b: g * a * (1 - 2 * b)],
        "a b",
    )
)
register("sigmoid_backward", _sigmoid_backward, _sigmoid_backward_kernel)


sigmoid = unary(
    "sigmoid",
    _sigmoid,
    lambda F, g, y: F.sigmoid_backward(g, y),
    samples=anywhere,
    doc="""Logistic function  1 / (1 + e**-x).

    >>> import hograd as ho
    >>> ho.sigmoid(ho.tensor([0.0, 2.0]))
    tensor([0.5000, 0.8808])
    """,
)


_softplus_primitive = elementwise("softplus", lambda x: np.logaddexp(x, 0), [lambda F, x: F.sigmoid(x)], "x")
_softplus = fast.unary(_softplus_primitive, floating=True)


def _softplus_kernel(x: Any, beta: Any = 1, threshold: Any = None) -> Any:
    if threshold is None and type(beta) is int and beta == 1:
        return _softplus_primitive.kernel(x)
    y = _softplus_primitive.kernel(x * beta) / beta
    return y if threshold is None else kernels.where(x * beta > threshold, x, y)


@operation(_softplus_kernel, lambda s: [*anywhere(s), case(s.normal(3), 2.5), case(s.normal(4), beta=1, threshold=0.1)])
def softplus(x: Any, beta: Any = 1, threshold: Any = None) -> Tensor:
    """ln(1 + e**(beta x)) / beta, stable for large |x|.

    Args:
        x: floating tensor.
        beta: number or tensor, > 0.
        threshold: where  beta x  is above it, the answer is x itself. None for the exact function; PyTorch's is 20,
            which differs from it by at most 2e-9.

    >>> import hograd as ho
    >>> ho.softplus(ho.tensor([-800.0, 0.0, 80.0]))
    tensor([ 0.0000,  0.6931, 80.0000])
    """
    if threshold is None and type(beta) is int and beta == 1:
        return _softplus(x)
    scaled = ops.mul(tensor_of(x, "softplus"), beta)
    y = ops.div(_softplus(scaled), beta)
    return y if threshold is None else ops.where(scaled > threshold, x, y)


relu = unary(
    "relu",
    lambda x: np.maximum(x, 0),
    lambda F, x: x > 0,
    integers=True,
    samples=away_from_zero,
    doc="""max(x, 0); its derivative at 0 is 0.

    >>> import hograd as ho
    >>> ho.relu(ho.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """,
)


def _direction(F: Any, x: Any) -> Any:
    """What the absolute value of complex numbers grows along."""
    return F.conj(F.sgn(x))


abs = unary(
    "abs",
    np.abs,
    lambda F, x: _direction(F, x) if x.dtype.kind == "c" else F.sign(x),
    integers=True,
    samples=away_from_zero,
    doc="""Absolute value; its derivative at 0 is 0.

    >>> import hograd as ho
    >>> ho.abs(ho.tensor([-1.0, 2.0]))
    tensor([1., 2.])
    """,
)


def _sign_kernel(x: Any) -> Any:
    if x.dtype.kind == "c":
        raise TypeError("complex numbers have a direction: sgn")
    return np.sign(x)


sign = unary(
    "sign",
    _sign_kernel,
    0,
    integers=True,
    samples=away_from_zero,
    doc="""Sign: -1, 0 or 1; its derivative is 0 everywhere.

    >>> import hograd as ho
    >>> ho.sign(ho.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """,
)
