"""Hyperparameters that change from step to step."""

from __future__ import annotations

import dataclasses
from typing import Any

from hograd import Tensor, as_tensor, tree
from hograd.errors import ArgumentError, ShapeError


class Schedule:
    """A hyperparameter with a value for every step; a tree whose leaves are what it can learn."""

    def at(self, step: Any) -> Any:
        """The value in step number `step`, counted from 0."""
        raise NotImplementedError(f"{type(self).__name__} does not define at().")


@dataclasses.dataclass(frozen=True, eq=False)
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


def _rebuild(_: Any, children: Any) -> PerStep:
    schedule = object.__new__(PerStep)
    object.__setattr__(schedule, "values", children[0])
    return schedule


tree.register(PerStep, lambda schedule: ((schedule.values,), None, ("values",)), _rebuild)
