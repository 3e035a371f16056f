"""Factors and solutions that report failure as numbers instead of raising: cholesky_ex, inv_ex, solve_ex.

Where a matrix of a batch has no answer it is nan there, without a derivative, and right for all others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hograd.backend import scalarize, through_cpu
from hograd.core.declare import case, composite, general
from hograd.core.tensor import Tensor
from hograd.ops.linalg_lu import singular_at
from hograd.ops.linalg_parts import function_of, identity_like, lapack, leading, matrices, symmetrized


def _cholesky_info(x: Any) -> Any:
    info = np.zeros(x.shape[:-2], np.int32)
    for at in np.ndindex(info.shape if x.size else (0,)):
        info[at] = lapack("potrf", x)(x[at], lower=True)[1]
    return scalarize(info)


#: The order of the first leading minor that is not positive, or 0.
_info = general("cholesky_info", lambda x: through_cpu(_cholesky_info, x), None, batch=leading)
function_of(_info)


def _sound(F: Any, a: Any, info: Any) -> tuple[Any, Any]:
    """Where a matrix has no answer, and the matrices with the identity there."""
    failed = F.ne(F.expand_dims(info, (-2, -1)), 0)
    return failed, F.where(failed, identity_like(F, a), a)


class CholeskyWithInfo(NamedTuple):
    """What `cholesky_ex` returns."""

    L: Tensor
    info: Tensor


class InverseWithInfo(NamedTuple):
    """What `inv_ex` returns."""

    inverse: Tensor
    info: Tensor


class SolutionWithInfo(NamedTuple):
    """What `solve_ex` returns."""

    result: Tensor
    info: Tensor


@composite(lambda s: [case(s.spd(3)), case(s.spd(2, 3), upper=True)], name="linalg_cholesky_ex")
def cholesky_ex(F: Any, A: Any, *, upper: bool = False, check_errors: bool = False) -> CholeskyWithInfo:
    """`linalg.cholesky` that says which matrices are not positive definite and does not raise.

    Args:
        A: symmetric matrices, shape (..., n, n); the factor is that of (A + A^T) / 2, and so is the derivative.
        upper: give U = L^T instead of L.
        check_errors: raise all the same.

    Returns:
        (L, info): of `info`, shape (...) and int32, the order of the first leading minor that is not positive, or 0;
        the factor of such a matrix is nan.

    >>> import hograd as ho
    >>> ho.linalg.cholesky_ex(ho.tensor([[4.0, 0.0], [0.0, -1.0]])).info
    tensor(2, dtype=int32)
    """
    (a,) = matrices(F, "cholesky_ex", A, square=True)
    info = F.cholesky_info(symmetrized(F, a))
    if check_errors:
        return CholeskyWithInfo(F.linalg_cholesky(a, upper=upper), info)
    failed, sound = _sound(F, a, info)
    return CholeskyWithInfo(F.where(failed, float("nan"), F.linalg_cholesky(sound, upper=upper)), info)


@composite(lambda s: [case(s.regular(3)), case(s.regular(2, 3))], name="linalg_inv_ex")
def inv_ex(F: Any, A: Any, *, check_errors: bool = False) -> InverseWithInfo:
    """`linalg.inv` that says which matrices are singular and does not raise.

    Args:
        A: shape (..., n, n).
        check_errors: raise all the same.

    Returns:
        (inverse, info): of `info`, shape (...) and int32, the place, from 1, of the first zero on the diagonal of the
        factor U of P L U, or 0; the inverse of such a matrix is nan.

    >>> import hograd as ho
    >>> ho.linalg.inv_ex(ho.tensor([[1.0, 2.0], [2.0, 4.0]])).info
    tensor(2, dtype=int32)
    """
    (a,) = matrices(F, "inv_ex", A, square=True)
    info = singular_at(F, F.lu_packed(a, check="linalg.inv_ex" if check_errors else ""))
    failed, sound = _sound(F, a, info)
    return InverseWithInfo(F.where(failed, float("nan"), F.linalg_inv(sound)), info)


@composite(
    lambda s: [
        case(s.regular(3), s.normal(3, 2)),
        case(s.regular(2, 3), s.normal(2, 3)),
        case(s.regular(3), s.normal(2, 3), left=False),
    ],
    name="linalg_solve_ex",
)
def solve_ex(F: Any, A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> SolutionWithInfo:
    """`linalg.solve` that says which matrices are singular and does not raise.

    Args:
        A: shape (..., n, n).
        B: shape (..., n, k), or vectors: shape (n,), or (..., n) with exactly the leading axes of `A`.
        left: whether `A` stands on the left of the unknown.
        check_errors: raise all the same.

    Returns:
        (result, info): `info` of the shape of the leading axes of `A`, as in `inv_ex`; the solutions with a singular
        matrix are nan.

    >>> import hograd as ho
    >>> ho.linalg.solve_ex(ho.tensor([[1.0, 2.0], [2.0, 4.0]]), ho.tensor([1.0, 2.0])).info
    tensor(2, dtype=int32)
    """
    a, b = matrices(F, "solve_ex", A, B, square=True, vectors=True)
    info = singular_at(F, F.lu_packed(a, check="linalg.solve_ex" if check_errors else ""))
    failed, sound = _sound(F, a, info)
    is_vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and tuple(b.shape) == tuple(a.shape[:-1]))
    failed = failed[..., 0] if is_vector else failed
    return SolutionWithInfo(F.where(failed, float("nan"), F.linalg_solve(sound, b, left=left)), info)
