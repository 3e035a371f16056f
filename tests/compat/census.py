"""Count PyTorch's own samples that hograd supports:  python -m tests.compat.census [NAMESPACE ...]

Run from the repository's root. A namespace is `torch` (functions and methods), `linalg`, `special`, `fft` or
`nn.functional`; the first two are counted without any. Of every operation of PyTorch's test database at most eight
samples in float64 are called in both libraries. A sample is supported where values, dtypes, gradients and second
derivatives agree, in the table where every difference is in `differences.py`, and else unsupported.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import Any

import torch

from .compare import NotComparable, compare, convert, to_hograd
from .differences import ABSENT, DIFFERENCES
from .names import Form, attribute, dtype_of_samples, forms, identifier, names_of, op_db
from .test_against_torch import samples, spaced

SAMPLES = 8

#: No names of a user: private ones, PyTorch's internals, views into memory and copies of views, sparse and masked
#: tensors, and samplers, whose generators draw other numbers.
LEFT_OUT = re.compile(
    r"_|.*_copy$|.*as_strided|native_|torch\.|jiterator|sparse|masked\.|signal\.|ops\.|unsafe_|.*_backward$|"
    r"(rand|randn|randint)(_like)?$|(normal|bernoulli|multinomial|uniform|exponential|cauchy|geometric|log_normal)$"
)


def namespace(op: Any) -> str:
    return op.name.rpartition(".")[0] or "torch"


def verdict(op: Any, ways: list[Form], sample: Any) -> tuple[str, str]:
    """Of one sample `supported`, `table`, `unsupported`, or `` if PyTorch or no other library takes it; and why."""
    name = identifier(op)
    if not ways:
        reason = next((why for names, why in ABSENT.items() if set(names.split()) & {*names_of(op), name}), "")
        return ("table", reason) if reason else ("unsupported", "there is no such name")
    for form in ways:
        found = compare(op, form, sample)
        if found is None:
            continue
        known = [entry for entry in DIFFERENCES if name in entry.ops.split()]
        unexplained, explained = "", ""
        for difference in found:
            entry = next((entry for entry in known if entry.covers(difference)), None)
            explained = entry.why if entry else explained
            unexplained = unexplained or ("" if entry else str(difference))
        if unexplained:
            return "unsupported", unexplained
        return ("table", explained) if explained else ("supported", "")
    return "", ""


def comparable(sample: Any) -> bool:
    """Whether the sample consists of what there is outside of PyTorch."""
    try:
        convert((sample.input, *sample.args), to_hograd)
    except NotComparable:
        return False
    return True


def census(namespaces: list[str]) -> None:
    """Print a line for every operation that is not wholly supported, and the sums."""
    total: Counter[str] = Counter()
    for op in op_db:
        of_a_user = any(attribute(root, op.name) is not None for root in (torch, torch.Tensor))
        if namespace(op) not in namespaces or not of_a_user or LEFT_OUT.match(op.name) or dtype_of_samples(op) is None:
            continue
        count: Counter[str] = Counter()
        reasons: dict[str, str] = {}
        ways = forms(op)
        for sample in filter(comparable, spaced(samples(op), SAMPLES)):
            kind, why = verdict(op, ways, sample)
            if kind:
                count[kind] += 1
                reasons.setdefault(kind, why)
        total += count
        for kind in ("table", "unsupported"):
            if count[kind]:
                print(
                    f"{identifier(op):40} {kind:12} {count[kind]:3} of {count.total()}: {reasons[kind][:200]}",
                    flush=True,
                )
    print(
        f"{total.total()} samples: {total['supported']} supported, {total['table']} in the table of differences, "
        f"{total['unsupported']} unsupported."
    )


if __name__ == "__main__":
    census(sys.argv[1:] or ["torch", "linalg"])
