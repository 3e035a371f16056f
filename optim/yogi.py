"""Yogi: Adam whose second moment changes by additions."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import ones_like, safe_sqrt, sign
from optim.base import Hyperparameter, Optimizer, static


class Yogi(Optimizer):
    """Additive adaptive moments (Zaheer et al., 2018), as `optax.yogi`.

    m <- b1 * m + (1 - b1) * g ;  v <- v - (1 - b2) * sign(v - g**2) * g**2 ;
    p <- p - lr * (m / (1 - b1**t)) / (sqrt(v / (1 - b2**t)) + eps)  in step t = 1, 2, ...

    Args:
        lr: learning rate, >= 0.
        betas: pair (b1, b2), each in [0, 1).
        eps: added to the root, >= 0.
        initial_accumulator_value: both moments before the first step, >= 0.
        maximize: climb instead of descending.

    >>> import hograd as ho
    >>> opt = Yogi(lr=0.1)
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, 0.0]), opt.init(w))[0]
    tensor([0.9000, 2.0000])
    """

    lr: Hyperparameter = 1e-2
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999)
    eps: Hyperparameter = 1e-3
    initial_accumulator_value: Hyperparameter = 1e-6
    maximize: bool = static(default=False)

    elementwise: ClassVar[bool] = True
    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "betas": (0, 1, False),
        "eps": (0, math.inf, False),
        "initial_accumulator_value": (0, math.inf, False),
    }

    def slots(self) -> tuple[str, ...]:
        return ("first_moment", "second_moment")

    def start(self, p: Any, hyper: SimpleNamespace) -> dict[str, Any]:
        return {slot: hyper.initial_accumulator_value * ones_like(p) for slot in self.slots()}

    def prepare(self, hyper: SimpleNamespace, step: Any) -> None:
        b1, b2 = hyper.betas
        hyper.rate = hyper.lr / (1 - b1 ** (step + 1))
        hyper.scale = (1 - b2 ** (step + 1)) ** 0.5

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        b1, b2 = hyper.betas
        square = g * g
        m = b1 * state["first_moment"] + (1 - b1) * g
        v = state["second_moment"]
        v = v - (1 - b2) * sign(v - square) * square
        new = p - hyper.rate * m / (safe_sqrt(v) / hyper.scale + hyper.eps)
        return new, {"first_moment": m, "second_moment": v}
