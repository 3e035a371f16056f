"""Ranges of hyperparameters, as maps from free numbers: optimizers step the free ones.

Values stay inside, without the ends, however far the free numbers go: where rounding would bring them to an end they
are the number next to it, and the derivative is that of the map.

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

import numpy as np

import hograd as ho
from hograd import Tensor, tree
from hograd.errors import ArgumentError, ShapeError


class Constraint:
    """A map from all numbers to a range, smooth but for projections, and back."""

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
        free = ho.as_tensor(free)
        numbers = np.finfo(free.dtype)
        return ho.exp(_kept(free, np.log(numbers.tiny), np.log(numbers.max) - 0.5))

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
        return _between(ho.sigmoid(ho.as_tensor(free)), 0.0, 1.0)

    def unconstrain(self, value: Any) -> Tensor:
        value = ho.as_tensor(value)
        return ho.log(value) - ho.log1p(-value)

    def inside(self, value: Tensor) -> Tensor:
        return (value > 0) & (value < 1)


class Interval(Constraint):
    """Between two numbers, without the ends, by  value = low + (high - low) / (1 + e**-free).

    A learning rate or a momentum that is learned through it never leaves its range; a momentum that starts at 0 can be
    learned with a `low` below 0.

    Args:
        low, high: the ends, low < high.

    >>> Interval(0.5, 1.5).constrain(0.0)
    tensor(1.)
    """

    def __init__(self, low: float, high: float) -> None:
        if not low < high:
            raise ArgumentError(f"Interval: low is {low} and high is {high}, expected low < high.")
        self.low, self.high = float(low), float(high)
        self.range = f"between {self.low:g} and {self.high:g}, without the ends"

    def constrain(self, free: Any) -> Tensor:
        value = self.low + (self.high - self.low) * ho.sigmoid(ho.as_tensor(free))
        return _between(value, self.low, self.high)

    def unconstrain(self, value: Any) -> Tensor:
        value = ho.as_tensor(value)
        return ho.log(value - self.low) - ho.log(self.high - value)

    def inside(self, value: Tensor) -> Tensor:
        return (value > self.low) & (value < self.high)

    def __repr__(self) -> str:
        return f"Interval({self.low:g}, {self.high:g})"


class Simplex(Constraint):
    """Positive numbers along the last axis whose sum is 1, by  value = softmax(free) .

    Adding a number to all free ones changes nothing; `unconstrain` returns those whose mean is 0.

    >>> Simplex().constrain(ho.tensor([0.0, 0.0]))
    tensor([0.5000, 0.5000])
    """

    range = "greater than 0 with the sum 1 along the last axis"

    def constrain(self, free: Any) -> Tensor:
        value = ho.softmax(ho.as_tensor(free), -1)
        return _kept(value, np.finfo(value.dtype).tiny, 1.0)

    def unconstrain(self, value: Any) -> Tensor:
        logarithm = ho.log(ho.as_tensor(value))
        return logarithm - logarithm.mean(-1, keepdim=True)

    def inside(self, value: Tensor) -> Tensor:
        return (value > 0) & (ho.abs(value.sum(-1, keepdim=True) - 1) < 1e-6)

    def project(self, value: Any) -> Tensor:
        """The nearest point of the simplex, zeros allowed (Held et al., 1974).

        >>> Simplex().project(ho.tensor([0.7, 0.5, -1.0]))
        tensor([0.6000, 0.4000, 0.0000])
        """
        return project_capped_simplex(value, 1.0, cap=float("inf"))


class CappedSimplex(Constraint):
    """Numbers from 0 to 1 along the last axis whose sum is `total`, by exact projection (Wang and Lu, 2015).

    value = nearest point of the set to free = min(max(free - tau, 0), 1) , with tau such that the sum holds.

    The free numbers of a value are the value itself. The derivative is that of the projection: on the numbers strictly
    between 0 and 1 the identity less its mean, and 0 on the others.

    Args:
        total: the sum, between 0 and the length of the last axis.
        at_most: the sum may also be less than `total` (Franceschi et al., 2017).

    >>> CappedSimplex(1.5).constrain(ho.tensor([2.0, 0.5, 0.25]))
    tensor([1.0000, 0.3750, 0.1250])
    """

    def __init__(self, total: float, at_most: bool = False) -> None:
        if not total > 0:
            raise ArgumentError(f"CappedSimplex: total is {total}, expected a number greater than 0.")
        self.total, self.at_most = float(total), at_most
        bound = "a sum of at most" if at_most else "the sum"
        self.range = f"between 0 and 1 with {bound} {self.total:g} along the last axis"

    def constrain(self, free: Any) -> Tensor:
        return self.project(free)

    def project(self, value: Any) -> Tensor:
        """The nearest point of the set; the same as `constrain`."""
        value = ho.as_tensor(value)
        if not self.at_most:
            return project_capped_simplex(value, self.total)
        clipped = ho.clamp(value, 0.0, 1.0)
        if self.total >= value.shape[-1]:
            return clipped
        within = clipped.sum(-1, keepdim=True) <= self.total
        return ho.where(within, clipped, project_capped_simplex(value, self.total))

    def unconstrain(self, value: Any) -> Tensor:
        return ho.as_tensor(value)

    def inside(self, value: Tensor) -> Tensor:
        excess = value.sum(-1, keepdim=True) - self.total
        near = (excess if self.at_most else ho.abs(excess)) < 1e-6 * max(self.total, 1.0)
        return (value >= 0) & (value <= 1) & near

    def __repr__(self) -> str:
        return f"CappedSimplex({self.total:g}{', at_most=True' if self.at_most else ''})"


def project_capped_simplex(value: Any, total: float, cap: float = 1.0) -> Tensor:
    """The point nearest to `value` of {x : 0 <= x <= cap, sum of x = total}, along the last axis.

    Found exactly, by sorting where numbers enter and leave the ends; n log n operations. Differentiable to any order.

    Args:
        value: shape (..., n).
        total: the sum, between 0 and n * cap.
        cap: the largest number, > 0; infinity makes it a simplex of size `total`.

    Raises:
        ArgumentError: no such point exists.

    >>> project_capped_simplex([0.9, 0.8, -1.0], 1.0)
    tensor([0.5500, 0.4500, 0.0000])
    """
    value = ho.as_tensor(value)
    if not value.ndim:
        raise ShapeError("project_capped_simplex: value has shape (), expected at least one axis.")
    count = value.shape[-1]
    if not 0 <= total <= count * cap:
        raise ArgumentError(
            f"project_capped_simplex: total is {total:g}, but {count} numbers up to {cap:g} cannot sum to it."
        )
    constant = value.detach()
    # As tau falls, a number leaves 0 at tau = value and meets its cap at tau = value - cap: there the sum bends.
    bends, slopes = constant, ho.ones_like(constant)
    if cap != float("inf"):
        bends = ho.concatenate([bends, constant - cap], -1)
        slopes = ho.concatenate([slopes, -slopes], -1)
    order = ho.argsort(-bends, -1)
    bends, slopes = ho.gather(bends, -1, order), ho.cumsum(ho.gather(slopes, -1, order), -1)
    sums = ho.cumsum((bends[..., :-1] - bends[..., 1:]) * slopes[..., :-1], -1)
    sums = ho.concatenate([ho.zeros_like(bends[..., :1]), sums], -1)
    # The last bend whose sum is within the total; rounding of sums must not pass it by.
    last = (sums <= total).sum(-1, keepdim=True) - 1
    slope = ho.gather(slopes, -1, last)
    tau = ho.gather(bends, -1, last) - (total - ho.gather(sums, -1, last)) / ho.where(slope > 0.5, slope, 1.0)
    between = (constant > tau) & (constant < tau + cap)
    capped = constant >= tau + cap
    number = between.sum(-1, keepdim=True)
    # tau once more as a function of the numbers that move it.
    free_sum = ho.where(between, value, 0.0).sum(-1, keepdim=True)
    rest = total - (cap * capped.sum(-1, keepdim=True).astype(value.dtype) if cap != float("inf") else 0.0)
    tau = ho.where(number > 0, (free_sum - rest) / ho.maximum(number, 1), tau)
    return ho.where(between, value - tau, min(cap, total) * capped.astype(value.dtype))


def _kept(value: Tensor, least: float, most: float) -> Tensor:
    """The value moved into the range by a constant, so that its derivative stays and may lead back."""
    constant = ho.stop_gradient(value)
    return value + (ho.clamp(constant, float(least), float(most)) - constant)


def _between(value: Tensor, low: float, high: float) -> Tensor:
    """The value kept from the ends, which only rounding can bring it to."""
    ends = np.array([low, high], value.dtype)
    least = np.nextafter(ends[0], ends[1]) if low else np.finfo(value.dtype).tiny
    return _kept(value, least, np.nextafter(ends[1], ends[0]))


def constrain(spec: Any, free: Any) -> Any:
    """The tree of constrained values of a tree of free ones.

    Args:
        spec: a tree prefix of `free` with constraints as leaves.
        free: tree of floating tensors.

    >>> constrain(Positive(), {"lr": 0.0})
    {'lr': tensor(1.)}
    """
    leaves, structure = tree.flatten(free)
    constraints = tree.broadcast(spec, free, ("spec", "free"), is_leaf=_is_constraint)
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
    constraints = tree.broadcast(spec, value, ("spec", "value"), is_leaf=_is_constraint)
    free = []
    for i, (c, x) in enumerate(zip(constraints, leaves, strict=True)):
        x = ho.as_tensor(x)
        if not bool(c.inside(x.detach()).all()):
            raise ArgumentError(f"value{tree.paths(value)[i]} is {x.detach()}, expected {c.range}.")
        free.append(c.unconstrain(x))
    return tree.unflatten(structure, free)


def _is_constraint(value: Any) -> bool:
    return isinstance(value, Constraint)
