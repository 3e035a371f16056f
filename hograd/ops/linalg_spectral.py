"""Eigenvalues and singular values: eigh, eigvalsh, svd, svdvals, matrix_rank.

Each decomposition is one primitive that packs values and vectors. The values have a primitive of their own on top of
it, which reads them from the packed answer: its derivative is right where values coincide, which that of the vectors
is not.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hograd.core.declare import case, composite, general, operation
from hograd.core.dispatch import apply, wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.ops.linalg_factor import completed
from hograd.ops.linalg_parts import (
    choice,
    cutoff,
    decomposes,
    diagonal_of,
    function_of,
    identity_like,
    leading,
    matrices,
    symmetrized,
    tolerances,
)


def _eigh_kernel(x: Any) -> Any:
    values, vectors = np.linalg.eigh(x)
    return np.concatenate([values[..., None, :], vectors], -2)


def _gaps(F: Any, a: Any) -> Any:
    """a_j - a_i  for rows of values, and 1 on the diagonal."""
    differences = a - F.mT(a)
    return differences + identity_like(F, differences)


def _pull_eigh(F: Any, g: Any, y: Any) -> Any:
    values, vectors = y[..., :1, :], y[..., 1:, :]
    turned = F.matmul(F.mT(vectors), g[..., 1:, :])
    turned = turned - F.matrix_mask(turned, part="diagonal")
    inner = turned / _gaps(F, values)
    inner = inner + identity_like(F, inner) * g[..., :1, :]
    return F.matmul(F.matmul(vectors, inner), F.mT(vectors))


def _push_eigh(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    y = values[0]
    vectors = y[..., 1:, :]
    change = F.matmul(F.matmul(F.mT(vectors), tangents[0]), vectors)
    moved = F.expand_dims(diagonal_of(F, change), -2)
    turned = (change - F.matrix_mask(change, part="diagonal")) / _gaps(F, y[..., :1, :])
    return F.concatenate([moved, F.matmul(vectors, turned)], axis=y.ndim - 2)


#: Of symmetric matrices: a row of eigenvalues in ascending order, above the matrix of eigenvectors.
_eigh = general(
    "eigh_packed",
    decomposes("eigh", "the eigenvalues did not converge")(_eigh_kernel),
    [_pull_eigh],
    jvp=_push_eigh,
    batch=leading,
)
function_of(_eigh)


def _pull_eigenvalues(F: Any, g: Any, b: Any) -> Any:
    vectors = b[..., 1:, :]
    return F.matmul(vectors * F.expand_dims(g, -2), F.mT(vectors))


def _push_eigenvalues(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    vectors = values[2][..., 1:, :]
    if tangents[0] is None:
        return F.zeros_like(values[0])
    return F.sum(vectors * F.matmul(tangents[0], vectors), axis=vectors.ndim - 2)


#: The eigenvalues of symmetric `a`, read from its packed decomposition `b`.
_eigenvalues = general(
    "eigenvalues", lambda a, b: b[..., 0, :], [_pull_eigenvalues, None], jvp=_push_eigenvalues, batch=leading,
    arguments="a b",
)  # fmt: skip
function_of(_eigenvalues)


class Eigen(NamedTuple):
    """What `eigh` returns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


