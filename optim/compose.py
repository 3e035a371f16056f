"""Optimizers made of others: stages before a step, decay, groups, freezing, accumulation, lookahead and averages.

Each function returns an optimizer, a tree that holds the hyperparameters of all that it is made of, so that these are
learned as they are anywhere else.

>>> import hograd as ho
>>> from optim import SGD, AdamW
>>> from optim.clip import ClipByNorm
>>> opt = chain(ClipByNorm(1.0), groups({"w": "slow", "b": "fast"}, {"slow": AdamW(lr=1e-3), "fast": SGD(lr=0.1)}))
>>> params = {"w": ho.ones(2), "b": ho.zeros(1)}
>>> params, state = opt.step(params, {"w": ho.zeros(2), "b": ho.tensor([4.0])}, opt.init(params))
>>> params["b"]
tensor([-0.1000])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from hograd import Tensor, tree, where, zeros_like
from hograd.errors import ArgumentError, StructureError
from optim.base import Hyperparameter, Optimizer, static
from optim.schedules import value_at


class Transform(Optimizer):
    """A stage that changes gradients before an optimizer gets them; subclasses write `transform`.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> class Scale(Transform):
    ...     factor: float
    ...
    ...     def transform(self, grads, params, step):
    ...         return ho.tree.map(lambda g: g * self.factor, grads)
    >>> opt = chain(Scale(2.0), SGD(lr=0.1))
    >>> opt.step(ho.tensor(1.0), ho.tensor(1.0), opt.init(ho.tensor(1.0)))[0]
    tensor(0.8000)
    """

    def transform(self, grads: Any, params: Any, step: Any) -> Any:
        """The gradients in step number `step`, as a tree like `params`."""
        raise NotImplementedError(f"{type(self).__name__} does not define transform().")

    def step(self, params: Any, grads: Any, state: dict[str, Any], value: Any = None) -> tuple[Any, dict[str, Any]]:
        raise ArgumentError(
            f"{type(self).__name__} changes gradients and moves no parameters: put it before an optimizer, as in "
            f"chain({type(self).__name__}(...), SGD(lr=0.1))."
        )


class Chain(Optimizer):
    """What `chain` makes."""

    stages: tuple[Transform, ...]
    optimizer: Optimizer

    def init(self, params: Any) -> dict[str, Any]:
        return {"step": 0, "inner": self.optimizer.init(params)}

    def step(self, params: Any, grads: Any, state: dict[str, Any], value: Any = None) -> tuple[Any, dict[str, Any]]:
        for stage in self.stages:
            grads = stage.transform(grads, params, state["step"])
        params, inner = self.optimizer.step(params, grads, state["inner"], value)
        return params, {"step": state["step"] + 1, "inner": inner}


def chain(*stages: Any) -> Chain:
    """An optimizer behind stages that change its gradients, the first one first.

    Args:
        stages: any number of `Transform`s, such as `clip.ClipByNorm`, and an optimizer.

    Raises:
        ArgumentError: the last stage moves no parameters, or an earlier one does.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.clip import ClipByNorm
    >>> opt = chain(ClipByNorm(1.0), SGD(lr=0.1))
    >>> w = ho.tensor([1.0, 2.0])
    >>> opt.step(w, ho.tensor([3.0, 4.0]), opt.init(w))[0]
    tensor([0.9400, 1.9200])
    """
    for i, stage in enumerate(stages):
        if isinstance(stage, Transform) != (i < len(stages) - 1) or not isinstance(stage, Optimizer):
            raise ArgumentError(
                f"chain: stage {i} of {len(stages)} is {type(stage).__name__}, expected stages that change gradients "
                "and then one optimizer; wrap optimizers by decay, lookahead, average, accumulate or freeze."
            )
    if not stages:
        raise ArgumentError("chain: found no stage, expected at least an optimizer.")
    return Chain(stages[:-1], stages[-1])


class Decay(Optimizer):
    """What `decay` makes."""

    optimizer: Optimizer
    rate: Hyperparameter
    mask: Any = static(default=True)

    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {"rate": (0, math.inf, False)}

    def init(self, params: Any) -> dict[str, Any]:
        return {"step": 0, "inner": self.optimizer.init(params)}

    def step(self, params: Any, grads: Any, state: dict[str, Any], value: Any = None) -> tuple[Any, dict[str, Any]]:
        moved, inner = self.optimizer.step(params, grads, state["inner"], value)
        rate = value_at(self.rate, state["step"])
        leaves, structure = tree.flatten(params)
        new = [
            (after - rate * before).astype(before.dtype) if chosen else after
            for before, after, chosen in zip(
                leaves, tree.match(params, moved), _labels("mask", self.mask, params), strict=True
            )
        ]
        return tree.unflatten(structure, new), {"step": state["step"] + 1, "inner": inner}


def decay(optimizer: Optimizer, rate: Any, mask: Any = True) -> Decay:
    """Weight decay apart from the gradient (Loshchilov and Hutter, 2019):  p <- (step of the optimizer) - rate * p .

    Args:
        optimizer: what steps.
        rate: number, tensor or schedule, >= 0: share of a parameter taken off in a step. That of AdamW is
            lr * weight_decay.
        mask: what decays: tree prefix of booleans, or function of a parameter's path, such as "['layers'][0]['bias']".

    >>> import hograd as ho
    >>> from optim import SGD
    >>> opt = decay(SGD(lr=0.1), 0.5, mask=lambda path: "bias" not in path)
    >>> params = {"weight": ho.tensor(1.0), "bias": ho.tensor(1.0)}
    >>> opt.step(params, ho.tree.map(ho.ones_like, params), opt.init(params))[0]
    {'weight': tensor(0.4000), 'bias': tensor(0.9000)}
    """
    return Decay(optimizer, rate, mask=mask)


class Groups(Optimizer):
    """What `groups` makes."""

    optimizers: dict[str, Optimizer]
    labels: Any = static()

    def init(self, params: Any) -> dict[str, Any]:
        leaves, structure, labels = self._labelled(params)
        inner = {
            name: opt.init(_part(structure, leaves, labels, name)) for name, opt in sorted(self.optimizers.items())
        }
        return {"step": 0, "inner": inner}

    def step(self, params: Any, grads: Any, state: dict[str, Any], value: Any = None) -> tuple[Any, dict[str, Any]]:
        leaves, structure, labels = self._labelled(params)
        gradients = self._gradients(params, grads)
        new, inner = list(leaves), {}
        for name, optimizer in sorted(self.optimizers.items()):
            own = [i for i, label in enumerate(labels) if label == name]
            part = _part(structure, leaves, labels, name)
            moved, inner[name] = _step_part(optimizer, part, [gradients[i] for i in own], state["inner"][name], value)
            for i, leaf in zip(own, moved, strict=True):
                new[i] = leaf
        return tree.unflatten(structure, new), {"step": state["step"] + 1, "inner": inner}

    def _labelled(self, params: Any) -> tuple[list[Any], Any, list[Any]]:
        leaves, structure = tree.flatten(params)
        labels = _labels("labels", self.labels, params)
        for path, label in zip(tree.paths(params), labels, strict=True):
            if label not in self.optimizers:
                raise StructureError(
                    f"groups: params{path} has the label {label!r}, expected one of {sorted(self.optimizers)}."
                )
        return leaves, structure, labels


def groups(labels: Any, optimizers: dict[str, Optimizer]) -> Groups:
    """An optimizer for each group of parameters.

    Args:
        labels: tree prefix of the parameters with names of groups, or function of a parameter's path that returns one.
        optimizers: the optimizer of every group.

    Raises:
        StructureError: on a step, labels that are no prefix of the parameters, or one that has no optimizer; the
            message names the parameter.

    Each optimizer sees a tree like the parameters with None in the places of the others.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> opt = groups({"body": "slow", "head": "fast"}, {"slow": SGD(lr=0.1), "fast": SGD(lr=1.0)})
    >>> params = {"body": [ho.tensor(1.0), ho.tensor(2.0)], "head": ho.tensor(3.0)}
    >>> opt.step(params, ho.tree.map(ho.ones_like, params), opt.init(params))[0]
    {'body': [tensor(0.9000), tensor(1.9000)], 'head': tensor(2.)}
    """
    return Groups(optimizers, labels=labels)


class Freeze(Optimizer):
    """What `freeze` makes."""

    optimizer: Optimizer
    mask: Any = static()

    def init(self, params: Any) -> dict[str, Any]:
        leaves, structure = tree.flatten(params)
        part = _part(structure, leaves, [bool(m) for m in _labels("mask", self.mask, params)], False)
        return {"step": 0, "inner": self.optimizer.init(part)}

    def step(self, params: Any, grads: Any, state: dict[str, Any], value: Any = None) -> tuple[Any, dict[str, Any]]:
        leaves, structure = tree.flatten(params)
        gradients = self._gradients(params, grads)
        frozen = [bool(m) for m in _labels("mask", self.mask, params)]
        own = [i for i, still in enumerate(frozen) if not still]
        part = _part(structure, leaves, frozen, False)
        moved, inner = _step_part(self.optimizer, part, [gradients[i] for i in own], state["inner"], value)
        for i, leaf in zip(own, moved, strict=True):
            leaves[i] = leaf
        return tree.unflatten(structure, leaves), {"step": state["step"] + 1, "inner": inner}


def freeze(optimizer: Optimizer, mask: Any) -> Freeze:
    """An optimizer that leaves some parameters as they are, and keeps no state for them.

    Args:
        optimizer: what steps the others.
        mask: what stays: tree prefix of booleans, or function of a parameter's path.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> opt = freeze(SGD(lr=0.1), {"body": True, "head": False})
    >>> params = {"body": [ho.tensor(1.0), ho.tensor(2.0)], "head": ho.tensor(3.0)}
    >>> opt.step(params, ho.tree.map(ho.ones_like, params), opt.init(params))[0]
    {'body': [tensor(1.), tensor(2.)], 'head': tensor(2.9000)}
    """
    return Freeze(optimizer, mask=mask)


class Accumulate(Optimizer):
    """What `accumulate` makes."""

    optimizer: Optimizer
    every: int = static()

    def init(self, params: Any) -> dict[str, Any]:
        return {"step": 0, "mean": tree.map(zeros_like, params), "inner": self.optimizer.init(params)}

    def step(self, params: Any, grads: Any, state: dict[str, Any], value: Any = None) -> tuple[Any, dict[str, Any]]:
        means = tree.match(params, state["mean"], ("params", "state['mean']"))
        gradients = self._gradients(params, grads)
        mean = [m if g is None else m + g / self.every for m, g in zip(means, gradients, strict=True)]
        mean = tree.unflatten(tree.structure(params), mean)
        turn = (state["step"] + 1) % self.every == 0
        number = state["step"] + 1
        waited = params, {"mean": mean, "inner": state["inner"]}
        if not isinstance(turn, Tensor) and not turn:
            return params, {"step": number, **waited[1]}
        moved, inner = self.optimizer.step(params, mean, state["inner"], value)
        done = moved, {"mean": tree.map(zeros_like, mean), "inner": inner}
        params, rest = _choose(turn, done, waited)
        return params, {"step": number, **rest}


def accumulate(optimizer: Optimizer, every: int) -> Accumulate:
    """A step on the mean of several gradients: `optimizer` steps in every `every`-th step only.

    Args:
        optimizer: what steps; it gets the `value` of its own step, that of the newest gradient.
        every: number of gradients, >= 1.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> opt = accumulate(SGD(lr=0.1), every=2)
    >>> w = ho.tensor(1.0)
    >>> state = opt.init(w)
    >>> for g in (1.0, 3.0):
    ...     w, state = opt.step(w, ho.tensor(g), state)
    ...     w
    tensor(1.)
    tensor(0.8000)
    """
    return Accumulate(optimizer, every=_count("accumulate", every))


class Lookahead(Optimizer):
    """What `lookahead` makes."""

    optimizer: Optimizer
    rate: Hyperparameter = 0.5
    every: int = static(default=5)

    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {"rate": (0, 1, True)}

    def init(self, params: Any) -> dict[str, Any]:
        return {"step": 0, "slow": params, "inner": self.optimizer.init(params)}

    def step(self, params: Any, grads: Any, state: dict[str, Any], value: Any = None) -> tuple[Any, dict[str, Any]]:
        fast, inner = self.optimizer.step(params, grads, state["inner"], value)
        turn = (state["step"] + 1) % self.every == 0
        after = fast, state["slow"]
        if isinstance(turn, Tensor) or turn:
            rate = value_at(self.rate, state["step"])
            slow = tree.map(lambda f, s: (s + rate * (f - s)).astype(s.dtype), fast, state["slow"])
            after = _choose(turn, (slow, slow), after)
        return after[0], {"step": state["step"] + 1, "slow": after[1], "inner": inner}


def lookahead(optimizer: Optimizer, rate: Any = 0.5, every: int = 5) -> Lookahead:
    """Slow parameters that follow the fast ones (Zhang et al., 2019).

    In every `every`-th step, after that of the optimizer:  slow <- slow + rate * (p - slow) ;  p <- slow .

    Args:
        optimizer: what steps the fast parameters.
        rate: number, tensor or schedule, in [0, 1].
        every: number of fast steps, >= 1.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> opt = lookahead(SGD(lr=0.1), every=2)
    >>> w = ho.tensor(1.0)
    >>> state = opt.init(w)
    >>> for _ in range(2):
    ...     w, state = opt.step(w, ho.tensor(1.0), state)
    ...     w
    tensor(0.9000)
    tensor(0.9000)
    """
    return Lookahead(optimizer, rate, every=_count("lookahead", every))


class Average(Optimizer):
    """What `average` makes."""

    optimizer: Optimizer
    decay: Hyperparameter = 0.999

    ranges: ClassVar[dict[str, tuple[float, float, bool]]] = {"decay": (0, 1, True)}

    def init(self, params: Any) -> dict[str, Any]:
        return {"step": 0, "average": params, "inner": self.optimizer.init(params)}

    def step(self, params: Any, grads: Any, state: dict[str, Any], value: Any = None) -> tuple[Any, dict[str, Any]]:
        params, inner = self.optimizer.step(params, grads, state["inner"], value)
        d = value_at(self.decay, state["step"])
        mean = tree.map(lambda p, a: (d * a + (1 - d) * p).astype(p.dtype), params, state["average"])
        return params, {"step": state["step"] + 1, "average": mean, "inner": inner}


def average(optimizer: Optimizer, decay: Any = 0.999) -> Average:
    """The exponential moving average of parameters (Polyak and Juditsky, 1992), beside their training.

    a <- decay * a + (1 - decay) * p  after each step, from a = p before the first; it is state["average"].

    Args:
        optimizer: what steps.
        decay: number, tensor or schedule, in [0, 1].

    >>> import hograd as ho
    >>> from optim import SGD
    >>> opt = average(SGD(lr=0.1), decay=0.5)
    >>> w = ho.tensor(1.0)
    >>> w, state = opt.step(w, ho.tensor(2.0), opt.init(w))
    >>> w, state["average"]
    (tensor(0.8000), tensor(0.9000))
    """
    return Average(optimizer, decay)


def _labels(name: str, given: Any, params: Any) -> list[Any]:
    """A label for each parameter, of a tree prefix or a function of paths."""
    if isinstance(given, Callable):
        return [given(path) for path in tree.paths(params)]
    return tree.broadcast(given, params, (name, "params"))


def _part(structure: Any, leaves: list[Any], labels: list[Any], wanted: Any) -> Any:
    """The tree with None in the places of leaves of other labels."""
    return tree.unflatten(structure, [x if label == wanted else None for x, label in zip(leaves, labels, strict=True)])


def _step_part(optimizer: Optimizer, part: Any, gradients: list[Any], state: Any, value: Any) -> tuple[list[Any], Any]:
    grads = tree.unflatten(tree.structure(part), gradients)
    moved, state = optimizer.step(part, grads, state, value)
    return tree.match(part, moved), state


def _choose(turn: Any, yes: Any, no: Any) -> Any:
    """The one tree or the other, by a tensor of shape () too."""
    if not isinstance(turn, Tensor):
        return yes if turn else no
    return tree.map(lambda a, b: where(turn, a, b), yes, no)


def _count(name: str, every: Any) -> int:
    if not isinstance(every, int) or every < 1:
        raise ArgumentError(f"{name}: every is {every!r}, expected a whole number of at least 1.")
    return every
