"""Cutting tensors into parts along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hograd.core.declare import case, operation
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, ShapeError
from hograd.ops.axes import axis_of, cut, shape_of, tensor_of, whole

__all__ = [
    "chunk",
    "dsplit",
    "hsplit",
    "narrow",
    "select",
    "split",
    "split_with_sizes",
    "tensor_split",
    "unbind",
    "vsplit",
]


@operation(
    None,
    lambda s: [case(s.normal(5, 2), 2), case(s.normal(2, 5), [1, 4], axis=1), case(s.normal(4), 4)],
)
def split(x: Any, sizes: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along an axis.

    Args:
        x: tensor.
        sizes: length of every part but perhaps a shorter last one, or a list with the length of each, as in PyTorch.
        axis: int (`dim`).

    >>> import hograd as ho
    >>> ho.split(ho.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    x = tensor_of(x, "split")
    axis = axis_of(axis, x.ndim, "split")
    length = x.shape[axis] if x.ndim else 0
    if isinstance(sizes, Sequence):
        lengths = list(shape_of(sizes, "split"))
        if sum(lengths) != length or min(lengths, default=0) < 0:
            raise ShapeError(f"split got sizes {lengths}, expected lengths that add up to {length} along axis {axis}.")
    else:
        sizes = whole(sizes, "split", "size")
        if sizes < 1:
            raise ArgumentError(f"split got size {sizes}, expected at least 1.")
        lengths = [min(sizes, length - start) for start in range(0, length, sizes)] or [0]
    parts, start = [], 0
    for n in lengths:
        parts.append(cut(x, axis, start, start + n))
        start += n
    return tuple(parts)


@operation(None, lambda s: [case(s.normal(5, 2), [1, 4]), case(s.normal(2, 5), (2, 0, 3), axis=-1)])
def split_with_sizes(x: Any, sizes: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along an axis into parts of given lengths.

    Args:
        x: tensor.
        sizes: list of lengths that add up to that of the axis (`split_sizes`).
        axis: int (`dim`).

    >>> import hograd as ho
    >>> ho.split_with_sizes(ho.arange(5), [2, 3])
    (tensor([0, 1]), tensor([2, 3, 4]))
    """
    if not isinstance(sizes, Sequence):
        raise DtypeError(f"split_with_sizes got sizes {sizes!r}, expected a list of lengths; one for all is for split.")
    return split(x, sizes, axis)


