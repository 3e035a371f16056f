"""Sweeps: what values are searched over, and the study that several processes share.

The study is a journal file in the sweep's folder, and each trial a run folder of its own. Who works on a trial holds
its lock; a trial that is running in the journal and whose lock is free was broken off, and is taken up again.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from annotated_types import Ge, Le

from experiments.configuration.check import adapter
from experiments.errors import UsageError
from experiments.extras import require

Sampler = Literal["tpe", "random", "grid"]


@dataclasses.dataclass(frozen=True)
class Range:
    """The values of one key: a list of them, or all numbers from `low` to `high`."""

    values: tuple[Any, ...] | None
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    #: Of a grid.
    count: int = 5

    def distribution(self) -> Any:
        """As Optuna has it. Values that are no plain numbers or texts stand as their YAML."""
        distributions = require("optuna", "sweep").distributions
        if self.values is not None:
            return distributions.CategoricalDistribution([written(value) for value in self.values])
        if self.whole:
            return distributions.IntDistribution(int(self.low), int(self.high), log=self.log)
        return distributions.FloatDistribution(self.low, self.high, log=self.log)

    def grid(self) -> list[Any]:
        """The values of a grid."""
        if self.values is not None:
            return [written(value) for value in self.values]
        steps = [k / max(self.count - 1, 1) for k in range(self.count)]
        if self.log:
            points = [self.low * (self.high / self.low) ** step for step in steps]
        else:
            points = [self.low + (self.high - self.low) * step for step in steps]
        return list(dict.fromkeys(round(point) if self.whole else point for point in points))


def written(value: Any) -> str:
    """A value as it stands behind `key=` on the command line.

    >>> written(0.01), written([1, 2]), written({"name": "Adam"})
    ('0.01', '[1, 2]', '{name: Adam}')
    """
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6).strip()
    return text.removesuffix("...").strip()


def space(given: Mapping[str, Any] | None) -> dict[str, Range]:
    """The ranges of the key `sweep`.

    Raises:
        UsageError: there is none, or one of them is no list and no range.
    """
    if not given:
        raise UsageError(
            "the config has no key 'sweep'; give values, such as 'sweep={outer.optimizer.lr: [0.01, 0.03]}'"
        )
    return {key: _range(key, value) for key, value in given.items()}


def _range(key: str, value: Any) -> Range:
    where = f"sweep[{key}]"
    if isinstance(value, list):
        if not value:
            raise UsageError(f"{where}: found an empty list, expected at least one value")
        return Range(tuple(value))
    if not isinstance(value, Mapping) or not {"low", "high"} <= set(value) <= {"low", "high", "log", "count"}:
        raise UsageError(f"{where}: expected a list of values, or {{low: .., high: .., log: true, count: 5}}")
    low, high, log, count = value["low"], value["high"], value.get("log", False), value.get("count", 5)
    numbers = all(
        isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < 2**53 for one in (low, high)
    )
    if not numbers or not isinstance(log, bool) or low > high or (log and low <= 0):
        raise UsageError(f"{where}: found low {low} and high {high}, expected numbers below 2**53, low <= high" + (
            ", low > 0 with log" if log is True else ""))  # fmt: skip
    try:
        count = adapter(Annotated[int, Ge(1), Le(1000)]).validate_python(count)
    except ValueError:
        raise UsageError(f"{where}.count: found {count!r}, expected a whole number from 1 to 1000") from None
    whole = isinstance(low, int) and isinstance(high, int)
    return Range(None, float(low), float(high), log, whole, count)


class Study:
    """A search that several processes may work on, each on trials of its own."""

    def __init__(self, folder: Path, ranges: Mapping[str, Range], sampler: Sampler, trials: int):
        library = require("optuna", "sweep")
        require("filelock", "experiments")
        library.logging.set_verbosity(library.logging.ERROR)
        self.folder, self.library = folder, library
        self.distributions = {key: one.distribution() for key, one in ranges.items()}
        grid = {key: one.grid() for key, one in ranges.items()}
        self.trials = math.prod(map(len, grid.values())) if sampler == "grid" else trials
        made = {
            "tpe": lambda: library.samplers.TPESampler(seed=0),
            "random": lambda: library.samplers.RandomSampler(seed=0),
            "grid": lambda: library.samplers.RandomSampler(seed=0),  # never asked: all trials are listed at once
        }[sampler]()
        backend = library.storages.journal.JournalFileBackend(str(folder / "study.journal"))
        self.study = library.create_study(
            storage=library.storages.JournalStorage(backend), sampler=made, study_name="sweep", load_if_exists=True
        )
        if sampler == "grid":
            with self._alone():
                if not self.study.get_trials(deepcopy=False):
                    for values in itertools.product(*grid.values()):
                        self.study.enqueue_trial(dict(zip(grid, values, strict=True)))

    def _alone(self) -> Any:
        """Held while a process chooses its next trial."""
        from filelock import FileLock

        return FileLock(self.folder / "sweep.lock")

    @contextmanager
    def next(self) -> Iterator[tuple[int, dict[str, Any]] | None]:
        """The number and values of a trial that is ours while the context lasts, or None if there is none left.

        One that was broken off comes first.
        """
        from filelock import FileLock, Timeout

        states = self.library.trial.TrialState
        found = None
        with self._alone():
            trials = self.study.get_trials(deepcopy=False)
            for trial in trials:
                if trial.state == states.RUNNING:
                    held = FileLock(self.folder / "trials" / f"{trial.number:04d}.lock")
                    try:
                        held.acquire(timeout=0)
                    except Timeout:
                        continue
                    found = trial.number, dict(trial.params), held
                    break
            waiting = any(trial.state == states.WAITING for trial in trials)
            if found is None and (waiting or len(trials) < self.trials):
                trial = self.study.ask(self.distributions)
                held = FileLock(self.folder / "trials" / f"{trial.number:04d}.lock")
                held.acquire(timeout=0)
                found = trial.number, dict(trial.params), held
        if found is None:
            yield None
            return
        number, values, held = found
        try:
            yield number, values
        finally:
            held.release()

    def tell(self, number: int, value: float | None) -> None:
        """What a trial found; None if it failed."""
        states = self.library.trial.TrialState
        if value is None or not math.isfinite(value):
            self.study.tell(number, state=states.FAIL)
        else:
            self.study.tell(number, value)

    def results(self) -> list[tuple[int, dict[str, Any], float | None, str]]:
        """Number, values, figure and state of every trial, the best first."""
        rows = [
            (t.number, dict(t.params), t.value, t.state.name.lower()) for t in self.study.get_trials(deepcopy=False)
        ]
        return sorted(rows, key=lambda row: (math.inf if row[2] is None else row[2], row[0]))
