"""What an experiment is: tasks whose steps are pure, and a report that is made from what they stored.

Everything else follows from this and is written once for all experiments: checkpoints and resume, processes and
clusters, sweeps, comparison. A task is found again by its name, so nothing but the config travels between processes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

State: TypeAlias = Any
"""A tree of tensors, arrays, numbers, text, None, lists, tuples and dicts; a generator as the dict of its bit
generator's state."""

Metrics: TypeAlias = Mapping[str, Any]
"""Numbers and short texts of one step, for metrics.jsonl: what is measured, never times, which are not repeated."""


class Task(Protocol):
    """One unit of work, such as one seed of one method on one data set.

    `step` is pure: the same state gives the same next state and metrics to the bit, in whatever process. So a run that
    was killed and resumed ends with the bits of one that was not.
    """

    #: Unique in the experiment, of letters, digits, `.`, `-` and `_`: it names the task's folder.
    name: str
    #: What sets it apart, in the order of a table's columns: {"data": "digits", "seed": 0, "method": "learned"}.
    labels: Mapping[str, str | int]
    #: The number of steps, for the progress bar; it may end before.
    steps: int

    def prepare(self) -> None:
        """Make data, problem and compiled functions, which are never stored. Called once, before all else."""
        ...

    def start(self) -> State:
        """The state before the first step."""
        ...

    def step(self, state: State) -> tuple[State, Metrics]:
        """The next state and what was measured on the way. Raises `DivergedError` where going on makes no sense."""
        ...

    def done(self, state: State) -> bool:
        """Whether nothing is left to do."""
        ...

    def score(self, state: State) -> float | None:
        """How good the state is, smaller is better, to keep the best checkpoint; None where that has no meaning."""
        ...

    def result(self, state: State) -> Mapping[str, Any]:
        """What is kept of the task: a tree of numbers, texts and arrays; also of a state that is not done."""
        ...


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was stored of one task, done or broken off. Reports are made of these alone."""

    name: str
    labels: Mapping[str, str | int]
    #: "finished", "interrupted", "failed" or "waiting".
    status: str
    #: None before the first state was stored.
    result: Mapping[str, Any] | None
    #: One line a step.
    metrics: Sequence[Metrics]
    #: Of work, over all processes that had a part in it.
    seconds: float
    #: Why it failed.
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of text under headings."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    #: Whether another table sums it up: a page folds it, and a terminal is told where it is, if it is long.
    detail: bool = False


@dataclasses.dataclass(frozen=True)
class Plot:
    """A figure of matplotlib, made when it is asked for, and what a reader should see in it."""

    name: str
    caption: str
    draw: Any
    """A function without arguments that returns a matplotlib `Figure`; colours come from `experiments.report.plots`."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What a person reads at the end: the question, what was found, tables and plots."""

    question: str
    findings: Sequence[str] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    #: The figures by which runs are compared: name -> number, of each group of labels.
    figures: Sequence[tuple[Mapping[str, str | int], Mapping[str, float]]] = ()


class Experiment(Protocol):
    """What is registered under the kind "experiment": made from the checked sections of a config."""

    def check(self) -> None:
        """Refuse what cannot work, with the reason, before anything is written: `Refused` names the key.

        Reads the data, so that a missing file or a split that leaves nothing is found here.
        """
        ...

    def memory(self) -> int:
        """A forecast of the bytes that the largest task needs."""
        ...

    def tasks(self, seeds: Sequence[int]) -> Sequence[Task]:
        """All tasks, in the order of the report. Making them is cheap: the work is in `prepare`."""
        ...

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        """The report of what is stored, complete or not."""
        ...
