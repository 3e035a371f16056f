"""What the recipe `bilevel` makes of a config and a seed: data, training, outer variables, and the bilevel problem."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import hograd as ho
from experiments.components.data import Split
from experiments.components.learn import Learned, project
from experiments.components.training import Training, correct, rows_of, square
from experiments.errors import Refused
from hograd.errors import HogradError
from optim.constraints import constrain, unconstrain
from optim.hyper import Bilevel

if TYPE_CHECKING:
    from experiments.recipes.bilevel import bilevel


@dataclasses.dataclass(frozen=True)
class Parts:
    """One seed's data, training and outer variables."""

    recipe: bilevel
    seed: int
    split: Split
    training: Training
    variables: Mapping[str, Learned]

    def begin(self) -> dict[str, Any]:
        """The first free values of the outer variables."""
        free = {}
        for name, variable in self.variables.items():
            value = variable.start(self.training)
            free[name] = self._unconstrained(name, variable, value) if variable.keep == "map" else value
        return self.projected(free)

    @staticmethod
    def _unconstrained(name: str, variable: Learned, value: Any) -> Any:
        try:
            return unconstrain(variable.within, value)
        except HogradError as error:
            raise Refused(f"learn[{name}]", f"its first value is outside of its range: {error}") from None

    def values(self, free: Mapping[str, Any]) -> dict[str, Any]:
        """The values that free ones stand for."""
        return {
            name: constrain(variable.within, free[name]) if variable.keep == "map" else free[name]
            for name, variable in self.variables.items()
        }

    def projected(self, free: Mapping[str, Any]) -> dict[str, Any]:
        """Values that are kept in their range by projection, back in it."""

        def back(variable: Learned, value: Any) -> Any:
            nearest = getattr(variable, "project", None) or (lambda leaf: project(variable.within, leaf))
            return ho.tree.map(nearest, value)

        return {
            name: back(variable, free[name]) if variable.keep == "projection" else free[name]
            for name, variable in self.variables.items()
        }

    def trained_with(self, values: Mapping[str, Any]) -> Training:
        """Inner training with these values of the outer variables."""
        training = self.training
        for name, variable in self.variables.items():
            if name in values:
                training = variable.apply(training, values[name])
        return training

    def problem(self, params: Any, batches: Any) -> Bilevel:
        """The bilevel problem in the free values, with training from these parameters."""
        learns_init = "init" in self.variables

        def inner_loss(params: Any, free: Any, *batch: Any) -> ho.Tensor:
            return self.trained_with(self.values(free)).objective(params, *batch)

        def outer_loss(params: Any, free: Any) -> ho.Tensor:
            return self.trained_with(self.values(free)).outside(params, self.split.validation)

        return Bilevel(
            inner_loss,
            outer_loss,
            init=(lambda free: self.trained_with(self.values(free)).params) if learns_init else params,
            optimizer=lambda free: self.trained_with(self.values(free)).optimizer,
            batches=None if batches is None else lambda number: batches[number],
        )

    def batches(self) -> ho.Tensor | None:
        """The rows of every inner step, shape (steps, batch); None where all examples are in each."""
        training = self.trained_with(self.values(self.begin()))
        if training.batch is None:
            return None
        count = int(training.x.shape[0])
        return ho.tensor(np.stack([rows_of(step, count, training.batch, self.seed) for step in range(training.steps)]))

    def method(self) -> Any:
        """The estimator, with the number of inner steps where it takes one."""
        choice = self.recipe.outer.method
        if choice.options.get("solve") is not None:
            return choice.build()
        return choice.build(steps=self.training.steps)

    def summary(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Numbers that tell of values: themselves, or the mean of many."""
        told = {}
        for name, value in values.items():
            leaves = ho.tree.leaves(value)
            if sum(leaf.numel() for leaf in leaves) == 1:
                told[name] = leaves[0].item()
            else:
                told[f"mean_{name}"] = float(np.mean(np.concatenate([leaf.numpy().ravel() for leaf in leaves])))
        if "example_weights" in values and "wrong" in self.split.facts:
            told["f1"] = f1(values["example_weights"].numpy(), self.split.facts["wrong"])
        return told

    def judged(self, values: Mapping[str, Any], params: Any) -> dict[str, Any]:
        """How parameters do on validation and test examples."""
        training, told = self.trained_with(values), {}
        for name in ("validation", "test"):
            part = getattr(self.split, name)
            if len(part.x):
                if name == "test":
                    told["test_loss"] = training.outside(params, part).item()
                share = correct(training, params, part, self.split)
                if share is not None:
                    told[f"{name}_accuracy"] = share
        if "example_weights" in values and "wrong" in self.split.facts:
            told["f1"] = f1(values["example_weights"].numpy(), self.split.facts["wrong"])
        return told

    def blame(self, free: Mapping[str, Any]) -> str:
        """The outer variable that is not finite, or without whose value the loss would be, with its largest value."""
        values = self.values(free)
        for name, value in values.items():
            if not all(bool(leaf.isfinite().all()) for leaf in ho.tree.leaves(value)):
                return f"{name}, which is not finite"
        largest = {
            name: max(float(leaf.abs().max()) for leaf in ho.tree.leaves(value)) for name, value in values.items()
        }
        worst = next((name for name in largest if name.endswith("lr")), max(largest, key=lambda name: largest[name]))
        return f"{worst} = {largest[worst]:.4g}"

    def memory(self) -> int:
        """A forecast of the bytes that learning needs."""
        leaves = ho.tree.leaves(self.training.params)
        params = sum(leaf.numel() * leaf.dtype.itemsize for leaf in leaves)
        data = sum(
            array.nbytes for part in (self.split.train, self.split.validation, self.split.test) for array in part
        )
        method = self.recipe.outer.method
        steps = self.training.steps
        kept = {"none": steps, "sqrt": 2 * int(steps**0.5) + 1, "binomial": 20}
        checkpoint = method.options.get("checkpoint", "none")
        states = kept.get(checkpoint, steps) if method.name == "Reverse" else method.options.get("last", 4)
        values = [variable.start(self.training) for variable in self.variables.values()]
        outer = sum(leaf.numel() * leaf.dtype.itemsize for leaf in ho.tree.leaves(values))
        rows = 8 * steps * (self.training.batch or 0)
        return 4 * data + 3 * params * (states + 4) + 6 * outer + rows


def f1(weights: np.ndarray, wrong: np.ndarray, threshold: float = 0.5) -> float:
    """Harmonic mean of the shares of found labels that are wrong and of wrong labels that are found."""
    found = weights < threshold
    return 2 * float(np.sum(found & wrong)) / max(float(np.sum(found) + np.sum(wrong)), 1.0)


def made(recipe: bilevel, seed: int) -> Parts:
    """The parts of one seed."""
    split = recipe.data.build(seed)
    net = recipe.model.build(split.shape, split.outputs)
    dtype = split.train.x.dtype
    params = ho.tree.map(lambda leaf: leaf.astype(dtype), net.init(seed))
    x, y = ho.tensor(split.train.x), ho.tensor(split.train.y)
    inner = recipe.inner
    if inner.batch is not None and inner.batch > len(split.train.x):
        raise Refused("inner.batch", f"found {inner.batch}, and there are {len(split.train.x)} training examples")
    flat = len(split.shape) > 1 and recipe.model.name in ("linear", "mlp", "mixed_mlp")
    training = Training(
        net=net,
        apply=(lambda params, x: net.apply(params, x.reshape(x.shape[0], -1))) if flat else net.apply,
        params=params,
        optimizer=inner.optimizer.build(),
        loss=inner.loss.build(),
        x=x,
        y=y,
        steps=inner.steps,
        batch=inner.batch,
        penalties=(square(inner.l2),) if inner.l2 else (),
    )
    variables = {name: choice.build() for name, choice in recipe.learn.items()}
    parts = Parts(recipe, seed, split, training, variables)
    parts.begin()
    return parts
