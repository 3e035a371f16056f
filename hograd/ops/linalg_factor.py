"""Determinants, and factors of matrices: det, slogdet, logdet, cholesky, qr."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hograd.core.declare import case, composite, general
from hograd.core.tensor import Tensor
from hograd.ops.linalg_parts import choice, decomposes, function_of, leading, matrices, symmetrized

__all__ = ["cholesky", "det", "logdet", "slogdet"]


def _products_of_others(s: Any) -> Any:
    """For rows of numbers, the product of all but one of them: exact where some are 0."""
    ones = np.ones_like(s[..., :1])
    before = np.concatenate([ones, s[..., :-1]], -1).cumprod(-1)
    after = np.concatenate([ones, s[..., :0:-1]], -1).cumprod(-1)
    return before * after[..., ::-1]


def _cofactor_kernel(x: Any) -> Any:
    u, s, vh = np.linalg.svd(x)
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return (u * (sign[..., None] * _products_of_others(s))[..., None, :]) @ vh


def _cofactor_change_kernel(x: Any, t: Any) -> Any:
    u, s, vh = np.linalg.svd(x)
    n = s.shape[-1]
    one = np.eye(n, dtype=bool, like=s)
    # pairs[i, j]: the product of all singular values but the i-th and the j-th, and 0 on the diagonal.
    without_one = np.where(one, 1, s[..., None, :])
    pairs = np.where(one, 0, _products_of_others(without_one))
    turned = u.swapaxes(-1, -2) @ t @ vh.swapaxes(-1, -2)
    on_diagonal = (pairs @ np.diagonal(turned, axis1=-2, axis2=-1)[..., None])[..., 0]
    inner = np.where(one, on_diagonal[..., None, :], -pairs * turned.swapaxes(-1, -2))
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return sign[..., None, None] * (u @ inner @ vh)


def _inner(F: Any, a: Any, b: Any) -> Any:
    return F.sum(a * b, axis=(-2, -1), keepdims=True)


def _pull_cofactor_change(F: Any, g: Any, x: Any, t: Any) -> Any:
    scale, inverse = F.expand_dims(F.determinant(x), (-2, -1)), F.mT(F.matrix_inverse(x))
    along_t, along_g = _inner(F, t, inverse), _inner(F, g, inverse)
    through_t, through_g = F.matmul(F.mT(t), inverse), F.matmul(F.mT(g), inverse)
    bent_t, bent_g = F.matmul(inverse, through_t), F.matmul(inverse, through_g)
    straight = (along_t * along_g - _inner(F, g, bent_t)) * inverse
    return scale * (straight - along_g * bent_t - along_t * bent_g + bent_t @ through_g + bent_g @ through_t)


#: The derivative of the matrix of cofactors of `x` along `t`, exact for singular matrices too.
_cofactor_change = general(
    "cofactor_change",
    _cofactor_change_kernel,
    [_pull_cofactor_change, lambda F, g, x: F.cofactor_change(x, g)],
    batch=leading,
    arguments="x t",
)
function_of(_cofactor_change)

#: The derivative of the determinant, exact for singular matrices too.
_cofactor = general("cofactor", _cofactor_kernel, [lambda F, g, x: F.cofactor_change(x, g)], batch=leading)
function_of(_cofactor)

_determinant = general(
    "determinant",
    lambda x: np.linalg.det(x),
    [lambda F, g, x: F.expand_dims(g, (-2, -1)) * F.cofactor(x)],
    batch=leading,
)
function_of(_determinant)

_log_abs_determinant = general(
    "log_abs_determinant",
    lambda x: np.linalg.slogdet(x)[1],
    [lambda F, g, x: F.expand_dims(g, (-2, -1)) * F.mT(F.matrix_inverse(x))],
    batch=leading,
)
function_of(_log_abs_determinant)

_sign_of_determinant = general("sign_of_determinant", lambda x: np.linalg.slogdet(x)[0], None, batch=leading)
function_of(_sign_of_determinant)


@composite(
    lambda s: [case(s.regular(3)), case(s.regular(2, 3)), case(s.regular(1)), case(s.normal(2, 2))], name="linalg_det"
)
def det(F: Any, A: Any) -> Tensor:
    """Determinant of matrices.

    The first derivative, the matrix of cofactors, and the second are exact for singular matrices too; a third one of a
    matrix that is exactly singular raises.

    Args:
        A: shape (..., n, n).

    Returns:
        Shape (...).

    >>> import hograd as ho
    >>> ho.linalg.det(ho.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(-2.0000)
    """
    return F.determinant(*matrices(F, "det", A, square=True))


class SignAndLogarithm(NamedTuple):
    """What `slogdet` returns."""

    sign: Tensor
    logabsdet: Tensor


@composite(lambda s: [case(s.regular(3)), case(s.regular(2, 3))], name="linalg_slogdet")
def slogdet(F: Any, A: Any) -> Any:
    """Sign and logarithm of the absolute value of the determinant, where that itself would overflow.

    Args:
        A: shape (..., n, n).

    Returns:
        (sign, logabsdet), shapes (...); for a singular matrix 0 and -inf, whose derivative raises.

    >>> import hograd as ho
    >>> ho.linalg.slogdet(ho.tensor([[-2.0, 0.0], [0.0, 0.5]]))
    SignAndLogarithm(sign=tensor(-1.), logabsdet=tensor(0.))
    """
    (a,) = matrices(F, "slogdet", A, square=True)
    return SignAndLogarithm(F.sign_of_determinant(a), F.log_abs_determinant(a))


@composite(lambda s: [case(s.spd(3)), case(s.spd(2, 3))], name="logdet")
def logdet(F: Any, A: Any) -> Tensor:
    """Logarithm of the determinant; nan where that is negative, -inf where it is 0.

    Args:
        A: shape (..., n, n).

    >>> import hograd as ho
    >>> ho.logdet(ho.tensor([[1.0, 0.0], [0.0, 1.0]]))
    tensor(0.)
    """
    (a,) = matrices(F, "logdet", A, square=True)
    return F.where(F.lt(F.sign_of_determinant(a), 0), float("nan"), F.log_abs_determinant(a))


def _pull_cholesky(F: Any, g: Any, y: Any) -> Any:
    inner = F.matrix_mask(F.matmul(F.mT(y), F.matrix_mask(g, part="lower")), part="half")
    across = F.matrix_solve_triangular(F.mT(y), inner, upper=True)
    return symmetrized(F, F.mT(F.matrix_solve_triangular(F.mT(y), F.mT(across), upper=True)))


def _push_cholesky(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    y = values[0]
    across = F.matrix_solve_triangular(y, symmetrized(F, tangents[0]), upper=False)
    inner = F.mT(F.matrix_solve_triangular(y, F.mT(across), upper=False))
    return F.matmul(y, F.matrix_mask(inner, part="half"))


_cholesky = general(
    "cholesky_factor",
    decomposes("cholesky", "expected positive definite matrices")(
        lambda x: np.linalg.cholesky((x + x.swapaxes(-1, -2)) / 2)
    ),
    [_pull_cholesky],
    jvp=_push_cholesky,
    batch=leading,
)
function_of(_cholesky)


@composite(
    lambda s: [case(s.spd(3)), case(s.spd(2, 3)), case(s.spd(3), upper=True), case(s.spd(1))], name="linalg_cholesky"
)
def cholesky(F: Any, A: Any, *, upper: bool = False) -> Tensor:
    """Lower triangular L with  A = L L^T,  or upper triangular U with  A = U^T U.

    Args:
        A: symmetric positive definite matrices, shape (..., n, n); the factor is that of (A + A^T) / 2, and so is the
            derivative.
        upper: give U instead of L.

    Raises:
        LinearAlgebraError: a matrix is not positive definite.

    >>> import hograd as ho
    >>> ho.linalg.cholesky(ho.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    y = F.cholesky_factor(*matrices(F, "cholesky", A, square=True))
    return F.mT(y) if upper else y


def _qr_kernel(x: Any) -> Any:
    q, r = np.linalg.qr(x)
    return np.concatenate([q, r], -2)


def _pull_qr(F: Any, g: Any, y: Any) -> Any:
    n = y.shape[-2] - y.shape[-1]
    q, r = y[..., :n, :], y[..., n:, :]
    change_q, change_r = g[..., :n, :], F.matrix_mask(g[..., n:, :], part="upper")
    inner = F.matmul(r, F.mT(change_r)) - F.matmul(F.mT(change_q), q)
    inner = F.matrix_mask(inner, part="lower") + F.mT(F.matrix_mask(inner, part="strictly lower"))
    return F.mT(F.matrix_solve_triangular(r, F.mT(change_q + F.matmul(q, inner)), upper=True))


#: Q above R, of matrices with at least as many rows as columns.
_qr = general("qr_factors", _qr_kernel, [_pull_qr], batch=leading)
function_of(_qr)


#: Columns that complete orthonormal ones, in any orientation.
_further_columns = general(
    "further_columns", lambda x: np.linalg.qr(x, mode="complete")[0][..., x.shape[-1] :], None, batch=leading
)
function_of(_further_columns)


def completed(F: Any, q: Any) -> Any:
    """A square orthogonal matrix whose first columns are `q`.

    The others are found without a derivative, then made orthonormal to `q` and to each other by operations that have
    one: so it is right for whatever depends on the space alone that they span.
    """
    further = F.further_columns(q)
    further = further - F.matmul(q, F.matmul(F.mT(q), further))
    factor = F.cholesky_factor(F.matmul(F.mT(further), further))
    return F.concatenate([q, F.mT(F.matrix_solve_triangular(factor, F.mT(further), upper=False))], axis=q.ndim - 1)


class QR(NamedTuple):
    """What `qr` returns."""

    Q: Tensor
    R: Tensor


@composite(
    lambda s: [case(s.tall(4, 2)), case(s.regular(3)), case(s.tall(2, 3, 2)), case(s.tall(2, 4))], name="linalg_qr"
)
def qr(F: Any, A: Any, mode: str = "reduced") -> Any:
    """A = Q R  with orthonormal columns in Q and upper triangular R, k = min(n, m) of them.

    Args:
        A: shape (..., n, m), its first k columns independent where it is differentiated.
        mode: "reduced"; "complete" for a square Q; or "r" for an empty Q.

    Returns:
        (Q, R), shapes (..., n, k) and (..., k, m); (..., n, n) and (..., n, m) if complete. The columns of Q beyond the
        k-th are determined up to a rotation, and their derivative is right for functions that do not depend on it.

    >>> import hograd as ho
    >>> ho.linalg.qr(ho.tensor([[0.0, 2.0], [-1.0, 3.0]])).R.abs()
    tensor([[1., 3.],
            [0., 2.]])
    """
    (a,) = matrices(F, "qr", A)
    choice("qr", "mode", mode, ("reduced", "complete", "r"))
    n, m = a.shape[-2:]
    k = min(n, m)
    packed = F.qr_factors(a[..., :k])
    q, r = packed[..., :n, :], packed[..., n:, :]
    if m > k:
        r = F.concatenate([r, F.matmul(F.mT(q), a[..., k:])], axis=a.ndim - 1)
    if mode == "complete" and n > k:
        return QR(completed(F, q), F.concatenate([r, F.zeros_like(a[..., k:, :])], axis=a.ndim - 2))
    return QR(F.reshape(q[..., :0, :0], (0,)) if mode == "r" else q, r)
