"""Stochastic gradient descent."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import Tensor, where
from optim.base import Hyperparameter, Optimizer, is_off, static


class SGD(Optimizer):
    """Gradient descent with momentum, as `torch.optim.SGD`.

    g <- g + weight_decay * p ;  m <- g in the first step, later momentum * m + (1 - dampening) * g ;
    p <- p - lr * m , or p - lr * (g + momentum * m) with `nesterov`.

    Args:
        lr: learning rate, >= 0.
        momentum: in [0, 1); the number 0 keeps no buffer.
        dampening: in [0, 1].
        weight_decay: L2 strength, >= 0.
        nesterov: Nesterov's form (Sutskever et al., 2013).

    Every hyperparameter but `nesterov` may be a number, a tensor, a tree like the parameters, or a schedule.

    >>> import hograd as ho
    >>> opt = SGD(lr=0.1, momentum=0.9)
    >>> w = ho.tensor([1.0, 2.0])
    >>> w, state = opt.step(w, ho.tensor([1.0, 1.0]), opt.init(w))
    >>> w
    tensor([0.9000, 1.9000])
    """

    lr: Hyperparameter = 1e-3
    momentum: Hyperparameter = 0.0
    dampening: Hyperparameter = 0.0
    weight_decay: Hyperparameter = 0.0
    nesterov: bool = static(default=False)

    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "momentum": (0, 1, False),
        "dampening": (0, 1, True),
        "weight_decay": (0, math.inf, False),
    }

    def slots(self) -> tuple[str, ...]:
        return () if is_off(self.momentum) else ("momentum",)

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        if not is_off(hyper.weight_decay):
            g = g + hyper.weight_decay * p
        if is_off(self.momentum):
            return p - hyper.lr * g, state
        m = hyper.momentum * state["momentum"]
        m = m + g if is_off(hyper.dampening) else m + (1 - hyper.dampening) * g
        first = step == 0
        m = where(first, g, m) if isinstance(first, Tensor) else g if first else m
        direction = g + hyper.momentum * m if self.nesterov else m
        return p - hyper.lr * direction, {"momentum": m}
