"""`vmap`: one pass over arrays with a batch axis, instead of a loop."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

from hograd import tree
from hograd.core.dispatch import bare, wrap
from hograd.core.levels import Level
from hograd.core.primitive import ops
from hograd.core.replay import repeated
from hograd.core.tensor import Batched, Tensor
from hograd.errors import ArgumentError, ShapeError
from hograd.func.arguments import name_of, outputs_of


def vmap(
    f: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
    in_axes: Any = None,
    out_axes: Any = None,
) -> Callable[..., Any]:
    """Map `f` over an axis of its arguments, in one pass over arrays with that axis in front.

    Args:
        f: function of trees of tensors that returns a tree of tensors.
        in_dims: the axis of each argument that is mapped, None for an argument that every call shares: one value
            for all, or a tuple with one entry an argument, each a value or a tree prefix of the argument (`in_axes`).
        out_dims: where the axis goes in the outputs: one value, or a tree prefix of the output (`out_axes`).
        randomness: random draws inside raise ("error"), differ between elements ("different") or not ("same").
        chunk_size: how many elements go through `f` at once, to bound its memory; None is all of them.

    Returns:
        A function of the same arguments, with the mapped axis added to them and to its outputs.

    Raises:
        ShapeError: mapped arguments differ in length, or none is mapped.
        StructureError: `in_dims` or `out_dims` is no prefix of its tree.

    >>> import hograd as ho
    >>> vmap(lambda x, c: (x * c).sum(), in_dims=(0, None))(ho.tensor([[1.0, 2.0], [3.0, 4.0]]), 10.0)
    tensor([30., 70.])
    """
    in_dims = in_dims if in_axes is None else in_axes
    out_dims = out_dims if out_axes is None else out_axes
    if randomness not in ("error", "different", "same"):
        raise ArgumentError(f"randomness is {randomness!r}, expected 'error', 'different' or 'same'.")
    if chunk_size is not None and chunk_size < 1:
        raise ArgumentError(f"chunk_size is {chunk_size!r}, expected a whole number of at least 1, or None.")

    @functools.wraps(f)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        items, structure = tree.flatten(args)
        axes = _axes(in_dims, args, len(items))
        tensors = [
            x if isinstance(x, Tensor) or axis is None else ops.tensor(x) for x, axis in zip(items, axes, strict=True)
        ]
        size = _mapped_size(tensors, axes, args)
        fronted = [x if axis is None else ops.moveaxis(x, axis, 0) for x, axis in zip(tensors, axes, strict=True)]

        def part(start: int, stop: int) -> tuple[list[Any], list[Any], Any]:
            """The outputs for some of the elements, with the mapped axis in front, and where it goes."""
            whole = stop - start == size
            with Level("vmap", stop - start, randomness) as level:
                values = [
                    x if axis is None else Batched(bare(x if whole else x[start:stop]), level.number)
                    for x, axis in zip(fronted, axes, strict=True)
                ]
                result = f(*tree.unflatten(structure, values), **kwargs)
            outputs, out_structure = outputs_of(result, name_of(f))
            places = _axes_of_output(out_dims, result, len(outputs))
            return [_strip(y, p, level) for y, p in zip(outputs, places, strict=True)], places, out_structure

        if chunk_size is None or chunk_size >= size:
            outputs, places, out_structure = part(0, size)
        else:
            parts = list(_in_chunks(part, size, chunk_size, randomness))
            _, places, out_structure = parts[0]
            columns = zip(*[found for found, _, _ in parts], strict=True)
            outputs = [ys[0] if p is None else ops.concatenate(ys) for ys, p in zip(columns, places, strict=True)]
        return tree.unflatten(
            out_structure, [ops.moveaxis(y, 0, p) if p else y for y, p in zip(outputs, places, strict=True)]
        )

    return mapped


def _strip(y: Any, place: int | None, level: Level) -> Any:
    """An output as the code outside sees it, with the mapped axis in front, or without one if `place` is None."""
    if type(y) is Batched and y.level == level.number:
        if place is None:
            raise ArgumentError(
                "out_dims is None for an output that differs between the mapped elements, expected an int."
            )
        return wrap(y.value)
    return y if place is None else ops.broadcast_to(y, (level.size, *y.shape))


def _in_chunks(part: Callable[[int, int], Any], size: int, chunk_size: int, randomness: str) -> Iterator[Any]:
    """`part` of every chunk; the draws that elements share are the same in every chunk."""
    draws = repeated() if randomness == "same" else nullcontext
    for start in range(0, size, chunk_size):
        with draws():
            found = part(start, min(start + chunk_size, size))
        yield found


def _is_axis(value: Any) -> bool:
    return value is None or isinstance(value, int)


def _axes(in_dims: Any, args: tuple[Any, ...], count: int) -> list[Any]:
    """The mapped axis, or None, of every leaf of the arguments."""
    if _is_axis(in_dims):
        return [in_dims] * count
    if not isinstance(in_dims, (tuple, list)) or len(in_dims) != len(args):
        raise ArgumentError(
            f"in_dims is {in_dims!r}, expected an int, None, or a tuple with one entry for each of "
            f"{len(args)} arguments."
        )
    axes: list[Any] = []
    for i, (prefix, arg) in enumerate(zip(in_dims, args, strict=True)):
        axes += tree.broadcast(prefix, arg, (f"in_dims[{i}]", f"args[{i}]"), is_leaf=_is_axis)
    return axes


def _axes_of_output(out_dims: Any, result: Any, count: int) -> list[Any]:
    if _is_axis(out_dims):
        return [out_dims] * count
    return tree.broadcast(out_dims, result, ("out_dims", "the output"), is_leaf=_is_axis)


def _mapped_size(tensors: list[Any], axes: list[Any], args: Any) -> int:
    size: int | None = None
    for i, (x, axis) in enumerate(zip(tensors, axes, strict=True)):
        if axis is None:
            continue
        if not -x.ndim <= axis < x.ndim:
            raise ShapeError(
                f"vmap: argument{tree.paths(args)[i]} has shape {tuple(x.shape)}, which has no axis {axis} to map; "
                "pass None in in_dims for an argument that every call shares."
            )
        length = x.shape[axis]
        if size is not None and length != size:
            raise ShapeError(
                f"vmap: argument{tree.paths(args)[i]} has length {length} along its mapped axis {axis}, "
                f"expected {size} as before."
            )
        size = length
    if size is None:
        raise ShapeError("vmap: no argument is mapped; at least one entry of in_dims must be an int.")
    return size
