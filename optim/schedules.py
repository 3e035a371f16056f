"""Hyperparameters that change from step to step.

A schedule stands wherever a number may stand in an optimizer. It is a tree of its own parameters, so that it is learned
as numbers are. What counts steps is fixed and given by name.

>>> import hograd as ho
>>> from optim import SGD
>>> w = ho.tensor(1.0)
>>> def after_two_steps(opt):
...     params, state = w, opt.init(w)
...     for _ in range(2):
...         params, state = opt.step(params, ho.tensor(1.0), state)
...     return params
>>> ho.func.grad(after_two_steps)(SGD(lr=Exponential(0.5, 0.5))).lr.factor
tensor(-0.5000)
"""

from __future__ import annotations

import bisect
import math
from typing import Any, dataclass_transform

from hograd import Tensor, as_tensor, cos, maximum, minimum, tensor, where
from hograd.errors import ArgumentError, ShapeError
from optim.fields import declare, static


@dataclass_transform(frozen_default=True, field_specifiers=(static,))
class Schedule:
    """A hyperparameter with a value for every step; a tree whose leaves are what it can learn.

    Subclasses declare fields as dataclasses do, those that count steps as `static`, and write `at`.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        declare(cls)

    def at(self, step: Any) -> Any:
        """The value in step number `step`, counted from 0: an int, or a tensor of whole numbers."""
        raise NotImplementedError(f"{type(self).__name__} does not define at().")


def value_at(value: Any, step: Any) -> Any:
    """The value of a hyperparameter in a step, whether it is a schedule or not."""
    return value.at(step) if isinstance(value, Schedule) else value


class PerStep(Schedule):
    """One value for each step, all of them free.

    Args:
        values: shape (steps, ...): the value in step t is values[t].

    Raises:
        ArgumentError: a step after the last value.

    >>> import hograd as ho
    >>> PerStep(ho.tensor([0.3, 0.2])).at(1)
    tensor(0.2000)
    """

    values: Any

    def __post_init__(self) -> None:
        values = as_tensor(self.values)
        if not values.ndim:
            raise ShapeError("PerStep: values have shape (), expected an axis of steps.")
        object.__setattr__(self, "values", values)

    def at(self, step: Any) -> Tensor:
        count = self.values.shape[0]
        if isinstance(step, int) and not 0 <= step < count:
            raise ArgumentError(
                f"PerStep has {count} values, but was asked for step {step}; give it one for each step."
            )
        return self.values[step]


class Constant(Schedule):
    """The same value in every step.

    Args:
        value: number or tensor.

    >>> Constant(0.1).at(7)
    0.1
    """

    value: Any

    def at(self, step: Any) -> Any:
        return self.value


class Step(Schedule):
    """A fall at even distances:  value * factor**floor(t / every) , as `torch.optim.lr_scheduler.StepLR`.

    Args:
        value: number or tensor: the first value.
        factor: number or tensor.
        every: steps between two falls, >= 1.

    >>> [Step(0.5, 0.5, every=2).at(t) for t in range(5)]
    [0.5, 0.5, 0.25, 0.25, 0.125]
    """

    value: Any
    factor: Any = 0.1
    every: int = static()

    def __post_init__(self) -> None:
        _count(self, "every", self.every)

    def at(self, step: Any) -> Any:
        return self.value * self.factor ** (step // self.every)


class MultiStep(Schedule):
    """A fall at each milestone:  value * factor**(number of milestones <= t) , as `MultiStepLR`.

    Args:
        value: number or tensor: the first value.
        factor: number or tensor.
        milestones: rising step numbers.

    >>> [MultiStep(0.5, 0.5, milestones=(1, 3)).at(t) for t in range(4)]
    [0.5, 0.25, 0.25, 0.125]
    """

    value: Any
    factor: Any = 0.1
    milestones: tuple[int, ...] = static()

    def __post_init__(self) -> None:
        object.__setattr__(self, "milestones", _rising(self, "milestones", self.milestones))

    def at(self, step: Any) -> Any:
        return self.value * self.factor ** _passed(self.milestones, step)


class Exponential(Schedule):
    """A fall in every step:  value * factor**t , as `ExponentialLR`.

    Args:
        value: number or tensor: the first value.
        factor: number or tensor.

    >>> [Exponential(0.5, 0.5).at(t) for t in range(3)]
    [0.5, 0.25, 0.125]
    """

    value: Any
    factor: Any

    def at(self, step: Any) -> Any:
        return self.value * self.factor**step


class Polynomial(Schedule):
    """From `value` to `last`:  last + (value - last) * (1 - min(t, steps) / steps)**power , as `PolynomialLR`.

    Args:
        value, last: numbers or tensors.
        power: number or tensor, > 0.
        steps: steps after which `last` is reached, >= 1.

    >>> [Polynomial(1.0, 0.0, 2.0, steps=2).at(t) for t in range(4)]
    [1.0, 0.25, 0.0, 0.0]
    """

    value: Any
    last: Any = 0.0
    power: Any = 1.0
    steps: int = static()

    def __post_init__(self) -> None:
        _count(self, "steps", self.steps)

    def at(self, step: Any) -> Any:
        return self.last + (self.value - self.last) * (1 - _share(step, self.steps)) ** self.power


class Linear(Schedule):
    """A straight line:  value + (last - value) * min(t, steps) / steps , as `LinearLR`.

    Args:
        value, last: numbers or tensors.
        steps: steps after which `last` is reached, >= 1.

    >>> [Linear(0.0, 1.0, steps=2).at(t) for t in range(4)]
    [0.0, 0.5, 1.0, 1.0]
    """

    value: Any
    last: Any
    steps: int = static()

    def __post_init__(self) -> None:
        _count(self, "steps", self.steps)

    def at(self, step: Any) -> Any:
        return self.value + (self.last - self.value) * _share(step, self.steps)


class WarmUp(Schedule):
    """A rise before all else:  schedule(t) * (first + (1 - first) * min(t, steps) / steps) .

    As `LinearLR(start_factor=first, total_iters=steps)` chained with another (Goyal et al., 2017).

    Args:
        schedule: number, tensor or schedule.
        first: number or tensor: the first factor.
        steps: steps after which the factor is 1, >= 1.

    >>> [WarmUp(0.5, steps=2).at(t) for t in range(4)]
    [0.0, 0.25, 0.5, 0.5]
    """

    schedule: Any
    first: Any = 0.0
    steps: int = static()

    def __post_init__(self) -> None:
        _count(self, "steps", self.steps)

    def at(self, step: Any) -> Any:
        return value_at(self.schedule, step) * (self.first + (1 - self.first) * _share(step, self.steps))


class Cosine(Schedule):
    """Half a cosine with warm restarts (Loshchilov and Hutter, 2017), as `CosineAnnealingWarmRestarts`.

    last + (value - last) * (1 + cos(pi * s / p)) / 2 , s steps after the newest restart in a period of p steps.

    Args:
        value, last: numbers or tensors: where each period begins, and what it falls to.
        period: steps in the first period, >= 1.
        growth: factor by which every period is longer than the one before, >= 1.

    >>> [round(float(Cosine(1.0, period=2).at(t)), 4) for t in range(4)]
    [1.0, 0.5, 1.0, 0.5]
    """

    value: Any
    last: Any = 0.0
    period: int = static()
    growth: int = static(default=1)

    def __post_init__(self) -> None:
        _count(self, "period", self.period)
        _count(self, "growth", self.growth)

    def at(self, step: Any) -> Any:
        if self.growth == 1:
            share = step % self.period / self.period
        else:
            # Every restart that a whole number of steps can reach.
            starts = [0]
            while starts[-1] < 2**52:
                starts.append(starts[-1] + self.period * self.growth ** (len(starts) - 1))
            number = _passed(tuple(starts), step) - 1
            begin = starts[number] if isinstance(number, int) else tensor(starts)[number]
            share = (step - begin) / (self.period * self.growth**number)
        return _fall(self.value, self.last, share)


class OneCycle(Schedule):
    """A rise and a long fall (Smith and Topin, 2019), as `OneCycleLR` with its cosines.

    By half a cosine from `first` to `value` in the share `rise` of the steps, then from `value` to `last`.

    Args:
        value: number or tensor: the largest.
        first: number or tensor: the first value; by default value / 25.
        last: number or tensor: the last value; by default value / 250,000.
        steps: steps in the cycle, >= 2; later the value stays at `last`.
        rise: share of the steps before `value` is reached, in (0, 1).

    >>> [round(float(OneCycle(1.0, 0.0, 0.0, steps=5, rise=0.6).at(t)), 4) for t in range(5)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    value: Any
    first: Any = None
    last: Any = None
    steps: int = static()
    rise: float = static(default=0.3)

    def __post_init__(self) -> None:
        _count(self, "steps", self.steps, 2)
        if not 0 < self.rise < 1 or self.rise * self.steps <= 1:
            raise ArgumentError(
                f"OneCycle: rise is {self.rise!r}, expected a share between 0 and 1 of more than one of the "
                f"{self.steps} steps."
            )

    def at(self, step: Any) -> Any:
        first = self.value / 25 if self.first is None else self.first
        last = self.value / 250_000 if self.last is None else self.last
        top, end = self.rise * self.steps - 1, self.steps - 1
        rising = _fall(first, self.value, _share(step, top))
        falling = _fall(self.value, last, _share(maximum(as_tensor(step - top), 0.0), end - top))
        return where(as_tensor(step) <= top, rising, falling)


class Chain(Schedule):
    """One schedule after the other, as `SequentialLR`: each counts its steps from its own beginning.

    Args:
        schedules: numbers, tensors or schedules.
        milestones: the rising steps in which the second and each later one begins.

    >>> both = Chain((Linear(0.0, 0.5, steps=2), Exponential(0.5, 0.5)), milestones=(2,))
    >>> [both.at(t) for t in range(5)]
    [0.0, 0.25, 0.5, 0.25, 0.125]
    """

    schedules: tuple[Any, ...]
    milestones: tuple[int, ...] = static()

    def __post_init__(self) -> None:
        milestones = _rising(self, "milestones", self.milestones)
        if len(self.schedules) != len(milestones) + 1:
            raise ArgumentError(
                f"Chain: {len(self.schedules)} schedules and {len(milestones)} milestones, expected one milestone for "
                "every schedule but the first."
            )
        object.__setattr__(self, "schedules", tuple(self.schedules))
        object.__setattr__(self, "milestones", milestones)

    def at(self, step: Any) -> Any:
        begins = (0, *self.milestones)
        if isinstance(step, int):
            number = _passed(self.milestones, step)
            return value_at(self.schedules[number], step - begins[number])
        value = None
        for i, (schedule, begin) in enumerate(zip(self.schedules, begins, strict=True)):
            # Each within its own steps: a table has no value elsewhere.
            own = maximum(step - begin, 0)
            if i < len(self.milestones):
                own = minimum(own, self.milestones[i] - begin - 1)
            here = value_at(schedule, own)
            value = here if value is None else where(step >= begin, here, value)
        return value


def _share(step: Any, steps: Any) -> Any:
    """min(t, steps) / steps ."""
    return (minimum(step, steps) if isinstance(step, Tensor) else min(step, steps)) / steps


def _fall(value: Any, last: Any, share: Any) -> Any:
    """Half a cosine from `value` to `last`."""
    return last + (value - last) * (1 + cos(as_tensor(math.pi * share))) / 2


def _passed(milestones: tuple[int, ...], step: Any) -> Any:
    """How many milestones are at or before a step."""
    if isinstance(step, int):
        return bisect.bisect_right(milestones, step)
    return sum(where(step >= milestone, 1, 0) for milestone in milestones)


def _count(schedule: Schedule, name: str, value: Any, least: int = 1) -> None:
    if not isinstance(value, int) or value < least:
        raise ArgumentError(
            f"{type(schedule).__name__}: {name} is {value!r}, expected a whole number of at least {least}."
        )


def _rising(schedule: Schedule, name: str, values: Any) -> tuple[int, ...]:
    values = tuple(values)
    if any(not isinstance(v, int) or v < 0 for v in values) or list(values) != sorted(set(values)):
        raise ArgumentError(
            f"{type(schedule).__name__}: {name} are {values}, expected rising whole numbers of at least 0."
        )
    return values
