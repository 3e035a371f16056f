"""Derivatives on hograd and its peers, in one run.

  python -m benchmarks                      every workload (about ten minutes)
  python -m benchmarks maml rates           two of them
  python -m benchmarks rates/1000           one case
  python -m benchmarks eager                eagerly, beside PyTorch on two threads
  python -m benchmarks start                process start to first meta-gradient
  python -m benchmarks growth               how time and memory grow
  python -m benchmarks hypergradient        estimators of hypergradients

Install the peers, PyTorch first, with
  pip install torch==2.13.0 && pip install -e ".[bench]"
What is not installed is left out, and its row says so.

Workloads, with their cases:
{workloads}

How it is measured: every version runs in a process of its own. It computes
once ("first call": compilation and capture are in it), and its result must
agree with NumPy written by hand; otherwise its row says by how much it is
wrong, and it is left out. Those that agree are timed in turn, in rounds.
"ratio" is the median over rounds of its time over NumPy's in the same round,
and "memory" the most that the process held during a later call, less what it
held before the first. hograd has three rows: eager, and captured by
`hograd.compile` for its backends "numpy" and "native".

Exit status: 1 if a result is wrong that is not known to be.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import sys
import textwrap
from pathlib import Path

from benchmarks import facts, registry
from benchmarks.runner import Row, measure
from benchmarks.table import table

#: The measurements that have a command of their own.
COMMANDS = ("eager", "start", "growth", "hypergradient")


def described() -> str:
    """The workloads, one a line, with their cases."""
    lines = []
    for name in registry.NAMES:
        workload = registry.workload(name)
        paragraph = f"{workload.title} (cases: {', '.join(workload.cases)})"
        lines += textwrap.wrap(paragraph, 76, initial_indent=f"  {name:<10}", subsequent_indent=" " * 12)
    return "\n".join(lines)


def parser(description: str, rounds: int | None = None, command: str = "") -> argparse.ArgumentParser:
    """What every measurement takes on its command line; `--rounds` only where there is a usual number of them."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks {command}".rstrip(),
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--only", metavar="TEXT", action="append", help="only versions whose name contains this; may be repeated"
    )
    if rounds is not None:
        made.add_argument("--rounds", type=int, default=rounds, help="how often each is timed (default %(default)s)")
    made.add_argument("--threads", type=int, default=1, help="threads and cores for each (default %(default)s)")
    made.add_argument("--output", type=Path, help="folder for the figures (JSON, with the machine's facts) and plots")
    return made


def chosen(asked: list[str]) -> list[tuple[str, str]]:
    """(workload, case) for what was asked: all, `workload` or `workload/case`.

    >>> chosen(["maml/1", "chain"])
    [('maml', '1'), ('chain', 'gradient'), ('chain', 'second')]
    """
    found = []
    for text in asked or registry.NAMES:
        name, _, case = text.partition("/")
        if name not in registry.NAMES:
            raise SystemExit(
                f"There is no workload '{name}': choose from {', '.join((*registry.NAMES, *COMMANDS))}; see --help."
            )
        cases = registry.workload(name).cases
        if case and case not in cases:
            raise SystemExit(f"{name} has no case '{case}': choose from {', '.join(f'{name}/{c}' for c in cases)}.")
        found += [(name, c) for c in ([case] if case else cases)]
    return found


def selected(versions: list[registry.Version], only: list[str] | None) -> list[registry.Version]:
    """The versions to measure; the yardstick always, and first."""
    rest = [v for v in versions if v.name != registry.YARDSTICK]
    if only:
        rest = [v for v in rest if any(text.lower() in v.name.lower() for text in only)]
    return [v for v in versions if v.name == registry.YARDSTICK] + rest


def write(folder: Path, name: str, results: object) -> None:
    """Figures and the machine's facts, as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": facts.machine(), "results": results}, indent=1)
    (folder / f"{name}.json").write_text(text + "\n")


def run(asked: list[str]) -> int:
    """Measure workloads, print a table for each case, and write the figures."""
    cli = parser((__doc__ or "").format(workloads=described()), rounds=7)
    cli.add_argument("workload", nargs="*", help="a workload, or workload/case; all by default")
    options = cli.parse_args(asked)
    cases = chosen(options.workload)
    print(facts.summary())
    results: dict[str, list[Row]] = {}
    for name, case in cases:
        workload = registry.workload(name)
        versions = selected(workload.of_case(case), options.only)
        rows = measure(workload, workload.cases[case], versions, options.rounds, options.threads)
        results[f"{name}/{case}"] = rows
        threads = f"{options.threads} thread{'s' * (options.threads > 1)}"
        print("\n" + table(f"{name}/{case}: {workload.title} ({threads})", rows), flush=True)
        if options.output is not None:
            from benchmarks import plot

            figures = {c: [dataclasses.asdict(row) | {"median": row.median} for row in r] for c, r in results.items()}
            write(options.output, "workloads", {"threads": options.threads, "cases": figures})
            plot.ratios(results, options.output / "workloads.png", f"{threads}; {facts.summary()}")
    wrong = [f"{case}, {row.version}: {row.why}" for case, rows in results.items() for row in rows if row.unexpected]
    print("\n".join(["", "Wrong results:", *wrong]) if wrong else "", end="\n" if wrong else "")
    return 1 if wrong else 0


def main() -> int:
    """Run what the first argument names."""
    arguments = sys.argv[1:]
    # Python caches bytecode for installed packages, and so must a checkout, or its start would be measured too slow.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if arguments and arguments[0] in COMMANDS:
        return importlib.import_module(f"benchmarks.{arguments[0]}").run(arguments[1:])
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
