"""Hyperparameters learned while training goes on: hypergradient descent, and towers of optimizers."""

from __future__ import annotations

import dataclasses
from typing import Any

from hograd import as_tensor, func, tree, zeros_like
from hograd.errors import ArgumentError
from optim.base import Optimizer, static
from optim.fields import fields
from optim.sgd import SGD


class Online(Optimizer):
    """An optimizer whose hyperparameters another one steps, at every step, by the gradient of the last update.

    With  w_t = step(w_{t-1}, g_{t-1}; h)  and the new gradient g_t :  h <- by.step(h, (dw_t/dh)^T g_t) , and then the
    step from w_t with it. For the lr of SGD, stepped by SGD of rate beta, that is hypergradient descent (Baydin et al.,
    2018):  lr <- lr + beta g_t . g_{t-1} .  For SGD with Nesterov momentum and for Adam it is their rule too.

    `by` may be `Online` itself, and so on: a tower of optimizers, each stepping the one below (Chandra et al., 2022).

    Args:
        optimizer: steps the parameters; its hyperparameters are the first values of what is learned.
        by: steps the hyperparameters.
        learn: names of the hyperparameters that are learned.

    The first step moves no hyperparameter, since nothing came before it. `state["learned"]` holds their values. Nothing
    keeps them in their ranges: a rate of `by` that is too large can make them negative. It is an optimizer like any
    other, and differentiable in all of the tower.

    >>> import hograd as ho
    >>> opt = Online(SGD(lr=0.1), by=SGD(lr=0.01))
    >>> w = ho.tensor(1.0)
    >>> state = opt.init(w)
    >>> for _ in range(3):
    ...     w, state = opt.step(w, 2 * w, state)  # the gradient of w**2
    >>> state["learned"]["lr"]
    tensor(0.1508)
    """

    optimizer: Optimizer = dataclasses.field(default_factory=lambda: SGD())
    by: Optimizer = dataclasses.field(default_factory=lambda: SGD(lr=1e-3))
    learn: tuple[str, ...] = static(default=("lr",))

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("optimizer", "by"):
            if not isinstance(getattr(self, name), Optimizer):
                raise ArgumentError(
                    f"Online: {name} is {type(getattr(self, name)).__name__}, expected an Optimizer like SGD(lr=0.1)."
                )
        known = fields(self.optimizer)
        if isinstance(self.learn, str) or not self.learn:
            raise ArgumentError(f"Online: learn is {self.learn!r}, expected names of hyperparameters, such as ('lr',).")
        for name in self.learn:
            if name not in known:
                kind = type(self.optimizer).__name__
                raise ArgumentError(f"Online: learn names {name!r}, but {kind} has {', '.join(map(repr, known))}.")

    def init(self, params: Any) -> dict[str, Any]:
        """The state before the first step: what is learned, the states of both optimizers, and the step before.

        >>> import hograd as ho
        >>> Online(SGD(lr=0.1), by=SGD(lr=0.01)).init(ho.ones(2))["learned"]
        {'lr': tensor(0.1000)}
        """
        learned = {name: tree.map(as_tensor, getattr(self.optimizer, name)) for name in self.learn}
        inner = self._with(learned).init(params)
        nothing = tree.map(zeros_like, params)
        # Of a step from zeros with zero gradients, nothing depends on the hyperparameters.
        return {
            "step": 0,
            "learned": learned,
            "inner": inner,
            "by": self.by.init(learned),
            "before": {"params": nothing, "grads": nothing, "inner": inner, "value": as_tensor(0.0)},
        }

    def step(self, params: Any, grads: Any, state: dict[str, Any], value: Any = None) -> tuple[Any, dict[str, Any]]:
        """One update of the hyperparameters, and one of the parameters with them; both optimizers get `value`."""
        before, gradients = state["before"], self._gradients(params, grads)
        structure = tree.structure(params)
        grads = tree.unflatten(structure, gradients)
        pairs = zip(tree.leaves(params), gradients, strict=True)
        cotangents = tree.unflatten(structure, [zeros_like(p) if g is None else g for p, g in pairs])
        last_value = None if value is None else before["value"]

        def last(learned: Any) -> Any:
            return self._with(learned).step(before["params"], before["grads"], before["inner"], last_value)[0]

        _, pull = func.vjp(last, state["learned"])
        learned, by = self.by.step(state["learned"], pull(cotangents)[0], state["by"], value)
        new, inner = self._with(learned).step(params, grads, state["inner"], value)
        known = before["value"] if value is None else as_tensor(value)
        now = {"params": params, "grads": grads, "inner": state["inner"], "value": known}
        return new, {"step": state["step"] + 1, "learned": learned, "inner": inner, "by": by, "before": now}

    def _with(self, learned: dict[str, Any]) -> Any:
        """The optimizer with these hyperparameters."""
        return self.optimizer.replace(**learned)
