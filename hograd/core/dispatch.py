"""Dispatch: every operation is interpreted by the highest level among its arguments.

`apply` finds that level; here is also what its lowest kind, the tape, does with an operation. Dual and batched values
have their interpreters in `forward` and `batching`, and the short path for arrays on one tape is in `fast`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.backend import RAW, as_array, default_dtype, is_array, is_number
from hograd.core.levels import level_of, state
from hograd.core.primitive import Primitive, kernels, ops
from hograd.core.tape import Node
from hograd.core.tensor import Tensor
from hograd.core.traced import is_weak
from hograd.errors import DtypeError, HogradError, ShapeError


def namespace_of(value: Any) -> Any:
    """What computes on `value` itself: recorded operations on a tensor, bare kernels on an array."""
    return ops if isinstance(value, Tensor) else kernels


def is_raw(value: Any) -> bool:
    """Whether `value` is a bare array or a Python number, so that kernels can take it."""
    return type(value) in RAW or is_number(value)


def wrap(value: Any) -> Tensor:
    """A value as the user sees it: arrays become constant tensors, tensors stay."""
    return value if isinstance(value, Tensor) else Tensor(value)


def bare(value: Any) -> Any:
    """The inverse of `wrap`: a constant tensor as its array; a value that some level tracks stays a tensor."""
    return value.value if type(value) is Tensor and value.node is None else value


def apply(primitive: Primitive, args: Any, params: dict[str, Any]) -> Any:
    """The answer of an operation on values: an array if all are arrays, else a tensor of the highest level."""
    if state.trace is not None:
        args = state.trace.check(args)
    top: Any = None
    for arg in args:
        if isinstance(arg, Tensor) and (top is None or arg.level > top.level):
            top = arg
    if top is None:
        return primitive.kernel(*args, **params)
    return top.interpret(primitive, args, params, top.level)


def call(primitive: Primitive, args: Any, params: dict[str, Any]) -> Tensor:
    """Apply an operation to what a user gave: tensors, arrays, numbers or nested lists."""
    cleaned = args
    if not all([isinstance(arg, Tensor) for arg in args]):  # noqa: C419  (a list is three times faster)
        cleaned = [arg if isinstance(arg, Tensor) else as_operand(arg, primitive, i) for i, arg in enumerate(args)]
        if all(map(is_number, cleaned)):
            cleaned = [as_array(arg) for arg in cleaned]
    try:
        return wrap(apply(primitive, cleaned, params))
    except (ValueError, TypeError) as error:
        if isinstance(error, HogradError) or primitive.kind != "elementwise":
            raise
        if isinstance(error, TypeError):
            dtypes = " and ".join(str(getattr(arg, "dtype", type(arg).__name__)) for arg in cleaned)
            raise DtypeError(f"{primitive.name} is not defined for {dtypes}.") from None
        shapes = " and ".join(str(tuple(getattr(arg, "shape", ()))) for arg in cleaned)
        raise ShapeError(f"{primitive.name}: shapes {shapes} cannot be broadcast against each other.") from None


def as_operand(arg: Any, primitive: Primitive | str, position: int) -> Any:
    """An argument that is no tensor, as an array or a Python number."""
    if is_number(arg):
        return arg
    if isinstance(arg, np.generic) and not isinstance(arg, (np.str_, np.bytes_, np.datetime64, np.timedelta64)):
        return arg.item()
    if isinstance(arg, np.ndarray) or is_array(arg):
        # A copy: its owner may write to it before the backward pass.
        return as_array(arg, copy=True, name=f"argument {position} of {getattr(primitive, 'name', primitive)}")
    if isinstance(arg, (list, tuple)) and any(isinstance(leaf, Tensor) for leaf in arg):
        return ops.stack([leaf if isinstance(leaf, Tensor) else Tensor(as_array(leaf)) for leaf in arg])
    if isinstance(arg, (list, tuple)):
        return as_array(arg)
    kind = type(arg).__qualname__
    if hasattr(arg, "__array__"):
        kind = f"a {type(arg).__module__}.{kind}, which hograd.tensor makes a tensor of"
    raise DtypeError(
        f"argument {position} of {getattr(primitive, 'name', primitive)} is {kind}, expected a tensor, an array, a "
        "number or a list of numbers."
    )


def record(primitive: Any, args: tuple[Any, ...], params: dict[str, Any], number: int) -> Any:
    """Interpret one operation whose highest argument is on the tape of level `number`."""
    values: list[Any] = []
    nodes: list[Node | None] = []
    raw = True
    for arg in args:
        node = None
        if isinstance(arg, Tensor):
            if arg.level == number:
                node = arg.node
                arg = arg.value
            elif type(arg) is Tensor and arg.node is None:
                arg = arg.value
            if raw and type(arg) not in RAW:
                raw = is_number(arg)
        values.append(arg)
        nodes.append(node)
    # Where nothing is recorded on another level, this is what `apply` comes to.
    answer = primitive.kernel(*values, **params) if raw else apply(primitive, values, params)
    if number < state.floor or not primitive.differentiable or not any(nodes):
        return answer
    if not raw and number and (level := level_of(number)) is not None:
        level.raw = False
    if primitive.shapes:
        params = dict(params)
        for i, name in primitive.shapes:
            params[name] = values[i].shape
    tracked = tuple([node is not None for node in nodes])
    keep = primitive.keep[tracked] if tracked in primitive.keep else primitive.saving(tracked)
    saved = None
    if keep is not None:
        saved = tuple([v if k else None for k, v in zip(keep, (answer, *values), strict=True)])
    return Tensor(answer, Node(primitive, tuple(nodes), saved, params, answer.shape, answer.dtype), number)


Tensor.interpret = staticmethod(record)


_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


def _category(arg: Any) -> int:
    kind = arg.dtype.kind if hasattr(arg, "dtype") else np.dtype(type(arg)).kind
    return _CATEGORY[kind]


def promote(primitive: Primitive | str, *args: Any) -> list[Any]:
    """The arguments cast to one dtype by PyTorch's rule.

    The highest category (bool < integer < floating < complex) decides; within it tensors with axes
    come before tensors without, and those before Python numbers. So a float64 learning rate of shape () leaves
    float32 parameters in float32.
    """
    if len(args) == 2:
        a, b = args
        if isinstance(a, Tensor) and (
            a.dtype is b.dtype
            if isinstance(b, Tensor)
            else is_number(b) and type(b) is not complex and a.dtype.kind == "f"
        ):
            return [a, b]
    operands = [a if isinstance(a, Tensor) else as_operand(a, primitive, i) for i, a in enumerate(args)]
    arrays = [a for a in operands if not is_number(a) and not is_weak(a)]
    if not arrays:
        return operands
    top = max(_category(a) for a in operands)
    strongest = [a for a in arrays if a.ndim and _category(a) == top] or [a for a in arrays if _category(a) == top]
    if strongest:
        dtype = np.result_type(*[a.dtype for a in strongest])
    else:
        # Only a Python number is of the highest category: it keeps its weakness within it.
        dtype = {1: np.dtype(np.int64), 2: default_dtype(), 3: np.result_type(default_dtype(), 1j)}[top]
    return [a if is_number(a) or is_weak(a) or a.dtype == dtype else _cast(a, dtype) for a in operands]


def _cast(value: Any, dtype: Any) -> Any:
    return ops.astype(value, dtype) if isinstance(value, Tensor) else value.astype(dtype)
