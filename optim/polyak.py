"""Gradient descent with Polyak's step."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

from hograd import minimum, tree, where
from hograd.errors import ArgumentError
from optim.base import Hyperparameter, Optimizer, static


class PolyakSGD(Optimizer):
    """Gradient descent whose step follows from the loss (Polyak, 1969; Loizou et al., 2021), as `optax.polyak_sgd`.

    p <- p - lr * min((value - least_value) / (scale * |g|**2 + eps), largest) * g , over all parameters together;
    no move where |g|**2 and eps are 0.

    Args:
        lr: factor of the step, >= 0.
        least_value: the least value of the loss, or a bound below it.
        largest: bound of the step, >= 0; Loizou et al. call it gamma_b.
        scale: their constant c, > 0.
        eps: added to the squared length, >= 0.
        maximize: climb instead of descending; `value` and `least_value` are then those of the negative loss.

    Every hyperparameter may be a number, a tensor, a tree like the parameters, or a schedule. `step` needs the loss as
    its `value`.

    >>> import hograd as ho
    >>> opt = PolyakSGD(largest=10.0)
    >>> w = ho.tensor([3.0, 4.0])
    >>> opt.step(w, 2 * w, opt.init(w), value=(w**2).sum())[0]
    tensor([1.5000, 2.0000])
    """

    lr: Hyperparameter = 1.0
    least_value: Hyperparameter = 0.0
    largest: Hyperparameter = 1.0
    scale: Hyperparameter = 1.0
    eps: Hyperparameter = 0.0
    maximize: bool = static(default=False)

    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {
        "lr": (0, math.inf, False),
        "largest": (0, math.inf, True),
        "scale": (0, math.inf, False),
        "eps": (0, math.inf, False),
    }

    def step(self, params: Any, grads: Any, state: dict[str, Any], value: Any = None) -> tuple[Any, dict[str, Any]]:
        """One update, as a pure function; see `Optimizer.step`.

        Raises:
            ArgumentError: `value` is missing.
        """
        if value is None:
            raise ArgumentError("PolyakSGD: step needs the loss: pass value=loss(params).")
        leaves, structure = tree.flatten(params)
        gradients = self._gradients(params, grads)
        squares = [(g * g).sum() for g in gradients if g is not None]
        if not squares:
            return params, {"step": state["step"] + 1}
        length = sum(squares[1:], squares[0])
        hypers = self._hypers(params, len(leaves), state["step"])
        rates = {id(hyper): _rate(hyper, value, length) for hyper in hypers}
        moved = [
            p if g is None else p - rates[id(hyper)].astype(p.dtype) * g
            for p, g, hyper in zip(leaves, gradients, hypers, strict=True)
        ]
        return tree.unflatten(structure, moved), {"step": state["step"] + 1}


def _rate(hyper: SimpleNamespace, value: Any, length: Any) -> Any:
    length = hyper.scale * length + hyper.eps
    still = length == 0
    rate = minimum((value - hyper.least_value) / where(still, 1.0, length), hyper.largest)
    return hyper.lr * where(still, 0.0, rate)
