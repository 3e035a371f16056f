"""What the families of linear algebra share: their batching, masks of matrices, and checks of what users give."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from hograd.backend import default_dtype
from hograd.core.batching import with_shape
from hograd.core.declare import linear
from hograd.core.dispatch import apply, promote, wrap
from hograd.core.primitive import ops, register
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, LinearAlgebraError, ShapeError
from hograd.ops.axes import tensor_of


def leading(primitive: Any, size: int, values: Any, batched: Any, params: dict[str, Any]) -> Any:
    """The batching of primitives whose leading axes are batch axes already: align them behind the new one."""
    rank = max(v.ndim - b for v, b in zip(values, batched, strict=True))
    aligned = [
        with_shape(v, (size, *(1,) * (rank + 1 - v.ndim), *v.shape[1:])) if b and v.ndim <= rank else v
        for v, b in zip(values, batched, strict=True)
    ]
    return apply(primitive, aligned, params)


def function_of(primitive: Any, **defaults: Any) -> Callable[..., Any]:
    """Make a primitive known to rules and to composites as `F.name`, and return its form on tensors."""

    def function(*args: Any, **params: Any) -> Any:
        return wrap(apply(primitive, args, {**defaults, **params}))

    def kernel(*args: Any, **params: Any) -> Any:
        return primitive.kernel(*args, **{**defaults, **params})

    register(primitive.name, function, kernel)
    return function


def decomposes(name: str, fault: str) -> Callable[..., Any]:
    """Decorates a kernel: NumPy's error becomes one that says which operation failed, and on what."""

    def decorate(kernel: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(kernel)
        def guarded(*args: Any, **params: Any) -> Any:
            try:
                return kernel(*args, **params)
            except np.linalg.LinAlgError as error:
                if isinstance(error, LinearAlgebraError):
                    raise
                raise LinearAlgebraError(f"linalg.{name}: {fault}, found shape {args[0].shape} ({error}).") from None

        return guarded

    return decorate


def lapack(name: str, *arrays: Any) -> Callable[..., Any]:
    """LAPACK's routine of that name for the dtype of the arrays."""
    from scipy.linalg import get_lapack_funcs

    if arrays[0].dtype == np.float16:
        raise DtypeError("linalg: there are no factors of matrices in float16, convert them with `.float()`.")
    return get_lapack_funcs((name,), arrays)[0]


_MASKS: dict[str, Callable[[Any], Any]] = {
    "lower": np.tril,
    "upper": np.triu,
    "strictly lower": lambda x: np.tril(x, -1),
    "strictly upper": lambda x: np.triu(x, 1),
    "diagonal": lambda x: np.where(np.eye(*x.shape[-2:], dtype=bool, like=x), x, np.zeros_like(x, shape=())),
    # The lower triangle with half of the diagonal: added to its transpose it gives a symmetric matrix back.
    "half": lambda x: (np.tril(x) + np.tril(x, -1)) / 2,
}

#: One part of each matrix, zeros elsewhere.
_matrix_mask = linear(
    "matrix_mask",
    lambda x, part: _MASKS[part](x),
    lambda F, g, part: F.matrix_mask(g, part=part),
    batch=leading,
)
function_of(_matrix_mask)


def diagonal_of(F: Any, x: Any) -> Any:
    """The diagonals of matrices."""
    n = min(x.shape[-2:])
    return F.sum(F.matrix_mask(x, part="diagonal"), axis=x.ndim - 2)[..., :n]


def identity_like(F: Any, x: Any) -> Any:
    """Identities in the shape of matrices."""
    return F.matrix_mask(F.ones_like(x), part="diagonal")


def symmetrized(F: Any, x: Any) -> Any:
    """The symmetric part of matrices."""
    return (x + F.mT(x)) / 2


#: What is defined for complex matrices as for real ones; the others know only the transpose, not the adjoint.
HOLOMORPHIC = {"solve", "solve_triangular", "inv", "matrix_power", "matrix_exp", "matrix_norm", "eig", "eigvals"}
HOLOMORPHIC |= {"solve_ex", "inv_ex", "lu", "lu_factor", "lu_factor_ex", "lu_solve", "lu_unpack", "triangular_solve"}
HOLOMORPHIC |= {"householder_product", "ormqr", "geqrf", "ldl_factor", "ldl_factor_ex", "ldl_solve"}


def matrices(F: Any, name: str, *args: Any, square: bool = False, vectors: bool = False) -> list[Any]:
    """Arguments as floating tensors of one dtype, checked to be matrices; bare arrays as they are."""
    if F is not ops:
        return list(args)
    found = [wrap(x) for x in promote(name, *[tensor_of(x, name) for x in args])]
    found = [x if x.dtype.kind in "fc" else ops.astype(x, default_dtype()) for x in found]
    if found[0].dtype.kind == "c" and name not in HOLOMORPHIC:
        raise DtypeError(f"linalg.{name} is defined for real matrices, found {found[0].dtype}.")
    for i, x in enumerate(found):
        if x.ndim < (1 if vectors and i else 2):
            raise ShapeError(
                f"linalg.{name}: argument {i} must have at least {1 if vectors and i else 2} dimensions, "
                f"found shape {tuple(x.shape)}."
            )
    a = found[0]
    if square and a.shape[-1] != a.shape[-2]:
        raise ShapeError(
            f"linalg.{name}: A must be batches of square matrices, found shape {tuple(a.shape)}: matrices of "
            f"{a.shape[-2]} by {a.shape[-1]}."
        )
    return found


def tolerances(atol: Any, rtol: Any) -> dict[str, Any]:
    """What users give as tolerances, numbers or tensors of shape (...), as parameters of a primitive."""
    given = {"atol": atol, "rtol": rtol}
    return {
        name: value.detach().numpy()[..., None] if isinstance(value, Tensor) else value for name, value in given.items()
    }


def cutoff(x: Any, values: Any, atol: Any, rtol: Any) -> Any:
    """max(atol, rtol * the largest of each row of values), with PyTorch's defaults."""
    if rtol is None:
        default = max(x.shape[-2:]) * float(np.finfo(x.dtype).eps)
        rtol = default if atol is None else np.where(np.greater(atol, 0), 0.0, default)[()]
    largest = values.max(-1, keepdims=True, initial=0) * rtol
    return largest if atol is None else np.maximum(largest, atol)


def choice(name: str, argument: str, found: Any, allowed: tuple[Any, ...]) -> None:
    """Raise if an argument is none of the values that it may have."""
    if found not in allowed:
        raise ArgumentError(f"linalg.{name} got {argument}={found!r}, expected one of {', '.join(map(repr, allowed))}.")
