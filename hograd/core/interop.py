"""NumPy functions on tensors: each is answered by the operation of the same meaning, and so is recorded.

A function that has no such operation raises and names what to use; none converts a tensor to an array behind the user's
back. The exceptions are functions that only look (`np.shape`, `np.array_equal`, `np.save` ...).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from hograd.core.primitive import ops
from hograd.errors import DtypeError, GradientError


class Interop:
    """What NumPy, and libraries that exchange arrays by DLPack, ask of a tensor."""

    __slots__ = ()

    __array_priority__ = 1000.0

    def __array_ufunc__(self: Any, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        given = options.pop("out", None)
        if given is not None:
            return _into(ufunc, method, inputs, options, given)
        if method == "__call__":
            name = _UFUNCS.get(ufunc.__name__)
            operation = None if name is None else getattr(ops, name, None)
            if operation is not None and not options:
                return operation(*inputs)
            called = _name(ufunc)
        else:
            operation = _METHODS.get((ufunc.__name__, method))
            called = f"{_name(ufunc)}.{method}"
            if operation is not None:
                return _bound(called, operation, inputs, options)
        if options and operation is not None:
            raise DtypeError(
                f"{called} of a tensor takes no {', '.join(options)}: use hograd.where and astype on its answer."
            )
        raise _unknown(called, ufunc.__name__)

    def __array_function__(self: Any, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if not all(issubclass(kind, (Interop, np.ndarray)) for kind in types):
            return NotImplemented
        called = _name(function)
        if called in _LOOKS:
            return function(*_plain(args), **_plain(kwargs))
        operation = getattr(ops, _SUBMODULES[called]) if called in _SUBMODULES else _FUNCTIONS.get(called)
        if operation is None:
            raise _unknown(called, function.__name__)
        return _bound(called, operation, args, kwargs)

    def __dlpack__(self: Any, **options: Any) -> Any:
        """The values for another library, as a copy: a tensor's own array is never written to."""
        if self.requires_grad:
            raise GradientError("Can't export tensors that require gradient, use tensor.detach().")
        array = np.array(self.numpy())
        return array.__dlpack__(**{name: value for name, value in options.items() if value is not None})

    def __dlpack_device__(self: Any) -> tuple[int, int]:
        """Where the values are, as DLPack writes it; (1, 0) is main memory."""
        return np.empty(0).__dlpack_device__()


def _name(function: Any) -> str:
    """`numpy.linalg.norm` and the like, without what NumPy hides."""
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module.split('._')[0]}.{function.__name__}"


def _unknown(called: str, name: str) -> DtypeError:
    name = _UFUNCS.get(name, name)
    _, *inner, last = called.split(".")
    if hasattr(ops, "_".join([*inner, last])) and inner in (["linalg"], ["fft"]):
        way = f"use hograd.{inner[0]}.{last}, which may differ in its arguments"
    elif hasattr(ops, name) and not name.startswith("_"):
        way = f"use hograd.{name}, which may differ in its arguments"
    else:
        way = "write it with the functions of hograd"
    return DtypeError(
        f"{called} is not defined for tensors: {way}, or take NumPy's answer, a constant, of x.detach().numpy()."
    )


