"""What a meta-learning algorithm is, what a task is, and how networks are asked and judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from hograd import Tensor, as_tensor, nn, tree

STATISTICS = "statistics"
"""The entry of what is learned that comes from forward passes and not from gradients: running averages."""


class Examples(NamedTuple):
    """Inputs x, shape (n, ...), and targets y: classes, shape (n,), whole numbers, or values. Arrays or tensors."""

    x: Any
    y: Any


class Task(NamedTuple):
    """Examples to adapt to, and examples to judge by. Several tasks are one `Task` with a further axis in front."""

    support: Examples
    query: Examples


Predict = Callable[[Any], Tensor]
"""Function from inputs, shape (n, ...), to outputs: logits of classes, or values."""


class Algorithm(Protocol):
    """A way to learn from many tasks how to learn a new one; an immutable object that holds its options.

    `init`, `adapt` and `loss` are pure: they may be differentiated, mapped over tasks by `vmap`, and compiled.
    """

    @property
    def criterion(self) -> Any:
        """By what predictions are judged: a function (outputs, targets) with a scalar answer."""
        ...

    def init(self, seed: Any = None, *, dtype: Any = None) -> dict[str, Any]:
        """What is learned, at its first values: a dict with "params", the parameters of the network, and whatever
        else is learned. `seed` and `dtype` as for a network."""
        ...

    def adapt(self, learned: Any, support: Examples, steps: int | None = None) -> Predict:
        """The predictions of a learner that has seen these examples of a new task.

        `steps` is how many steps to take, where the algorithm takes any; by default as many as in training.
        """
        ...

    def loss(self, learned: Any, task: Task) -> tuple[Tensor, dict[str, Any]]:
        """What meta-training makes small, shape (), and {"loss", and for classes "accuracy"} on the task's query
        examples, and "statistics" where the network keeps running ones."""
        ...


class Network(Protocol):
    """What algorithms ask of a network: `hograd.nn.Layer` has it, as has any object of one's own with these two."""

    def init(self, seed: Any = None, *, dtype: Any = None) -> Any:
        """New parameters."""
        ...

    def apply(self, params: Any, x: Any, /) -> Any:
        """The outputs."""
        ...


def first(net: Network, seed: Any, dtype: Any) -> dict[str, Any]:
    """The parameters of a network, and its running statistics if it keeps any."""
    params = net.init(seed) if dtype is None else net.init(seed, dtype=dtype)
    statistics = net.init_state(dtype=dtype) if isinstance(net, nn.Layer) else {}
    return {"params": params, STATISTICS: statistics} if statistics else {"params": params}


def outputs(
    net: Any, params: Any, x: Any, statistics: Any = None, *, train: bool = False, step: int | None = None
) -> tuple[Tensor, Any]:
    """The outputs of a network, and its running statistics after them.

    Args:
        net, params, x: the network, its parameters and inputs.
        statistics: from `first`, or None where the network keeps none.
        train: normalise by the statistics of x, and count them in the running ones.
        step: the inner step, for what is "per_step"; steps beyond the last are like the last.
    """
    if not isinstance(net, nn.Layer):
        return net.apply(params, x), statistics
    if step is not None:
        step = min(step, (steps_of(net) or step + 1) - 1)
    if statistics and train:
        return net.apply_with_state(params, x, state=statistics, step=step)
    return net.apply(params, x, state=statistics, step=step), statistics


def steps_of(net: Any) -> int | None:
    """For how many inner steps a network has parameters or statistics of their own; None if it has no such."""
    if isinstance(net, nn.batch_norm):
        return net.steps
    found = [steps_of(child) for child in net.children().values()] if isinstance(net, nn.Layer) else []
    return max((steps for steps in found if steps is not None), default=None)


def judged(criterion: Callable[[Any, Any], Tensor], predicted: Tensor, y: Any) -> tuple[Tensor, dict[str, Any]]:
    """The loss of outputs, and {"loss", and for classes "accuracy"}."""
    y = as_tensor(y)
    value = criterion(predicted, y)
    told = {"loss": value}
    if y.dtype.kind in "iu":
        told["accuracy"] = (predicted.argmax(-1) == y).astype(predicted.dtype).mean()
    return value, told


def tensors(examples: Any) -> Any:
    """The same with arrays as tensors."""
    return tree.map(as_tensor, examples)
