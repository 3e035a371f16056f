"""Implicit differentiation: the hypergradient from the equation that the inner solution fulfils."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from hograd import Tensor, as_tensor, func, graph, tree
from hograd.core.levels import no_grad, no_transforms
from hograd.core.levels import state as thread
from hograd.core.primitive import ops
from hograd.core.restoring import silent
from hograd.errors import (
    ArgumentError,
    ConvergenceError,
    ConvergenceWarning,
    DtypeError,
    LinearAlgebraError,
    ShapeError,
)
from hograd.implicit import Iteration, System, of_one_draw
from hograd.roots import Problem
from optim.hyper.forward import _floating
from optim.hyper.problem import Bilevel, Hypergradient, Info, expect_count, floating, train
from optim.hyper.solvers import CG, Solver
from optim.minimizer import Minimizer, Minimum

EQUATIONS = ("gradient", "step")

MISSED = 0.1
"""A point counts as no solution from here on; training that lags behind in a warm start stays below it."""


@dataclasses.dataclass(frozen=True)
class Implicit:
    """The hypergradient by the implicit function theorem at the inner solution, however it was found.

    With  F(w, outer) = 0  at the solution, F the gradient of the inner loss, A = dF/dw its Hessian:

        A^T v = grad_w E ;     hypergradient = grad_outer E - (dF/d(outer))^T v .

    Memory does not depend on how long the inner training is. The answer is exact where training has converged and the
    system is solved exactly; what only steers the way to the solution, such as a learning rate, has derivative 0.

    Args:
        solver: how the linear system is solved: one of `solvers`, such as CG(), Dense() or Neumann(steps, lr).
        steps: number of inner steps of the problem's optimizer, >= 0.
        solve: how the inner solution is found from the first parameters, instead of by training: a minimizer of the
            inner loss, `optim.LBFGS()` or `optim.NonlinearCG()`, or a function (params, outer) that returns it. The
            function sees constants, need not be differentiable, and may use NumPy or SciPy.
        equation: F. "gradient" of the inner loss; "step": that a step of the optimizer, with its state, changes
            nothing, as the solver FixedPoint needs and presumes; or a function (params, outer) that returns a tree with
            as many numbers as the parameters, whose Jacobian need not be symmetric.
        warm_start: `info.warm_start` of a call nearby, where the solver begins.

    Raises:
        LinearAlgebraError: the residual of the linear system makes the answer meaningless.
        ConvergenceError: the inner solution is not finite, or `solve` finds that the inner loss falls without end.
        ArgumentError: a loss closes over a tensor that is being differentiated or mapped and is not in `outer`.

    A solver that ends before its tolerance says so in `info.converged`, and warns with `ConvergenceWarning`. So does an
    inner solution that is none: where  |v . F|,  the first-order distance of the outer loss from its value at the
    solution, exceeds a tenth of  sum_i |grad_w_i E| max(1, |w_i|).  With `batches`, the gradient is that of the batch
    after training. It is differentiable again, in both modes, and may be mapped by `vmap` (`warm_start` is None then):
    each derivative solves further systems with the same solver. A loss that draws random numbers draws once for the
    whole equation, after training, and for all of the search by a minimizer. Sources: Bengio (2000); Pedregosa (2016).

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.hyper import Bilevel, hypergradient
    >>> problem = Bilevel(  # ridge regression of one number: w = 2 / (1 + l2)
    ...     inner_loss=lambda w, l2: (w - 2) ** 2 + l2 * w**2,
    ...     outer_loss=lambda w, l2: w**2,
    ...     init=ho.tensor(0.0),
    ...     optimizer=SGD(lr=0.1),
    ... )
    >>> value, hypergrad, info = hypergradient(problem, ho.tensor(1.0), Implicit(CG(), steps=100))
    >>> value, hypergrad, info.converged
    (tensor(1.0000), tensor(-1.0000), True)
    """

    solver: Solver = dataclasses.field(default_factory=CG)
    steps: int | None = None
    solve: Minimizer | Callable[[Any, Any], Any] | None = None
    equation: str | Callable[[Any, Any], Any] | None = None
    warm_start: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.solver, type) or not hasattr(self.solver, "solve"):
            raise DtypeError(f"Implicit: solver is {self.solver!r}, expected one of `solvers`, such as CG().")
        if (self.steps is None) == (self.solve is None):
            raise ArgumentError(
                "Implicit: pass either `steps`, how long the problem's optimizer trains, or `solve`, which finds the "
                "inner solution, such as optim.LBFGS()."
            )
        if self.steps is not None:
            expect_count("Implicit: steps", self.steps)
        if not (self.equation is None or callable(self.equation) or self.equation in EQUATIONS):
            names = " or ".join(map(repr, EQUATIONS))
            raise ArgumentError(f"Implicit: equation is {self.equation!r}, expected {names}, a function, or None.")
        if self.solve is not None and self._equation == "step":
            raise ArgumentError(
                "Implicit: the equation of a step needs the optimizer's state at the solution, so it goes with `steps` "
                "and not with `solve`. Pass equation=, a function (params, outer), or another solver."
            )

    @property
    def _equation(self) -> Any:
        return self.equation or getattr(self.solver, "equation", "gradient")

    def hypergradient(self, problem: Bilevel, outer: Any) -> Hypergradient:
        """The hypergradient of `problem` at `outer`."""
        report, trained = Report(), None
        if self.steps is not None:
            # On the way to the solution there is nothing to differentiate.
            with no_grad():
                trained = tree.detach(train(problem, tree.detach(outer), self.steps))
        batch = () if problem.batches is None else (problem.batches(self.steps or 0),)

        # In a program this may be one of its inputs, which the solver has to get as numbers.
        init = None if callable(problem.init) else problem.init

        def loss(params: Any, outer: Any, batch: tuple[Any, ...], *_: Any) -> Any:
            return problem.inner_loss(params, outer, *batch)

        def left(solution: Any, outer: Any, batch: tuple[Any, ...], _: Any, trained: Any) -> Any:
            params, floating = solution
            if callable(self._equation):
                return self._equation(params, outer), floating
            held, number = _floating(trained[1])[1](floating), self.steps or 0
            stepped, state = problem.step(params, outer, problem.optimizer_of(outer), held, number, batch)
            return tree.map(ops.sub, (params, floating), (stepped, _floating(state)[0]))

        def judged(outer: Any) -> Any:
            def solved(f: Any, given: tuple[Any, ...]) -> Any:
                losses = (f, None) if self._equation == "gradient" else (loss, f)
                equation = Equation(problem, *losses, given, self, report)
                flat = ops.root(equation.arguments.flat, *equation.arguments.constants, problem=equation)
                return equation.unravel(flat)[0]

            f = loss if self._equation == "gradient" else left
            params = of_one_draw(f, solved, outer, batch, init, trained)
            return problem.outer_loss(params, outer), params

        hypergrad, (value, params) = func.grad_and_value(judged, has_aux=True)(outer)
        if thread.trace is not None:
            # What the solvers will tell when the program runs is not known yet.
            count = self.steps or 0
            return Hypergradient(value, hypergrad, Info(tree.detach(params), None, count, count + 1))
        # Where a number of steps was asked for, its end is no surprise.
        if not report.converged and getattr(self.solver, "steps", None) is None:
            warnings.warn(
                f"Implicit: {self.solver} left a residual of {report.residual:.1e} of the right side, more than was "
                "asked for. Give it `steps`, more columns, or a larger tolerance or damping, or use another solver.",
                ConvergenceWarning,
                stacklevel=3,
            )
        if report.missed > MISSED:
            warnings.warn(
                f"Implicit: the inner solution does not fulfil its equation, which has a residual of "
                f"{report.inner_residual:.1e}: the outer loss would change by {report.missed:.1g} of what it does when "
                "every parameter changes by its own size. The hypergradient is that of a point which is no solution. "
                "Train longer, give `solve`, or differentiate through the training by Reverse.",
                ConvergenceWarning,
                stacklevel=3,
            )
        found = report.found
        info = Info(
            tree.detach(params),
            None,
            found.steps if found else self.steps or 0,
            (found.evaluations if found else self.steps or 0) + 1,
            hessian_products=report.products + 1,
            residual=report.residual,
            inner_residual=report.inner_residual,
            converged=report.converged and report.missed <= MISSED and (found is None or found.converged),
            memory=report.memory,
            warm_start=report.solutions[0] if len(report.solutions) == 1 else None,
        )
        return Hypergradient(value, hypergrad, info)


@dataclasses.dataclass
class Report:
    """What one hypergradient has cost so far, and how well its systems were solved."""

    products: int = 0
    residual: float | None = None
    inner_residual: float | None = None
    missed: float = 0.0
    converged: bool = True
    memory: int = 0
    found: Minimum | None = None
    solutions: list[Any] = dataclasses.field(default_factory=list)


class Equation(Problem):
    """The equation of the inner solution; the solution is (params, floating tensors of the optimizer's state).

    The second is empty but for the equation of a step. It depends on the outer variables, the batch, the first
    parameters if they are no function, and on where training came to, (params, state), or None; what follows are
    numbers that it draws. `left` is F, or None for the gradient of the loss.
    """

    def __init__(
        self, problem: Bilevel, loss: Any, left: Any, given: tuple[Any, ...], method: Implicit, report: Report
    ) -> None:
        self.problem = problem
        self.loss = loss
        self.method = method
        self.report = report
        self.guess = method.warm_start
        self.judged = False
        self.by_step = method._equation == "step"
        super().__init__(left or self._gradient, self._solve, None, given, None, math.inf)

    def _solve(self, _: Any, outer: Any, batch: Any, init: Any, trained: Any, *drawn: Any) -> Any:
        method = self.method
        if method.solve is not None:
            begun = self.problem.first(outer) if init is None else floating("init", init)
            if not isinstance(method.solve, Minimizer):
                return tree.map(as_tensor, method.solve(begun, outer)), []
            found = self.report.found = method.solve.search(self.loss, begun, outer, batch, init, trained, *drawn)
            if found.reason == "unbounded":
                raise ConvergenceError(
                    "Implicit: the inner loss falls without end, so there is no inner solution whose derivative could "
                    "be taken. Add a regularizer to it, or differentiate through the training by Reverse."
                )
            return found.params, []
        params, state = trained
        return params, _floating(state)[0] if self.by_step else []

    def _gradient(self, solution: Any, outer: Any, *given: Any) -> Any:
        """F, which is zero at the solution."""
        return func.grad(self.loss)(solution[0], outer, *given)

    def _check(self, flat: Any, solution: Any, residual: list[Any]) -> None:
        count = sum(r.numel() for r in residual)
        if count != flat.numel():
            raise ShapeError(
                f"Implicit: the equation has {count} numbers, but the inner solution has {flat.numel()}; an equation "
                "for each unknown is needed."
            )
        arrays = [r.detach().numpy() for r in residual]
        largest = max((float(np.max(np.abs(r), initial=0.0)) for r in arrays), default=0.0)
        if not (math.isfinite(largest) and np.isfinite(flat.detach().numpy()).all()):
            raise ConvergenceError(
                "Implicit: the inner solution, or its gradient, is not finite: the inner training diverges. Lower its "
                "learning rate."
            )
        known = self.report.inner_residual
        self.report.inner_residual = largest if known is None else max(known, largest)

    def divide(self, b: Any, y: Any, p: Any, constants: Any, *, transposed: bool) -> Any:
        """A^-1 b, or A^-T b, by the method's solver."""
        guess = np.zeros(b.shape, b.dtype)
        if transposed and self.guess is not None:
            known = np.concatenate([np.ravel(as_tensor(x).detach().numpy()) for x in tree.leaves(self.guess)])
            if known.shape != guess.shape:
                raise ShapeError(
                    f"Implicit: warm_start has {known.shape[0]} numbers, expected {guess.shape[0]}, as the inner "
                    "solution has; pass info.warm_start of the same problem."
                )
            # Only the first system is the one that it was the solution of.
            guess, self.guess = known.astype(guess.dtype), None
        x = ops.concatenate([b, y, p])
        first, self.judged = transposed and not self.judged, True
        return ops.linear_solution(x, guess, *constants, system=LinearSystem(self, transposed, first))


class LinearSystem(System):
    """The system with the derivative A of an equation, or with its transpose, as `linear_solution` takes it.

    Its parameters are the inner solution y and what the equation depends on, in one vector.
    """

    def __init__(self, equation: Equation, turned: bool, first: bool = False) -> None:
        self.equation = equation
        self.turned = turned
        self.first = first
        super().__init__(self._product, Iteration("gmres", 0, 0, 0), "the implicit system")

    @property
    def transposed(self) -> LinearSystem:  # type: ignore[override]
        return LinearSystem(self.equation, not self.turned)

    def _product(self, v: Any, q: Any, constants: Any) -> Any:
        y, p = ops.astype(q[: v.shape[0]], v.dtype), q[v.shape[0] :]

        def left(y: Any) -> Any:
            return self.equation.residual(y, p, constants)

        return func.vjp(left, y)[1](v)[0] if self.turned else func.jvp(left, (y,), (v,))[1]

    def iterate(self, x: Any, guess: Any, constants: Any) -> Any:
        """The solution as an array, from arrays."""
        n, report = guess.shape[0], self.equation.report
        b, y, p = x[:n].astype(guess.dtype, copy=False), Tensor(x[n : 2 * n].astype(guess.dtype)), Tensor(x[2 * n :])

        def left(y: Any) -> Any:
            residual = self.equation.residual(y, p, constants)
            report.memory = max(report.memory, graph.memory_report(residual).total.bytes)
            return residual

        with no_transforms(), silent():
            # Recorded once, pulled back through again and again.
            missed, pull = func.vjp(left, y)

            def transpose(v: Any) -> Any:
                report.products += 1
                return pull(Tensor(np.array(v, guess.dtype).reshape(n)))[0].numpy().copy()

            def matrix(v: Any) -> Any:
                if self.equation.method._equation == "gradient":
                    return transpose(v)
                report.products += 1
                return func.jvp(left, (y,), (Tensor(np.array(v, guess.dtype).reshape(n)),))[1].numpy().copy()

            ways = (transpose, matrix) if self.turned else (matrix, transpose)
            if b.any():
                # A power of 2 leaves all digits as they are, and squares of tiny and huge right sides in range.
                power = int(np.frexp(np.max(abs(b)))[1])
                solver = self.equation.method.solver
                solution, residual, converged = solver.solve(*ways, np.ldexp(b, -power), np.ldexp(guess, -power))
                solution = np.ldexp(solution, power)
            else:
                solution, residual, converged = np.zeros_like(b), 0.0, True
        if not np.isfinite(solution).all():
            raise LinearAlgebraError(
                f"Implicit: {self.equation.method.solver} came to a solution that is not finite. The inner solution is "
                "not isolated, or the losses are not smooth there; add damping, or a regularizer to the inner loss."
            )
        if residual is not None:
            report.residual = residual if report.residual is None else max(report.residual, residual)
        report.converged = report.converged and bool(converged)
        if self.first:
            # To first order the outer loss changes by this from here to where the equation holds.
            size = float(abs(b) @ np.maximum(1.0, abs(y.numpy())))
            report.missed = max(report.missed, abs(float(solution @ missed.numpy())) / size if size else 0.0)
        with no_transforms():
            whole = self.equation.unravel(Tensor(solution))
        report.solutions.append(whole if self.equation.by_step else whole[0])
        return solution
