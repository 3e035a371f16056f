"""N-way K-shot tasks over labelled arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from hograd.errors import ArgumentError
from optim.meta.base import Examples, Task
from optim.meta.tasks.source import Dtype, Seed, Tasks, expect_counts, uniforms


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Episodes(Tasks):
    """Tasks of some classes, drawn from labelled examples, and of some examples of each, all different.

    Args:
        x: examples, shape (n, ...): an array, also memory-mapped; only rows that a task needs are read. Whole numbers
            from 0 to 255 become numbers from 0 to 1.
        y: labels, shape (n,): whole numbers or texts. Classes may have unequal numbers of examples.
        ways: classes of a task, which get the numbers 0 to ways - 1 anew in each.
        shots, queries: examples of each class to adapt to, and to judge by.
        classes: labels to draw from; default all.
        rotations: take images (..., height, width) turned by 90, 180 and 270 degrees as further classes, as is done for
            Omniglot (Santoro et al., 2016).
        seed: see `Seed`.
        dtype: of the examples in tasks.

    Raises:
        ArgumentError: a class has too few examples, or there are too few classes; the message names them.

    >>> x, y = np.arange(12.0).reshape(12, 1), np.repeat(["a", "b", "c"], 4)
    >>> task = Episodes(x, y, ways=2, shots=1, queries=2)[0]
    >>> task.support.x.shape, task.support.y, task.query.y
    ((2, 1), array([0, 1]), array([0, 1, 0, 1]))
    """

    x: Any
    y: Any
    ways: int = 5
    shots: int = 1
    queries: int = 15
    classes: Sequence[Any] | None = None
    rotations: bool = False
    seed: Seed = 0
    dtype: Dtype = "float32"
    # Made of the labels: rows in the order of classes, where those of each class begin, how many there are.
    _order: np.ndarray = dataclasses.field(init=False)
    _begin: np.ndarray = dataclasses.field(init=False)
    _count: np.ndarray = dataclasses.field(init=False)
    _labels: np.ndarray = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        expect_counts(self, "ways", "shots", "queries")
        labels = np.asarray(self.y)
        if labels.ndim != 1 or len(labels) != len(self.x):
            raise ArgumentError(
                f"Episodes: y has shape {labels.shape}, expected ({len(self.x)},), a label for each row of x."
            )
        if self.rotations and (len(self.shape) < 2 or self.shape[-1] != self.shape[-2]):
            raise ArgumentError(f"Episodes: rotations need square images, but an example has shape {self.shape}.")
        known, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
        chosen = np.arange(len(known)) if self.classes is None else self._places(known)
        needed = self.shots + self.queries
        few = [(known[i].item(), int(counts[i])) for i in chosen if counts[i] < needed]
        if few:
            named = ", ".join(f"{label!r} has {count}" for label, count in few[:5])
            raise ArgumentError(
                f"Episodes: {len(few)} of {len(chosen)} classes have fewer than {needed} examples, "
                f"shots + queries = {self.shots} + {self.queries}: {named}{', ...' if len(few) > 5 else ''}."
            )
        turns = 4 if self.rotations else 1
        if len(chosen) * turns < self.ways:
            raise ArgumentError(f"Episodes: there are {len(chosen) * turns} classes, but ways is {self.ways}.")
        begins = np.concatenate([[0], np.cumsum(counts)])
        for name, value in (
            ("_order", np.argsort(inverse, kind="stable")),
            ("_begin", begins[chosen]),
            ("_count", counts[chosen]),
            ("_labels", known[chosen]),
        ):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"Episodes(classes={len(self._labels)}, ways={self.ways}, shots={self.shots}, queries={self.queries})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(self.x.shape[1:])

    @property
    def outputs(self) -> int:
        """The classes of a task."""
        return self.ways

    def batch(self, first: int, count: int) -> Task:
        """Tasks number first to first + count - 1."""
        rows, turns, ways = *self._drawn(first, count), self.ways
        x = np.asarray(self.x[rows])
        x = x.astype(self.dtype) / 255 if x.dtype.kind in "iu" else x.astype(self.dtype)
        for turn in range(1, 4 if self.rotations else 1):
            place = np.broadcast_to((turns == turn)[:, None], rows.shape)
            x[place] = np.rot90(x[place], turn, axes=(-2, -1))
        examples = x.reshape(count, -1, *self.shape)
        y = np.broadcast_to(np.arange(ways), rows.shape).reshape(count, -1)
        cut = self.shots * ways
        return Task(Examples(examples[:, :cut], y[:, :cut]), Examples(examples[:, cut:], y[:, cut:]))

    def split(self, share: float = 0.8) -> tuple[Episodes, Episodes]:
        """Two families without a class in common: to train on, and to be judged by.

        Args:
            share: of the classes that training gets; which they are the seed decides.
        """
        order = np.argsort(uniforms(self.seed, 0, 1, len(self._labels))[0], kind="stable")
        cut = round(share * len(order))
        seeds = (self.seed,) if isinstance(self.seed, int) else tuple(self.seed)
        train, test = (
            dataclasses.replace(self, classes=self._labels[np.sort(part)].tolist(), seed=(*seeds, number))
            for number, part in enumerate((order[:cut], order[cut:]))
        )
        return train, test

    def labels(self, index: int) -> list[Any]:
        """The labels of the classes of one task, in the order of their numbers in it."""
        places = self._classes(self._numbers(index, 1))[0]
        return self._labels[places % len(self._labels)].tolist()

    def _places(self, known: np.ndarray) -> np.ndarray:
        """Where the chosen labels stand among all."""
        wanted = list(dict.fromkeys(self.classes or ()))
        place = {label: i for i, label in enumerate(known.tolist())}
        missing = [label for label in wanted if label not in place]
        if missing:
            named = ", ".join(map(repr, missing[:5]))
            raise ArgumentError(f"Episodes: {len(missing)} of the classes have no example at all: {named}.")
        return np.array([place[label] for label in wanted], int)

    def _numbers(self, first: int, count: int) -> np.ndarray:
        examples = self.shots + self.queries
        return uniforms(self.seed, first, count, 2 * self.ways * (1 + examples))

    def _classes(self, numbers: np.ndarray) -> np.ndarray:
        """The classes of every task, shape (tasks, ways); turned ones follow those that are not."""
        whole = len(self._labels) * (4 if self.rotations else 1)
        return distinct(numbers[:, : 2 * self.ways], np.array(whole))

    def _drawn(self, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows of x, shape (tasks, shots + queries, ways), and by how many quarters each class is turned."""
        numbers, ways = self._numbers(first, count), self.ways
        classes = self._classes(numbers)
        turns, places = np.divmod(classes, len(self._labels))
        own = distinct(numbers[:, 2 * ways :].reshape(count, ways, -1), self._count[places])
        return self._order[(self._begin[places][..., None] + own).swapaxes(1, 2)], turns


def distinct(numbers: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Different whole numbers below `whole` in random order, from twice as many uniform ones along the last axis.

    Floyd's algorithm (Bentley and Floyd, 1987) chooses them; the second half of the numbers puts them in order.

    >>> sorted(distinct(np.random.default_rng(0).random((1, 8)), np.array([4]))[0].tolist())
    [0, 1, 2, 3]
    """
    k = numbers.shape[-1] // 2
    chosen = np.empty((*numbers.shape[:-1], k), np.int64)
    for j in range(k):
        top = whole - k + j
        drawn = (numbers[..., j] * (top + 1)).astype(np.int64)
        taken = (chosen[..., :j] == drawn[..., None]).any(-1)
        chosen[..., j] = np.where(taken, top, drawn)
    return np.take_along_axis(chosen, np.argsort(numbers[..., k:], -1, kind="stable"), -1)
