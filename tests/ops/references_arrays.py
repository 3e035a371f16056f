"""References of the operations on shapes, indices and orders that NumPy does not have by name and arguments."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy import special


def _chunk(x: Any, chunks: int, axis: int = 0) -> Any:
    length = -(-x.shape[axis] // chunks)
    return [np.take(x, range(i, min(i + length, x.shape[axis])), axis) for i in range(0, x.shape[axis], length)]


def _tensor_split(x: Any, sections: Any, axis: int = 0) -> Any:
    if isinstance(sections, int):
        return np.array_split(x, sections, axis)
    return np.array_split(x, list(sections), axis)


def _split_along(axis: int) -> Any:
    return lambda x, sections: np.array_split(x, sections if isinstance(sections, int) else list(sections), axis)


def _unflatten(x: Any, axis: int, sizes: Any) -> Any:
    axis %= x.ndim
    return x.reshape(*x.shape[:axis], *sizes, *x.shape[axis + 1 :])


def _rot90(x: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    return np.rot90(x, k, tuple(axes))


def _narrow(x: Any, axis: int, start: int, length: int) -> Any:
    return np.take(x, np.arange(start, start + length), axis)


def _cartesian_prod(*vectors: Any) -> Any:
    return np.array(list(itertools.product(*vectors)))


def _combinations(x: Any, r: int = 2, with_replacement: bool = False) -> Any:
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    return np.array(list(choose(x, r))).reshape(-1, r)


def _meshgrid(*vectors: Any, indexing: str = "ij") -> Any:
    return np.meshgrid(*vectors, indexing=indexing)


def _places(shape: Any, axis: int, index: Any) -> Any:
    """For each place of the index, the place in the tensor that it names along the axis."""
    for place in np.ndindex(index.shape):
        yield place, tuple(int(index[place]) if i == axis % len(shape) else n for i, n in enumerate(place))


def _gather(x: Any, axis: int, index: Any) -> Any:
    out = np.empty(index.shape)
    for place, source in _places(x.shape, axis, index):
        out[place] = x[source]
    return out


def _scatter(x: Any, axis: int, index: Any, src: Any, reduce: Any = None) -> Any:
    out = x.copy()
    for place, target in _places(x.shape, axis, index):
        value = src[place] if np.ndim(src) else src
        out[target] = {None: value, "add": out[target] + value, "multiply": out[target] * value}[reduce]
    return out


def _scatter_add(x: Any, axis: int, index: Any, src: Any) -> Any:
    out = x.copy()
    for place, target in _places(x.shape, axis, index):
        out[target] += src[place]
    return out


def _scatter_reduce(x: Any, axis: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    groups: dict[Any, list[float]] = {}
    for place, target in _places(x.shape, axis, index):
        groups.setdefault(target, [x[target]] if include_self else []).append(src[place])
    out = x.copy()
    for target, values in groups.items():
        out[target] = getattr(np, reduce)(values)
    return out


def _by_slices(write: Any) -> Any:
    def function(x: Any, axis: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
        out = np.moveaxis(x, axis, 0).copy()
        for k, i in enumerate(index):
            out[i] = write(out[i], alpha * np.moveaxis(source, axis, 0)[k] if np.ndim(source) else source)
        return np.moveaxis(out, 0, axis)

    return function


def _index_reduce(x: Any, axis: int, index: Any, source: Any, reduce: str, include_self: bool = True) -> Any:
    function = {"amax": np.max, "amin": np.min}.get(reduce) or getattr(np, reduce)
    old, new, answer = np.moveaxis(x, axis, 0), np.moveaxis(source, axis, 0), np.moveaxis(x.copy(), axis, 0)
    for i in set(index.tolist()):
        answer[i] = function([*([old[i]] if include_self else []), *new[index == i]], axis=0)
    return np.moveaxis(answer, 0, axis)


def _masked_scatter(x: Any, mask: Any, source: Any) -> Any:
    out = x.copy()
    np.place(out, np.broadcast_to(mask, x.shape), source)
    return out


def _masked_select(x: Any, mask: Any) -> Any:
    return np.array(
        [value for value, held in zip(*(a.ravel() for a in np.broadcast_arrays(x, mask)), strict=True) if held]
    )


def _unfold(x: Any, axis: int, size: int, step: int) -> Any:
    axis %= x.ndim
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis)
    return np.take(windows, range(0, windows.shape[axis], step), axis)


def _one_hot(x: Any, num_classes: int) -> Any:
    return np.eye(num_classes, dtype=np.int64)[x]


def _pad(x: Any, widths: Any, mode: str = "constant", value: float = 0.0) -> Any:
    pairs = [(0, 0)] * (x.ndim - len(widths) // 2) + [tuple(widths[i : i + 2]) for i in range(len(widths) - 2, -1, -2)]
    before = mode in ("constant", "circular")
    x = _cut(x, pairs) if before else x
    names = {"replicate": "edge", "circular": "wrap"}
    options = {"constant_values": value} if mode == "constant" else {}
    x = np.pad(x, [(max(a, 0), max(b, 0)) for a, b in pairs], names.get(mode, mode), **options)
    return x if before else _cut(x, pairs)


def _cut(x: Any, pairs: Any) -> Any:
    return x[tuple(slice(-min(a, 0), n + min(b, 0)) for n, (a, b) in zip(x.shape, pairs, strict=True))]


def _diag_embed(x: Any, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Any:
    matrices = [np.diag(row, offset) for row in x.reshape(-1, x.shape[-1])]
    side = x.shape[-1] + abs(offset)
    return np.moveaxis(np.reshape(matrices, (*x.shape[:-1], side, side)), (-2, -1), (axis1, axis2))


def _running(function: Any) -> Any:
    """A scan, place by place."""

    def scan(x: Any, axis: int) -> Any:
        parts = [function(np.take(x, range(i + 1), axis), axis) for i in range(x.shape[axis])]
        return np.stack(parts, axis)

    return scan


def _running_extremum(values: Any, last: Any) -> Any:
    def scan(x: Any, axis: int) -> Any:
        found = _running(values)(x, axis)
        rows = np.moveaxis(x, axis, -1)
        return found, np.moveaxis(np.apply_along_axis(last, -1, rows), -1, axis)

    return scan


def _last_extremum(better: Any) -> Any:
    """The position of the extremum so far of one row, the last of equal ones."""

    def positions(row: Any) -> Any:
        best, out = 0, []
        for i, value in enumerate(row):
            best = i if not better(row[best], value) else best
            out.append(best)
        return np.array(out)

    return positions


def _sorted(x: Any, axis: int = -1, descending: bool = False) -> Any:
    """Without equal elements, which the samples do not have."""
    values, places = np.sort(x, axis), np.argsort(x, axis)
    return (np.flip(values, axis), np.flip(places, axis)) if descending else (values, places)


def _topk(x: Any, k: int, axis: int = -1, largest: bool = True) -> Any:
    return [np.take(part, range(k), axis) for part in _sorted(x, axis, largest)]


def _kthvalue(x: Any, k: int, axis: int = -1, keepdims: bool = False) -> Any:
    return [np.take(part, [k - 1] if keepdims else k - 1, axis) for part in _sorted(x, axis)]


def _mode(x: Any, axis: int = -1, keepdims: bool = False) -> Any:
    def last_of_most_frequent(row: Any) -> Any:
        values, counts = np.unique(row, return_counts=True)
        return np.nonzero(row == values[np.argmax(counts)])[0][-1]

    places = np.apply_along_axis(last_of_most_frequent, axis, x)
    values = np.take_along_axis(x, np.expand_dims(places, axis), axis)
    return (values, np.expand_dims(places, axis)) if keepdims else (np.squeeze(values, axis), places)


def _searchsorted(rows: Any, values: Any, *, right: bool = False) -> Any:
    shape = (*values.shape, 1)
    smaller = np.less_equal if right else np.less
    return np.sum(smaller(rows if rows.ndim == 1 else rows[:, None, :], np.reshape(values, shape)), axis=-1)


def _median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return (
        np.sort(x, None)[(x.size - 1) // 2] if axis is None else _kthvalue(x, (x.shape[axis] + 1) // 2, axis, keepdims)
    )


def _quantile(x: Any, q: Any, axis: Any = None, keepdims: bool = False, *, interpolation: str = "linear") -> Any:
    return np.quantile(x, q, axis, method=interpolation, keepdims=keepdims)  # type: ignore[call-overload]


def _moments(spread: Any) -> Any:
    def function(x: Any, axis: Any = None, *, correction: float = 1, keepdims: bool = False) -> Any:
        return spread(x, axis, ddof=correction, keepdims=keepdims), np.mean(x, axis, keepdims=keepdims)

    return function


def _added(product: Any) -> Any:
    return lambda x, *factors, beta=1, alpha=1: beta * x + alpha * product(*factors)


def _distances(a: Any, b: Any, p: float = 2.0) -> Any:
    return np.sum(np.abs(a[..., :, None, :] - b[..., None, :, :]) ** p, axis=-1) ** (1 / p)


def _pdist(x: Any, p: float = 2.0) -> Any:
    return np.array([np.linalg.norm(a - b, p) for a, b in itertools.combinations(x, 2)])


def _cross(a: Any, b: Any, axis: int | None = None) -> Any:
    return np.cross(a, b, axis=-1 if axis is None else axis)


ARRAYS: dict[str, Any] = {
    "chunk": _chunk,
    "tensor_split": _tensor_split,
    "hsplit": _split_along(1),
    "vsplit": _split_along(0),
    "dsplit": _split_along(2),
    "unbind": lambda x, axis=0: list(np.moveaxis(x, axis, 0)),
    "unflatten": _unflatten,
    "narrow": _narrow,
    "select": lambda x, axis, index: np.take(x, index, axis),
    "repeat_interleave": lambda x, repeats, axis=None, output_size=None: np.repeat(x, repeats, axis),
    "rot90": _rot90,
    "broadcast_tensors": np.broadcast_arrays,
    "meshgrid": _meshgrid,
    "cartesian_prod": _cartesian_prod,
    "combinations": _combinations,
    "gather": _gather,
    "scatter": _scatter,
    "scatter_add": _scatter_add,
    "scatter_reduce": _scatter_reduce,
    "index_select": lambda x, axis, index: np.take(x, index, axis),
    "index_reduce": _index_reduce,
    "index_add": _by_slices(lambda old, new: old + new),
    "index_copy": _by_slices(lambda old, new: new),
    "index_fill": _by_slices(lambda old, new: np.full_like(old, new)),
    "take": lambda x, index: x.ravel()[index],
    "unfold": _unfold,
    "one_hot": _one_hot,
    "masked_fill": lambda x, mask, value: np.where(mask, value, x),
    "masked_select": _masked_select,
    "masked_scatter": _masked_scatter,
    "pad": _pad,
    "constant_pad_nd": lambda x, widths, value=0.0: _pad(x, widths, "constant", value),
    "diag_embed": _diag_embed,
    "cummax": _running_extremum(np.max, _last_extremum(lambda old, new: old > new)),
    "cummin": _running_extremum(np.min, _last_extremum(lambda old, new: old < new)),
    "logcumsumexp": _running(lambda x, axis: special.logsumexp(x, axis=axis)),
    "argsort": lambda x, axis=-1, descending=False: _sorted(x, axis, descending)[1],
    "sort": _sorted,
    "msort": lambda x: np.sort(x, 0),
    "topk": _topk,
    "kthvalue": _kthvalue,
    "mode": _mode,
    "searchsorted": _searchsorted,
    "bucketize": lambda x, boundaries, **side: _searchsorted(boundaries, x, **side),
    "median": _median,
    "nanmedian": _median,
    "quantile": _quantile,
    "nanquantile": _quantile,
    "var_mean": _moments(np.var),
    "std_mean": _moments(np.std),
    "aminmax": lambda x, axis=None, keepdims=False: (
        np.min(x, axis, keepdims=keepdims),
        np.max(x, axis, keepdims=keepdims),
    ),
    "mm": np.dot,
    "mv": np.dot,
    "bmm": lambda a, b: np.einsum("bij,bjk->bik", a, b),
    "addmm": _added(np.dot),
    "addmv": _added(np.dot),
    "addr": _added(np.outer),
    "baddbmm": _added(lambda a, b: np.einsum("bij,bjk->bik", a, b)),
    "addbmm": _added(lambda a, b: np.einsum("bij,bjk->ik", a, b)),
    "ger": np.outer,
    "cross": _cross,
    "cdist": _distances,
    "pdist": _pdist,
    "dist": lambda a, b, p=2.0: np.sum(np.abs(a - b) ** p) ** (1 / p),
}
