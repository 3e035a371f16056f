"""LU factors with partial pivoting, and systems solved by them: lu, lu_factor, lu_factor_ex, lu_solve, lu_unpack.

One primitive packs what LAPACK's `getrf` gives: L below the diagonal of U, and a row of the pivots below both. Which
rows are exchanged is taken as constant.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hograd.backend import scalarize, through_cpu
from hograd.core.declare import case, composite, general
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, IndexingError, LinearAlgebraError, ShapeError
from hograd.ops.axes import operand
from hograd.ops.linalg_parts import diagonal_of, function_of, identity_like, lapack, leading, matrices

__all__ = ["lu_unpack"]


def _lu_packed(x: Any, check: str) -> Any:
    n, m = x.shape[-2:]
    k = min(n, m)
    y = np.zeros((*x.shape[:-2], n + 1, m), x.dtype)
    for at in np.ndindex(x.shape[:-2] if k else (0,)):
        y[at][:n], pivots, info = lapack("getrf", x)(x[at])
        y[at][n, :k] = pivots + 1
        if check and info > 0:
            raise LinearAlgebraError(
                f"{check}: U[{info},{info}] is zero: the matrix{f' at {at}' if at else ''} is singular, and its "
                "factors solve no system. linalg.lu and linalg.lu_factor_ex give them all the same."
            )
    return y


def _by_upper(F: Any, upper: Any, x: Any) -> Any:
    return F.mT(F.matrix_solve_triangular(upper, F.mT(x), upper=True))


def _by_lower(F: Any, lower: Any, x: Any) -> Any:
    return F.matrix_solve_triangular(F.mT(lower), x, upper=True, unit=True)


def _pull_lu(F: Any, g: Any, y: Any) -> Any:
    n, m = y.shape[-2] - 1, y.shape[-1]
    k = min(n, m)
    square = y[..., :k, :k]
    # A matrix without an inverse has no derivative: it is nan, and that of the others in the batch is not.
    zero = F.matrix_mask(F.where(F.eq(square, 0), 1.0, 0.0), part="diagonal")
    upper = F.where(F.ne(zero, 0), float("nan"), square)
    low, up = F.matrix_mask(g[..., :k, :k], part="strictly lower"), F.matrix_mask(g[..., :k, :k], part="upper")
    low = low + F.matmul(F.mT(F.matrix_mask(square, part="strictly lower")), low)
    up = F.matmul(up, F.mT(F.matrix_mask(square, part="upper")))
    if m > n:
        low = low - F.matmul(g[..., :k, k:], F.mT(y[..., :k, k:]))
    if n > m:
        up = up - F.matmul(F.mT(y[..., k:n, :k]), g[..., k:n, :k])
    inner = F.matrix_mask(low, part="strictly lower") + F.matrix_mask(up, part="upper")
    pulled = _by_lower(F, square, _by_upper(F, upper, inner))
    if m > n:
        pulled = F.concatenate([pulled, _by_lower(F, square, g[..., :k, k:])], axis=y.ndim - 1)
    if n > m:
        pulled = F.concatenate([pulled, _by_upper(F, upper, g[..., k:n, :k])], axis=y.ndim - 2)
    return _reordered(F, pulled, F.row_order(y[..., n, :k], rows=n, inverse=True))


#: L below the diagonal of U, and below both the numbers of the rows, from 1, with which each was exchanged.
_factors = general(
    "lu_packed", lambda x, check: through_cpu(lambda x: _lu_packed(x, check), x), [_pull_lu], batch=leading
)
function_of(_factors, check="")


def _row_order(pivots: Any, rows: int, inverse: bool) -> Any:
    pivots = pivots.real.astype(np.int64) - 1
    if pivots.size and (pivots.min() < 0 or pivots.max() >= rows):
        raise IndexingError(
            f"linalg: pivots are from {pivots.min() + 1} to {pivots.max() + 1}, expected those that lu_factor gave for "
            f"{rows} rows, from 1 to {rows}."
        )
    order = np.broadcast_to(np.arange(rows), (*pivots.shape[:-1], rows)).copy()
    for i in range(pivots.shape[-1]):
        first, second = order[..., i].copy(), pivots[..., i, None]
        order[..., i] = np.take_along_axis(order, second, -1)[..., 0]
        np.put_along_axis(order, second, first[..., None], -1)
    return np.argsort(order, -1) if inverse else order


#: The order into which exchanges of rows bring them; inverted, the place where each has gone.
_order = general(
    "row_order",
    lambda x, rows, inverse: through_cpu(lambda x: _row_order(x, rows, inverse), x),
    None,
    batch=leading,
)
function_of(_order, inverse=False)

#: The permutation matrix whose rows have their 1 at these places.
_permutation = general(
    "permutation_matrix",
    lambda x, dtype: (x[..., None] == np.arange(x.shape[-1], like=x)).astype(dtype),
    None,
    batch=leading,
)
function_of(_permutation)


def _first_zero_kernel(x: Any) -> Any:
    end = np.ones_like(x, shape=(*x.shape[:-1], 1), dtype=bool)
    place = np.concatenate([x == 0, end], -1).argmax(-1)
    return scalarize(((place + 1) % (x.shape[-1] + 1)).astype(np.int32))


#: For rows of numbers the place, from 1, of the first 0 among them, or 0.
_first_zero = general("first_zero", _first_zero_kernel, None, batch=leading)
function_of(_first_zero)


def _reordered(F: Any, x: Any, order: Any) -> Any:
    """The rows of matrices in that order, leading axes broadcast."""
    index = F.expand_dims(order, -1)
    rank = max(x.ndim, index.ndim)
    x, index = (F.reshape(v, (*(1,) * (rank - v.ndim), *v.shape)) for v in (x, index))
    return F.take_along_axis(x, index, axis=rank - 2)


def singular_at(F: Any, packed: Any) -> Any:
    """For each of the packed factors the place, from 1, of the first 0 on the diagonal of U; 0 if there is none."""
    k = min(packed.shape[-2] - 1, packed.shape[-1])
    return F.first_zero(diagonal_of(F, packed[..., :k, :k]))


def _without_pivoting(name: str, pivot: bool) -> None:
    if not pivot:
        raise ArgumentError(f"linalg.{name} got pivot={pivot}, expected True: without pivoting factors are not stable.")


class PLU(NamedTuple):
    """What `lu` and `lu_unpack` return."""

    P: Tensor
    L: Tensor
    U: Tensor


class PackedLU(NamedTuple):
    """What `lu_factor` returns."""

    LU: Tensor
    pivots: Tensor


class PackedLUWithInfo(NamedTuple):
    """What `lu_factor_ex` returns."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


