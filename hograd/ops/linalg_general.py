"""Eigenvalues and eigenvectors of matrices that need not be symmetric: eig, eigvals.

As in `linalg_spectral`, one primitive packs values and vectors, and the values have a primitive of their own on top.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.declare import case, composite, general
from hograd.core.tensor import Tensor
from hograd.ops.linalg_parts import decomposes, diagonal_of, function_of, identity_like, leading, matrices
from hograd.ops.linalg_spectral import Eigen


def _eig_kernel(x: Any, real: bool = False) -> Any:
    values, vectors = np.linalg.eig(x.real if real else x)
    size = np.abs(vectors)
    largest = np.take_along_axis(vectors, np.argmax(size, -2)[..., None, :], -2)
    vectors = vectors * (np.conj(largest) / np.abs(largest)) / np.sqrt(np.sum(size * size, -2, keepdims=True))
    return np.concatenate([values[..., None, :], vectors], -2).astype(x.dtype)


def _vectors_and_largest(F: Any, y: Any) -> tuple[Any, Any, Any]:
    """Eigenvectors, where each is the largest, and their elements there, which are real."""
    vectors = y[..., 1:, :]
    axis = vectors.ndim - 2
    largest = F.indicator(F.argmax(F.abs(vectors), axis), axis, vectors.shape[axis])
    return vectors, largest, F.sum(F.where(largest, F.real(vectors), 0.0), axis=axis, keepdims=True)


def _over_gaps(F: Any, y: Any, inner: Any) -> Any:
    """Between changes of the matrix, seen by the eigenvectors, and what they turn by; linear and symmetric."""
    values = y[..., :1, :]
    gaps = values - F.mT(values)
    return (inner - F.matrix_mask(inner, part="diagonal")) / (gaps + identity_like(F, gaps))


def _pull_eig(F: Any, g: Any, y: Any) -> Any:
    vectors, largest, there = _vectors_and_largest(F, y)
    change = g[..., 1:, :]
    # What lengthens the vectors and turns their phases does not count.
    along = F.sum(vectors * change, axis=vectors.ndim - 2, keepdims=True)
    change = change - F.conj(vectors) * F.real(along) - F.where(largest, F.imag(along) / there, 0.0) * 1j
    inner = _over_gaps(F, y, F.matmul(F.mT(vectors), change))
    inner = inner + identity_like(F, inner) * g[..., :1, :]
    return F.matmul(F.linalg_solve(F.mT(vectors), inner), F.mT(vectors))


def _push_eig(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    y = values[0]
    vectors, largest, there = _vectors_and_largest(F, y)
    axis = vectors.ndim - 2
    change = F.linalg_solve(vectors, F.matmul(tangents[0], vectors))
    moved = F.matmul(vectors, _over_gaps(F, y, change))
    longer = F.real(F.sum(F.conj(vectors) * moved, axis=axis, keepdims=True))
    phase = F.sum(F.where(largest, F.imag(moved), 0.0), axis=axis, keepdims=True) / there
    return F.concatenate(
        [F.expand_dims(diagonal_of(F, change), -2), moved - vectors * (longer + phase * 1j)], axis=axis
    )


#: Of complex matrices: a row of eigenvalues above the matrix of eigenvectors.
_eig = general(
    "eig_packed", decomposes("eig", "the eigenvalues did not converge")(_eig_kernel), [_pull_eig], jvp=_push_eig,
    batch=leading,
)  # fmt: skip
function_of(_eig)


def _pull_values(F: Any, g: Any, b: Any) -> Any:
    across = F.mT(b[..., 1:, :])
    return F.linalg_solve(across, F.expand_dims(g, -1) * across)


def _push_values(F: Any, tangents: Any, values: Any, params: Any) -> Any:
    vectors = values[2][..., 1:, :]
    if tangents[0] is None:
        return F.zeros_like(values[0])
    return diagonal_of(F, F.linalg_solve(vectors, F.matmul(tangents[0], vectors)))


#: The eigenvalues of `a`, read from its packed decomposition `b`.
_values = general(
    "general_eigenvalues", lambda a, b: b[..., 0, :], [_pull_values, None], jvp=_push_values, batch=leading,
    arguments="a b",
)  # fmt: skip
function_of(_values)


def _apart(s: Any) -> list[Any]:
    # Eigenvalues near 1.5, 2.5, ..., and complex ones.
    return [
        case(s.regular(3) + 0.3 * s.normal(3, 3)),
        case((np.diag([1.0, 3.0]) + 0.2 * s.normal(2, 2, 2)) * (1 + 0.5j)),
        case(s.normal(1, 1)),
    ]


def _decomposed(F: Any, name: str, A: Any) -> tuple[Any, Any]:
    """Eigenvalues, and what is packed; `real` keeps the order that LAPACK has for real matrices."""
    (a,) = matrices(F, name, A, square=True)
    real = a.dtype.kind != "c"
    if real:
        a = F.astype(a, np.result_type(a.dtype, np.complex64))
    if not a.shape[-1]:
        return F.sum(a, axis=a.ndim - 1), a
    packed = F.eig_packed(a, real=real)
    return F.general_eigenvalues(a, packed), packed


@composite(_apart, name="linalg_eig")
def eig(F: Any, A: Any) -> Any:
    """Eigenvalues and eigenvectors of square matrices:  A V = V diag(w).

    Eigenvectors have the length 1, and of the elements of each the largest is real and positive: what is computed from
    them has a derivative even if it depends on that choice. Where eigenvalues are equal the derivative of the vectors
    is nan or infinite; that of the values is right as long as there are as many vectors. For symmetric matrices use
    `eigh`.

    Args:
        A: shape (..., n, n), real or complex.

    Returns:
        (eigenvalues, eigenvectors), complex: in no order, shape (..., n); as columns, shape (..., n, n).

    >>> import hograd as ho
    >>> ho.linalg.eig(ho.tensor([[2.0, 1.0], [0.0, 3.0]])).eigenvalues
    tensor([2.+0.j, 3.+0.j])
    """
    values, packed = _decomposed(F, "eig", A)
    return Eigen(values, packed[..., -values.shape[-1] :, :])


@composite(_apart, name="linalg_eigvals")
def eigvals(F: Any, A: Any) -> Tensor:
    """Eigenvalues of square matrices, in no order; those of symmetric ones have `eigvalsh`.

    Args:
        A: shape (..., n, n), real or complex.

    Returns:
        Complex, shape (..., n).

    >>> import hograd as ho
    >>> ho.linalg.eigvals(ho.tensor([[2.0, 1.0], [0.0, 3.0]]))
    tensor([2.+0.j, 3.+0.j])
    """
    return _decomposed(F, "eigvals", A)[0]
