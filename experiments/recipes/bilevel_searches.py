"""How the baselines of the recipe `bilevel` train: at a point of a search, or on other examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import hograd as ho
from experiments.components.baselines import Point, trained_on
from experiments.components.data import Part
from experiments.components.learn import hyperparameter
from experiments.components.training import Training, correct, square
from experiments.errors import Refused
from experiments.recipes.bilevel_problem import Parts
from optim.hyper import Bilevel, train
from optim.minimizer import Minimizer


class Trained(NamedTuple):
    """One training: what it is ranked by, smaller is better; its validation loss; its parameters."""

    rank: float
    loss: float
    params: Any


def searching(parts: Parts, names: Sequence[str]) -> Callable[[Point, int], Trained]:
    """Training with constant values for the hyperparameters of these names; the others stay where learning begins."""
    # One value for the whole run, whatever learning has.
    constant = {
        name: hyperparameter(name.partition(".")[2]) if name.startswith("optimizer.") else parts.variables[name]
        for name in names
    }
    begun = {name: value for name, value in parts.values(parts.begin()).items() if name not in names}
    dtype = ho.tree.leaves(parts.training.params)[0].dtype

    def run(point: Any, rows: Any) -> Any:
        training = parts.trained_with(begun)
        for name, variable in constant.items():
            like = variable.start(parts.training)
            training = variable.apply(training, ho.tree.map(lambda leaf, v=point[name]: v + 0 * leaf, like))
        params = _unrolled(training, rows)
        return training.outside(params, parts.split.validation), params

    compiled = ho.compile(run, backend=parts.recipe.compile or "numpy")

    def at(point: Point, number: int) -> Trained:
        values = {name: ho.tensor(value, dtype=dtype) for name, value in point.items()}
        with np.errstate(all="ignore"):
            loss, params = compiled(values, parts.batches())
        return Trained(loss.item(), loss.item(), params)

    return at


def on_examples(parts: Parts, baseline: trained_on) -> Callable[[Point, int], Trained]:
    """Training without what is learned, on other examples; ranked by the share of wrong answers on unseen ones."""
    split = parts.split
    given, facts = split.train, split.facts
    if baseline.examples in ("corrected", "right") and "wrong" not in facts:
        raise Refused("baselines", f"trained_on.examples is {baseline.examples}, but data.wrong_labels is 0")
    used = {
        "given": lambda: given,
        "validation": lambda: split.validation,
        "corrected": lambda: Part(given.x, facts["right_labels"]),
        "right": lambda: given.take(np.flatnonzero(~facts["wrong"])),
    }[baseline.examples]()
    seen, unseen = used, split.validation if baseline.examples != "validation" else given
    if baseline.beside_validation:
        halves = np.array_split(np.arange(len(split.validation.x)), 2)
        half, unseen = (split.validation.take(rows) for rows in halves)
        seen = used.beside(half)

    def at(point: Point, number: int) -> Trained:
        last = number == len(baseline.l2)
        part = used.beside(split.validation) if last and baseline.beside_validation else seen
        training = on(parts.training, part, penalties=(square(point["l2"]),))
        params = solved(parts, training)
        loss = training.outside(params, split.validation).item()
        share = correct(training, params, unseen, split)
        rank = loss if share is None else 1 - share
        # The last training, with the best strength, is the one that counts.
        return Trained(-1.0 if last else rank, loss, params)

    return at


def weighted_beside_validation(parts: Parts, values: Mapping[str, Any]) -> dict[str, float]:
    """The test accuracy of training with learned weights of examples, and on the validation examples with the largest.

    The validation examples have shaped the weights, so no half of them can choose an L2 strength: the penalty stays
    that of the inner problem, to whose sum over the examples theirs are added.
    """
    if "example_weights" not in values or "wrong" not in parts.split.facts:
        return {}
    split, weights = parts.split, values["example_weights"].numpy()
    count, added = len(weights), len(split.validation.x)
    scaled = np.concatenate([weights / (weights.max() or 1.0), np.ones(added, weights.dtype)])
    strength = parts.recipe.inner.l2 * count / (count + added)
    training = on(parts.training, split.train.beside(split.validation), penalties=(square(strength),))
    params = solved(parts, training.replace(weights=ho.tensor(scaled)))
    share = correct(training, params, split.test, split)
    return {} if share is None else {"test_accuracy_with_validation": share}


def on(training: Training, part: Part, **changes: Any) -> Training:
    """The same training on other examples."""
    return training.replace(x=ho.tensor(part.x), y=ho.tensor(part.y), **changes)


def solved(parts: Parts, training: Training) -> Any:
    """The parameters at the end: of the minimizer that the estimator has, or of the optimizer."""
    solver = parts.recipe.outer.method.options.get("solve")
    if solver is not None:
        minimizer: Minimizer = solver.build()
        return minimizer.minimize(training.objective, training.params).params
    rows = dataclasses.replace(parts, training=training).batches()
    return _unrolled(training, rows)


def _unrolled(training: Training, rows: Any) -> Any:
    problem = Bilevel(
        lambda params, _, *batch: training.objective(params, *batch),
        lambda params, _: training.objective(params),
        init=training.params,
        optimizer=training.optimizer,
        batches=None if rows is None else lambda number: rows[number],
    )
    return train(problem, {}, training.steps)[0]
