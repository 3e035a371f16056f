"""Derivatives of the solutions of equations, however they were found: `custom_root` and `fixed_point`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hograd import tree
from hograd.auxiliary import Auxiliary, pair_of
from hograd.core.dispatch import wrap
from hograd.core.levels import is_grad_enabled, no_grad, no_transforms
from hograd.core.primitive import ops
from hograd.core.tensor import Tensor
from hograd.errors import (
    ArgumentError,
    ConvergenceError,
    DtypeError,
    LevelError,
    LinearAlgebraError,
    ShapeError,
    StructureError,
)
from hograd.func.arguments import as_tensor, name_of
from hograd.func.forward import jvp
from hograd.func.jacobian import jacrev
from hograd.func.reverse import vjp
from hograd.implicit import METHODS, Arguments, of_one_draw, solve_matvec
from hograd.ops.linalg_solve import solve as dense_solve

LARGE = 256
"""Number of unknowns from which the default is to solve by products alone."""

LinearSolve = str | Callable[[Callable[[Any], Any], Any], Any] | None


def custom_root(
    f: Callable[..., Any],
    solve: Callable[..., Any] | None = None,
    *,
    linear_solve: LinearSolve = None,
    tolerance: float | None = None,
    has_aux: bool = False,
) -> Callable[..., Any]:
    """A solver of  f(x, *args) = 0  whose answer x is differentiated by the equation, not through the solver.

    By the implicit function theorem  dx = -(df/dx)^-1 (df/dargs) dargs , for derivatives of every order in both modes.
    The memory does not depend on how the solver works or for how long, and the solver need not be differentiable.

    Args:
        f: function of the solution, a tree, and of `args`; it returns as many numbers as the solution has, in a tree of
            any structure. Tensors that are differentiated or mapped come to it through `args`, not by a closure.
        solve: function of (guess, *args) that returns the solution, any tree of floating tensors. It sees constants
            only, and may use `float`, NumPy or SciPy. If left out, `custom_root` is a decorator of it.
        linear_solve: how to solve with A = df/dx and its transpose: "dense" (the whole matrix; the default up to 256
            unknowns), "gmres" (products alone; the default above), "cg" or "minres" for symmetric A, or a function of
            (matvec, b), of flat tensors, that returns the solution x of matvec(x) = b.
        tolerance: the answer is refused unless max |f| <= tolerance * max(1, max |x|); by default 1e-6, or 1e-3 in
            float32. Derivatives are as accurate as the solution. `math.inf` refuses nothing but nan.
        has_aux: `solve` returns (solution, aux), as does what is made of it: aux is a tree of tensors and numbers, such
            as the number of steps, and comes back as constants. Under `vmap` it is that of each element.

    Returns:
        A function of (guess, *args) that returns what `solve` does. It has no derivative in `guess`, any tree or None.

    Raises:
        ConvergenceError: what the solver returned is no solution.
        LinearAlgebraError: A is singular (the root is not isolated), or an iteration did not converge.
        ArgumentError: `f` closes over a tensor that is being differentiated or mapped.
        StructureError, DtypeError: with `has_aux`, `solve` returns no pair, tells something else than numbers, or tells
            it in different shapes under `vmap` or from one call of a compiled function to the next.

    Random draws of `f` are the same in all of its evaluations for one answer; those of `solve` are its own. Under
    `vmap` the solver runs for each element on its own. Source: Blondel et al., "Efficient and modular implicit
    differentiation" (2022).

    >>> import hograd as ho
    >>> @ho.custom_root(lambda x, a: x**2 - a)
    ... def square_root(guess, a):
    ...     x = guess
    ...     for _ in range(50):
    ...         x = (x + a / x) / 2
    ...     return x
    >>> ho.func.grad_and_value(lambda a: square_root(ho.tensor(1.0), a))(ho.tensor(4.0))
    (tensor(0.2500), tensor(2.))
    >>> halved = ho.custom_root(lambda x, a: 2 * x - a, lambda _, a: (a / 2, {"steps": 1}), has_aux=True)
    >>> ho.func.grad(lambda a: halved(None, a), has_aux=True)(ho.tensor(4.0))
    (tensor(0.5000), {'steps': tensor(1)})
    """
    if solve is None:
        return lambda solve: custom_root(f, solve, linear_solve=linear_solve, tolerance=tolerance, has_aux=has_aux)
    if not (linear_solve is None or callable(linear_solve) or linear_solve in ("dense", *METHODS)):
        names = ", ".join(map(repr, ("dense", *METHODS)))
        raise ArgumentError(f"linear_solve is {linear_solve!r}, expected one of {names}, a function, or None.")

    @functools.wraps(solve)
    def find(guess: Any, *args: Any) -> Any:
        def own(guess: Any, *given: Any) -> Any:
            return solve(guess, *given[: len(args)])

        def run(f: Any, given: tuple[Any, ...]) -> Any:
            problem = Problem(f, functools.update_wrapper(own, solve), guess, given, linear_solve, tolerance, has_aux)
            flat = ops.root(problem.arguments.flat, *problem.arguments.constants, problem=problem)
            if problem.aux is None:
                return problem.unravel(flat)
            return problem.unravel(problem.aux.solution(flat)), problem.aux.unpack(flat)

        return of_one_draw(f, run, *args)

    return find


def fixed_point(
    f: Callable[..., Any],
    guess: Any,
    *args: Any,
    tolerance: float | None = None,
    maximum_steps: int = 1000,
    linear_solve: LinearSolve = None,
) -> Any:
    """The x with  x = f(x, *args) , by iteration; differentiated by that equation, to any order, in constant memory.

    Args:
        f: function of a tree and of `args` that returns a tree like it; a contraction near the solution. Tensors that
            are differentiated or mapped come to it through `args`, not by a closure.
        guess: the tree to begin with, of floating tensors; it has no derivative.
        *args: trees of whatever else `f` depends on.
        tolerance: stop when no element changes by more than tolerance * max(1, max |x|); by default 1e-12, or 1e-5 in
            float32.
        maximum_steps: how many steps to take at most. All see the same random draws of `f`.
        linear_solve: how to solve with 1 - df/dx, as in `custom_root`.

    Returns:
        A tree like `guess`.

    Raises:
        ConvergenceError: no fixed point was found in `maximum_steps` steps.
        StructureError, ShapeError: `f` returned something unlike `guess`.
        ArgumentError: `f` closes over a tensor that is being differentiated or mapped.

    >>> import hograd as ho
    >>> ho.func.grad_and_value(lambda a: ho.fixed_point(lambda x, a: ho.cos(a * x), ho.tensor(1.0), a))(ho.tensor(1.0))
    (tensor(-0.2975), tensor(0.7391))
    """

    def run(f: Any, args: tuple[Any, ...]) -> Any:
        def iterate(guess: Any, *args: Any) -> Any:
            x = tree.map(as_tensor, guess)
            change = math.nan
            for _ in range(maximum_steps):
                new = tree.map(as_tensor, f(x, *args))
                new = _like(new, x, f"{name_of(f)}(x)")
                change, size = _largest(tree.map(ops.sub, new, x)), _largest(new)
                x = new
                if change <= _tolerance(tolerance, x, 1e-12, 1e-5) * max(1.0, size):
                    return x
            raise ConvergenceError(
                f"fixed_point: {name_of(f)} still changes x by {change:.1e} after maximum_steps={maximum_steps} steps. "
                "Raise maximum_steps or tolerance, start nearer, or damp it: x + c * (f(x) - x) has the same fixed "
                "points."
            )

        def residual(x: Any, *args: Any) -> Any:
            return tree.map(lambda x, y: ops.sub(y, x), x, f(x, *args))

        functools.update_wrapper(residual, f)
        accepted = None if tolerance is None else 10 * tolerance
        return custom_root(residual, iterate, linear_solve=linear_solve, tolerance=accepted)(guess, *args)

    return of_one_draw(f, run, *args)


class Problem:
    """One call of a solver: the equation, what it depends on, and how to solve with its derivative.

    Attributes:
        unravel: makes the solution's tree of a flat tensor; set when the solution has been found.
        aux: how what the solver tells stands behind the flat solution; None if it tells nothing.
    """

    unravel: Callable[[Any], Any]

    def __init__(
        self,
        f: Any,
        solve: Any,
        guess: Any,
        args: Any,
        linear_solve: LinearSolve,
        tolerance: float | None,
        has_aux: bool = False,
    ) -> None:
        self.f = f
        self.solve = solve
        self.arguments = Arguments((tree.detach(guess), args))
        self.linear_solve = linear_solve
        self.tolerance = tolerance
        self.recorded = is_grad_enabled()
        self.aux = Auxiliary(name_of(solve)) if has_aux else None

    def on_arrays(self, function: Callable[..., Any], *arrays: Any) -> Any:
        """A function of tensors on arrays, as if no transform were open: none of them is part of one."""
        with no_transforms(), no_grad():
            return function(*map(wrap, arrays), problem=self).value

    def find(self, p: Any, constants: Any) -> Any:
        """The solution as an array, from arrays."""
        with no_transforms():
            guess, args = self.arguments.put_together(Tensor(p), constants)
            try:
                result = self.solve(guess, *args)
                solution, told = (result, None) if self.aux is None else pair_of(result, self.solve)
                solution = tree.detach(tree.map(as_tensor, solution))
                residual = tree.map(as_tensor, self.f(solution, *args))
            except LevelError as error:
                raise self._closure() from error
            left = tree.leaves(residual)
            foreign = any(isinstance(x, Tensor) and type(x) is not Tensor for x in tree.leaves(told))
            if foreign or any(type(r) is not Tensor or (self.recorded and r.node is not None) for r in left):
                raise self._closure()
            flat, self.unravel = tree.ravel(solution)
            self._check(flat, solution, left)
        return flat.value if self.aux is None else self.aux.pack(flat, told).value

    def _check(self, flat: Any, solution: Any, residual: list[Any]) -> None:
        """Refuse what is no solution."""
        if flat.dtype.kind != "f":
            raise DtypeError(
                f"custom_root: {name_of(self.solve)} returned dtype {flat.dtype}, expected floating tensors."
            )
        count = sum(r.numel() for r in residual)
        if count != flat.numel():
            raise ShapeError(
                f"custom_root: {name_of(self.f)} gives {count} numbers, but the solution has {flat.numel()}; an "
                "equation for each unknown is needed."
            )
        left, size = _largest(residual), _largest(solution)
        accepted = _tolerance(self.tolerance, solution, 1e-6, 1e-3)
        if not (math.isfinite(size) and left <= accepted * max(1.0, size)):
            raise ConvergenceError(
                f"custom_root: {name_of(self.solve)} returned no solution: max |{name_of(self.f)}| is {left:.1e}, "
                f"expected at most {accepted * max(1.0, size):.1e}. Let it run longer or from a better guess, or pass "
                "a larger tolerance; derivatives are no more accurate than the solution."
            )

    def _closure(self) -> ArgumentError:
        return ArgumentError(
            f"custom_root: {name_of(self.f)} or {name_of(self.solve)} uses a tensor that is being differentiated or "
            "mapped and is not among its arguments: pass it after the guess, and take it as a further argument (or "
            "`detach` it)."
        )

    def residual(self, y: Any, p: Any, constants: Any) -> Any:
        """f as a function of flat tensors."""
        _, args = self.arguments.put_together(p, constants)
        x = self.unravel(y)
        return ops.astype(tree.ravel(_in_order(self.f(x, *args), x))[0], y.dtype)

    def adjoint(self, g: Any, y: Any, p: Any, constants: Any) -> Any:
        """-(df/dp)^T A^-T g."""
        if self.aux is not None:
            g, y = self.aux.solution(g), self.aux.solution(y)
        w = self.divide(g, y, p, constants, transposed=True)
        return -vjp(lambda p: self.residual(y, p, constants), p)[1](w)[0]

    def tangent(self, t: Any, y: Any, p: Any, constants: Any) -> Any:
        """-A^-1 (df/dp) t."""
        flat, y = y, y if self.aux is None else self.aux.solution(y)
        moved = jvp(lambda p: self.residual(y, p, constants), (p,), (t,))[1]
        answer = -self.divide(moved, y, p, constants, transposed=False)
        return answer if self.aux is None else self.aux.tangent(answer, flat)

    def divide(self, b: Any, y: Any, p: Any, constants: Any, *, transposed: bool) -> Any:
        """A^-1 b, or A^-T b, differentiable in all that it is given."""
        how = self.linear_solve
        if how is None:
            how = "dense" if y.shape[0] <= LARGE else "gmres"
        if how == "dense":
            A = jacrev(lambda y: self.residual(y, p, constants))(y)
            try:
                return dense_solve(ops.swapaxes(A, 0, 1) if transposed else A, b)
            except LinearAlgebraError as error:
                raise LinearAlgebraError(
                    f"custom_root: the derivative of {name_of(self.f)} at the solution is singular, so the solution is "
                    "not isolated and has no derivative."
                ) from error

        def product(v: Any, y: Any, p: Any, *constants: Any) -> Any:
            def residual(y: Any) -> Any:
                return self.residual(y, p, constants)

            return vjp(residual, y)[1](v)[0] if transposed else jvp(residual, (y,), (v,))[1]

        product.__name__ = f"{'the transpose of ' if transposed else ''}the derivative of {name_of(self.f)}"
        if isinstance(how, str):
            return solve_matvec(product, b, y, p, *constants, method=how)

        def system(v: Any, b: Any, *rest: Any) -> Any:
            return product(v, *rest) - b

        def solution(_: Any, b: Any, *rest: Any) -> Any:
            return how(lambda v: product(as_tensor(v), *rest), b)

        # A linear system is an equation too: its own derivatives come from it in the same way.
        return custom_root(system, solution, linear_solve=how)(None, b, y, p, *constants)


def _in_order(residual: Any, solution: Any) -> Any:
    """The equations in the order of the unknowns, where they have the same names, so that symmetric ones stay so."""
    try:
        return tree.match(solution, residual)
    except StructureError:
        return residual


def _largest(values: Any) -> float:
    """The largest absolute value in a tree; nan if there is one."""
    return float(np.max([np.max(np.abs(x.detach().numpy()), initial=0.0) for x in tree.leaves(values)], initial=0.0))


def _tolerance(given: float | None, values: Any, double: float, single: float) -> float:
    if given is not None:
        return given
    return double if all(x.dtype.itemsize >= 8 for x in tree.leaves(values)) else single


def _like(found: Any, x: Any, called: str) -> Any:
    """A tree in the form of x; an error unless it has the structure and shapes of x."""
    leaves = tree.match(x, found, ("guess", called), caller="fixed_point")
    for path, a, b in zip(tree.paths(x), tree.leaves(x), leaves, strict=True):
        if a.shape != b.shape:
            raise ShapeError(
                f"fixed_point: {called}{path} has shape {tuple(b.shape)}, expected {tuple(a.shape)}, that of guess."
            )
    return tree.unflatten(tree.structure(x), leaves)
