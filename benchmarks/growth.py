"""How time and memory grow with the steps, tasks, parameters and hyperparameters.

  python -m benchmarks growth [SWEEP ...] [--output FOLDER]

Sweeps: {sweeps}.

Each size is measured as a case of its workload is: results compared with NumPy
by hand first, then timed in turn. Two lines a version: the median time, and
the most memory held during a later call, less what was held before the first.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import facts, registry
from benchmarks.runner import Row, measure
from benchmarks.table import WIDTH, megabytes, seconds

#: What is measured unless --only says otherwise.
USUAL = ("hograd", "JAX", "PyTorch eager")


@dataclasses.dataclass(frozen=True)
class Sweep:
    """One workload at several sizes: `count` gives the number that stands on the axis."""

    label: str
    workload: str
    case: str
    setting: str
    values: tuple[int, ...]
    others: dict[str, Any] = dataclasses.field(default_factory=dict)
    count: Callable[[int], int] = int

    def settings(self, value: int) -> dict[str, Any]:
        """The settings of one size."""
        return registry.workload(self.workload).cases[self.case] | self.others | {self.setting: value}


SWEEPS = {
    "steps": Sweep("inner steps T (learning rates)", "rates", "1000", "steps", (30, 100, 300, 1000)),
    "checkpoint": Sweep(
        "inner steps T (learning rates, checkpointed)", "rates", "1000-checkpoint", "steps", (36, 100, 324, 1024)
    ),
    "tasks": Sweep("tasks (MAML, one step)", "maml", "1", "tasks", (5, 25, 100)),
    "parameters": Sweep(
        "parameters (20 steps of Adam)", "adam", "50", "width", (16, 128, 1024), {"steps": 20}, lambda w: 75 * w + 10
    ),
    "hyperparameters": Sweep(
        "hyperparameters (hyper-cleaning, one weight an example)", "cleaning", "unroll", "examples", (112, 449, 898)
    ),
}


def text(sweep: Sweep, found: dict[int, list[Row]]) -> str:
    """The table of one sweep."""
    lines = [f"{sweep.label}", f"{'':<24}{'':<8}" + "".join(f"{sweep.count(v):>12,}" for v in found)]
    lines.append("-" * min(WIDTH, 32 + 12 * len(found)))
    for name in dict.fromkeys(row.version for rows in found.values() for row in rows):
        rows = [next(row for row in rows if row.version == name) for rows in found.values()]
        if all(row.median is None for row in rows):
            lines += textwrap.wrap(f"{name:<24}left out: {rows[0].why}", WIDTH, subsequent_indent=" " * 24)
            continue
        times = [seconds(row.median) or "left out" for row in rows]
        memories = [megabytes(row.growth) for row in rows]
        lines.append(f"{name:<24}{'time':<8}" + "".join(f"{t:>12}" for t in times))
        lines.append(f"{'':<24}{'memory':<8}" + "".join(f"{m:>12}" for m in memories))
    return "\n".join(lines)


def points(sweep: Sweep, found: dict[int, list[Row]], value: Callable[[Row], float | None]) -> dict[str, Any]:
    """version -> points of a line, for what was measured."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for size, rows in found.items():
        for row in rows:
            y = value(row)
            if row.median is not None and y is not None:
                lines.setdefault(row.version, []).append((sweep.count(size), y))
    return lines


def run(arguments: Sequence[str]) -> int:
    """Measure the sweeps; print a table, and write the figures and a plot for each."""
    from benchmarks.__main__ import parser, selected, write

    cli = parser((__doc__ or "").format(sweeps=", ".join(SWEEPS)), rounds=3, command="growth")
    cli.add_argument("sweep", nargs="*", help="which; all by default")
    options = cli.parse_args(arguments)
    for name in options.sweep:
        if name not in SWEEPS:
            raise SystemExit(f"There is no sweep '{name}': choose from {', '.join(SWEEPS)}.")
    print(facts.summary())
    results: dict[str, Any] = {}
    for name in options.sweep or SWEEPS:
        sweep = SWEEPS[name]
        workload = registry.workload(sweep.workload)
        versions = selected(workload.of_case(sweep.case), options.only or list(USUAL))
        found: dict[int, list[Row]] = {}
        for value in sweep.values:
            found[value] = measure(workload, sweep.settings(value), versions, options.rounds, options.threads)
        print("\n" + text(sweep, found), flush=True)
        results[name] = {sweep.count(v): [dataclasses.asdict(row) for row in rows] for v, rows in found.items()}
        if options.output is not None:
            from benchmarks import plot

            write(options.output, "growth", results)
            time = points(sweep, found, lambda row: row.median)
            # A growth of nothing has no place on a logarithmic axis: what is below a page cannot be seen anyway.
            memory = points(sweep, found, lambda row: None if row.growth is None else max(row.growth, 4096) / 1e6)
            panels = [(sweep.label, "seconds", time), (sweep.label, "memory growth (MB)", memory)]
            caption = f"{options.threads} thread{'s' * (options.threads > 1)}; {facts.summary()}"
            plot.growth(panels, options.output / f"growth-{name}.png", name, caption)
    return 0
