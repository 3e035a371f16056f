"""Outer variables as components: what is learned by hypergradients, and what it changes in inner training.

Each has a first value, a range that it is kept in, and the inner training that a value makes of another one. The range
is kept by a smooth map from all numbers (`keep: map`), or by going to the nearest point of it after each outer step
(`keep: projection`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np

import hograd as ho
from experiments.components.registry import ConstraintChoice, register
from experiments.components.training import Training, matrices
from experiments.components.types import Count, Natural, Positive, UpToOne
from experiments.errors import Refused
from optim import constraints
from optim.base import fields
from optim.constraints import Constraint
from optim.schedules import PerStep

Keep = Literal["map", "projection"]


class Learned(Protocol):
    """One outer variable."""

    @property
    def steers(self) -> bool:
        """Whether it only steers inner training: its derivative at a converged solution is 0."""
        ...

    @property
    def within(self) -> Constraint:
        """The range that it is kept in."""
        ...

    @property
    def keep(self) -> Keep:
        """How it is kept there."""
        ...

    def start(self, training: Training) -> Any:
        """The first value: a tensor, or a tree of them."""
        ...

    def apply(self, training: Training, value: Any) -> Training:
        """Inner training with this value."""
        ...


@dataclasses.dataclass(frozen=True)
class Variable:
    """An outer variable made of functions."""

    begin: Callable[[Training], Any]
    change: Callable[[Training, Any], Training]
    within: Constraint
    keep: Keep = "map"
    steers: bool = False

    def start(self, training: Training) -> Any:
        """The first value."""
        return self.begin(training)

    def apply(self, training: Training, value: Any) -> Training:
        """Inner training with this value."""
        return self.change(training, value)


def range_of(within: Any, otherwise: Constraint) -> Constraint:
    """The constraint that a config chose, which is made with its owner, or another one."""
    return otherwise if within is None else within


def project(constraint: Constraint, value: ho.Tensor) -> ho.Tensor:
    """The nearest point of a constraint's range."""
    if hasattr(constraint, "project"):
        return constraint.project(value)  # type: ignore[attr-defined]
    if isinstance(constraint, constraints.Interval):
        return ho.clamp(value, constraint.low, constraint.high)
    if isinstance(constraint, constraints.UnitInterval):
        return ho.clamp(value, 0.0, 1.0)
    if isinstance(constraint, constraints.Positive):
        return ho.clamp(value, min=1e-8)
    return value


#: Ranges of optimizers' hyperparameters by name; all others are positive.
RANGES: dict[str, Constraint] = {
    "momentum": constraints.UnitInterval(),
    "dampening": constraints.UnitInterval(),
    "betas": constraints.UnitInterval(),
    "rho": constraints.UnitInterval(),
    "alpha": constraints.UnitInterval(),
}


@register("learn", "optimizer.*")
def hyperparameter(
    name: str, /, *, per: Literal["run", "step", "parameter", "element"] = "run", within: ConstraintChoice | None = None
) -> Learned:
    """A hyperparameter of the inner optimizer, such as optimizer.lr; it begins at the value that the optimizer has.

    Args:
        per: one value for the whole run, one for each step, for each parameter tensor, or for each of their elements.
        within: its range; by default positive, and between 0 and 1 for momenta.
    """
    first = name.partition(".")[0]

    def begin(training: Training) -> Any:
        optimizer = training.optimizer
        if first not in fields(optimizer):
            raise Refused(
                f"learn[optimizer.{name}]",
                f"{type(optimizer).__name__} has no such hyperparameter; it has {', '.join(fields(optimizer))}",
            )
        value = getattr(optimizer, first)
        if not all(isinstance(leaf, float) for leaf in ho.tree.leaves(value)):
            raise Refused(f"learn[optimizer.{name}]", "its first value is a schedule; give a number to begin at")
        dtype = ho.tree.leaves(training.params)[0].dtype
        if per == "step":
            return ho.tree.map(lambda number: ho.full((training.steps,), number, dtype=dtype), value)
        if per == "run":
            return ho.tree.map(lambda number: ho.tensor(number, dtype=dtype), value)
        if isinstance(value, tuple):
            raise Refused(f"learn[optimizer.{name}].per", f"{first} is several numbers; learn it per run or per step")
        shape = (lambda p: p.shape) if per == "element" else (lambda p: ())
        return ho.tree.map(lambda p: ho.full(shape(p), value, dtype=dtype), training.params)

    def change(training: Training, value: Any) -> Training:
        made = ho.tree.map(PerStep, value) if per == "step" else value
        return training.replace(optimizer=training.optimizer.replace(**{first: made}))

    return Variable(begin, change, range_of(within, RANGES.get(first, constraints.Positive())), steers=True)


@register("learn")
def penalty(
    *,
    per: Literal["run", "layer", "feature", "weight"] = "run",
    start: Positive = 1e-3,
    within: ConstraintChoice | None = None,
    keep: Keep = "map",
) -> Learned:
    """The strength of an L2 penalty: half the sum of strength * weight**2 is added to the inner loss.

    Args:
        per: one strength for all weights, one for each layer, for each input feature of the first layer (the others
            then have none), or for each weight. Biases have none.
        start: its first value.
        within: its range; by default positive.
        keep: how it is kept there.
    """

    def begin(training: Training) -> Any:
        weights = matrices(training.params, training.net)
        dtype = weights[0].dtype
        if per == "run":
            return ho.tensor(start, dtype=dtype)
        if per == "layer":
            return ho.full((len(weights),), start, dtype=dtype)
        if per == "feature":
            return ho.full((weights[0].shape[1],), start, dtype=dtype)
        return [ho.full(weight.shape, start, dtype=dtype) for weight in weights]

    def change(training: Training, value: Any) -> Training:
        def added(params: Any) -> ho.Tensor:
            weights = matrices(params, training.net)
            if per == "feature":
                return 0.5 * (value * (weights[0] ** 2).transpose(0, 1).flatten(1).sum(1)).sum()
            total = ho.as_tensor(0.0)
            for index, weight in enumerate(weights):
                strength = value if per == "run" else value[index]
                total = total + 0.5 * (strength * weight**2).sum()
            return total

        return training.replace(penalties=(*training.penalties, added))

    return Variable(begin, change, range_of(within, constraints.Positive()), keep)


