"""In-place syntax on the functional meaning: a tensor is bound to a new array, nothing is written to."""

from __future__ import annotations

from typing import Any

from hograd.core.levels import state
from hograd.core.methods import Operations
from hograd.core.primitive import ops
from hograd.errors import DtypeError, GradientError, ShapeError


class InPlace(Operations):
    """`x += y`, `x[i] = v`, `x.zero_()` and the like."""

    __slots__ = ()

    @property
    def data(self: Any) -> Any:
        """The same values as a constant; what is done to it in place, or assigned, is done here and not recorded."""
        constant = self.detach()
        constant.data_of = self
        return constant

    @data.setter
    def data(self: Any, value: Any) -> None:
        new = ops.stop_gradient(value if isinstance(value, InPlace) else ops.tensor(value))
        other_kind = (new.shape, new.dtype) != (self.shape, self.dtype)
        self.value = new.value
        if other_kind and self.requires_grad and self.is_leaf:
            self.requires_grad_(False).requires_grad_()

    def rebind(self: Any, other: Any) -> None:
        """Become `other`, of any kind, keeping this object's identity and `.grad`."""
        retains = self.retains_grad
        if retains:
            self.node.owner.fills = False
        if type(self) is not type(other):
            self.__class__ = type(other)
        if hasattr(other, "tangent"):
            self.tangent = other.tangent
        self.value, self.node, self.level = other.value, other.node, other.level
        if retains and self.node is not None:
            self.retain_grad()

    def assign(self: Any, new: Any) -> Any:
        """What in-place operations do with their answer, by PyTorch's rules for leaves and `no_grad`."""
        if new.shape != self.shape:
            raise ShapeError(
                f"an in-place operation gives shape {tuple(new.shape)}, but the tensor has shape {tuple(self.shape)}."
            )
        if new.dtype != self.dtype:
            if new.dtype.kind not in "biu" and self.dtype.kind in "biu":
                raise DtypeError(f"result type {new.dtype} can't be cast to the desired output type {self.dtype}.")
            new = ops.astype(new, self.dtype)
        if self.node is not None and self.node.primitive is None and self.level == 0:
            if state.floor <= 0:
                raise GradientError(
                    "a leaf Variable that requires grad is being used in an in-place operation. Do it under "
                    "no_grad(), or on a clone()."
                )
            self.value = new.detach().value
        elif self.node is not None and self.level < state.floor:
            self.value = new.value
        else:
            self.rebind(new)
        if (origin := getattr(self, "data_of", None)) is not None:
            origin.data = self
        return self

    def __iadd__(self: Any, other: Any) -> Any:
        return self.assign(ops.add(self, other))

    def __isub__(self: Any, other: Any) -> Any:
        return self.assign(ops.sub(self, other))

    def __imul__(self: Any, other: Any) -> Any:
        return self.assign(ops.mul(self, other))

    def __itruediv__(self: Any, other: Any) -> Any:
        return self.assign(ops.div(self, other))

    def __ipow__(self: Any, other: Any) -> Any:
        return self.assign(ops.pow(self, other))

    def add_(self: Any, other: Any, *, alpha: Any = 1) -> Any:
        """`self += alpha * other`."""
        return self.assign(ops.add(self, other if alpha == 1 else ops.mul(other, alpha)))

    def sub_(self: Any, other: Any, *, alpha: Any = 1) -> Any:
        """`self -= alpha * other`."""
        return self.assign(ops.sub(self, other if alpha == 1 else ops.mul(other, alpha)))

    def mul_(self: Any, other: Any) -> Any:
        """`self *= other`."""
        return self.assign(ops.mul(self, other))

    def div_(self: Any, other: Any) -> Any:
        """`self /= other`."""
        return self.assign(ops.div(self, other))

    def copy_(self: Any, other: Any) -> Any:
        """`self[...] = other`."""
        if self.requires_grad:
            return self.assign(ops.at_set(self, Ellipsis, other))
        return self.assign(ops.astype(ops.broadcast_to(other, self.shape), self.dtype))

    def fill_(self: Any, value: Any) -> Any:
        """Set every element to `value`."""
        return self.copy_(value)

    def zero_(self: Any) -> Any:
        """Set every element to 0."""
        return self.copy_(0)

    def __setitem__(self: Any, index: Any, value: Any) -> None:
        self.assign(ops.at_set(self, index, value))
