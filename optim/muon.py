"""Muon: momentum made orthogonal."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import maximum
from hograd.errors import ArgumentError, ShapeError
from optim.base import Hyperparameter, Optimizer, is_off, norm, static


class Muon(Optimizer):
    """Momentum orthogonalised by Newton and Schulz's iteration (Jordan et al., 2024), as `torch.optim.Muon`.

    m <- momentum * m + (1 - momentum) * g ;  u = momentum * m + (1 - momentum) * g with `nesterov`, else m ;
    X = u / max(|u|, eps) ;  `steps` times  A = X X^T ,  X <- a X + (b A + c A A) X ;
    p <- (1 - lr * weight_decay) * p - lr * r * X , with r from `adjust_lr`.

    Args:
        lr: learning rate, >= 0.
        weight_decay: decoupled strength, >= 0.
        momentum: in [0, 1).
        coefficients: triple (a, b, c) of the iteration.
        eps: least length that u is divided by, > 0.
        nesterov: Nesterov's form.
        steps: number of iterations, >= 0.
        adjust_lr: "original" is r = sqrt(max(1, rows / columns)); "match_rms_adamw" is 0.2 * sqrt(max(rows, columns)).
        maximize: climb instead of descending.

    Every parameter must have two axes; give others to another optimizer by `compose.groups`. The iteration runs in the
    dtype of the parameters, where PyTorch's runs in bfloat16.

    Raises:
        ShapeError: a parameter does not have two axes.

    >>> import hograd as ho
    >>> opt = Muon(lr=0.1, weight_decay=0.0)
    >>> w = ho.zeros(2, 2)
    >>> opt.step(w, ho.tensor([[3.0, 0.0], [0.0, 3.0]]), opt.init(w))[0]
    tensor([[-0.1108,  0.0000],
            [ 0.0000, -0.1108]])
    """

    lr: Hyperparameter = 1e-3
    weight_decay: Hyperparameter = 0.1
    momentum: Hyperparameter = 0.95
    coefficients: tuple[Hyperparameter, Hyperparameter, Hyperparameter] = (3.4445, -4.7750, 2.0315)
    eps: Hyperparameter = 1e-7
    nesterov: bool = static(default=True)
    steps: int = static(default=5)
    adjust_lr: str = static(default="original")
    maximize: bool = static(default=False)

    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "weight_decay": (0, math.inf, False),
        "momentum": (0, 1, False),
        "eps": (0, math.inf, False),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adjust_lr not in _RATIOS:
            raise ArgumentError(f"Muon: adjust_lr is {self.adjust_lr!r}, expected one of {', '.join(_RATIOS)}.")

    def slots(self) -> tuple[str, ...]:
        return ("momentum",)

    def start(self, p: Any, hyper: SimpleNamespace) -> dict[str, Any]:
        if p.ndim != 2:
            raise ShapeError(
                f"Muon: a parameter has shape {tuple(p.shape)}, expected two axes; "
                "give it to another optimizer by compose.groups."
            )
        return super().start(p, hyper)

    def update(self, p: Any, g: Any, state: dict[str, Any], hyper: SimpleNamespace, step: Any) -> Any:
        m = hyper.momentum * state["momentum"] + (1 - hyper.momentum) * g
        u = hyper.momentum * m + (1 - hyper.momentum) * g if self.nesterov else m
        rows, columns = p.shape
        if not is_off(hyper.weight_decay):
            p = p * (1 - hyper.lr * hyper.weight_decay)
        return p - hyper.lr * _RATIOS[self.adjust_lr](rows, columns) * self._orthogonal(u, hyper), {"momentum": m}

    def _orthogonal(self, u: Any, hyper: SimpleNamespace) -> Any:
        a, b, c = hyper.coefficients
        tall = u.shape[0] > u.shape[1]
        x = u.T if tall else u
        x = x / maximum(norm(x), hyper.eps)
        for _ in range(self.steps):
            gram = x @ x.T
            x = a * x + (b * gram + c * (gram @ gram)) @ x
        return x.T if tall else x


_RATIOS = {
    "original": lambda rows, columns: max(1.0, rows / max(columns, 1)) ** 0.5,
    "match_rms_adamw": lambda rows, columns: 0.2 * max(rows, columns) ** 0.5,
}
