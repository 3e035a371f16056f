"""Meta-training: steps of an outer optimizer along the mean loss of some tasks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import hograd as ho
from hograd import func, tree
from hograd.errors import ArgumentError, ConvergenceError, ConvergenceWarning
from optim.base import Optimizer
from optim.meta.adaptation import expect_steps
from optim.meta.base import STATISTICS, Algorithm, Task, tensors
from optim.meta.tasks.source import Tasks

AT_ONCE = 2**18
"""So many numbers of inputs are computed at once where nothing else is asked for: they and what is computed from them
stay in the caches of a processor then, while Python's own cost is already small beside them."""

MISSED = 0.1
"""From this share of its first gradient on, inner training that is meant to converge counts as not converged."""

Step = Callable[[Any, Any, Task], tuple[Any, Any, dict[str, ho.Tensor]]]


class Trained(NamedTuple):
    """What `train` returns: what was learned, and the numbers of each iteration."""

    learned: Any
    history: list[dict[str, float]]


def train(
    algorithm: Algorithm,
    tasks: Tasks,
    outer: Optimizer,
    iterations: int,
    tasks_per_iteration: int = 4,
    *,
    tasks_at_once: int | None = None,
    compile: str | None = None,
    seed: Any = 0,
    dtype: Any = None,
    learned: Any = None,
    callback: Callable[[int, Any, dict[str, float]], Any] | None = None,
) -> Trained:
    """Learn from tasks: each iteration is a step of `outer` along the mean gradient of the loss of the next few.

    Args:
        algorithm: MAML(...), PrototypicalNetwork(...), ...
        tasks: where they come from; iteration t takes tasks number t n to t n + n - 1.
        outer: the outer optimizer, such as Adam(lr=1e-3).
        iterations: how many steps it takes.
        tasks_per_iteration: n.
        tasks_at_once, compile: see `make_step`.
        seed, dtype: of the first values, as in `algorithm.init`.
        learned: where to go on instead.
        callback: called after each iteration with its number, what is learned, and the numbers.

    Returns:
        (learned, history): a tree, and for each iteration {"loss", and for classes "accuracy"}, the means over the
        tasks' query examples.

    Raises:
        ConvergenceError: a loss is not finite.

    >>> from hograd import nn
    >>> from optim import Adam, SGD
    >>> from optim.meta import MAML
    >>> from optim.meta.tasks import Sinusoids
    >>> algorithm = MAML(nn.mlp([1, 20, 1]), criterion=ho.mse, inner=SGD(lr=0.02), steps=1)
    >>> learned, history = train(algorithm, Sinusoids(), Adam(lr=0.01), iterations=60, tasks_per_iteration=10)
    >>> history[-1]["loss"] < history[0]["loss"]
    True
    """
    expect_steps("train: iterations", iterations)
    learned = algorithm.init(seed, dtype=dtype) if learned is None else learned
    step, state = make_step(algorithm, outer, tasks_at_once=tasks_at_once, compile=compile), start(outer, learned)
    history = []
    for iteration in range(iterations):
        batch = tasks.batch(iteration * tasks_per_iteration, tasks_per_iteration)
        learned, state, metrics = step(learned, state, batch)
        told = {name: value.item() for name, value in metrics.items()}
        if not math.isfinite(told["loss"]):
            raise ConvergenceError(
                f"train: the loss is {told['loss']} in iteration {iteration}: lower the learning rate of the outer "
                "optimizer, or that of inner steps."
            )
        history.append(told)
        if callback is not None:
            callback(iteration, learned, told)
    return Trained(learned, history)


def start(outer: Optimizer, learned: Any) -> Any:
    """The state of the outer optimizer before its first step."""
    # The number of the step is a tensor, so that one program serves all steps.
    return tree.map(ho.as_tensor, outer.init(_by_gradient(learned)))


