"""Linear solvers for implicit hypergradients: how  A x = b  is solved, exactly or roughly, by products with A alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from hograd.errors import ArgumentError, LinearAlgebraError
from optim.hyper.problem import expect_count

Product = Callable[[Any], Any]


class Solved(NamedTuple):
    """A solution, the residual |b - A x| / |b| (None: not known), and whether the solver has what it was asked for."""

    x: Any
    residual: float | None
    converged: bool = True


class Solver(Protocol):
    """A way to solve a linear system of flat arrays."""

    def solve(self, matrix: Product, transpose: Product, b: Any, guess: Any) -> Solved:
        """x with  matrix(x) = b , from `guess` (zeros if it knows nothing); b is not zero."""
        ...


@dataclasses.dataclass(frozen=True)
class Dense:
    """The whole matrix, column by column, and its factorisation: n products, exact.

    >>> matrix = lambda v: np.array([2.0, 4.0]) * v
    >>> Dense().solve(matrix, matrix, np.ones(2), np.zeros(2)).x
    array([0.5 , 0.25])
    """

    def solve(self, matrix: Product, transpose: Product, b: Any, guess: Any) -> Solved:
        """x with  matrix(x) = b ."""
        whole = np.stack([matrix(column) for column in np.eye(len(b), dtype=b.dtype)], axis=1)
        try:
            x = np.linalg.solve(whole, b)
        except np.linalg.LinAlgError as error:
            raise LinearAlgebraError(
                "Implicit: the matrix is singular, so the inner solution is not isolated and has no derivative; add a "
                "regularizer to the inner loss, or use a solver with damping."
            ) from error
        return Solved(x, _norm(b - whole @ x) / _norm(b))


@dataclasses.dataclass(frozen=True)
class Krylov:
    """What the iterations have in common.

    Args:
        steps: number of iterations; None goes on until the tolerance is reached, for at most ten times as many
            iterations as there are unknowns (and at least 100), and warns if it is not.
        tolerance: stop when |b - A x| <= tolerance * |b|.
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
        if self.damping:
            plain, plain_transpose, shift = matrix, transpose, b.dtype.type(self.damping)
            matrix = lambda v: plain(v) + shift * v  # noqa: E731
            transpose = lambda v: plain_transpose(v) + shift * v  # noqa: E731
        limit = max(10 * len(b), 100) if self.steps is None else self.steps
        x, residual = self.iterate(matrix, transpose, b, guess, limit)
        residual = float(residual / _norm(b))
        converged = residual <= max(self.tolerance, 4 * np.finfo(b.dtype).eps)
        if self.steps is None and not residual < 1:
            raise LinearAlgebraError(
                f"Implicit: {type(self).__name__} left a residual of {residual:.1e} of the right side in {limit} "
                f"iterations, no better than the answer 0: the hypergradient would mean nothing. {self.needs} If it "
                "does, the system is badly conditioned: add damping, or a regularizer to the inner loss."
            )
        return Solved(x, residual, converged)

    def iterate(self, matrix: Product, transpose: Product, b: Any, guess: Any, limit: int) -> tuple[Any, Any]:
        """The solution and the norm of its residual."""
        raise NotImplementedError(f"{type(self).__name__} does not define iterate().")


