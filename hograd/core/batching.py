"""vmap's values: a batch axis in front that user code does not see, and what each kind of primitive does with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hograd.core.dispatch import apply, bare, namespace_of
from hograd.core.levels import level_of
from hograd.core.primitive import Primitive, ops
from hograd.core.tensor import Batched, Tensor, below
from hograd.errors import LevelError


def batch(primitive: Primitive, args: Any, params: dict[str, Any], number: int) -> Any:
    """Interpret one operation whose highest argument is `Batched` at level `number`."""
    level = level_of(number)
    if level is None:
        raise LevelError(
            f"{primitive.name} was given a value that belongs to a `vmap` that has returned: it was kept in a variable "
            "outside the mapped function. Return it from the function instead."
        )
    values: list[Any] = []
    batched: list[bool] = []
    for arg in args:
        inside = type(arg) is Batched and arg.level == number
        values.append(arg.value if inside else bare(arg))
        batched.append(inside)
    rule = primitive.batch or _RULES.get(primitive.kind, loop)
    return Batched(bare(rule(primitive, level.size, values, batched, params)), number)


def align(primitive: Primitive, size: int, values: list[Any], batched: list[bool], params: dict[str, Any]) -> Any:
    """Elementwise operations: give every batched value the axes of the longest, behind the batch axis."""
    return apply(primitive, aligned(size, values, batched), params)


def aligned(size: int, values: list[Any], batched: list[bool]) -> list[Any]:
    """Every batched value with the axes of the longest, behind the batch axis."""
    ranks = [len(v.shape) - b if hasattr(v, "shape") else 0 for v, b in zip(values, batched, strict=True)]
    rank = max(ranks)
    return [
        with_shape(v, (size, *(1,) * (rank - n), *v.shape[1:])) if b and n < rank else v
        for v, b, n in zip(values, batched, ranks, strict=True)
    ]


def shift(*names: str) -> Callable[..., Any]:
    """A rule for operations whose parameters `names` are axes (an int or a tuple): all move up by one."""

    def rule(primitive: Primitive, size: int, values: list[Any], batched: list[bool], params: dict[str, Any]) -> Any:
        moved = dict(params)
        for name in names:
            axes = params[name]
            moved[name] = axes + 1 if isinstance(axes, int) else tuple(axis + 1 for axis in axes)
        return apply(primitive, [in_front(v, b, size) for v, b in zip(values, batched, strict=True)], moved)

    return rule


def loop(primitive: Primitive, size: int, values: list[Any], batched: list[bool], params: dict[str, Any]) -> Any:
    """Any operation: one call for each element, stacked."""
    if not size:
        return without_elements(primitive.name, lambda *blanks: [apply(primitive, blanks, params)], values, batched)[0]
    answers = []
    for i in range(size):
        element = [namespace_of(v).getitem(v, i) if b else v for v, b in zip(values, batched, strict=True)]
        answers.append(apply(primitive, element, params))
    if any(isinstance(answer, Tensor) for answer in answers):
        return ops.stack(answers)
    return np.stack(answers)


def without_elements(
    name: str, function: Callable[..., list[Any]], values: list[Any], batched: list[bool]
) -> list[Any]:
    """The answers of a loop over no elements: `function` of zeros in an element's place tells their shapes."""
    blanks = []
    for v, b in zip(values, batched, strict=True):
        array = below(v)
        blanks.append(np.zeros_like(array, shape=v.shape[b:]) if hasattr(array, "dtype") else array)
    try:
        likes = [below(y) for y in function(*blanks)]
    except Exception as error:
        raise LevelError(
            f"{name} goes through the elements of a vmap one by one, and here are none: it was tried on zeros to find "
            f"the shape of its answer, which failed ({type(error).__name__}: {error}). Leave out batches of size 0."
        ) from error
    answers: list[Any] = []
    for like in likes:
        answer: Any = np.zeros_like(like, shape=(0, *like.shape))
        for v in values:
            # It depends on all that went in, so that no gradient seems to be missing; a sum over nothing is 0.
            if isinstance(v, Tensor) and v.dtype.kind == "f" and answer.dtype.kind in "fc":
                answer = ops.add(answer, ops.astype(ops.sum(v), answer.dtype))
        answers.append(answer)
    return answers


def in_front(value: Any, batched: bool, size: int) -> Any:
    """`value` with a batch axis in front, repeated along it if it had none."""
    if batched:
        return value
    return namespace_of(value).broadcast_to(value, (size, *value.shape))


def with_shape(value: Any, shape: tuple[int, ...]) -> Any:
    """`value`, an array or a tensor, in another shape."""
    return namespace_of(value).reshape(value, shape)


_RULES: dict[str, Callable[..., Any]] = {"elementwise": align}

Batched.interpret = staticmethod(batch)
