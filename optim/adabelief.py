"""AdaBelief: Adam with the variance of the gradient around its mean."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import safe_sqrt
from optim.base import Hyperparameter, Optimizer, is_off, static


class AdaBelief(Optimizer):
    """Steps by the belief in the gradient (Zhuang et al., 2020), as `optax.adabelief`.

    m <- b1 * m + (1 - b1) * g ;  s <- b2 * s + (1 - b2) * (g - m)**2 + eps_root ;
    p <- p - lr * (m / (1 - b1**t) / (sqrt(s / (1 - b2**t)) + eps) + weight_decay * p)  in step t = 1, 2, ...

    Args:
        lr: learning rate, >= 0.
        betas: pair (b1, b2), each in [0, 1).
        eps: added to the root, >= 0.
        eps_root: added to s in every step, > 0 wherever the gradient can equal its mean.
        weight_decay: decoupled strength, >= 0.
        maximize: climb instead of descending.

    >>> import hograd as ho
    >>> opt = AdaBelief(lr=0.1)
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, 0.0]), opt.init(w))[0]
    tensor([0.8889, 2.0000])
    """

    lr: Hyperparameter = 1e-3
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999)
    eps: Hyperparameter = 1e-16
    eps_root: Hyperparameter = 1e-16
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
        return ("first_moment", "variance")

    def prepare(self, hyper: SimpleNamespace, step: Any) -> None:
        b1, b2 = hyper.betas
        hyper.correction = 1 - b1 ** (step + 1)
        hyper.scale = (1 - b2 ** (step + 1)) ** 0.5

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        b1, b2 = hyper.betas
        m = b1 * state["first_moment"] + (1 - b1) * g
        surprise = g - m
        s = b2 * state["variance"] + (1 - b2) * (surprise * surprise) + hyper.eps_root
        direction = m / hyper.correction / (safe_sqrt(s) / hyper.scale + hyper.eps)
        if not is_off(hyper.weight_decay):
            direction = direction + hyper.weight_decay * p
        return p - hyper.lr * direction, {"first_moment": m, "variance": s}
