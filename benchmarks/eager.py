"""Derivatives of small models computed eagerly, beside PyTorch.

  python -m benchmarks eager [--rounds N] [--threads N] [--output FOLDER]

The chain and the network of the workloads `chain` and `mlp` as one program,
with `import torch` and with `import hograd as torch`, and `maml` on both
libraries' `vmap`. Both must compute the same numbers. They are timed in turn; "ratio" is the median over rounds of
hograd's time over PyTorch's in the same round, and "aim" what the project
wants it to be at most.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass

from benchmarks import facts
from benchmarks.registry import TAPE, workload
from benchmarks.runner import measure
from benchmarks.table import seconds

#: Workload, case, hograd's version, PyTorch's, largest ratio that is aimed at.
CASES = (
    ("chain", "gradient", TAPE, "PyTorch eager", 0.6),
    ("chain", "second", TAPE, "PyTorch eager", 0.7),
    ("mlp", "gradient", TAPE, "PyTorch eager", 0.8),
    ("mlp", "hvp", TAPE, "PyTorch eager", 0.7),
    ("maml", "1", "hograd eager", "torch.func", 0.7),
)


@dataclass
class Comparison:
    """The median seconds of hograd and of PyTorch, their ratio, and the one aimed at."""

    case: str
    hograd: float | None
    torch: float | None
    ratio: float | None
    aim: float
    why: str = ""


def compare(name: str, case: str, own: str, peer: str, aim: float, rounds: int, threads: int) -> Comparison:
    """Measure one case."""
    chosen = workload(name)
    versions = [chosen.versions[own], chosen.versions[peer]]
    ours, theirs = measure(chosen, chosen.cases[case], versions, rounds, threads)
    ratio = None
    if ours.seconds and theirs.seconds:
        ratio = statistics.median(a / b for a, b in zip(ours.seconds, theirs.seconds, strict=True))
    return Comparison(f"{name}/{case}", ours.median, theirs.median, ratio, aim, ours.why or theirs.why)


def run(arguments: list[str]) -> int:
    """Measure, print, and write; status 1 if the two disagree."""
    from benchmarks.__main__ import parser, write

    cli = parser(__doc__ or "", rounds=21, command="eager")
    cli.set_defaults(threads=2)
    options = cli.parse_args(arguments)
    cases = [case for case in CASES if not options.only or any(text in "/".join(case[:2]) for text in options.only)]
    print(facts.summary())
    print(f"\n{'':<16}{'hograd':>14}{'PyTorch':>14}{'ratio':>10}{'aim':>8}")
    print("-" * 62)
    found = []
    for case in cases:
        row = compare(*case, options.rounds, options.threads)
        found.append(row)
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        print(f"{row.case:<16}{seconds(row.hograd):>14}{seconds(row.torch):>14}{ratio:>10}{row.aim:>8}", flush=True)
        if row.why:
            print(f"{'':<16}{row.why}")
    if options.output is not None:
        write(options.output, "eager", [asdict(row) for row in found])
    return 1 if any("is off by" in row.why for row in found) else 0
