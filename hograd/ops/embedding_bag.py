"""Sums, means and maxima of the rows of a table over bags of their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.core.declare import case, operation
from hograd.core.dispatch import wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, IndexingError, ShapeError
from hograd.ops.axes import beside, tensor_of, whole
from hograd.ops.losses import extremes

__all__ = ["embedding_bag"]


def _bags(x: Tensor, offsets: Any, include_last_offset: bool) -> tuple[Tensor, Tensor, int, int]:
    """For each element its bag and its place there; how many bags there are, and the most elements of one."""
    if x.ndim == 2:
        if offsets is not None:
            raise ArgumentError("embedding_bag: x has a row for each bag, so that offsets have to be None.")
        count, length = x.shape
        bags, places = np.repeat(np.arange(count), length), np.tile(np.arange(length), count)
        return beside(x, wrap(bags)), beside(x, wrap(places)), count, length
    if x.ndim != 1:
        raise ShapeError(f"embedding_bag: x has shape {tuple(x.shape)}, expected (bags, length), or (n,) with offsets.")
    n = x.shape[0]
    offsets = None if offsets is None else beside(x, tensor_of(offsets, "embedding_bag"))
    if offsets is None or offsets.ndim != 1 or offsets.dtype.kind not in "iu":
        found = None if offsets is None else f"dtype {offsets.dtype} and shape {tuple(offsets.shape)}"
        raise ShapeError(f"embedding_bag: offsets have to be integers of shape (bags,) beside such x, found {found}.")
    count = offsets.shape[0] - bool(include_last_offset)
    if count < 0:
        raise ShapeError("embedding_bag: include_last_offset takes at least one offset, found none.")
    numbers = beside(x, wrap(np.arange(n)))
    if not offsets.shape[0]:
        return ops.zeros_like(numbers) + count, numbers, count, n
    least, largest = extremes(offsets)
    ends = ops.concatenate([offsets, beside(x, wrap(np.full(1, n, offsets.dtype)))])[: count + 1]
    lengths = ends[1:] - ends[:-1]
    if 0 < least < np.inf or least < 0 or n < largest < np.inf or extremes(lengths)[0] < 0:
        raise ArgumentError(
            f"embedding_bag: offsets have to ascend from 0 to at most {n}, the length of x, found {least:g} to "
            f"{largest:g}, or a larger one before a smaller one."
        )
    longest = extremes(lengths)[1]
    bags = ops.searchsorted(offsets, numbers, right=True) - 1
    bags = ops.minimum(bags, count)
    return bags, numbers - offsets[ops.maximum(bags, 0)], count, int(longest) if 0 <= longest < np.inf else n


@operation(
    None,
    lambda s: [
        case(np.array([[0, 3], [3, 1]]), s.normal(4, 2)),
        case(np.array([0, 3, 1, 1, 2]), s.normal(4, 3), [0, 2, 2], mode="sum"),
        case(np.array([[0, 3, 2], [1, 1, 3]]), s.normal(4, 2), None, None, 2.0, False, "sum", False, s.normal(2, 3)),
        case(np.array([2, 3, 1, 0]), s.normal(4, 2), [0, 1, 3], mode="max", include_last_offset=True),
        case(np.array([0, 3, 1, 2, 2]), s.normal(4, 2), [0, 3], padding_idx=-2),
    ],
)
def embedding_bag(
    x: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or largest elements of the rows  weight[x]  of each bag; 0 for one without elements.

    Args:
        x: integers, shape (bags, length), or (n,) with the bags one behind the other (`input`).
        weight: the table, shape (rows, features).
        offsets: where each bag begins in `x` of shape (n,), ascending from 0, shape (bags,).
        max_norm: None: the table is never written to; give `hograd.renorm(weight, norm_type, 0, max_norm)` for it.
        norm_type: without effect.
        scale_grad_by_freq: divide the derivative of each row by how often it stands in `x`.
        mode: "sum", "mean" or "max"; of equal elements the first one of a bag has the derivative, and nan is the
            largest, as in `max` (PyTorch passes over one that is not the first).
        sparse: without effect.
        per_sample_weights: factors of the rows, of the shape of `x`, with mode "sum".
        include_last_offset: the last of `offsets` is where the last bag ends; what stands behind it is in none.
        padding_idx: a row that counts in no bag.

    Returns:
        Shape (bags, features).

    The memory for maxima grows with the longest bag, or with n for each bag where offsets are mapped or compiled.

    >>> import hograd as ho
    >>> table = ho.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> ho.embedding_bag(ho.tensor([0, 2, 1]), table, ho.tensor([0, 2]), mode="sum")
    tensor([[6., 8.],
            [3., 4.]])
    """
    x, weight = tensor_of(x, "embedding_bag"), tensor_of(weight, "embedding_bag")
    if x.dtype.kind not in "iu" or weight.dtype.kind != "f":
        raise DtypeError(
            f"embedding_bag: x has dtype {x.dtype} and weight {weight.dtype}, expected integers and a floating dtype."
        )
    if weight.ndim != 2:
        raise ShapeError(f"embedding_bag: weight has to be a 2D tensor, found shape {tuple(weight.shape)}.")
    if max_norm is not None:
        raise ArgumentError(
            "embedding_bag: max_norm would write to the table; give it hograd.renorm(weight, norm_type, 0, max_norm)."
        )
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError(f"embedding_bag: mode has to be one of sum, mean or max, found {mode!r}.")
    count_of_rows, features = weight.shape
    least, largest = extremes(x)
    if least < 0 or count_of_rows <= largest < np.inf:
        raise IndexingError(
            f"embedding_bag: x has numbers from {least:g} to {largest:g}, expected those of rows, 0 to "
            f"{count_of_rows - 1}."
        )
    bags, places, count, length = _bags(x, offsets, include_last_offset)
    numbers = ops.reshape(x, (-1,))
    rows = weight[numbers]
    if scale_grad_by_freq:
        frequency = ops.at_add(beside(x, ops.zeros(count_of_rows, dtype=weight.dtype)), numbers, 1)[numbers]
        fixed = rows.detach()
        rows = fixed + (rows - fixed) / ops.expand_dims(frequency, -1)
    if per_sample_weights is not None:
        rows = rows * ops.reshape(_factors(per_sample_weights, x, mode), (-1, 1))
    counted = ops.logical_and(ops.ge(bags, 0), ops.lt(bags, count))
    if padding_idx is not None:
        padding = whole(padding_idx, "embedding_bag", "padding_idx")
        if not -count_of_rows <= padding < count_of_rows:
            raise IndexingError(f"embedding_bag: padding_idx is {padding}, expected a row of {count_of_rows}.")
        counted = ops.logical_and(counted, ops.ne(numbers, padding % count_of_rows))
    # What is in no bag goes to one behind the last.
    bags = ops.where(counted, bags, count)
    sizes = ops.at_add(beside(x, ops.zeros(count + 1, dtype=weight.dtype)), bags, 1)[:count, None]
    if mode == "max" and length:
        low = beside(x, ops.full((count + 1, length, features), -np.inf, dtype=weight.dtype))
        largest_of = ops.max(ops.at_set(low, (bags, places), rows)[:count], 1).values
        return ops.where(ops.gt(sizes, 0), largest_of, 0.0)
    total = ops.at_add(beside(x, ops.zeros(count + 1, features, dtype=weight.dtype)), bags, rows)[:count]
    return total / ops.maximum(sizes, 1) if mode == "mean" else total


def _factors(factors: Any, x: Tensor, mode: str) -> Tensor:
    factors = tensor_of(factors, "embedding_bag")
    if mode != "sum":
        raise ArgumentError(f"embedding_bag: per_sample_weights are for mode 'sum', found mode {mode!r}.")
    if factors.shape != x.shape:
        raise ShapeError(
            f"embedding_bag: per_sample_weights have shape {tuple(factors.shape)}, expected that of x, "
            f"{tuple(x.shape)}."
        )
    return factors
