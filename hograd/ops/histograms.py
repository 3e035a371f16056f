"""Histograms with their edges, along one axis and along several; they have no derivative."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hograd.backend import default_dtype
from hograd.core.declare import operation
from hograd.core.tensor import Tensor, concrete
from hograd.errors import ArgumentError, ShapeError
from hograd.ops.axes import tensor_of

__all__ = ["histogram", "histogramdd"]


class Histogram(NamedTuple):
    """The count of each bin, and the edges of the bins."""

    hist: Tensor
    bin_edges: Tensor


class HistogramOfSeveral(NamedTuple):
    """The count of each cell, and the edges of the bins along each axis."""

    hist: Tensor
    bin_edges: tuple[Tensor, ...]


def _numbers(x: Any, name: str) -> np.ndarray:
    """As a floating array, for the counts take the dtype of what is counted."""
    array = np.asarray(concrete(tensor_of(x, name), f"{name}()"))
    return array if array.dtype.kind == "f" else array.astype(default_dtype())


def _bins(bins: Any, name: str) -> Any:
    """A number of bins, or their edges."""
    if hasattr(bins, "__index__") and not getattr(bins, "shape", ()):
        if bins.__index__() < 1:
            raise ArgumentError(f"{name} got {bins} bins, expected at least 1.")
        return bins.__index__()
    edges = _numbers(bins, name)
    if edges.ndim != 1 or not edges.size or np.any(np.diff(edges) < 0):
        raise ArgumentError(f"{name} got edges {bins}, expected a vector of numbers that do not fall.")
    return edges


def _bounds(x: np.ndarray, limits: Any, name: str) -> tuple[float, float]:
    """The ends of the bins: as given, or the smallest and the largest number."""
    low, high = limits if limits is not None else (x.min(), x.max()) if x.size else (0.0, 1.0)
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ArgumentError(f"{name} got the range from {low} to {high}, expected finite numbers that do not fall.")
    return (float(low) - 0.5, float(high) + 0.5) if low == high else (float(low), float(high))


def _edges(x: np.ndarray, bins: Any, limits: Any, name: str) -> np.ndarray:
    if not isinstance(bins, int):
        if limits is not None:
            raise ArgumentError(f"{name} got edges and range={limits}, expected one of them.")
        return bins.astype(x.dtype)
    return np.linspace(*_bounds(x, limits, name), bins + 1).astype(x.dtype)


def _counted(points: np.ndarray, edges: list[np.ndarray], weight: Any, density: bool) -> Any:
    """How many rows lie in each cell; those at the upper end belong to the last one."""
    shape = tuple(len(along) - 1 for along in edges)
    inside, cell = np.ones(len(points), bool), np.zeros(len(points), np.int64)
    for column, along in zip(points.T, edges, strict=True):
        inside &= (column >= along[0]) & (column <= along[-1])
        place = np.searchsorted(along, column, "right") - 1
        cell = cell * (len(along) - 1) + np.clip(np.where(column == along[-1], len(along) - 2, place), 0, None)
    total = np.zeros(int(np.prod(shape)), points.dtype)
    np.add.at(total, cell[inside], 1 if weight is None else weight[inside])
    total = total.reshape(shape)
    if density:
        widths = np.ones((), points.dtype)
        for along in edges:
            widths = widths[..., None] * np.diff(along)
        with np.errstate(all="ignore"):
            total = total / widths / total.sum()
    return total.astype(points.dtype)


def _weight(weight: Any, shape: tuple[int, ...], name: str) -> Any:
    if weight is None:
        return None
    weight = _numbers(weight, name)
    if weight.shape != shape:
        raise ShapeError(f"{name}: weight has shape {weight.shape}, expected {shape}, one for each that is counted.")
    return weight.reshape(-1)


@operation(None, lambda s: [], differentiable=False)
def histogram(x: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False) -> Histogram:
    """How many numbers lie in each bin, and the edges of the bins, as constants.

    Args:
        x: tensor (`input`).
        bins: how many bins of equal width, or the edges of all.
        range: the ends of the bins; by default the smallest and the largest number, 1/2 beyond if they are equal,
            and 0 and 1 if there are no numbers.
        weight: what each number counts, of the shape of `x`; by default 1.
        density: divide by the width of each bin and by the sum, so that the integral is 1.

    A bin has its lower edge, the last one both; what lies beyond is not counted.

    >>> import hograd as ho
    >>> ho.histogram(ho.tensor([1.0, 2.0, 1.0]), 4, range=(0.0, 3.0))
    Histogram(hist=tensor([0., 2., 1., 0.]), bin_edges=tensor([0.0000, 0.7500, 1.5000, 2.2500, 3.0000]))
    """
    numbers = _numbers(x, "histogram")
    edges = _edges(numbers, _bins(bins, "histogram"), range, "histogram")
    weight = _weight(weight, numbers.shape, "histogram")
    return Histogram(Tensor(_counted(numbers.reshape(-1, 1), [edges], weight, density)), Tensor(edges))


@operation(None, lambda s: [], differentiable=False)
def histogramdd(
    x: Any,
    bins: Any,
    *,
    range: Any = None,
    weight: Any = None,
    density: bool = False,
) -> HistogramOfSeveral:
    """How many points lie in each cell of a grid, and its edges, as constants.

    Args:
        x: points, shape (..., n) (`input`).
        bins: how many bins along all axes, or for each of the n axes how many or their edges.
        range: the ends of the bins along each axis, one after the other: 2 n numbers.
        weight: what each point counts, shape (...); by default 1.
        density: divide by the volume of each cell and by the sum.

    >>> import hograd as ho
    >>> ho.histogramdd(ho.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [2.0, 2.0]]), [2, 2]).hist
    tensor([[0., 1.],
            [1., 2.]])
    """
    numbers = _numbers(x, "histogramdd")
    if numbers.ndim < 2:
        raise ShapeError(f"histogramdd: x has shape {numbers.shape}, expected at least two axes.")
    count = numbers.shape[-1]
    given = [_bins(each, "histogramdd") for each in ([bins] * count if hasattr(bins, "__index__") else bins)]
    limits = [None] * count if range is None else list(zip(range[::2], range[1::2], strict=True))
    if len(given) != count or len(limits) != count:
        raise ArgumentError(f"histogramdd got {len(given)} bins and {len(limits)} ranges for points of {count} axes.")
    points = numbers.reshape(-1, count)
    edges = [_edges(*each, "histogramdd") for each in zip(points.T, given, limits, strict=True)]
    weight = _weight(weight, numbers.shape[:-1], "histogramdd")
    return HistogramOfSeveral(Tensor(_counted(points, edges, weight, density)), tuple(map(Tensor, edges)))
