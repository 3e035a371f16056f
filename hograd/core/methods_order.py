"""Methods of tensors: sorting, ranks and statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hograd.core.primitive import ops

if TYPE_CHECKING:
    from hograd.core.tensor import Tensor


class OrderMethods:
    """Each is the operation of that name with the tensor as first argument."""

    __slots__ = ()

    def argsort(self, *args: Any, **options: Any) -> Tensor:
        return ops.argsort(self, *args, **options)

    def sort(self, *args: Any, **options: Any) -> Any:
        return ops.sort(self, *args, **options)

    def msort(self, *args: Any, **options: Any) -> Tensor:
        return ops.msort(self, *args, **options)

    def topk(self, *args: Any, **options: Any) -> Any:
        return ops.topk(self, *args, **options)

    def kthvalue(self, *args: Any, **options: Any) -> Any:
        return ops.kthvalue(self, *args, **options)

    def mode(self, *args: Any, **options: Any) -> Any:
        return ops.mode(self, *args, **options)

    def median(self, *args: Any, **options: Any) -> Any:
        return ops.median(self, *args, **options)

    def nanmedian(self, *args: Any, **options: Any) -> Any:
        return ops.nanmedian(self, *args, **options)

    def unique(self, *args: Any, **options: Any) -> Any:
        return ops.unique(self, *args, **options)

    def aminmax(self, *args: Any, **options: Any) -> Any:
        return ops.aminmax(self, *args, **options)

    def quantile(self, *args: Any, **options: Any) -> Tensor:
        return ops.quantile(self, *args, **options)

    def nanquantile(self, *args: Any, **options: Any) -> Tensor:
        return ops.nanquantile(self, *args, **options)

    def nansum(self, *args: Any, **options: Any) -> Tensor:
        return ops.nansum(self, *args, **options)

    def nanmean(self, *args: Any, **options: Any) -> Tensor:
        return ops.nanmean(self, *args, **options)

    def count_nonzero(self, *args: Any, **options: Any) -> Tensor:
        return ops.count_nonzero(self, *args, **options)
