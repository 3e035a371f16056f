"""Products of vectors and matrices, made of `matmul`."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.declare import case, operation
from hograd.core.dispatch import promote, wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ShapeError
from hograd.ops.axes import axis_of, tensor_of

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "bmm",
    "cdist",
    "cross",
    "dist",
    "ger",
    "inner",
    "kron",
    "mm",
    "mv",
    "pdist",
    "vdot",
]


def _ranked(name: str, ranks: tuple[int, ...], *tensors: Any) -> list[Tensor]:
    """Tensors of one dtype, each with the number of axes that the operation takes."""
    found = [wrap(x) for x in promote(name, *[tensor_of(x, name) for x in tensors])]
    for i, (x, rank) in enumerate(zip(found, ranks, strict=True)):
        if x.ndim != rank:
            raise ShapeError(f"{name}: argument {i} has shape {tuple(x.shape)}, expected a {rank}D tensor.")
    return found


@operation(None, lambda s: [case(s.normal(3, 4), s.normal(4, 2))])
def mm(a: Any, b: Any) -> Tensor:
    """Product of two matrices.

    Args:
        a: shape (n, k).
        b: shape (k, m).

    >>> import hograd as ho
    >>> ho.mm(ho.ones(2, 3), ho.ones(3, 1))
    tensor([[3.],
            [3.]])
    """
    return ops.matmul(*_ranked("mm", (2, 2), a, b))


@operation(None, lambda s: [case(s.normal(3, 4), s.normal(4))])
def mv(a: Any, b: Any) -> Tensor:
    """Product of a matrix and a vector.

    Args:
        a: shape (n, k).
        b: shape (k,).

    >>> import hograd as ho
    >>> ho.mv(ho.ones(2, 3), ho.ones(3))
    tensor([3., 3.])
    """
    return ops.matmul(*_ranked("mv", (2, 1), a, b))


@operation(None, lambda s: [case(s.normal(2, 3, 4), s.normal(2, 4, 3))])
def bmm(a: Any, b: Any) -> Tensor:
    """Products of matrices, pair by pair.

    Args:
        a: shape (B, n, k).
        b: shape (B, k, m).

    >>> import hograd as ho
    >>> ho.bmm(ho.ones(5, 2, 3), ho.ones(5, 3, 1)).shape
    (5, 2, 1)
    """
    a, b = _ranked("bmm", (3, 3), a, b)
    if a.shape[0] != b.shape[0]:
        raise ShapeError(f"bmm: a has {a.shape[0]} matrices, but b has {b.shape[0]}.")
    return ops.matmul(a, b)


def _scaled(factor: Any, x: Any) -> Any:
    return x if isinstance(factor, int) and factor == 1 else ops.mul(factor, x)


def _added(x: Any, product: Tensor, beta: Any, alpha: Any, name: str) -> Tensor:
    """beta x + alpha product; with beta 0 nothing of x counts, not even nan, as in PyTorch."""
    x = tensor_of(x, name)
    product = _scaled(alpha, product)
    if isinstance(beta, (int, float)) and beta == 0:
        return product
    return ops.add(ops.broadcast_to(_scaled(beta, x), product.shape), product)


@operation(
    None,
    lambda s: [
        case(s.normal(3, 2), s.normal(3, 4), s.normal(4, 2)),
        case(s.normal(2), s.normal(3, 4), s.normal(4, 2), beta=0.5, alpha=2.0),
    ],
)
def addmm(x: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta x + alpha mat1 @ mat2.

    Args:
        x: broadcast to shape (n, m).
        mat1: shape (n, k).
        mat2: shape (k, m).
        beta, alpha: numbers; with beta 0, x is not read.

    >>> import hograd as ho
    >>> ho.addmm(ho.ones(2, 1), ho.ones(2, 3), ho.ones(3, 1))
    tensor([[4.],
            [4.]])
    """
    return _added(x, mm(mat1, mat2), beta, alpha, "addmm")


