"""Programs as straight-line Python that calls NumPy.

Values with axes go to buffers that are made once and used again as soon as what they hold is no longer needed; numbers
of shape () are Python's own. Answers always lie in new memory.
"""

from __future__ import annotations

import linecache
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hograd.program.ir import Instruction, Literal, Program
from hograd.program.passes import last_reads, origins

#: Operations that are one call of a ufunc, which can write to a buffer.
_UFUNCS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "div": "true_divide",
    "neg": "negative",
    "exp": "exp",
    "log": "log",
    "log1p": "log1p",
    "expm1": "expm1",
    "sqrt": "sqrt",
    "safe_sqrt": "sqrt",
    "sin": "sin",
    "cos": "cos",
    "tanh": "tanh",
    "square": "square",
    "abs": "abs",
    "maximum": "maximum",
    "minimum": "minimum",
    "gt": "greater",
    "ge": "greater_equal",
    "lt": "less",
    "le": "less_equal",
    "eq": "equal",
    "ne": "not_equal",
}

#: The same on Python floats; what these refuse (1 / 0, log 0, overflow) is computed again by NumPy's functions.
_SCALARS = {
    "add": "({} + {})",
    "sub": "({} - {})",
    "mul": "({} * {})",
    "div": "({} / {})",
    "neg": "(-{})",
    "tanh": "tanh({})",
    "exp": "exp({})",
    "log": "log({})",
    "sin": "sin({})",
    "cos": "cos({})",
    "sqrt": "sqrt({})",
    "square": "({0} * {0})",
}

_FLOAT64 = np.dtype(np.float64)
_PRODUCTS = {"mm_nn": ("{}", "{}"), "mm_nt": ("{}", "{}.T"), "mm_tn": ("{}.T", "{}")}


