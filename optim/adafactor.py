"""Adafactor: a second moment kept as a row and a column."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from hograd import as_tensor, maximum, minimum, safe_sqrt, zeros_like
from optim.base import Hyperparameter, Optimizer, is_off, norm, static


class Adafactor(Optimizer):
    """Adaptive steps with memory for a row and a column (Shazeer and Stern, 2018), as `torch.optim.Adafactor`.

    b = t**beta2_decay ;  p <- (1 - lr * weight_decay) * p ;  a = max(e2, rms(p)) * min(lr, 1 / sqrt(t)) ;
    r <- (1 - b) * r + b * (mean of g**2 over columns) ;  c likewise over rows ;  V = r c / max(mean(r), e1) ;
    u = g / sqrt(max(V, e1**2)) ;  p <- p - a * u / max(1, rms(u) / d)  in step t = 1, 2, ...
    A parameter of fewer than two axes keeps all of  V <- (1 - b) * V + b * g**2 .

    Args:
        lr: bound of the relative step, >= 0.
        beta2_decay: exponent, <= 0.
        eps: pair (e1, e2), each >= 0; None for e1 is the resolution of the parameter's dtype.
        d: bound of the root mean square of a step, >= 1.
        weight_decay: decoupled strength, >= 0.
        maximize: climb instead of descending.

    >>> import hograd as ho
    >>> opt = Adafactor(lr=0.1)
    >>> w = ho.tensor([[1.0, 1.0]])
    >>> opt.step(w, ho.tensor([[3.0, -3.0]]), opt.init(w))[0]
    tensor([[0.9000, 1.1000]])
    """

    lr: Hyperparameter = 1e-2
    beta2_decay: Hyperparameter = -0.8
    eps: tuple[Hyperparameter | None, Hyperparameter] = (None, 1e-3)
    d: Hyperparameter = 1.0
    weight_decay: Hyperparameter = 0.0
    maximize: bool = static(default=False)

    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "beta2_decay": (-math.inf, 0, True),
        "eps": (0, math.inf, False),
        "d": (1, math.inf, False),
        "weight_decay": (0, math.inf, False),
    }

    def slots(self) -> tuple[str, ...]:
        return ("row", "column")

    def start(self, p: Any, hyper: SimpleNamespace) -> dict[str, Any]:
        if p.ndim < 2:
            # All of it, under the name of the row; there is no column.
            return {"row": zeros_like(p), "column": zeros_like(p.sum())}
        return {"row": zeros_like(p[..., :1]), "column": zeros_like(p[..., :1, :])}

    def prepare(self, hyper: SimpleNamespace, step: Any) -> None:
        count = 1.0 * (step + 1)
        hyper.share = count**hyper.beta2_decay
        hyper.rate = minimum(as_tensor(hyper.lr), 1 / count**0.5)

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        least, least_scale = hyper.eps
        least = float(np.finfo(p.dtype).eps) if least is None else least
        scale = maximum(_rms(p), least_scale) * hyper.rate
        if not is_off(hyper.weight_decay):
            p = p * (1 - hyper.lr * hyper.weight_decay)
        square = g * g
        column = state["column"]
        if p.ndim < 2:
            estimate = row = (1 - hyper.share) * state["row"] + hyper.share * square
        else:
            row = (1 - hyper.share) * state["row"] + hyper.share * square.mean(-1, keepdim=True)
            column = (1 - hyper.share) * column + hyper.share * square.mean(-2, keepdim=True)
            estimate = row * column / maximum(row.mean(-2, keepdim=True), least)
        direction = g / safe_sqrt(maximum(estimate, least * least))
        clip = maximum(_rms(direction) / hyper.d, 1.0)
        return p - scale / clip * direction, {"row": row, "column": column}


def _rms(x: Any) -> Any:
    return norm(x) / max(x.numel(), 1) ** 0.5
