"""The functions that users call for elementwise operations, with the short path for arrays on one tape.

They do in one frame what `dispatch.call` does in five, because small models spend their time here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hograd.backend import RAW, as_array, default_dtype
from hograd.core.dispatch import apply, as_operand, call, promote, wrap
from hograd.core.levels import state
from hograd.core.primitive import Primitive, ops
from hograd.core.tape import Node
from hograd.core.tensor import Tensor

_BOOL = np.dtype(np.bool_)


def unary(primitive: Primitive, *, floating: bool) -> Callable[[Any], Tensor]:
    """The function that users call for an elementwise operation of one argument, made `floating` first."""
    kernel = primitive.kernel
    needs = primitive.needs[0] if primitive.differentiable else frozenset()
    keeps_y, keeps_x = "y" in needs, "x" in needs
    differentiable = primitive.differentiable

    def function(x: Any) -> Tensor:
        if type(x) is Tensor:
            value = x.value
            if type(value) in RAW:
                node = x.node
                if node is None:
                    if floating and value.dtype.kind in "iub":
                        value = value.astype(default_dtype())
                    try:
                        return Tensor(kernel(value))
                    except TypeError:
                        return call(primitive, (x,), {})  # which raises again, in words
                level = x.level
                if differentiable and level >= state.floor:
                    y = kernel(value)
                    saved = (y if keeps_y else None, value if keeps_x else None) if keeps_y or keeps_x else None
                    return Tensor(y, Node(primitive, (node,), saved, None, y.shape, y.dtype), level)
                return Tensor(kernel(value))
        elif isinstance(x, Tensor) and (not floating or x.dtype.kind in "fc"):
            return wrap(apply(primitive, (x,), {}))
        return call(primitive, (as_floating(x, primitive) if floating else x,), {})

    return function


def as_floating(x: Any, primitive: Primitive) -> Any:
    """`x` in a floating dtype: integers and bools, which have no derivative, take the default one."""
    if not isinstance(x, Tensor):
        x = Tensor(as_array(as_operand(x, primitive, 0)))
    return x if x.dtype.kind in "fc" else ops.astype(x, default_dtype())


def binary(primitive: Primitive) -> Callable[[Any, Any], Tensor]:
    """The function that users call for an elementwise operation of two arguments."""
    kernel = primitive.kernel
    differentiable = primitive.differentiable
    needs = primitive.needs if differentiable else (frozenset(), frozenset())
    (ya, aa, ba), (yb, ab, bb) = [("y" in n, "a" in n, "b" in n) for n in needs]

    def function(a: Any, b: Any) -> Tensor:
        if type(a) is Tensor:
            x = a.value
            p = a.node
            if type(b) is Tensor:
                z = b.value
                q = b.node
                if type(x) in RAW and type(z) in RAW and x.dtype is z.dtype:
                    try:
                        y = kernel(x, z)
                    except (ValueError, TypeError):
                        return call(primitive, (a, b), {})  # which raises again, in words
                    if p is None:
                        if q is None:
                            return Tensor(y)
                        level = b.level
                    else:
                        level = a.level
                        if q is not None and b.level != level:
                            return call(primitive, (a, b), {})
                    if level < state.floor or not differentiable:
                        return Tensor(y)
                    keep_y = (p is not None and ya) or (q is not None and yb)
                    keep_a = (p is not None and aa) or (q is not None and ab)
                    keep_b = (p is not None and ba) or (q is not None and bb)
                    saved = None
                    if keep_y or keep_a or keep_b:
                        saved = (y if keep_y else None, x if keep_a else None, z if keep_b else None)
                    return Tensor(y, Node(primitive, (p, q), saved, None, y.shape, y.dtype), level)
            elif type(b) is float or type(b) is int:
                if type(x) not in RAW or x.dtype.kind != "f":
                    return call(primitive, promote(primitive, a, b) if differentiable else (a, b), {})
                try:
                    y = kernel(x, b)
                except TypeError:
                    return call(primitive, (a, b), {})  # which raises again, in words
                if p is None or a.level < state.floor or not differentiable:
                    return Tensor(y)
                saved = (y if ya else None, x if aa else None, b) if ya or aa or ba else None
                return Tensor(y, Node(primitive, (p, None), saved, None, y.shape, y.dtype), a.level)
        elif type(b) is Tensor and (type(a) is float or type(a) is int):
            z = b.value
            if type(z) in RAW and z.dtype.kind == "f":
                try:
                    y = kernel(a, z)
                except TypeError:
                    return call(primitive, (a, b), {})
                q = b.node
                if q is None or b.level < state.floor or not differentiable:
                    return Tensor(y)
                saved = (y if yb else None, a, z if bb else None) if yb or ab or bb else None
                return Tensor(y, Node(primitive, (None, q), saved, None, y.shape, y.dtype), b.level)
        if isinstance(a, Tensor) and isinstance(b, Tensor) and a.dtype is b.dtype:
            # Values of other levels, and of several.
            try:
                return wrap(apply(primitive, (a, b), {}))
            except (ValueError, TypeError):
                pass  # `call` raises again, in words
        if differentiable:
            a, b = promote(primitive, a, b)
        return call(primitive, (a, b), {})

    return function


def on_floating(function: Callable[[Any, Any], Tensor], primitive: Primitive) -> Callable[[Any, Any], Tensor]:
    """A function of two arguments that makes the first one floating where neither is."""

    def of_floating(a: Any, b: Any) -> Tensor:
        if any(type(v) is float or getattr(v, "dtype", _BOOL).kind in "fc" for v in (a, b)):
            return function(a, b)
        return function(as_floating(a, primitive), b)

    return of_floating


def one(primitive: Primitive, x: Tensor, params: dict[str, Any]) -> Tensor:
    """The answer of a primitive of one tensor with parameters."""
    value = x.value
    if type(x) is not Tensor or type(value) not in RAW:
        return wrap(apply(primitive, (x,), params))
    y = primitive.kernel(value, **params)
    node = x.node
    if node is None or x.level < state.floor or not primitive.differentiable:
        return Tensor(y)
    if primitive.shapes:
        params = {**params, primitive.shapes[0][1]: value.shape}
    keep = primitive.keep[True,] if (True,) in primitive.keep else primitive.saving((True,))
    saved = None if keep is None else (y if keep[0] else None, value if keep[1] else None)
    return Tensor(y, Node(primitive, (node,), saved, params, y.shape, y.dtype), x.level)


def several(primitive: Primitive) -> Callable[..., Tensor]:
    """A function of several tensors and of parameters by name; the tensors' dtypes are the caller's care."""
    kernel = primitive.kernel

    def function(*args: Tensor, **params: Any) -> Tensor:
        level = -1
        for arg in args:
            if type(arg) is not Tensor or type(arg.value) not in RAW:
                return wrap(apply(primitive, args, params))
            if arg.node is not None and arg.level != level:
                if level != -1:
                    return wrap(apply(primitive, args, params))
                level = arg.level
        values = [arg.value for arg in args]
        y = kernel(*values, **params)
        if level < state.floor or level == -1 or not primitive.differentiable:
            return Tensor(y)
        nodes = tuple([arg.node for arg in args])
        tracked = tuple([node is not None for node in nodes])
        keep = primitive.keep[tracked] if tracked in primitive.keep else primitive.saving(tracked)
        saved = None
        if keep is not None:
            saved = tuple([v if k else None for k, v in zip(keep, (y, *values), strict=True)])
        return Tensor(y, Node(primitive, nodes, saved, params, y.shape, y.dtype), level)

    return function
