"""Several seeds in one line: means, 95 % intervals, and differences between runs of the same seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.experiment import Outcome

Labels = Mapping[str, str | int]


def by_setting(outcomes: Sequence[Outcome]) -> list[tuple[Labels, list[Outcome]]]:
    """The seeds of each setting: outcomes whose other labels agree, in the order of the tasks."""
    found: dict[tuple, tuple[Labels, list[Outcome]]] = {}
    for one in outcomes:
        labels = {key: value for key, value in one.labels.items() if key != "seed"}
        found.setdefault(tuple(labels.items()), (labels, []))[1].append(one)
    return list(found.values())


def several(outcomes: Sequence[Outcome]) -> bool:
    """Whether there is more than one seed."""
    return len({one.labels.get("seed") for one in outcomes}) > 1


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half the width of its 95 % interval by Student's t; nan for a single value.

    >>> mean, half = interval([1.0, 2.0, 3.0])
    >>> round(mean, 3), round(half, 3)
    (2.0, 2.484)
    """
    from scipy.special import stdtrit

    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return mean, math.nan
    return mean, float(stdtrit(count - 1, 0.975) * np.std(values, ddof=1) / math.sqrt(count))


def difference(values: Sequence[float], digits: int = 4) -> str:
    """The mean of differences with its sign, and half of its 95 % interval where there are several.

    >>> difference([-0.01, -0.02, -0.03]), difference([0.5], 1)
    ('-0.0200 ± 0.0248', '+0.5')
    """
    mean, half = interval(values)
    return f"{mean:+.{digits}f}" + ("" if math.isnan(half) else f" ± {half:.{digits}f}")
