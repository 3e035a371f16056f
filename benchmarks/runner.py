"""Measure one case of a workload: every version in its own process, checked, then timed in turn."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.process import Worker, stored
from benchmarks.registry import YARDSTICK, Refused, Version, Workload

#: A round lasts about so long for each version: shorter programs are repeated, and count by their mean.
ROUND_SECONDS = 0.05


@dataclass
class Row:
    """What was found for one version.

    `seconds` has one entry a round, empty for a version that is left out of the ranking; `why` then says why.
    `unexpected` marks a result that is wrong though nothing is known to be wrong with that version.
    """

    version: str
    first: float | None = None
    growth: int | None = None
    seconds: list[float] = field(default_factory=list)
    ratio: float | None = None
    why: str = ""
    unexpected: bool = False

    @property
    def median(self) -> float | None:
        """Median seconds of one computation."""
        return statistics.median(self.seconds) if self.seconds else None


def difference(found: list[Any], expected: list[Any], tolerance: float) -> str:
    """What differs between two results, or "" if they agree.

    Each array may differ from the expected one by `tolerance` times its largest entry.

    >>> difference([[1.0, 2.0]], [[1.0, 2.0 + 1e-9]], 1e-8)
    ''
    >>> difference([[1.0, 2.0]], [[1.0, 4.0]], 1e-8)
    'result 0 is off by 0.5 of its size'
    """
    if len(found) != len(expected):
        return f"{len(found)} results, expected {len(expected)}"
    for number, (a, b) in enumerate(zip(map(np.asarray, found), map(np.asarray, expected), strict=True)):
        if a.shape != b.shape:
            return f"result {number} has shape {a.shape}, expected {b.shape}"
        size = max(float(np.abs(b).max(initial=0.0)), np.finfo(float).tiny)
        error = float(np.abs(a - b).max(initial=0.0)) / size
        if not error <= tolerance:  # a NaN is wrong too
            return f"result {number} is off by {error:.1g} of its size"
    return ""


class Measurement:
    """The running workers of one case, and their rows."""

    def __init__(self, workload: Workload, settings: dict[str, Any], threads: int, stack: ExitStack) -> None:
        self.workload, self.settings, self.threads, self.stack = workload, settings, threads, stack
        self.data = stack.enter_context(stored(workload.data(settings)))
        self.rows: list[Row] = []
        self.running: dict[str, Worker] = {}
        self.expected: list[Any] | None = None

    def start(self, version: Version) -> None:
        """Start a version, compute once and compare; it runs on only if its result is right."""
        row = Row(version.name)
        self.rows.append(row)
        missing = version.missing()
        if missing is not None:
            row.why = f"{missing} is not installed"
            return
        if version.make is None:
            row.why = version.note
            return
        # A stack of its own, so that a version that is refused leaves no process behind while others are timed.
        with ExitStack() as own:
            worker = own.enter_context(Worker(self.workload.name, version.name, self.settings, self.data, self.threads))
            try:
                worker.read()
                answer = worker.ask("first")
                row.first = answer["seconds"]
                wrong = self.compare(answer["result"])
                if wrong:
                    row.why = f"{wrong}: {version.note}" if version.note else wrong
                    row.unexpected = not version.note
                    return
                row.growth = worker.ask("memory")["growth"]
            except Refused as refused:
                row.why = str(refused)
                return
            self.running[version.name] = worker
            self.stack.push(own.pop_all())

    def compare(self, result: list[Any]) -> str:
        """What is wrong with a result; the first one is what the others are compared with."""
        if self.expected is None:
            self.expected = result
        return difference(result, self.expected, self.workload.tolerance)

    def time(self, rounds: int) -> None:
        """Time all that run, in turn, so that they meet the same noise; the order is turned round every time."""
        found: dict[str, list[float]] = {name: [] for name in self.running}
        repeats = {}
        for name, worker in self.running.items():
            seconds = worker.ask("time", repeats=1)["seconds"]
            repeats[name] = max(1, min(10_000, round(ROUND_SECONDS / max(seconds, 1e-9))))
        for number in range(rounds):
            for name in list(self.running)[:: -1 if number % 2 else 1]:
                found[name].append(self.running[name].ask("time", repeats=repeats[name])["seconds"])
        for row in self.rows:
            row.seconds = found.get(row.version, [])
            if row.seconds and YARDSTICK in found:
                pairs = zip(row.seconds, found[YARDSTICK], strict=True)
                row.ratio = statistics.median(ours / yardstick for ours, yardstick in pairs)


def measure(
    workload: Workload, settings: dict[str, Any], versions: Iterable[Version], rounds: int, threads: int
) -> list[Row]:
    """The rows of one case.

    Args:
        workload: what is computed.
        settings: those of the case.
        versions: which versions; the first is what the others are compared with.
        rounds: how often each is timed.
        threads: how many threads each may use.
    """
    with ExitStack() as stack:
        measurement = Measurement(workload, settings, threads, stack)
        for version in versions:
            measurement.start(version)
        measurement.time(rounds)
        return measurement.rows
