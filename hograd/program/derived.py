"""Programs as primitives: their derivatives and batches are captured too, when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from hograd import func
from hograd.core.custom import Call, Values, has_level, is_tracked
from hograd.core.custom import evaluate as evaluate_call
from hograd.core.dispatch import bare, wrap
from hograd.core.levels import state
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.program.capture import capture, supplying
from hograd.program.cut import cut
from hograd.program.ir import Program
from hograd.program.passes import before_cut, optimize
from hograd.program.replay_numpy import Replay


class Settings(NamedTuple):
    """How programs are optimised and run.

    Attributes:
        passes: names of the passes, or None for all.
        backend: "numpy" or "native".
        threads: of the backend "native", how many may share the work.
        fast_math: whether passes and generated code may change numbers.
    """

    passes: Iterable[str] | None = None
    backend: str = "numpy"
    threads: int = 1
    fast_math: bool = False

    def capture(self, function: Callable[..., Sequence[Any]], values: Sequence[Any], name: str) -> Program:
        """The program of a function of tensors."""
        return capture(function, values, name, self.passes, fast_math=self.fast_math)

    def replay(self, program: Program, name: str) -> Any:
        """The code of a program: a function of arrays with the attribute `source`."""
        if self.backend == "numpy":
            return Replay(program, name)
        from hograd.program.native.replay import NativeReplay

        return NativeReplay(program, name, self.threads)


class Executable:
    """A program with the code that runs it on arrays."""

    def __init__(self, program: Program, name: str, settings: Settings) -> None:
        self.program = optimize(program, settings.passes)
        self.name = name
        self.settings = settings
        self.replay = settings.replay(self.program, name)
        #: The answers for arrays: inputs, then draws.
        self.run: Callable[..., list[Any]] = self.replay.__call__

    @property
    def source(self) -> str:
        return self.replay.source


class Staged:
    """A function of a list of tensors that is captured when it meets arrays, once for each signature."""

    def __init__(self, function: Callable[..., list[Any]], name: str, settings: Settings) -> None:
        self.function = function
        self.name = name
        self.settings = settings
        self.executables: dict[Any, Executable] = {}
        self.derived: dict[Any, Staged] = {}
        self.cuts: dict[Any, tuple[Executable, Executable]] = {}

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

        staged = Staged(with_draws, executable.name, executable.settings)
        slots = [*program.inputs, *[s for s, _ in program.draws]]
        staged.executables[_kinds([program.kinds[s] for s in slots])] = executable
        return staged

    def executable(self, values: Sequence[Any]) -> Executable:
        key = _kinds(values)
        if key not in self.executables:
            program = self.settings.capture(self.function, values, self.name)
            self.executables[key] = Executable(program, self.name, self.settings)
        return self.executables[key]

    def cut(self, wanted: tuple[bool, ...], values: Sequence[Any]) -> tuple[Executable, Executable]:
        """Forward with residuals, and backward from them, for arguments of which the wanted ones are on a tape."""
        key = ("cut", wanted, *_kinds(values))
        if key not in self.cuts:
            program = self.executable(values).program
            kinds = [program.kinds[s] for s in program.outputs]
            weights = [np.ones(kind.shape, kind.dtype)[()] for kind in kinds if kind.dtype.kind in "fc"]
            joint = self.settings.capture(self.joint(wanted), [*values, *weights], self.name)
            forward, backward = cut(optimize(joint, before_cut(joint, self.settings.passes)), len(values), len(kinds))
            self.cuts[key] = (
                Executable(forward, f"{self.name}_forward", self.settings),
                Executable(backward, f"{self.name}_backward", self.settings),
            )
        return self.cuts[key]

    def joint(self, wanted: tuple[bool, ...]) -> Callable[..., list[Any]]:
        """The answers and the cotangents of the wanted arguments, from arguments and cotangents of floating answers."""

        def function(*values: Any) -> list[Any]:
            primals, weights = values[: len(wanted)], values[len(wanted) :]
            chosen = [i for i, w in enumerate(wanted) if w]
            floating: list[bool] = []

            def of_chosen(*xs: Any) -> Any:
                answers = [wrap(y) for y in self.function(*_with(primals, chosen, xs))]
                floating[:] = [y.dtype.kind in "fc" for y in answers]
                return (
                    tuple(y for y, f in zip(answers, floating, strict=True) if f),
                    [y for y, f in zip(answers, floating, strict=True) if not f],
                )

            found, pull, others = func.vjp(of_chosen, *[wrap(primals[i]) for i in chosen], has_aux=True)
            first, second = iter(found), iter(others)
            return [*[next(first if f else second) for f in floating], *pull(tuple(map(wrap, weights)))]

        return function

    def derive(self, key: Any, make: Callable[[], Staged]) -> Staged:
        if key not in self.derived:
            self.derived[key] = make()
        return self.derived[key]

    def mapped(self, axes: tuple[int | None, ...]) -> Staged:
        """With a batch axis in front of some arguments, and of every answer."""
        return self.derive(
            ("vmap", axes),
            lambda: Staged(func.vmap(_wrapped(self.function), in_dims=axes), f"{self.name}_batch", self.settings),
        )

    def pushed(self, tangents: tuple[bool, ...]) -> Staged:
        """The tangents of the answers, from the arguments and those tangents that are not zero."""

        def function(*values: Any) -> list[Any]:
            primals, directions = values[: len(tangents)], values[len(tangents) :]
            chosen = [i for i, t in enumerate(tangents) if t]

            def of_chosen(*xs: Any) -> Any:
                return tuple(_floating(self.function(*_with(primals, chosen, xs))))

            return list(func.jvp(of_chosen, tuple(wrap(primals[i]) for i in chosen), tuple(map(wrap, directions)))[1])

        return self.derive(("jvp", tangents), lambda: Staged(function, f"{self.name}_tangent", self.settings))

    def pulled(self, wanted: tuple[bool, ...]) -> Staged:
        """The cotangents of the wanted arguments, from all arguments and the cotangents of floating answers."""

        def function(*values: Any) -> list[Any]:
            primals, weights = values[: len(wanted)], values[len(wanted) :]
            chosen = [i for i, w in enumerate(wanted) if w]

            def of_chosen(*xs: Any) -> Any:
                return tuple(_floating(self.function(*_with(primals, chosen, xs))))

            _, pull = func.vjp(of_chosen, *[wrap(primals[i]) for i in chosen])
            return list(pull(tuple(map(wrap, weights))))

        return self.derive(("vjp", wanted), lambda: Staged(function, f"{self.name}_backward", self.settings))


class ProgramCall(Call):
    """One call of a staged function, as tapes record it."""

    __slots__ = ("recorded", "staged")

    def __init__(self, staged: Staged, args: Values) -> None:
        super().__init__(staged.name, [is_tracked(x) and x.dtype.kind in "fc" for x in args])
        self.staged = staged
        self.recorded = any(self.tracked) and any(map(_on_tape, args))

    def evaluate(self, args: Values) -> tuple[list[Any], Any]:
        values = [bare(x) for x in args]
        if not self.recorded:
            outputs = self.staged.executable(values).run(*values)
            return outputs, Residue(self, outputs)
        forward, backward = self.staged.cut(self.tracked, values)
        outputs = forward.run(*values)
        count = len(self.staged.executable(values).program.outputs)
        return outputs[:count], Residue(self, outputs[:count], kept=(backward, outputs[count:]))

    def batched(self, size: int, inputs: list[Any], axes: list[int | None], randomness: str) -> list[Any]:
        return call(self.staged.mapped(tuple(axes)), [bare(x) for x in inputs])

    def late(self, inputs: list[Tensor], outputs: list[Tensor]) -> Any:
        return Residue(self, outputs, inputs)

    def backward(self, residue: Any, cotangents: list[Any]) -> Sequence[Any]:
        weights = [
            ops.zeros(*shape, dtype=dtype) if g is None else g
            for g, (shape, dtype) in zip(cotangents, residue.answers, strict=True)
            if dtype.kind in "fc"
        ]
        inputs, weights = [bare(x) for x in residue.inputs], [bare(g) for g in weights]
        if residue.kept is not None and not any(map(has_level, [*inputs, *weights])):
            backward, residuals = residue.kept
            pulled = iter(backward.run(*inputs, *residuals, *weights))
        else:
            pulled = iter(call(self.staged.pulled(self.tracked), [*inputs, *weights]))
        return [wrap(next(pulled)) if tracked else None for tracked in self.tracked]

    def tangent(self, residue: Any, tangents: list[Any]) -> Sequence[Any]:
        present = tuple(t is not None and t.dtype.kind in "fc" for t in tangents)
        directions = [bare(t) for t, p in zip(tangents, present, strict=True) if p]
        pushed = iter(call(self.staged.pushed(present), [*map(bare, residue.inputs), *directions]))
        return [None if i in residue.constant else wrap(next(pushed)) for i in range(len(residue.answers))]


class Residue:
    """What a call left for its derivative.

    Attributes:
        answers: shape and dtype of each.
        inputs: of the call, where they are known.
        kept: the backward program and the residuals that it takes; None where backward starts from the inputs, as
            it does wherever it is itself differentiated or mapped.
    """

    __slots__ = ("answers", "constant", "inputs", "kept", "of")

    def __init__(self, of: ProgramCall, outputs: Values, inputs: Values = (), kept: Any = None) -> None:
        self.of = of
        self.answers = [(tuple(y.shape), y.dtype) for y in outputs]
        self.inputs = inputs
        self.kept = kept
        self.constant = frozenset(i for i, (_, dtype) in enumerate(self.answers) if dtype.kind not in "fc")

    def keeps(self, kind: str, index: int) -> bool:
        return kind == "input"

    def pull(self, of: Any, cotangents: list[Any], outputs: Values, inputs: Values) -> Sequence[Any]:
        return self.of.backward(self.with_inputs(inputs), cotangents)

    def push(self, of: Any, tangents: list[Any], outputs: Values, inputs: Values) -> Sequence[Any] | None:
        return self.of.tangent(self.with_inputs(inputs), tangents)

    def with_inputs(self, inputs: Values) -> Residue:
        other = Residue(self.of, (), inputs, self.kept)
        other.answers, other.constant = self.answers, self.constant
        return other


def call(staged: Staged, values: Values) -> list[Any]:
    """The answers of a staged function on values of any level."""
    if not any(map(has_level, values)):
        values = [bare(x) for x in values]
        return staged.executable(values).run(*values)
    return evaluate_call(ProgramCall(staged, values), values)[0]


def _on_tape(value: Any) -> bool:
    """Whether some tape that is recording knows this value."""
    while isinstance(value, Tensor):
        if value.node is not None and value.level >= state.floor:
            return True
        value = value.value
    return False


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
