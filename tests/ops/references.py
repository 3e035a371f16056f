"""What every operation computes, written down once more in NumPy and SciPy, without a look at the kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import linalg, special

from .references_arrays import ARRAYS
from .references_elementwise import ELEMENTWISE
from .references_fourier import FOURIER
from .references_linalg import LINALG
from .references_more import MORE
from .references_networks import NETWORKS


def _torch_names(function: Any) -> Any:
    def called(*args: Any, **kwargs: Any) -> Any:
        names = {"dim": "axis", "keepdim": "keepdims"}
        return function(*args, **{names.get(key, key): value for key, value in kwargs.items()})

    return called


def _place(x: Any, index: Any, shape: Any) -> Any:
    out = np.zeros(shape)
    out[index] = x
    return out


def _put(x: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    out = x.copy()
    (np.add.at if accumulate else np.put)(out.reshape(-1) if accumulate else out, index, source)
    return out


def _concatenate(parts: Any, axis: int = 0) -> Any:
    return np.concatenate([part for part in parts if part.shape != (0,)], axis)


def _einsum(*given: Any) -> Any:
    return np.einsum(given[0], *given[1]) if isinstance(given[1], list) and len(given) == 2 else np.einsum(*given)


def _at_add(x: Any, index: Any, value: Any) -> Any:
    out = x.copy()
    np.add.at(out, index, value)
    return out


def _at_set(x: Any, index: Any, value: Any) -> Any:
    out = x.copy()
    out[index] = value
    return out


def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    if not isinstance(axes, int):
        for i, j in zip(*axes, strict=True):
            n = max(a.shape[i], b.shape[j])
            a, b = (x.repeat(n // x.shape[k], k) for x, k in ((a, i), (b, j)))
    return np.tensordot(a, b, axes)


def _mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    total = np.sum(x, axis=axis, keepdims=keepdims)
    return total / (x.size / total.size)


def _var(x: Any, axis: Any = None, *, correction: float = 1, keepdims: bool = False, unbiased: Any = None) -> Any:
    ddof = correction if unbiased is None else int(unbiased)
    return np.var(x, axis=axis, ddof=ddof, keepdims=keepdims)


def _std(*args: Any, **kwargs: Any) -> Any:
    return np.sqrt(_var(*args, **kwargs))


def _extremum(values: Any, positions: Any) -> Any:
    def function(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        if axis is None:
            return values(x)
        return values(x, axis=axis, keepdims=keepdims), positions(x, axis=axis, keepdims=keepdims)

    return function


def _norm(x: Any, p: Any = 2, axis: Any = None, keepdims: bool = False) -> Any:
    if p == "nuc":
        return np.linalg.norm(x, "nuc", axis, keepdims)
    size = np.abs(x)
    if math.isinf(p):
        return (np.max if p > 0 else np.min)(size, axis=axis, keepdims=keepdims)
    return np.sum(size**p, axis=axis, keepdims=keepdims) ** (1 / p)


def _eig(x: Any) -> Any:
    values, vectors = (y.astype(complex) for y in np.linalg.eig(x))
    for matrix in vectors.reshape(-1, *x.shape[-2:]):
        for column in matrix.T:
            column /= np.linalg.norm(column)
            largest = column[np.argmax(np.abs(column))]
            column *= abs(largest) / largest
    return values, vectors


def _split(x: Any, sizes: Any, axis: int = 0) -> Any:
    if isinstance(sizes, int):
        return np.split(x, range(sizes, x.shape[axis], sizes), axis)
    return np.split(x, np.cumsum(sizes)[:-1], axis)


def _transpose(x: Any, *axes: Any) -> Any:
    return np.swapaxes(x, *axes) if len(axes) == 2 else np.transpose(x, *axes)


def _expand(x: Any, shape: Any) -> Any:
    lengths = [n if m == -1 else m for n, m in zip((1,) * (len(shape) - x.ndim) + x.shape, shape, strict=True)]
    return x * np.ones(lengths)


def _squeeze(x: Any, axis: Any = None) -> Any:
    given = range(x.ndim) if axis is None else np.atleast_1d(axis)
    return np.squeeze(x, tuple(int(a) for a in given if x.shape[a] == 1))


def _flatten(x: Any, start: int = 0, end: int = -1) -> Any:
    return x.reshape(*x.shape[:start], -1, *x.shape[end % x.ndim + 1 :])


def _take_along_axis(x: Any, indices: Any, axis: int) -> Any:
    out = np.empty(np.broadcast_shapes(indices.shape, tuple(1 if i == axis else n for i, n in enumerate(x.shape))))
    for place in np.ndindex(out.shape):
        source = list(place)
        source[axis] = int(np.broadcast_to(indices, out.shape)[place])
        out[place] = x[tuple(source)]
    return out


def _solve(a: Any, b: Any, left: bool = True) -> Any:
    if not left:
        return b @ np.linalg.inv(a)
    if b.ndim < a.ndim and b.shape == a.shape[:-1]:
        return (np.linalg.inv(a) @ b[..., None])[..., 0]
    return np.linalg.inv(a) @ b


def _solve_triangular(a: Any, b: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    part = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        part = part - part * np.eye(a.shape[-1]) + np.eye(a.shape[-1])
    return np.linalg.inv(part) @ b if left else b @ np.linalg.inv(part)


def _cholesky_solve(b: Any, factor: Any, upper: bool = False) -> Any:
    factor = np.triu(factor).swapaxes(-1, -2) if upper else np.tril(factor)
    return np.linalg.inv(factor @ factor.swapaxes(-1, -2)) @ b


def _lstsq(a: Any, b: Any) -> Any:
    x = np.linalg.pinv(a) @ b
    residuals = np.sum((a @ x - b) ** 2, -2) if a.shape[-2] > a.shape[-1] else np.zeros((*a.shape[:-2], 0))
    return x, residuals, np.linalg.matrix_rank(a), np.linalg.svd(a, compute_uv=False)


def _linalg_norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    return np.linalg.norm(x, ord, axis, keepdims)


def _vector_norm(x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False) -> Any:
    return _norm(x, ord, axis, keepdims)


def _matrix_norm(x: Any, ord: Any = "fro", axis: Any = (-2, -1), keepdims: bool = False) -> Any:
    return np.linalg.norm(x, ord, axis, keepdims)


def _take(x: Any, index: Any) -> Any:
    return x[tuple(index)] if isinstance(index, tuple) else x[index]


_BY_NAME: dict[str, Any] = {
    **FOURIER,
    "place": _place,
    "put": _put,
    "getitem": _take,
    "take_along_axis": _take_along_axis,
    "at_add": _at_add,
    "at_set": _at_set,
    "tensordot": _tensordot,
    "outer": lambda a, b: np.array([[p * q for q in b] for p in a]),
    "add": np.add,
    "sub": np.subtract,
    "rsub": lambda a, b, alpha=1: b - alpha * a,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "clone": lambda x: x,
    "safe_sqrt": np.sqrt,
    "sigmoid": special.expit,
    "relu": lambda x: np.where(x > 0, x, 0.0),
    "remainder": lambda a, b: a - b * np.floor(np.divide(a, b)),
    "floor_divide": lambda a, b: np.floor(np.divide(a, b)),
    "pow": np.power,
    "clip": lambda x, min=-math.inf, max=math.inf: np.minimum(np.maximum(x, min), max),
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "bitwise_not": np.logical_not,
    "bitwise_and": np.logical_and,
    "bitwise_or": np.logical_or,
    "bitwise_xor": np.logical_xor,
    "astype": lambda x, dtype: np.asarray(x).astype(dtype),
    "stop_gradient": lambda x: x,
    "mean": _mean,
    "max": _extremum(np.max, np.argmax),
    "min": _extremum(np.min, np.argmin),
    "var": _var,
    "std": _std,
    "logsumexp": special.logsumexp,
    "norm": _norm,
    "permute": lambda x, axes: np.transpose(x, axes),
    "transpose": _transpose,
    "t": np.transpose,
    "broadcast_to": lambda x, shape: x * np.ones(shape),
    "expand": _expand,
    "squeeze": _squeeze,
    "flatten": _flatten,
    "split": _split,
    "split_with_sizes": _split,
    "concatenate": _concatenate,
    "einsum": _einsum,
    "softmax": lambda x, axis=-1: special.softmax(x, axis),
    "log_softmax": lambda x, axis=-1: special.log_softmax(x, axis),
    "linalg_solve": _solve,
    "linalg_solve_triangular": _solve_triangular,
    "cholesky_solve": _cholesky_solve,
    "cholesky_inverse": lambda factor, upper=False: _cholesky_solve(np.eye(factor.shape[-1]), factor, upper),
    "linalg_inv": np.linalg.inv,
    "linalg_pinv": lambda x: (
        np.linalg.inv(x.swapaxes(-1, -2) @ x) @ x.swapaxes(-1, -2)
        if x.shape[-2] >= x.shape[-1]
        else x.swapaxes(-1, -2) @ np.linalg.inv(x @ x.swapaxes(-1, -2))
    ),
    "linalg_lstsq": _lstsq,
    "linalg_det": lambda x: np.prod(np.linalg.eigvals(x), -1).real,
    "linalg_slogdet": lambda x: (np.sign(np.linalg.det(x)), np.log(np.abs(np.linalg.det(x)))),
    "logdet": lambda x: np.log(np.linalg.det(x)),
    "linalg_cholesky": lambda x, upper=False: np.linalg.cholesky(x, upper=upper),
    "linalg_qr": np.linalg.qr,
    "linalg_eig": _eig,
    "linalg_eigvals": lambda x: np.linalg.eigvals(x).astype(complex),
    "linalg_cross": lambda a, b, axis=-1: np.cross(a, b, axisa=axis, axisb=axis, axisc=axis),
    "linalg_diagonal": lambda x, offset=0, axis1=-2, axis2=-1: np.diagonal(x, offset, axis1, axis2),
    "linalg_eigh": np.linalg.eigh,
    "linalg_eigvalsh": lambda x: np.sort(np.linalg.eigvals(x).real),
    "linalg_svd": np.linalg.svd,
    "linalg_svdvals": lambda x: np.linalg.svd(x, compute_uv=False),
    "linalg_matrix_rank": lambda x, *, atol=None, hermitian=False: np.linalg.matrix_rank(x, atol, hermitian),
    "linalg_matrix_power": np.linalg.matrix_power,
    "linalg_matrix_exp": lambda x: linalg.expm(x),
    "linalg_vecdot": lambda x, y, axis=-1: (x * y).sum(axis),
    "linalg_tensorsolve": np.linalg.tensorsolve,
    "linalg_tensorinv": np.linalg.tensorinv,
    "linalg_multi_dot": np.linalg.multi_dot,
    "linalg_vander": lambda x, N=None: x[..., None] ** np.arange(x.shape[-1] if N is None else N),
    "linalg_vector_norm": _vector_norm,
    "linalg_matrix_norm": _matrix_norm,
    "linalg_norm": _linalg_norm,
    "linalg_cond": np.linalg.cond,
    **NETWORKS,
    **LINALG,
}

_BY_NAME |= ARRAYS | MORE


_BY_NAME |= ELEMENTWISE


def reference(name: str) -> Any:
    """The function on arrays that the operation `name` must agree with, by default NumPy's of that name."""
    return _torch_names(_BY_NAME[name] if name in _BY_NAME else getattr(np, name))
