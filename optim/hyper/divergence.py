"""What an inner training that diverges is told by: the step at which it began, and the setting to blame."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hograd import Tensor, as_tensor, func, tree
from hograd.core.levels import no_transforms
from hograd.core.tensor import Batched
from hograd.core.traced import Traced
from hograd.errors import ConvergenceError, HogradError


def sound(evaluate: Callable[..., Any], problem: Any, outer: Any, method: Any) -> Any:
    """The hypergradient that `evaluate` computes of the others, in which all numbers are finite; NumPy is silent."""
    steps = getattr(method, "steps", None)
    try:
        with np.errstate(all="ignore"):
            result = evaluate(problem, outer, method)
    except ConvergenceError as error:
        reason = divergence(problem, outer, steps)
        if reason is None or reason in str(error):
            raise
        raise ConvergenceError(f"{error} {reason}") from error
    found = {"inner_solution": result.info.params, "outer_loss": result.value, "hypergradient": result.hypergrad}
    expect_finite(problem, outer, steps, **found)
    return result


def expect_finite(problem: Any, outer: Any, steps: int | None, **found: Any) -> None:
    """Raise unless all numbers of some trees are finite; what is mapped or being compiled is not looked at.

    Raises:
        ConvergenceError: the message names what is not finite, the step at which it began, and the learning rate.
    """
    for name, values in found.items():
        for path, x in zip(tree.paths(values), tree.leaves(values), strict=True):
            array = _array(x)
            if array is not None and not np.isfinite(array).all():
                reason = divergence(problem, outer, steps) or (
                    "The inner training stays finite: look at the outer loss, or at what is differentiated, under "
                    "hograd.autograd.detect_anomaly()."
                )
                raise ConvergenceError(f"{name.replace('_', ' ')}{path} is not finite. {reason}")


def divergence(problem: Any, outer: Any, steps: int | None) -> str | None:
    """Where inner training diverges and why, as far as a further one tells; None if it does not."""
    if not steps:
        return None
    outer = tree.map(_constant, outer)
    try:
        with no_transforms(), np.errstate(all="ignore"):
            losses, lost = _replayed(problem, outer, steps)
            if lost is None and not (losses[-1] > losses[0] and losses[-1] > 1e3 * abs(min(losses))):
                return None
            rate = _rate(problem, outer)
    except HogradError:
        # It closes over what is being differentiated or mapped, and cannot be run as it is.
        return None
    # The loss falls up to here, if it falls at all.
    turn = min(range(len(losses)), key=lambda i: losses[i] if losses[i] == losses[i] else math.inf)
    end = (
        f"{lost} is not finite after step {len(losses) - 1}"
        if lost
        else f"the inner loss is {losses[-1]:.1e} after the last one"
    )
    return f"The inner training diverges: from step {turn} of {steps} on its loss grows, and {end}. Lower {rate}."


def _replayed(problem: Any, outer: Any, steps: int) -> tuple[list[float], str | None]:
    """The inner losses before each step, until one of the parameters is not finite, and which one that is."""
    params, optimizer = problem.start(outer)
    state = optimizer.init(params)
    losses = []
    for number in range(steps):
        batch = () if problem.batches is None else (problem.batches(number),)
        losses.append(float(problem.inner_loss(params, outer, *batch)))
        params, state = problem.step(params, outer, optimizer, state, number, batch)
        for path, x in zip(tree.paths(params), tree.leaves(params), strict=True):
            if not np.isfinite(x.numpy()).all():
                return losses, f"params{path}"
    return losses, None


def _rate(problem: Any, outer: Any) -> str:
    """The learning rate, by the outer variables that it comes from."""
    optimizer = problem.optimizer_of(outer)

    def rates(outer: Any) -> list[Any]:
        optimizer = problem.optimizer_of(outer)
        found = zip(tree.paths(optimizer), tree.leaves(optimizer), strict=True)
        return [as_tensor(x) for path, x in found if ".lr" in path]

    found = rates(outer)
    if not found:
        return "the rate of the inner optimizer"
    slopes = func.grad(lambda outer: sum(x.sum() for x in rates(outer)))(outer)
    pairs = zip(tree.paths(outer), tree.leaves(slopes), strict=True)
    names = [f"outer{path}" for path, slope in pairs if np.any(slope.numpy() != 0)]
    largest = max(float(x.max()) for x in found)
    which = " and ".join(names) if names else f"{type(optimizer).__name__}.lr"
    return f"the learning rate, which is {'up to ' * (len(found) > 1)}{largest:.4g} (by {which})"


def _array(x: Any) -> Any:
    """The array below all levels; None where it holds many values for one, or none yet."""
    while isinstance(x, Tensor):
        if isinstance(x, (Batched, Traced)):
            return None
        x = x.value
    return np.asarray(x) if isinstance(x, (np.ndarray, np.generic, float)) else None


def _constant(x: Any) -> Any:
    array = _array(x)
    return x if array is None else Tensor(array)
