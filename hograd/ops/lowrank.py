"""Singular values of matrices of low rank, from a random subspace (Halko, Martinsson and Tropp, 2011)."""

from __future__ import annotations

from typing import Any

from hograd.core.declare import operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError
from hograd.ops.axes import whole
from hograd.ops.linalg_parts import matrices

__all__ = ["pca_lowrank", "svd_lowrank"]


def _lowrank(a: Any, q: int, niter: int, name: str) -> tuple[Tensor, Tensor, Tensor]:
    rows, columns = a.shape[-2:]
    q, niter = whole(q, name, "q"), whole(niter, name, "niter")
    if not 0 <= q <= min(rows, columns) or niter < 0:
        raise ArgumentError(
            f"{name} got q={q} and niter={niter}, expected q from 0 to {min(rows, columns)} and niter of at least 0."
        )
    if rows < columns:
        u, s, v = _lowrank(ops.mT(a), q, niter, name)
        return v, s, u
    basis = ops.linalg_qr(ops.matmul(a, ops.randn(columns, q, dtype=a.dtype)))[0]
    for _ in range(niter):
        basis = ops.linalg_qr(ops.matmul(ops.mT(a), basis))[0]
        basis = ops.linalg_qr(ops.matmul(a, basis))[0]
    u, s, vh = ops.linalg_svd(ops.matmul(ops.mT(basis), a), full_matrices=False)
    return ops.matmul(basis, u), s, ops.mT(vh)


@operation(None, lambda s: [])
def svd_lowrank(A: Any, q: int = 6, niter: int = 2, M: Any = None) -> tuple[Tensor, Tensor, Tensor]:
    """The q largest singular values of matrices of low rank, and their vectors:  A - M = U diag(S) V^T, about.

    From a random subspace, drawn by the generator of `manual_seed`: exact if the rank is at most q, else the closer the
    faster the singular values fall.

    Args:
        A: real matrices, shape (..., n, m).
        q: how many, at most min(n, m); more than the rank have no derivative.
        niter: how often the subspace is improved.
        M: what is taken from A, broadcast to it.

    Returns:
        (U, S, V): shapes (..., n, q), (..., q) and (..., m, q).

    >>> import hograd as ho
    >>> ho.svd_lowrank(ho.outer(ho.tensor([3.0, 4.0]), ho.tensor([0.0, 2.0, 0.0])), 1)[1]
    tensor([10.])
    """
    (a,) = matrices(ops, "svd_lowrank", A)
    return _lowrank(a if M is None else a - M, q, niter, "svd_lowrank")


@operation(None, lambda s: [])
def pca_lowrank(A: Any, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Principal components of data of low rank: `svd_lowrank` of the rows less their mean.

    Args:
        A: n examples of m numbers, shape (..., n, m).
        q: how many, by default min(6, n, m).
        center: take the mean of the rows from them.
        niter: how often the random subspace is improved.

    Returns:
        (U, S, V): the components are the columns of V.

    >>> import hograd as ho
    >>> ho.pca_lowrank(ho.tensor([[0.0, 1.0], [0.0, 3.0], [0.0, 5.0]]), 1)[2].abs()
    tensor([[0.],
            [1.]])
    """
    (a,) = matrices(ops, "pca_lowrank", A)
    q = min(6, *a.shape[-2:]) if q is None else q
    return _lowrank(a - ops.mean(a, a.ndim - 2, True) if center else a, q, niter, "pca_lowrank")
