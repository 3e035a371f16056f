"""Declaring operations: one function for each kind of primitive, and one for operations composed from others.

Each declaration stands in one file of `hograd.ops` with its kernel, its rule, its documentation and sample inputs, from
which the tests are generated.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from hograd.backend import as_array
from hograd.core import fast
from hograd.core.dispatch import as_operand, wrap
from hograd.core.primitive import Primitive, kernels, ops, register
from hograd.core.tensor import Tensor

R = TypeVar("R")


class Unary(Protocol):
    """An elementwise function of one tensor."""

    def __call__(self, x: Any, /) -> Tensor: ...


class Binary(Protocol):
    """An elementwise function of two tensors, which are broadcast against each other."""

    def __call__(self, a: Any, b: Any, /) -> Tensor: ...


class Case(NamedTuple):
    """One sample call of an operation."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def case(*args: Any, **kwargs: Any) -> Case:
    """A sample call, as the tests make it."""
    return Case(args, kwargs)


class Operation(NamedTuple):
    """A public operation with what the tests need to check it."""

    name: str
    function: Callable[..., Any]
    samples: Callable[[Any], list[Case]]
    differentiable: bool


operations: dict[str, Operation] = {}
"""Every operation that has samples, by name."""


def _publish(name: str, function: Any, kernel: Any, samples: Any, doc: str, differentiable: bool = True) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    function.__module__ = "hograd"
    register(name, function, kernel)
    operations[name] = Operation(name, function, samples, differentiable)
    return function


def unary(
    name: str, kernel: Callable[..., Any], slope: Any, *, samples: Any, doc: str, integers: bool = False
) -> Unary:
    """An elementwise operation of one tensor.

    `slope` None: it has no derivative. `integers`: of whole numbers it makes whole numbers, and not floating ones.
    """
    primitive = Primitive(name, kernel, ["x"], "elementwise", rules=None if slope is None else [slope])
    return _publish(
        name,
        fast.unary(primitive, floating=slope is not None and not integers),
        kernel,
        samples,
        doc,
        slope is not None,
    )


def binary(
    name: str, kernel: Callable[..., Any], slopes: Any, *, samples: Any, doc: str, floating: bool = False
) -> Binary:
    """An elementwise operation of two tensors.

    `slopes` None: it has no derivative. `floating`: of whole numbers too it makes floating ones.
    """
    primitive = Primitive(name, kernel, ["a", "b"], "elementwise", rules=slopes)
    function = fast.binary(primitive)
    public = fast.on_floating(function, primitive) if floating else function
    return _publish(name, public, kernel, samples, doc, slopes is not None)


def elementwise(name: str, kernel: Callable[..., Any], slopes: Any, arguments: str, *, fused: Any = None) -> Primitive:
    """An elementwise primitive with parameters, or of three tensors; its public function is written by hand."""
    return Primitive(name, kernel, arguments.split(), "elementwise", rules=slopes, fused=fused)


def linear(
    name: str,
    kernel: Callable[..., Any],
    adjoint: Any,
    *,
    batch: Any,
    arguments: str = "x",
    constants: int = 0,
) -> Primitive:
    """A primitive linear in its arguments together, except in `constants` last ones (indices).

    For `*arguments` the adjoint takes the argument's `position` as a parameter.
    """
    names = arguments.split()
    kind = "variadic" if names[0].startswith("*") else "linear"
    return Primitive(name, kernel, names, kind, rules=[adjoint] + [None] * constants, batch=batch)


def multilinear(name: str, kernel: Callable[..., Any], adjoints: Any, *, batch: Any, fused: Any = None) -> Primitive:
    """A primitive linear in each of two arguments."""
    return Primitive(name, kernel, ["a", "b"], "multilinear", rules=adjoints, batch=batch, fused=fused)


