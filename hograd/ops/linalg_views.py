"""What `torch.linalg` has beside decompositions: vector products along the last axis, and diagonals of matrices."""

from __future__ import annotations

from typing import Any

from hograd.core.declare import case, operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ShapeError
from hograd.ops.axes import axis_of, tensor_of


@operation(None, lambda s: [case(s.normal(2, 3), s.normal(3)), case(s.normal(3, 2), s.normal(3, 1), axis=0)],
           name="linalg_cross")  # fmt: skip
def cross(a: Any, b: Any, *, axis: int = -1) -> Tensor:
    """Vector product in three dimensions, along the last axis; `hograd.cross` takes the first axis of length 3.

    Args:
        a, b: tensors of length 3 along the axis, the others broadcast.
        axis: int (`dim`).

    >>> import hograd as ho
    >>> ho.linalg.cross(ho.tensor([1.0, 0.0, 0.0]), ho.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    a, b = tensor_of(a, "linalg.cross"), tensor_of(b, "linalg.cross")
    rank = max(a.ndim, b.ndim)
    place = axis_of(axis, rank, "linalg.cross") - rank
    if not all(x.ndim >= -place and x.shape[place] == 3 for x in (a, b)):
        raise ShapeError(
            f"linalg.cross: inputs dimension {axis} must have length 3, found {tuple(a.shape)} and {tuple(b.shape)}."
        )
    return ops.cross(a, b, place)


@operation(None, lambda s: [case(s.normal(2, 3, 4)), case(s.normal(3, 2), offset=-1)], name="linalg_diagonal")
def diagonal(A: Any, *, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """The diagonals of matrices; `hograd.diagonal` takes those of the first two axes.

    Args:
        A: shape (..., n, m).
        offset: how far above the main diagonal.
        axis1, axis2: the axes of the matrices (`dim1`, `dim2`).

    >>> import hograd as ho
    >>> ho.linalg.diagonal(ho.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    tensor([[1., 4.]])
    """
    return ops.diagonal(A, offset, axis1, axis2)
