"""Powers, exponentials and norms of matrices: matrix_power, matrix_exp, multi_dot, vander, norms, cond."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hograd.backend import through_cpu
from hograd.core.declare import case, composite, general, operation
from hograd.core.dispatch import promote, wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, ShapeError
from hograd.ops.axes import axis_of, operand, tensor_of, whole
from hograd.ops.linalg_parts import choice, function_of, identity_like, leading, matrices

__all__ = ["matrix_exp", "matrix_power", "vander"]


@composite(
    lambda s: [case(s.regular(3), 3), case(s.regular(2, 3), -2), case(s.normal(2, 2, 2), 5)],
    name="linalg_matrix_power",
)
def matrix_power(F: Any, A: Any, n: int) -> Tensor:
    """n-th power of matrices, of their inverses for negative n.

    Args:
        A: shape (..., k, k).
        n: whole number.

    >>> import hograd as ho
    >>> ho.linalg.matrix_power(ho.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    (a,) = matrices(F, "matrix_power", A, square=True)
    n = whole(n, "linalg.matrix_power", "n")
    if n < 0:
        a, n = F.matrix_inverse(a), -n
    result = None
    while n:
        if n & 1:
            result = a if result is None else F.matmul(result, a)
        n >>= 1
        a = F.matmul(a, a) if n else a
    return identity_like(F, a) if result is None else result


def _expm_kernel(x: Any) -> Any:
    from scipy.linalg import expm

    return through_cpu(expm, x) if x.size else x


def _direction(F: Any, x: Any, t: Any) -> Any:
    """The derivative of the exponential at x along t: a block of the exponential of [[x, t], [0, x]]."""
    n = x.shape[-1]
    upper = F.concatenate([x, t], axis=x.ndim - 1)
    lower = F.concatenate([F.zeros_like(x), x], axis=x.ndim - 1)
    return F.matrix_exponential(F.concatenate([upper, lower], axis=x.ndim - 2))[..., :n, n:]


_exponential = general(
    "matrix_exponential",
    _expm_kernel,
    [lambda F, g, x: _direction(F, F.mT(x), g)],
    jvp=lambda F, tangents, values, params: _direction(F, values[1], tangents[0]),
    batch=leading,
)
function_of(_exponential)


@composite(lambda s: [case(s.normal(3, 3)), case(s.normal(2, 2, 2)), case(s.normal(1, 1))], name="linalg_matrix_exp")
def matrix_exp(F: Any, A: Any) -> Tensor:
    """Exponential of matrices,  sum_k A^k / k!.

    By scaling, a Pade approximant and squaring (Al-Mohy and Higham, 2009); a derivative is one of twice the size.

    Args:
        A: shape (..., n, n).

    >>> import hograd as ho
    >>> ho.linalg.matrix_exp(ho.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    return F.matrix_exponential(*matrices(F, "matrix_exp", A, square=True))


def _order(lengths: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each run of matrices so that the products cost least."""
    n = len(lengths) - 1
    cost = {(i, i): 0 for i in range(n)}
    split = {}
    for span in range(1, n):
        for i in range(n - span):
            j = i + span
            ways = {k: cost[i, k] + cost[k + 1, j] + lengths[i] * lengths[k + 1] * lengths[j + 1] for k in range(i, j)}
            split[i, j] = min(ways, key=ways.__getitem__)
            cost[i, j] = ways[split[i, j]]
    return split


@operation(
    lambda tensors: np.linalg.multi_dot(tensors),
    lambda s: [
        case([s.normal(2, 3), s.normal(3, 4), s.normal(4, 2)]),
        case([s.normal(3), s.normal(3, 4), s.normal(4)]),
        case([s.normal(2, 3), s.normal(3, 4)]),
    ],
    name="linalg_multi_dot",
)
def multi_dot(tensors: Any) -> Tensor:
    """Product of several matrices, multiplied in the order that costs least.

    Args:
        tensors: at least two matrices; the first and the last may be vectors.

    >>> import hograd as ho
    >>> ho.linalg.multi_dot([ho.ones(2, 3), ho.ones(3, 3), ho.ones(3)])
    tensor([9., 9.])
    """
    if not isinstance(tensors, Sequence):
        raise DtypeError(f"linalg.multi_dot got {type(tensors).__name__}, expected a list of tensors.")
    items = [wrap(x) for x in promote("multi_dot", *[tensor_of(x, "multi_dot") for x in tensors])]
    if len(items) < 2:
        raise ArgumentError(f"linalg.multi_dot got {len(items)} tensors, expected at least two.")
    row, column = items[0].ndim == 1, items[-1].ndim == 1
    if row:
        items[0] = ops.reshape(items[0], (1, -1))
    if column:
        items[-1] = ops.reshape(items[-1], (-1, 1))
    for i, x in enumerate(items):
        if x.ndim != 2 or (i and items[i - 1].shape[1] != x.shape[0]):
            raise ShapeError(
                f"linalg.multi_dot: tensors[{i}] has shape {tuple(x.shape)}, expected a matrix"
                + (f" with {items[i - 1].shape[-1]} rows." if i else ".")
            )
    split = _order([items[0].shape[0], *(x.shape[1] for x in items)])

    def product(i: int, j: int) -> Tensor:
        return items[i] if i == j else ops.matmul(product(i, split[i, j]), product(split[i, j] + 1, j))

    y = product(0, len(items) - 1)
    return ops.reshape(y, (() if row else y.shape[:1]) + (() if column else y.shape[1:]))


@composite(lambda s: [case(s.normal(2, 3), s.normal(3)), case(s.normal(3, 2), s.normal(3, 1), 0)], name="linalg_vecdot")
def vecdot(F: Any, x: Any, y: Any, axis: int = -1) -> Tensor:
    """Inner products of vectors,  sum conj(x) y,  along an axis; the others are broadcast.

    Args:
        x, y: tensors.
        axis: that of the vectors (`dim`).

    >>> import hograd as ho
    >>> ho.linalg.vecdot(ho.tensor([[1.0, 2.0], [3.0, 4.0]]), ho.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    x, y = operand(F, x, "vecdot"), operand(F, y, "vecdot")
    return F.sum((F.conj(x) if x.dtype.kind == "c" else x) * y, axis=axis)


def _square(name: str, shape: Any, count: int) -> int:
    """The number of unknowns of a matrix whose rows are the first `count` axes."""
    rows, columns = math.prod(shape[:count]), math.prod(shape[count:])
    if rows != columns:
        raise ShapeError(
            f"linalg.{name}: A has shape {tuple(shape)}, expected the product of its first {count} lengths, {rows}, to "
            f"be that of the others, {columns}."
        )
    return rows


@composite(
    lambda s: [case(s.regular(4).reshape(2, 2, 4), s.normal(2, 2)), case(s.regular(6).reshape(6, 3, 2), s.normal(6))],
    name="linalg_tensorsolve",
)
def tensorsolve(F: Any, A: Any, B: Any, axes: Any = None) -> Tensor:
    """Solution X of  tensordot(A, X, X.ndim) = B.

    Args:
        A: shape (*B.shape, *X.shape), where X has as many elements as B.
        B: tensor.
        axes: axes of `A` to move behind all others first (`dims`).

    >>> import hograd as ho
    >>> ho.linalg.tensorsolve(ho.reshape(2 * ho.eye(4), (4, 2, 2)), ho.tensor([2.0, 4.0, 6.0, 8.0]))
    tensor([[1., 2.],
            [3., 4.]])
    """
    a, b = operand(F, A, "tensorsolve"), operand(F, B, "tensorsolve")
    if axes is not None:
        # As in PyTorch, B then only has to have as many elements.
        a = F.moveaxis(a, tuple(axes), tuple(range(a.ndim - len(axes), a.ndim)))
    elif tuple(a.shape[: b.ndim]) != tuple(b.shape):
        raise ShapeError(
            f"linalg.tensorsolve: A has shape {tuple(a.shape)}, expected its first lengths to be those of B, "
            f"{tuple(b.shape)}."
        )
    n = _square("tensorsolve", a.shape, b.ndim)
    y = F.linalg_solve(F.reshape(a, (n, n)), F.reshape(b, (n,)))
    return F.reshape(y, tuple(a.shape[b.ndim :]))


@composite(
    lambda s: [case(s.regular(6).reshape(2, 3, 6), 2), case(s.regular(4).reshape(4, 2, 2), ind=1)],
    name="linalg_tensorinv",
)
def tensorinv(F: Any, A: Any, ind: int = 2) -> Tensor:
    """Inverse of a tensor as a map from its last axes to the first `ind` ones.

    Args:
        A: tensor whose first `ind` lengths have the product of the others.
        ind: at least 1.

    Returns:
        Shape (*A.shape[ind:], *A.shape[:ind]).

    >>> import hograd as ho
    >>> ho.linalg.tensorinv(ho.reshape(2 * ho.eye(4), (4, 2, 2)), 1).shape
    (2, 2, 4)
    """
    a = operand(F, A, "tensorinv")
    ind = whole(ind, "linalg.tensorinv", "ind")
    if ind < 1:
        raise ArgumentError(f"linalg.tensorinv got ind={ind}, expected at least 1.")
    n = _square("tensorinv", a.shape, ind)
    return F.reshape(F.linalg_inv(F.reshape(a, (n, n))), (*a.shape[ind:], *a.shape[:ind]))


@composite(lambda s: [case(s.normal(3)), case(s.normal(2, 3), N=4), case(s.normal(2), N=2)], name="linalg_vander")
def vander(F: Any, x: Any, *, N: int | None = None) -> Tensor:
    """Vandermonde matrices: the powers of each element from 0 to N - 1, in a row.

    Args:
        x: shape (..., n); one of shape () counts as (1,).
        N: how many powers; by default n.

    Returns:
        Shape (..., n, N).

    >>> import hograd as ho
    >>> ho.linalg.vander(ho.tensor([2.0, 3.0]), N=3)
    tensor([[1., 2., 4.],
            [1., 3., 9.]])
    """
    x = operand(F, x, "vander")
    x = x if x.ndim else F.reshape(x, (1,))
    count: int = x.shape[-1] if N is None else N
    if count < 1:
        raise ArgumentError(f"linalg.vander got N={N}, expected at least 1.")
    powers = [F.ones_like(x)]
    for _ in range(count - 1):
        powers.append(powers[-1] * x)
    return F.stack(powers, axis=x.ndim)


@composite(
    lambda s: [
        case(s.normal(3, 4)),
        case(s.normal(3, 4), 3, axis=0),
        case(s.normal(3, 4), 1, axis=(0, 1), keepdims=True),
        case(s.normal(3, 4), math.inf, axis=-1),
    ],
    name="linalg_vector_norm",
)
def vector_norm(F: Any, x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Vector norm over `axis`:  (sum |x|**ord)**(1/ord); its derivative is 0 where the norm is 0.

    Args:
        x: floating tensor.
        ord: number, inf or -inf; 0 counts the elements that are not 0.
        axis: int, tuple of ints, or None for all axes (`dim`).
        keepdims: keep the reduced axes with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.linalg.vector_norm(ho.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if isinstance(ord, str):
        raise ArgumentError(f"linalg.vector_norm got ord={ord!r}, expected a number.")
    return F.norm(operand(F, x, "vector_norm"), ord, axis, keepdims)


@composite(
    lambda s: [
        case(s.normal(3, 4)),
        case(s.tall(2, 3, 2), "nuc"),
        case(s.tall(3, 2), 2),
        case(s.tall(3, 2), -2, keepdims=True),
        case(s.normal(2, 3, 4), 1, (0, 2)),
        case(s.normal(3, 4), -math.inf),
        case(s.normal(3, 4), math.inf),
    ],
    name="linalg_matrix_norm",
)
def matrix_norm(F: Any, A: Any, ord: Any = "fro", axis: Any = (-2, -1), keepdims: bool = False) -> Tensor:
    """Norm of matrices.

    Args:
        A: floating tensor.
        ord: "fro" (root of the sum of squares), "nuc" (sum of the singular values), 2 and -2 (the largest and the
            smallest of them), 1 and -1 (the largest and the smallest sum of |a| over a column), inf and -inf (over a
            row).
        axis: the axes of the rows and of the columns (`dim`).
        keepdims: keep these axes with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.linalg.matrix_norm(ho.tensor([[3.0, 0.0], [4.0, 1.0]]), 1)
    tensor(7.)
    """
    (a,) = matrices(F, "matrix_norm", A)
    choice("matrix_norm", "ord", ord, ("fro", "nuc", 2, -2, 1, -1, math.inf, -math.inf))
    rank = a.ndim
    rows, columns = (axis_of(i, rank, "matrix_norm") for i in axis)
    if rows == columns:
        raise ShapeError(f"linalg.matrix_norm got axis={axis}, expected two different axes.")
    if ord == "fro":
        return F.norm(a, 2, (rows, columns), keepdims)
    a = F.moveaxis(a, (rows, columns), (-2, -1))
    if ord in ("nuc", 2, -2):
        values = F.linalg_svdvals(a)
        y = (F.sum if ord == "nuc" else F.amax if ord == 2 else F.amin)(values, axis=values.ndim - 1)
    else:
        sums = F.sum(F.abs(a), axis=rank - 2 if abs(ord) == 1 else rank - 1)
        y = (F.amax if ord > 0 else F.amin)(sums, axis=sums.ndim - 1)
    return F.expand_dims(y, tuple(sorted((rows, columns)))) if keepdims else y


@composite(
    lambda s: [
        case(s.normal(3, 4)),
        case(s.normal(4), 3),
        case(s.normal(3, 4), 1),
        case(s.tall(2, 3, 2), "nuc", (1, 2)),
        case(s.normal(3, 4), None, 0),
    ],
    name="linalg_norm",
)
def norm(F: Any, A: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """`vector_norm` or `matrix_norm`, by the number of axes.

    Args:
        A: floating tensor.
        ord: None is the root of the sum of squares; else as `matrix_norm` or `vector_norm` takes it.
        axis: one axis for vectors, two for matrices (`dim`); None for all of them, which must be one or two unless
            `ord` is None.
        keepdims: keep these axes with length 1 (`keepdim`).

    >>> import hograd as ho
    >>> ho.linalg.norm(ho.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(5.)
    """
    a = operand(F, A, "norm")
    if ord is None:
        return F.norm(a, 2, axis, keepdims)
    count = a.ndim if axis is None else len(axis) if isinstance(axis, (tuple, list)) else 1
    if count == 2:
        return F.linalg_matrix_norm(a, ord, (-2, -1) if axis is None else axis, keepdims)
    if count > 2 or isinstance(ord, str):
        raise ShapeError(f"linalg.norm got ord={ord!r} over {count} axes, expected one or two axes for it.")
    return F.linalg_vector_norm(a, ord, axis, keepdims)


@composite(
    lambda s: [case(s.regular(3)), case(s.tall(2, 3, 2)), case(s.regular(3), "fro"), case(s.regular(2, 3), 1)],
    name="linalg_cond",
)
def cond(F: Any, A: Any, p: Any = None) -> Tensor:
    """Condition number of matrices: the norm of the matrix times that of its inverse.

    Args:
        A: shape (..., n, m); square and invertible unless `p` is None, 2 or -2.
        p: None or 2 for the ratio of the largest to the smallest singular value, -2 for its inverse, or an `ord` of
            `matrix_norm`.

    >>> import hograd as ho
    >>> ho.linalg.cond(ho.tensor([[4.0, 0.0], [0.0, 2.0]]))
    tensor(2.)
    """
    if p in (None, 2, -2):
        (a,) = matrices(F, "cond", A)
        values = F.linalg_svdvals(a)
        largest, smallest = values[..., 0], values[..., -1]
        return smallest / largest if p == -2 else largest / smallest
    (a,) = matrices(F, "cond", A, square=True)
    return F.linalg_matrix_norm(a, p) * F.linalg_matrix_norm(F.matrix_inverse(a), p)
