"""Products of Householder reflections, in the form in which LAPACK keeps an orthogonal matrix."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hograd.backend import through_cpu
from hograd.core.declare import case, composite, general, operation
from hograd.core.dispatch import apply, wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ShapeError
from hograd.ops.linalg_parts import function_of, identity_like, lapack, leading, matrices

__all__ = ["geqrf", "orgqr", "ormqr"]


def _reflectors(F: Any, name: str, A: Any, tau: Any, *others: Any) -> list[Any]:
    """The vectors as columns, 1 at their head and 0 above, their factors, and the other arguments, of one dtype."""
    a, tau, *rest = matrices(F, name, A, tau, *others, vectors=True)
    n, m = a.shape[-2:]
    k = tau.shape[-1]
    if tuple(tau.shape[:-1]) != tuple(a.shape[:-2]) or k > min(n, m):
        raise ShapeError(
            f"linalg.{name}: A has shape {tuple(a.shape)} and tau {tuple(tau.shape)}, expected (..., n, m) and "
            "(..., k) with k <= min(n, m) and the same leading axes."
        )
    vectors = F.matrix_mask(a[..., :k], part="strictly lower")
    return [vectors + identity_like(F, vectors), tau, *rest]


def _conjugate(F: Any, x: Any) -> Any:
    return F.conj(x) if x.dtype.kind == "c" else x


def _reflected(F: Any, vectors: Any, factors: Any, x: Any, *, first_to_last: bool) -> Any:
    """`x` multiplied from the left by each  1 - tau v v^H,  one after the other."""
    k = factors.shape[-1]
    for i in range(k) if first_to_last else reversed(range(k)):
        v, tau = vectors[..., i : i + 1], F.expand_dims(factors[..., i : i + 1], -1)
        x = x - tau * F.matmul(v, F.matmul(_conjugate(F, F.mT(v)), x))
    return x


@composite(
    lambda s: [
        case(s.normal(4, 2), s.normal(2)),
        case(s.normal(3, 3), s.normal(2)),
        case(s.normal(2, 3, 2), s.normal(2, 2)),
    ],
    name="linalg_householder_product",
)
def householder_product(F: Any, A: Any, tau: Any) -> Tensor:
    """The first m columns of  H_1 H_2 ... H_k,  the reflections  H_i = 1 - tau_i v_i v_i^H.

    Args:
        A: shape (..., n, m), m <= n; v_i is column i with 1 on the diagonal and 0 above.
        tau: shape (..., k), k <= m.

    Returns:
        Shape (..., n, m); with A and tau from `geqrf`, the Q of A = Q R.

    >>> import hograd as ho
    >>> ho.linalg.householder_product(ho.tensor([[5.0], [1.0]]), ho.tensor([1.0]))
    tensor([[ 0.],
            [-1.]])
    """
    vectors, factors, a = _reflectors(F, "householder_product", A, tau, A)
    if a.shape[-1] > a.shape[-2]:
        raise ShapeError(
            f"linalg.householder_product: A has shape {tuple(a.shape)}, expected no more columns than rows."
        )
    return _reflected(F, vectors, factors, identity_like(F, a), first_to_last=False)


@composite(lambda s: [case(s.normal(4, 2), s.normal(2))])
def orgqr(F: Any, A: Any, tau: Any) -> Tensor:
    """`linalg.householder_product` by the name of LAPACK.

    >>> import hograd as ho
    >>> ho.orgqr(ho.tensor([[5.0], [1.0]]), ho.tensor([1.0]))
    tensor([[ 0.],
            [-1.]])
    """
    return F.linalg_householder_product(A, tau)


@composite(
    lambda s: [
        case(s.normal(4, 2), s.normal(2), s.normal(4, 3)),
        case(s.normal(4, 2), s.normal(2), s.normal(4, 3), transpose=True),
        case(s.normal(2, 3, 2), s.normal(2, 2), s.normal(2, 1, 3), left=False),
        case(s.normal(3, 2), s.normal(2), s.normal(2, 3), left=False, transpose=True),
    ]
)
def ormqr(F: Any, A: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Tensor:
    """Q C,  Q the square matrix of all reflections  H_1 H_2 ... H_k  of `linalg.householder_product`.

    Args:
        A: shape (..., n, m).
        tau: shape (..., k), k <= min(n, m).
        other: C, shape (..., n, j), or (..., j, n) if not `left`.
        left: whether Q stands on the left of C.
        transpose: multiply by the conjugate transpose of Q.

    >>> import hograd as ho
    >>> ho.ormqr(ho.tensor([[5.0], [1.0]]), ho.tensor([1.0]), ho.tensor([[1.0], [2.0]]))
    tensor([[-2.],
            [-1.]])
    """
    vectors, factors, c = _reflectors(F, "ormqr", A, tau, other)
    if c.ndim < 2 or c.shape[-2 if left else -1] != vectors.shape[-2]:
        raise ShapeError(
            f"ormqr: other has shape {tuple(c.shape)}, expected {vectors.shape[-2]} {'rows' if left else 'columns'}, "
            "as many as A has rows."
        )
    # C Q is the adjoint of Q^H C^H.
    backward = bool(transpose) == bool(left)
    c = c if left else _conjugate(F, F.mT(c))
    factors = _conjugate(F, factors) if backward else factors
    product = _reflected(F, vectors, factors, c, first_to_last=backward)
    return product if left else _conjugate(F, F.mT(product))


class Reflections(NamedTuple):
    """What `geqrf` returns."""

    a: Tensor
    tau: Tensor


def _geqrf_packed(x: Any) -> Any:
    n, m = x.shape[-2:]
    k = min(n, m)
    y = np.zeros((*x.shape[:-2], n + 1, m), x.dtype)
    for at in np.ndindex(x.shape[:-2] if k else (0,)):
        y[at][:n], y[at][n, :k], _, _ = lapack("geqrf", x)(x[at])
    return y


#: R with the vectors of the reflections below, and below both a row of their factors.
_geqrf = general("geqrf_packed", lambda x: through_cpu(_geqrf_packed, x), None, batch=leading)
function_of(_geqrf)


@operation(None, lambda s: [case(s.tall(4, 2)), case(s.tall(2, 2, 3))], differentiable=False)
def geqrf(A: Any) -> Reflections:
    """A = Q R as LAPACK keeps it: R, and below its diagonal the vectors of the reflections whose product Q is.

    It has no derivative; that of `linalg.qr` is the same factors'.

    Args:
        A: shape (..., n, m).

    Returns:
        (a, tau): shapes (..., n, m) and (..., min(n, m)), the arguments of `linalg.householder_product` and `ormqr`.

    >>> import hograd as ho
    >>> a, tau = ho.geqrf(ho.tensor([[3.0], [4.0]]))
    >>> ho.linalg.householder_product(a, tau)
    tensor([[-0.6000],
            [-0.8000]])
    """
    (a,) = matrices(ops, "geqrf", A)
    packed = wrap(apply(_geqrf, (a,), {}))
    n, m = a.shape[-2:]
    return Reflections(packed[..., :n, :], packed[..., n, : min(n, m)])
