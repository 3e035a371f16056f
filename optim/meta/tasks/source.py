"""A family of tasks, and random numbers by index."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from hograd import tree
from hograd.errors import ArgumentError
from optim.meta.base import Examples, Task

Seed = int | tuple[int, ...]
"""One or several whole numbers of at least 0. Families with different seeds are independent of one another."""

Dtype = Literal["float32", "float64"]


class Tasks:
    """Any number of tasks, numbered from 0: subclasses write `batch`, and say what a network for them looks like."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        raise NotImplementedError(f"{type(self).__name__} does not define shape.")

    @property
    def outputs(self) -> int:
        """How many numbers a network returns for one input: the classes of a task, or the numbers of a target."""
        return 1

    def batch(self, first: int, count: int) -> Task:
        """Tasks number first to first + count - 1, as arrays with an axis for the tasks in front."""
        raise NotImplementedError(f"{type(self).__name__} does not define batch().")

    def split(self) -> tuple[Tasks, Tasks]:
        """Two families without a task in common: to train on, and to be judged by.

        Where tasks are drawn it is the draws that differ; families of classes give each part classes of its own.
        """
        seed: Any = getattr(self, "seed", 0)
        seeds = (seed,) if isinstance(seed, int) else tuple(seed)
        made: Any = self
        return dataclasses.replace(made, seed=(*seeds, 0)), dataclasses.replace(made, seed=(*seeds, 1))

    def __getitem__(self, index: int) -> Task:
        """One task."""
        if index < 0:
            raise IndexError(f"tasks are numbered from 0, and there is no last one: found {index}")
        return tree.map(lambda array: array[0], self.batch(index, 1))


def uniforms(seed: Seed, first: int, count: int, numbers: int) -> np.ndarray:
    """Numbers uniform in [0, 1) for tasks first to first + count - 1, shape (count, numbers), in float64.

    Each row depends on the seed and the number of its task alone, and all are made by one call: the generator (Philox,
    Salmon et al., 2011) computes its n-th number without those before.

    >>> bool((uniforms(0, 0, 5, 3)[4] == uniforms(0, 4, 1, 3)[0]).all())
    True
    """
    if first < 0 or count < 0:
        raise ArgumentError(f"tasks are numbered from 0: found first={first} and count={count}")
    # Four numbers are made at a time, and an advance goes over four.
    blocks = -(-numbers // 4)
    key = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    source = np.random.Philox(key=key)
    source.advance(first * blocks)
    return np.random.Generator(source).random((count, 4 * blocks))[:, :numbers]


def expect_counts(tasks: Any, *names: str) -> None:
    """Refuse options that are no whole numbers from 1."""
    for name in names:
        value = getattr(tasks, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ArgumentError(f"{type(tasks).__name__}: {name} is {value!r}, expected a whole number of at least 1.")


def normals(uniform: np.ndarray) -> np.ndarray:
    """Standard normal numbers, one for each uniform one."""
    from scipy.special import ndtri

    # A draw of exactly 0, one in 2**53, would be minus infinity.
    return ndtri(np.maximum(uniform, 2.0**-54))


def cut(x: np.ndarray, y: np.ndarray, support: int, dtype: Any) -> Task:
    """The first examples of every task to adapt to, the others to judge by."""
    y = y if y.dtype.kind in "iu" else y.astype(dtype)
    x = x.astype(dtype)
    return Task(Examples(x[:, :support], y[:, :support]), Examples(x[:, support:], y[:, support:]))


def between(uniform: np.ndarray, low: float, high: float) -> np.ndarray:
    """Uniform numbers in another range."""
    return low + (high - low) * uniform
