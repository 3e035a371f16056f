"""Adamax: Adam with the largest gradient in the place of the second moment."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import abs as absolute
from hograd import maximum
from optim.base import Hyperparameter, Optimizer, is_off, static


class Adamax(Optimizer):
    """Adam with an infinity norm (Kingma and Ba, 2015, section 7.1), as `torch.optim.Adamax`.

    g <- g + weight_decay * p ;  m <- b1 * m + (1 - b1) * g ;  u <- max(b2 * u, |g| + eps) ;
    p <- p - lr / (1 - b1**t) * m / u  in step t = 1, 2, ...

    Args:
        lr: learning rate, >= 0.
        betas: pair (b1, b2), each in [0, 1).
        eps: added to |g|, > 0 wherever all gradients can be 0.
        weight_decay: L2 strength, >= 0.
        maximize: climb instead of descending.

    >>> import hograd as ho
    >>> opt = Adamax(lr=0.1)
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, 0.0]), opt.init(w))[0]
    tensor([0.9000, 2.0000])
    """

    lr: Hyperparameter = 2e-3
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999)
    eps: Hyperparameter = 1e-8
    weight_decay: Hyperparameter = 0.0
    maximize: bool = static(default=False)

    elementwise: ClassVar[bool] = True
    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "betas": (0, 1, False),
        "eps": (0, math.inf, False),
        "weight_decay": (0, math.inf, False),
    }

    def slots(self) -> tuple[str, ...]:
        return ("first_moment", "largest")

    def prepare(self, hyper: SimpleNamespace, step: Any) -> None:
        hyper.rate = hyper.lr / (1 - hyper.betas[0] ** (step + 1))

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        b1, b2 = hyper.betas
        if not is_off(hyper.weight_decay):
            g = g + hyper.weight_decay * p
        m = b1 * state["first_moment"] + (1 - b1) * g
        u = maximum(b2 * state["largest"], absolute(g) + hyper.eps)
        return p - hyper.rate * m / u, {"first_moment": m, "largest": u}
