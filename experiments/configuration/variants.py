"""Several forms of one experiment, run and reported side by side."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from experiments.data.images import MissingDataError
from experiments.errors import Refused
from experiments.experiment import Experiment, Outcome, Report, State, Task


class Variants:
    """An experiment whose tasks are those of all its variants, with their name in front."""

    def __init__(self, experiments: Mapping[str, Experiment]):
        self.experiments = experiments

    def check(self) -> None:
        """Refuse if one of them refuses. One whose data set is absent is left out, if there are others."""
        absent: dict[str, MissingDataError] = {}
        for name, experiment in self.experiments.items():
            try:
                experiment.check()
            except Refused as error:
                raise Refused(f"variants.{name}", str(error)) from None
            except MissingDataError as error:
                absent[name] = error
        if len(absent) == len(self.experiments):
            raise next(iter(absent.values()))
        for reason in dict.fromkeys(map(str, absent.values())):
            names = [name for name, error in absent.items() if str(error) == reason]
            which = f"variant {names[0]} is" if len(names) == 1 else f"variants {', '.join(names)} are"
            print(f"hograd: note: {which} left out: {reason}", file=sys.stderr)
        self.experiments = {name: one for name, one in self.experiments.items() if name not in absent}

    def memory(self) -> int:
        """Of the largest whose data set is there."""
        needed = []
        for experiment in self.experiments.values():
            with suppress(MissingDataError):
                needed.append(experiment.memory())
        return max(needed, default=0)

    def tasks(self, seeds: Sequence[int]) -> Sequence[Task]:
        """The tasks of all, one variant after the other."""
        return [VariantTask(name, task) for name, one in self.experiments.items() for task in one.tasks(seeds)]

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        """One report of all: the label "variant" tells them apart."""
        return next(iter(self.experiments.values())).report(outcomes)


class VariantTask:
    """A task of a variant."""

    def __init__(self, variant: str, task: Task):
        self.task = task
        self.name = f"{variant}-{task.name}"
        self.labels: Mapping[str, str | int] = {"variant": variant, **task.labels}
        self.steps = task.steps

    def prepare(self) -> None:
        """As the task."""
        self.task.prepare()

    def start(self) -> State:
        """As the task."""
        return self.task.start()

    def step(self, state: State) -> tuple[State, Mapping[str, Any]]:
        """As the task."""
        return self.task.step(state)

    def done(self, state: State) -> bool:
        """As the task."""
        return self.task.done(state)

    def score(self, state: State) -> float | None:
        """As the task."""
        return self.task.score(state)

    def result(self, state: State) -> Mapping[str, Any]:
        """As the task."""
        return self.task.result(state)
