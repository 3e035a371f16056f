"""Initial values of parameters: PyTorch's names and formulas, each a function of a shape that returns a tensor.

A weight has the shape (outputs, inputs, *kernel): fan_in is inputs * prod(kernel), fan_out is outputs * prod(kernel).
All take `generator`, a `numpy.random.Generator` (default the thread's own, see `hograd.manual_seed`), and `dtype`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np

from hograd.backend import default_dtype
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import shape_of
from hograd.ops.create import eye as _eye
from hograd.ops.create import full, tensor
from hograd.ops.random import rand, randn

Shape = int | Sequence[int]


class Initializer(Protocol):
    """What layers call to make a parameter; every function of this module, and `functools.partial` of it."""

    def __call__(self, shape: Any, *, generator: Any = None, dtype: Any = None) -> Tensor: ...


_GAINS = {"sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor on the standard deviation of weights that keeps the scale of activations through a nonlinearity.

    1 for linear layers, convolutions and sigmoid, 5/3 for tanh, sqrt(2) for relu, sqrt(2 / (1 + slope**2)) for
    leaky_relu, 3/4 for selu.

    Args:
        nonlinearity: the name of a function, as in PyTorch.
        param: slope of leaky_relu; default 0.01.

    >>> from hograd import nn
    >>> nn.init.calculate_gain("leaky_relu", 1.0)
    1.0
    """
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        known = ", ".join((*_GAINS, "leaky_relu", *_LINEAR))
        raise ArgumentError(f"calculate_gain: Unsupported nonlinearity {nonlinearity!r}, expected one of {known}.")
    return _GAINS[nonlinearity]


def _fans(shape: Shape, name: str) -> tuple[int, int]:
    lengths = shape_of(shape, name)
    if len(lengths) < 2:
        raise ShapeError(
            f"{name}: Fan in and fan out can not be computed for fewer than 2 dimensions: found shape {lengths}, "
            "expected (outputs, inputs, *kernel)."
        )
    field = math.prod(lengths[2:])
    return lengths[1] * field, lengths[0] * field


def uniform(shape: Shape, a: float = 0.0, b: float = 1.0, *, generator: Any = None, dtype: Any = None) -> Tensor:
    """Uniform draws from [a, b).

    >>> from hograd import nn
    >>> bool((nn.init.uniform((3, 2), 5.0, 6.0) >= 5).all())
    True
    """
    return a + (b - a) * rand(shape, generator=generator, dtype=dtype)


def normal(shape: Shape, mean: float = 0.0, std: float = 1.0, *, generator: Any = None, dtype: Any = None) -> Tensor:
    """Normal draws.

    >>> from hograd import nn
    >>> nn.init.normal((3, 2), std=0.02).shape
    (3, 2)
    """
    return mean + std * randn(shape, generator=generator, dtype=dtype)


def trunc_normal(
    shape: Shape,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    *,
    generator: Any = None,
    dtype: Any = None,
) -> Tensor:
    """Normal draws on the condition that they lie in [a, b]: the inverse distribution function of uniform draws.

    Args:
        shape: of the answer.
        mean, std: of the normal distribution before it is cut.
        a, b: the bounds themselves, not in units of `std`; a < b.
        generator, dtype: as everywhere here.

    >>> from hograd import nn
    >>> bool((abs(nn.init.trunc_normal(1000)) <= 2).all())
    True
    """
    from scipy.special import ndtr, ndtri

    if not a < b:
        raise ArgumentError(f"trunc_normal got a={a} and b={b}, expected a < b.")
    low, high = ndtr((a - mean) / std), ndtr((b - mean) / std)
    share = low + (high - low) * rand(shape, generator=generator, dtype=np.float64).numpy()
    drawn = np.clip(mean + std * ndtri(share), a, b)
    return tensor(drawn, dtype=default_dtype() if dtype is None else dtype)


def constant(shape: Shape, val: float, *, generator: Any = None, dtype: Any = None) -> Tensor:
    """`val` everywhere; `generator` is taken so that it can stand for any initialiser, and is not used.

    >>> from hograd import nn
    >>> nn.init.constant(2, 0.5)
    tensor([0.5000, 0.5000])
    """
    return full(shape_of(shape, "constant"), float(val), dtype=dtype)


def zeros(shape: Shape, *, generator: Any = None, dtype: Any = None) -> Tensor:
    """0 everywhere.

    >>> from hograd import nn
    >>> nn.init.zeros(2)
    tensor([0., 0.])
    """
    return constant(shape, 0.0, dtype=dtype)


def ones(shape: Shape, *, generator: Any = None, dtype: Any = None) -> Tensor:
    """1 everywhere.

    >>> from hograd import nn
    >>> nn.init.ones(2)
    tensor([1., 1.])
    """
    return constant(shape, 1.0, dtype=dtype)


