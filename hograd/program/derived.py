"""Programs as primitives: their derivatives and batches are captured too, when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hograd import func
from hograd.core.custom import Call, Values, has_level, is_tracked
from hograd.core.custom import evaluate as evaluate_call
from hograd.core.dispatch import bare, wrap
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.program.capture import capture, supplying
from hograd.program.ir import Program
from hograd.program.replay_numpy import build


class Executable:
    """A program with the code that runs it on arrays."""

    def __init__(self, program: Program, name: str) -> None:
        self.program = program
        self.name = name
        self.code, self.source = build(program, name if name.isidentifier() else "program")

    def run(self, *values: Any) -> list[Any]:
        """The answers for arrays: inputs, then draws."""
        with np.errstate(all="ignore"):
            return self.code(*values)


class Staged:
    """A function of a list of tensors that is captured when it meets arrays, once for each signature."""

    def __init__(self, function: Callable[..., list[Any]], name: str) -> None:
        self.function = function
        self.name = name
        self.executables: dict[Any, Executable] = {}
        self.derived: dict[Any, Staged] = {}

    @staticmethod
    def of(executable: Executable, function: Callable[..., list[Any]]) -> Staged:
        """The function that a program was captured from, with the random draws as further arguments.

        Its derivatives come from the function again, not from the program, which knows nothing of `detach`, `no_grad`
        and rules by hand.
        """
        program = executable.program
        count = len(program.inputs)

        def with_draws(*values: Any) -> list[Any]:
            with supplying(values[count:]):
                return function(*map(wrap, values[:count]))

        staged = Staged(with_draws, executable.name)
        slots = [*program.inputs, *[s for s, _ in program.draws]]
        staged.executables[_kinds([program.kinds[s] for s in slots])] = executable
        return staged

    def executable(self, values: Sequence[Any]) -> Executable:
        key = _kinds(values)
        if key not in self.executables:
            self.executables[key] = Executable(capture(self.function, values, self.name), self.name)
        return self.executables[key]

    def derive(self, key: Any, make: Callable[[], Staged]) -> Staged:
        if key not in self.derived:
            self.derived[key] = make()
        return self.derived[key]

    def mapped(self, axes: tuple[int | None, ...]) -> Staged:
        """With a batch axis in front of some arguments, and of every answer."""
        return self.derive(
            ("vmap", axes), lambda: Staged(func.vmap(_wrapped(self.function), in_dims=axes), f"{self.name}_batch")
        )

    def pushed(self, tangents: tuple[bool, ...]) -> Staged:
        """The tangents of the answers, from the arguments and those tangents that are not zero."""

        def function(*values: Any) -> list[Any]:
            primals, directions = values[: len(tangents)], values[len(tangents) :]
            chosen = [i for i, t in enumerate(tangents) if t]

            def of_chosen(*xs: Any) -> Any:
                return tuple(_floating(self.function(*_with(primals, chosen, xs))))

            return list(func.jvp(of_chosen, tuple(wrap(primals[i]) for i in chosen), tuple(map(wrap, directions)))[1])

        return self.derive(("jvp", tangents), lambda: Staged(function, f"{self.name}_tangent"))

    def pulled(self, wanted: tuple[bool, ...]) -> Staged:
        """The cotangents of the wanted arguments, from all arguments and the cotangents of floating answers."""

        def function(*values: Any) -> list[Any]:
            primals, weights = values[: len(wanted)], values[len(wanted) :]
            chosen = [i for i, w in enumerate(wanted) if w]

            def of_chosen(*xs: Any) -> Any:
                return tuple(_floating(self.function(*_with(primals, chosen, xs))))

            _, pull = func.vjp(of_chosen, *[wrap(primals[i]) for i in chosen])
            return list(pull(tuple(map(wrap, weights))))

        return self.derive(("vjp", wanted), lambda: Staged(function, f"{self.name}_backward"))


class ProgramCall(Call):
    """One call of a staged function, as tapes record it."""

    __slots__ = ("staged",)

    def __init__(self, staged: Staged, args: Values) -> None:
        super().__init__(staged.name, [is_tracked(x) and x.dtype.kind in "fc" for x in args])
        self.staged = staged

    def evaluate(self, args: Values) -> tuple[list[Any], Any]:
        values = [bare(x) for x in args]
        outputs = self.staged.executable(values).run(*values)
        return outputs, Residue(self, [(tuple(y.shape), y.dtype) for y in outputs])

    def batched(self, size: int, inputs: list[Any], axes: list[int | None], randomness: str) -> list[Any]:
        return call(self.staged.mapped(tuple(axes)), [bare(x) for x in inputs])

    def late(self, inputs: list[Tensor], outputs: list[Tensor]) -> Any:
        return Residue(self, [(tuple(y.shape), y.dtype) for y in outputs], inputs)

    def backward(self, residue: Any, cotangents: list[Any]) -> Sequence[Any]:
        weights = [
            ops.zeros(*shape, dtype=dtype) if g is None else g
            for g, (shape, dtype) in zip(cotangents, residue.answers, strict=True)
            if dtype.kind in "fc"
        ]
        pulled = iter(call(self.staged.pulled(self.tracked), [*map(bare, residue.inputs), *map(bare, weights)]))
        return [wrap(next(pulled)) if tracked else None for tracked in self.tracked]

    def tangent(self, residue: Any, tangents: list[Any]) -> Sequence[Any]:
        present = tuple(t is not None and t.dtype.kind in "fc" for t in tangents)
        directions = [bare(t) for t, p in zip(tangents, present, strict=True) if p]
        pushed = iter(call(self.staged.pushed(present), [*map(bare, residue.inputs), *directions]))
        return [None if i in residue.constant else wrap(next(pushed)) for i in range(len(residue.answers))]


class Residue:
    """What a call left for its derivative: shapes and dtypes of the answers, and the inputs where they are known."""

    __slots__ = ("answers", "constant", "inputs", "of")

    def __init__(self, of: ProgramCall, answers: list[Any], inputs: Values = ()) -> None:
        self.of = of
        self.answers = answers
        self.inputs = inputs
        self.constant = frozenset(i for i, (_, dtype) in enumerate(answers) if dtype.kind not in "fc")

    def keeps(self, kind: str, index: int) -> bool:
        return kind == "input"

    def pull(self, of: Any, cotangents: list[Any], outputs: Values, inputs: Values) -> Sequence[Any]:
        return self.of.backward(Residue(self.of, self.answers, inputs), cotangents)

    def push(self, of: Any, tangents: list[Any], outputs: Values, inputs: Values) -> Sequence[Any] | None:
        return self.of.tangent(Residue(self.of, self.answers, inputs), tangents)


def call(staged: Staged, values: Values) -> list[Any]:
    """The answers of a staged function on values of any level."""
    if not any(map(has_level, values)):
        values = [bare(x) for x in values]
        return staged.executable(values).run(*values)
    return evaluate_call(ProgramCall(staged, values), values)[0]


def _kinds(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple((tuple(v.shape), v.dtype) for v in values)


def _wrapped(function: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    return lambda *values: [wrap(y) for y in function(*values)]


def _floating(answers: Sequence[Any]) -> list[Any]:
    return [wrap(y) for y in answers if y.dtype.kind in "fc"]


def _with(values: Sequence[Any], places: list[int], new: Sequence[Any]) -> list[Any]:
    full = list(values)
    for i, x in zip(places, new, strict=True):
        full[i] = x
    return full