@register("learn")
def example_weights(*, start: UpToOne = 0.5, share: UpToOne | None = None, keep: Keep = "projection") -> Learned:
    """A weight for each training example, which finds wrong labels (Franceschi et al., 2017).

    Args:
        start: the first value of all weights.
        share: with a share, the sum of all weights is at most this share of their number, beside each being in [0, 1].
        keep: how they are kept there.
    """

    def begin(training: Training) -> Any:
        return ho.full((training.x.shape[0],), start, dtype=training.x.dtype)

    def change(training: Training, value: Any) -> Training:
        return training.replace(weights=value)

    return _Weights(begin, change, constraints.UnitInterval(), keep, share=share)


@dataclasses.dataclass(frozen=True)
class _Weights(Variable):
    """Weights whose sum may be bounded: how much, is known with their number."""

    share: float | None = None

    def project(self, value: ho.Tensor) -> ho.Tensor:
        if self.share is None:
            return ho.clamp(value, 0.0, 1.0)
        return constraints.CappedSimplex(self.share * value.numel(), at_most=True).project(value)


@register("learn")
def labels(*, trust: UpToOne = 0.9) -> Learned:
    """The probabilities of the classes of each training example.

    Args:
        trust: the probability that the given label begins with; the others share the rest.
    """

    def begin(training: Training) -> Any:
        if training.y.dtype.kind not in "iu":
            raise Refused("learn.labels", "the targets are values and not classes; they can be learned as inputs are")
        classes = int(training.apply(training.params, training.x[:1]).shape[-1])
        given = ho.nn.functional.one_hot(training.y, classes).astype(training.x.dtype)
        return given * trust + (1 - given) * ((1 - trust) / max(classes - 1, 1))

    return Variable(begin, lambda training, value: training.replace(y=value), constraints.Simplex())


@register("learn")
def inputs(*, per_class: Count = 1, start: Literal["noise", "examples"] = "noise", noise: Positive = 0.1) -> Learned:
    """The training examples themselves: dataset distillation (Wang et al., 2018).

    Inner training sees nothing else: as many examples of each class as are asked for.

    Args:
        per_class: how many of each class.
        start: whether they begin as noise, or as training examples of their class.
        noise: standard deviation of their first values, around the mean of all training examples.
    """

    def begin(training: Training) -> Any:
        classes = int(training.y.max()) + 1
        if start == "examples":
            given = training.y.numpy()
            rows = [np.flatnonzero(given == one)[:per_class] for one in range(classes)]
            few = next((one for one, found in enumerate(rows) if len(found) < per_class), None)
            if few is not None:
                raise Refused(
                    "learn.inputs.per_class", f"found {per_class}, and of class {few} there are {len(rows[few])}"
                )
            return training.x[ho.tensor(np.concatenate(rows))]
        random = np.random.default_rng(0)
        mean = training.x.mean(0).numpy()
        drawn = mean + noise * random.standard_normal((classes * per_class, *training.x.shape[1:]))
        return ho.tensor(drawn.astype(training.x.numpy().dtype))

    def change(training: Training, value: Any) -> Training:
        classes = ho.tensor(np.repeat(np.arange(value.shape[0] // per_class), per_class))
        return training.replace(x=value, y=classes, weights=None, batch=None)

    return Variable(begin, change, constraints.Free())


@register("learn")
def augmentation(*, start: Positive = 0.1, seed: Natural = 0) -> Learned:
    """The strength of noise that is added to the training inputs, one for each feature.

    Args:
        start: the first strength.
        seed: of the noise, which is the same in every training.
    """

    def begin(training: Training) -> Any:
        return ho.full(training.x.shape[1:], start, dtype=training.x.dtype)

    def change(training: Training, value: Any) -> Training:
        drawn = np.random.default_rng(seed).standard_normal(tuple(training.x.shape))
        return training.replace(x=training.x + value * ho.tensor(drawn.astype(training.x.numpy().dtype)))

    return Variable(begin, change, constraints.Positive())


@register("learn")
def init() -> Learned:
    """The first parameters of inner training."""
    return Variable(
        lambda training: training.params,
        lambda training, value: training.replace(params=value),
        constraints.Free(),
        steers=True,
    )


@register("learn")
def mixture() -> Learned:
    """How the activations of a `mixed` network are mixed: differentiable architecture search (Liu et al., 2019)."""

    def begin(training: Training) -> Any:
        sites = getattr(training.net, "mixed", None)
        if sites is None:
            raise Refused("learn.mixture", "the model has nothing to mix; choose model.name=mixed_mlp")
        layers, candidates = sites
        return ho.zeros(layers, candidates, dtype=training.x.dtype)

    def change(training: Training, value: Any) -> Training:
        return training.replace(apply=lambda params, x: training.net.apply(params, x, value))

    return Variable(begin, change, constraints.Free())
