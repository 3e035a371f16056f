"""Losses of several labels and of label sequences, written down once more: all alignments one by one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from .references_losses import REDUCTIONS


def _soft_margin(x: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    p = 1 / (1 + np.exp(-x))
    losses = -(target * np.log(p) + (1 - target) * np.log(1 - p)) * (1 if weight is None else weight)
    return REDUCTIONS[reduction](losses.mean(-1))


def _margin(x: Any, target: Any, *, reduction: str = "mean") -> Any:
    def of_one(x: Any, target: Any) -> float:
        labels = list(itertools.takewhile(lambda label: label >= 0, target.tolist()))
        others = [i for i in range(len(x)) if i not in labels]
        return sum(max(0.0, 1 - x[j] + x[i]) for j in labels for i in others) / len(x)

    if x.ndim == 1:
        return np.float64(of_one(x, target))
    return REDUCTIONS[reduction](np.array([of_one(*pair) for pair in zip(x, target, strict=True)]))


def _spoken(alignment: Any, blank: int) -> list[int]:
    """An alignment without repeats, and then without blanks."""
    return [label for label, _ in itertools.groupby(alignment) if label != blank]


def _ctc(log_probs: Any, targets: Any, ends: Any, counts: Any, blank: int = 0, reduction: str = "mean") -> Any:
    single = log_probs.ndim == 2
    if single:
        log_probs, targets = log_probs[:, None], targets[None]
    n, classes = log_probs.shape[1:]
    ends, counts = np.broadcast_to(ends, n), np.broadcast_to(counts, n)
    losses = np.zeros(n)
    for i in range(n):
        target = targets[i, : counts[i]].tolist()
        alignments = itertools.product(range(classes), repeat=int(ends[i]))
        fitting = [a for a in alignments if _spoken(a, blank) == target]
        losses[i] = -np.log(sum(np.exp(log_probs[range(len(a)), i, list(a)].sum()) for a in fitting))
    losses = losses / np.maximum(counts, 1) if reduction == "mean" else losses
    return REDUCTIONS[reduction](losses[0] if single else losses)


LABELS: dict[str, Any] = {
    "ctc_loss": _ctc,
    "multilabel_margin_loss": _margin,
    "multilabel_soft_margin_loss": _soft_margin,
}
