"""Lion: steps of the sign of a momentum."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import sign
from optim.base import Hyperparameter, Optimizer, is_off, static


class Lion(Optimizer):
    """Evolved sign momentum (Chen et al., 2023), as `optax.lion`.

    p <- p - lr * (sign(b1 * m + (1 - b1) * g) + weight_decay * p) ;  m <- b2 * m + (1 - b2) * g .

    Args:
        lr: learning rate, >= 0.
        betas: pair (b1, b2), each in [0, 1).
        weight_decay: decoupled strength, >= 0.
        maximize: climb instead of descending.

    The sign is constant almost everywhere: the derivatives with respect to `betas` and the gradients are 0.

    >>> import hograd as ho
    >>> opt = Lion(lr=0.1)
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, 0.0]), opt.init(w))[0]
    tensor([0.9000, 2.0000])
    """

    lr: Hyperparameter = 1e-4
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.99)
    weight_decay: Hyperparameter = 0.0
    maximize: bool = static(default=False)

    elementwise: ClassVar[bool] = True
    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "betas": (0, 1, False),
        "weight_decay": (0, math.inf, False),
    }

    def slots(self) -> tuple[str, ...]:
        return ("momentum",)

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        b1, b2 = hyper.betas
        m = state["momentum"]
        direction = sign(b1 * m + (1 - b1) * g)
        if not is_off(hyper.weight_decay):
            direction = direction + hyper.weight_decay * p
        return p - hyper.lr * direction, {"momentum": b2 * m + (1 - b2) * g}