def general(
    name: str,
    kernel: Callable[..., Any],
    vjps: Any,
    *,
    jvp: Any = None,
    batch: Any = None,
    arguments: str = "x",
    fused: Any = None,
) -> Primitive:
    """Any other primitive; `jvp` None takes the tangent from the vjp.

    `fused`: a second form of the rules (or None) for order one alone, on arrays, which may use NumPy and write to what
    it has made itself.
    """
    return Primitive(name, kernel, arguments.split(), "general", rules=vjps, jvp=jvp, batch=batch, fused=fused)


def operation(
    kernel: Any, samples: Callable[[Any], list[Case]], *, name: str = "", differentiable: bool = True
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Make the decorated function the public form of a primitive, with this kernel for rules."""

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        called = name or function.__name__
        public = _torch_names(function, _names(function))
        register(called, public, kernel)
        operations[called] = Operation(called, public, samples, differentiable)
        return public

    return decorate


def extended(function: Callable[..., R]) -> Callable[..., R]:
    """Make the decorated function what users call for the operation of its name: it takes more than rules need."""
    operations[function.__name__] = operations[function.__name__]._replace(function=function)
    return function


def composite(
    samples: Callable[[Any], list[Case]], *, name: str = ""
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Make a function of (F, *args) an operation composed from others: on tensors, and on arrays for rules."""

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        called = name or function.__name__

        @functools.wraps(function)
        def public(*args: Any, **kwargs: Any) -> R:
            if args and not isinstance(args[0], (Tensor, str)):
                args = (wrap(as_array(as_operand(args[0], called, 0))), *args[1:])
            return function(ops, *args, **kwargs)

        renamed = _torch_names(public, _names(function) - {"F"})
        signature = inspect.signature(function)
        own = [parameter for key, parameter in signature.parameters.items() if key != "F"]
        renamed.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
        register(called, renamed, functools.partial(function, kernels))
        operations[called] = Operation(called, renamed, samples, True)
        return renamed

    return decorate


_TORCH_NAMES = [
    ("dim", "axis"),
    ("dims", "axis"),
    ("dims", "axes"),
    ("dims", "reps"),
    ("dimension", "axis"),
    ("dim0", "axis0"),
    ("dim1", "axis1"),
    ("dim2", "axis2"),
    ("keepdim", "keepdims"),
    ("start_dim", "start_axis"),
    ("end_dim", "end_axis"),
    ("size", "shape"),
    ("input", "x"),
    ("input", "a"),
    ("input", "A"),
    ("input", "values"),
    ("input", "logits"),
    ("input", "prediction"),
    ("input1", "x1"),
    ("input2", "x2"),
    ("other", "b"),
    ("mat2", "b"),
    ("vec", "b"),
    ("vec2", "b"),
    ("tensor", "b"),
    ("x1", "a"),
    ("x2", "b"),
    ("tensors", "x"),
    ("split_size_or_sections", "sizes"),
    ("split_size", "sizes"),
    ("split_sizes", "sizes"),
    ("value", "src"),
    ("indices_or_sections", "sections"),
    ("LU_data", "LU"),
    ("LU_pivots", "pivots"),
]


def _names(function: Callable[..., Any]) -> frozenset[str]:
    """The names of a function's arguments; `inspect.signature` takes a hundred times longer."""
    code = function.__code__
    return frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


def _torch_names(function: Callable[..., R], own: frozenset[str]) -> Callable[..., R]:
    """`function`, whose arguments are `own`, taking PyTorch's names of them too."""

    @functools.wraps(function)
    def public(*args: Any, **kwargs: Any) -> R:
        if kwargs and not own.issuperset(kwargs):
            kwargs = _renamed(function.__name__, own, kwargs)
        return function(*args, **kwargs)

    return public


def _renamed(called: str, own: frozenset[str], given: dict[str, Any]) -> dict[str, Any]:
    """Arguments by hograd's names."""
    names = {theirs: ours for theirs, ours in reversed(_TORCH_NAMES) if ours in own and theirs not in own}
    renamed = {names.get(key, key): value for key, value in given.items()}
    if len(renamed) < len(given):
        twice = next(key for key in given if names.get(key) in given)
        raise TypeError(f"{called}() got {twice!r} and {names[twice]!r}, two names of one argument")
    return renamed
