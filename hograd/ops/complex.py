"""Complex numbers: their parts, and tensors made of them.

Operations on complex tensors are differentiable by PyTorch's convention: the gradient of a real L by z = a + i b is
dL/da + i dL/db. Holomorphic operations (arithmetic, exp, sin, products and solutions of matrices, ...) need nothing
for it; what is defined by order or size (extrema, variances, losses, most matrix factors) is that of real numbers.
Within the tape a cotangent g of z stands for the change Re(g dz), and the conjugate is taken where cotangents
enter and leave a backward pass.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.backend import scalarize
from hograd.core.batching import align
from hograd.core.declare import case, composite, linear, operation
from hograd.core.dispatch import apply, promote, wrap
from hograd.core.primitive import Primitive, ops
from hograd.core.tensor import Tensor
from hograd.errors import DtypeError, ShapeError
from hograd.ops.axes import common_shape, operand, tensor_of
from hograd.ops.create import ones_like

__all__ = [
    "adjoint",
    "angle",
    "complex",
    "conj",
    "imag",
    "is_complex",
    "isreal",
    "polar",
    "real",
    "sgn",
    "view_as_complex",
    "view_as_real",
]


def _complex_kernel(a: Any, b: Any) -> Any:
    # Not a + b * 1j, which is nan where b is infinite.
    parts = np.stack(np.broadcast_arrays(a, b), -1)
    return scalarize(parts.view(np.result_type(parts.dtype, 1j))[..., 0])


_complex = Primitive(
    "complex",
    _complex_kernel,
    ["a", "b"],
    "linear",
    rules=[lambda F, g: F.real(g), lambda F, g: -F.imag(g)],
    batch=align,
)


@operation(_complex_kernel, lambda s: [case(s.normal(3), s.normal(3)), case(s.normal(2, 1), s.normal(3))])
def complex(a: Any, b: Any) -> Tensor:
    """a + i b.

    Args:
        a, b: real floating tensors, which are broadcast against each other (`real`, `imag`).

    >>> import hograd as ho
    >>> ho.complex(ho.tensor([1.0, 2.0]), ho.tensor([0.0, -1.0]))
    tensor([1.+0.j, 2.-1.j])
    """
    a, b = promote("complex", tensor_of(a, "complex"), tensor_of(b, "complex"))
    if a.dtype.kind != "f" or a.dtype.itemsize < 4:
        raise DtypeError(f"complex: the parts have dtype {a.dtype}, expected float32 or float64.")
    common_shape("complex", a, b)
    return wrap(apply(_complex, (a, b), {}))


def _real_kernel(x: Any) -> Any:
    return x.real


_real = linear("real", _real_kernel, lambda F, g: g, batch=align)


@operation(_real_kernel, lambda s: [case(s.complex(3)), case(s.normal(3)), case(s.complex())])
def real(x: Any) -> Tensor:
    """Real part; real tensors stay as they are.

    >>> import hograd as ho
    >>> ho.real(ho.tensor([1.0 + 2.0j]))
    tensor([1.])
    """
    x = tensor_of(x, "real")
    return wrap(apply(_real, (x,), {})) if x.dtype.kind == "c" else x


def _imag_kernel(x: Any) -> Any:
    return x.imag


_imag = linear("imag", _imag_kernel, lambda F, g: g * -1j, batch=align)


@operation(_imag_kernel, lambda s: [case(s.complex(3)), case(s.complex())])
def imag(x: Any) -> Tensor:
    """Imaginary part of a complex tensor.

    >>> import hograd as ho
    >>> ho.imag(ho.tensor([1.0 + 2.0j]))
    tensor([2.])
    """
    x = tensor_of(x, "imag")
    if x.dtype.kind != "c":
        raise DtypeError(f"imag is not implemented for tensors with non-complex dtypes, found {x.dtype}.")
    return wrap(apply(_imag, (x,), {}))


_conj = linear("conj", np.conj, lambda F, g: F.conj(g), batch=align)


@operation(np.conj, lambda s: [case(s.complex(3)), case(s.normal(3)), case(s.complex())])
def conj(x: Any) -> Tensor:
    """Complex conjugate; real tensors stay as they are.

    >>> import hograd as ho
    >>> ho.conj(ho.tensor([1.0 + 2.0j]))
    tensor([1.-2.j])
    """
    x = tensor_of(x, "conj")
    return wrap(apply(_conj, (x,), {})) if x.dtype.kind == "c" else x


@composite(lambda s: [case(s.away_from_zero(3) + 1j * s.normal(3)), case(s.away_from_zero(3))])
def angle(F: Any, x: Any) -> Tensor:
    """Angle of complex numbers against the positive axis, in (-pi, pi]; of real ones 0, or pi for negative ones.

    >>> import hograd as ho
    >>> ho.angle(ho.tensor([1.0 + 1.0j, -1.0 + 0.0j]))
    tensor([0.7854, 3.1416])
    """
    x = operand(F, x, "angle")
    if x.dtype.kind == "c":
        return F.atan2(F.imag(x), F.real(x))
    return F.where(F.lt(x, 0), math.pi, 0 * F.sign(x))


@composite(lambda s: [case(s.positive(3), s.normal(3))])
def polar(F: Any, abs: Any, angle: Any) -> Tensor:
    """Complex numbers from their absolute values and angles.

    >>> import hograd as ho
    >>> ho.polar(ho.tensor([2.0]), ho.tensor([0.0]))
    tensor([2.+0.j])
    """
    abs, angle = operand(F, abs, "polar"), operand(F, angle, "polar")
    return F.complex(abs * F.cos(angle), abs * F.sin(angle))


@composite(lambda s: [case(s.complex(3)), case(s.away_from_zero(3))])
def sgn(F: Any, x: Any) -> Tensor:
    """Direction of complex numbers,  x / |x|,  and 0 at 0, as all its derivatives; the sign of real ones.

    >>> import hograd as ho
    >>> ho.sgn(ho.tensor([3.0j, 0.0j]))
    tensor([0.+1.j, 0.+0.j])
    """
    x = operand(F, x, "sgn")
    if x.dtype.kind != "c":
        return F.sign(x)
    size = F.abs(x)
    none = F.eq(size, 0)
    divisor = F.where(none, 1.0, size)
    # The outer choice makes the derivatives at 0 zero, as in PyTorch. A complex quotient would overflow inside for
    # numbers below the normal ones.
    return F.where(none, 0.0, F.complex(F.real(x) / divisor, F.imag(x) / divisor))


@composite(lambda s: [case(s.complex(2, 3)), case(s.complex())])
def view_as_real(F: Any, x: Any) -> Tensor:
    """The parts of complex numbers, along a last axis of length 2.

    >>> import hograd as ho
    >>> ho.view_as_real(ho.tensor([1.0 + 2.0j]))
    tensor([[1., 2.]])
    """
    x = operand(F, x, "view_as_real")
    return F.stack([F.real(x), F.imag(x)], axis=x.ndim)


@composite(lambda s: [case(s.normal(3, 2)), case(s.normal(2))])
def view_as_complex(F: Any, x: Any) -> Tensor:
    """Complex numbers from their parts, which stand along a last axis of length 2.

    >>> import hograd as ho
    >>> ho.view_as_complex(ho.tensor([[1.0, 2.0]]))
    tensor([1.+2.j])
    """
    x = operand(F, x, "view_as_complex")
    if not x.ndim or x.shape[-1] != 2:
        raise ShapeError(f"view_as_complex: x has shape {tuple(x.shape)}, expected a last axis of length 2.")
    return F.complex(x[..., 0], x[..., 1])


def is_complex(x: Any) -> bool:
    """Whether the elements are complex numbers.

    >>> import hograd as ho
    >>> ho.is_complex(ho.tensor([1j]))
    True
    """
    return tensor_of(x, "is_complex").dtype.kind == "c"


@composite(lambda s: [case(s.complex(2, 3)), case(s.normal(2, 2, 3)), case(s.normal())])
def adjoint(F: Any, x: Any) -> Tensor:
    """The last two axes swapped, and the conjugate: the adjoint of a matrix (`x.mH`).

    >>> import hograd as ho
    >>> ho.adjoint(ho.tensor([[1j, 2.0]]))
    tensor([[0.-1.j],
            [2.-0.j]])
    """
    x = operand(F, x, "adjoint")
    if x.ndim == 1:
        raise ShapeError(f"adjoint: x has shape {tuple(x.shape)}, expected matrices.")
    return F.conj(F.swapaxes(x, -2, -1) if x.ndim else x)


@operation(None, lambda s: [case(np.array([1.0 + 0j, 1j])), case(s.normal(2))], differentiable=False)
def isreal(x: Any) -> Tensor:
    """Whether each element has the imaginary part 0.

    >>> import hograd as ho
    >>> ho.isreal(ho.tensor([1.0, 1j]))
    tensor([ True, False])
    """
    x = tensor_of(x, "isreal")
    return ops.eq(ops.imag(x), 0) if x.dtype.kind == "c" else ones_like(x, dtype=np.bool_)
