"""Adam, and its variants AdamW and AMSGrad."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import maximum, safe_sqrt
from optim.base import Hyperparameter, Optimizer, is_off, static


class Adam(Optimizer):
    """Adaptive moment estimation (Kingma and Ba, 2015), as `torch.optim.Adam`.

    g <- g + weight_decay * p ;  m <- b1 * m + (1 - b1) * g ;  v <- b2 * v + (1 - b2) * g**2 ;
    p <- p - lr * (m / (1 - b1**t)) / (sqrt(v / (1 - b2**t)) + eps)  in step t = 1, 2, ...

    Args:
        lr: learning rate, >= 0.
        betas: pair (b1, b2), each in [0, 1).
        eps: added to the root, > 0 wherever a second moment can be 0.
        weight_decay: L2 strength, >= 0.
        amsgrad: divide by the root of the largest v so far (`AMSGrad`).
        maximize: climb instead of descending.

    Every hyperparameter (each of `betas` too) may be a number, a tensor, a tree like the parameters, or a schedule.
    Where a second moment is exactly 0 the first one is too, and the derivative of the root drops out: it is taken as 0.

    >>> import hograd as ho
    >>> opt = Adam(lr=0.1)
    >>> w = ho.tensor([1.0, 2.0])
    >>> w, state = opt.step(w, ho.tensor([3.0, 0.0]), opt.init(w))
    >>> w
    tensor([0.9000, 2.0000])
    """

    lr: Hyperparameter = 1e-3
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999)
    eps: Hyperparameter = 1e-8
    weight_decay: Hyperparameter = 0.0
    amsgrad: bool = static(default=False)
    maximize: bool = static(default=False)

    elementwise: ClassVar[bool] = True
    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "betas": (0, 1, False),
        "eps": (0, math.inf, False),
        "weight_decay": (0, math.inf, False),
    }

    def slots(self) -> tuple[str, ...]:
        moments = ("first_moment", "second_moment")
        return (*moments, "largest_second_moment") if self.amsgrad else moments

    def prepare(self, hyper: SimpleNamespace, step: Any) -> None:
        b1, b2 = hyper.betas
        hyper.rate = hyper.lr / (1 - b1 ** (step + 1))
        hyper.scale = (1 - b2 ** (step + 1)) ** 0.5

    def decay(self, p: Any, g: Any, hyper: SimpleNamespace) -> tuple[Any, Any]:
        """Parameter and gradient under weight decay."""
        return p, g if is_off(hyper.weight_decay) else g + hyper.weight_decay * p

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        b1, b2 = hyper.betas
        p, g = self.decay(p, g, hyper)
        m = b1 * state["first_moment"] + (1 - b1) * g
        v = b2 * state["second_moment"] + (1 - b2) * (g * g)
        new_state = {"first_moment": m, "second_moment": v}
        if self.amsgrad:
            v = new_state["largest_second_moment"] = maximum(state["largest_second_moment"], v)
        return p - hyper.rate * m / (safe_sqrt(v) / hyper.scale + hyper.eps), new_state


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), as `torch.optim.AdamW`.

    p <- (1 - lr * weight_decay) * p , then Adam's step without weight decay.

    Args:
        lr, betas, eps, amsgrad, maximize: see `Adam`.
        weight_decay: share of the parameter taken off in a step, in units of `lr`, >= 0.

    >>> import hograd as ho
    >>> opt = AdamW(lr=0.1, weight_decay=0.5)
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, 0.0]), opt.init(w))[0]
    tensor([0.8500, 1.9000])
    """

    weight_decay: Hyperparameter = 1e-2

    elementwise: ClassVar[bool] = True

    def decay(self, p: Any, g: Any, hyper: SimpleNamespace) -> tuple[Any, Any]:
        return p if is_off(hyper.weight_decay) else p * (1 - hyper.lr * hyper.weight_decay), g


class AMSGrad(Adam):
    """Adam whose second moment never shrinks (Reddi et al., 2018), as `torch.optim.Adam(amsgrad=True)`.

    u <- max(u, v) ;  p <- p - lr * (m / (1 - b1**t)) / (sqrt(u / (1 - b2**t)) + eps)  with Adam's m and v.

    Args:
        lr, betas, eps, weight_decay, maximize: see `Adam`.

    >>> import hograd as ho
    >>> opt = AMSGrad(lr=0.1)
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, 0.0]), opt.init(w))[0]
    tensor([0.9000, 2.0000])
    """

    amsgrad: bool = static(default=True)
