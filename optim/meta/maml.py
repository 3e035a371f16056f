"""MAML: a few steps of any optimizer on a task, differentiable to the order that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hograd import Tensor, func, no_grad, tree
from hograd.errors import ArgumentError
from optim.base import Optimizer
from optim.parameters import floating


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
    if order not in (1, 2):
        raise ArgumentError(f"adapt: order is {order!r}, expected 1 (gradients as constants) or 2 (exact).")
    if not isinstance(steps, int) or steps < 0:
        raise ArgumentError(f"adapt: steps is {steps!r}, expected a whole number of at least 0.")
    params = floating("params", params)
    gradient = func.grad_and_value(loss)
    state = inner.init(params)
    for _ in range(steps):
        if order == 2:
            grads, value = gradient(params, task)
        else:
            with no_grad():
                grads, value = tree.detach(gradient(tree.detach(params), task))
        params, state = inner.step(params, grads, state, value)
    return params
