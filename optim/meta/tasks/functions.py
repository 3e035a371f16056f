"""Tasks that are drawn and need no data: sinusoids, lines, blobs of points, quadratics."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from hograd.errors import ArgumentError
from optim.meta.base import Examples, Task
from optim.meta.tasks.source import Dtype, Seed, Tasks, between, cut, expect_counts, normals, uniforms


@dataclasses.dataclass(frozen=True)
class Sinusoids(Tasks):
    """y = amplitude sin(frequency x - phase): the tasks of Finn et al. (2017), section 5.1.

    Args:
        shots: points to adapt to.
        queries: points to judge by.
        seed: see `Seed`.
        frequencies: the range of the frequency; (0.8, 1.2) for the tasks of Meta-SGD (Li et al., 2017), table 1.
        amplitudes, phases, inputs: the other ranges; all are drawn uniformly.
        dtype: of the points.

    >>> tasks = Sinusoids(shots=10, queries=5)
    >>> tasks[7].support.x.shape, tasks.batch(0, 25).query.y.shape
    ((10, 1), (25, 5, 1))
    """

    shots: int = 10
    queries: int = 10
    seed: Seed = 0
    frequencies: tuple[float, float] = (1.0, 1.0)
    amplitudes: tuple[float, float] = (0.1, 5.0)
    phases: tuple[float, float] = (0.0, np.pi)
    inputs: tuple[float, float] = (-5.0, 5.0)
    dtype: Dtype = "float64"

    def __post_init__(self) -> None:
        expect_counts(self, "shots", "queries")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        return (1,)

    def batch(self, first: int, count: int) -> Task:
        """Tasks number first to first + count - 1."""
        drawn = self._drawn(first, count)
        x = between(drawn[:, 3:, None], *self.inputs)
        return cut(x, self._values(drawn, x), self.shots, self.dtype)

    def values(self, index: int, x: np.ndarray) -> np.ndarray:
        """The function of one task at inputs of any shape."""
        return self._values(self._drawn(index, 1), x[None])[0]

    def _drawn(self, first: int, count: int) -> np.ndarray:
        return uniforms(self.seed, first, count, 3 + self.shots + self.queries)

    def _values(self, drawn: np.ndarray, x: np.ndarray) -> np.ndarray:
        ranges = (self.amplitudes, self.phases, self.frequencies)
        amplitude, phase, frequency = (
            between(drawn[:, i].reshape(-1, *(1,) * (x.ndim - 1)), *ends) for i, ends in enumerate(ranges)
        )
        return amplitude * np.sin(frequency * x - phase)


@dataclasses.dataclass(frozen=True)
class LinearRegressions(Tasks):
    """y = <w, x> + noise, with x and w standard normal: what a task has in common with others is its `center`.

    Args:
        features: of an input.
        shots, queries: points to adapt to, and to judge by.
        noise: standard deviation of what is added to y.
        center: what is added to every number of w.
        seed: see `Seed`.
        dtype: of the points.
    """

    features: int = 4
    shots: int = 10
    queries: int = 10
    noise: float = 0.1
    center: float = 0.0
    seed: Seed = 0
    dtype: Dtype = "float64"

    def __post_init__(self) -> None:
        expect_counts(self, "features", "shots", "queries")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        return (self.features,)

    def batch(self, first: int, count: int) -> Task:
        """Tasks number first to first + count - 1."""
        points = self.shots + self.queries
        drawn = normals(uniforms(self.seed, first, count, self.features + points * (self.features + 1)))
        w, x, noise = np.split(drawn, [self.features, self.features * (points + 1)], axis=1)
        x = x.reshape(count, points, self.features)
        y = x @ (w + self.center)[:, :, None] + self.noise * noise[:, :, None]
        return cut(x, y, self.shots, self.dtype)


@dataclasses.dataclass(frozen=True)
class Blobs(Tasks):
    """Classes are normal clouds of points, around centers that are normal themselves.

    Args:
        ways: classes of a task.
        shots, queries: points of each class to adapt to, and to judge by.
        features: of a point.
        spread: standard deviation inside a class; that of the centers is 1.
        seed: see `Seed`.
        dtype: of the points.
    """

    ways: int = 5
    shots: int = 1
    queries: int = 5
    features: int = 2
    spread: float = 0.3
    seed: Seed = 0
    dtype: Dtype = "float64"

    def __post_init__(self) -> None:
        expect_counts(self, "ways", "shots", "queries", "features")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one point."""
        return (self.features,)

    @property
    def outputs(self) -> int:
        """The classes of a task."""
        return self.ways

    def batch(self, first: int, count: int) -> Task:
        """Tasks number first to first + count - 1; the classes take turns."""
        points, k = self.shots + self.queries, self.features
        drawn = normals(uniforms(self.seed, first, count, (points + 1) * self.ways * k))
        drawn = drawn.reshape(count, points + 1, self.ways, k)
        x = drawn[:, :1] + self.spread * drawn[:, 1:]
        y = np.broadcast_to(np.arange(self.ways), (count, points, self.ways)).reshape(count, -1)
        return cut(x.reshape(count, -1, k), y, self.shots * self.ways, self.dtype)


@dataclasses.dataclass(frozen=True)
class Quadratics(Tasks):
    """Minimise |A w - b|^2 / n over w, with A and b normal: the solution is known.

    As examples these are the rows of A and the entries of b; a query has the same A and another b. With a linear
    network without bias and the mean squared error all of meta-learning has a closed form, for tests.

    Args:
        features: numbers in w.
        rows: of A.
        condition: of the matrix A^T A, whose eigenvalues go from 1 / condition to 1, times n.
        same: whether the query is the support itself, so that only minimising counts, as for learned optimizers.
        seed: see `Seed`.
        dtype: of the numbers.
    """

    features: int = 4
    rows: int = 8
    condition: float = 10.0
    same: bool = False
    seed: Seed = 0
    dtype: Dtype = "float64"

    def __post_init__(self) -> None:
        expect_counts(self, "features", "rows")
        if self.rows < self.features:
            raise ArgumentError(
                f"Quadratics: rows is {self.rows}, expected at least {self.features}, one for each of the features."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return (self.features,)

    def batch(self, first: int, count: int) -> Task:
        """Tasks number first to first + count - 1."""
        n, k = self.rows, self.features
        drawn = normals(uniforms(self.seed, first, count, n * k + k * k + 2 * n))
        left, right, b, c = np.split(drawn, np.cumsum([n * k, k * k, n]), axis=1)
        left, right = (np.linalg.qr(part.reshape(count, -1, k))[0] for part in (left, right))
        size = np.sqrt(n * np.geomspace(1 / self.condition, 1, k))
        A = left * size @ right.swapaxes(1, 2)
        A, b, c = (part.astype(self.dtype) for part in (A, b[:, :, None], c[:, :, None]))
        return Task(Examples(A, b), Examples(A, b if self.same else c))

    def solution(self, index: int, *, damping: float = 0.0, around: Any = 0.0) -> np.ndarray:
        """The w that minimises  |A w - b|^2 / n + damping / 2 * |w - around|^2  on the support, shape (features,)."""
        A, b = self[index].support
        matrix = 2 / self.rows * A.T @ A + damping * np.eye(self.features)
        return np.linalg.solve(matrix, 2 / self.rows * A.T @ b[:, 0] + damping * np.broadcast_to(around, self.features))
