"""What all benchmarks share: measuring in turn, a table, and a JSON file with the facts of the machine."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def medians(workloads: dict[str, Callable[[], Any]], rounds: int, warmup: int = 3) -> dict[str, list[float]]:
    """Seconds of each workload, round by round, the workloads in turn so that all meet the same noise.

    A round repeats a short workload until it has lasted 20 ms, and counts the mean of one call.
    """
    repeats = {}
    for name, workload in workloads.items():
        for _ in range(warmup):
            workload()
        start = time.perf_counter()
        workload()
        repeats[name] = max(1, round(0.02 / max(time.perf_counter() - start, 1e-9)))
    seconds: dict[str, list[float]] = {name: [] for name in workloads}
    for _ in range(rounds):
        for name, workload in workloads.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                workload()
            seconds[name].append((time.perf_counter() - start) / repeats[name])
    return seconds


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Median over rounds of our time over theirs."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    versions = {}
    for package in ("hograd", "numpy", "scipy", "torch", "jax"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "load": os.getloadavg(),
        "versions": versions,
    }


def processor() -> str:
    """The name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def peer(name: str) -> Any:
    """The peer's module, or None with a line that says so."""
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name} is not installed: only our times are measured. `pip install {name}` to compare.")
        return None


def arguments(description: str, rounds: int) -> argparse.Namespace:
    """What every benchmark takes on its command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help="rounds of measurement (default %(default)s)")
    parser.add_argument("--json", type=Path, help="also write all figures, with the facts of the machine, here")
    return parser.parse_args()


def report(rows: Iterator[tuple[str, list[float], list[float] | None, float]], path: Path | None) -> None:
    """Print a line a workload as soon as it is measured, and write all of them.

    A row is: name, our seconds, the peer's or None, the ratio that we aim at.
    """
    print(f"{'':<42}{'ours':>9}{'PyTorch':>10}{'ratio':>7}{'aim':>6}")
    print("-" * 74)
    results = []
    for name, ours, theirs, aim in rows:
        line = f"{name:<42}{statistics.median(ours) * 1e3:>6.2f} ms"
        found = None
        if theirs is not None:
            found = ratio(ours, theirs)
            line += f"{statistics.median(theirs) * 1e3:>7.2f} ms{found:>7.2f}{aim:>6.2f}"
        print(line, flush=True)
        results.append({"name": name, "ours": ours, "theirs": theirs, "ratio": found, "aim": aim})
    if path is not None:
        path.write_text(json.dumps({"machine": machine(), "results": results}, indent=2) + "\n")
