"""One call in both libraries: the values, the gradient and the second derivative, and in what they differ."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import hograd as ho
from hograd.errors import HogradError

from .names import ARRANGEMENTS, INPUTS, OUTPUTS, Form, identifier

TOLERANCE = 1e-9

#: Where and how PyTorch keeps a tensor in memory, which no value depends on.
OF_STORAGE = ("device", "layout", "memory_format", "pin_memory", "non_blocking")

#: A call that does not fit the signature of the public function itself.
SIGNATURE = re.compile(
    r"(?:\w+\.)*(\w+)\(\) (?:got an unexpected|got some positional|takes|missing|got multiple values)"
)


class NotComparable(Exception):
    """The sample holds something that has no counterpart, such as a sparse tensor."""


@dataclass(frozen=True)
class Found:
    """A difference that one sample shows: what differs, the form of the call, the sample and the particulars."""

    what: str
    form: str
    sample: Any
    detail: str

    def __str__(self) -> str:
        return f"{self.what} by {self.form}({describe(self.sample)}): {self.detail}"


def compare(op: Any, form: Form, sample: Any) -> Iterator[Found] | None:
    """The differences of one call; None if PyTorch itself does not take this sample in this form."""
    if form.in_place and (sample.broadcasts_input or not torch.is_tensor(sample.input)):
        return None
    if form.name.startswith("Tensor.") and not torch.is_tensor(sample.input):
        return None
    call = (sample.input, *sample.args), {k: v for k, v in sample.kwargs.items() if k not in OF_STORAGE}
    try:
        theirs = Derivatives(op, form, form.theirs, convert(call, to_torch), sample, torch.autograd.grad)
        arguments = convert(call, to_hograd)
    except NotComparable:
        return None
    except Exception:
        return None
    return differences(op, form, arguments, sample, theirs)


def differences(op: Any, form: Form, arguments: Any, sample: Any, theirs: Derivatives) -> Iterator[Found]:
    try:
        ours = Derivatives(op, form, form.ours, arguments, sample, ho.grad)
    except Exception as error:
        yield Found(refusal(error, form), form.name, sample, f"{type(error).__name__}: {error}")
        return
    if len(ours.outputs) != len(theirs.outputs):
        yield Found("structure", form.name, sample, f"{len(ours.outputs)} answers, not {len(theirs.outputs)}")
        return
    for y, e in zip(ours.outputs, theirs.outputs, strict=True):
        y, e = as_array(y), as_array(e)
        if y.dtype != e.dtype:
            yield Found("dtype", form.name, sample, f"{y.dtype}, not {e.dtype}")
        if detail := differs(y, e):
            yield Found("value", form.name, sample, detail)
            return
    # Where PyTorch has no derivative there is nothing to compare with.
    ours.differentiable = [getattr(y, "requires_grad", False) for y in theirs.outputs]
    for what in ("gradient", "second derivative"):
        expected = theirs.of(what)
        if expected is None:
            return
        try:
            found = ours.of(what)
        except Exception as error:
            yield Found(refusal(error, form), form.name, sample, f"{what}: {type(error).__name__}: {error}")
            return
        assert found is not None
        for y, e in zip(found, expected, strict=True):
            if detail := differs(as_array(y), as_array(e)):
                yield Found(what, form.name, sample, detail)
                return


def accepted(op: Any, form: Form, sample: Any) -> Iterator[Found]:
    """What hograd makes of arguments that PyTorch refuses, unless it refuses them too."""
    call = (sample.input, *sample.args), {k: v for k, v in sample.kwargs.items() if k not in OF_STORAGE}
    try:
        arguments = convert(call, to_hograd)
    except (NotComparable, ValueError):
        return
    try:
        answer = Derivatives(op, form, form.ours, arguments, sample, ho.grad)
    except Exception as error:
        if refusal(error, form) == "crash":
            yield Found("crash", form.name, sample, f"{type(error).__name__}: {error}")
    else:
        yield Found("accepted", form.name, sample, f"the answer is {answer.outputs}")


class Derivatives:
    """The answers of one call in one library, and their derivatives along fixed random directions."""

    def __init__(self, op: Any, form: Form, function: Any, arguments: Any, sample: Any, grad: Any) -> None:
        args, kwargs = arguments
        self.op, self.grad = op, grad
        self.inputs = [x for x in leaves([args, list(kwargs.values())]) if getattr(x, "requires_grad", False)]
        name = identifier(op)
        args = INPUTS[name](*args, **kwargs) if name in INPUTS else args
        if form.arranged and name in ARRANGEMENTS:
            args = ARRANGEMENTS[name](*args)
        elif form.arranged and op.name in ARRANGEMENTS:
            args = ARRANGEMENTS[op.name](*args)
        with quiet(grad):
            answer = function(*args, **kwargs)
            if getattr(sample, "output_process_fn_grad", None) is not None:
                answer = sample.output_process_fn_grad(answer)
            self.outputs = leaves(OUTPUTS.get(name, lambda y: y)(answer))
        self.differentiable = [getattr(y, "requires_grad", False) for y in self.outputs]
        self.first: list[Any] = []

    def of(self, what: str) -> list[Any] | None:
        """The gradient or, after it, the second derivative, for every input; None where PyTorch has none."""
        with quiet(self.grad):
            try:
                if what == "gradient":
                    outputs = [y for y, d in zip(self.outputs, self.differentiable, strict=True) if d]
                    self.first = self.pull(outputs, seed=1)
                    return self.first
                return self.pull(self.first, seed=2)
            except (NotImplementedError, RuntimeError) as error:
                if self.grad is not ho.grad and is_missing_derivative(self.op, what, error):
                    return None
                raise

    def pull(self, outputs: list[Any], seed: int) -> list[Any]:
        heads, weights = [], []
        for i, y in enumerate(outputs):
            if getattr(y, "requires_grad", False):
                heads.append(y)
                weights.append(self.weight(y, np.random.default_rng([seed, i])))
        pulled = (None,) * len(self.inputs)
        if heads and self.inputs:
            pulled = self.grad(heads, self.inputs, weights, create_graph=True, allow_unused=True)
        return [self.zeros(x) if g is None else g for g, x in zip(pulled, self.inputs, strict=True)]

    def weight(self, y: Any, draw: np.random.Generator) -> Any:
        weight = draw.normal(size=tuple(y.shape))
        if as_array(y).dtype.kind == "c":
            weight = weight + 1j * draw.normal(size=tuple(y.shape))
        weight = np.asarray(weight, as_array(y).dtype)
        return ho.tensor(weight) if self.grad is ho.grad else torch.tensor(weight)

    def zeros(self, x: Any) -> Any:
        return np.zeros(tuple(x.shape), as_array(x).dtype)


@contextlib.contextmanager
def quiet(grad: Any) -> Iterator[None]:
    """PyTorch's warnings are its own, and of NumPy's those of poles and overflows; any other is an error here."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        if grad is not ho.grad:
            warnings.simplefilter("ignore")
        yield


