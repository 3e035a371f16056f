"""What PyTorch has at its top level beside `torch.linalg`, with the arguments that it has there."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hograd.core.declare import case, composite
from hograd.core.tensor import Tensor
from hograd.errors import ShapeError
from hograd.ops.linalg_factor import QR
from hograd.ops.linalg_lu import PackedLU, PackedLUWithInfo
from hograd.ops.linalg_parts import matrices

__all__ = ["lu", "lu_solve", "qr", "svd", "triangular_solve"]


@composite(lambda s: [case(s.regular(3)), case(s.tall(2, 4, 2), get_infos=True)])
def lu(F: Any, A: Any, pivot: bool = True, get_infos: bool = False) -> PackedLU | PackedLUWithInfo:
    """`linalg.lu_factor` that takes singular matrices; `linalg.lu_factor_ex` with `get_infos`.

    Args:
        A: shape (..., n, m).
        pivot: True; others are not stable.
        get_infos: say where a zero is on the diagonal of U.

    Returns:
        (LU, pivots), or (LU, pivots, info).

    >>> import hograd as ho
    >>> ho.lu(ho.tensor([[1.0, 2.0], [2.0, 4.0]]), get_infos=True).info
    tensor(2, dtype=int32)
    """
    found = F.linalg_lu_factor_ex(A, pivot=pivot)
    return found if get_infos else PackedLU(*found[:2])


@composite(lambda s: [case(s.normal(3, 2), s.regular(3), np.array([2, 3, 3]))])
def lu_solve(F: Any, B: Any, LU: Any, pivots: Any) -> Tensor:
    """Solution X of  A X = B  from the LU factors of A: `linalg.lu_solve` with `B` as the first argument.

    Args:
        B: shape (..., n, k).
        LU: shape (..., n, n) (`LU_data`).
        pivots: shape (..., n) (`LU_pivots`).

    >>> import hograd as ho
    >>> ho.lu_solve(ho.tensor([[8.0]]), ho.tensor([[2.0]]), ho.tensor([1]))
    tensor([[4.]])
    """
    return F.linalg_lu_solve(LU, pivots, B)


@composite(lambda s: [case(s.tall(4, 2)), case(s.tall(2, 3), some=True)])
def qr(F: Any, A: Any, some: bool = True) -> QR:
    """A = Q R: `linalg.qr`, in its complete form unless `some`.

    Args:
        A: shape (..., n, m).
        some: give k = min(n, m) columns of Q and not all n.

    >>> import hograd as ho
    >>> ho.qr(ho.tensor([[0.0, 2.0], [-1.0, 3.0]])).R.abs()
    tensor([[1., 3.],
            [0., 2.]])
    """
    return F.linalg_qr(A, "reduced" if some else "complete")


class SVD(NamedTuple):
    """What the `svd` at the top level returns."""

    U: Tensor
    S: Tensor
    V: Tensor


@composite(
    lambda s: [case(s.regular(3)), case(s.tall(4, 2)), case(s.tall(2, 2, 4)), case(s.regular(2), compute_uv=False)]
)
def svd(F: Any, A: Any, some: bool = True, compute_uv: bool = True) -> SVD:
    """A = U diag(S) V^T: `linalg.svd` that gives V and not its transpose.

    Args:
        A: shape (..., n, m).
        some: give k = min(n, m) columns of U and V and not square matrices.
        compute_uv: if False, U and V are square matrices of zeros.

    >>> import hograd as ho
    >>> ho.svd(ho.tensor([[0.0, 2.0], [3.0, 0.0]])).S
    tensor([3., 2.])
    """
    if not compute_uv:
        (a,) = matrices(F, "svd", A)
        square = F.matmul(a, F.mT(a)), F.matmul(F.mT(a), a)
        return SVD(F.zeros_like(square[0]), F.linalg_svdvals(a), F.zeros_like(square[1]))
    left, values, right = F.linalg_svd(A, full_matrices=not some)
    return SVD(left, values, F.mT(right))


class TriangularSolution(NamedTuple):
    """What `triangular_solve` returns."""

    solution: Tensor
    cloned_coefficient: Tensor


@composite(
    lambda s: [
        case(s.normal(3, 2), s.regular(3)),
        case(s.normal(3, 2), s.regular(2, 3), upper=False, transpose=True),
        case(s.normal(2, 3, 1), s.regular(3), unitriangular=True),
    ]
)
def triangular_solve(
    F: Any, B: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> TriangularSolution:
    """Solution X of  A X = B  for triangular A: `linalg.solve_triangular` with `B` as the first argument.

    Args:
        B: shape (..., n, k).
        A: shape (..., n, n).
        upper: which triangle of `A` counts.
        transpose: solve  A^T X = B  instead.
        unitriangular: take the diagonal of `A` as ones.

    Returns:
        (solution, cloned_coefficient): X, and `A` with its leading axes broadcast to those of X.

    Raises:
        LinearAlgebraError: there is a zero on the diagonal.

    >>> import hograd as ho
    >>> ho.triangular_solve(ho.tensor([[2.0], [4.0]]), ho.tensor([[1.0, 0.0], [9.0, 2.0]])).solution
    tensor([[2.],
            [2.]])
    """
    a, b = matrices(F, "triangular_solve", A, B, square=True)
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            f"triangular_solve: A has shape {tuple(a.shape)} and B {tuple(b.shape)}, expected as many rows in both."
        )
    turned, is_upper = (F.mT(a), not upper) if transpose else (a, bool(upper))
    x = F.matrix_solve_triangular(turned, b, upper=is_upper, unit=bool(unitriangular))
    return TriangularSolution(x, F.broadcast_to(a, (*x.shape[:-2], *a.shape[-2:])))
