"""Linear solvers that go on until a tolerance: conjugate gradients and minimal residuals."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from hograd.errors import ArgumentError, LinearAlgebraError
from optim.hyper.linear import Product, Solved, expect_sound, norm
from optim.hyper.problem import expect_count


@dataclasses.dataclass(frozen=True)
class Krylov:
    """What the iterations have in common.

    Args:
        steps: number of iterations; None goes on until the tolerance is reached, for at most ten times as many
            iterations as there are unknowns (and at least 100), and warns if it is not.
        tolerance: stop when |b - A x| <= tolerance * |b|, or at the rounding of their dtype.
        damping: solve with A + damping, >= 0, instead.
    """

    steps: int | None = None
    tolerance: float = 1e-10
    damping: float = 0.0

    needs: ClassVar[str] = ""

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.steps is not None:
            expect_count(f"{name}: steps", self.steps)
        for field in ("tolerance", "damping"):
            value = getattr(self, field)
            if not 0 <= value < math.inf:
                raise ArgumentError(f"{name}: {field} is {value}, expected a finite number of at least 0.")

    def solve(self, matrix: Product, transpose: Product, b: Any, guess: Any) -> Solved:
        """x with  matrix(x) = b ."""
        shift = b.dtype.type(self.damping)
        size = 0.0

        def measured(v: Any) -> Any:
            nonlocal size
            product = matrix(v) + shift * v if self.damping else matrix(v)
            length = norm(v)
            size = max(size, float(norm(product) / length)) if length else size
            return product

        def turned(v: Any) -> Any:
            return transpose(v) + shift * v if self.damping else transpose(v)

        limit = max(10 * len(b), 100) if self.steps is None else self.steps
        # Below this there is rounding alone: no iteration would ever be done.
        tolerance = max(self.tolerance, 4 * float(np.finfo(b.dtype).eps))
        x, residual = self.iterate(measured, turned, b, guess, limit, tolerance)
        residual = float(residual / norm(b))
        converged = residual <= tolerance
        if not converged:
            expect_sound(type(self).__name__, x, b, size, np.finfo(b.dtype).eps ** (1 / 3))
        if self.steps is None and not residual < 0.9:
            raise LinearAlgebraError(
                f"Implicit: {type(self).__name__} left a residual of {residual:.1e} of the right side in {limit} "
                f"iterations, hardly better than the answer 0: the hypergradient would mean nothing. {self.needs} If "
                "it does, the system is badly conditioned: add damping, or a regularizer to the inner loss."
            )
        return Solved(x, residual, converged)

    def iterate(
        self, matrix: Product, transpose: Product, b: Any, guess: Any, limit: int, tolerance: Any
    ) -> tuple[Any, Any]:
        """The solution and the norm of its residual, which is to come below `tolerance` times that of b."""
        raise NotImplementedError(f"{type(self).__name__} does not define iterate().")


@dataclasses.dataclass(frozen=True)
class CG(Krylov):
    """Conjugate gradients (Hestenes and Stiefel, 1952), for a symmetric positive definite matrix; as in iMAML.

    With condition number c the error after k steps, in the norm of A, is below
    2 ((sqrt(c) - 1) / (sqrt(c) + 1))**k  of the error at the start.

    Args:
        steps: number of iterations; None goes on until the tolerance is reached, for at most ten times as many
            iterations as there are unknowns (and at least 100), and warns if it is not.
        tolerance: stop when |b - A x| <= tolerance * |b|, or at the rounding of their dtype.
        damping: solve with A + damping, >= 0, instead.

    Raises:
        LinearAlgebraError: a direction without positive curvature was met.

    >>> matrix = lambda v: np.array([2.0, 4.0]) * v
    >>> CG().solve(matrix, matrix, np.ones(2), np.zeros(2)).x
    array([0.5 , 0.25])
    """

    needs: ClassVar[str] = "CG needs a symmetric positive definite matrix."

    def iterate(
        self, matrix: Product, transpose: Product, b: Any, guess: Any, limit: int, tolerance: Any
    ) -> tuple[Any, Any]:
        x = guess
        r = b - matrix(x) if x.any() else b
        p, left, goal = r, r @ r, (tolerance * norm(b)) ** 2
        for _ in range(limit):
            if left <= goal:
                break
            moved = matrix(p)
            curvature = p @ moved
            if not curvature > 0:
                raise LinearAlgebraError(
                    f"Implicit: CG met a direction of curvature {float(curvature / (p @ p)):.1e}, but needs a "
                    "symmetric positive definite matrix. The inner solution is no strict minimum, or training has not "
                    "come near it: train longer, add damping, or use MINRES, GMRES or NormalCG."
                )
            step = left / curvature
            x, r = x + step * p, r - step * moved
            before, left = left, r @ r
            p = r + left / before * p
        return x, np.sqrt(left)


@dataclasses.dataclass(frozen=True)
class NormalCG(Krylov):
    """Conjugate gradients on the normal equations  A^T A x = A^T b  (CGLS), for any matrix; two products a step.

    Args:
        steps: number of iterations; None goes on until the tolerance is reached, for at most ten times as many
            iterations as there are unknowns (and at least 100), and warns if it is not.
        tolerance: stop when |b - A x| <= tolerance * |b|, or at the rounding of their dtype.
        damping: solve with A + damping, >= 0, instead.

    >>> matrix, transpose = lambda v: np.array([v[1], -2 * v[0]]), lambda v: np.array([-2 * v[1], v[0]])
    >>> NormalCG().solve(matrix, transpose, np.ones(2), np.zeros(2)).x
    array([-0.5,  1. ])
    """

    needs: ClassVar[str] = "NormalCG needs a matrix that can be inverted."

    def iterate(
        self, matrix: Product, transpose: Product, b: Any, guess: Any, limit: int, tolerance: Any
    ) -> tuple[Any, Any]:
        x = guess
        r = b - matrix(x) if x.any() else b
        s = transpose(r)
        p, left, goal = s, s @ s, tolerance * norm(b)
        size, eps = 0.0, np.finfo(b.dtype).eps
        for _ in range(limit):
            # What is left of the residual may be out of reach: all further steps would go after rounding.
            if norm(r) <= goal or np.sqrt(left) <= 10 * eps * size * norm(r):
                break
            moved = matrix(p)
            size = max(size, norm(moved) / norm(p))
            step = left / (moved @ moved)
            x, r = x + step * p, r - step * moved
            s = transpose(r)
            before, left = left, s @ s
            p = s + left / before * p
        return x, norm(r)


@dataclasses.dataclass(frozen=True)
class MINRES(Krylov):
    """Minimal residuals (Paige and Saunders, 1975), for a symmetric matrix that may be indefinite; from SciPy.

    Args:
        steps: number of iterations; None goes on until the tolerance is reached, for at most ten times as many
            iterations as there are unknowns (and at least 100), and warns if it is not.
        tolerance: stop when |b - A x| <= tolerance * |b|, or at the rounding of their dtype.
        damping: solve with A + damping, >= 0, instead.

    >>> matrix = lambda v: np.array([2.0, -4.0]) * v
    >>> MINRES().solve(matrix, matrix, np.ones(2), np.zeros(2)).x.round(12)
    array([ 0.5 , -0.25])
    """

    needs: ClassVar[str] = "MINRES needs a symmetric matrix that can be inverted."

    def iterate(
        self, matrix: Product, transpose: Product, b: Any, guess: Any, limit: int, tolerance: Any
    ) -> tuple[Any, Any]:
        from scipy.sparse.linalg import LinearOperator, minres

        operator = LinearOperator((len(b), len(b)), matvec=matrix, dtype=b.dtype)  # type: ignore[call-arg]
        x, left, spent = guess, b - matrix(guess) if guess.any() else b, 0
        # SciPy's stops at a residual relative to |A| |x|, which may lie far above what is asked for: it goes on there.
        while spent < limit and norm(left) > tolerance * norm(b):
            taken: list[int] = []
            goal = max(1e-3 * tolerance * norm(b) / norm(left), np.finfo(b.dtype).eps)
            more, _ = minres(operator, left, rtol=goal, maxiter=limit - spent, callback=lambda _, n=taken: n.append(1))
            if not taken or not np.isfinite(more).all():
                break
            spent += len(taken)
            before, tried = norm(left), x + more
            left = b - matrix(tried)
            if not norm(left) < before:
                left = b - matrix(x)
                break
            x = tried
        return x.astype(b.dtype, copy=False), norm(left)


@dataclasses.dataclass(frozen=True)
class GMRES(Krylov):
    """Generalized minimal residuals (Saad and Schultz, 1986), for any matrix; from SciPy, restarted after 100 steps.

    Args:
        steps: number of iterations; None goes on until the tolerance is reached, for at most ten times as many
            iterations as there are unknowns (and at least 100), and warns if it is not.
        tolerance: stop when |b - A x| <= tolerance * |b|, or at the rounding of their dtype.
        damping: solve with A + damping, >= 0, instead.

    >>> matrix = lambda v: np.array([v[1], -2 * v[0]])
    >>> GMRES().solve(matrix, matrix, np.ones(2), np.zeros(2)).x.round(12)
    array([-0.5,  1. ])
    """

    needs: ClassVar[str] = "GMRES needs a matrix that can be inverted."

    def iterate(
        self, matrix: Product, transpose: Product, b: Any, guess: Any, limit: int, tolerance: Any
    ) -> tuple[Any, Any]:
        from scipy.sparse.linalg import LinearOperator, gmres

        operator = LinearOperator((len(b), len(b)), matvec=matrix, dtype=b.dtype)  # type: ignore[call-arg]
        if limit == 0:
            return guess, norm(b - matrix(guess))
        restart = max(1, min(len(b), 100, limit))
        x, _ = gmres(operator, b, x0=guess, rtol=tolerance, atol=0.0, restart=restart, maxiter=-(-limit // restart))
        return x.astype(b.dtype, copy=False), norm(b - matrix(x))
