"""Stochastic gradient descent."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import Tensor, where
from hograd.errors import ArgumentError
from optim.base import Hyperparameter, Optimizer, is_off, static


class SGD(Optimizer):
    """Gradient descent with momentum, as `torch.optim.SGD`.

    g <- g + weight_decay * p ;  m <- g in the first step, later momentum * m + (1 - dampening) * g ;
    p <- p - lr * m , or p - lr * (g + momentum * m) with `nesterov`.

    Args:
        lr: learning rate, >= 0.
        momentum: in [0, 1); the number 0 keeps no buffer.
        dampening: in [0, 1]; unlike PyTorch's it also acts without momentum, so that the update is one formula.
        weight_decay: L2 strength, >= 0.
        nesterov: Nesterov's form (Sutskever et al., 2013).
        maximize: climb instead of descending.

    Every hyperparameter may be a number, a tensor, a tree like the parameters, or a schedule.

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
    maximize: bool = static(default=False)

    elementwise: ClassVar[bool] = True
    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "momentum": (0, 1, False),
        "dampening": (0, 1, True),
        "weight_decay": (0, math.inf, False),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and (is_off(self.momentum) or (type(self.dampening) is float and self.dampening)):
            raise ArgumentError(
                "SGD: Nesterov momentum requires a momentum and zero dampening, "
                f"found momentum={self.momentum} and dampening={self.dampening}."
            )

    def slots(self) -> tuple[str, ...]:
        return () if is_off(self.momentum) else ("momentum",)

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        if not is_off(hyper.weight_decay):
            g = g + hyper.weight_decay * p
        m = g if is_off(hyper.dampening) else (1 - hyper.dampening) * g
        without = is_off(self.momentum)
        if not without:
            m = hyper.momentum * state["momentum"] + m
        first = step == 0
        if not isinstance(first, Tensor):
            m = g if first else m
        elif not is_off(hyper.dampening):
            # Otherwise it is the same, since the momentum is 0 before the first step.
            m = where(first, g, m)
        if without:
            return p - hyper.lr * m, state
        direction = g + hyper.momentum * m if self.nesterov else m
        return p - hyper.lr * direction, {"momentum": m}
