"""Methods of tensors: reading and writing by index, masks, diagonals and triangles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hograd.core.primitive import ops

if TYPE_CHECKING:
    from hograd.core.tensor import Tensor


class IndexMethods:
    """Each is the operation of that name with the tensor as first argument."""

    __slots__ = ()

    def take_along_axis(self, *args: Any, **options: Any) -> Tensor:
        return ops.take_along_axis(self, *args, **options)

    def take(self, *args: Any, **options: Any) -> Tensor:
        return ops.take(self, *args, **options)

    def gather(self, *args: Any, **options: Any) -> Tensor:
        return ops.gather(self, *args, **options)

    def scatter(self, *args: Any, **options: Any) -> Tensor:
        return ops.scatter(self, *args, **options)

    def scatter_add(self, *args: Any, **options: Any) -> Tensor:
        return ops.scatter_add(self, *args, **options)

    def scatter_reduce(self, *args: Any, **options: Any) -> Tensor:
        return ops.scatter_reduce(self, *args, **options)

    def index_select(self, *args: Any, **options: Any) -> Tensor:
        return ops.index_select(self, *args, **options)

    def index_add(self, *args: Any, **options: Any) -> Tensor:
        return ops.index_add(self, *args, **options)

    def index_copy(self, *args: Any, **options: Any) -> Tensor:
        return ops.index_copy(self, *args, **options)

    def index_fill(self, *args: Any, **options: Any) -> Tensor:
        return ops.index_fill(self, *args, **options)

    def masked_fill(self, *args: Any, **options: Any) -> Tensor:
        return ops.masked_fill(self, *args, **options)

    def masked_select(self, *args: Any, **options: Any) -> Tensor:
        return ops.masked_select(self, *args, **options)

    def masked_scatter(self, *args: Any, **options: Any) -> Tensor:
        return ops.masked_scatter(self, *args, **options)

    def unfold(self, *args: Any, **options: Any) -> Tensor:
        return ops.unfold(self, *args, **options)

    def nonzero(self, *args: Any, **options: Any) -> Any:
        return ops.nonzero(self, *args, **options)

    def nonzero_static(self, **options: Any) -> Any:
        return ops.nonzero_static(self, **options)

    def argwhere(self) -> Tensor:
        return ops.nonzero(self)

    def bincount(self, *args: Any, **options: Any) -> Tensor:
        return ops.bincount(self, *args, **options)

    def tril(self, *args: Any, **options: Any) -> Tensor:
        return ops.tril(self, *args, **options)

    def triu(self, *args: Any, **options: Any) -> Tensor:
        return ops.triu(self, *args, **options)

    def diagonal(self, *args: Any, **options: Any) -> Tensor:
        return ops.diagonal(self, *args, **options)

    def diag(self, *args: Any, **options: Any) -> Tensor:
        return ops.diag(self, *args, **options)

    def diag_embed(self, *args: Any, **options: Any) -> Tensor:
        return ops.diag_embed(self, *args, **options)

    def diagflat(self, *args: Any, **options: Any) -> Tensor:
        return ops.diagflat(self, *args, **options)

    def trace(self) -> Tensor:
        return ops.trace(self)
