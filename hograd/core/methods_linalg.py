"""Methods of linear algebra, each the operation of that name with the tensor as first argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hograd.core.primitive import ops

if TYPE_CHECKING:
    from hograd.core.tensor import Tensor


class LinalgMethods:
    """The methods of linear algebra that PyTorch's tensors have."""

    __slots__ = ()

    def det(self) -> Tensor:
        return ops.linalg_det(self)

    def slogdet(self) -> Any:
        return ops.linalg_slogdet(self)

    def logdet(self) -> Tensor:
        return ops.logdet(self)

    def inverse(self) -> Tensor:
        return ops.linalg_inv(self)

    def pinverse(self, rcond: float | None = None) -> Tensor:
        return ops.linalg_pinv(self, rcond)

    def cholesky(self, upper: bool = False) -> Tensor:
        return ops.linalg_cholesky(self, upper=upper)

    def cholesky_inverse(self, upper: bool = False) -> Tensor:
        return ops.cholesky_inverse(self, upper)

    def cholesky_solve(self, L: Any, upper: bool = False) -> Tensor:
        return ops.cholesky_solve(self, L, upper)

    def matrix_power(self, n: int) -> Tensor:
        return ops.linalg_matrix_power(self, n)

    def matrix_exp(self) -> Tensor:
        return ops.linalg_matrix_exp(self)

    def lu(self, pivot: bool = True, get_infos: bool = False) -> Any:
        return ops.lu(self, pivot, get_infos)

    def lu_solve(self, LU: Any, pivots: Any) -> Tensor:
        return ops.lu_solve(self, LU, pivots)

    def qr(self, some: bool = True) -> Any:
        return ops.qr(self, some)

    def svd(self, some: bool = True, compute_uv: bool = True) -> Any:
        return ops.svd(self, some, compute_uv)

    def triangular_solve(self, A: Any, *args: Any, **options: Any) -> Any:
        return ops.triangular_solve(self, A, *args, **options)

    def geqrf(self) -> Any:
        return ops.geqrf(self)

    def orgqr(self, tau: Any) -> Tensor:
        return ops.orgqr(self, tau)

    def ormqr(self, *args: Any, **options: Any) -> Tensor:
        return ops.ormqr(self, *args, **options)
