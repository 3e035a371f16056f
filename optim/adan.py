"""Adan: adaptive Nesterov momentum."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import Tensor, safe_sqrt, where
from optim.base import Hyperparameter, Optimizer, is_off, static


class Adan(Optimizer):
    """Adaptive Nesterov momentum (Xie et al., 2024), as `optax.adan`.

    d = g - (the gradient before), 0 in the first step ;
    m <- b1 * m + (1 - b1) * g ;  v <- b2 * v + (1 - b2) * d ;  n <- b3 * n + (1 - b3) * (g + (1 - b2) * d)**2 ;
    p <- p - lr * ((m / (1 - b1**t) + (1 - b2) * v / (1 - b2**t)) / (sqrt(n / (1 - b3**t) + eps_root) + eps)
    + weight_decay * p)  in step t = 1, 2, ...

    Args:
        lr: learning rate, >= 0.
        betas: triple (b1, b2, b3), each in [0, 1).
        eps: added to the root, >= 0.
        eps_root: added inside the root, >= 0; one of the two > 0 wherever all gradients can be 0.
        weight_decay: decoupled strength, >= 0.
        maximize: climb instead of descending.

    >>> import hograd as ho
    >>> opt = Adan(lr=0.1)
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, 0.0]), opt.init(w))[0]
    tensor([0.9000, 2.0000])
    """

    lr: Hyperparameter = 1e-3
    betas: tuple[Hyperparameter, Hyperparameter, Hyperparameter] = (0.98, 0.92, 0.99)
    eps: Hyperparameter = 1e-8
    eps_root: Hyperparameter = 1e-8
    weight_decay: Hyperparameter = 0.0
    maximize: bool = static(default=False)

    elementwise: ClassVar[bool] = True
    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "betas": (0, 1, False),
        "eps": (0, math.inf, False),
        "eps_root": (0, math.inf, False),
        "weight_decay": (0, math.inf, False),
    }

    def slots(self) -> tuple[str, ...]:
        return ("first_moment", "difference", "second_moment", "gradient")

    def prepare(self, hyper: SimpleNamespace, step: Any) -> None:
        hyper.corrections = tuple(1 - beta ** (step + 1) for beta in hyper.betas)

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        b1, b2, b3 = hyper.betas
        c1, c2, c3 = hyper.corrections
        change = g - state["gradient"]
        first = step == 0
        change = where(first, 0.0, change) if isinstance(first, Tensor) else g * 0.0 if first else change
        m = b1 * state["first_moment"] + (1 - b1) * g
        v = b2 * state["difference"] + (1 - b2) * change
        ahead = g + (1 - b2) * change
        n = b3 * state["second_moment"] + (1 - b3) * (ahead * ahead)
        direction = (m / c1 + (1 - b2) * v / c2) / (safe_sqrt(n / c3 + hyper.eps_root) + hyper.eps)
        if not is_off(hyper.weight_decay):
            direction = direction + hyper.weight_decay * p
        return p - hyper.lr * direction, {"first_moment": m, "difference": v, "second_moment": n, "gradient": g}
