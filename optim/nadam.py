"""NAdam and RAdam: Adam with Nesterov momentum, and with a rectified rate."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import as_tensor, ones_like, safe_sqrt, where
from optim.base import Hyperparameter, Optimizer, is_off, static

_RANGES = {
    "lr": (0, math.inf, False),
    "betas": (0, 1, False),
    "eps": (0, math.inf, False),
    "weight_decay": (0, math.inf, False),
    "momentum_decay": (0, math.inf, False),
}


class NAdam(Optimizer):
    """Adam with Nesterov momentum (Dozat, 2016), as `torch.optim.NAdam`.

    mu_t = b1 * (1 - 0.96**(t * momentum_decay) / 2) ;  M_t = mu_1 ... mu_t ;  m and v as in Adam ;
    p <- p - lr * (mu_(t+1) * m / (1 - M_(t+1)) + (1 - mu_t) * g / (1 - M_t)) / (sqrt(v / (1 - b2**t)) + eps) .

    Args:
        lr: learning rate, >= 0.
        betas: pair (b1, b2), each in [0, 1).
        eps: added to the root, > 0 wherever a second moment can be 0.
        weight_decay: strength, >= 0; L2, or with `decoupled_weight_decay` as in `AdamW`.
        momentum_decay: how fast mu_t rises to b1, >= 0.
        decoupled_weight_decay: multiply the parameter by 1 - lr * weight_decay instead of changing the gradient.
        maximize: climb instead of descending.

    >>> import hograd as ho
    >>> opt = NAdam(lr=0.1)
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, 0.0]), opt.init(w))[0]
    tensor([0.8944, 2.0000])
    """

    lr: Hyperparameter = 2e-3
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999)
    eps: Hyperparameter = 1e-8
    weight_decay: Hyperparameter = 0.0
    momentum_decay: Hyperparameter = 4e-3
    decoupled_weight_decay: bool = static(default=False)
    maximize: bool = static(default=False)

    elementwise: ClassVar[bool] = True
    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = _RANGES

    def slots(self) -> tuple[str, ...]:
        return ("first_moment", "second_moment", "momentum_product")

    def start(self, p: Any, hyper: SimpleNamespace) -> dict[str, Any]:
        return super().start(p, hyper) | {"momentum_product": ones_like(p)}

    def prepare(self, hyper: SimpleNamespace, step: Any) -> None:
        b1, b2 = hyper.betas
        hyper.momentum = b1 * (1 - 0.5 * 0.96 ** ((step + 1) * hyper.momentum_decay))
        hyper.next_momentum = b1 * (1 - 0.5 * 0.96 ** ((step + 2) * hyper.momentum_decay))
        hyper.scale = (1 - b2 ** (step + 1)) ** 0.5

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        b1, b2 = hyper.betas
        p, g = decayed(p, g, hyper, self.decoupled_weight_decay)
        m = b1 * state["first_moment"] + (1 - b1) * g
        v = b2 * state["second_moment"] + (1 - b2) * (g * g)
        product = state["momentum_product"] * hyper.momentum
        ahead = hyper.next_momentum / (1 - product * hyper.next_momentum) * m
        direction = ahead + (1 - hyper.momentum) / (1 - product) * g
        new = p - hyper.lr * direction / (safe_sqrt(v) / hyper.scale + hyper.eps)
        return new, {"first_moment": m, "second_moment": v, "momentum_product": product}


class RAdam(Optimizer):
    """Adam with a rectified rate (Liu et al., 2020), as `torch.optim.RAdam`.

    r_inf = 2 / (1 - b2) - 1 ;  r_t = r_inf - 2 t b2**t / (1 - b2**t) ;  m and v as in Adam ;
    c_t = sqrt((r_t - 4) (r_t - 2) r_inf / ((r_inf - 4) (r_inf - 2) r_t)) ;
    p <- p - lr * c_t * (m / (1 - b1**t)) * sqrt(1 - b2**t) / (sqrt(v) + eps)  where r_t > 5, and else
    p <- p - lr * m / (1 - b1**t) .

    Args:
        lr: learning rate, >= 0.
        betas: pair (b1, b2), each in [0, 1).
        eps: added to the root, > 0 wherever a second moment can be 0.
        weight_decay: strength, >= 0; L2, or with `decoupled_weight_decay` as in `AdamW`.
        decoupled_weight_decay: multiply the parameter by 1 - lr * weight_decay instead of changing the gradient.
        maximize: climb instead of descending.

    The switch at r_t = 5 has no derivative with respect to b2; on either side the derivative is exact.

    >>> import hograd as ho
    >>> opt = RAdam(lr=0.1)
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, 0.0]), opt.init(w))[0]
    tensor([0.7000, 2.0000])
    """

    lr: Hyperparameter = 1e-3
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999)
    eps: Hyperparameter = 1e-8
    weight_decay: Hyperparameter = 0.0
    decoupled_weight_decay: bool = static(default=False)
    maximize: bool = static(default=False)

    elementwise: ClassVar[bool] = True
    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = _RANGES

    def slots(self) -> tuple[str, ...]:
        return ("first_moment", "second_moment")

    def prepare(self, hyper: SimpleNamespace, step: Any) -> None:
        b1, b2 = hyper.betas
        power = b2 ** (step + 1)
        longest = as_tensor(2 / (1 - b2) - 1)
        length = longest - 2 * (step + 1) * power / (1 - power)
        hyper.rectified = length > 5
        # Any lengths above 4 where the branch is not taken, so that the root there is of a positive number.
        length, longest = where(hyper.rectified, length, 6.0), where(hyper.rectified, longest, 6.0)
        ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        hyper.factor = (ratio * (1 - power)) ** 0.5
        hyper.rate = hyper.lr / (1 - b1 ** (step + 1))

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        b1, b2 = hyper.betas
        p, g = decayed(p, g, hyper, self.decoupled_weight_decay)
        m = b1 * state["first_moment"] + (1 - b1) * g
        v = b2 * state["second_moment"] + (1 - b2) * (g * g)
        adaptive = where(hyper.rectified, hyper.factor / (safe_sqrt(v) + hyper.eps), 1.0)
        return p - hyper.rate * m * adaptive, {"first_moment": m, "second_moment": v}


def decayed(p: Any, g: Any, hyper: SimpleNamespace, decoupled: bool) -> tuple[Any, Any]:
    """Parameter and gradient under weight decay of either kind."""
    if is_off(hyper.weight_decay):
        return p, g
    return (p * (1 - hyper.lr * hyper.weight_decay), g) if decoupled else (p, g + hyper.weight_decay * p)