@dataclasses.dataclass(frozen=True)
class CG(Krylov):
    """Conjugate gradients (Hestenes and Stiefel, 1952), for a symmetric positive definite matrix; as in iMAML.

    With condition number c the error after k steps, in the norm of A, is below
    2 ((sqrt(c) - 1) / (sqrt(c) + 1))**k  of the error at the start.

    Args:
        steps: number of iterations; None goes on until the tolerance is reached, for at most ten times as many
            iterations as there are unknowns (and at least 100), and warns if it is not.
        tolerance: stop when |b - A x| <= tolerance * |b|.
        damping: solve with A + damping, >= 0, instead.

    Raises:
        LinearAlgebraError: a direction without positive curvature was met.

    >>> matrix = lambda v: np.array([2.0, 4.0]) * v
    >>> CG().solve(matrix, matrix, np.ones(2), np.zeros(2)).x
    array([0.5 , 0.25])
    """

    needs: ClassVar[str] = "CG needs a symmetric positive definite matrix."

    def iterate(self, matrix: Product, transpose: Product, b: Any, guess: Any, limit: int) -> tuple[Any, Any]:
        x = guess
        r = b - matrix(x) if x.any() else b
        p, left, goal = r, r @ r, (self.tolerance * _norm(b)) ** 2
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
        tolerance: stop when |b - A x| <= tolerance * |b|.
        damping: solve with A + damping, >= 0, instead.

    >>> matrix, transpose = lambda v: np.array([v[1], -2 * v[0]]), lambda v: np.array([-2 * v[1], v[0]])
    >>> NormalCG().solve(matrix, transpose, np.ones(2), np.zeros(2)).x
    array([-0.5,  1. ])
    """

    needs: ClassVar[str] = "NormalCG needs a matrix that can be inverted."

    def iterate(self, matrix: Product, transpose: Product, b: Any, guess: Any, limit: int) -> tuple[Any, Any]:
        x = guess
        r = b - matrix(x) if x.any() else b
        s = transpose(r)
        p, left, goal = s, s @ s, self.tolerance * _norm(b)
        for _ in range(limit):
            if _norm(r) <= goal or not left > 0:
                break
            moved = matrix(p)
            step = left / (moved @ moved)
            x, r = x + step * p, r - step * moved
            s = transpose(r)
            before, left = left, s @ s
            p = s + left / before * p
        return x, _norm(r)


@dataclasses.dataclass(frozen=True)
class MINRES(Krylov):
    """Minimal residuals (Paige and Saunders, 1975), for a symmetric matrix that may be indefinite; from SciPy.

    Args:
        steps: number of iterations; None goes on until the tolerance is reached, for at most ten times as many
            iterations as there are unknowns (and at least 100), and warns if it is not.
        tolerance: stop when |b - A x| <= tolerance * |b|.
        damping: solve with A + damping, >= 0, instead.

    >>> matrix = lambda v: np.array([2.0, -4.0]) * v
    >>> MINRES().solve(matrix, matrix, np.ones(2), np.zeros(2)).x.round(12)
    array([ 0.5 , -0.25])
    """

    needs: ClassVar[str] = "MINRES needs a symmetric matrix that can be inverted."

    def iterate(self, matrix: Product, transpose: Product, b: Any, guess: Any, limit: int) -> tuple[Any, Any]:
        from scipy.sparse.linalg import LinearOperator, minres

        operator = LinearOperator((len(b), len(b)), matvec=matrix, dtype=b.dtype)  # type: ignore[call-arg]
        x, left, spent = guess, b - matrix(guess) if guess.any() else b, 0
        # SciPy's stops at a residual relative to |A| |x|, which may lie far above what is asked for: it goes on there.
        while spent < limit and _norm(left) > self.tolerance * _norm(b):
            taken: list[int] = []
            goal = max(1e-3 * self.tolerance * _norm(b) / _norm(left), np.finfo(b.dtype).eps)
            more, _ = minres(operator, left, rtol=goal, maxiter=limit - spent, callback=lambda _, n=taken: n.append(1))
            if not taken or not np.isfinite(more).all():
                break
            spent += len(taken)
            before, tried = _norm(left), x + more
            left = b - matrix(tried)
            if not _norm(left) < before:
                left = b - matrix(x)
                break
            x = tried
        return x.astype(b.dtype, copy=False), _norm(left)


@dataclasses.dataclass(frozen=True)
class GMRES(Krylov):
    """Generalized minimal residuals (Saad and Schultz, 1986), for any matrix; from SciPy, restarted after 100 steps.

    Args:
        steps: number of iterations; None goes on until the tolerance is reached, for at most ten times as many
            iterations as there are unknowns (and at least 100), and warns if it is not.
        tolerance: stop when |b - A x| <= tolerance * |b|.
        damping: solve with A + damping, >= 0, instead.

    >>> matrix = lambda v: np.array([v[1], -2 * v[0]])
    >>> GMRES().solve(matrix, matrix, np.ones(2), np.zeros(2)).x.round(12)
    array([-0.5,  1. ])
    """

    needs: ClassVar[str] = "GMRES needs a matrix that can be inverted."

    def iterate(self, matrix: Product, transpose: Product, b: Any, guess: Any, limit: int) -> tuple[Any, Any]:
        from scipy.sparse.linalg import LinearOperator, gmres

        operator = LinearOperator((len(b), len(b)), matvec=matrix, dtype=b.dtype)  # type: ignore[call-arg]
        if limit == 0:
            return guess, _norm(b - matrix(guess))
        restart = max(1, min(len(b), 100, limit))
        x, _ = gmres(
            operator, b, x0=guess, rtol=self.tolerance, atol=0.0, restart=restart, maxiter=-(-limit // restart)
        )
        return x.astype(b.dtype, copy=False), _norm(b - matrix(x))


@dataclasses.dataclass(frozen=True)
class Neumann:
    """The first terms of the Neumann series  lr * sum_{j <= steps} (1 - lr A)**j b  (Lorraine et al., 2020).

    With eigenvalues of A in [m, 1 / lr] the error is below (1 - lr m)**(steps + 1) of the solution.

    Args:
        steps: number of products, >= 0.
        lr: > 0, below 2 / the largest eigenvalue of A.

    Raises:
        LinearAlgebraError: the series diverges.

    >>> matrix = lambda v: 2.0 * v
    >>> Neumann(steps=1, lr=0.25).solve(matrix, matrix, np.ones(1), np.zeros(1))
    Solved(x=array([0.375]), residual=0.5, converged=True)
    """

    steps: int
    lr: float

    def __post_init__(self) -> None:
        expect_count("Neumann: steps", self.steps)
        if not 0 < self.lr < math.inf:
            raise ArgumentError(f"Neumann: lr is {self.lr}, expected a finite number above 0.")

    def solve(self, matrix: Product, transpose: Product, b: Any, guess: Any) -> Solved:
        """x with  matrix(x) = b , roughly."""
        x, residual, begun = _richardson(matrix, b, guess, self.steps + 1, b.dtype.type(self.lr))
        if residual > max(begun, 1):
            raise LinearAlgebraError(
                f"Implicit: the Neumann series diverges with lr={self.lr}: after {self.steps} products the residual is "
                f"{residual:.1e} of the right side. Take lr below 2 / the largest eigenvalue of the Hessian."
            )
        return Solved(x, residual)


@dataclasses.dataclass(frozen=True)
class FixedPoint:
    """Iterations of the adjoint of one inner step  v <- (dstep/dw)^T v + b  (Grazzi et al., 2020).

    If the step contracts by q, the error after k iterations is below q**k of the solution. It takes the inner solution
    for a fixed point of the optimizer's step, state included, instead of a root of the gradient.

    Args:
        steps: number of iterations, >= 0; from zeros, the first one needs no product.

    Raises:
        LinearAlgebraError: the iteration diverges.

    >>> matrix = lambda v: 0.5 * v
    >>> FixedPoint(steps=2).solve(matrix, matrix, np.ones(1), np.zeros(1))
    Solved(x=array([1.5]), residual=0.5, converged=True)
    """

    steps: int

    equation: ClassVar[str] = "step"

    def __post_init__(self) -> None:
        expect_count("FixedPoint: steps", self.steps)

    def solve(self, matrix: Product, transpose: Product, b: Any, guess: Any) -> Solved:
        """x with  matrix(x) = b , roughly; `matrix` is 1 - dstep/dw or its transpose."""
        x, residual, begun = _richardson(matrix, b, guess, self.steps, b.dtype.type(1))
        # A step that contracts in the end may, with momentum, expand at first.
        if residual > 100 * max(begun, 1):
            raise LinearAlgebraError(
                f"Implicit: the fixed point iteration diverges: after {self.steps} iterations the residual is "
                f"{residual:.1e} of the right side. The inner step does not contract: lower its learning rate."
            )
        return Solved(x, residual)


@dataclasses.dataclass(frozen=True)
class Nystrom:
    """The inverse of a low-rank approximation of the Hessian by some of its columns (Hataya and Yamada, 2023).

    With the columns C of A at random places K, and their block  A_K = A[K, K] :   x = (C A_K^-1 C^T + damping)^-1 b .

    Args:
        rank: number of columns, and of products, >= 1; all of them make it exact but for the damping.
        damping: > 0.
        seed: which columns.

    For symmetric A without negative eigenvalues: directions in which the block is not positive are left out.

    >>> matrix = lambda v: np.array([2.0, 4.0]) * v
    >>> Nystrom(rank=2, damping=1.0).solve(matrix, matrix, np.ones(2), np.zeros(2)).x.round(3)
    array([0.333, 0.2  ])
    """

    rank: int
    damping: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        expect_count("Nystrom: rank", self.rank, 1)
        if not 0 < self.damping < math.inf:
            raise ArgumentError(f"Nystrom: damping is {self.damping}, expected a finite number above 0.")

    def solve(self, matrix: Product, transpose: Product, b: Any, guess: Any) -> Solved:
        """x with  matrix(x) = b , roughly."""
        n = len(b)
        places = np.sort(np.random.default_rng(self.seed).choice(n, min(self.rank, n), replace=False))
        columns = np.stack([matrix(unit) for unit in np.eye(n, dtype=b.dtype)[places]], axis=1)
        block = columns[places]
        values, vectors = np.linalg.eigh((block + block.T) / 2)
        kept = values > np.finfo(b.dtype).eps * len(places) * max(values.max(), 0)
        half = columns @ (vectors[:, kept] / np.sqrt(values[kept]))
        basis, sizes, _ = np.linalg.svd(half, full_matrices=False)
        inside = basis.T @ b
        # Twice, so that what rounding left inside is not divided by the damping.
        outside = b - basis @ inside
        outside = outside - basis @ (basis.T @ outside)
        x = basis @ (inside / (sizes**2 + b.dtype.type(self.damping))) + outside / b.dtype.type(self.damping)
        return Solved(x, float(_norm(b - matrix(x)) / _norm(b)))


@dataclasses.dataclass(frozen=True)
class Identity:
    """The identity in place of the Hessian:  x = lr * b , for no product at all (T1-T2; Luketina et al., 2016).

    Args:
        lr: what the inverse of the Hessian is taken for, > 0.

    >>> Identity(lr=0.5).solve(None, None, np.ones(1), np.zeros(1))
    Solved(x=array([0.5]), residual=None, converged=True)
    """

    lr: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.lr < math.inf:
            raise ArgumentError(f"Identity: lr is {self.lr}, expected a finite number above 0.")

    def solve(self, matrix: Any, transpose: Any, b: Any, guess: Any) -> Solved:
        """x with  x = lr * b ."""
        return Solved(b.dtype.type(self.lr) * b, None)


def _norm(x: Any) -> Any:
    return np.linalg.norm(x)


def _richardson(matrix: Product, b: Any, guess: Any, steps: int, lr: Any) -> tuple[Any, float, float]:
    """`steps` times  x <- x + lr (b - A x) : the answer, its relative residual, and that at the start.

    The residual of the answer is that of the step before, shrunk by 1 - lr A : one more product would tell it, so what
    is told is the residual before the last step, unless there was none.
    """
    x, r = guess, b
    if guess.any():
        r = b - matrix(guess)
    begun = latest = _norm(r)
    for step in range(steps):
        x = x + lr * r
        if step + 1 < steps:
            r = b - matrix(x)
            latest = _norm(r)
    return x, float(latest / _norm(b)), float(begun / _norm(b))
