"""What a solver of the linear systems of implicit hypergradients is, and the one that factorises the matrix."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from hograd.errors import LinearAlgebraError

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
        expect_sound("Dense", x, b, norm(whole))
        residual = float(norm(b - whole @ x) / norm(b))
        return Solved(x, residual, residual <= np.sqrt(np.finfo(b.dtype).eps))


def expect_sound(name: str, x: Any, b: Any, size: Any, most: float = 0.01) -> None:
    """Raise if rounding in a product of the solution with the matrix, of norm `size`, is above `most` of b."""
    share = float(np.finfo(b.dtype).eps * size * norm(x) / norm(b))
    if not share < most:
        raise LinearAlgebraError(
            f"Implicit: {name} came to a solution so large that rounding in one product with it is {share:.1e} of the "
            "right side: the matrix is singular but for rounding, and the hypergradient would mean nothing. The inner "
            "solution is not isolated; add a regularizer to the inner loss, or use a solver with damping."
        )


def norm(x: Any) -> Any:
    """The Euclidean norm of a flat array."""
    return np.linalg.norm(x)
