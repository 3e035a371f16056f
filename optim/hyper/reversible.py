"""Reverse mode without memory of the way: training by momentum is run backwards, exactly."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from hograd import Tensor, as_tensor, func, tree
from hograd.core.replay import repeated
from hograd.errors import ArgumentError, ConvergenceError, DtypeError, GradientError
from optim.hyper.problem import Bilevel, Hypergradient, Info, expect_count
from optim.sgd import SGD

#: Momenta are taken as the nearest fraction n / d with d up to this: exact for decimals of four digits, and off by less
#: than 1 / (65536 d) for others.
DENOMINATOR = 1 << 16
#: From here on a buffer may not take another digit, which could be as large as the denominator.
FULL = 1 << 46


@dataclasses.dataclass(frozen=True)
class Reversible:
    """The hypergradient by reverse mode through momentum SGD that is reversed, bit for bit, instead of stored.

    Parameters and momentum are whole multiples of 2**-bits. What a multiplication by the momentum g = n / d pushes out
    of them goes to a buffer, log2(1 / g) bits a step and number, and returns on the way back (Maclaurin et al., 2015):

        there:  m <- g m + (1 - dampening) grad ;  w <- w - lr m ;        back:  w <- w + lr m ;  m <- (m - ...) / g .

    For 0.9 that is 0.15 bits, where reverse mode keeps two numbers of 64 bits and all between them.

    Args:
        steps: number of inner steps, >= 0.
        bits: of the fraction, from 16 to 56; numbers stay below 2**(62 - bits), that is 16,384 for 48.

    Raises:
        DtypeError, ArgumentError: the inner optimizer is not SGD with a momentum above 0 and without Nesterov's form,
            or the hypergradient is itself to be differentiated.
        ConvergenceError: a number grew too large.
        GradientError: the inner loss has not the same gradient when it is asked again (its random draws are repeated).

    The rounding to fixed point changes the training by about d * 2**-bits a step. `info.memory` is what it keeps.

    >>> import hograd as ho
    >>> from optim.hyper import Bilevel, Reverse, hypergradient
    >>> problem = Bilevel(lambda w, opt: w**2, lambda w, opt: w**2, init=ho.tensor(1.0))
    >>> opt = SGD(lr=0.1, momentum=0.5)
    >>> hypergradient(problem, opt, Reversible(steps=3)).hypergrad.momentum
    tensor(-0.3141)
    """

    #: It works on whole numbers outside of the tape.
    compiles: ClassVar[bool] = False

    steps: int
    bits: int = 48

    def __post_init__(self) -> None:
        expect_count("Reversible: steps", self.steps)
        expect_count("Reversible: bits", self.bits, 16)
        if self.bits > 56:
            raise ArgumentError(f"Reversible: bits is {self.bits}, expected at most 56.")

    def hypergradient(self, problem: Bilevel, outer: Any) -> Hypergradient:
        """The hypergradient of `problem` at `outer`."""
        for x in tree.leaves(outer):
            if type(x) is not Tensor or x.node is not None:
                raise ArgumentError(
                    "Reversible: the outer variables are being differentiated or mapped, but this method works on "
                    "whole numbers and is not differentiable itself; use Reverse, or `detach` them."
                )
        first = repeated()
        with first():
            params, optimizer = problem.start(outer)
        run = _Run(problem, outer, optimizer, params, self.bits)
        for number in range(self.steps):
            run.forth(number)
        trained, state = run.params(), run.state(self.steps)
        memory = run.memory()

        (slope, direct), value = func.grad_and_value(problem.outer_loss, argnums=(0, 1))(trained, outer)
        slope_momentum = tree.map(lambda x: x * 0, slope)
        total = direct
        for number in reversed(range(self.steps)):
            run.back(number)
            before, held = run.params(), run.state(number)

            def step(params: Any, momentum: Any, outer: Any, number: int = number) -> Any:
                state = {"step": number, "momentum": momentum}
                params, state = problem.step(params, outer, problem.optimizer_of(outer), state, number)
                return params, state["momentum"]

            with run.draws.pop(number)():
                _, pull = func.vjp(step, before, held["momentum"], outer)
            slope, slope_momentum, more = pull((slope, slope_momentum))
            total = tree.map(lambda x, y: x + y, total, more)
        run.expect_start()
        if callable(problem.init):
            with first():
                _, pull = func.vjp(lambda outer: problem.first(outer), outer)
            total = tree.map(lambda x, y: x + y, total, pull(slope)[0])
        info = Info(
            trained, state, self.steps, 3 * self.steps, hessian_products=self.steps, memory=memory
        )  # each step is taken, reversed, and differentiated
        return Hypergradient(value, total, info)


class _Run:
    """Training in fixed point, in both directions."""

    def __init__(self, problem: Bilevel, outer: Any, optimizer: Any, params: Any, bits: int) -> None:
        if not isinstance(optimizer, SGD):
            raise DtypeError(
                f"Reversible: the inner optimizer is {type(optimizer).__name__}, but only SGD with momentum is "
                "reversible; use Reverse with checkpoints."
            )
        if optimizer.nesterov:
            raise ArgumentError("Reversible: Nesterov's momentum cannot be reversed; pass SGD(nesterov=False).")
        self.problem, self.outer, self.optimizer = problem, outer, optimizer
        self.scale = float(2**bits)
        leaves, self.structure = tree.flatten(params)
        self.dtypes = [x.dtype for x in leaves]
        self.w = [self._fixed(x.numpy()) for x in leaves]
        self.m = [np.zeros_like(w) for w in self.w]
        self.first = [w.copy() for w in self.w]
        self.buffers = [np.zeros_like(w) for w in self.w]
        self.full: dict[tuple[int, int], Any] = {}  # by step and place
        self.draws: dict[int, Any] = {}  # of each step

    def forth(self, number: int) -> None:
        """Step `number`."""
        hypers, gradients = self._hypers(number), self._gradients(number)
        for i, (hyper, g) in enumerate(zip(hypers, gradients, strict=True)):
            if number:
                self._shrink(i, hyper, number)
            self.m[i] = self.m[i] + self._added(hyper, g, number)
            self.w[i] = self.w[i] - self._moved(i, hyper)
            if max(np.max(np.abs(x), initial=0) for x in (self.w[i], self.m[i])) >= 1 << 62:
                raise ConvergenceError(
                    f"Reversible: a parameter or momentum passes {2**62 / self.scale:g} in step {number}: the inner "
                    "training diverges, or needs fewer `bits` after the point."
                )

    def back(self, number: int) -> None:
        """Step `number`, undone."""
        hypers = self._hypers(number)
        for i, hyper in enumerate(hypers):
            self.w[i] = self.w[i] + self._moved(i, hyper)
        for i, (hyper, g) in enumerate(zip(hypers, self._gradients(number), strict=True)):
            self.m[i] = self.m[i] - self._added(hyper, g, number)
            if number:
                self._grow(i, hyper, number)

    def params(self) -> Any:
        """The parameters as tensors."""
        return self._floating(self.w)

    def state(self, number: int) -> dict[str, Any]:
        """The optimizer's state before step `number`."""
        return {"step": number, "momentum": self._floating(self.m)}

    def memory(self) -> int:
        """Bytes of numbers and buffers."""
        return sum(x.nbytes for x in (*self.w, *self.m, *self.buffers, *self.full.values()))

    def expect_start(self) -> None:
        """Raise unless the way back has led to where it began."""
        rows = zip(self.w, self.first, self.m, strict=True)
        if not all(np.array_equal(w, first) and not m.any() for w, first, m in rows):
            raise GradientError(
                "Reversible: the way back did not lead to the first parameters: the inner loss has another gradient "
                "when it is evaluated again. Make it, and `batches`, a function of its arguments alone."
            )

    def _shrink(self, i: int, hyper: SimpleNamespace, number: int) -> None:
        """m <- (n / d) m, without loss."""
        n, d = self._fraction(hyper.momentum, self.m[i])
        if np.max(self.buffers[i], initial=0) >= FULL:
            self.full[number, i] = self.buffers[i]
            self.buffers[i] = np.zeros_like(self.m[i])
        whole, rest = np.divmod(self.m[i], d)
        buffer = self.buffers[i] * d + rest
        self.buffers[i], digit = np.divmod(buffer, n)
        self.m[i] = whole * n + digit

    def _grow(self, i: int, hyper: SimpleNamespace, number: int) -> None:
        """The inverse of `_shrink`."""
        n, d = self._fraction(hyper.momentum, self.m[i])
        whole, digit = np.divmod(self.m[i], n)
        buffer = self.buffers[i] * n + digit
        self.buffers[i], rest = np.divmod(buffer, d)
        self.m[i] = whole * d + rest
        self.buffers[i] = self.full.pop((number, i), self.buffers[i])

    def _added(self, hyper: SimpleNamespace, g: Any, number: int) -> Any:
        # The first step takes the gradient as it is, as SGD does.
        return self._fixed(g if number == 0 else (1 - _array(hyper.dampening)) * g)

    def _moved(self, i: int, hyper: SimpleNamespace) -> Any:
        return self._whole(_array(hyper.lr) * self.m[i])

    def _gradients(self, number: int) -> list[Any]:
        params = self.params()
        with self.draws.setdefault(number, repeated())():
            extra = () if self.problem.batches is None else (self.problem.batches(number),)
            gradient = func.grad(self.problem.inner_loss)(params, self.outer, *extra)
        rows = zip(tree.leaves(params), tree.leaves(gradient), self._hypers(number), strict=True)
        sign = -1.0 if self.optimizer.maximize else 1.0
        return [sign * g.numpy().astype(np.float64) + _array(hyper.weight_decay) * w.numpy() for w, g, hyper in rows]

    def _hypers(self, number: int) -> list[SimpleNamespace]:
        return self.optimizer._hypers(self.params(), len(self.w), number)

    def _fraction(self, momentum: Any, like: Any) -> tuple[Any, Any]:
        """Numerator and denominator of a momentum, for every element."""
        value = _array(momentum)
        if not np.all((value > 1 / DENOMINATOR) & (value < 1)):
            raise ArgumentError(
                f"Reversible: the momentum is {np.min(value):g}, expected numbers above {1 / DENOMINATOR:.1g} and "
                "below 1: each step divides by it on the way back."
            )
        parts = [Fraction(float(v)).limit_denominator(DENOMINATOR) for v in np.ravel(value)]
        n = np.array([min(max(p.numerator, 1), DENOMINATOR) for p in parts], np.int64).reshape(value.shape)
        d = np.array([p.denominator for p in parts], np.int64).reshape(value.shape)
        return n, d

    def _fixed(self, x: Any) -> Any:
        return self._whole(np.asarray(x, np.float64) * self.scale)

    def _whole(self, scaled: Any) -> Any:
        if not np.all(np.abs(scaled) < 2.0**62):
            raise ConvergenceError(
                f"Reversible: a number is not below {2**62 / self.scale:g}: the inner training diverges, or needs "
                "fewer `bits` after the point."
            )
        return np.rint(scaled).astype(np.int64)

    def _floating(self, columns: list[Any]) -> Any:
        leaves = [as_tensor((x / self.scale).astype(dtype)) for x, dtype in zip(columns, self.dtypes, strict=True)]
        return tree.unflatten(self.structure, leaves)


def _array(value: Any) -> Any:
    return np.asarray(value.numpy() if isinstance(value, Tensor) else value, np.float64)
