"""Linear systems and inverses: solve, solve_triangular, inv, cholesky_solve, pinv, lstsq."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hograd.core.declare import case, composite, general
from hograd.core.tensor import Tensor
from hograd.errors import ShapeError
from hograd.ops.linalg_parts import (
    choice,
    cutoff,
    decomposes,
    function_of,
    identity_like,
    leading,
    matrices,
    symmetrized,
    tolerances,
)

__all__ = ["cholesky_inverse", "cholesky_solve"]


def _push_solve(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    y, a, _ = values
    change, right = tangents
    if change is None:
        return F.matrix_solve(a, right)
    moved = F.matmul(change, y)
    return F.matrix_solve(a, -moved if right is None else right - moved)


#: A^-1 B for matrices B; the leading axes are broadcast.
_solve = general(
    "matrix_solve",
    decomposes("solve", "expected invertible matrices")(lambda a, b: np.linalg.solve(a, b)),
    [
        lambda F, g, y, a: -F.matmul(F.matrix_solve(F.mT(a), g), F.mT(y)),
        lambda F, g, a: F.matrix_solve(F.mT(a), g),
    ],
    jvp=_push_solve,
    batch=leading,
    arguments="a b",
)
function_of(_solve)


def _triangular_kernel(a: Any, b: Any, upper: bool, unit: bool) -> Any:
    if a.ndim == b.ndim == 2 and a.size and isinstance(a, np.ndarray):
        from scipy.linalg import solve_triangular

        return solve_triangular(a, b, lower=not upper, unit_diagonal=unit, check_finite=False)
    part = (np.triu if upper else np.tril)(a, (1 if upper else -1) if unit else 0)
    if unit:
        part = part + np.eye(a.shape[-1], dtype=a.dtype, like=a)
    if upper:
        return np.linalg.solve(part, b)
    # Turned into an upper one, a lower triangle is solved without exchanges of rows, in their order.
    return np.linalg.solve(part[..., ::-1, ::-1], b[..., ::-1, :])[..., ::-1, :]


def _triangle(F: Any, x: Any, upper: bool, unit: bool) -> Any:
    return F.matrix_mask(x, part=("strictly " if unit else "") + ("upper" if upper else "lower"))


def _pull_triangular(F: Any, g: Any, y: Any, a: Any, upper: bool, unit: bool) -> Any:
    pulled = F.matrix_solve_triangular(F.mT(a), g, upper=not upper, unit=unit)
    return _triangle(F, -F.matmul(pulled, F.mT(y)), upper, unit)


def _push_triangular(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    y, a, _ = values
    upper, unit = params["upper"], params["unit"]
    change, right = tangents
    if change is None:
        return F.matrix_solve_triangular(a, right, upper=upper, unit=unit)
    moved = F.matmul(_triangle(F, change, upper, unit), y)
    return F.matrix_solve_triangular(a, -moved if right is None else right - moved, upper=upper, unit=unit)


_triangular = general(
    "matrix_solve_triangular",
    decomposes("solve_triangular", "expected a diagonal without zeros")(_triangular_kernel),
    [
        _pull_triangular,
        lambda F, g, a, upper, unit: F.matrix_solve_triangular(F.mT(a), g, upper=not upper, unit=unit),
    ],
    jvp=_push_triangular,
    batch=leading,
    arguments="a b",
)
function_of(_triangular, unit=False)


def _push_inverse(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    y = values[0]
    return -F.matmul(F.matmul(y, tangents[0]), y)


_inverse = general(
    "matrix_inverse",
    decomposes("inv", "expected invertible matrices")(lambda x: np.linalg.inv(x)),
    [lambda F, g, y: -F.matmul(F.matmul(F.mT(y), g), F.mT(y))],
    jvp=_push_inverse,
    batch=leading,
)
function_of(_inverse)


def _pull_pinv(F: Any, g: Any, y: Any, x: Any) -> Any:
    adjoint, across = F.mT(y), F.mT(g)
    rows = across - F.matmul(F.matmul(across, y), x)
    columns = across - F.matmul(x, F.matmul(y, across))
    pulled = F.matmul(columns, F.matmul(y, adjoint)) + F.matmul(F.matmul(adjoint, y), rows)
    return pulled - F.matmul(F.matmul(adjoint, g), adjoint)


def _pinv_kernel(x: Any, atol: Any, rtol: Any) -> Any:
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    large = s > cutoff(x, s, atol, rtol)
    inverse = np.where(large, 1 / np.where(large, s, 1), 0).astype(s.dtype, copy=False)
    return (vh.swapaxes(-1, -2) * inverse[..., None, :]) @ u.swapaxes(-1, -2)


_pinv = general(
    "pseudo_inverse",
    decomposes("pinv", "the singular values did not converge")(_pinv_kernel),
    [_pull_pinv],
    batch=leading,
)
function_of(_pinv)


def _columns(F: Any, name: str, a: Any, b: Any) -> tuple[Any, bool]:
    """`b` as matrices, and whether it was vectors: of one axis, or of the leading axes of `a` and one more."""
    is_vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and tuple(b.shape) == tuple(a.shape[:-1]))
    b = F.reshape(b, (*b.shape, 1)) if is_vector else b
    if a.shape[-2] != b.shape[-2]:
        raise ShapeError(
            f"linalg.{name}: A has shape {tuple(a.shape)} and B {tuple(b.shape)}, expected as many rows in B as in A."
        )
    return b, is_vector


def _systems(s: Any) -> list[Any]:
    return [
        case(s.regular(3), s.normal(3, 2)),
        case(s.regular(3), s.normal(3)),
        case(s.regular(2, 3), s.normal(2, 3, 1)),
        case(s.regular(2, 3), s.normal(3, 2)),
        case(s.regular(3), s.normal(2, 3, 1)),
        case(s.regular(2, 3), s.normal(2, 3)),
    ]


@composite(lambda s: [*_systems(s), case(s.regular(3), s.normal(2, 3), left=False)], name="linalg_solve")
def solve(F: Any, A: Any, B: Any, *, left: bool = True) -> Tensor:
    """Solution X of the linear systems  A X = B,  or  X A = B  with left=False.

    Args:
        A: invertible matrices, shape (..., n, n).
        B: shape (..., n, k), or vectors: shape (n,), or (..., n) with exactly the leading axes of `A`.
        left: whether `A` stands on the left of the unknown.

    Returns:
        The shape of `B`, leading axes broadcast.

    Raises:
        LinearAlgebraError: a matrix is singular.

    >>> import hograd as ho
    >>> ho.linalg.solve(ho.tensor([[2.0, 0.0], [0.0, 4.0]]), ho.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    a, b = matrices(F, "solve", A, B, square=True, vectors=True)
    if not left:
        # A vector is a row here: solve() takes it as a column of the transposed system.
        a = F.mT(a)
        b = b if b.ndim == 1 or tuple(b.shape) == tuple(a.shape[:-1]) else F.mT(b)
    b, is_vector = _columns(F, "solve", a, b)
    y = F.matrix_solve(a, b)
    if is_vector:
        return F.reshape(y, y.shape[:-1])
    return y if left else F.mT(y)


@composite(
    lambda s: [
        case(s.regular(3), s.normal(3, 2), upper=True),
        case(s.regular(3), s.normal(3, 2), upper=False),
        case(s.regular(2, 3), s.normal(3, 2), upper=True, unitriangular=True),
        case(s.regular(2, 3), s.normal(2, 3, 1), upper=False),
        case(s.regular(3), s.normal(2, 3), upper=False, left=False),
    ],
    name="linalg_solve_triangular",
)
def solve_triangular(F: Any, A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """Solution X of  A X = B  (X A = B with left=False)  for triangular A; the other triangle is never read.

    Args:
        A: shape (..., n, n).
        B: shape (..., n, k).
        upper: which triangle of `A` counts.
        left: whether `A` stands on the left of the unknown.
        unitriangular: take the diagonal of `A` as ones.

    Raises:
        LinearAlgebraError: there is a zero on the diagonal.

    >>> import hograd as ho
    >>> ho.linalg.solve_triangular(ho.tensor([[2.0, 9.0], [1.0, 4.0]]), ho.tensor([[2.0], [9.0]]), upper=False)
    tensor([[1.],
            [2.]])
    """
    a, b = matrices(F, "solve_triangular", A, B, square=True)
    if a.shape[-1] != b.shape[-2 if left else -1]:
        raise ShapeError(
            f"linalg.solve_triangular: A has shape {tuple(a.shape)} and B {tuple(b.shape)}, which do not fit together."
        )
    if left:
        return F.matrix_solve_triangular(a, b, upper=bool(upper), unit=bool(unitriangular))
    return F.mT(F.matrix_solve_triangular(F.mT(a), F.mT(b), upper=not upper, unit=bool(unitriangular)))


@composite(lambda s: [case(s.regular(3)), case(s.regular(2, 3)), case(s.regular(1))], name="linalg_inv")
def inv(F: Any, A: Any) -> Tensor:
    """Inverse of matrices; to multiply by it, `solve` is faster and more precise.

    Args:
        A: shape (..., n, n).

    Raises:
        LinearAlgebraError: a matrix is singular.

    >>> import hograd as ho
    >>> ho.linalg.inv(ho.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return F.matrix_inverse(*matrices(F, "inv", A, square=True))


@composite(
    lambda s: [
        case(s.normal(3, 2), s.regular(3)),
        case(s.normal(3, 2), s.regular(2, 3), upper=True),
    ],
    name="cholesky_solve",
)
def cholesky_solve(F: Any, B: Any, L: Any, upper: bool = False) -> Tensor:
    """Solution X of  A X = B  from the Cholesky factor of A:  L L^T X = B.

    Args:
        B: shape (..., n, k).
        L: shape (..., n, n), lower triangular: `linalg.cholesky(A)`; upper triangular, A = L^T L, if `upper`.

    >>> import hograd as ho
    >>> ho.cholesky_solve(ho.tensor([[8.0]]), ho.tensor([[2.0]]))
    tensor([[2.]])
    """
    factor, b = matrices(F, "cholesky_solve", L, B, square=True)
    if upper:
        factor = F.mT(factor)
    half = F.linalg_solve_triangular(factor, b, upper=False)
    return F.linalg_solve_triangular(F.mT(factor), half, upper=True)


@composite(lambda s: [case(s.regular(3)), case(s.regular(2, 3), upper=True)], name="cholesky_inverse")
def cholesky_inverse(F: Any, L: Any, upper: bool = False) -> Tensor:
    """Inverse of  A = L L^T  from its Cholesky factor.

    Args:
        L: shape (..., n, n), lower triangular; upper triangular, A = L^T L, if `upper`.

    >>> import hograd as ho
    >>> ho.cholesky_inverse(ho.tensor([[2.0]]))
    tensor([[0.2500]])
    """
    (factor,) = matrices(F, "cholesky_inverse", L, square=True)
    if upper:
        factor = F.mT(factor)
    half = F.matrix_solve_triangular(factor, identity_like(F, factor), upper=False)
    return F.matmul(F.mT(half), half)


@composite(
    lambda s: [case(s.tall(4, 2)), case(s.tall(2, 4)), case(s.regular(2, 3)), case(s.tall(2, 4, 3))],
    name="linalg_pinv",
)
def pinv(
    F: Any,
    A: Any,
    rcond: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
) -> Tensor:
    """Pseudo-inverse of Moore and Penrose; its derivative takes the rank as constant (Golub and Pereyra, 1973).

    Args:
        A: shape (..., n, m).
        rcond: another name of `rtol`.
        hermitian: `A` is symmetric: take the symmetric part of it, and of the derivative.
        atol: singular values up to this count as zero; by default 0.
        rtol: singular values up to this share of the largest count as zero; by default max(n, m) times the precision
            of the dtype, or 0 if `atol` is positive.

    Tolerances are numbers, or tensors of shape (...) taken as constants.

    Returns:
        Shape (..., m, n).

    >>> import hograd as ho
    >>> ho.linalg.pinv(ho.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    (a,) = matrices(F, "pinv", A, square=hermitian)
    a = symmetrized(F, a) if hermitian else a
    return F.pseudo_inverse(a, **tolerances(atol, rcond if rtol is None else rtol))


class LeastSquares(NamedTuple):
    """What `lstsq` returns."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


@composite(
    lambda s: [
        case(s.tall(4, 2), s.normal(4, 1)),
        case(s.tall(2, 3), s.normal(2, 2)),
        case(s.tall(2, 4, 3), s.normal(4, 1)),
    ],
    name="linalg_lstsq",
)
def lstsq(F: Any, A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """Least squares: the X of least norm among those with the least  ||A X - B||.

    Args:
        A: shape (..., n, m).
        B: shape (..., n, k), or vectors: shape (n,), or (..., n) with exactly the leading axes of `A`.
        rcond: singular values up to this share of the largest count as zero; by default max(n, m) times the
            precision of the dtype.
        driver: one of PyTorch's, without effect: the singular values are found in any case.

    Returns:
        (solution, residuals, rank, singular_values): the solution, shape (..., m, k); the sums of squares of each
        column of A X - B, shape (..., k), empty unless n > m; the rank and the singular values of `A`.
        The derivative takes the rank as constant.

    >>> import hograd as ho
    >>> ho.linalg.lstsq(ho.ones(3, 1), ho.tensor([1.0, 2.0, 6.0])).solution
    tensor([3.])
    """
    choice("lstsq", "driver", driver, (None, "gels", "gelsy", "gelsd", "gelss"))
    a, b = matrices(F, "lstsq", A, B, vectors=True)
    b, is_vector = _columns(F, "lstsq", a, b)
    solution = F.matmul(F.pseudo_inverse(a, **tolerances(None, rcond)), b)
    values = F.linalg_svdvals(a)
    rank = F.linalg_matrix_rank(a, rtol=rcond)
    if a.shape[-2] > a.shape[-1]:
        difference = F.matmul(a, solution) - b
        residuals = F.sum(difference * difference, axis=difference.ndim - 2)
    else:
        residuals = F.reshape(F.zeros_like(solution[..., :0, 0]), (0,))
    if is_vector:
        solution = F.reshape(solution, solution.shape[:-1])
        residuals = F.reshape(residuals, residuals.shape[:-1]) if a.shape[-2] > a.shape[-1] else residuals
    return LeastSquares(solution, residuals, rank, values)