class Generator:
    """The source of one program, and the objects that it names.

    Args:
        program: what is to run.
        reuse: whether answers are written to buffers that are kept between calls.
        scalars: whether numbers of shape () and dtype float64 are Python's.
    """

    def __init__(self, program: Program, *, reuse: bool = True, scalars: bool = True) -> None:
        self.program = program
        self.names = program.names()
        self.objects: dict[str, Any] = {"np": np, "f64": np.float64}
        if scalars:
            self.objects.update({name: getattr(math, name) for name in ("tanh", "exp", "log", "sin", "cos", "sqrt")})
        self.lines: list[str] = []
        self.scalars = scalars
        self.reuse = reuse
        self.plain: set[int] = set()
        self.last = last_reads(program)
        self.origins = origins(program)
        self.kept = {o for s in program.outputs for o in self.origins.get(s, (s,))}
        #: Buffers as (name, shape, dtype); and by (shape, dtype) those that hold nothing now.
        self.buffers: list[tuple[str, tuple[int, ...], Any]] = []
        self.free: dict[Any, list[str]] = {}
        self.held: dict[int, str] = {}
        self.numbers = {at.output: i for i, at in enumerate(program.instructions)}
        self.dying: dict[int, list[int]] = {}
        for s, i in self.last.items():
            self.dying.setdefault(i, []).append(s)

    def generate(self, name: str) -> str:
        """The source."""
        program = self.program
        arguments = [*program.inputs, *[s for s, _ in program.draws]]
        for s, value in program.constants.items():
            if self._is_float(s):
                self.plain.add(s)
                self.objects[self.names[s]] = float(value)
            else:
                self.objects[self.names[s]] = value
        for s in arguments:
            if self._is_float(s):
                self.plain.add(s)
                self.lines.append(f"{self.names[s]} = float({self.names[s]})")
        for i, at in enumerate(program.instructions):
            self._instruction(i, at)
            for s in self.dying.get(i, ()):
                if s in self.held:
                    kind = program.kinds[s]
                    self.free.setdefault((kind.shape, kind.dtype), []).append(self.held.pop(s))
        answers = ", ".join(self._array(s) for s in program.outputs)
        head = [f"def {name}({', '.join(['buffers', *[self.names[s] for s in arguments]])}):"]
        if self.buffers:
            head.append(f"    {', '.join(b for b, _, _ in self.buffers)}, = buffers")
        return "\n".join([*head, *[f"    {line}" for line in self.lines], f"    return [{answers}]"]) + "\n"

    def _is_float(self, s: int) -> bool:
        kind = self.program.kinds[s]
        return self.scalars and kind.shape == () and kind.dtype == _FLOAT64

    def _operand(self, x: Any) -> str:
        """For operations that take Python numbers as they are."""
        if type(x) is Literal:
            return self._value(x.value)
        return self.names[x]

    def _array(self, x: Any) -> str:
        """For operations that need to see the dtype."""
        if type(x) is not Literal and x in self.plain:
            return f"f64({self.names[x]})"
        return self._operand(x)

    def _value(self, value: Any) -> str:
        """A value as source, or the name of an object that stands for it."""
        if type(value) in (bool, int, type(None)) or (type(value) is float and math.isfinite(value)):
            return f"({value!r})" if type(value) is not bool and value is not None and value < 0 else repr(value)
        if type(value) is tuple and all(type(v) is int for v in value):
            return repr(value)
        name = f"object_{len(self.objects)}"
        self.objects[name] = value
        return name

    def _instruction(self, i: int, at: Instruction) -> None:
        kind = self.program.kinds[at.output]
        name = at.primitive.name
        target = self.names[at.output]
        if (
            self._is_float(at.output)
            and name in _SCALARS
            and all(type(x) is Literal or x in self.plain for x in at.operands)
        ):
            self.plain.add(at.output)
            self.lines.append(f"{target} = {_SCALARS[name].format(*map(self._operand, at.operands))}")
            return
        if kind.shape and self._in_buffer(at, kind, name, target):
            return
        call = self._view(at, name) or self._kernel(i, at)
        if self._is_float(at.output):
            self.plain.add(at.output)
            call = f"float({call})"
        self.lines.append(f"{target} = {call}")

    def _kernel(self, i: int, at: Instruction) -> str:
        kernel = f"{at.primitive.name}_{i}"
        self.objects[kernel] = at.primitive.kernel
        operands = [self._array(x) for x in at.operands]
        operands += [f"{key}={self._value(value)}" for key, value in at.params.items()]
        return f"{kernel}({', '.join(operands)})"

    def _view(self, at: Instruction, name: str) -> str | None:
        """Operations that are a method or an expression, without a kernel's own call."""
        x = at.operands[0] if at.operands else None
        if type(x) is not int or not self.program.kinds[at.output].shape or not self.program.kinds[x].shape:
            return None
        if name == "reshape":
            return f"{self.names[x]}.reshape({at.params['shape']!r})"
        if name == "permute":
            return f"{self.names[x]}.transpose({at.params['axes']!r})"
        if name == "getitem":
            return f"{self.names[x]}[{self._value(at.params['index'])}]"
        return None

    def _in_buffer(self, at: Instruction, kind: Any, name: str, target: str) -> bool:
        """Write an operation that puts its answer into memory given to it; False if it is none."""
        kinds = self.program.kinds
        if kind.dtype.kind not in "fb" or math.prod(kind.shape) == 0:
            return False
        operands = at.operands
        if name in _UFUNCS:
            # Python floats are weak, so that beside other dtypes they have to be NumPy's.
            same = all(type(x) is Literal or kinds[x].dtype == kind.dtype or kind.dtype.kind == "b" for x in operands)
            given = [self._operand(x) if same and kind.dtype == _FLOAT64 else self._array(x) for x in operands]
            out = self._destination(at, kind, safe=same)
            call = f"np.{_UFUNCS[name]}({', '.join(given)}"
            # Of these NumPy wants the place for the answer by name.
            by_name = "out=" if name in ("maximum", "minimum") else ""
            self.lines.append(f"{call}, {by_name}{out})" if out else f"{target} = {call})")
            return True
        if type(operands[0]) is not int:
            return False
        x = self._operand(operands[0])
        if name in ("relu", "sigmoid") and kinds[operands[0]].dtype == kind.dtype and kind.dtype.kind == "f":
            out = self._destination(at, kind, safe=True)
            if name == "relu":
                self.lines.append(f"np.maximum({x}, 0, out={out})" if out else f"{target} = np.maximum({x}, 0)")
                return True
            if not out:
                return False
            self.lines += [
                f"np.negative({x}, {out})",
                f"np.exp({out}, {out})",
                f"np.add({out}, 1, {out})",
                f"np.true_divide(1, {out}, {out})",
            ]
            return True
        if name == "power" and at.params["exponent"] == 2 and kinds[operands[0]].dtype == kind.dtype:
            out = self._destination(at, kind, safe=True)
            self.lines.append(f"np.multiply({x}, {x}, {out})" if out else f"{target} = np.multiply({x}, {x})")
            return True
        if name in ("astype", "convert") and kind.dtype.kind == "f" and kinds[operands[0]].dtype.kind in "fiub":
            out = self._destination(at, kind, safe=False)
            if not out:
                return False
            self.lines.append(f"np.copyto({out}, {x}, 'unsafe')")
            return True
        if name in _PRODUCTS and kind.dtype.char in "fd":
            a, b = (form.format(self._operand(v)) for form, v in zip(_PRODUCTS[name], operands, strict=True))
            out = self._destination(at, kind, safe=False)
            self.lines.append(f"np.dot({a}, {b}, {out})" if out else f"{target} = np.dot({a}, {b})")
            return True
        if name == "matmul" and kind.dtype.char in "fd":
            return self._matmul(at, kind, target)
        if name == "softmax" and len(kind.shape) == 2 and at.params["axis"] == 1 and kind.dtype.char in "fd":
            out = self._destination(at, kind, safe=True)
            if not out:
                return False
            self.objects["softmax_rows"] = softmax_rows
            self.lines.append(f"softmax_rows({x}, {self._value(np.ones(kind.shape[1], kind.dtype))}, {out})")
            return True
        if name == "sum":
            return bool(kinds[operands[0]].shape) and self._sum(at, kind, target, x)
        return False

    def _matmul(self, at: Instruction, kind: Any, target: str) -> bool:
        a, b = at.operands
        if not type(a) is type(b) is int:
            return False
        left, right = self.program.kinds[a].shape, self.program.kinds[b].shape
        out = self._destination(at, kind, safe=False)
        if len(right) == 2 and len(left) > 2:
            rows = math.prod(left[:-1])
            call = f"{self.names[a]}.reshape({(rows, left[-1])}), {self.names[b]}"
            if out:
                self.lines.append(f"np.dot({call}, {out}.reshape({(rows, right[1])}))")
            else:
                self.lines.append(f"{target} = np.dot({call}).reshape({kind.shape})")
            return True
        call = f"{self.names[a]}, {self.names[b]}"
        self.lines.append(f"np.matmul({call}, {out})" if out else f"{target} = np.matmul({call})")
        return True

    def _sum(self, at: Instruction, kind: Any, target: str, x: str) -> bool:
        shape = self.program.kinds[at.operands[0]].shape
        axis, keepdims = at.params["axis"], at.params["keepdims"]
        if self.program.kinds[at.operands[0]].dtype != kind.dtype or kind.dtype.kind != "f":
            return False
        if len(shape) > 1 and axis == (len(shape) - 1,) and 2 <= shape[-1] <= 64:
            # A product with ones is several times faster than NumPy's sum over few elements.
            out = self._destination(at, kind, safe=False)
            if not out:
                return False
            ones = self._value(np.ones(shape[-1], kind.dtype))
            rows = math.prod(shape[:-1])
            self.lines.append(f"np.dot({x}.reshape({(rows, shape[-1])}), {ones}, {out}.reshape({rows}))")
            return True
        out = self._destination(at, kind, safe=False)
        if len(shape) == 2 and axis == (0,) and 2 <= shape[0] <= 4096 and shape[1] <= 256:
            ones = self._value(np.ones(shape[0], kind.dtype))
            if out and not keepdims:
                self.lines.append(f"np.dot({ones}, {x}, {out})")
                return True
            if not keepdims:
                self.lines.append(f"{target} = np.dot({ones}, {x})")
                return True
        over = axis if len(axis) != 1 else axis[0]
        if out:
            self.lines.append(f"np.add.reduce({x}, {over}, None, {out}, {keepdims})")
        else:
            self.lines.append(f"{target} = np.add.reduce({x}, {over}, None, None, {keepdims})")
        return True

    def _destination(self, at: Instruction, kind: Any, *, safe: bool) -> str | None:
        """The buffer that an answer goes to; None if it lies in new memory.

        `safe`: it may be the memory of an operand that is not needed any more.
        """
        if not self.reuse or at.output in self.kept:
            return None
        key = (kind.shape, kind.dtype)
        name = None
        if safe:
            for x in at.reads():
                if (
                    x in self.held
                    and self.last[x] == self.numbers[at.output]
                    and (self.program.kinds[x].shape, self.program.kinds[x].dtype) == key
                ):
                    name = self.held.pop(x)
                    break
        if name is None:
            waiting = self.free.get(key)
            if waiting:
                name = waiting.pop()
            else:
                name = f"b{len(self.buffers)}"
                self.buffers.append((name, kind.shape, kind.dtype))
        self.held[at.output] = name
        self.names[at.output] = name
        return name


