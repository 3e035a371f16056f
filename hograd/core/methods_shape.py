"""Methods of tensors: shapes, and joining and cutting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hograd.core.primitive import ops
from hograd.errors import ShapeError

if TYPE_CHECKING:
    from hograd.core.tensor import Tensor


def is_integer(value: object) -> bool:
    """Whether `value` is one length or axis, and not a sequence of them."""
    return hasattr(value, "__index__") and not getattr(value, "shape", ())


def listed(values: tuple[Any, ...]) -> Any:
    """Lengths or axes given one by one, or as one sequence."""
    return values[0] if len(values) == 1 and not is_integer(values[0]) else values


class ShapeMethods:
    """Each is the operation of that name with the tensor as first argument."""

    __slots__ = ()

    shape: Any

    def reshape(self, *shape: Any) -> Tensor:
        return ops.reshape(self, listed(shape))

    view = reshape

    def flatten(self, *args: Any, **options: Any) -> Tensor:
        return ops.flatten(self, *args, **options)

    def ravel(self) -> Tensor:
        return ops.reshape(self, (-1,))

    def transpose(self, *axes: Any) -> Tensor:
        return ops.transpose(self, *axes)

    def permute(self, *axes: Any) -> Tensor:
        return ops.permute(self, listed(axes))

    def t(self) -> Tensor:
        return ops.t(self)

    def swapaxes(self, *args: Any, **options: Any) -> Tensor:
        return ops.swapaxes(self, *args, **options)

    swapdims = swapaxes

    def moveaxis(self, source: Any, destination: Any) -> Tensor:
        return ops.moveaxis(self, source, destination)

    movedim = moveaxis

    def broadcast_to(self, *shape: Any) -> Tensor:
        return ops.broadcast_to(self, listed(shape))

    def expand(self, *shape: Any) -> Tensor:
        return ops.expand(self, listed(shape))

    def squeeze(self, *args: Any, **options: Any) -> Tensor:
        return ops.squeeze(self, *args, **options)

    def expand_dims(self, *args: Any, **options: Any) -> Tensor:
        return ops.expand_dims(self, *args, **options)

    unsqueeze = expand_dims

    def split(self, *args: Any, **options: Any) -> tuple[Tensor, ...]:
        return ops.split(self, *args, **options)

    def split_with_sizes(self, *args: Any, **options: Any) -> tuple[Tensor, ...]:
        return ops.split_with_sizes(self, *args, **options)

    def flip(self, *axes: Any, **options: Any) -> Tensor:
        return ops.flip(self, *([axes[0] if len(axes) == 1 else axes] if axes else []), **options)

    def unflatten(self, *args: Any, **options: Any) -> Tensor:
        return ops.unflatten(self, *args, **options)

    def roll(self, *args: Any, **options: Any) -> Tensor:
        return ops.roll(self, *args, **options)

    def tile(self, *reps: Any) -> Tensor:
        return ops.tile(self, listed(reps))

    def repeat(self, *sizes: Any) -> Tensor:
        """The tensor laid side by side, so many times along each axis; more numbers make new axes in front."""
        return ops.repeat(self, listed(sizes))

    def repeat_interleave(self, *args: Any, **options: Any) -> Tensor:
        return ops.repeat_interleave(self, *args, **options)

    def rot90(self, *args: Any, **options: Any) -> Tensor:
        return ops.rot90(self, *args, **options)

    def fliplr(self) -> Tensor:
        return ops.fliplr(self)

    def flipud(self) -> Tensor:
        return ops.flipud(self)

    def atleast_1d(self) -> Tensor:
        return ops.atleast_1d(self)

    def atleast_2d(self) -> Tensor:
        return ops.atleast_2d(self)

    def atleast_3d(self) -> Tensor:
        return ops.atleast_3d(self)

    def chunk(self, *args: Any, **options: Any) -> tuple[Tensor, ...]:
        return ops.chunk(self, *args, **options)

    def tensor_split(self, *args: Any, **options: Any) -> tuple[Tensor, ...]:
        return ops.tensor_split(self, *args, **options)

    def hsplit(self, *args: Any, **options: Any) -> tuple[Tensor, ...]:
        return ops.hsplit(self, *args, **options)

    def vsplit(self, *args: Any, **options: Any) -> tuple[Tensor, ...]:
        return ops.vsplit(self, *args, **options)

    def dsplit(self, *args: Any, **options: Any) -> tuple[Tensor, ...]:
        return ops.dsplit(self, *args, **options)

    def unbind(self, *args: Any, **options: Any) -> tuple[Tensor, ...]:
        return ops.unbind(self, *args, **options)

    def narrow(self, *args: Any, **options: Any) -> Tensor:
        return ops.narrow(self, *args, **options)

    def select(self, *args: Any, **options: Any) -> Tensor:
        return ops.select(self, *args, **options)

    def reshape_as(self, other: Tensor) -> Tensor:
        return ops.reshape(self, other.shape)

    def view_as(self, other: Tensor) -> Tensor:
        return ops.reshape(self, other.shape)

    def sum_to_size(self, *shape: Any) -> Tensor:
        """The sum over the axes that broadcasting from `shape` makes or repeats along, in that shape."""
        lengths = tuple(listed(shape))
        extra = len(self.shape) - len(lengths)
        kept = self.shape[max(extra, 0) :]
        if extra < 0 or any(n not in (1, m) for n, m in zip(lengths, kept, strict=True)):
            raise ShapeError(f"size {list(lengths)} is not expandable to size {list(self.shape)}.")
        repeated = [i + extra for i, (n, m) in enumerate(zip(lengths, kept, strict=True)) if n != m]
        axes = (*range(extra), *repeated)
        return ops.reshape(ops.sum(self, axes), lengths) if axes else ops.clone(self)

    def expand_as(self, other: Tensor) -> Tensor:
        return ops.broadcast_to(self, other.shape)
