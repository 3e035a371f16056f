"""RMSprop."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import safe_sqrt
from optim.base import Hyperparameter, Optimizer, is_off, static


class RMSprop(Optimizer):
    """Steps divided by the root mean square of recent gradients (Tieleman and Hinton, 2012), as `torch.optim.RMSprop`.

    g <- g + weight_decay * p ;  v <- alpha * v + (1 - alpha) * g**2 ;  d = sqrt(v) + eps , or, `centered`,
    a <- alpha * a + (1 - alpha) * g  and  d = sqrt(v - a**2) + eps  (Graves, 2013) ;
    p <- p - lr * g / d , or, with momentum,  m <- momentum * m + g / d ;  p <- p - lr * m .

    Args:
        lr: learning rate, >= 0.
        alpha: smoothing, in [0, 1).
        eps: added to the root, > 0 wherever all gradients can be 0.
        weight_decay: L2 strength, >= 0.
        momentum: in [0, 1); the number 0 keeps no buffer.
        centered: divide by the standard deviation.
        maximize: climb instead of descending.

    >>> import hograd as ho
    >>> opt = RMSprop(lr=0.1, alpha=0.75)
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, 0.0]), opt.init(w))[0]
    tensor([0.8000, 2.0000])
    """

    lr: Hyperparameter = 1e-2
    alpha: Hyperparameter = 0.99
    eps: Hyperparameter = 1e-8
    weight_decay: Hyperparameter = 0.0
    momentum: Hyperparameter = 0.0
    centered: bool = static(default=False)
    maximize: bool = static(default=False)

    elementwise: ClassVar[bool] = True
    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "alpha": (0, 1, False),
        "eps": (0, math.inf, False),
        "weight_decay": (0, math.inf, False),
        "momentum": (0, 1, False),
    }

    def slots(self) -> tuple[str, ...]:
        mean = ("gradient_mean",) if self.centered else ()
        return ("second_moment", *mean, *(() if is_off(self.momentum) else ("momentum",)))

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        if not is_off(hyper.weight_decay):
            g = g + hyper.weight_decay * p
        v = hyper.alpha * state["second_moment"] + (1 - hyper.alpha) * (g * g)
        new_state = {"second_moment": v}
        if self.centered:
            mean = new_state["gradient_mean"] = hyper.alpha * state["gradient_mean"] + (1 - hyper.alpha) * g
            v = v - mean * mean
        direction = g / (safe_sqrt(v) + hyper.eps)
        if not is_off(self.momentum):
            direction = new_state["momentum"] = hyper.momentum * state["momentum"] + direction
        return p - hyper.lr * direction, new_state