def _bound(called: str, operation: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call an operation that has NumPy's argument names, with a clear error for what it does not take."""
    kwargs = {name: value for name, value in kwargs.items() if not (name == "out" and value is None)}
    signature = inspect.signature(operation)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        names = ", ".join(signature.parameters)
        raise DtypeError(f"{called} of tensors takes the arguments ({names}): {error}.") from None
    return operation(*args, **kwargs)


def _plain(value: Any) -> Any:
    """Tensors as arrays, in the arguments of a function that only looks at them."""
    if isinstance(value, Interop):
        tensor: Any = value
        return tensor.detach().numpy()
    if isinstance(value, (list, tuple)):
        return type(value)([_plain(part) for part in value])
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return value


def _into(ufunc: Any, method: str, inputs: Any, options: Any, out: tuple[Any, ...]) -> Any:
    """`array += tensor` and `np.add(x, y, out=array)`: plain numbers may be written to an array."""
    if any(isinstance(target, Interop) for target in out):
        raise DtypeError(
            f"{_name(ufunc)}(out=...): a tensor's array is never written to; write y = {ufunc.__name__}(...), or "
            "y.copy_(...) to bind an existing tensor to the answer."
        )
    numbers: list[Any] = [x.numpy() if isinstance(x, Interop) else x for x in inputs]  # type: ignore[attr-defined]
    return getattr(ufunc, method)(*numbers, out=out, **options)


def _reduction(name: str) -> Callable[..., Any]:
    def reduce(x: Any, /, axis: Any = 0, dtype: Any = None, keepdims: bool = False) -> Any:
        return _in_dtype(getattr(ops, name)(x, axis, keepdims), dtype)

    return reduce


def _accumulation(name: str) -> Callable[..., Any]:
    def accumulate(x: Any, /, axis: int = 0, dtype: Any = None) -> Any:
        return _in_dtype(getattr(ops, name)(x, axis), dtype)

    return accumulate


def _table(name: str) -> Callable[..., Any]:
    def outer(a: Any, b: Any, /) -> Any:
        a, b = _tensor(a), _tensor(b)
        return getattr(ops, name)(ops.reshape(a, (*a.shape, *(1,) * b.ndim)), b)

    return outer


def _tensor(x: Any) -> Any:
    return x if isinstance(x, Interop) else ops.tensor(x)


def _tensors(parts: Any) -> list[Any]:
    return [_tensor(part) for part in parts]


def _in_dtype(x: Any, dtype: Any) -> Any:
    return x if dtype is None else ops.astype(x, dtype)


_SAME = """
    add floor_divide remainder fmod exp exp2 expm1 log log2 log10 log1p sqrt square reciprocal sin cos tan sinh cosh
    tanh hypot logaddexp logaddexp2 maximum minimum fmax fmin sign floor ceil trunc isfinite isnan isinf signbit
    copysign heaviside deg2rad rad2deg logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor
    matmul erf erfc erfinv erfcx gammaln digamma betaln i0 i0e i1 i1e ndtr log_ndtr ndtri gammainc gammaincc betainc
    entr logit xlogy xlog1py
"""

#: The operation of each NumPy and SciPy ufunc that means the same.
_UFUNCS: dict[str, str] = {name: name for name in _SAME.split()} | {
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "power": "pow",
    "float_power": "pow",
    "negative": "neg",
    "positive": "clone",
    "absolute": "abs",
    "fabs": "abs",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "rint": "round",
    "radians": "deg2rad",
    "degrees": "rad2deg",
    "equal": "eq",
    "not_equal": "ne",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
    "invert": "bitwise_not",
    "expit": "sigmoid",
    "log_expit": "logsigmoid",
    "psi": "digamma",
}

_METHODS: dict[tuple[str, str], Callable[..., Any]] = {
    ("add", "reduce"): _reduction("sum"),
    ("multiply", "reduce"): _reduction("prod"),
    ("maximum", "reduce"): _reduction("amax"),
    ("minimum", "reduce"): _reduction("amin"),
    ("logical_and", "reduce"): _reduction("all"),
    ("logical_or", "reduce"): _reduction("any"),
    ("add", "accumulate"): _accumulation("cumsum"),
    ("multiply", "accumulate"): _accumulation("cumprod"),
    ("add", "outer"): _table("add"),
    ("subtract", "outer"): _table("sub"),
    ("multiply", "outer"): _table("mul"),
    ("divide", "outer"): _table("div"),
}

_LOOKING = """
    shape ndim size array_equal array_equiv allclose isclose save savetxt savez savez_compressed array2string array_repr
    array_str result_type can_cast common_type min_scalar_type iscomplexobj isrealobj shares_memory may_share_memory
"""

#: Functions whose answer is no tensor.
_LOOKS = {f"numpy.{name}" for name in _LOOKING.split()}


def _split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """As NumPy splits: into equal parts, or at indices."""
    x = _tensor(x)
    n = x.shape[axis]
    if isinstance(indices_or_sections, (int, np.integer)):
        sections = int(indices_or_sections)
        if sections < 1 or n % sections:
            raise ValueError("array split does not result in an equal division")
        edges = [k * (n // sections) for k in range(1, sections)]
    else:
        edges = [min(max(k + n if k < 0 else k, 0), n) for k in map(int, indices_or_sections)]
    before = (slice(None),) * (axis % x.ndim)
    return [x[(*before, slice(i, j))] for i, j in zip([0, *edges], [*edges, n], strict=True)]


def _reductions() -> dict[str, Callable[..., Any]]:
    def reduction(name: str) -> Callable[..., Any]:
        def reduce(a: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
            return getattr(ops, name)(_tensor(_in_dtype(a, dtype)), axis, keepdims)

        return reduce

    def untyped(name: str) -> Callable[..., Any]:
        def reduce(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
            return getattr(ops, name)(_tensor(a), axis, keepdims)

        return reduce

    def moment(name: str) -> Callable[..., Any]:
        def reduce(a: Any, axis: Any = None, dtype: Any = None, *, ddof: int = 0, keepdims: bool = False) -> Any:
            return getattr(ops, name)(_tensor(_in_dtype(a, dtype)), axis, correction=ddof, keepdims=keepdims)

        return reduce

    extrema = {"max": "amax", "amax": "amax", "min": "amin", "amin": "amin"}
    others = {name: name for name in ("all", "any", "argmax", "argmin", "count_nonzero")}
    return (
        {name: reduction(name) for name in ("sum", "mean", "prod")}
        | {name: untyped(own) for name, own in (extrema | others).items()}
        | {name: moment(name) for name in ("var", "std")}
    )


def _scan(name: str) -> Callable[..., Any]:
    def scan(a: Any, axis: Any = None, dtype: Any = None) -> Any:
        a = _tensor(_in_dtype(a, dtype))
        return getattr(ops, name)(ops.reshape(a, (-1,)), 0) if axis is None else getattr(ops, name)(a, axis)

    return scan


def _dot(a: Any, b: Any) -> Any:
    """As NumPy multiplies: the last axis of `a` with the last but one of `b`."""
    a, b = _tensor(a), _tensor(b)
    if not a.ndim or not b.ndim:
        return ops.mul(a, b)
    return ops.matmul(a, b) if b.ndim < 3 else ops.tensordot(a, b, ([-1], [-2]))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    f"numpy.{name}": function
    for name, function in (
        _reductions()
        | {
            "reshape": lambda a, shape: ops.reshape(a, shape),
            "ravel": lambda a: ops.reshape(a, (-1,)),
            "transpose": lambda a, axes=None: ops.permute(a, tuple(range(a.ndim))[::-1] if axes is None else axes),
            "swapaxes": lambda a, axis1, axis2: ops.swapaxes(a, axis1, axis2),
            "moveaxis": lambda a, source, destination: ops.moveaxis(a, source, destination),
            "expand_dims": lambda a, axis: ops.expand_dims(a, axis),
            "squeeze": lambda a, axis=None: ops.squeeze(a, axis),
            "broadcast_to": lambda array, shape: ops.broadcast_to(array, shape),
            "flip": lambda m, axis=None: ops.flip(m, axis),
            "concatenate": lambda arrays, axis=0: ops.concatenate(_tensors(arrays), axis),
            "stack": lambda arrays, axis=0: ops.stack(_tensors(arrays), axis),
            "split": _split,
            "copy": lambda a: ops.clone(a),
            "zeros_like": lambda a, dtype=None: ops.zeros_like(a, dtype=dtype),
            "ones_like": lambda a, dtype=None: ops.ones_like(a, dtype=dtype),
            "full_like": lambda a, fill_value, dtype=None: ops.full_like(a, fill_value, dtype=dtype),
            "where": lambda condition, x, y: ops.where(condition, x, y),
            "clip": lambda a, a_min=None, a_max=None, *, min=None, max=None: ops.clip(
                a, a_min if min is None else min, a_max if max is None else max
            ),
            "take_along_axis": lambda arr, indices, axis=-1: ops.take_along_axis(arr, indices, axis),
            "dot": _dot,
            "outer": lambda a, b: ops.outer(ops.reshape(_tensor(a), (-1,)), ops.reshape(_tensor(b), (-1,))),
            "tensordot": lambda a, b, axes=2: ops.tensordot(a, b, axes),
            "cumsum": _scan("cumsum"),
            "cumprod": _scan("cumprod"),
            "tril": lambda m, k=0: ops.tril(m, k),
            "triu": lambda m, k=0: ops.triu(m, k),
            "kron": lambda a, b: ops.kron(_tensor(a), _tensor(b)),
            "roll": lambda a, shift, axis=None: ops.roll(a, shift, axis),
            "einsum": lambda subscripts, *operands: ops.einsum(subscripts, *operands),
        }
    ).items()
}

_INNER = {
    "linalg": "cholesky cond det eigh eigvalsh inv matrix_power multi_dot norm slogdet solve",
    "fft": "fft fft2 fftn fftshift ifft ifft2 ifftn ifftshift irfft irfftn rfft rfftn",
}

#: Functions of NumPy's submodules that mean the same under the same name here.
_SUBMODULES = {f"numpy.{module}.{name}": f"{module}_{name}" for module in _INNER for name in _INNER[module].split()}
