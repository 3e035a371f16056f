"""Baselines as components: searches over constant hyperparameters, at a cost that can be compared.

A search is a task whose step is one inner training. What it proposes next depends on its state alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np

from experiments.components.registry import register
from experiments.components.types import Count, Distinct, Positive
from experiments.extras import require

Point = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Range:
    """The values of one hyperparameter that a search tries.

    Args:
        low, high: the ends, both of which belong to it.
        count: how many values a grid has between them.
        log: whether values lie evenly on a logarithmic scale.
        values: a list of values, instead of all of these.
    """

    low: float | None = None
    high: float | None = None
    count: Count = 10
    log: bool = True
    values: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if (self.values is None) == (self.low is None or self.high is None):
            raise ValueError("expected either low and high, or values")
        if self.values is not None:
            if not self.values:
                raise ValueError("values: found an empty list, expected at least one value")
        elif self.low > self.high or (self.log and self.low <= 0):  # type: ignore[operator]
            least = "0 < low <= high, or log: false" if self.log else "low <= high"
            raise ValueError(f"found low {self.low:g} and high {self.high:g}, expected {least}")

    def grid(self) -> list[float]:
        """The values of a grid."""
        if self.values is not None:
            return list(self.values)
        low, high = float(self.low), float(self.high)  # type: ignore[arg-type]
        return [float(v) for v in (np.geomspace if self.log else np.linspace)(low, high, self.count)]

    def draw(self, random: np.random.Generator) -> float:
        """One value at random."""
        if self.values is not None:
            return float(random.choice(self.values))
        low, high = float(self.low), float(self.high)  # type: ignore[arg-type]
        if self.log:
            return float(np.exp(random.uniform(math.log(low), math.log(high))))
        return float(random.uniform(low, high))


class Search(Protocol):
    """Proposes points one after the other. One that trains otherwise than the experiment has a `trainer` too."""

    #: What the report calls it.
    title: str
    #: A "search" for what is learned, the "start" of learning, or another training for "reference".
    role: str

    def budget(self, same: int) -> int:
        """How many points it tries; `same` is what learning took."""
        ...

    def propose(self, number: int, seed: int, tried: Sequence[tuple[Point, float]]) -> Point:
        """The point of one training, from those before it and their validation losses."""
        ...


@register("baseline")
@dataclasses.dataclass(frozen=True)
class grid:
    """Every combination of some values.

    Args:
        over: the values of each hyperparameter, by its name under `learn`.
    """

    over: dict[str, Range]

    title = "best of the grid"
    role = "search"

    def budget(self, same: int) -> int:
        """As many as there are combinations."""
        return math.prod(len(one.grid()) for one in self.over.values())

    def propose(self, number: int, seed: int, tried: Sequence[tuple[Point, float]]) -> Point:
        """The combination of that number; the last hyperparameter changes fastest."""
        points = itertools.product(*(one.grid() for one in self.over.values()))
        return dict(zip(self.over, next(itertools.islice(points, number, None)), strict=True))


@register("baseline")
@dataclasses.dataclass(frozen=True)
class random:
    """Values drawn at random (Bergstra and Bengio, 2012).

    Args:
        over: the values of each hyperparameter, by its name under `learn`.
        trainings: how many points; "same" for as many trainings as learning takes.
    """

    over: dict[str, Range]
    trainings: Literal["same"] | Count = "same"

    title = "random search"
    role = "search"

    def budget(self, same: int) -> int:
        """As many as were asked for."""
        return same if self.trainings == "same" else self.trainings

    def propose(self, number: int, seed: int, tried: Sequence[tuple[Point, float]]) -> Point:
        """A point that seed and number fix."""
        generator = np.random.default_rng([seed, 11, number])
        return {name: one.draw(generator) for name, one in self.over.items()}


@register("baseline")
@dataclasses.dataclass(frozen=True)
class optuna:
    """The samplers of Optuna, which learn from what was tried; needs the extra `sweep`.

    Args:
        over: the values of each hyperparameter, by its name under `learn`.
        sampler: "tpe", the tree-structured Parzen estimator (Bergstra et al., 2011), or "gp", a Gaussian process.
        trainings: how many points; "same" for as many trainings as learning takes.
    """

    over: dict[str, Range]
    sampler: Literal["tpe", "gp"] = "tpe"
    trainings: Literal["same"] | Count = "same"

    role = "search"

    @property
    def title(self) -> str:
        """What the report calls it."""
        return f"Optuna, {self.sampler}"

    def budget(self, same: int) -> int:
        """As many as were asked for."""
        return same if self.trainings == "same" else self.trainings

    def propose(self, number: int, seed: int, tried: Sequence[tuple[Point, float]]) -> Point:
        """The point that a new study proposes after what was tried, with a seed for each number.

        A study of its own for each point, so that nothing but the state of the task decides it.
        """
        library = require("optuna", "sweep")
        distributions = library.distributions
        spaces: dict[str, Any] = {
            name: distributions.CategoricalDistribution(list(one.values))
            if one.values is not None
            else distributions.FloatDistribution(one.low, one.high, log=one.log)
            for name, one in self.over.items()
        }
        mixed = int(np.random.SeedSequence([seed, 13, number]).generate_state(1)[0])
        samplers = {"tpe": library.samplers.TPESampler, "gp": library.samplers.GPSampler}
        library.logging.set_verbosity(library.logging.ERROR)
        study = library.create_study(sampler=samplers[self.sampler](seed=mixed))
        complete, failed = library.trial.TrialState.COMPLETE, library.trial.TrialState.FAIL
        for point, value in tried:
            finite = math.isfinite(value)
            study.add_trial(
                library.trial.create_trial(
                    params=dict(point),
                    distributions=spaces,
                    value=value if finite else None,
                    state=complete if finite else failed,
                )
            )
        return {name: float(value) for name, value in study.ask(spaces).params.items()}


@register("baseline")
@dataclasses.dataclass(frozen=True)
class start:
    """The values that learning begins with: one training."""

    title = "the start"
    role = "start"

    def budget(self, same: int) -> int:
        """One."""
        return 1

    def propose(self, number: int, seed: int, tried: Sequence[tuple[Point, float]]) -> Point:
        """Nothing is changed."""
        return {}


#: What the baseline `trained_on` may train on, and what a report calls it.
EXAMPLES = {
    "given": "noisy",
    "validation": "validation alone",
    "corrected": "clean",
    "right": "right",
}


@register("baseline")
@dataclasses.dataclass(frozen=True)
class trained_on:
    """Training on other examples, without what is learned, at the best of some L2 strengths.

    Which strength is the best is judged by the accuracy on examples that training has not seen.

    Args:
        examples: "given": as the data set has them, wrong labels among them; "corrected": these with all labels right;
            "right": only those whose label is right; "validation": the validation examples alone.
        beside_validation: whether the validation examples are in every training too; the strength is then chosen with
            one half of them on the other.
        l2: the strengths.
    """

    examples: Literal["given", "validation", "corrected", "right"] = "given"
    beside_validation: bool = False
    l2: Distinct[Positive] = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2)

    role = "reference"

    @property
    def title(self) -> str:
        """What the report calls it."""
        return EXAMPLES[self.examples] + (" + validation" if self.beside_validation else "")

    def budget(self, same: int) -> int:
        """One training for each strength, and the last one."""
        return len(self.l2) + 1

    def propose(self, number: int, seed: int, tried: Sequence[tuple[Point, float]]) -> Point:
        """The strengths one after the other, and at last the best of them."""
        if number < len(self.l2):
            return {"l2": self.l2[number]}
        return dict(min(tried, key=lambda one: one[1])[0])