def eye(shape: Shape, *, generator: Any = None, dtype: Any = None) -> Tensor:
    """1 on the diagonal of a matrix and 0 elsewhere: a linear layer that starts as the identity.

    >>> from hograd import nn
    >>> nn.init.eye((2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    lengths = shape_of(shape, "eye")
    if len(lengths) != 2:
        raise ShapeError(f"eye: Only tensors with 2 dimensions are supported, found shape {lengths}.")
    return _eye(*lengths, dtype=dtype)


def xavier_uniform(shape: Shape, gain: float = 1.0, *, generator: Any = None, dtype: Any = None) -> Tensor:
    """Uniform in +- gain * sqrt(6 / (fan_in + fan_out))  (Glorot and Bengio, 2010).

    >>> from hograd import nn
    >>> bool((abs(nn.init.xavier_uniform((2, 4))) <= 1).all())
    True
    """
    bound = gain * math.sqrt(6 / sum(_fans(shape, "xavier_uniform")))
    return uniform(shape, -bound, bound, generator=generator, dtype=dtype)


def xavier_normal(shape: Shape, gain: float = 1.0, *, generator: Any = None, dtype: Any = None) -> Tensor:
    """Normal of standard deviation  gain * sqrt(2 / (fan_in + fan_out))  (Glorot and Bengio, 2010).

    >>> from hograd import nn
    >>> nn.init.xavier_normal((2, 4)).shape
    (2, 4)
    """
    std = gain * math.sqrt(2 / sum(_fans(shape, "xavier_normal")))
    return normal(shape, 0.0, std, generator=generator, dtype=dtype)


Mode = Literal["fan_in", "fan_out"]


def _kaiming_std(shape: Shape, a: float, mode: Mode, nonlinearity: str, name: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"{name}: Mode {mode!r} not supported, please use one of 'fan_in' and 'fan_out'.")
    fan = _fans(shape, name)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def kaiming_uniform(
    shape: Shape,
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    generator: Any = None,
    dtype: Any = None,
) -> Tensor:
    """Uniform in +- gain * sqrt(3 / fan)  (He et al., 2015).

    Args:
        shape: (outputs, inputs, *kernel).
        a: slope of the leaky_relu that follows; 0 is relu.
        mode: "fan_in" keeps the variance of activations, "fan_out" that of gradients.
        nonlinearity: what `calculate_gain` takes.
        generator, dtype: as everywhere here.

    >>> from hograd import nn
    >>> bool((abs(nn.init.kaiming_uniform((5, 6))) <= 1).all())
    True
    """
    bound = math.sqrt(3) * _kaiming_std(shape, a, mode, nonlinearity, "kaiming_uniform")
    return uniform(shape, -bound, bound, generator=generator, dtype=dtype)


def kaiming_normal(
    shape: Shape,
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    generator: Any = None,
    dtype: Any = None,
) -> Tensor:
    """Normal of standard deviation  gain / sqrt(fan)  (He et al., 2015); arguments as for `kaiming_uniform`.

    >>> from hograd import nn
    >>> nn.init.kaiming_normal((64, 3, 3, 3), nonlinearity="relu").shape
    (64, 3, 3, 3)
    """
    return normal(
        shape, 0.0, _kaiming_std(shape, a, mode, nonlinearity, "kaiming_normal"), generator=generator, dtype=dtype
    )


def orthogonal(shape: Shape, gain: float = 1.0, *, generator: Any = None, dtype: Any = None) -> Tensor:
    """gain times a random matrix with orthonormal rows or columns, whichever are fewer (Saxe et al., 2013).

    Args:
        shape: at least two lengths; the matrix has the first as rows and the product of the others as columns.
        gain: factor.
        generator, dtype: as everywhere here.

    >>> from hograd import nn
    >>> w = nn.init.orthogonal((2, 3))
    >>> (w @ w.t()).numpy().round(12) + 0.0
    array([[1., 0.],
           [0., 1.]])
    """
    lengths = shape_of(shape, "orthogonal")
    if len(lengths) < 2:
        raise ShapeError(f"orthogonal: Only tensors with 2 or more dimensions are supported, found shape {lengths}.")
    rows, columns = lengths[0], math.prod(lengths[1:])
    drawn = randn(max(rows, columns), min(rows, columns), generator=generator, dtype=np.float64).numpy()
    q, r = np.linalg.qr(drawn)
    # The signs make the distribution uniform (Mezzadri, 2006).
    q = q * np.sign(np.diagonal(r))
    q = q if rows >= columns else q.T
    return tensor(gain * q.reshape(lengths), dtype=default_dtype() if dtype is None else dtype)


glorot_uniform, glorot_normal = xavier_uniform, xavier_normal
he_uniform, he_normal = kaiming_uniform, kaiming_normal
