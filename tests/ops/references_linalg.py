"""References for factors of matrices and for systems that are solved by them, matrix by matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg


def _each(function: Any, *arrays: Any) -> list[Any]:
    """The answers of a function of matrices, stacked over the leading axes."""
    lead = arrays[0].shape[:-2]
    answers = [function(*[a[at] for a in arrays]) for at in np.ndindex(lead)]
    return [np.stack(some).reshape((*lead, *np.shape(some[0]))) for some in zip(*answers, strict=True)]


def _pivots(permutation: Any, k: int) -> Any:
    """The exchanges, one row after the other, that bring the rows where P^T brings them."""
    wanted, order, pivots = list(permutation.T.argmax(-1)), list(range(len(permutation))), []
    for i in range(k):
        j = order.index(wanted[i])
        order[i], order[j] = order[j], order[i]
        pivots.append(j + 1)
    return np.array(pivots, np.int32)


def _lu_factor(a: Any) -> Any:
    p, lower, upper = linalg.lu(a)
    k = min(a.shape)
    packed = np.zeros(a.shape)
    packed[:, :k] += np.tril(lower, -1)
    packed[:k] += upper
    return packed, _pivots(p, k), np.array(0, np.int32)


def _lu_unpack(packed: Any, pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    n, m = packed.shape[-2:]
    k = min(n, m)

    def one(packed: Any, pivots: Any) -> Any:
        order = np.eye(n)
        for i, j in enumerate(pivots):
            order[[i, j - 1]] = order[[j - 1, i]]
        return order.T, np.tril(packed[:, :k], -1) + np.eye(n, k), np.triu(packed[:k])

    p, lower, upper = _each(one, packed, pivots)
    return p if unpack_pivots else np.zeros(0), *((lower, upper) if unpack_data else (np.zeros(0), np.zeros(0)))


def _lu_solve(packed: Any, pivots: Any, b: Any, left: bool = True, adjoint: bool = False) -> Any:
    p, lower, upper = _lu_unpack(packed, pivots)
    a = p @ lower @ upper
    inverse = np.linalg.inv(a.swapaxes(-1, -2) if adjoint else a)
    return inverse @ b if left else b @ inverse


def _householder(a: Any, tau: Any) -> Any:
    """The square product of all reflections."""
    n, k = a.shape[-2], tau.shape[-1]

    def one(a: Any, tau: Any) -> Any:
        product = np.eye(n)
        for i in range(k):
            v = np.where(np.arange(n) > i, a[:, i], np.arange(n) == i)
            product = product @ (np.eye(n) - tau[i] * np.outer(v, v))
        return (product,)

    return _each(one, a, tau)[0]


def _ormqr(a: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    q = _householder(a, tau)
    q = q.swapaxes(-1, -2) if transpose else q
    return q @ other if left else other @ q


def _geqrf(a: Any) -> Any:
    (packed, tau), _ = linalg.qr(a, mode="raw")
    return packed, tau


def _svd(a: Any, some: bool = True, compute_uv: bool = True) -> Any:
    u, s, vh = np.linalg.svd(a, full_matrices=not some)
    if not compute_uv:
        return np.zeros((*a.shape[:-1], a.shape[-2])), s, np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-1]))
    return u, s, vh.swapaxes(-1, -2)


def _triangular_solve(b: Any, a: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False) -> Any:
    part = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        part = part - part * np.eye(a.shape[-1]) + np.eye(a.shape[-1])
    x = np.linalg.inv(part.swapaxes(-1, -2) if transpose else part) @ b
    return x, np.broadcast_to(a, (*x.shape[:-2], *a.shape[-2:]))


def _solve(a: Any, b: Any, left: bool = True) -> Any:
    if not left:
        return b @ np.linalg.inv(a)
    vectors = b.ndim < a.ndim
    x = np.linalg.inv(a) @ (b[..., None] if vectors else b)
    return x[..., 0] if vectors else x


def _zeros(a: Any) -> Any:
    return np.zeros(a.shape[:-2], np.int32)


LINALG: dict[str, Any] = {
    "linalg_lu": lambda a: _each(linalg.lu, a),
    "linalg_lu_factor": lambda a: _each(_lu_factor, a)[:2],
    "linalg_lu_factor_ex": lambda a: _each(_lu_factor, a),
    "lu": lambda a, get_infos=False: _each(_lu_factor, a)[: 3 if get_infos else 2],
    "lu_unpack": _lu_unpack,
    "linalg_lu_solve": _lu_solve,
    "lu_solve": lambda b, packed, pivots: _lu_solve(packed, pivots, b),
    "qr": lambda a, some=True: np.linalg.qr(a, "reduced" if some else "complete"),
    "svd": _svd,
    "triangular_solve": _triangular_solve,
    "linalg_householder_product": lambda a, tau: _householder(a, tau)[..., : a.shape[-1]],
    "orgqr": lambda a, tau: _householder(a, tau)[..., : a.shape[-1]],
    "ormqr": _ormqr,
    "geqrf": lambda a: _each(_geqrf, a),
    "linalg_cholesky_ex": lambda a, upper=False: (np.linalg.cholesky(a, upper=upper), _zeros(a)),
    "linalg_inv_ex": lambda a: (np.linalg.inv(a), _zeros(a)),
    "linalg_solve_ex": lambda a, b, left=True: (_solve(a, b, left), _zeros(a)),
}
