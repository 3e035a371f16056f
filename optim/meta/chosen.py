"""Which parameters adapt, and which hyperparameters of the inner optimizer are learned, in how many pieces."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import hograd as ho
from hograd import Tensor, tree
from hograd.errors import ArgumentError
from optim.base import Optimizer
from optim.constraints import Constraint, Free, constrain, unconstrain
from optim.fields import fields
from optim.schedules import Schedule

Filter = str | tuple[str, ...] | Callable[[str], bool] | dict[str, Any] | None
"""Which parameters: a name such as "head" or "block1.conv", which stands for all below it, "not head" for all others,
several of them, a function of such a name that returns a bool, or a tree of bools like the parameters or the upper part
of these. None is all."""


def names_of(params: Any) -> list[str]:
    """The dotted name of every parameter.

    >>> names_of({"layer1": {"weight": 0.0, "bias": 0.0}, "scales": [1.0]})
    ['layer1.bias', 'layer1.weight', 'scales.0']
    """
    return [path.replace("][", ".").strip("[]").replace("'", "") for path in tree.paths(params)]


def mask(chosen: Filter, params: Any, option: str) -> list[bool]:
    """For every parameter whether a filter chooses it.

    Raises:
        ArgumentError: it chooses none, or a name stands for nothing.
    """
    names = names_of(params)
    if isinstance(chosen, str):
        chosen = (chosen,)
    if callable(chosen):
        found = [bool(chosen(name)) for name in names]
    elif isinstance(chosen, tuple | list) and chosen and all(isinstance(one, str) for one in chosen):
        without = [one.removeprefix("not ") for one in chosen if one.startswith("not ")]
        within = [one for one in chosen if not one.startswith("not ")]
        for one in (*within, *without):
            if not any(_below(name, one) for name in names):
                raise ArgumentError(f"{option} names {one!r}, but the parameters are {', '.join(names)}.")
        found = [
            (not within or any(_below(name, one) for one in within)) and not any(_below(name, one) for one in without)
            for name in names
        ]
    else:
        found = [bool(one) for one in tree.broadcast(chosen, params, (option, "params"))]
    if not any(found):
        raise ArgumentError(f"{option} chooses none of the parameters, which are {', '.join(names)}.")
    return found


def _below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


@dataclasses.dataclass(frozen=True)
class Part:
    """The parameters that a filter chooses, as a tree with None in the places of the others.

    Args:
        chosen: the filter.
        option: what it is called in a message.
        without: layers whose names begin so are never chosen.
    """

    chosen: Filter
    option: str
    without: str | None = None

    def take(self, params: Any) -> Any:
        """The chosen ones."""
        if self.chosen is None and self.without is None:
            return params
        leaves, structure = tree.flatten(params)
        kept = self._mask(params)
        return tree.unflatten(structure, [leaf if one else None for leaf, one in zip(leaves, kept, strict=True)])

    def put(self, part: Any, params: Any) -> Any:
        """All parameters, with these in the places of the chosen ones."""
        if self.chosen is None and self.without is None:
            return part
        leaves, structure = tree.flatten(params)
        given = iter(tree.leaves(part))
        kept = self._mask(params)
        return tree.unflatten(structure, [next(given) if one else leaf for leaf, one in zip(leaves, kept, strict=True)])

    def _mask(self, params: Any) -> list[bool]:
        names = names_of(params)
        kept = [True] * len(names) if self.chosen is None else mask(self.chosen, params, self.option)
        if self.without is None:
            return kept
        never = [any(one.startswith(self.without) for one in name.split(".")) for name in names]
        return [one and not out for one, out in zip(kept, never, strict=True)]


Pieces = Literal["run", "layer", "parameter", "element"]


@dataclasses.dataclass(frozen=True)
class Learned:
    """How a hyperparameter of the inner optimizer is learned.

    Args:
        per: one value for the whole "run", for each "layer", each "parameter" (a tensor), or each "element" of each.
        per_step: whether each inner step has its own values; steps beyond the last are like the last.
        within: the range that it keeps to, a map from free numbers; the default leaves it free.

    >>> from hograd import nn
    >>> from optim.meta import MAML
    >>> algorithm = MAML(nn.mlp([1, 8, 1]), learn={"lr": Learned(per="layer", per_step=True)}, steps=3)
    >>> {name: rates.shape for name, rates in algorithm.init(0)["inner"]["lr"].items()}
    {'layer1': (3,), 'head': (3,)}
    """

    per: Pieces = "run"
    per_step: bool = False
    within: Constraint = dataclasses.field(default_factory=Free)

    def __post_init__(self) -> None:
        if self.per not in ("run", "layer", "parameter", "element"):
            raise ArgumentError(f"Learned: per is {self.per!r}, expected 'run', 'layer', 'parameter' or 'element'.")

    def start(self, value: Any, params: Any, steps: int) -> Any:
        """The first free values of a hyperparameter for these parameters."""
        if isinstance(value, tuple):
            return tuple(self.start(one, params, steps) for one in value)
        leaves, structure = tree.flatten(params)
        dtype = leaves[0].dtype
        if self.per == "run":
            made = tree.map(lambda one: ho.as_tensor(one).astype(dtype), value)
        else:
            spread = [ho.as_tensor(one).astype(dtype) for one in tree.broadcast(value, params)]
            if self.per == "element":
                spread = [one + ho.zeros_like(leaf) for one, leaf in zip(spread, leaves, strict=True)]
            made = tree.unflatten(structure, spread)
            made = _by_layer(made) if self.per == "layer" else made
        if self.per_step:
            made = tree.map(lambda one: ho.stack([one] * steps), made)
        return unconstrain(self.within, made)

    def value(self, free: Any) -> Any:
        """The hyperparameter for free values: a tensor, a tree, or a schedule where each step has its own."""
        if isinstance(free, tuple):
            return tuple(self.value(one) for one in free)
        values = constrain(self.within, free)
        return tree.map(PerInnerStep, values) if self.per_step else values


def _by_layer(values: Any) -> Any:
    """One value for each layer: a dict that holds tensors is one."""
    if isinstance(values, dict):
        own = [value for value in values.values() if value is not None]
        if own and all(isinstance(value, Tensor) for value in own):
            return own[0]
        return {name: _by_layer(value) for name, value in values.items()}
    return values


class PerInnerStep(Schedule):
    """One value for each inner step, the last one held for further steps: adaptation may go on beyond training.

    Args:
        values: tensor of shape (steps, ...).

    >>> rates = PerInnerStep(ho.tensor([0.3, 0.2]))
    >>> rates.at(0), rates.at(7)
    (tensor(0.3000), tensor(0.2000))
    """

    values: Any

    def at(self, step: Any) -> Tensor:
        return self.values[min(step, self.values.shape[0] - 1)]


Learn = tuple[str, ...] | dict[str, Learned] | Mapping[str, Learned | Constraint]
"""Which hyperparameters of the inner optimizer are learned: names, or a dict from names to how. A dotted name is one of
an optimizer inside: "optimizer.lr" of `chain(ClipByNorm(1.0), SGD(lr=0.1))`."""


def learned_of(learn: Learn, inner: Optimizer, option: str) -> dict[str, Learned]:
    """How each of them is learned.

    Raises:
        ArgumentError: the optimizer has no such hyperparameter.
    """
    entries = learn if isinstance(learn, Mapping) else dict.fromkeys((learn,) if isinstance(learn, str) else learn)
    found = {}
    for name, how in entries.items():
        owner: Any = inner
        for part in name.split("."):
            known = fields(type(owner)) if dataclasses.is_dataclass(owner) else []
            if part not in known:
                raise ArgumentError(
                    f"{option} names {name!r}, but {type(owner).__name__} has the hyperparameters {', '.join(known)}."
                )
            owner = getattr(owner, part)
        found[name] = Learned(within=how) if isinstance(how, Constraint) else how or Learned()
    return found


def value_of(inner: Optimizer, name: str) -> Any:
    """The hyperparameter of a dotted name."""
    return functools.reduce(getattr, name.split("."), inner)


def replaced(inner: Any, name: str, value: Any) -> Any:
    """The optimizer with another hyperparameter of a dotted name."""
    head, _, rest = name.partition(".")
    return inner.replace(**{head: replaced(getattr(inner, head), rest, value) if rest else value})
