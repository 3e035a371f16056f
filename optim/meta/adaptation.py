"""Adaptation to one task: a few steps of any optimizer, differentiable to the order that is asked for."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from hograd import Tensor, func, no_grad, tree
from hograd.errors import ArgumentError
from optim.base import Optimizer
from optim.parameters import floating

T = TypeVar("T")


def adapt(
    loss: Callable[[Any, Any], Tensor],
    params: Any,
    task: Any,
    *,
    inner: Optimizer,
    steps: int = 1,
    order: int = 2,
) -> Any:
    """The parameters after a few steps on one task (Finn et al., 2017).

    w_0 = params ,  w_{k+1} = step of `inner` on the gradient of loss(w_k, task).

    Args:
        loss: function (params, task) with a scalar answer, shape ().
        params: tree of floating tensors: the meta-learned initialisation.
        task: what `loss` takes, any tree.
        inner: the inner optimizer; its hyperparameters may be learned too.
        steps: number of steps, >= 0.
        order: 2 differentiates through the gradients; 1 takes them as constants (FOMAML), and records nothing of them.

    Returns:
        A tree like `params`. `func.vmap` maps it over tasks; the user takes the gradient of what follows.

    Raises:
        DtypeError: a leaf of `params` is no floating tensor or number; the message names it.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> loss = lambda w, task: ((w - task) ** 2).sum()
    >>> tasks = ho.tensor([[1.0], [3.0]])
    >>> w = ho.zeros(1)
    >>> ho.func.vmap(lambda task: adapt(loss, w, task, inner=SGD(lr=0.25)))(tasks)
    tensor([[0.5000],
            [1.5000]])
    """
    expect_order("adapt: order", order)
    expect_steps("adapt: steps", steps)

    def told(params: Any, carried: Any, number: int) -> Any:
        return loss(params, task), carried

    return last(path(told, floating("params", params), None, inner=inner, steps=steps, order=order))[0]


def path(
    loss: Callable[[Any, Any, int], tuple[Tensor, Any]],
    params: Any,
    carried: Any,
    *,
    inner: Optimizer,
    steps: int,
    order: int | Tensor = 2,
) -> Iterator[tuple[Any, Any]]:
    """The parameters before the first step and after each, with what the loss carries from step to step.

    Args:
        loss: function (params, carried, number of the step) that returns a scalar and the next `carried`, such as
            running statistics, which has no derivative.
        params: tree of floating tensors.
        carried: any tree.
        inner: the inner optimizer.
        steps: how many.
        order: as for `adapt`, or a tensor, the share of the gradients' own derivatives: 0 is first, 1 second order.
    """
    gradient = func.grad_and_value(loss, has_aux=True)
    state = inner.init(params)
    yield params, carried
    for number in range(steps):
        if isinstance(order, Tensor):
            grads, (value, carried) = gradient(params, carried, number)
            grads = tree.map(lambda g: g.detach() + order * (g - g.detach()), grads)
        elif order == 2:
            grads, (value, carried) = gradient(params, carried, number)
        else:
            with no_grad():
                grads, (value, carried) = tree.detach(gradient(tree.detach(params), carried, number))
        params, state = inner.step(params, grads, state, value)
        yield params, carried


def last(items: Iterable[T]) -> T:
    """The last of one or more; those before are forgotten one by one, so that their memory is free."""
    return collections.deque(items, maxlen=1).pop()


def expect_order(name: str, order: Any) -> None:
    """Refuse an order that is neither 1 nor 2."""
    if order not in (1, 2):
        raise ArgumentError(f"{name} is {order!r}, expected 1 (gradients as constants) or 2 (exact).")


def expect_steps(name: str, steps: Any, least: int = 0) -> None:
    """Refuse what is no whole number from `least`."""
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < least:
        raise ArgumentError(f"{name} is {steps!r}, expected a whole number of at least {least}.")
