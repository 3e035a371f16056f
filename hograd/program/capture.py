"""Capturing: a function runs once, through the same dispatch as everything else, and leaves a program."""

from __future__ import annotations

import functools
import gc
import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from hograd.backend import RAW, default_dtype, is_number
from hograd.core.dispatch import bare
from hograd.core.levels import Level, state
from hograd.core.primitive import primitives
from hograd.core.replay import Draws, Random, beginnings, drawing, no_more, rewinding
from hograd.core.restoring import calling, silent, temporarily
from hograd.core.tape import Node, leaf
from hograd.core.tensor import Batched, Dual, Tensor
from hograd.core.traced import Slot, Traced, is_weak, strong, user_line, with_weakness
from hograd.errors import CaptureError
from hograd.program.ir import Instruction, Kind, Literal, Program
from hograd.program.memory import shared

#: Operators, which of numbers of Python's make numbers of Python's.
_OPERATORS = frozenset({"add", "sub", "mul", "div", "neg", "pow", "power", "abs", "floor_divide", "remainder"})


class Kept:
    """A generator that draws for a program: the one of the function, or in each thread one of the program's own."""

    def __init__(self, generator: Any) -> None:
        self.given = generator
        self.own = threading.local()

    @property
    def generator(self) -> Any:
        return getattr(self.own, "generator", self.given)

    def renew(self, before: Any) -> None:
        """Draw as a new one in that state."""
        bits = type(self.given.bit_generator)(0)
        bits.state = before
        self.own.generator = type(self.given)(bits)


