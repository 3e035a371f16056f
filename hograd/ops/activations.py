"""Activation functions of neural networks, with PyTorch's arguments, defaults and derivatives at kinks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.backend import scalarize
from hograd.core.declare import case, composite, elementwise, operation, unary
from hograd.core.dispatch import call
from hograd.core.fast import as_floating
from hograd.core.primitive import kernels
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import axis_of, operand
from hograd.ops.samples import anywhere

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu6",
    "selu",
    "silu",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
]


def _gelu_slope(F: Any, g: Any, x: Any) -> Any:
    # Limited to where the density is not 0, for beyond it powers overflow that are multiplied by it.
    z = F.clip(x, -40.0, 40.0)
    return g * (F.ndtr(x) + z * F.exp(z * z * -0.5) / math.sqrt(2 * math.pi))


_gelu_exact = elementwise(
    "gelu",
    lambda x: x * kernels.ndtr(x),
    [_gelu_slope],
    "x",
)


# (1 + tanh z) / 2  is  sigmoid(2 z), which keeps its digits where the tangent is near -1.


def _gelu_tanh_slope(F: Any, g: Any, x: Any) -> Any:
    # Limited to where the sigmoid varies, for beyond it powers overflow that are multiplied by 0.
    limit = {2: 8.0, 4: 12.0}.get(x.dtype.itemsize, 25.0)
    z = F.clip(x, -limit, limit)
    s = F.sigmoid((z + 0.044715 * z * z * z) * math.sqrt(8 / math.pi))
    inner = (1 + 3 * 0.044715 * z * z) * math.sqrt(8 / math.pi)
    return g * (s + z * s * (1 - s) * inner)


_gelu_tanh = elementwise(
    "gelu_tanh",
    lambda x: x * kernels.sigmoid((x + 0.044715 * x * x * x) * math.sqrt(8 / math.pi)),
    [_gelu_tanh_slope],
    "x",
)


def _gelu_kernel(x: Any, approximate: str = "none") -> Any:
    return (_gelu_tanh if approximate == "tanh" else _gelu_exact).kernel(x)


@operation(_gelu_kernel, lambda s: [*anywhere(s), case(s.normal(3), approximate="tanh"), case(s.normal(), "tanh")])
def gelu(x: Any, approximate: str = "none") -> Tensor:
    """x P(x), where P is the distribution function of the standard normal (Hendrycks and Gimpel, 2016).

    Args:
        x: floating tensor.
        approximate: "none", or "tanh" for  x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x**3))) / 2.

    >>> import hograd as ho
    >>> ho.gelu(ho.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu got approximate={approximate!r}, expected 'none' or 'tanh'.")
    primitive = _gelu_tanh if approximate == "tanh" else _gelu_exact
    return call(primitive, (as_floating(x, primitive),), {})


def _silu_slope(F: Any, x: Any) -> Any:
    s = F.sigmoid(x)
    return s * (1 + x * (1 - s))


silu = unary(
    "silu",
    lambda x: x * kernels.sigmoid(x),
    _silu_slope,
    samples=anywhere,
    doc="""Swish  x sigmoid(x)  (Elfwing et al., 2017).

    >>> import hograd as ho
    >>> ho.silu(ho.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.2689,  0.0000,  0.7311])
    """,
)


def _mish_slope(F: Any, x: Any) -> Any:
    t = F.tanh(F.softplus(x))
    # Limited to where the second term is not 0, for products with larger numbers overflow.
    z = F.clip(x, -750.0, 40.0)
    return t + z * F.sigmoid(z) * (1 - t * t)


mish = unary(
    "mish",
    lambda x: x * np.tanh(np.logaddexp(x, 0)),
    _mish_slope,
    samples=anywhere,
    doc="""x tanh(softplus(x))  (Misra, 2019).

    >>> import hograd as ho
    >>> ho.mish(ho.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.3034,  0.0000,  0.8651])
    """,
)


logsigmoid = unary(
    "logsigmoid",
    lambda x: -np.logaddexp(-x, 0),
    lambda F, x: F.sigmoid(-x),
    samples=anywhere,
    doc="""ln sigmoid(x), stable for large |x|.

    >>> import hograd as ho
    >>> ho.logsigmoid(ho.tensor([-800.0, 0.0, 800.0]))
    tensor([-8.0000e+02, -6.9315e-01, -0.0000e+00])
    """,
)


softsign = unary(
    "softsign",
    lambda x: x / (1 + np.abs(x)),
    lambda F, g, x: g / (1 + F.abs(x)) / (1 + F.abs(x)),
    samples=anywhere,
    doc="""x / (1 + |x|); its second derivative at 0, where it jumps, is 0.

    >>> import hograd as ho
    >>> ho.softsign(ho.tensor([-1.0, 0.0, 3.0]))
    tensor([-0.5000,  0.0000,  0.7500])
    """,
)


#: x cosh(x) - sinh(x)  is  x**3  times the polynomial in x**2 of these coefficients, where |x| < 1.
SHRUNK = [2 * k / math.factorial(2 * k + 1) for k in range(1, 10)]


def _tanhshrink(x: Any) -> Any:
    small = np.abs(x) < 1
    z = np.where(small, x, 0)
    square, near = z * z, SHRUNK[-1]
    for coefficient in SHRUNK[-2::-1]:
        near = near * square + coefficient
    return scalarize(np.where(small, z * square * near / np.cosh(z), x - np.tanh(x)).astype(x.dtype))


tanhshrink = unary(
    "tanhshrink",
    _tanhshrink,
    lambda F, x: F.square(F.tanh(x)),
    samples=anywhere,
    doc="""x - tanh(x), precise for small x.

    >>> import hograd as ho
    >>> ho.tanhshrink(ho.tensor([0.0, 2.0]))
    tensor([0.0000, 1.0360])
    """,
)


@composite(lambda s: [*anywhere(s), case(s.normal(3, 4), 0.7), case(s.normal(3), alpha=s.positive())])
def elu(F: Any, x: Any, alpha: Any = 1.0) -> Tensor:
    """x where x > 0, else  alpha (e**x - 1)  (Clevert et al., 2015).

    At 0, of either sign, every derivative is that of alpha (e**x - 1), the branch that 0 belongs to: the first, the
    second and all further ones are alpha, their limits from below. PyTorch 2.13 gives the same first derivative, and
    from the second on 0, the limit from above.

    Args:
        x: floating tensor.
        alpha: number or tensor.

    >>> import hograd as ho
    >>> ho.elu(ho.tensor([-1.0, 0.0, 2.0]))
    tensor([-0.6321,  0.0000,  2.0000])
    >>> ho.vmap(ho.func.grad(ho.func.grad(ho.elu)))(ho.tensor([-0.0, 0.0, 1e-9]))
    tensor([1., 1., 0.])
    """
    x = operand(F, x, "elu")
    above = x > 0
    # The guard keeps e**x finite where it is not taken.
    return F.where(above, x, F.mul(alpha, F.expm1(F.where(above, 0.0, x))))


@composite(anywhere)
def selu(F: Any, x: Any) -> Tensor:
    """Scaled `elu`, whose constants keep mean 0 and variance 1  (Klambauer et al., 2017).

    1.0507009873554805 elu(x, alpha=1.6732632423543772)

    Args:
        x: floating tensor.

    >>> import hograd as ho
    >>> ho.selu(ho.tensor([-1.0, 0.0, 2.0]))
    tensor([-1.1113,  0.0000,  2.1014])
    """
    return F.mul(F.elu(x, 1.6732632423543772848170429916717), 1.0507009873554804934193349852946)


@composite(lambda s: [*anywhere(s), case(s.normal(3, 4), 0.7), case(s.normal(3), alpha=2.5)])
def celu(F: Any, x: Any, alpha: Any = 1.0) -> Tensor:
    """x where x > 0, else  alpha (e**(x / alpha) - 1), smooth at 0  (Barron, 2017).

    Args:
        x: floating tensor.
        alpha: number or tensor, > 0.

    >>> import hograd as ho
    >>> ho.celu(ho.tensor([-1.0, 0.0, 2.0]), alpha=2.0)
    tensor([-0.7869,  0.0000,  2.0000])
    """
    return F.mul(alpha, F.elu(F.div(operand(F, x, "celu"), alpha)))


@composite(lambda s: [*anywhere(s), case(s.normal(3, 4), 0.3), case(s.normal(3), negative_slope=s.positive())])
def leaky_relu(F: Any, x: Any, negative_slope: Any = 0.01) -> Tensor:
    """x where x > 0, else  negative_slope x; its derivative at 0 is the latter's.

    Args:
        x: floating tensor.
        negative_slope: number, or tensor that is broadcast against x (then this is PyTorch's `prelu`).

    >>> import hograd as ho
    >>> ho.leaky_relu(ho.tensor([-1.0, 0.0, 2.0]))
    tensor([-0.0100,  0.0000,  2.0000])
    """
    x = operand(F, x, "leaky_relu")
    return F.where(x > 0, x, F.mul(x, negative_slope))


@composite(lambda s: [*anywhere(s), case(s.normal(3, 4), -0.5, 0.7), case(s.normal(3), max_val=0.2)])
def hardtanh(F: Any, x: Any, min_val: Any = -1.0, max_val: Any = 1.0) -> Tensor:
    """x limited to the range from `min_val` to `max_val`; its derivative is 0 outside, and at the limits.

    Args:
        x: tensor.
        min_val, max_val: numbers or tensors.

    >>> import hograd as ho
    >>> ho.hardtanh(ho.tensor([-3.0, 0.5, 3.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """
    x = operand(F, x, "hardtanh")
    return F.where(x <= min_val, min_val, F.where(x >= max_val, max_val, x))


@composite(anywhere)
def relu6(F: Any, x: Any) -> Tensor:
    """x limited to the range from 0 to 6; its derivative is 0 outside, and at 0 and 6.

    Args:
        x: tensor.

    >>> import hograd as ho
    >>> ho.relu6(ho.tensor([-1.0, 2.0, 7.0]))
    tensor([0., 2., 6.])
    """
    return F.hardtanh(x, 0, 6)


@composite(anywhere)
def hardsigmoid(F: Any, x: Any) -> Tensor:
    """x / 6 + 1 / 2  limited to the range from 0 to 1; its derivative is 0 where x is not between -3 and 3.

    Args:
        x: floating tensor.

    >>> import hograd as ho
    >>> ho.hardsigmoid(ho.tensor([-4.0, 0.0, 1.5]))
    tensor([0.0000, 0.5000, 0.7500])
    """
    return F.div(F.hardtanh(F.add(x, 3), 0, 6), 6)


@composite(anywhere)
def hardswish(F: Any, x: Any) -> Tensor:
    """x hardsigmoid(x); its derivative at -3 is 0 and at 3 it is 1  (Howard et al., 2019).

    Args:
        x: floating tensor.

    >>> import hograd as ho
    >>> ho.hardswish(ho.tensor([-2.0, 1.0, 4.0]))
    tensor([-0.3333,  0.6667,  4.0000])
    """
    x = operand(F, x, "hardswish")
    return F.mul(x, F.hardsigmoid(x))


@composite(lambda s: [*anywhere(s), case(s.normal(3, 4), 0.3)])
def hardshrink(F: Any, x: Any, lambd: Any = 0.5) -> Tensor:
    """x where |x| > lambd, else 0.

    Args:
        x: tensor.
        lambd: number, >= 0.

    >>> import hograd as ho
    >>> ho.hardshrink(ho.tensor([-1.0, 0.5, 2.0]))
    tensor([-1.,  0.,  2.])
    """
    x = operand(F, x, "hardshrink")
    return F.where((x <= lambd) & (x >= -lambd), 0.0, x)


@composite(lambda s: [*anywhere(s), case(s.normal(3, 4), 0.3)])
def softshrink(F: Any, x: Any, lambd: Any = 0.5) -> Tensor:
    """x moved by `lambd` towards 0, and 0 where |x| <= lambd.

    Args:
        x: tensor.
        lambd: number or tensor, >= 0.

    >>> import hograd as ho
    >>> ho.softshrink(ho.tensor([-1.0, 0.5, 2.0]))
    tensor([-0.5000,  0.0000,  1.5000])
    """
    x = operand(F, x, "softshrink")
    return F.sub(x, F.clip(x, -lambd, lambd))


@composite(lambda s: [case(s.normal(3, 4), 0.1, 20.0), case(s.normal(3), -0.3, s.normal())])
def threshold(F: Any, x: Any, threshold: Any, value: Any) -> Tensor:
    """x where it is above `threshold`, else `value`.

    Args:
        x: tensor.
        threshold, value: numbers or tensors.

    >>> import hograd as ho
    >>> ho.threshold(ho.tensor([-1.0, 0.5, 2.0]), 0.5, 9.0)
    tensor([9., 9., 2.])
    """
    x = operand(F, x, "threshold")
    return F.where(x > threshold, x, value)


@composite(lambda s: [case(s.away_from_zero(3, 4, 2), s.normal(4)), case(s.away_from_zero(3), s.normal())])
def prelu(F: Any, x: Any, weight: Any) -> Tensor:
    """`leaky_relu` with a learned slope for each channel  (He et al., 2015).

    Args:
        x: floating tensor, whose axis 1 holds the channels.
        weight: slopes: of shape (channels,), or one for all, of shape (1,) or ().

    >>> import hograd as ho
    >>> ho.prelu(ho.tensor([[-1.0, -1.0], [2.0, 2.0]]), ho.tensor([0.1, 0.2]))
    tensor([[-0.1000, -0.2000],
            [ 2.0000,  2.0000]])
    """
    x, weight = operand(F, x, "prelu"), operand(F, weight, "prelu")
    if weight.ndim > 1:
        raise ShapeError(f"prelu: weight has shape {tuple(weight.shape)}, expected one axis, of the channels, or none.")
    if tuple(weight.shape) == (1,):
        weight = F.reshape(weight, ())
    elif weight.ndim and not x.ndim:
        raise ShapeError(f"prelu: x has shape () and no channels, but weight has {weight.shape[0]} slopes, expected 1.")
    elif weight.ndim:
        weight = F.reshape(weight, (-1,) + (1,) * max(x.ndim - 2, 0))
    return F.leaky_relu(x, weight)


@composite(lambda s: [case(s.normal(3, 4)), case(s.normal(4, 3), 0), case(s.normal(2, 6, 2), axis=1)])
def glu(F: Any, x: Any, axis: int = -1) -> Tensor:
    """Gated linear unit  a sigmoid(b), where a and b are the halves of x along an axis  (Dauphin et al., 2016).

    Args:
        x: floating tensor, of an even length along `axis`.
        axis: int.

    Raises:
        ShapeError: that length is odd.

    >>> import hograd as ho
    >>> ho.glu(ho.tensor([1.0, 2.0, 0.0, 0.0]))
    tensor([0.5000, 1.0000])
    """
    x = operand(F, x, "glu")
    before = (slice(None),) * axis_of(axis, x.ndim, "glu")
    half, odd = divmod(x.shape[axis] if x.ndim else 1, 2)
    if odd:
        raise ShapeError(f"glu: Halving dimension must be even, but axis {axis} of shape {tuple(x.shape)} is not.")
    first, second = F.getitem(x, (*before, slice(0, half))), F.getitem(x, (*before, slice(half, None)))
    return F.mul(first, F.sigmoid(second))
