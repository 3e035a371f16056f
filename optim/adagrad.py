"""Adagrad and Adadelta."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import ones_like, safe_sqrt
from optim.base import Hyperparameter, Optimizer, is_off, static


class Adagrad(Optimizer):
    """Steps divided by the root of all squared gradients so far (Duchi et al., 2011), as `torch.optim.Adagrad`.

    g <- g + weight_decay * p ;  s <- s + g**2 ;  p <- p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)
    in step t = 1, 2, ...

    Args:
        lr: learning rate, >= 0.
        lr_decay: how fast the rate falls, >= 0.
        weight_decay: L2 strength, >= 0.
        initial_accumulator_value: s before the first step, >= 0.
        eps: added to the root, > 0 wherever all gradients can be 0.
        maximize: climb instead of descending.

    >>> import hograd as ho
    >>> opt = Adagrad(lr=0.1)
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, 0.0]), opt.init(w))[0]
    tensor([0.9000, 2.0000])
    """

    lr: Hyperparameter = 1e-2
    lr_decay: Hyperparameter = 0.0
    weight_decay: Hyperparameter = 0.0
    initial_accumulator_value: Hyperparameter = 0.0
    eps: Hyperparameter = 1e-10
    maximize: bool = static(default=False)

    elementwise: ClassVar[bool] = True
    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "lr_decay": (0, math.inf, False),
        "weight_decay": (0, math.inf, False),
        "initial_accumulator_value": (0, math.inf, False),
        "eps": (0, math.inf, False),
    }

    def slots(self) -> tuple[str, ...]:
        return ("sum",)

    def start(self, p: Any, hyper: SimpleNamespace) -> dict[str, Any]:
        return {"sum": hyper.initial_accumulator_value * ones_like(p)}

    def prepare(self, hyper: SimpleNamespace, step: Any) -> None:
        hyper.rate = hyper.lr / (1 + step * hyper.lr_decay)

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        if not is_off(hyper.weight_decay):
            g = g + hyper.weight_decay * p
        total = state["sum"] + g * g
        return p - hyper.rate * g / (safe_sqrt(total) + hyper.eps), {"sum": total}


class Adadelta(Optimizer):
    """Steps in the unit of the parameters (Zeiler, 2012), as `torch.optim.Adadelta`.

    g <- g + weight_decay * p ;  v <- rho * v + (1 - rho) * g**2 ;  d = sqrt(u + eps) / sqrt(v + eps) * g ;
    u <- rho * u + (1 - rho) * d**2 ;  p <- p - lr * d .

    Args:
        lr: factor of the step, >= 0.
        rho: smoothing, in [0, 1).
        eps: added inside both roots, > 0 wherever all gradients can be 0.
        weight_decay: L2 strength, >= 0.
        maximize: climb instead of descending.

    >>> import hograd as ho
    >>> opt = Adadelta(eps=0.25)
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, 0.0]), opt.init(w))[0]
    tensor([-0.3988,  2.0000])
    """

    lr: Hyperparameter = 1.0
    rho: Hyperparameter = 0.9
    eps: Hyperparameter = 1e-6
    weight_decay: Hyperparameter = 0.0
    maximize: bool = static(default=False)

    elementwise: ClassVar[bool] = True
    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "rho": (0, 1, False),
        "eps": (0, math.inf, False),
        "weight_decay": (0, math.inf, False),
    }

    def slots(self) -> tuple[str, ...]:
        return ("second_moment", "second_moment_of_steps")

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        if not is_off(hyper.weight_decay):
            g = g + hyper.weight_decay * p
        v = hyper.rho * state["second_moment"] + (1 - hyper.rho) * (g * g)
        u = state["second_moment_of_steps"]
        direction = safe_sqrt(u + hyper.eps) / safe_sqrt(v + hyper.eps) * g
        u = hyper.rho * u + (1 - hyper.rho) * (direction * direction)
        return p - hyper.lr * direction, {"second_moment": v, "second_moment_of_steps": u}