def _read(F: Any, packed: Any) -> tuple[Any, Any]:
    n = packed.shape[-2] - 1
    pivots = packed[..., n, : min(n, packed.shape[-1])]
    return packed[..., :n, :], F.astype(F.real(pivots), np.int32)


@composite(
    lambda s: [case(s.regular(3)), case(s.tall(4, 2)), case(s.tall(2, 2, 4)), case(s.regular(1))],
    name="linalg_lu_factor",
)
def lu_factor(F: Any, A: Any, *, pivot: bool = True) -> PackedLU:
    """LU factors in the form that `lu_solve` takes: L, whose diagonal is 1, below the diagonal of U.

    Args:
        A: shape (..., n, m).
        pivot: True; others are not stable.

    Returns:
        (LU, pivots): shape (..., n, m); the row, counted from 1, with which each of the first min(n, m) was exchanged,
        int32. The derivative takes the pivots as constant.

    Raises:
        LinearAlgebraError: there is a zero on the diagonal of U.

    >>> import hograd as ho
    >>> LU, pivots = ho.linalg.lu_factor(ho.tensor([[1.0, 3.0], [2.0, 4.0]]))
    >>> LU, pivots
    (tensor([[2.0000, 4.0000],
            [0.5000, 1.0000]]), tensor([2, 2], dtype=int32))
    """
    _without_pivoting("lu_factor", pivot)
    return PackedLU(*_read(F, F.lu_packed(*matrices(F, "lu_factor", A), check="linalg.lu_factor")))


@composite(lambda s: [case(s.regular(3)), case(s.tall(2, 3, 2))], name="linalg_lu_factor_ex")
def lu_factor_ex(F: Any, A: Any, *, pivot: bool = True, check_errors: bool = False) -> PackedLUWithInfo:
    """`lu_factor` that says where a matrix is singular and does not raise.

    Args:
        A: shape (..., n, m).
        pivot: True.
        check_errors: raise all the same.

    Returns:
        (LU, pivots, info): of `info`, shape (...) and int32, the place, from 1, of the first zero on the diagonal of U,
        or 0. The derivative of the factors of such a matrix is nan.

    >>> import hograd as ho
    >>> ho.linalg.lu_factor_ex(ho.tensor([[1.0, 2.0], [2.0, 4.0]])).info
    tensor(2, dtype=int32)
    """
    _without_pivoting("lu_factor_ex", pivot)
    packed = F.lu_packed(*matrices(F, "lu_factor_ex", A), check="linalg.lu_factor_ex" if check_errors else "")
    return PackedLUWithInfo(*_read(F, packed), singular_at(F, packed))


def _unpacked(F: Any, LU: Any, pivots: Any) -> PLU:
    n, m = LU.shape[-2:]
    k = min(n, m)
    lower, upper = LU[..., :k], LU[..., :k, :]
    lower = F.matrix_mask(lower, part="strictly lower") + identity_like(F, lower)
    permutation = F.permutation_matrix(F.row_order(pivots, rows=n, inverse=True), dtype=LU.dtype)
    return PLU(permutation, lower, F.matrix_mask(upper, part="upper"))


