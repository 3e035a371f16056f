"""Rough linear solvers for a fixed price: series, low rank, and the identity."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from hograd.errors import ArgumentError, LinearAlgebraError
from optim.hyper.linear import Product, Solved, norm
from optim.hyper.problem import expect_count


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

    For symmetric A without negative eigenvalues: directions in which the block is not positive are left out. If A has
    directions beyond these columns whose eigenvalues are above the damping, x is far too long in them: where the
    residual comes out larger than the right side, the answer says that it has not converged, and Implicit warns.

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
        residual = float(norm(b - matrix(x)) / norm(b))
        # Columns that hold all of the matrix miss at most the right side itself.
        return Solved(x, residual, residual < 1.1)


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


def _richardson(matrix: Product, b: Any, guess: Any, steps: int, lr: Any) -> tuple[Any, float, float]:
    """`steps` times  x <- x + lr (b - A x) : the answer, its relative residual, and that at the start.

    The residual of the answer is that of the step before, shrunk by 1 - lr A : one more product would tell it, so what
    is told is the residual before the last step, unless there was none.
    """
    x, r = guess, b
    if guess.any():
        r = b - matrix(guess)
    begun = latest = norm(r)
    for step in range(steps):
        x = x + lr * r
        if step + 1 < steps:
            r = b - matrix(x)
            latest = norm(r)
    return x, float(latest / norm(b)), float(begun / norm(b))