def is_missing_derivative(op: Any, what: str, error: Exception) -> bool:
    said = re.search(r"not implemented|does not support|not (currently )?supported|not differentiable", str(error))
    return bool(said) or (what == "second derivative" and not op.supports_gradgrad)


def refusal(error: Exception, form: Form) -> str:
    """`refused` if the call was turned down on purpose, at the boundary; else `crash`."""
    if isinstance(error, HogradError):
        return "refused"
    at_boundary = SIGNATURE.match(str(error)) if isinstance(error, TypeError) else None
    return "refused" if at_boundary and at_boundary[1].strip("_") == form.called.strip("_") else "crash"


def differs(y: np.ndarray, e: np.ndarray) -> str:
    """How two arrays differ, or nothing."""
    if y.shape != e.shape:
        return f"shape {y.shape}, not {e.shape}"
    if np.allclose(y, e, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
        return ""
    worst = np.unravel_index(np.argmax(~np.isclose(y, e, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)), y.shape)
    return f"{y[worst]!s}, not {e[worst]!s}, at {tuple(int(i) for i in worst)} of {y.shape}"


def leaves(value: Any) -> list[Any]:
    """The tensors and numbers in nested lists and tuples."""
    if isinstance(value, (list, tuple)):
        return [leaf for element in value for leaf in leaves(element)]
    return [value]


def as_array(value: Any) -> np.ndarray:
    if torch.is_tensor(value):
        return value.numpy(force=True)
    return value.detach().numpy() if isinstance(value, ho.Tensor) else np.asarray(value)


def convert(value: Any, leaf: Any) -> Any:
    """Nested arguments with `leaf` applied to what is no container."""
    if isinstance(value, (list, tuple)):
        return type(value)(convert(v, leaf) for v in value) if type(value) in (list, tuple) else tuple(value)
    if isinstance(value, dict):
        return {key: convert(v, leaf) for key, v in value.items()}
    if isinstance(value, slice):
        return slice(*(convert(v, leaf) for v in (value.start, value.stop, value.step)))
    return leaf(value)


def to_torch(value: Any) -> Any:
    """A leaf of its own for every tensor."""
    return value.detach().requires_grad_(value.requires_grad) if torch.is_tensor(value) else value


def to_hograd(value: Any) -> Any:
    if torch.is_tensor(value):
        if value.layout is not torch.strided or value.dtype is torch.bfloat16 or value.is_meta:
            raise NotComparable
        return ho.tensor(as_array(value), requires_grad=value.requires_grad)
    if isinstance(value, torch.dtype):
        try:
            return np.dtype(str(value).removeprefix("torch."))
        except TypeError:
            raise NotComparable from None
    if isinstance(value, (torch.layout, torch.memory_format, torch.device, torch.Generator)):
        raise NotComparable
    return value


def describe(sample: Any) -> str:
    """The arguments of a sample, with the shape for a tensor."""

    def short(value: Any) -> str:
        if torch.is_tensor(value):
            return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(map(short, value))}]"
        return repr(value)

    named = [f"{name}={short(value)}" for name, value in sample.kwargs.items()]
    return ", ".join([*map(short, (sample.input, *sample.args)), *named])