def make_step(
    algorithm: Algorithm, outer: Optimizer, *, tasks_at_once: int | None = None, compile: str | None = None
) -> Step:
    """The function that takes one outer step: (learned, state, batch of tasks) -> (learned, state, metrics).

    It is pure. `start` makes the first state; a batch is a `Task` with an axis for the tasks in front, of arrays or
    tensors; metrics are means over the tasks. Running statistics become the mean of those after each task.

    Args:
        algorithm, outer: as in `train`.
        tasks_at_once: how many tasks `vmap` computes together; 1 takes one after another, and the gradient needs the
            memory of one. By default as many as have at most 2**18 numbers of inputs together, at least one.
        compile: None, or "numpy" or "native", the backend of a compiled function.

    >>> from hograd import nn
    >>> from optim import Adam
    >>> from optim.meta import MAML
    >>> from optim.meta.tasks import Blobs
    >>> algorithm, tasks, outer = MAML(nn.mlp([2, 8, 5])), Blobs(), Adam(lr=0.01)
    >>> step = make_step(algorithm, outer)
    >>> learned = algorithm.init(0)
    >>> learned, state, metrics = step(learned, start(outer, learned), tasks.batch(0, 4))
    >>> sorted(metrics)
    ['accuracy', 'loss']
    """
    if compile not in (None, "numpy", "native"):
        raise ArgumentError(f"make_step: compile is {compile!r}, expected None, 'numpy' or 'native'.")
    if tasks_at_once is not None:
        expect_steps("make_step: tasks_at_once", tasks_at_once, 1)

    def step(learned: Any, state: Any, batch: Task) -> tuple[Any, Any, dict[str, ho.Tensor]]:
        grads, told = gradient(algorithm, learned, batch, tasks_at_once)
        statistics = told.pop(STATISTICS, learned.get(STATISTICS))
        stepped, state = outer.step(_by_gradient(learned), _by_gradient(grads), state, told["loss"])
        return (stepped if statistics is None else {**stepped, STATISTICS: statistics}), state, told

    made = step if compile is None else ho.compile(step, backend=compile)

    def checked(learned: Any, state: Any, batch: Task) -> tuple[Any, Any, dict[str, ho.Tensor]]:
        learned, state, told = made(learned, state, tensors(batch))
        if "residual" in told and told["residual"].item() > MISSED:
            warnings.warn(
                f"{type(algorithm).__name__}: inner training has not converged: the mean residual is "
                f"{told['residual'].item():.2g} of that at its start, so the gradient is not that of the solution. "
                "Take more steps, a larger rate of inner, or a larger penalty.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return learned, state, told

    return checked


def gradient(
    algorithm: Algorithm, learned: Any, batch: Task, tasks_at_once: int | None = None
) -> tuple[Any, dict[str, Any]]:
    """The mean gradient over a batch of tasks, a tree like `learned`, and the mean of what the loss tells."""
    batch = tensors(batch)
    count = len(batch.query.x)
    size = chunk(batch, tasks_at_once)

    def mean_loss(learned: Any, part: Task) -> tuple[ho.Tensor, Any]:
        values, told = func.vmap(algorithm.loss, in_dims=(None, 0))(learned, part)
        return values.mean(), tree.map(lambda leaf: leaf.mean(0), told)

    slope = func.grad(mean_loss, has_aux=True)
    if size >= count:
        return slope(learned, batch)
    whole = count // size
    parts = tree.map(lambda leaf: leaf[: whole * size].reshape(whole, size, *leaf.shape[1:]), batch)
    found = [slope(learned, tree.map(lambda leaf: leaf[0], parts))]
    if whole > 1:
        # The rest as a loop: a program holds it once, and a part is forgotten before the next.
        def add(total: Any, part: Task) -> tuple[Any, None]:
            return tree.map(lambda a, b: a + b, total, slope(learned, part)), None

        found = [ho.scan(add, found[0], tree.map(lambda leaf: leaf[1:], parts))[0]]
    weights = [whole * size / count]
    sums = [tree.map(lambda leaf: leaf / whole, found[0])]
    if whole * size < count:
        sums.append(slope(learned, tree.map(lambda leaf: leaf[whole * size :], batch)))
        weights.append(1 - weights[0])
    return tree.map(lambda *leaves: sum(w * leaf for w, leaf in zip(weights, leaves, strict=True)), *sums)


def chunk(batch: Task, tasks_at_once: int | None) -> int:
    """How many tasks to compute together; the rule stands at `make_step`."""
    if tasks_at_once is not None:
        return tasks_at_once
    count, inputs = len(batch.query.x), batch.support.x.numel() + batch.query.x.numel()
    return max(1, min(count, AT_ONCE * count // max(inputs, 1)))


def _by_gradient(learned: Any) -> Any:
    """What the outer optimizer steps."""
    return {name: part for name, part in learned.items() if name != STATISTICS}
