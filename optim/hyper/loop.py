"""The outer loop: an optimizer follows the hypergradient."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from hograd import Tensor, tree, zeros
from hograd.errors import ConvergenceError, DtypeError
from optim.base import Optimizer
from optim.hyper.captured import Captured
from optim.hyper.divergence import sound
from optim.hyper.problem import Bilevel, Hypergradient, Method, expect_count, hypergradient
from optim.parameters import floating
from optim.summary import summary


@dataclasses.dataclass(frozen=True, repr=False)
class Solution:
    """What the outer loop found.

    Attributes:
        outer: the outer variables with the smallest outer loss.
        value: that loss, shape (), as a constant.
        info: what the method told there; `info.params` is the inner solution.
        history: the outer loss before every outer step, and after the last one.
        best: place of the smallest in `history`.
        stopped: why it ended: "steps", "patience" or "callback".
    """

    outer: Any
    value: Tensor
    info: Any
    history: list[float]
    best: int
    stopped: str

    __repr__ = summary


def bilevel(
    problem: Bilevel,
    outer: Any,
    optimizer: Optimizer,
    method: Method,
    steps: int = 100,
    *,
    project: Callable[[Any], Any] | None = None,
    warm_start: bool = False,
    patience: int | None = None,
    tolerance: float = 0.0,
    callback: Callable[[int, Any, Hypergradient], Any] | None = None,
    progress: bool = False,
    compile: str | None = None,
) -> Solution:
    """Minimise the outer loss over the outer variables.

    Args:
        problem: the bilevel problem.
        outer: where to begin: a tree of floating tensors or numbers.
        optimizer: steps the outer variables by their hypergradient.
        method: how that is computed, such as `Implicit(CG(), steps=100)`.
        steps: number of outer steps, >= 0; the loss after the last one is computed too.
        project: function of the outer variables that is applied after each step, such as a clamp.
        warm_start: begin the inner training where the last one ended, and the linear system of an implicit method at
            its last solution, instead of anew. For methods that need few inner steps from there; what only reverse or
            forward mode through all of training can see, such as the first parameters, is lost by it, and the losses
            are those of an inner training that may lag behind.
        patience: stop after so many outer steps without a smaller loss.
        tolerance: how much smaller the loss must be to count for `patience`.
        callback: function (number, outer, result) called with every hypergradient; a true answer stops the loop.
        progress: show a progress bar.
        compile: "numpy" or "native" captures the hypergradient once and replays it in every outer step, with the
            batches and warm starts of that step; see `hypergradient`.

    Returns:
        A `Solution`: the best outer variables that were seen, their loss, and its history.

    Raises:
        ConvergenceError: `hypergradient` raises one, in the outer step that the message names.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> from optim.hyper import Implicit
    >>> problem = Bilevel(
    ...     inner_loss=lambda w, a: (w - a) ** 2,
    ...     outer_loss=lambda w, a: (w - 3) ** 2,
    ...     init=ho.tensor(0.0),
    ...     optimizer=SGD(lr=0.25),
    ... )
    >>> found = bilevel(problem, ho.tensor(0.0), SGD(lr=0.25), Implicit(steps=50), steps=30)
    >>> found.outer, found.stopped
    (tensor(3.0000), 'steps')
    """
    expect_count("bilevel: steps", steps)
    if patience is not None:
        expect_count("bilevel: patience", patience, 1)
    if not isinstance(optimizer, Optimizer):
        raise DtypeError(
            f"bilevel: optimizer is {type(optimizer).__name__}, expected an Optimizer of the outer variables, such as "
            "Adam(lr=0.1)."
        )
    outer = floating("outer", outer)
    state = optimizer.init(outer)
    history: list[float] = []
    best_outer, best_value, best_info, best = outer, zeros(()), None, 0
    counted, stopped = math.inf, "steps"
    waited = 0
    evaluate = hypergradient if compile is None else partial(sound, Captured(problem, method, compile))
    with _bar(progress, steps + 1) as bar:
        for number in range(steps + 1):
            try:
                result = evaluate(problem, outer, method)
            except ConvergenceError as error:
                raise ConvergenceError(f"bilevel: in outer step {number}: {error}") from error
            value = float(result.value)
            history.append(value)
            if best_info is None or value < history[best]:
                best_outer, best_value = tree.detach((outer, result.value))
                best_info, best = result.info, number
            bar.update()
            bar.set_postfix_str(f"outer loss {value:.6g}", refresh=False)
            if callback is not None and callback(number, outer, result):
                stopped = "callback"
                break
            waited = 0 if value < counted - tolerance else waited + 1
            counted = value if not waited else counted
            if patience is not None and waited >= patience:
                stopped = "patience"
                break
            if number == steps:
                break
            outer, state = optimizer.step(outer, result.hypergrad, state)
            if project is not None:
                projected = floating("project(outer)", project(outer))
                leaves = tree.match(outer, projected, ("outer", "project(outer)"), caller="bilevel")
                outer = tree.unflatten(tree.structure(outer), leaves)
            if warm_start:
                problem = dataclasses.replace(problem, init=result.info.params)
                if hasattr(method, "warm_start") and result.info.warm_start is not None:
                    method = dataclasses.replace(method, warm_start=result.info.warm_start)  # type: ignore[type-var]
    return Solution(best_outer, best_value, best_info, history, best, stopped)


def _bar(shown: bool, total: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, disable=not shown, unit="step", desc="outer")
