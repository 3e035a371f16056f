"""What it costs to begin: import time, process start to the first meta-gradient, and installed size.

  python -m benchmarks start [--rounds N] [--output FOLDER]

"import" is the time of the library's import in a fresh interpreter, without
the interpreter's own start; "first meta-gradient" runs from the start of a
process to the result of maml/1, so that imports, capture and compilation
are in it; "installed" counts the library's files and those of everything
it requires, as installed here. Medians, with the libraries measured in turn.
The round before the first fills the page cache, and hograd's cache of
machine code, which later processes read.
"""

from __future__ import annotations

import importlib.metadata
import re
import statistics
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import facts
from benchmarks.process import Worker, environment, stored
from benchmarks.registry import YARDSTICK, Refused, Version, workload
from benchmarks.table import WIDTH, megabytes, seconds

ROOT = Path(__file__).parents[1]

#: Version of the workload -> what its users import, and the packages that they install.
USES: dict[str, tuple[str, tuple[str, ...]]] = {
    YARDSTICK: ("numpy", ("numpy",)),
    "hograd eager": ("hograd", ("hograd",)),
    "hograd compiled (numpy)": ("hograd", ("hograd",)),
    "hograd native": ("hograd", ("hograd[jit]",)),
    "PyTorch eager": ("torch", ("torch",)),
    "torch.func": ("torch", ("torch",)),
    "higher": ("higher", ("higher", "torch")),
    "TorchOpt": ("torchopt", ("torchopt",)),
    "JAX jitted": ("jax, optax", ("jax", "jaxlib", "optax")),
    "HIPS autograd": ("autograd", ("autograd",)),
}


@dataclass
class Cost:
    """What one library costs to begin with: seconds of import and to the first result, bytes on the disk."""

    version: str
    imported: float | None = None
    first: float | None = None
    size: int | None = None
    why: str = ""


def required(name: str, extras: set[str]) -> list[str]:
    """What a package requires, as it says itself; of hograd, which is measured from this checkout, the checkout."""
    if name != "hograd":
        return importlib.metadata.requires(name) or []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["dependencies"] + [line for e in extras for line in project["optional-dependencies"].get(e, [])]


def requirements(package: str) -> set[str]:
    """The names of a package and of all that it requires, as far as they are installed.

    >>> "numpy" in requirements("optree"), "numpy" in requirements("hograd")
    (False, True)
    >>> "matplotlib" in requirements("hograd"), "matplotlib" in requirements("hograd[experiments]")
    (False, True)
    """
    found: set[str] = set()
    waiting = [package]
    while waiting:
        name, _, extras = waiting.pop().partition("[")
        name = re.sub(r"[-_.]+", "-", name).lower()
        wanted = {extra.strip() for extra in extras.rstrip("]").split(",") if extra}
        if name in found:
            continue
        try:
            lines = required(name, wanted)
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        for line in lines:
            requirement, _, marker = line.partition(";")
            extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
            if extra is None or extra.group(1) in wanted:
                waiting.append(re.split(r"[\s<>=!~(@]", requirement.strip(), maxsplit=1)[0])
    return found


def installed_size(packages: Iterable[str]) -> int:
    """Bytes of the files of these packages and of all that they require."""
    names = set().union(*(requirements(package) for package in packages))
    files: set[Path] = set()
    for name in names - {"hograd"}:
        files |= {Path(str(file.locate())) for file in importlib.metadata.files(name) or []}
    if "hograd" in names:
        files |= {file for part in ("hograd", "optim", "experiments") for file in (ROOT / part).rglob("*.py")}
    return sum(file.stat().st_size for file in files if file.is_file())


def import_seconds(modules: str, threads: int = 1) -> float:
    """The time of an import in a fresh interpreter."""
    code = f"import time; start = time.perf_counter(); import {modules}; print(time.perf_counter() - start)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment(threads)
    )
    return float(run.stdout.splitlines()[-1])


def import_ratio(rounds: int, threads: int = 1) -> float:
    """The time of `import hograd` over that of `import numpy, optree`, which it cannot do without: median of rounds."""
    pairs = [(import_seconds("hograd", threads), import_seconds("numpy, optree", threads)) for _ in range(rounds)]
    return statistics.median(ours / least for ours, least in pairs)


def first_seconds(version: Version, settings: dict[str, int], data: Path, threads: int) -> float:
    """Seconds from the start of a process to its first meta-gradient."""
    with Worker("maml", version.name, settings, data, threads) as worker:
        worker.read()
        worker.ask("first")
        return worker.seconds_since_start()


def costs(versions: Iterable[Version], rounds: int, threads: int) -> list[Cost]:
    """The costs of each version of maml/1."""
    maml = workload("maml")
    settings = maml.cases["1"]
    found = []
    running = []
    for version in versions:
        cost = Cost(version.name)
        found.append(cost)
        missing = version.missing()
        if missing is not None:
            cost.why = f"{missing} is not installed"
        else:
            cost.size = installed_size(USES[version.name][1])
            running.append((version, cost, [], []))
    with stored(maml.data(settings)) as data:
        for number in range(rounds + 1):
            for version, cost, imports, firsts in list(running):
                try:
                    first = first_seconds(version, settings, data, threads)
                except Refused as refused:
                    cost.why = str(refused)
                    running.remove((version, cost, imports, firsts))
                    continue
                imported = import_seconds(USES[version.name][0], threads)
                if number:  # the first round fills the page cache
                    imports.append(imported)
                    firsts.append(first)
    for _, cost, imports, firsts in running:
        cost.imported, cost.first = statistics.median(imports), statistics.median(firsts)
    return found


def run(arguments: list[str]) -> int:
    """Measure, print, and write."""
    from benchmarks.__main__ import parser, selected, write

    options = parser(__doc__ or "", rounds=3, command="start").parse_args(arguments)
    versions = selected(workload("maml").of_case("1"), options.only)
    found = costs(versions, options.rounds, options.threads)
    print(facts.summary())
    print(f"\n{'':<24}{'import':>12}{'first meta-gradient':>22}{'installed':>14}")
    print("-" * 72)
    for cost in sorted(found, key=lambda cost: cost.first or float("inf")):
        if cost.first is None:
            print(textwrap.fill(f"{cost.version:<24}left out: {cost.why}", WIDTH, subsequent_indent=" " * 24))
        else:
            print(f"{cost.version:<24}{seconds(cost.imported):>12}{seconds(cost.first):>22}{megabytes(cost.size):>14}")
    ratio = import_ratio(max(5, options.rounds), options.threads)
    print(f"\nimport hograd takes {ratio:.2f} times what import numpy, optree takes.")
    if options.output is not None:
        from benchmarks import plot

        write(options.output, "start", [asdict(cost) for cost in found])
        caption = f"{options.threads} thread{'s' * (options.threads > 1)}; {facts.summary()}"
        plot.beginning(found, options.output / "start.png", caption)
    return 0
