"""ASGD: descent with a falling rate, and the average of its parameters."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import as_tensor, maximum
from optim.base import Hyperparameter, Optimizer, is_off, static


class ASGD(Optimizer):
    """Averaged stochastic gradient descent (Polyak and Juditsky, 1992), as `torch.optim.ASGD`.

    g <- g + weight_decay * p ;  e_t = lr / (1 + lambd * lr * (t - 1))**alpha ;
    p <- (1 - lambd * e_t) * p - e_t * g ;  average <- average + (p - average) / max(1, t - 1 - t0)
    in step t = 1, 2, ...

    Args:
        lr: learning rate, >= 0.
        lambd: decay, >= 0.
        alpha: exponent of the rate, >= 0.
        t0: step after which averaging begins; until then state["average"] is the newest parameter.
        weight_decay: L2 strength, >= 0.
        maximize: climb instead of descending.

    >>> import hograd as ho
    >>> opt = ASGD(lr=0.1, lambd=0.0)
    >>> w = ho.tensor([1.0, 2.0])
    >>> w, state = opt.step(w, ho.tensor([3.0, 0.0]), opt.init(w))
    >>> state["average"]
    tensor([0.7000, 2.0000])
    """

    lr: Hyperparameter = 1e-2
    lambd: Hyperparameter = 1e-4
    alpha: Hyperparameter = 0.75
    t0: Hyperparameter = 1e6
    weight_decay: Hyperparameter = 0.0
    maximize: bool = static(default=False)

    elementwise: ClassVar[bool] = True
    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "lambd": (0, math.inf, False),
        "alpha": (0, math.inf, False),
        "weight_decay": (0, math.inf, False),
    }

    def slots(self) -> tuple[str, ...]:
        return ("average",)

    def prepare(self, hyper: SimpleNamespace, step: Any) -> None:
        hyper.rate = hyper.lr / (1 + hyper.lambd * hyper.lr * step) ** hyper.alpha
        hyper.share = 1 / maximum(as_tensor(step - hyper.t0), 1.0)

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        if not is_off(hyper.weight_decay):
            g = g + hyper.weight_decay * p
        new = (1 - hyper.lambd * hyper.rate) * p - hyper.rate * g
        return new, {"average": state["average"] + hyper.share * (new - state["average"])}
