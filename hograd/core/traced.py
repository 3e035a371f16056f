"""Values of a program that is being captured: a slot with a shape and a dtype, and no number that code may read."""

from __future__ import annotations

import os
import sys
from typing import Any

from hograd.core.levels import state
from hograd.core.tape import Owner, leaf
from hograd.core.tensor import Tensor, check_floating, tape_for_leaf
from hograd.errors import CaptureError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # pathlib takes a tenth of the import's time


class Slot:
    """A place of the program that `trace` captures.

    `example` is what stood there in the run that is captured: shapes, dtypes and errors come from real numbers, but
    code that asks for them is refused, because the next run has other ones. `weak`: it is a number of Python's, which
    takes its dtype from the tensors that it meets.
    """

    __slots__ = ("dtype", "example", "line", "number", "shape", "trace", "weak")
    device = "cpu"

    def __init__(self, trace: Any, number: int, example: Any, line: str, *, weak: bool = False) -> None:
        self.trace = trace
        self.number = number
        self.example = example
        self.line = line
        self.shape = example.shape
        self.dtype = example.dtype
        self.weak = weak

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return int(self.example.nbytes)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise self.unreadable("numpy()")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self.unreadable(f"{name}()")

    def __repr__(self) -> str:
        return f"traced(shape={self.shape}, dtype={self.dtype})"

    def unreadable(self, use: str) -> CaptureError:
        """The error of code that needs numbers."""
        return CaptureError(
            f"{use} was called at {user_line()} in a function that is being compiled, on a value computed at "
            f"{self.line}: its numbers differ from call to call, so Python can neither read them nor take a shape or a "
            "branch from them. Use where() instead of `if` and of a mask as an index, keep numbers as tensors instead "
            "of float() or item(), return values instead of printing them, or name the argument in static_argnames."
        )


class Traced(Tensor):
    """A value of a program that is being captured: always below every transform."""

    __slots__ = ()
    value: Any

    def __init__(self, slot: Slot) -> None:
        self.value = slot
        self.node = None
        self.level = -1

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        if requires_grad:
            check_floating(self.dtype)
            inner = Traced(self.value)
            self.__class__ = Tensor  # type: ignore[assignment]
            self.value, self.node, self.level = inner, leaf(inner), tape_for_leaf(None)
            self.node.owner = Owner(self)
        return self

    def assign(self, new: Any) -> Any:
        # Numbers of Python's do not change: after  c += 1  the name stands for another one.
        return new if self.value.weak else super().assign(new)

    def __repr__(self) -> str:
        return repr(self.value)


def record(primitive: Any, args: Any, params: dict[str, Any], number: int) -> Any:
    """Put one operation into the program that its arguments belong to."""
    trace = state.trace
    for arg in args:
        if type(arg) is Traced and arg.value.trace is not trace:
            raise CaptureError(
                f"{primitive.name} at {user_line()} was given a value that was computed at {arg.value.line} while "
                "another function was being compiled, and was kept outside of it: a compiled function runs again "
                "without its Python code, so what it stores elsewhere is not updated. Return the value instead."
            )
    return trace.record(primitive, args, params)


Traced.interpret = staticmethod(record)


def is_weak(value: Any) -> bool:
    """Whether a value stands for a number of Python's, and was computed from such numbers alone."""
    return type(value) is Traced and value.value.weak


def with_weakness(value: Any, weak: bool) -> Any:
    """A value of a program as a number of Python's, or as a tensor like any other."""
    if type(value) is not Traced or value.value.weak == weak:
        return value
    slot = value.value
    return Traced(Slot(slot.trace, slot.number, slot.example, slot.line, weak=weak))


def strong(value: Any) -> Any:
    """What `hograd.tensor` makes of a number of Python's, also while it is a value of a program; others as they are."""
    return value.value.trace.tensor_of(value) if is_weak(value) else value


_files: dict[Any, str] = {}


def user_line() -> str:
    """The innermost running line outside of the package."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        file = _files.get(code)
        if file is None:
            inside = code.co_filename.startswith((_PACKAGE, "<frozen", "<hograd"))
            file = _files[code] = "" if inside else os.path.basename(code.co_filename)
        if file:
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return "an unknown line"
