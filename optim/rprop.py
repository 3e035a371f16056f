"""Rprop: a step size for each number, by the signs of gradients."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import maximum, minimum, ones_like, sign, where, zeros_like
from optim.base import Hyperparameter, Optimizer, static


class Rprop(Optimizer):
    """Resilient backpropagation (Riedmiller and Braun, 1993), as `torch.optim.Rprop`.

    s <- s * (down, 1 or up, where g times the gradient before is < 0, 0 or > 0), between the two step_sizes ;
    g <- 0 where that product is < 0 ;  p <- p - s * sign(g) .

    Args:
        lr: every s before the first step, >= 0.
        etas: pair (down, up), each >= 0.
        step_sizes: pair (least, largest), each >= 0.
        maximize: climb instead of descending.

    Meant for full batches. Signs are constant almost everywhere: the derivative with respect to the gradients is 0.

    >>> import hograd as ho
    >>> opt = Rprop(lr=0.1)
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, 0.0]), opt.init(w))[0]
    tensor([0.9000, 2.0000])
    """

    lr: Hyperparameter = 1e-2
    etas: tuple[Hyperparameter, Hyperparameter] = (0.5, 1.2)
    step_sizes: tuple[Hyperparameter, Hyperparameter] = (1e-6, 50.0)
    maximize: bool = static(default=False)

    elementwise: ClassVar[bool] = True
    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "etas": (0, math.inf, False),
        "step_sizes": (0, math.inf, False),
    }

    def slots(self) -> tuple[str, ...]:
        return ("gradient", "step_size")

    def start(self, p: Any, hyper: SimpleNamespace) -> dict[str, Any]:
        return {"gradient": zeros_like(p), "step_size": hyper.lr * ones_like(p)}

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        (down, up), (least, largest) = hyper.etas, hyper.step_sizes
        agreement = g * state["gradient"]
        turned = agreement < 0
        size = state["step_size"] * where(turned, down, where(agreement > 0, up, 1.0))
        size = minimum(maximum(size, least), largest)
        g = where(turned, 0.0, g)
        return p - size * sign(g), {"gradient": g, "step_size": size}
