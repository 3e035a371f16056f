"""Operators and methods of tensors, each the operation of that name with the tensor as first argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hograd.core.methods_complex import ComplexMethods
from hograd.core.methods_create import CreationMethods
from hograd.core.methods_elementwise import ElementwiseMethods
from hograd.core.methods_index import IndexMethods
from hograd.core.methods_linalg import LinalgMethods
from hograd.core.methods_names import NamedMethods
from hograd.core.methods_order import OrderMethods
from hograd.core.methods_products import ProductMethods
from hograd.core.methods_reduce import ReductionMethods
from hograd.core.methods_shape import ShapeMethods
from hograd.core.primitive import ops

if TYPE_CHECKING:
    from hograd.core.tensor import Tensor


def is_comparable(value: object) -> bool:
    """Whether `==` with `value` is elementwise; with anything else (None, strings) it is False, as in PyTorch."""
    return isinstance(value, (int, float, complex, list, tuple)) or hasattr(value, "dtype")


class Operations(
    ComplexMethods,
    CreationMethods,
    ElementwiseMethods,
    IndexMethods,
    LinalgMethods,
    NamedMethods,
    OrderMethods,
    ProductMethods,
    ReductionMethods,
    ShapeMethods,
):
    """Operators and methods; the mathematics is in `hograd.ops`, where each operation is documented."""

    __slots__ = ()

    def __add__(self, other: Any) -> Tensor:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return ops.add(self, other)

    def __sub__(self, other: Any) -> Tensor:
        return ops.sub(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.sub(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return ops.mul(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return ops.mul(self, other)

    def __truediv__(self, other: Any) -> Tensor:
        return ops.div(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.div(other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide(other, self)

    def __mod__(self, other: Any) -> Tensor:
        return ops.remainder(self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return ops.remainder(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return ops.pow(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.pow(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(other, self)

    def __and__(self, other: Any) -> Tensor:
        return ops.bitwise_and(self, other)

    def __rand__(self, other: Any) -> Tensor:
        return ops.bitwise_and(other, self)

    def __or__(self, other: Any) -> Tensor:
        return ops.bitwise_or(self, other)

    def __ror__(self, other: Any) -> Tensor:
        return ops.bitwise_or(other, self)

    def __xor__(self, other: Any) -> Tensor:
        return ops.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return ops.bitwise_xor(other, self)

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return ops.eq(self, other) if is_comparable(other) else NotImplemented

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return ops.ne(self, other) if is_comparable(other) else NotImplemented

    def __lt__(self, other: Any) -> Tensor:
        return ops.lt(self, other)

    def __le__(self, other: Any) -> Tensor:
        return ops.le(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return ops.gt(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return ops.ge(self, other)

    __hash__ = object.__hash__

    def __neg__(self) -> Tensor:
        return ops.neg(self)

    def __pos__(self) -> Tensor:
        return ops.clone(self)

    def __abs__(self) -> Tensor:
        return ops.abs(self)

    def __invert__(self) -> Tensor:
        return ops.bitwise_not(self)

    def __getitem__(self, index: Any) -> Tensor:
        return ops.getitem(self, index)

    @property
    def at(self) -> Any:
        """Pure indexed updates: `x.at[index].set(value)` and `x.at[index].add(value)` return new tensors."""
        return ops.at(self)

    @property
    def T(self) -> Tensor:
        """The tensor with its axes reversed."""
        return ops.transpose(self)

    @property
    def mT(self) -> Tensor:
        """The tensor with its last two axes swapped."""
        return ops.swapaxes(self, -2, -1)

    def exp(self) -> Tensor:
        return ops.exp(self)

    def log(self) -> Tensor:
        return ops.log(self)

    def log1p(self) -> Tensor:
        return ops.log1p(self)

    def expm1(self) -> Tensor:
        return ops.expm1(self)

    def sqrt(self) -> Tensor:
        return ops.sqrt(self)

    def abs(self) -> Tensor:
        return ops.abs(self)

    def sign(self) -> Tensor:
        return ops.sign(self)

    def sin(self) -> Tensor:
        return ops.sin(self)

    def cos(self) -> Tensor:
        return ops.cos(self)

    def tanh(self) -> Tensor:
        return ops.tanh(self)

    def sigmoid(self) -> Tensor:
        return ops.sigmoid(self)

    def relu(self) -> Tensor:
        return ops.relu(self)

    def softplus(self, *args: Any, **options: Any) -> Tensor:
        return ops.softplus(self, *args, **options)

    def neg(self) -> Tensor:
        return ops.neg(self)

    def clone(self) -> Tensor:
        return ops.clone(self)

    def square(self) -> Tensor:
        return ops.square(self)

    def reciprocal(self) -> Tensor:
        return ops.reciprocal(self)

    def isfinite(self) -> Tensor:
        return ops.isfinite(self)

    def isnan(self) -> Tensor:
        return ops.isnan(self)

    def logical_not(self) -> Tensor:
        return ops.logical_not(self)

    def add(self, other: Any, *, alpha: Any = 1) -> Tensor:
        return ops.add(self, other if type(alpha) is int and alpha == 1 else ops.mul(other, alpha))

    def sub(self, other: Any, *, alpha: Any = 1) -> Tensor:
        return ops.sub(self, other if type(alpha) is int and alpha == 1 else ops.mul(other, alpha))

    def mul(self, other: Any) -> Tensor:
        return ops.mul(self, other)

    def div(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        return ops.div(self, other) if rounding_mode is None else ops.rounded_quotient(self, other, rounding_mode)

    def pow(self, other: Any) -> Tensor:
        return ops.pow(self, other)

    def maximum(self, other: Any) -> Tensor:
        return ops.maximum(self, other)

    def minimum(self, other: Any) -> Tensor:
        return ops.minimum(self, other)

    def allclose(self, other: Any, **tolerances: Any) -> Any:
        return ops.allclose(self, other, **tolerances)

    def eq(self, other: Any) -> Tensor:
        return ops.eq(self, other)

    def ne(self, other: Any) -> Tensor:
        return ops.ne(self, other)

    def lt(self, other: Any) -> Tensor:
        return ops.lt(self, other)

    def le(self, other: Any) -> Tensor:
        return ops.le(self, other)

    def gt(self, other: Any) -> Tensor:
        return ops.gt(self, other)

    def ge(self, other: Any) -> Tensor:
        return ops.ge(self, other)

    def floor_divide(self, other: Any) -> Tensor:
        return ops.floor_divide(self, other)

    def remainder(self, other: Any) -> Tensor:
        return ops.remainder(self, other)

    def logical_and(self, other: Any) -> Tensor:
        return ops.logical_and(self, other)

    def logical_or(self, other: Any) -> Tensor:
        return ops.logical_or(self, other)

    def logical_xor(self, other: Any) -> Tensor:
        return ops.logical_xor(self, other)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        return ops.clip(self, min, max)

    clamp = clip

    def where(self, condition: Any, other: Any) -> Tensor:
        return ops.where(condition, self, other)

    def softmax(self, *args: Any, **options: Any) -> Tensor:
        return ops.softmax(self, *args, **options)

    def log_softmax(self, *args: Any, **options: Any) -> Tensor:
        return ops.log_softmax(self, *args, **options)

    def astype(self, dtype: Any) -> Tensor:
        return ops.astype(self, dtype)

    def to(
        self,
        *target: Any,
        dtype: Any = None,
        device: Any = None,
        non_blocking: bool = False,
        copy: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        return ops.to(self, *target, dtype=dtype, device=device, copy=copy)

    type = astype

    def type_as(self, other: Tensor) -> Tensor:
        return ops.astype(self, other.dtype)

    def double(self) -> Tensor:
        return ops.astype(self, np.float64)

    def float(self) -> Tensor:
        return ops.astype(self, np.float32)

    def long(self) -> Tensor:
        return ops.astype(self, np.int64)

    def int(self) -> Tensor:
        return ops.astype(self, np.int32)

    def bool(self) -> Tensor:
        return ops.astype(self, np.bool_)
