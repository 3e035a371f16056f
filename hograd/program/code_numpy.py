"""The source of a replay with NumPy.

Values with axes go to buffers that are made once and used again as soon as what they hold is no longer needed; numbers
of shape () are Python's own, in expressions. Answers always lie in new memory.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hograd.program.choices import Choices
from hograd.program.contractions import PRODUCTS, Contractions
from hograd.program.expressions import is_expression, scalar, written_inside
from hograd.program.ir import Instruction, Literal, Program
from hograd.program.lifetimes import last_reads, origins
from hograd.program.loops import LOOP, PART, has_loops
from hograd.program.memory import Memory, by_columns, is_tall

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

#: Operations that may write to the memory of an operand.
IN_PLACE = frozenset(_UFUNCS) | {"relu"}

_FLOAT64 = np.dtype(np.float64)


class Generator(Contractions, Choices):
    """The source of one program, and the objects that it names.

    Args:
        program: what is to run.
        reuse: whether answers are written to buffers that are kept between calls.
        scalars: whether numbers of shape () and dtype float64 are Python's.
    """

    def __init__(self, program: Program, *, reuse: bool = True, scalars: bool = True) -> None:
        self.program = program
        self.names = program.names()
        self.objects: dict[str, Any] = {"np": np, "f64": np.float64, "softmax_rows": softmax_rows, "empty": np.empty}
        if scalars:
            self.objects.update(sqrt=math.sqrt, pow=math.pow)
        self.lines: list[str] = []
        self.scalars = scalars
        self.reuse = reuse
        self.memory = Memory()
        self.numbers = {at.output: i for i, at in enumerate(program.instructions)}
        #: What is written where its only reader is: expressions of numbers, and products in sums.
        self.inside, positions = written_inside(program, self._is_float, self._written_inside())
        self.last = last_reads(program, positions)
        # The list of a loop's answers is taken apart at once: none of them keeps the others.
        self.last.update({at.operands[0]: i for i, at in enumerate(program.instructions) if at.primitive is PART})
        self.origins = origins(program)
        self.kept = {o for s in program.outputs for o in self.origins.get(s, (s,))}
        self.held: dict[int, str] = {}
        #: Buffers that loops stack answers in.
        self.stacks: dict[int, str] = {}
        self.spare: list[str] = []
        self.locals: dict[int, str] = {}
        self.shared: dict[Any, str] = {}
        #: Parts of concatenations that are computed where they belong: slot -> (concatenation, first row, rows).
        self.placed: dict[int, tuple[int, int, int]] = self._placed()
        #: Whether this is not only what stands around loops: a copy of a constant that is faster to read is worth it.
        self.often = not has_loops(program)
        #: Whether loops are computed again for their derivatives, to hold less: their stacks go when they were read.
        self.again = any(at.primitive is LOOP and has_loops(at.params["code"].step) for at in program.instructions)
        #: Where concatenations lie, and the parts that were computed there.
        self.begun: dict[int, str] = {}
        self.there: set[int] = set()
        #: Names of whether masks hold anywhere.
        self.anywhere: dict[int, str] = {}
        #: Slots that have a place of their own, and arguments whose memory is written to, with what is written there.
        self.places: dict[int, str] = {}
        self.overwritten: dict[int, int] = {}
        self.dying: dict[int, list[int]] = {}
        for s, i in self.last.items():
            self.dying.setdefault(i, []).append(s)

    def _written_inside(self) -> set[int]:
        """What else is written where its only reader is."""
        return set()

    def generate(self, name: str) -> str:
        """The source."""
        program = self.program
        arguments = [*program.inputs, *[s for s, _ in program.draws]]
        for s, value in program.constants.items():
            if self._is_float(s):
                self.objects[self.names[s]] = float(value)
            else:
                self.objects[self.names[s]] = by_columns(value) if is_tall(program.kinds[s].shape) else value
        for s in arguments:
            if self._is_float(s):
                self.lines.append(f"{self.names[s]} = float({self.names[s]})")
        for i, at in enumerate(program.instructions):
            self._instruction(i, at)
            for s in self.dying.get(i, ()):
                self._release(s)
        answers = ", ".join(self._array(s) for s in program.outputs)
        head = [f"def {name}({', '.join(['buffers', *[self.names[s] for s in arguments]])}):"]
        if self.memory.arrays:
            head.append(f"    {', '.join(self.memory.arrays)}, = buffers")
        return "\n".join([*head, *[f"    {line}" for line in self.lines], f"    return [{answers}]"]) + "\n"

    def _release(self, s: int) -> None:
        """Give back the memory of a value that is not needed any more."""
        if s in self.held:
            self.memory.give_back(self.held.pop(s))
        elif s in self.locals:
            self.spare.append(self.locals.pop(s))
        elif s in self.stacks:
            self.memory.give_back(self.stacks[s])
        elif not self._is_float(s) and self._made_by(s) in (LOOP, PART):
            # What loops have stacked is large, and lies in no buffer.
            self.lines.append(f"{self.names[s]} = None")

    def _made_by(self, s: int) -> Any:
        return self.program.instructions[self.numbers[s]].primitive if s in self.numbers else None

    def _is_float(self, s: int) -> bool:
        kind = self.program.kinds[s]
        return self.scalars and kind.shape == () and kind.dtype == _FLOAT64

    def _operand(self, x: Any) -> str:
        """For operations that take Python numbers as they are."""
        return self._value(x.value) if type(x) is Literal else self.names[x]

    def _array(self, x: Any) -> str:
        """For operations that need to see the dtype."""
        if type(x) is not Literal and self._is_float(x):
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

    def _filled(self, number: float, shape: tuple[int, ...], dtype: Any) -> str:
        """A constant array of one number."""
        key = number, shape, dtype
        if key not in self.shared:
            array = np.full(shape, number, dtype)
            self.shared[key] = self._value(np.asfortranarray(array) if is_tall(shape) else array)
        return self.shared[key]

    def _instruction(self, i: int, at: Instruction) -> None:
        kind = self.program.kinds[at.output]
        name = at.primitive.name
        if is_expression(self.program, at, self._is_float):
            operands = [
                repr(float(x.value)) if type(x) is Literal and 0 <= x.value < 1e15 else self._operand(x)
                for x in at.operands
            ]
            expression = scalar(at, operands)
            if at.output in self.inside:
                self.names[at.output] = expression
            else:
                self.lines.append(f"{self._local(i, at)} = {expression}")
            return
        if at.output in self.inside or at.output in self.stacks:
            return
        if at.primitive is LOOP:
            self._loop(i, at)
            return
        target = self.names[at.output]
        if name == "concatenate" and at.operands[0] in self.inside:
            rows = [self.program.instructions[self.numbers[x]] for x in at.operands]
            self.lines.append(f"{target} = np.array([{', '.join(self._operand(row.operands[0]) for row in rows)}])")
            return
        if kind.shape and self._in_buffer(at, kind, name, target):
            return
        if not kind.shape and name == "sum" and self._total(at, i):
            return
        call = self._view(at, name) or self._kernel(i, at)
        if call in self.memory.arrays:
            self.names[at.output] = call
        elif self._is_float(at.output):
            self.lines.append(f"{self._local(i, at)} = float({call})")
        else:
            self.lines.append(f"{target} = {call}")

    def _loop(self, i: int, at: Instruction) -> None:
        """A loop, which stacks what is no answer of this program in buffers."""
        code = at.params["code"]
        parts = [part for part in self.program.instructions if part.operands[:1] == (at.output,)]
        given = []
        for index, kind in list(enumerate(code.kinds()))[code.carry :]:
            slots = [part.output for part in parts if part.primitive is PART and part.params["index"] == index]
            private = self.reuse and len(slots) == 1 and slots[0] not in self.kept and kind.dtype.kind in "fc"
            if not private or self.again:
                given.append("None")
                continue
            tall = is_tall(kind.shape[1:])
            shape = (kind.shape[0], *kind.shape[:0:-1]) if tall else kind.shape
            name = self.memory.take(shape, kind.dtype, by_rows=True)
            self.stacks[slots[0]] = name
            self.names[slots[0]] = self._changed(name, ".transpose(0, 2, 1)") if tall else name
            given.append(self.names[slots[0]])
        self.objects[f"loop_{i}"] = code.run
        operands = [self._array(x) for x in at.operands]
        call = f"loop_{i}({', '.join(operands)}, stacks=({''.join(f'{g}, ' for g in given)}))"
        self.lines.append(f"{self.names[at.output]} = {call}")

    def _local(self, i: int, at: Instruction) -> str:
        """A name for a number, of one that is not needed any more where there is one."""
        if at.output in self.kept:
            return self.names[at.output]
        reusable = [s for s in self.dying.get(i, ()) if s in self.locals]
        waiting = [self.locals.pop(s) for s in reusable[:1]] or self.spare
        name = waiting.pop() if waiting else f"s{len(self.lines)}"
        self.locals[at.output] = self.names[at.output] = name
        return name

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
            return self._changed(self.names[x], f".reshape({at.params['shape']!r})")
        if name == "permute":
            return self._changed(self.names[x], f".transpose({at.params['axes']!r})")
        if name == "getitem":
            return self._changed(self.names[x], f"[{self._value(at.params['index'])}]")
        return None

    def _changed(self, name: str, change: str) -> str:
        """A view as a name, if it is one of a buffer, or else as an expression."""
        return self.memory.view(name, change, self.objects) or f"{name}{change}"

    def _in_buffer(self, at: Instruction, kind: Any, name: str, target: str) -> bool:
        """Write an operation that puts its answer into memory given to it; False if it is none."""
        if kind.dtype.kind not in "fb" or math.prod(kind.shape) == 0:
            return False
        if name in _UFUNCS:
            # Quotients of whole numbers are of the default dtype.
            whole = all(type(x) is Literal or self.program.kinds[x].dtype.kind in "iub" for x in at.operands)
            return not (name == "div" and whole) and self._ufunc(at, kind, name, target)
        if not at.operands or type(at.operands[0]) is not int:
            return False
        x, kinds = self._operand(at.operands[0]), self.program.kinds
        same = kinds[at.operands[0]].dtype == kind.dtype
        if name == "relu" and same and kind.dtype.kind == "f":
            # Beside a number NumPy takes several times as long.
            zeros = self._filled(0, kind.shape, kind.dtype)
            out = self._destination(at, kind, safe=True)
            self.lines.append(f"np.maximum({x}, {zeros}, out={out})" if out else f"{target} = np.maximum({x}, {zeros})")
            return True
        if name == "power" and at.params["exponent"] == 2 and same:
            out = self._destination(at, kind, safe=True)
            self.lines.append(f"np.multiply({x}, {x}, {out})" if out else f"{target} = np.multiply({x}, {x})")
            return True
        if name in PRODUCTS and kind.dtype.char in "fd" and all(type(v) is int for v in at.operands):
            return self._product(at, kind, name, target)
        if name == "sum":
            return bool(kinds[at.operands[0]].shape) and same and self._sum(at, kind, target, x)
        # What follows has no form without a destination.
        if at.output in self.kept or not self.reuse:
            return False
        if name == "where":
            return self._where(at, kind)
        if name == "concatenate" and at.params["axis"] == 0 and kind.dtype.kind == "f" and kind.shape[0] > 1:
            parts = [kinds[v] if type(v) is int else None for v in at.operands]
            if all(part is not None and part.dtype == kind.dtype and part.shape for part in parts):
                return self._concatenation(at)
        if name == "sigmoid" and same and kind.dtype.char in "fd":
            out = self._destination(at, kind, safe=True)
            self.lines += [
                f"np.negative({x}, {out})",
                f"np.exp({out}, {out})",
                f"np.add({out}, 1, {out})",
                f"np.true_divide(1, {out}, {out})",
            ]
            return True
        if name in ("astype", "convert") and kind.dtype.kind == "f" and kinds[at.operands[0]].dtype.kind in "fiub":
            self.lines.append(f"np.copyto({self._destination(at, kind, safe=False)}, {x}, 'unsafe')")
            return True
        if name == "softmax" and len(kind.shape) == 2 and at.params["axis"] == 1 and kind.dtype.char in "fd":
            out = self._destination(at, kind, safe=False)
            ones = self._filled(1, (kind.shape[1],), kind.dtype)
            self.lines.append(f"softmax_rows({x}, {ones}, {out})")
            return True
        return False

    def _ufunc(self, at: Instruction, kind: Any, name: str, target: str) -> bool:
        kinds = self.program.kinds
        # Python floats are weak, so that beside other dtypes they have to be NumPy's.
        same = all(type(x) is Literal or kinds[x].dtype == kind.dtype or kind.dtype.kind == "b" for x in at.operands)
        given = [self._operand(x) if same and kind.dtype == _FLOAT64 else self._array(x) for x in at.operands]
        out = self._destination(at, kind, safe=same)
        call = f"np.{_UFUNCS[name]}({', '.join(given)}"
        # Of these NumPy wants the place for the answer by name.
        by_name = "out=" if name in ("maximum", "minimum") else ""
        self.lines.append(f"{call}, {by_name}{out})" if out else f"{target} = {call})")
        return True

    def _destination(self, at: Instruction, kind: Any, *, safe: bool) -> str | None:
        """The buffer that an answer goes to; None if it lies in new memory.

        `safe`: it may be the memory of an operand that is not needed any more.
        """
        if not self.reuse or at.output in self.kept:
            return None
        if at.output in self.placed:
            return self._place(at.output, kind)
        name = None
        if safe:
            for x in at.reads():
                if self._dies(x, at, kind):
                    name = self.held.pop(x)
                    break
        if name is None:
            name = self.memory.take(kind.shape, kind.dtype)
        self.held[at.output] = self.names[at.output] = name
        return name

    def _dies(self, x: Any, at: Instruction, kind: Any) -> bool:
        """Whether the buffer of an operand of this kind is free when an instruction has run."""
        return x in self.held and self.last[x] == self.numbers[at.output] and self.program.kinds[x] == kind


def softmax_rows(x: np.ndarray, ones: np.ndarray, out: np.ndarray) -> None:
    """The softmax of every row of `x`, written to `out`, which is other memory."""
    largest = np.maximum.reduce(x, axis=None)
    if not float(largest) - float(np.minimum.reduce(x, axis=None)) < 30:
        largest = np.maximum.reduce(x, axis=1, keepdims=True)
    np.subtract(x, largest, out)
    np.exp(out, out)
    np.true_divide(out, np.dot(out, ones)[:, None], out)
