"""Ranges of hyperparameters, as smooth maps from free numbers: optimizers step the free ones.

A specification is a tree of constraints, or one that applies to all; an entry holds for every leaf below it.

>>> import hograd as ho
>>> spec = {"lr": Positive(), "momentum": UnitInterval()}
>>> free = unconstrain(spec, {"lr": ho.tensor([0.5, 1.0]), "momentum": ho.tensor(0.5)})
>>> free["momentum"]
tensor(0.)
>>> constrain(spec, free)["lr"]
tensor([0.5000, 1.0000])
"""

from __future__ import annotations

from typing import Any

import hograd as ho
from hograd import Tensor, tree
from hograd.errors import ArgumentError


class Constraint:
    """A smooth bijection between all numbers and a range."""

    #: The range in words, for messages.
    range: str = "any number"

    def constrain(self, free: Any) -> Tensor:
        """The constrained value of a free one."""
        return ho.as_tensor(free)

    def unconstrain(self, value: Any) -> Tensor:
        """The free value of a constrained one.

        Raises:
            ArgumentError: `value` is not inside the range.
        """
        return ho.as_tensor(value)

    def inside(self, value: Tensor) -> Tensor:
        """Whether values are inside the range, elementwise."""
        return ho.isfinite(value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Free(Constraint):
    """No constraint.

    >>> Free().constrain(-3.0)
    tensor(-3.)
    """


class Positive(Constraint):
    """Greater than 0, by  value = e**free : steps of the free value are relative changes.

    >>> Positive().unconstrain(1.0)
    tensor(0.)
    """

    range = "greater than 0"

    def constrain(self, free: Any) -> Tensor:
        return ho.exp(ho.as_tensor(free))

    def unconstrain(self, value: Any) -> Tensor:
        return ho.log(ho.as_tensor(value))

    def inside(self, value: Tensor) -> Tensor:
        return ho.isfinite(value) & (value > 0)


class UnitInterval(Constraint):
    """Between 0 and 1, without the ends, by  value = 1 / (1 + e**-free).

    >>> UnitInterval().constrain(0.0)
    tensor(0.5000)
    """

    range = "between 0 and 1, without the ends"

    def constrain(self, free: Any) -> Tensor:
        return ho.sigmoid(ho.as_tensor(free))

    def unconstrain(self, value: Any) -> Tensor:
        value = ho.as_tensor(value)
        return ho.log(value) - ho.log1p(-value)

    def inside(self, value: Tensor) -> Tensor:
        return (value > 0) & (value < 1)


def constrain(spec: Any, free: Any) -> Any:
    """The tree of constrained values of a tree of free ones.

    Args:
        spec: a tree prefix of `free` with constraints as leaves.
        free: tree of floating tensors.

    >>> constrain(Positive(), {"lr": 0.0})
    {'lr': tensor(1.)}
    """
    leaves, structure = tree.flatten(free)
    constraints = tree.broadcast(spec, free, is_leaf=_is_constraint)
    return tree.unflatten(structure, [c.constrain(x) for c, x in zip(constraints, leaves, strict=True)])


def unconstrain(spec: Any, value: Any) -> Any:
    """The tree of free values of a tree of constrained ones.

    Args:
        spec: a tree prefix of `value` with constraints as leaves.
        value: tree of floating tensors or numbers.

    Raises:
        ArgumentError: a value is outside its range; the message names the leaf.

    >>> unconstrain({"lr": Positive()}, {"lr": 1.0})
    {'lr': tensor(0.)}
    """
    leaves, structure = tree.flatten(value)
    constraints = tree.broadcast(spec, value, is_leaf=_is_constraint)
    free = []
    for i, (c, x) in enumerate(zip(constraints, leaves, strict=True)):
        x = ho.as_tensor(x)
        if not bool(c.inside(x.detach()).all()):
            raise ArgumentError(f"value{tree.paths(value)[i]} is {x.detach()}, expected {c.range}.")
        free.append(c.unconstrain(x))
    return tree.unflatten(structure, free)


def _is_constraint(value: Any) -> bool:
    return isinstance(value, Constraint)