class Trace:
    """A program while it is being captured.

    Attributes:
        passes: names of those that the steps of loops go through, or None for all.
        fast_math: whether these may change numbers.
        scope: 0, or a number for what is computed a second time in order not to be kept.
    """

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.scopes = itertools.count(1)
        self.scope = 0
        self.kinds: dict[int, Kind] = {}
        self.alike: dict[Kind, Kind] = {}
        self.constants: dict[int, Any] = {}
        self.known: dict[int, int] = {}
        self.instructions: list[Instruction] = []
        self.draws: list[tuple[int, Callable[[], Any]]] = []
        self.generators: dict[int, Kept] = {}
        self.passes: tuple[str, ...] | None = None
        self.fast_math = False
        # Tensors of outside, before they were changed in place.
        self.altered: dict[int, tuple[Any, ...]] = {}
        # What was made before: nodes of the eager tape by their sequence, transforms by their level.
        self.first_node = leaf(_NOTHING).sequence
        self.first_level = Level("none").number

    def slot(self, example: Any, line: str) -> Slot:
        number = next(self.numbers)
        self.kinds[number] = self.kind(example)
        return Slot(self, number, example, line)

    def kind(self, value: Any) -> Kind:
        """Shape and dtype of an array, one object for all that are alike."""
        kind = Kind(tuple(value.shape), value.dtype)
        return self.alike.setdefault(kind, kind)

    def input(self, value: Any, line: str) -> Traced:
        return Traced(self.slot(value, line))

    def new_draw(self, made: Callable[[], Any], again: Callable[[], Any], around: Any) -> Any:
        """An input of the program, drawn by `again` for each run."""
        slot = self.slot(made(), user_line())
        self.draws.append((slot.number, again))
        return Traced(slot)

    def changed(self, tensor: Tensor) -> None:
        """Note that a tensor is about to be changed in place, with what it is now."""
        value: Any = tensor
        while type(value) is Tensor:
            value = value.value
        # A value of this program is a local variable, or an argument, which is looked at in the end.
        known = self.altered.get(id(tensor))
        if type(value) is not Traced and (known is None or known[0]() is not tensor):
            before = type(tensor), tensor.value, tensor.node, tensor.level
            self.altered[id(tensor)] = weakref.ref(tensor), before, user_line()

    def restore(self) -> str | None:
        """Undo changes of tensors that are still there: they belong to somebody outside. The line of the first."""
        line = None
        for reference, (kind, value, node, level), at in self.altered.values():
            tensor = reference()
            if tensor is not None:
                tensor.__class__ = kind
                tensor.value, tensor.node, tensor.level = value, node, level
                line = line or at
        return line

    def end(self) -> None:
        """Leave nothing changed outside."""
        # Nodes lead to values of the program, and those to the trace: no circle is to keep what they were made with.
        self.inside.clear()
        self.restore()

    def operand(self, value: Any) -> Any:
        """A constant as an operand: the same array is the same slot."""
        if is_number(value):
            return Literal(value)
        number = self.known.get(id(value))
        if number is None:
            # What each loop makes anew of the same data is one array for all of them.
            value = shared(value)
            number = self.known.get(id(value))
        if number is None:
            number = next(self.numbers)
            self.kinds[number] = self.kind(value)
            # The array is kept, so its id stays its own.
            self.constants[number] = value
            self.known[id(value)] = number
        return number

    def tensor_of(self, value: Traced) -> Traced:
        """A number of Python's as a tensor, of the default dtype if it is a float."""
        value = with_weakness(value, False)
        if value.dtype.kind == "f" and value.dtype != default_dtype():
            return self.record(primitives["astype"], (value,), {"dtype": default_dtype()})
        return value

    def _counted(self, truth: Traced) -> Traced:
        """A bool of Python's as the whole number that it is to operators."""
        return self.record(primitives["astype"], (with_weakness(truth, False),), {"dtype": np.dtype(np.int64)})

    def _beside(self, primitive: Any, args: Sequence[Any]) -> tuple[Sequence[Any], bool]:
        """The operands with Python's numbers as what they are beside the others; whether the answer is one, too."""
        if primitive.kind != "elementwise":
            return list(map(strong, args)), False
        others = [arg.dtype for arg in args if not is_weak(arg) and not is_number(arg)]
        if not others and primitive.name in _OPERATORS:
            return [self._counted(arg) if is_weak(arg) and arg.dtype == np.bool_ else arg for arg in args], True
        if not others:
            return list(map(strong, args)), False
        # By their types alone.
        numbers = [arg.value.example.item() if is_weak(arg) else arg for arg in args if is_weak(arg) or is_number(arg)]
        dtype = np.result_type(*others, *[type(number)() for number in numbers])
        given = [with_weakness(arg, False) for arg in args]
        return [
            self.record(primitives["astype"], (new,), {"dtype": dtype}) if is_weak(arg) and arg.dtype != dtype else new
            for arg, new in zip(args, given, strict=True)
        ], False

    def record(self, primitive: Any, args: Sequence[Any], params: dict[str, Any]) -> Traced:
        weak = False
        if any(map(is_weak, args)):
            args, weak = self._beside(primitive, args)
        operands: list[Any] = []
        values: list[Any] = []
        for arg in args:
            if type(arg) is Traced:
                operands.append(arg.value.number)
                values.append(arg.value.example)
            else:
                arg = bare(arg)
                operands.append(self.operand(arg))
                values.append(arg)
        slot = self.slot(primitive.kernel(*values, **params), user_line())
        slot.weak = weak
        self.instructions.append(Instruction(primitive, tuple(operands), params, slot.number, slot.line, self.scope))
        return Traced(slot)

    def check(self, args: Sequence[Any]) -> Sequence[Any]:
        """The operands as this program knows them; refuses what is being differentiated or mapped outside of it."""
        given = args
        for arg in args:
            while isinstance(arg, Tensor):
                if type(arg) in (Dual, Batched):
                    outside = arg.level < self.first_level
                else:
                    outside = arg.node is not None and self.is_outside(arg.node)
                if outside:
                    raise CaptureError(
                        f"a function that is being compiled uses, at {user_line()}, a tensor of shape "
                        f"{tuple(arg.shape)} that requires grad (or is being mapped or differentiated) and came in "
                        "through a closure: its derivative would be lost. Pass it as an argument of the compiled "
                        "function, or use tensor.detach() if it is a constant."
                    )
                arg = arg.value
        return given

    def is_outside(self, node: Node) -> bool:
        """Whether a tape from outside leads to this node."""
        if node.sequence < self.first_node:
            return True
        if node.dtype is not None and node.primitive is None:
            return False
        # What was computed from a tensor of outside alone has a node from inside.
        stack, seen = [node], {node}
        while stack:
            for parent in stack.pop().parents:
                if parent is not None and parent.sequence < self.first_node:
                    return True
                if parent is not None and parent not in seen and parent not in self.inside:
                    seen.add(parent)
                    stack.append(parent)
        self.inside.update(seen)
        return False

    def keep(self, generator: Any) -> Kept:
        """A generator that the function has brought along, for the runs of its program."""
        return self.generators.setdefault(id(generator), Kept(generator))

    def renewals(self, random: Random) -> list[Callable[[], None]]:
        """What makes the generators anew that the function made for itself, once it has returned: nobody has them."""
        return [
            functools.partial(kept.renew, random.states[id(kept.given.bit_generator)][2])
            for kept in self.generators.values()
            if sys.getrefcount(kept.given) <= 2 and id(kept.given.bit_generator) in random.states
        ]

    @property
    def inside(self) -> set[Node]:
        """Nodes that no tape from outside leads to."""
        if not hasattr(self, "_inside"):
            self._inside: set[Node] = set()
        return self._inside

    def output(self, value: Any, name: str) -> int:
        """The slot of an answer."""
        if isinstance(value, Tensor):
            self.check([value])
            while type(value) is Tensor:
                value = value.value
            value = strong(value)
        if type(value) is Traced:
            if value.value.trace is not self:
                raise CaptureError(
                    f"{name} returned a value that was computed at {value.value.line} while another function was "
                    "being compiled."
                )
            return value.value.number
        if type(value) in RAW:
            return self.operand(value)
        raise CaptureError(f"{name} returned a value of a transform that has ended: {type(value).__name__}.")


