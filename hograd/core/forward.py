"""Forward mode: values that carry a tangent, and what each kind of primitive does with one."""

from __future__ import annotations

from typing import Any

from hograd.backend import RAW, is_number
from hograd.core.dispatch import apply, bare, namespace_of
from hograd.core.levels import Level, level_of
from hograd.core.primitive import Primitive, kernels, ops
from hograd.core.restoring import silent
from hograd.core.tape import leaf
from hograd.core.tensor import Dual, Tensor
from hograd.errors import LevelError


def push_forward(primitive: Primitive, args: Any, params: dict[str, Any], number: int) -> Any:
    """Interpret one operation whose highest argument is a `Dual` of level `number`."""
    if level_of(number) is None:
        raise LevelError(
            f"{primitive.name} was given a value that belongs to a `jvp` that has returned: it was kept in a variable "
            "outside the differentiated function. Return it from the function instead."
        )
    primals: list[Any] = []
    tangents: list[Any] = []
    raw = True
    for arg in args:
        if type(arg) is Dual and arg.level == number:
            x, t = arg.value, arg.tangent
            raw = raw and (type(x) in RAW or is_number(x)) and (type(t) in RAW or is_number(t))
        else:
            x, t = bare(arg), None
            raw = raw and (type(x) in RAW or is_number(x))
        primals.append(x)
        tangents.append(t)
    answer = primitive.kernel(*primals, **params) if raw else apply(primitive, primals, params)
    if not primitive.differentiable:
        return answer
    # As the backward pass, silently: where a derivative is infinite, the value has no need to be.
    with silent():
        tangent = tangent_of(primitive, tangents, (answer, *primals), params, raw)
    return answer if tangent is None else Dual(answer, bare(tangent), number)


def tangent_of(
    primitive: Primitive, tangents: list[Any], values: tuple[Any, ...], params: dict[str, Any], raw: bool
) -> Any:
    """The tangent of the answer values[0], given those of the arguments; None is zero. `raw`: all are bare arrays."""
    F = kernels if raw else ops
    if not raw:
        # Rules use operators, which a bare array has for itself but not for a tensor beside it.
        values = tuple(v if isinstance(v, Tensor) or not hasattr(v, "shape") else Tensor(v) for v in values)
        tangents = [t if t is None or isinstance(t, Tensor) else Tensor(t) for t in tangents]
    plain_params = params
    if primitive.shapes:
        params = {**params, **{name: values[i + 1].shape for i, name in primitive.shapes}}
    if primitive.jvp is not None:
        tangent = primitive.jvp(F, tangents, values, params)
    elif primitive.kind == "elementwise":
        tangent = None
        for i, t in enumerate(tangents):
            if t is None or (rule := primitive.vjps[i]) is None:
                continue
            term = rule(F, t, values, params)
            tangent = term if tangent is None else tangent + term
    elif primitive.kind in ("linear", "variadic"):
        tangent = _push_linear(F, primitive, tangents, values[1:], plain_params)
    elif primitive.kind == "multilinear":
        tangent = None
        for i, t in enumerate(tangents):
            if t is not None:
                arguments = [t if k == i else v for k, v in enumerate(values[1:])]
                if raw:
                    term = primitive.kernel(*arguments, **plain_params)
                else:
                    term = apply(primitive, arguments, plain_params)
                tangent = term if tangent is None else F.add(tangent, term)
    else:
        tangent = _transpose_twice(primitive, tangents, values, params)
    if tangent is None:
        return None
    answer = values[0]
    if not raw:
        F = namespace_of(tangent)
    if tangent.shape != answer.shape:
        tangent = F.broadcast_to(tangent, answer.shape)
    if tangent.dtype != answer.dtype:
        tangent = F.astype(tangent, answer.dtype)
    return tangent


def _push_linear(F: Any, primitive: Primitive, tangents: list[Any], primals: Any, params: dict[str, Any]) -> Any:
    """A linear primitive does with tangents what it does with values; indices and the like stay."""
    arguments = []
    for i, (t, x) in enumerate(zip(tangents, primals, strict=True)):
        if t is None:
            t = F.zeros_like(x) if primitive.vjps[i] is not None else x
        arguments.append(t)
    return apply(primitive, arguments, params)


def _transpose_twice(primitive: Primitive, tangents: Any, values: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """The tangent from the vjp alone: a vjp is linear in its cotangent, and its transpose is the jvp."""
    from hograd.core.engine import backward_pass, below

    total = None
    with Level("tape") as level:
        for i, t in enumerate(tangents):
            if t is None or primitive.vjps[i] is None:
                continue
            zero = ops.zeros_like(values[0])
            seed = Tensor(bare(zero), leaf(zero), level.number)
            wrapped = tuple(v if isinstance(v, Tensor) or not hasattr(v, "shape") else Tensor(v) for v in values)
            pulled = primitive.vjps[i](ops, seed, wrapped, params)
            if pulled is None or pulled.level != level.number:
                continue
            (term,) = backward_pass(
                [(pulled.node, t)],
                level.number,
                wanted=[seed.node],
                create_graph=False,
                retain_graph=False,
                raw=False,
                transposing=True,
            )
            if term is not None:
                term = below(term, level.number)
                total = term if total is None else total + term
    return total


Dual.interpret = staticmethod(push_forward)