@operation(
    None,
    lambda s: [
        case(s.normal(3), s.normal(3, 4), s.normal(4)),
        case(s.normal(3), s.normal(3, 4), s.normal(4), beta=0.5, alpha=2.0),
    ],
)
def addmv(x: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta x + alpha mat @ vec.

    Args:
        x: broadcast to shape (n,).
        mat: shape (n, k).
        vec: shape (k,).
        beta, alpha: numbers; with beta 0, x is not read.

    >>> import hograd as ho
    >>> ho.addmv(ho.ones(2), ho.ones(2, 3), ho.ones(3))
    tensor([4., 4.])
    """
    return _added(x, mv(mat, vec), beta, alpha, "addmv")


@operation(None, lambda s: [case(s.normal(3, 4), s.normal(3), s.normal(4), beta=0.5, alpha=2.0)])
def addr(x: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta x + alpha times the outer product of two vectors.

    Args:
        x: broadcast to shape (n, m).
        vec1: shape (n,).
        vec2: shape (m,).
        beta, alpha: numbers; with beta 0, x is not read.

    >>> import hograd as ho
    >>> ho.addr(ho.ones(1, 2), ho.tensor([2.0]), ho.tensor([3.0, 4.0]))
    tensor([[7., 9.]])
    """
    return _added(x, ops.outer(vec1, vec2), beta, alpha, "addr")


@operation(
    None,
    lambda s: [
        case(s.normal(2, 3, 2), s.normal(2, 3, 4), s.normal(2, 4, 2)),
        case(s.normal(2), s.normal(2, 3, 4), s.normal(2, 4, 2), beta=0.5, alpha=2.0),
    ],
)
def baddbmm(x: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta x + alpha batch1 @ batch2, matrix by matrix.

    Args:
        x: broadcast to shape (B, n, m).
        batch1: shape (B, n, k).
        batch2: shape (B, k, m).
        beta, alpha: numbers; with beta 0, x is not read.

    >>> import hograd as ho
    >>> ho.baddbmm(ho.ones(1, 1, 1), ho.ones(1, 1, 3), ho.ones(1, 3, 1))
    tensor([[[4.]]])
    """
    return _added(x, bmm(batch1, batch2), beta, alpha, "baddbmm")


@operation(None, lambda s: [case(s.normal(3, 2), s.normal(2, 3, 4), s.normal(2, 4, 2), beta=0.5, alpha=2.0)])
def addbmm(x: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta x + alpha times the sum of batch1 @ batch2 over the matrices.

    Args:
        x: broadcast to shape (n, m).
        batch1: shape (B, n, k).
        batch2: shape (B, k, m).
        beta, alpha: numbers; with beta 0, x is not read.

    >>> import hograd as ho
    >>> ho.addbmm(ho.ones(1, 1), ho.ones(2, 1, 3), ho.ones(2, 3, 1))
    tensor([[7.]])
    """
    return _added(x, ops.sum(bmm(batch1, batch2), 0), beta, alpha, "addbmm")


@operation(None, lambda s: [case(s.normal(4), s.normal(4))])
def vdot(a: Any, b: Any) -> Tensor:
    """Inner product of two vectors of real numbers,  sum_i a_i b_i.

    >>> import hograd as ho
    >>> ho.vdot(ho.tensor([1.0, 2.0]), ho.tensor([3.0, 4.0]))
    tensor(11.)
    """
    return ops.dot(a, b)


@operation(
    None,
    lambda s: [case(s.normal(4), s.normal(4)), case(s.normal(2, 3), s.normal(4, 2, 3)), case(s.normal(), s.normal(2))],
)
def inner(a: Any, b: Any) -> Tensor:
    """Inner products over the last axes; the product where an argument is a number.

    Args:
        a: shape (..., k).
        b: shape (..., k).

    Returns:
        The leading axes of `a`, then those of `b`.

    >>> import hograd as ho
    >>> ho.inner(ho.ones(2, 3), ho.ones(4, 3)).shape
    (2, 4)
    """
    a, b = (wrap(x) for x in promote("inner", tensor_of(a, "inner"), tensor_of(b, "inner")))
    if not a.ndim or not b.ndim:
        return ops.mul(a, b)
    return ops.tensordot(a, b, ([a.ndim - 1], [b.ndim - 1]))


@operation(None, lambda s: [case(s.normal(3), s.normal(2))])
def ger(a: Any, b: Any) -> Tensor:
    """Outer product of two vectors, by its older name.

    >>> import hograd as ho
    >>> ho.ger(ho.tensor([1.0, 2.0]), ho.tensor([3.0]))
    tensor([[3.],
            [6.]])
    """
    return ops.outer(a, b)


@operation(
    None,
    lambda s: [
        case(s.normal(2, 3), s.normal(2, 2)),
        case(s.normal(3), s.normal(2)),
        case(s.normal(3), s.normal(2, 2)),
    ],
)
def kron(a: Any, b: Any) -> Tensor:
    """Kronecker product: `b` in blocks, each multiplied by one element of `a`.

    Args:
        a, b: tensors; the one with fewer axes gets new ones in front.

    >>> import hograd as ho
    >>> ho.kron(ho.tensor([1.0, 2.0]), ho.tensor([3.0, 4.0]))
    tensor([3., 4., 6., 8.])
    """
    a, b = (wrap(x) for x in promote("kron", tensor_of(a, "kron"), tensor_of(b, "kron")))
    rank = max(a.ndim, b.ndim)
    p, q = ((1,) * (rank - x.ndim) + tuple(x.shape) for x in (a, b))
    blocks = ops.reshape(a, tuple(n for length in p for n in (length, 1)))
    inside = ops.reshape(b, tuple(n for length in q for n in (1, length)))
    return ops.reshape(ops.mul(blocks, inside), tuple(n * m for n, m in zip(p, q, strict=True)))


@operation(
    None,
    lambda s: [
        case(s.normal(3), s.normal(3)),
        case(s.normal(2, 3), s.normal(2, 3)),
        case(s.normal(3, 2), s.normal(3, 1), 0),
    ],
)
def cross(a: Any, b: Any, axis: int | None = None) -> Tensor:
    """Vector product in three dimensions.

    Args:
        a, b: tensors of length 3 along the axis, the others broadcast.
        axis: int (`dim`); None for the first axis of length 3, as in PyTorch.

    >>> import hograd as ho
    >>> ho.cross(ho.tensor([1.0, 0.0, 0.0]), ho.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    a, b = (wrap(x) for x in promote("cross", tensor_of(a, "cross"), tensor_of(b, "cross")))
    a, b = ops.broadcast_tensors(a, b)
    if axis is None:
        axis = tuple(a.shape).index(3) if 3 in a.shape else 0
    axis = axis_of(axis, a.ndim, "cross")
    if not a.ndim or a.shape[axis] != 3:
        raise ShapeError(f"cross: a and b must have length 3 along axis {axis}, found shape {tuple(a.shape)}.")
    return ops.sub(
        ops.mul(ops.roll(a, -1, axis), ops.roll(b, 1, axis)), ops.mul(ops.roll(a, 1, axis), ops.roll(b, -1, axis))
    )


@operation(
    None,
    lambda s: [
        case(s.normal(3, 2), s.normal(4, 2)),
        case(s.normal(2, 3, 2), s.normal(2, 2), 1.0),
        case(s.normal(3, 2), s.normal(2, 2), p=3.0),
    ],
)
def cdist(a: Any, b: Any, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """Distances between all pairs of rows,  y_ij = ||a_i - b_j||_p.

    Args:
        a: shape (..., n, k).
        b: shape (..., m, k).
        p: at least 0, as in `norm`.
        compute_mode: taken for PyTorch's sake: distances are never computed by products, which lose digits.

    Returns:
        Shape (..., n, m), the leading axes broadcast. Where a distance is 0 its derivative is 0.

    >>> import hograd as ho
    >>> ho.cdist(ho.tensor([[0.0, 0.0]]), ho.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    a, b = (wrap(x) for x in promote("cdist", tensor_of(a, "cdist"), tensor_of(b, "cdist")))
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1]:
        raise ShapeError(
            f"cdist: a has shape {tuple(a.shape)}, b has shape {tuple(b.shape)}; expected rows of one length."
        )
    return ops.norm(ops.sub(ops.expand_dims(a, -2), ops.expand_dims(b, -3)), p, axis=-1)


def _apart(s: Any) -> Any:
    """Rows that are not near each other."""
    return s.array([[0.0, 0.0], [2.0, 1.0], [4.0, 2.0]]) + 0.2 * s.normal(3, 2)


@operation(None, lambda s: [case(_apart(s)), case(_apart(s), 1.0), case(_apart(s), p=3.0)])
def pdist(x: Any, p: float = 2.0) -> Tensor:
    """Distances between all pairs of different rows,  ||x_i - x_j||_p  for i < j, row by row.

    Args:
        x: shape (n, k).
        p: at least 0, as in `norm`.

    Returns:
        Shape (n (n - 1) / 2,). Where a distance is 0 its derivative is 0.

    >>> import hograd as ho
    >>> ho.pdist(ho.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    tensor([5.0000, 1.0000, 4.2426])
    """
    (x,) = _ranked("pdist", (2,), x)
    first, second = np.triu_indices(x.shape[0], 1)
    return ops.norm(ops.sub(ops.getitem(x, first), ops.getitem(x, second)), p, axis=-1)


@operation(None, lambda s: [case(s.normal(3, 2), s.normal(3, 2)), case(s.normal(3), s.normal(2, 1), 1.0)])
def dist(a: Any, b: Any, p: float = 2.0) -> Tensor:
    """Distance of two tensors, the norm of their difference,  ||a - b||_p.

    Args:
        a, b: tensors, broadcast against each other.
        p: number, as in `norm`.

    >>> import hograd as ho
    >>> ho.dist(ho.tensor([0.0, 1.0]), ho.tensor([3.0, 5.0]))
    tensor(5.)
    """
    return ops.norm(ops.sub(a, b), p)