@operation(
    None,
    lambda s: [case(s.normal(5, 2), 2), case(s.normal(2, 5), 3, axis=1), case(s.normal(3), 5)],
)
def chunk(x: Any, chunks: int, axis: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along an axis into `chunks` parts of equal length but for a shorter last one.

    Args:
        x: tensor.
        chunks: how many, at least 1; there are fewer if their lengths use the axis up before, as in PyTorch.
        axis: int (`dim`).

    >>> import hograd as ho
    >>> ho.chunk(ho.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    x = tensor_of(x, "chunk")
    axis = axis_of(axis, x.ndim, "chunk")
    chunks = whole(chunks, "chunk", "number of chunks")
    if chunks < 1:
        raise ArgumentError(f"chunk expects `chunks` to be greater than 0, got {chunks}.")
    if not x.ndim:
        raise ShapeError("chunk expects at least a 1-dimensional tensor.")
    if not x.shape[axis]:
        return (x,) * chunks
    return split(x, -(-x.shape[axis] // chunks), axis)


@operation(
    None,
    lambda s: [
        case(s.normal(5, 2), 2),
        case(s.normal(2, 5), (1, 3), axis=1),
        case(s.normal(3), 5),
        case(s.normal(4), [3, 1, -1]),
    ],
)
def tensor_split(x: Any, sections: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along an axis into `sections` parts, the first ones longer by 1, or before given positions.

    Args:
        x: tensor.
        sections: how many parts, or the positions at which to cut, as in a slice.
        axis: int (`dim`).

    >>> import hograd as ho
    >>> ho.tensor_split(ho.arange(5), 3)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    >>> ho.tensor_split(ho.arange(5), (1, 3))
    (tensor([0]), tensor([1, 2]), tensor([3, 4]))
    """
    x = tensor_of(x, "tensor_split")
    axis = axis_of(axis, x.ndim, "tensor_split")
    if not x.ndim:
        raise ShapeError("tensor_split expects at least a 1-dimensional tensor.")
    length = x.shape[axis]
    if isinstance(sections, Tensor):
        sections = sections.tolist()
    if isinstance(sections, Sequence):
        ends: list[int] = list(shape_of(sections, "tensor_split"))
    else:
        count = whole(sections, "tensor_split", "number of sections")
        if count < 1:
            raise ArgumentError(f"tensor_split got {count} sections, expected at least 1.")
        short, longer = divmod(length, count)
        ends = [short * (i + 1) + min(i + 1, longer) for i in range(count - 1)]
    return tuple(cut(x, axis, start, end) for start, end in zip([0, *ends], [*ends, length], strict=True))


def _split_along(name: str, axis: int, least: int, shape: tuple[int, ...]) -> Any:
    def function(x: Any, sections: Any) -> tuple[Tensor, ...]:
        x = tensor_of(x, name)
        if x.ndim < least:
            raise ShapeError(f"{name} expects a tensor with at least {least} dimension, but x has {x.ndim}.")
        along = 0 if x.ndim == 1 else axis
        if not isinstance(sections, Sequence):
            sections = whole(sections, name, "number of sections")
            if sections < 1 or x.shape[along] % sections:
                raise ShapeError(f"{name} got {sections} sections, expected a divisor of {x.shape[along]}.")
        return tensor_split(x, sections, along)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""The tensor cut into equal parts along axis {axis}{" (0 of a vector)" if least == 1 else ""}.

    Args:
        x: tensor of at least {least} axes.
        sections: number of parts, a divisor of the axis's length, or the positions at which to cut.

    >>> import hograd as ho
    >>> [part.shape for part in ho.{name}(ho.zeros{shape}, 2)]
    [{", ".join([str(tuple(n // 2 if i == axis else n for i, n in enumerate(shape)))] * 2)}]
    """
    return operation(None, lambda s: [case(s.normal(*shape), 2), case(s.normal(*shape), (1, 3))])(function)


hsplit = _split_along("hsplit", 1, 1, (2, 4))


vsplit = _split_along("vsplit", 0, 2, (4, 3))


dsplit = _split_along("dsplit", 2, 3, (2, 3, 4))


@operation(None, lambda s: [case(s.normal(3, 2)), case(s.normal(2, 3), axis=-1), case(s.normal(3))])
def unbind(x: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of the tensor along an axis, without that axis.

    >>> import hograd as ho
    >>> ho.unbind(ho.tensor([[1.0, 2.0], [3.0, 4.0]]))
    (tensor([1., 2.]), tensor([3., 4.]))
    """
    x = tensor_of(x, "unbind")
    axis = axis_of(axis, x.ndim, "unbind")
    if not x.ndim:
        raise ShapeError("unbind: dimension specified as 0 but the tensor has no dimensions.")
    return tuple(x[(slice(None),) * axis + (i,)] for i in range(x.shape[axis]))


@operation(None, lambda s: [case(s.normal(5), 0, 1, 3), case(s.normal(2, 4), -1, -2, 2), case(s.normal(3), 0, 3, 0)])
def narrow(x: Any, axis: int, start: int, length: int) -> Tensor:
    """`length` slices of the tensor along an axis, from `start` on.

    Args:
        x: tensor.
        axis: int (`dim`).
        start: the first position; negative ones count from the end.
        length: at least 0.

    >>> import hograd as ho
    >>> ho.narrow(ho.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    x = tensor_of(x, "narrow")
    if not x.ndim:
        raise ShapeError("narrow() cannot be applied to a 0-dim tensor.")
    axis = axis_of(axis, x.ndim, "narrow")
    extent = x.shape[axis]
    start, length = whole(start, "narrow", "start"), whole(length, "narrow", "length")
    first = start + extent if start < 0 else start
    if length < 0 or not 0 <= first <= extent - length:
        raise ShapeError(f"narrow: start ({start}) + length ({length}) exceeds dimension size ({extent}).")
    return cut(x, axis, first, first + length)


@operation(None, lambda s: [case(s.normal(3, 2), 0, 1), case(s.normal(2, 3), -1, -1), case(s.normal(3), 0, 2)])
def select(x: Any, axis: int, index: int) -> Tensor:
    """The slice of the tensor at one position along an axis, without that axis.

    Args:
        x: tensor.
        axis: int (`dim`).
        index: position; negative ones count from the end.

    >>> import hograd as ho
    >>> ho.select(ho.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, 0)
    tensor([1., 3.])
    """
    x = tensor_of(x, "select")
    if not x.ndim:
        raise ShapeError("select() cannot be applied to a 0-dim tensor.")
    axis = axis_of(axis, x.ndim, "select")
    return x[(slice(None),) * axis + (index,)]
