"""Questions about tensors whose answers are plain Python values."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.primitive import ops
from hograd.core.tensor import Tensor, as_tensor, concrete
from hograd.errors import ShapeError
from hograd.ops.axes import shape_of, tensor_of

__all__ = ["broadcast_shapes", "equal", "is_floating_point", "is_tensor", "numel"]


def is_tensor(x: object) -> bool:
    """Whether `x` is a tensor.

    >>> import hograd as ho
    >>> ho.is_tensor(ho.zeros(2)), ho.is_tensor(0.0)
    (True, False)
    """
    return isinstance(x, Tensor)


def is_floating_point(x: Any) -> bool:
    """Whether the elements of a tensor are floating-point numbers.

    >>> import hograd as ho
    >>> ho.is_floating_point(ho.ones(2)), ho.is_floating_point(ho.arange(2))
    (True, False)
    """
    return tensor_of(x, "is_floating_point").is_floating_point()


def numel(x: Any) -> int:
    """Number of elements.

    >>> import hograd as ho
    >>> ho.numel(ho.zeros(2, 3))
    6
    """
    return tensor_of(x, "numel").numel()


def equal(a: Any, b: Any) -> bool:
    """Whether two tensors have the same shape and the same elements; nan equals nothing.

    >>> import hograd as ho
    >>> ho.equal(ho.tensor([1.0, 2.0]), ho.tensor([1, 2])), ho.equal(ho.zeros(2), ho.zeros(1))
    (True, False)
    """
    a, b = as_tensor(a), as_tensor(b)
    return a.shape == b.shape and bool(np.all(concrete(a, "equal") == concrete(b, "equal")))


ops.equal = equal


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape to which tensors of these shapes are broadcast together.

    >>> import hograd as ho
    >>> ho.broadcast_shapes((2, 1), (3,), 1)
    (2, 3)
    """
    given = [shape_of(shape, "broadcast_shapes") for shape in shapes]
    try:
        return np.broadcast_shapes(*given)
    except ValueError:
        raise ShapeError(f"broadcast_shapes: {' and '.join(map(str, given))} do not fit together.") from None
