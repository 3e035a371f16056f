"""Elements that a mask of bools names, and the places of those that are not 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.declare import case, operation
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor, concrete
from hograd.errors import ArgumentError, DtypeError, ShapeError
from hograd.ops.axes import tensor_of, whole

__all__ = ["argwhere", "masked_fill", "masked_scatter", "masked_select", "nonzero", "nonzero_static"]


def _mask(mask: Any, name: str) -> Tensor:
    mask = tensor_of(mask, name)
    if mask.dtype.kind != "b":
        raise DtypeError(f"{name} only supports boolean masks, but got mask with dtype {mask.dtype}.")
    return mask


@operation(
    None,
    lambda s: [
        case(s.normal(3, 4), s.mask(3, 4), 1.5),
        case(s.normal(3, 4), s.mask(4), s.normal()),
    ],
)
def masked_fill(x: Any, mask: Any, value: Any) -> Tensor:
    """`x` with `value` where `mask` holds.

    Args:
        x: tensor.
        mask: bools, broadcast against `x`.
        value: number, or tensor of shape ().

    >>> import hograd as ho
    >>> ho.masked_fill(ho.tensor([1.0, 2.0]), ho.tensor([True, False]), 0.0)
    tensor([0., 2.])
    """
    x = tensor_of(x, "masked_fill")
    if getattr(value, "shape", ()):
        raise ShapeError(f"masked_fill only supports a 0-dimensional value, found shape {tuple(value.shape)}.")
    value = tensor_of(value, "masked_fill")
    if value.dtype.kind == "c" and x.dtype.kind != "c":
        raise DtypeError(f"masked_fill: value has dtype {value.dtype}, which x of dtype {x.dtype} cannot hold.")
    return ops.where(_mask(mask, "masked_fill"), ops.astype(value, x.dtype), x)


@operation(
    None, lambda s: [case(s.normal(3, 4), s.mask(3, 4)), case(s.normal(3, 4), s.mask(4)), case(s.normal(), s.mask(3))]
)
def masked_select(x: Any, mask: Any) -> Tensor:
    """The elements of `x` where `mask` holds, row by row.

    Args:
        x: tensor.
        mask: bools, broadcast against `x`; `vmap` cannot map them, as the answer's length depends on them.

    >>> import hograd as ho
    >>> ho.masked_select(ho.tensor([1.0, 2.0, 3.0]), ho.tensor([True, False, True]))
    tensor([1., 3.])
    """
    x, mask = ops.broadcast_tensors(tensor_of(x, "masked_select"), _mask(mask, "masked_select"))
    if not x.ndim:
        x, mask = ops.reshape(x, (1,)), ops.reshape(mask, (1,))
    return ops.getitem(x, mask)


@operation(
    None, lambda s: [case(s.normal(3, 4), s.mask(3, 4), s.normal(2, 4)), case(s.normal(3, 4), s.mask(4), s.normal(7))]
)
def masked_scatter(x: Any, mask: Any, source: Any) -> Tensor:
    """`x` with the elements of `source`, in their order, written where `mask` holds.

    Args:
        x: tensor.
        mask: bools; it and `x` are broadcast against each other.
        source: tensor of at least as many elements as the mask has places that hold.

    >>> import hograd as ho
    >>> ho.masked_scatter(ho.zeros(3), ho.tensor([True, False, True]), ho.tensor([5.0, 6.0]))
    tensor([5., 0., 6.])
    """
    x, source = tensor_of(x, "masked_scatter"), tensor_of(source, "masked_scatter")
    x, mask = ops.broadcast_tensors(x, _mask(mask, "masked_scatter"))
    if source.dtype != x.dtype:
        raise DtypeError(
            f"masked_scatter: expected x and source to have one dtype, found {x.dtype} and {source.dtype}."
        )
    if not source.numel():
        return ops.clone(x)
    # How many places hold before each one; the others read element 0, which does not count.
    count = ops.reshape(ops.cumsum(ops.reshape(mask, (-1,)), 0), x.shape)
    written = ops.getitem(ops.reshape(source, (-1,)), ops.where(mask, count - 1, 0))
    return ops.where(mask, written, x)


@operation(None, lambda s: [], differentiable=False)
def nonzero(x: Any, *, as_tuple: bool = False) -> Any:
    """The places of the elements that are not 0, row by row, as constants.

    Args:
        x: tensor.
        as_tuple: whether the answer is a tuple with the positions along each axis, which is an index of `x`.

    Returns:
        int64, shape (count, axes). The count depends on the data, so `vmap` cannot map it.

    >>> import hograd as ho
    >>> ho.nonzero(ho.tensor([[0.0, 2.0], [3.0, 0.0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    array = concrete(tensor_of(x, "nonzero"), "nonzero()")
    if as_tuple:
        return tuple(Tensor(places) for places in np.nonzero(np.atleast_1d(array)))
    return Tensor(np.argwhere(array))


argwhere = nonzero


@operation(None, lambda s: [], differentiable=False)
def nonzero_static(x: Any, *, size: int, fill_value: int = -1) -> Tensor:
    """The first places of elements that are not 0, as many as `size` says.

    Args:
        x: tensor.
        size: how many; what is missing is filled.
        fill_value: int.

    Returns:
        int64, shape (size, axes).

    >>> import hograd as ho
    >>> ho.nonzero_static(ho.tensor([0.0, 2.0, 3.0]), size=3)
    tensor([[ 1],
            [ 2],
            [-1]])
    """
    size = whole(size, "nonzero_static", "size")
    if size < 0:
        raise ArgumentError(f"nonzero_static got size={size}, expected at least 0.")
    places = np.argwhere(concrete(tensor_of(x, "nonzero_static"), "nonzero_static()"))[:size]
    return Tensor(np.pad(places, ((0, size - len(places)), (0, 0)), constant_values=fill_value))
