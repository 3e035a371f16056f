"""Methods of tensors: new tensors of their dtype, and questions about what they hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hograd.core.primitive import ops

if TYPE_CHECKING:
    from hograd.core.tensor import Tensor


class CreationMethods:
    """The new ones have the tensor's dtype unless another is given."""

    __slots__ = ()

    dtype: Any
    shape: Any

    def new_zeros(self, *shape: Any, **options: Any) -> Tensor:
        return ops.zeros(*shape, **{"dtype": self.dtype, **options})

    def new_ones(self, *shape: Any, **options: Any) -> Tensor:
        return ops.ones(*shape, **{"dtype": self.dtype, **options})

    def new_full(self, shape: Any, fill_value: Any, **options: Any) -> Tensor:
        return ops.full(shape, fill_value, **{"dtype": self.dtype, **options})

    def new_tensor(self, data: Any, **options: Any) -> Tensor:
        return ops.tensor(data, **{"dtype": self.dtype, **options})

    new_empty = new_zeros

    def ndimension(self) -> int:
        return len(self.shape)

    def nelement(self) -> int:
        return math.prod(self.shape)

    def equal(self, other: Any) -> bool:
        return ops.equal(self, other)

    def contiguous(self) -> Any:
        """The tensor itself: how its numbers are stored does not show."""
        return self

    def is_contiguous(self) -> bool:
        """True: how the numbers are stored does not show."""
        return True

    def element_size(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize
