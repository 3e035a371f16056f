"""Textual LLVM IR: types, constants, and functions with loops."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from hograd.core.restoring import silent

FLOAT32, FLOAT64, BOOL, INT64 = (np.dtype(t) for t in (np.float32, np.float64, np.bool_, np.int64))
POINTER = "ptr"

#: In registers, and in memory.
_TYPES = {FLOAT32: "float", FLOAT64: "double", BOOL: "i1", INT64: "i64"}
_STORED = {FLOAT32: "float", FLOAT64: "double", BOOL: "i8", INT64: "i64"}


def is_native(dtype: Any) -> bool:
    """Whether machine code computes with this dtype."""
    return dtype in _TYPES


def type_of(dtype: Any, lanes: int) -> str:
    """The type of `lanes` values, or of one if `lanes` is 0."""
    return vector(_TYPES[dtype], lanes)


def stored_type(dtype: Any, lanes: int) -> str:
    """The same in memory, where a bool is a byte."""
    return vector(_STORED[dtype], lanes)


def vector(scalar: str, lanes: int) -> str:
    return f"<{lanes} x {scalar}>" if lanes else scalar


def integer_of(dtype: Any, lanes: int) -> str:
    """The integers of the same width."""
    return vector("i64" if dtype == FLOAT64 else "i32", lanes)


def suffix(dtype: Any, lanes: int) -> str:
    """What intrinsics of this type are called."""
    return (f"v{lanes}" if lanes else "") + ("f64" if dtype == FLOAT64 else "f32")


def number(value: Any, dtype: Any) -> str:
    """A constant in hexadecimal, so that it is exact."""
    if dtype == BOOL:
        return "true" if value else "false"
    if dtype == INT64:
        return str(int(value))
    with silent():
        exact = float(dtype.type(value))
    return "0x" + struct.pack(">d", exact).hex().upper()


def constant(value: Any, dtype: Any, lanes: int) -> str:
    """A constant in all lanes."""
    return _spread(_TYPES[dtype], number(value, dtype), lanes)


def integer(value: int, dtype: Any, lanes: int) -> str:
    """An integer constant of the width of `dtype` in all lanes."""
    return _spread(integer_of(dtype, 0), str(value), lanes)


def _spread(scalar: str, value: str, lanes: int) -> str:
    return f"splat ({scalar} {value})" if lanes else value


class Function:
    """The body of a function while it is written.

    Attributes:
        declarations: intrinsics and functions of the module that the body calls.
    """

    def __init__(self, declarations: dict[str, str]) -> None:
        self.declarations = declarations
        self.lines: list[str] = []
        self.first: list[str] = []
        self.label = "entry"
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"%v{self.count}"

    def do(self, text: str) -> None:
        self.lines.append("  " + text)

    def let(self, text: str) -> str:
        """A name for what an instruction gives."""
        name = self.name()
        self.lines.append(f"  {name} = {text}")
        return name

    def call(self, function: str, returns: str, arguments: list[tuple[str, str]], flags: str = "") -> str:
        """A call of an intrinsic; `arguments` are pairs of type and value."""
        self.declarations.setdefault(
            function, f"declare {returns} @{function}({', '.join(kind for kind, _ in arguments)})"
        )
        given = ", ".join(f"{kind} {value}" for kind, value in arguments)
        return self.let(f"call {flags + ' ' if flags else ''}{returns} @{function}({given})")

    def variable(self, kind: str) -> str:
        """Memory for one value on the stack, which becomes a register."""
        name = self.name()
        self.first.append(f"  {name} = alloca {kind}")
        return name

    def element(self, kind: str, pointer: str, index: str | int) -> str:
        """The address of an element."""
        if index in (0, "0"):
            return pointer
        return self.let(f"getelementptr inbounds {kind}, ptr {pointer}, i64 {index}")

    def times(self, index: str, factor: int) -> str:
        """An index times a number."""
        if index == "0" or factor == 0:
            return "0"
        return index if factor == 1 else self.let(f"mul nsw i64 {index}, {factor}")

    def plus(self, a: str, b: str) -> str:
        if a == "0" or b == "0":
            return b if a == "0" else a
        return self.let(f"add nsw i64 {a}, {b}")

    @contextlib.contextmanager
    def loop(self, count: int) -> Iterator[str]:
        """The body of a loop; what is yielded is its index, "0" if it runs once."""
        if count == 1:
            yield "0"
            return
        self.count += 1
        mark = self.count
        index = f"%i{mark}"
        self.do(f"br label %head{mark}")
        self.lines.append(f"head{mark}:")
        self.do(f"{index} = phi i64 [ 0, %{self.label} ], [ {index}.next, %latch{mark} ]")
        self.label = f"head{mark}"
        yield index
        self.do(f"br label %latch{mark}")
        self.lines.append(f"latch{mark}:")
        self.do(f"{index}.next = add nuw nsw i64 {index}, 1")
        self.do(f"{index}.more = icmp ult i64 {index}.next, {count}")
        self.do(f"br i1 {index}.more, label %head{mark}, label %exit{mark}")
        self.lines.append(f"exit{mark}:")
        self.label = f"exit{mark}"

    def load(self, dtype: Any, lanes: int, pointer: str) -> str:
        """`lanes` values that lie side by side."""
        kind = stored_type(dtype, lanes)
        value = self.let(f"load {kind}, ptr {pointer}, align {dtype.itemsize}")
        if dtype == BOOL:
            zero = "zeroinitializer" if lanes else "0"
            return self.let(f"icmp ne {kind} {value}, {zero}")
        return value

    def store(self, dtype: Any, lanes: int, value: str, pointer: str) -> None:
        kind = stored_type(dtype, lanes)
        if dtype == BOOL:
            value = self.let(f"zext {type_of(dtype, lanes)} {value} to {kind}")
        self.do(f"store {kind} {value}, ptr {pointer}, align {dtype.itemsize}")

    def splat(self, dtype: Any, lanes: int, value: str) -> str:
        """A value in all lanes."""
        if not lanes:
            return value
        kind, scalar = type_of(dtype, lanes), type_of(dtype, 0)
        first = self.let(f"insertelement {kind} poison, {scalar} {value}, i64 0")
        return self.let(f"shufflevector {kind} {first}, {kind} poison, <{lanes} x i32> zeroinitializer")

    def gather(self, dtype: Any, lanes: int, pointer: str, stride: int) -> str:
        """Values that lie `stride` apart."""
        kind, scalar = type_of(dtype, lanes), type_of(dtype, 0)
        value = "poison"
        for i in range(lanes):
            one = self.load(dtype, 0, self.element(stored_type(dtype, 0), pointer, i * stride))
            value = self.let(f"insertelement {kind} {value}, {scalar} {one}, i64 {i}")
        return value

    def scatter(self, dtype: Any, lanes: int, value: str, pointer: str, stride: int) -> None:
        """Put values `stride` apart."""
        for i in range(lanes):
            one = self.let(f"extractelement {type_of(dtype, lanes)} {value}, i64 {i}")
            self.store(dtype, 0, one, self.element(stored_type(dtype, 0), pointer, i * stride))

    def total(self, dtype: Any, lanes: int, value: str, start: str | None = None) -> str:
        """The sum of all lanes, plus `start`."""
        if not lanes:
            return value if start is None else self.let(f"fadd contract {type_of(dtype, 0)} {start}, {value}")
        scalar = type_of(dtype, 0)
        return self.call(
            f"llvm.vector.reduce.fadd.{suffix(dtype, lanes)}",
            scalar,
            [(scalar, start or number(-0.0, dtype)), (type_of(dtype, lanes), value)],
            "reassoc",
        )

    def finish(self, name: str, pointers: int) -> str:
        """The function: it takes the address of `pointers` addresses, to memory that does not overlap."""
        arguments = ", ".join(f"ptr noalias %a{i}" for i in range(pointers))
        body = [f"define internal void @{name}.body({arguments}) alwaysinline nounwind {{", "entry:"]
        body += [*self.first, *self.lines, "  ret void", "}"]
        body += [f"define void @{name}(ptr %table) nounwind {{"]
        for i in range(pointers):
            body.append(f"  %p{i} = getelementptr inbounds ptr, ptr %table, i64 {i}")
            body.append(f"  %a{i} = load ptr, ptr %p{i}, align 8")
        body.append(f"  call void @{name}.body({', '.join(f'ptr %a{i}' for i in range(pointers))})")
        body += ["  ret void", "}"]
        return "\n".join(body) + "\n"
