"""The memory of every estimator as the inner training gets longer."""

from __future__ import annotations

import dataclasses
import gc
import math
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import hograd as ho
from benchmarks.workloads.digits import CLASSES, halves
from optim import SGD
from optim.hyper import (
    CG,
    DARTS,
    GMRES,
    PES,
    Bilevel,
    Dense,
    FixedPoint,
    Forward,
    Implicit,
    Neumann,
    Nystrom,
    Reverse,
    Reversible,
    Truncated,
    ZeroOrder,
    hypergradient,
)

#: Inner steps.
STEPS = (30, 100, 300, 1000)

RATE = 0.2

#: Estimators by name, as functions of the number of inner steps.
ESTIMATORS: dict[str, Callable[[int], Any]] = {
    "Reverse": Reverse,
    'Reverse, "sqrt"': lambda t: Reverse(t, checkpoint="sqrt"),
    'Reverse, "binomial"': lambda t: Reverse(t, checkpoint="binomial"),
    "Truncated, last 10": lambda t: Truncated(t, last=10),
    "Reversible": Reversible,
    "Forward": Forward,
    "Implicit, CG(20)": lambda t: Implicit(CG(steps=20), steps=t),
    "Implicit, GMRES(20)": lambda t: Implicit(GMRES(steps=20), steps=t),
    "Implicit, Neumann(20)": lambda t: Implicit(Neumann(20, lr=RATE), steps=t),
    "Implicit, FixedPoint(20)": lambda t: Implicit(FixedPoint(20), steps=t),
    "Implicit, Nystrom(20)": lambda t: Implicit(Nystrom(rank=20), steps=t),
    "Implicit, Dense": lambda t: Implicit(Dense(), steps=t),
    "DARTS": lambda t: DARTS(lr=RATE, steps=t),
    "ZeroOrder, 10 pairs": lambda t: ZeroOrder(t, samples=10),
    "PES, 10 pairs": lambda t: PES(t, window=10, samples=10),
}


@dataclasses.dataclass(frozen=True)
class Peak:
    """The most that was allocated at a time during a hypergradient, and what the estimator says of itself, in bytes."""

    estimator: str
    steps: int
    peak: int
    told: int | None


def penalties(examples: int = 898) -> tuple[Bilevel, ho.Tensor]:
    """Logistic regression on digits with a penalty for each of the ten classes, trained by SGD with momentum."""
    made = halves(examples)
    names = ("x", "labels", "x_validation", "labels_validation")
    x, labels, xv, labels_v = (ho.tensor(made[name]) for name in names)

    def inner_loss(w: Any, outer: Any) -> Any:
        return ho.cross_entropy(x @ w, labels) + (outer.exp() * w**2).sum()

    bilevel = Bilevel(
        inner_loss,
        outer_loss=lambda w, outer: ho.cross_entropy(xv @ w, labels_v),
        init=ho.zeros(x.shape[1], CLASSES),
        optimizer=SGD(lr=RATE, momentum=0.9),
    )
    return bilevel, ho.full((CLASSES,), math.log(0.01))


def measure(bilevel: Bilevel, outer: ho.Tensor, steps: Sequence[int], only: Iterable[str] = ESTIMATORS) -> list[Peak]:
    """What each estimator allocates, by Python's own account, in which NumPy enters its arrays.

    Unlike the memory of the process it is the same every time, and knows nothing of what the C library holds back.
    """
    found = []
    for name in only:
        for count in steps:
            method = ESTIMATORS[name](count)
            gc.collect()
            tracemalloc.start()
            try:
                info = hypergradient(bilevel, outer, method).info
                found.append(Peak(name, count, tracemalloc.get_traced_memory()[1], info.memory))
            finally:
                tracemalloc.stop()
    return found


def growth(peaks: Sequence[Peak]) -> float:
    """The power of T with which the memory of one estimator grows between the two largest T."""
    before, last = sorted(peaks, key=lambda p: p.steps)[-2:]
    return math.log(last.peak / before.peak) / math.log(last.steps / before.steps)


def table(peaks: Sequence[Peak]) -> str:
    """One row an estimator: megabytes at each T, the power with which they grow, and what `info.memory` says."""
    steps = sorted({p.steps for p in peaks})
    heads = "".join(f"{f'T = {t:,}':>11}" for t in steps)
    lines = [f"{'peak in MB':<25}{heads}{'~ T^':>6}{'told':>5}", "-" * (36 + 11 * len(steps))]
    for name in dict.fromkeys(p.estimator for p in peaks):
        own = [p for p in peaks if p.estimator == name]
        numbers = "".join(f"{p.peak / 1e6:>11.2f}" for p in own)
        told = "" if own[-1].told is None else f"{own[-1].told / own[-1].peak:.2f}"
        lines.append(f"{name:<25}{numbers}{growth(own):>6.2f}{told:>5}")
    return "\n".join(lines)
