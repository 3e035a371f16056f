"""How well a learner does on new tasks, by how many steps it adapts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import hograd as ho
from hograd import func, tree
from hograd.errors import ArgumentError
from optim.meta.adaptation import expect_steps
from optim.meta.base import Algorithm, Task, judged, tensors
from optim.meta.tasks.source import Tasks
from optim.meta.training import chunk

QUANTILE = 1.959964
"""97.5 % quantile of the normal distribution: a mean over hundreds of tasks, plus and minus this many errors."""


class Interval(NamedTuple):
    """A mean over tasks, and half of its 95 % interval."""

    mean: float
    half_width: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.half_width:.3f}"


def interval(values: np.ndarray) -> Interval:
    """The mean of one value for each task, and half of its 95 % interval.

    >>> print(interval(np.array([1.0, 2.0, 3.0])))
    2.000 ± 1.132
    """
    values = np.asarray(values, np.float64)
    spread = values.std(ddof=1) if len(values) > 1 else np.nan
    return Interval(float(values.mean()), float(QUANTILE * spread / np.sqrt(len(values))))


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Losses and accuracies on the query examples of new tasks.

    Attributes:
        steps: after how many steps; None where the algorithm knows none.
        losses: shape (tasks, steps).
        accuracies: the same for classes, else None.
    """

    steps: tuple[int | None, ...]
    losses: np.ndarray
    accuracies: np.ndarray | None = None

    @property
    def loss(self) -> dict[int | None, Interval]:
        """The mean loss by number of steps."""
        return {step: interval(self.losses[:, i]) for i, step in enumerate(self.steps)}

    @property
    def accuracy(self) -> dict[int | None, Interval]:
        """The mean accuracy by number of steps; {} if targets are no classes."""
        if self.accuracies is None:
            return {}
        return {step: interval(self.accuracies[:, i]) for i, step in enumerate(self.steps)}

    def __str__(self) -> str:
        lines = []
        for step, loss in self.loss.items():
            after = "" if step is None else f"after {step} step{'' if step == 1 else 's'}: "
            accuracy = f", accuracy {self.accuracy[step]}" if self.accuracies is not None else ""
            lines.append(f"{after}loss {loss}{accuracy}")
        return "\n".join(lines)


def evaluate(
    algorithm: Algorithm,
    learned: Any,
    tasks: Tasks,
    number: int = 600,
    steps: Sequence[int | None] | None = None,
    *,
    tasks_at_once: int | None = None,
    compile: str | None = None,
) -> Evaluation:
    """Adapt to tasks that are new, and judge on their query examples.

    Args:
        algorithm, learned: as `train` returned it.
        tasks: a family that training did not see: another seed, or other classes.
        number: how many of them, from number 0 on.
        steps: after how many steps of adaptation to judge; default as many as in training.
        tasks_at_once, compile: as in `make_step`.

    Returns:
        An `Evaluation`, which prints the means with their 95 % intervals.

    Predictions are those of `algorithm.adapt`: what they normalise by is said there.

    >>> from hograd import nn
    >>> from optim.meta import MAML
    >>> from optim.meta.tasks import Blobs
    >>> algorithm = MAML(nn.mlp([2, 16, 5]), steps=1)
    >>> found = evaluate(algorithm, algorithm.init(0), Blobs(seed=1), number=50, steps=[0, 10])
    >>> found.accuracy[10].mean > found.accuracy[0].mean
    True
    """
    expect_steps("evaluate: number", number, 1)
    steps = (None,) if steps is None else tuple(steps)
    if not steps:
        raise ArgumentError("evaluate: steps is empty, expected numbers of steps, such as [0, 1, 5].")

    def of_task(learned: Any, task: Task) -> list[Any]:
        found = []
        for count in steps:
            predict = algorithm.adapt(learned, task.support, count)
            found.append(judged(algorithm.criterion, predict(task.query.x), task.query.y)[1])
        return found

    def of_tasks(learned: Any, part: Task) -> list[Any]:
        with ho.no_grad():
            return func.vmap(of_task, in_dims=(None, 0))(learned, part)

    run = of_tasks if compile is None else ho.compile(of_tasks, backend=compile)
    size = min(number, chunk(tensors(tasks.batch(0, min(number, 64))), tasks_at_once))
    told = []
    for begin in range(0, number, size):
        # All parts have one size, so that one program serves them.
        part = run(learned, tensors(tasks.batch(begin, size)))
        told.append(tree.map(lambda leaf, n=number - begin: leaf.numpy()[:n], part))
    columns = tree.map(lambda *leaves: np.concatenate(leaves), *told)
    accuracies = [column.get("accuracy") for column in columns]
    return Evaluation(
        steps,
        np.stack([column["loss"] for column in columns], axis=1).astype(np.float64),
        None if accuracies[0] is None else np.stack(accuracies, axis=1).astype(np.float64),
    )
