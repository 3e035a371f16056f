"""LAMB and LARS: rates in proportion to the length of each parameter."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import safe_sqrt, where
from optim.base import Hyperparameter, Optimizer, is_off, norm, static


class LAMB(Optimizer):
    """Adam with a trust ratio for each parameter (You et al., 2020), as `optax.lamb`.

    u = (m / (1 - b1**t)) / (sqrt(v / (1 - b2**t)) + eps) + weight_decay * p  with Adam's m and v ;
    p <- p - lr * |p| / |u| * u , with 1 in place of the ratio where either length is 0.

    Args:
        lr: learning rate, >= 0.
        betas: pair (b1, b2), each in [0, 1).
        eps: added to the root, > 0 wherever a second moment can be 0.
        weight_decay: strength, >= 0.
        maximize: climb instead of descending.

    >>> import hograd as ho
    >>> opt = LAMB(lr=0.1)
    >>> w = ho.tensor([3.0, 4.0])
    >>> opt.step(w, ho.tensor([7.0, 0.0]), opt.init(w))[0]
    tensor([2.5000, 4.0000])
    """

    lr: Hyperparameter = 1e-3
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999)
    eps: Hyperparameter = 1e-6
    weight_decay: Hyperparameter = 0.0
    maximize: bool = static(default=False)

    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "betas": (0, 1, False),
        "eps": (0, math.inf, False),
        "weight_decay": (0, math.inf, False),
    }

    def slots(self) -> tuple[str, ...]:
        return ("first_moment", "second_moment")

    def prepare(self, hyper: SimpleNamespace, step: Any) -> None:
        b1, b2 = hyper.betas
        hyper.correction = 1 - b1 ** (step + 1)
        hyper.scale = (1 - b2 ** (step + 1)) ** 0.5

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        b1, b2 = hyper.betas
        m = b1 * state["first_moment"] + (1 - b1) * g
        v = b2 * state["second_moment"] + (1 - b2) * (g * g)
        u = m / hyper.correction / (safe_sqrt(v) / hyper.scale + hyper.eps)
        if not is_off(hyper.weight_decay):
            u = u + hyper.weight_decay * p
        return p - hyper.lr * _trust(p, u, 0.0) * u, {"first_moment": m, "second_moment": v}


class LARS(Optimizer):
    """Momentum descent with a trust ratio for each parameter (You et al., 2017), as `optax.lars`.

    u = g + weight_decay * p ;  m <- momentum * m + lr * trust_coefficient * |p| / (|u| + eps) * u ;  p <- p - m ,
    with 1 in place of trust_coefficient * |p| / (|u| + eps) where either length is 0.

    Args:
        lr: learning rate, >= 0.
        momentum: in [0, 1).
        weight_decay: L2 strength, >= 0.
        trust_coefficient: factor of the ratio, >= 0.
        eps: added to |u|, >= 0.
        nesterov: move by  momentum * m + (the newest term)  instead of m.
        maximize: climb instead of descending.

    >>> import hograd as ho
    >>> opt = LARS(lr=0.1, trust_coefficient=1.0)
    >>> w = ho.tensor([3.0, 4.0])
    >>> opt.step(w, ho.tensor([7.0, 0.0]), opt.init(w))[0]
    tensor([2.5000, 4.0000])
    """

    lr: Hyperparameter = 1e-1
    momentum: Hyperparameter = 0.9
    weight_decay: Hyperparameter = 0.0
    trust_coefficient: Hyperparameter = 1e-3
    eps: Hyperparameter = 0.0
    nesterov: bool = static(default=False)
    maximize: bool = static(default=False)

    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "momentum": (0, 1, False),
        "weight_decay": (0, math.inf, False),
        "trust_coefficient": (0, math.inf, False),
        "eps": (0, math.inf, False),
    }

    def slots(self) -> tuple[str, ...]:
        return ("momentum",)

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        if not is_off(hyper.weight_decay):
            g = g + hyper.weight_decay * p
        term = hyper.lr * _trust(p, g, hyper.eps, hyper.trust_coefficient) * g
        m = hyper.momentum * state["momentum"] + term
        return p - (hyper.momentum * m + term if self.nesterov else m), {"momentum": m}


def _trust(p: Any, u: Any, eps: Any, coefficient: Any = 1.0) -> Any:
    """coefficient * |p| / (|u| + eps), or 1 where either length is 0."""
    of_p, of_u = norm(p), norm(u)
    zero = (of_p == 0) | (of_u == 0)
    return where(zero, 1.0, coefficient * of_p / where(zero, 1.0, of_u + eps))