@composite(lambda s: [case(s.spd(3)), case(s.spd(2, 3)), case(s.spd(1))], name="linalg_eigh")
def eigh(F: Any, A: Any, UPLO: str = "L") -> Any:
    """Eigenvalues and eigenvectors of symmetric matrices:  A = V diag(w) V^T.

    Eigenvectors are determined up to their sign, and where eigenvalues are equal up to a rotation: only functions that
    do not depend on that have a derivative. Where two eigenvalues are equal, that derivative cannot be found from
    the vectors' own: it is nan or infinite, as in PyTorch, rather than wrong (forward mode gives finite tangents to
    the vectors of all other eigenvalues). That of the eigenvalues alone is right.

    Args:
        A: shape (..., n, n); taken as (A + A^T) / 2, and so is the derivative.
        UPLO: "L" or "U", without effect on symmetric matrices.

    Returns:
        (eigenvalues, eigenvectors): ascending, shape (..., n); as columns, shape (..., n, n).

    >>> import hograd as ho
    >>> ho.linalg.eigh(ho.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    choice("eigh", "UPLO", UPLO, ("L", "U"))
    a = symmetrized(F, *matrices(F, "eigh", A, square=True))
    packed = F.eigh_packed(a)
    return Eigen(F.eigenvalues(a, packed), packed[..., 1:, :])


@composite(lambda s: [case(s.spd(3)), case(s.spd(2, 3))], name="linalg_eigvalsh")
def eigvalsh(F: Any, A: Any, UPLO: str = "L") -> Tensor:
    """Eigenvalues of symmetric matrices, ascending; equal ones share the derivative by the eigenvectors found.

    Args:
        A: shape (..., n, n); taken as (A + A^T) / 2, and so is the derivative.
        UPLO: "L" or "U", without effect on symmetric matrices.

    >>> import hograd as ho
    >>> ho.linalg.eigvalsh(ho.tensor([[0.0, 1.0], [1.0, 0.0]]))
    tensor([-1.,  1.])
    """
    choice("eigvalsh", "UPLO", UPLO, ("L", "U"))
    a = symmetrized(F, *matrices(F, "eigvalsh", A, square=True))
    return F.eigenvalues(a, F.eigh_packed(a))


def _svd_kernel(x: Any) -> Any:
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return np.concatenate([s[..., None, :], u, vh.swapaxes(-1, -2)], -2)


def _skew(F: Any, x: Any) -> Any:
    return x - F.mT(x)


def _pull_svd(F: Any, g: Any, y: Any, x_shape: Any) -> Any:
    n, m = x_shape[-2:]
    s, u, v = y[..., :1, :], y[..., 1 : n + 1, :], y[..., n + 1 :, :]
    change_s, change_u, change_v = g[..., :1, :], g[..., 1 : n + 1, :], g[..., n + 1 :, :]
    gaps = _gaps(F, s * s)
    inner_u, inner_v = F.matmul(F.mT(u), change_u), F.matmul(F.mT(v), change_v)
    inner = _skew(F, inner_u) / gaps * s + F.mT(s) * (_skew(F, inner_v) / gaps)
    inner = inner + identity_like(F, inner) * change_s
    pulled = F.matmul(F.matmul(u, inner), F.mT(v))
    if n > m:
        pulled = pulled + F.matmul((change_u - F.matmul(u, inner_u)) / s, F.mT(v))
    if m > n:
        pulled = pulled + F.matmul(u, F.mT((change_v - F.matmul(v, inner_v)) / s))
    return pulled


#: A row of singular values in descending order, above U, above V.
_svd = general(
    "svd_packed",
    decomposes("svd", "the singular values did not converge")(_svd_kernel),
    [_pull_svd],
    batch=leading,
)
function_of(_svd)


def _pull_singular_values(F: Any, g: Any, b: Any, a_shape: Any) -> Any:
    n = a_shape[-2]
    return F.matmul(b[..., 1 : n + 1, :] * F.expand_dims(g, -2), F.mT(b[..., n + 1 :, :]))


def _push_singular_values(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    _, a, b = values
    n = a.shape[-2]
    if tangents[0] is None:
        return F.zeros_like(values[0])
    return F.sum(b[..., 1 : n + 1, :] * F.matmul(tangents[0], b[..., n + 1 :, :]), axis=b.ndim - 2)


#: The singular values of `a`, read from its packed decomposition `b`.
_singular_values = general(
    "singular_values", lambda a, b: b[..., 0, :], [_pull_singular_values, None], jvp=_push_singular_values,
    batch=leading, arguments="a b",
)  # fmt: skip
function_of(_singular_values)


class SVD(NamedTuple):
    """What `svd` returns."""

    U: Tensor
    S: Tensor
    Vh: Tensor


@composite(
    lambda s: [
        case(s.regular(3)),
        case(s.tall(4, 2), full_matrices=False),
        case(s.tall(2, 4), full_matrices=False),
        case(s.tall(2, 3, 2), full_matrices=False),
    ],
    name="linalg_svd",
)
def svd(F: Any, A: Any, full_matrices: bool = True) -> Any:
    """Singular values and vectors:  A = U diag(S) Vh.

    Singular vectors are determined up to a common sign, and where singular values are equal up to a rotation: only
    functions that do not depend on that have a derivative. Where two singular values are equal, or one is 0 and `A` is
    not square, the derivative of the vectors is nan or infinite; that of the values alone is right for equal ones, and
    a subgradient at 0.

    Args:
        A: shape (..., n, m).
        full_matrices: give U and Vh as square matrices. The vectors beyond the k-th are determined up to a rotation;
            their derivative is right for functions that do not depend on it (PyTorch ignores it).

    Returns:
        (U, S, Vh), with k = min(n, m): shapes (..., n, k), (..., k) descending, (..., k, m).

    >>> import hograd as ho
    >>> ho.linalg.svd(ho.tensor([[0.0, 2.0], [3.0, 0.0]])).S
    tensor([3., 2.])
    """
    (a,) = matrices(F, "svd", A)
    n, m = a.shape[-2:]
    packed = F.svd_packed(a)
    u, v = packed[..., 1 : n + 1, :], packed[..., n + 1 :, :]
    if full_matrices:
        u, v = (completed(F, u) if n > m else u), (completed(F, v) if m > n else v)
    return SVD(u, F.singular_values(a, packed), F.mT(v))


@composite(lambda s: [case(s.regular(3)), case(s.tall(4, 2)), case(s.tall(2, 2, 4))], name="linalg_svdvals")
def svdvals(F: Any, A: Any) -> Tensor:
    """Singular values, descending; equal ones share the derivative by the vectors found, and 0 has a subgradient.

    Args:
        A: shape (..., n, m).

    Returns:
        Shape (..., min(n, m)).

    >>> import hograd as ho
    >>> ho.linalg.svdvals(ho.tensor([[0.0, 2.0], [3.0, 0.0]]))
    tensor([3., 2.])
    """
    (a,) = matrices(F, "svdvals", A)
    return F.singular_values(a, F.svd_packed(a))


def _matrix_rank_kernel(x: Any, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Any:
    values = np.abs(np.linalg.eigvalsh(x)) if hermitian else np.linalg.svd(x, compute_uv=False)
    return np.count_nonzero(values > cutoff(x, values, atol, rtol), axis=-1)


_rank = general("matrix_rank", _matrix_rank_kernel, None, batch=leading)


@operation(
    _matrix_rank_kernel,
    lambda s: [case(s.regular(3)), case(s.tall(4, 2)), case(s.tall(2, 3, 2), atol=2.0), case(s.spd(3), hermitian=True)],
    name="linalg_matrix_rank",
    differentiable=False,
)
def matrix_rank(A: Any, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Tensor:
    """How many singular values are larger than  max(atol, rtol times the largest); it has no derivative.

    Args:
        A: shape (..., n, m).
        atol: by default 0.
        rtol: by default max(n, m) times the precision of the dtype, or 0 if `atol` is positive.
        hermitian: `A` is symmetric: find the rank by its eigenvalues, which is faster.

    >>> import hograd as ho
    >>> ho.linalg.matrix_rank(ho.ones(3, 3))
    tensor(1)
    """
    (a,) = matrices(ops, "matrix_rank", A, square=hermitian)
    return wrap(apply(_rank, (a,), {**tolerances(atol, rtol), "hermitian": hermitian}))