def softmax_rows(x: np.ndarray, ones: np.ndarray, out: np.ndarray) -> None:
    """The softmax of every row, written to `out`, which may be `x`."""
    largest = np.maximum.reduce(x, axis=None)
    # Where all elements lie close together one maximum serves every row.
    if not float(largest) - float(np.minimum.reduce(x, axis=None)) < 30:
        largest = np.maximum.reduce(x, axis=1, keepdims=True)
    np.subtract(x, largest, out)
    np.exp(out, out)
    total = np.dot(out, ones)
    np.true_divide(1, total, total)
    np.multiply(out, total[:, None], out)


class Replay:
    """The code of a program with its buffers: as many sets of them as there are calls at one time."""

    def __init__(self, program: Program, name: str, *, reuse: bool = True, scalars: bool = True) -> None:
        generator = Generator(program, reuse=reuse, scalars=scalars)
        self.source = generator.generate(name)
        file = f"<hograd program {name} {id(self):#x}>"
        exec(compile(self.source, file, "exec"), generator.objects)
        # Tracebacks show the line.
        linecache.cache[file] = (len(self.source), None, self.source.splitlines(True), file)
        self.code: Callable[..., list[Any]] = generator.objects[name]
        self.kinds = [(shape, dtype) for _, shape, dtype in generator.buffers]
        self.program = program
        self.name = name
        #: The same without Python's numbers, for what these refuse.
        self.careful: Replay | None = None if scalars else self
        #: Sets of buffers that no call is using; taking and giving back are atomic.
        self.waiting: list[list[np.ndarray]] = []

    def __call__(self, *values: Any) -> list[Any]:
        """The answers for arrays: inputs, then draws."""
        try:
            buffers = self.waiting.pop()
        except IndexError:
            buffers = [np.empty(shape, dtype) for shape, dtype in self.kinds]
        try:
            return self.code(buffers, *values)
        except (ArithmeticError, ValueError):
            # Python's numbers refuse what NumPy's answer with inf or nan.
            if self.careful is None:
                self.careful = Replay(self.program, self.name, scalars=False)
            if self.careful is self:
                raise
            return self.careful(*values)
        finally:
            self.waiting.append(buffers)
