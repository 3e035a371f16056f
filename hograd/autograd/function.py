"""`Function`: a function with a derivative of its own, as in PyTorch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hograd import tree
from hograd.core.custom import Call, Residue, evaluate, is_tracked
from hograd.core.dispatch import wrap
from hograd.core.levels import no_grad
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import ArgumentError, DtypeError, GradientError


class FunctionCtx:
    """What `forward` leaves for `backward` of a `Function`; any attribute may be set on it.

    Attributes:
        needs_input_grad: for each argument whether a derivative by it may be asked for.
    """

    needs_input_grad: tuple[bool, ...]

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._saved: dict[str, Any] = {"backward": [], "forward": None, "materialize": True}
        self._constant: list[Any] = []

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (or None): inputs, answers, or anything computed from them."""
        self._saved["backward"] = _tensors(tensors, "save_for_backward")

    def save_for_forward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for `jvp`, which else gets those saved for `backward`."""
        self._saved["forward"] = _tensors(tensors, "save_for_forward")

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What was saved, in order."""
        return tuple(self._saved["backward"])

    def mark_non_differentiable(self, *outputs: Any) -> None:
        """These answers are constants."""
        self._constant = list(outputs)

    def mark_dirty(self, *inputs: Any) -> None:
        """Refused: operations do not write to their inputs here."""
        raise ArgumentError(
            "mark_dirty: tensors are never written to here. Return the new value, and bind it by x.copy_(f(x))."
        )

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (default) or None for an answer that nothing used."""
        self._saved["materialize"] = bool(value)

    def content(self) -> dict[str, Any]:
        """Everything that was saved or set, as a tree."""
        attributes = {k: v for k, v in self.__dict__.items() if k not in ("needs_input_grad", "_saved", "_constant")}
        return {"saved": self._saved, "attributes": attributes}

    @classmethod
    def of(cls, needs_input_grad: tuple[bool, ...], content: dict[str, Any], forward: bool = False) -> FunctionCtx:
        """The context with that content, as `backward` (or `jvp`) gets it."""
        ctx = cls(needs_input_grad)
        ctx.__dict__.update(content["attributes"])
        ctx._saved = dict(content["saved"])
        if forward and ctx._saved["forward"] is not None:
            ctx._saved["backward"] = ctx._saved["forward"]
        return ctx


def _tensors(values: Sequence[Any], name: str) -> list[Any]:
    for i, x in enumerate(values):
        if x is not None and not isinstance(x, Tensor):
            raise DtypeError(f"{name} can only save variables, but argument {i} is of type {type(x).__name__}.")
    return list(values)


class Function:
    """A function with a derivative of its own, written as static methods of a class, and called by `apply`.

    forward(ctx, *args) computes the answer, or a tuple of answers; backward(ctx, *grads) gets a cotangent for each
    answer and returns one for each argument (None for what is no tensor, or has no derivative). As in PyTorch,
    forward(*args) with setup_context(ctx, inputs, output) is the other form, and jvp(ctx, *tangents) may be given
    for forward mode, which else is taken from `backward`.

    The forward runs on constants; tensors that it should be differentiated by are arguments, not closures. `backward`
    is recorded where it is differentiated itself, so it has to be made of differentiable operations then, unless
    it is marked `once_differentiable`. Saved inputs and answers lead to what they are; anything else that was saved is
    computed again then, by `forward` on recorded tensors with the same random draws.

    Under `vmap` the elements are gone through one by one; or vmap(info, in_dims, *args) returns (output, out_dims)
    for whole batches, where a derivative needs the form with `setup_context`; or `generate_vmap_rule = True` runs
    `forward` and `backward` on values with a batch axis, which they have to be written for with operations alone.

    >>> import hograd as ho
    >>> class Cube(ho.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 3 * x**2 * g
    >>> ho.func.grad(ho.func.grad(Cube.apply))(ho.tensor(2.0))
    tensor(12.)
    """

    generate_vmap_rule = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise GradientError(f"{type(self).__name__} should not be instantiated: call {type(self).__name__}.apply(...).")

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The answer, or a tuple of answers."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Fill the context, if `forward` does not take it."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The cotangents of the arguments; may be called `vjp` instead."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
        """The answers for arguments with a batch axis each (or None), and where theirs is."""
        raise NotImplementedError("vmap is not implemented.")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Call the function."""
        positions = [i for i, arg in enumerate(args) if isinstance(arg, Tensor)]
        call = _FunctionCall(cls, args, positions)
        outputs, _ = evaluate(call, [args[i] for i in positions])
        wrapped = tuple(wrap(y) for y in outputs)
        return wrapped if call.several else wrapped[0]


class VmapInfo(NamedTuple):
    """What `Function.vmap` is told of the map."""

    batch_size: int
    randomness: str


class _FunctionCall(Call):
    """One application of a `Function`."""

    __slots__ = ("args", "cls", "generated", "needs", "positions", "several")

    def __init__(self, cls: type[Function], args: tuple[Any, ...], positions: list[int]) -> None:
        super().__init__(cls.__name__, [is_tracked(args[i]) for i in positions])
        self.cls = cls
        self.positions = positions
        self.args = [None if isinstance(arg, Tensor) else arg for arg in args]
        tracked = dict(zip(positions, self.tracked, strict=True))
        self.needs = tuple(tracked.get(i, False) for i in range(len(args)))
        self.several = False
        self.generated = bool(cls.generate_vmap_rule)
        if self.generated and cls.vmap is not Function.vmap:
            raise ArgumentError(f"{self.name} has both generate_vmap_rule=True and a vmap static method, expected one.")

    def _full(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        full = list(self.args)
        for i, x in zip(self.positions, inputs, strict=True):
            full[i] = x
        return tuple(full)

    def _separate(self) -> bool:
        return self.cls.setup_context is not Function.setup_context

    def forward(self, inputs: list[Tensor]) -> tuple[list[Tensor], Residue]:
        ctx = FunctionCtx(self.needs)
        args = self._full(inputs)
        if any(map(is_tracked, inputs)):
            # Evaluated again, to differentiate what it saved.
            result = self._run(ctx, args)
        else:
            with no_grad():
                result = self._run(ctx, args)
        self.several = isinstance(result, tuple)
        outputs = list(result) if isinstance(result, tuple) else [result]
        for i, y in enumerate(outputs):
            if not isinstance(y, Tensor):
                raise DtypeError(f"{self.name}.forward returned {type(y).__name__} at output {i}, expected a tensor.")
        constant = [i for i, y in enumerate(outputs) if any(y is c for c in ctx._constant)]
        # An input that is returned is a new tensor, as in PyTorch: the two have different derivatives.
        return [ops.clone(y) if any(y is x for x in inputs) else y for y in outputs], Residue(ctx.content(), constant)

    def _run(self, ctx: FunctionCtx, args: tuple[Any, ...]) -> Any:
        if not self._separate():
            return self.cls.forward(ctx, *args)
        result = self.cls.forward(*args)
        self.cls.setup_context(ctx, args, result)
        return result

    def late(self, inputs: list[Tensor], outputs: list[Tensor]) -> Residue:
        if not self._separate():
            raise GradientError(
                f"{self.name} has a vmap rule of its own, and its forward takes the context: to differentiate it "
                "inside vmap, let forward take the arguments alone and save in setup_context(ctx, inputs, output)."
            )
        ctx = FunctionCtx(self.needs)
        self.cls.setup_context(ctx, self._full(inputs), tuple(outputs) if self.several else outputs[0])
        constant = [i for i, y in enumerate(outputs) if any(y is c for c in ctx._constant)]
        return Residue(ctx.content(), constant).place(inputs, outputs).bind(inputs, outputs)

    def backward(self, residue: Residue, cotangents: list[Any]) -> Sequence[Any]:
        rule: Any = self.cls.backward
        if rule is Function.backward:
            rule = getattr(self.cls, "vjp", rule)
        if rule is Function.backward and hasattr(self.cls, "jvp"):
            raise GradientError(
                f"{self.name} has a jvp and no backward, so it can be differentiated in forward mode only. You must "
                "implement either the backward or vjp method to use it with backward mode AD."
            )
        ctx = FunctionCtx.of(self.needs, residue.content)
        if ctx._saved["materialize"]:
            cotangents = [
                ops.zeros(*shape, dtype=dtype) if g is None else g
                for g, (shape, dtype) in zip(cotangents, residue.answers, strict=True)
            ]
        pulled = rule(ctx, *cotangents)
        pulled = list(pulled) if isinstance(pulled, (tuple, list)) else [pulled]
        # As in PyTorch, more entries than arguments are forgiven if they are None.
        while len(pulled) > len(self.args) and pulled[-1] is None:
            pulled.pop()
        if len(pulled) != len(self.args):
            raise GradientError(
                f"function {self.name}Backward returned an incorrect number of gradients (expected {len(self.args)}, "
                f"got {len(pulled)})."
            )
        for i, g in enumerate(pulled):
            if g is not None and i not in self.positions:
                raise GradientError(
                    f"function {self.name}Backward returned a gradient different from None at position {i}, but the "
                    "corresponding forward input was not a Variable."
                )
        return [pulled[i] for i in self.positions]

    def tangent(self, residue: Residue, tangents: list[Any]) -> Sequence[Any] | None:
        rule = getattr(self.cls, "jvp", None)
        if rule is None:
            return None
        full: list[Any] = [None] * len(self.args)
        for i, t in zip(self.positions, tangents, strict=True):
            full[i] = t
        pushed = rule(FunctionCtx.of(self.needs, residue.content, forward=True), *full)
        return pushed if isinstance(pushed, tuple) else (pushed,)

    def batched(self, size: int, inputs: list[Any], axes: list[int | None], randomness: str) -> list[Any] | None:
        if self.cls.vmap is Function.vmap:
            return None
        in_dims: list[Any] = [None] * len(self.args)
        for i, axis in zip(self.positions, axes, strict=True):
            in_dims[i] = axis
        result = self.cls.vmap(VmapInfo(size, randomness), tuple(in_dims), *self._full(inputs))
        if not isinstance(result, tuple) or len(result) != 2:
            raise ArgumentError(f"{self.name}.vmap must return (output, out_dims), found {type(result).__name__}.")
        outputs, places = result
        self.several = isinstance(outputs, tuple)
        outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
        places = list(places) if isinstance(places, (tuple, list)) else [places] * len(outputs)
        if len(places) != len(outputs):
            raise ArgumentError(f"{self.name}.vmap returned {len(outputs)} outputs and {len(places)} out_dims.")
        return [
            ops.broadcast_to(y, (size, *y.shape)) if place is None else ops.moveaxis(y, place, 0)
            for y, place in zip(outputs, places, strict=True)
        ]


class _Once(Call):
    """The identity on its first input, with a derivative that is refused."""

    generated = True
    __slots__ = ()

    def forward(self, inputs: list[Tensor]) -> tuple[list[Tensor], Residue]:
        return [ops.clone(inputs[0])], Residue(None)

    def backward(self, residue: Residue, cotangents: list[Any]) -> Sequence[Any]:
        raise GradientError(
            "trying to differentiate twice a function that was marked with @once_differentiable: write its backward of "
            "differentiable operations and take the mark away."
        )

    def tangent(self, residue: Residue, tangents: list[Any]) -> Sequence[Any]:
        return self.backward(residue, tangents)


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for the `backward` of a `Function` that cannot be differentiated itself; trying to raises.

    It gets constants, so it may use NumPy.

    >>> import hograd as ho
    >>> import numpy as np
    >>> class Log(ho.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return ho.tensor(np.log(x.numpy()))
    ...
    ...     @staticmethod
    ...     @ho.autograd.function.once_differentiable
    ...     def backward(ctx, g):
    ...         return ho.tensor(g.numpy() / ctx.saved_tensors[0].numpy())
    >>> ho.func.grad(Log.apply)(ho.tensor(4.0))
    tensor(0.2500)
    """

    @functools.wraps(backward)
    def constant(ctx: Any, *grads: Any) -> Any:
        content = ctx.content()
        values = [*grads, *Residue(content).leaves]
        involved = [x for x in values if is_tracked(x)]
        with no_grad():
            result = backward(
                FunctionCtx.of(ctx.needs_input_grad, tree.detach(content)),
                *[g if g is None else g.detach() for g in grads],
            )
        if not involved:
            return result
        several = isinstance(result, (tuple, list))
        marked = [g if g is None else _mark(g, involved) for g in (result if several else [result])]
        return tuple(marked) if several else marked[0]

    return constant


def _mark(g: Any, involved: list[Any]) -> Any:
    outputs, _ = evaluate(_Once("once_differentiable", [True] * (1 + len(involved))), [g, *involved])
    return wrap(outputs[0])


__all__ = ["Function", "FunctionCtx", "VmapInfo", "once_differentiable"]
