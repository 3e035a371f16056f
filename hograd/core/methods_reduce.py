"""Methods of tensors: reductions and scans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hograd.core.primitive import ops

if TYPE_CHECKING:
    from hograd.core.tensor import Tensor


class ReductionMethods:
    """Each is the operation of that name with the tensor as first argument."""

    __slots__ = ()

    def sum(self, *args: Any, **options: Any) -> Tensor:
        return ops.sum(self, *args, **options)

    def mean(self, *args: Any, **options: Any) -> Tensor:
        return ops.mean(self, *args, **options)

    def prod(self, *args: Any, **options: Any) -> Tensor:
        return ops.prod(self, *args, **options)

    def amax(self, *args: Any, **options: Any) -> Tensor:
        return ops.amax(self, *args, **options)

    def amin(self, *args: Any, **options: Any) -> Tensor:
        return ops.amin(self, *args, **options)

    def all(self, *args: Any, **options: Any) -> Tensor:
        return ops.all(self, *args, **options)

    def any(self, *args: Any, **options: Any) -> Tensor:
        return ops.any(self, *args, **options)

    def max(self, *args: Any, **options: Any) -> Any:
        return ops.max(self, *args, **options)

    def min(self, *args: Any, **options: Any) -> Any:
        return ops.min(self, *args, **options)

    def argmax(self, *args: Any, **options: Any) -> Tensor:
        return ops.argmax(self, *args, **options)

    def argmin(self, *args: Any, **options: Any) -> Tensor:
        return ops.argmin(self, *args, **options)

    def var(self, *args: Any, **options: Any) -> Tensor:
        return ops.var(self, *args, **options)

    def std(self, *args: Any, **options: Any) -> Tensor:
        return ops.std(self, *args, **options)

    def logsumexp(self, *args: Any, **options: Any) -> Tensor:
        return ops.logsumexp(self, *args, **options)

    def norm(self, *args: Any, **options: Any) -> Tensor:
        return ops.norm(self, *args, **options)

    def cumsum(self, *args: Any, **options: Any) -> Tensor:
        return ops.cumsum(self, *args, **options)

    def cumprod(self, *args: Any, **options: Any) -> Tensor:
        return ops.cumprod(self, *args, **options)

    def logcumsumexp(self, *args: Any, **options: Any) -> Tensor:
        return ops.logcumsumexp(self, *args, **options)

    def cummax(self, *args: Any, **options: Any) -> Any:
        return ops.cummax(self, *args, **options)

    def cummin(self, *args: Any, **options: Any) -> Any:
        return ops.cummin(self, *args, **options)

    def diff(self, *args: Any, **options: Any) -> Tensor:
        return ops.diff(self, *args, **options)
