"""Methods of tensors: products of vectors and matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hograd.core.primitive import ops

if TYPE_CHECKING:
    from hograd.core.tensor import Tensor


class ProductMethods:
    """Each is the operation of that name with the tensor as first argument."""

    __slots__ = ()

    def matmul(self, *args: Any, **options: Any) -> Tensor:
        return ops.matmul(self, *args, **options)

    def dot(self, *args: Any, **options: Any) -> Tensor:
        return ops.dot(self, *args, **options)

    def outer(self, *args: Any, **options: Any) -> Tensor:
        return ops.outer(self, *args, **options)

    def ger(self, *args: Any, **options: Any) -> Tensor:
        return ops.ger(self, *args, **options)

    def inner(self, *args: Any, **options: Any) -> Tensor:
        return ops.inner(self, *args, **options)

    def vdot(self, *args: Any, **options: Any) -> Tensor:
        return ops.vdot(self, *args, **options)

    def mm(self, *args: Any, **options: Any) -> Tensor:
        return ops.mm(self, *args, **options)

    def mv(self, *args: Any, **options: Any) -> Tensor:
        return ops.mv(self, *args, **options)

    def bmm(self, *args: Any, **options: Any) -> Tensor:
        return ops.bmm(self, *args, **options)

    def kron(self, *args: Any, **options: Any) -> Tensor:
        return ops.kron(self, *args, **options)

    def cross(self, *args: Any, **options: Any) -> Tensor:
        return ops.cross(self, *args, **options)

    def dist(self, *args: Any, **options: Any) -> Tensor:
        return ops.dist(self, *args, **options)

    def addmm(self, *args: Any, **options: Any) -> Tensor:
        return ops.addmm(self, *args, **options)

    def addmv(self, *args: Any, **options: Any) -> Tensor:
        return ops.addmv(self, *args, **options)

    def addr(self, *args: Any, **options: Any) -> Tensor:
        return ops.addr(self, *args, **options)

    def addbmm(self, *args: Any, **options: Any) -> Tensor:
        return ops.addbmm(self, *args, **options)

    def baddbmm(self, *args: Any, **options: Any) -> Tensor:
        return ops.baddbmm(self, *args, **options)