@composite(
    lambda s: [case(s.regular(3)), case(s.tall(4, 2)), case(s.tall(2, 2, 4)), case(s.regular(1))], name="linalg_lu"
)
def lu(F: Any, A: Any, *, pivot: bool = True) -> PLU:
    """A = P L U:  a permutation, a lower triangle with 1 on its diagonal, and an upper triangle.

    Args:
        A: shape (..., n, m), the first k = min(n, m) columns of its rows in their new order independent where it is
            differentiated: else the derivative is nan.
        pivot: True; others are not stable.

    Returns:
        (P, L, U), shapes (..., n, n), (..., n, k) and (..., k, m). The derivative takes P as constant.

    >>> import hograd as ho
    >>> P, L, U = ho.linalg.lu(ho.tensor([[1.0, 3.0], [2.0, 4.0]]))
    >>> L, U
    (tensor([[1.0000, 0.0000],
            [0.5000, 1.0000]]), tensor([[2., 4.],
            [0., 1.]]))
    """
    _without_pivoting("lu", pivot)
    return _unpacked(F, *_read(F, F.lu_packed(*matrices(F, "lu", A))))


def _pivots_of(F: Any, name: str, LU: Any, pivots: Any) -> Any:
    pivots = operand(F, pivots, name)
    if pivots.dtype.kind not in "iu":
        raise DtypeError(f"{name}: pivots have dtype {pivots.dtype}, expected the integers that lu_factor gave.")
    expected = (*LU.shape[:-2], min(LU.shape[-2:]))
    if tuple(pivots.shape) != expected:
        raise ShapeError(f"{name}: pivots have shape {tuple(pivots.shape)}, expected {expected} beside the factors.")
    return pivots


@composite(
    lambda s: [
        case(s.regular(3), np.array([2, 3, 3])),
        case(s.tall(4, 2), np.array([3, 2])),
        case(s.tall(2, 2, 3), np.array([[1, 2], [2, 2]])),
        case(s.regular(2), np.array([2, 2]), unpack_pivots=False),
    ]
)
def lu_unpack(F: Any, LU: Any, pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True) -> PLU:
    """The matrices P, L and U from what `linalg.lu_factor` gives.

    Args:
        LU: shape (..., n, m) (`LU_data`).
        pivots: shape (..., min(n, m)), integers (`LU_pivots`).
        unpack_data: if False, L and U are empty, shape (0,).
        unpack_pivots: if False, P is.

    Returns:
        (P, L, U), as from `linalg.lu`.

    >>> import hograd as ho
    >>> ho.lu_unpack(ho.tensor([[2.0, 4.0], [0.5, 1.0]]), ho.tensor([2, 2])).P
    tensor([[0., 1.],
            [1., 0.]])
    """
    (factors,) = matrices(F, "lu_unpack", LU)
    pivots = _pivots_of(F, "lu_unpack", factors, pivots)
    permutation, lower, upper = _unpacked(F, factors, pivots)
    nothing = F.reshape(F.zeros_like(permutation)[..., :0, :0], (-1,))[:0]
    lower, upper = (lower, upper) if unpack_data else (nothing, nothing)
    return PLU(permutation if unpack_pivots else nothing, lower, upper)


@composite(
    lambda s: [
        case(s.regular(3), np.array([2, 3, 3]), s.normal(3, 2)),
        case(s.regular(2, 2), np.array([[1, 2], [2, 2]]), s.normal(2, 1), adjoint=True),
        case(s.regular(3), np.array([3, 2, 3]), s.normal(2, 2, 3), left=False),
        case(s.regular(2), np.array([2, 2]), s.normal(1, 2), left=False, adjoint=True),
    ],
    name="linalg_lu_solve",
)
def lu_solve(F: Any, LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """Solution X of  A X = B,  or  X A = B  with left=False,  from the LU factors of A.

    Args:
        LU: shape (..., n, n).
        pivots: shape (..., n); both as `linalg.lu_factor` gives them.
        B: shape (..., n, k), or (..., k, n) if not `left`.
        left: whether A stands on the left of the unknown.
        adjoint: solve with the conjugate transpose of A.

    Raises:
        LinearAlgebraError: there is a zero on the diagonal of U.

    >>> import hograd as ho
    >>> factors = ho.linalg.lu_factor(ho.tensor([[0.0, 2.0], [4.0, 0.0]]))
    >>> ho.linalg.lu_solve(*factors, ho.tensor([[2.0], [4.0]]))
    tensor([[1.],
            [1.]])
    """
    factors, b = matrices(F, "lu_solve", LU, B, square=True)
    pivots = _pivots_of(F, "linalg.lu_solve", factors, pivots)
    n = factors.shape[-1]
    if b.shape[-2 if left else -1] != n:
        raise ShapeError(
            f"linalg.lu_solve: LU has shape {tuple(factors.shape)} and B {tuple(b.shape)}, which do not fit together."
        )
    factors = F.conj(factors) if adjoint and factors.dtype.kind == "c" else factors
    b = b if left else F.mT(b)
    if adjoint == left:
        half = F.matrix_solve_triangular(F.mT(factors), b, upper=False)
        half = F.matrix_solve_triangular(F.mT(factors), half, upper=True, unit=True)
        x = _reordered(F, half, F.row_order(pivots, rows=n, inverse=True))
    else:
        half = F.matrix_solve_triangular(factors, _reordered(F, b, F.row_order(pivots, rows=n)), upper=False, unit=True)
        x = F.matrix_solve_triangular(factors, half, upper=True)
    return x if left else F.mT(x)