def after(renewals: Sequence[Callable[[], None]], draw: Callable[[], Any]) -> Any:
    """A draw, once the generators of its function have been made anew."""
    for renew in renewals:
        renew()
    return draw()


class _Nothing:
    shape = ()
    dtype = None


_NOTHING = _Nothing()


def tracing(trace: Trace | None = None) -> temporarily:
    """A trace to which operations of this thread go; transforms that are running outside are out of sight."""
    trace, random = trace or Trace(), Random()
    return temporarily(
        *[(state, "stack", []), (state, "floor", 0), (state, "base", 0), (state, "trace", trace)],
        (state, "watches", [*state.watches, random]),
        (state, "place", (Draws(trace.new_draw), 0, 0)),
        given=trace,
        # Capturing draws nothing, the run that follows does.
        later=chain(beginnings(random), calling(trace.end)),
    )


def supplying(draws: Sequence[Any]) -> temporarily:
    """While a function is captured once more, as part of its derivative, its random draws are these values."""
    return drawing(Draws(no_more, draws))


def capture(
    function: Callable[..., Sequence[Any]],
    values: Sequence[Any],
    name: str,
    passes: Iterable[str] | None = None,
    *,
    fast_math: bool = False,
) -> Program:
    """The program of a function of tensors that returns a list of them, as it runs on these arrays.

    Args:
        function: of tensors.
        values: arrays like its arguments.
        name: for messages.
        passes: names of those that the steps of its loops go through, or None for all.
        fast_math: whether what rewrites and runs the program may change numbers.
    """
    with silent(), rewinding(), tracing() as trace:
        trace.passes, trace.fast_math = None if passes is None else tuple(passes), fast_math
        inputs = [trace.input(value, f"argument {i} of {name}") for i, value in enumerate(values)]
        given: list[Tensor] = [Traced(x.value) for x in inputs]
        outputs = [trace.output(y, name) for y in function(*given)]
        for i, (x, y) in enumerate(zip(inputs, given, strict=True)):
            _expect_unchanged(x, y, f"argument {i} of {name}")
        # What the function made for itself is gone by now, except for cycles of references.
        if trace.altered and trace.restore() and gc.collect() >= 0 and (line := trace.restore()):
            raise CaptureError(
                f"a tensor that lives outside of {name} was changed in place at {line}, while {name} was being "
                "compiled: a compiled function runs again without its Python code, so that would happen once only. "
                "Take the tensor as an argument, and return its new value."
            )
        draws = trace.draws
        if draws and (renewals := trace.renewals(state.watches[-1])):
            draws[0] = draws[0][0], functools.partial(after, renewals, draws[0][1])
    return Program(
        inputs=tuple(x.value.number for x in inputs),
        draws=tuple(draws),
        constants=trace.constants,
        instructions=tuple(trace.instructions),
        outputs=tuple(outputs),
        kinds=trace.kinds,
        fast_math=fast_math,
    )


def _expect_unchanged(before: Traced, after: Any, name: str) -> None:
    """Refuse a function that changed its argument in place, which a replay would not do."""
    while type(after) is Tensor:
        after = after.value
    if type(after) is not Traced or after.value is not before.value:
        line = f" at {after.value.line}" if type(after) is Traced else ""
        raise CaptureError(
            f"{name} was changed in place{line}, while the function was being compiled: a compiled function runs again "
            "without its Python code, so its caller would not see that. Compute a new tensor, or change a clone(), and "
            "return it."
        )
