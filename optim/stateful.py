"""Optimizers that keep parameters and state, for code written in the manner of PyTorch, higher or TorchOpt.

>>> import hograd as ho
>>> from optim import SGD
>>> w = ho.tensor([1.0, 2.0], requires_grad=True)
>>> opt = bind(SGD(lr=0.1), {"w": w})
>>> opt.zero_grad()
>>> (w**2).sum().backward()
>>> opt.step()
>>> w
tensor([0.8000, 1.6000], requires_grad=True)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hograd import Tensor, grad, no_grad, tree
from hograd.errors import ArgumentError
from optim.base import Optimizer
from optim.summary import summary

detach = tree.detach


class Snapshot(NamedTuple):
    """Parameters and state at one moment, with their graph where there is one."""

    params: Any
    state: Any

    __repr__ = summary


class Bound:
    """An optimizer with the parameters that it steps; `bind` makes one.

    Attributes:
        optimizer: the optimizer; another one may be put in its place.
        params: tree of the newest parameters.
        state: the optimizer's state.
        differentiable: whether steps are recorded.
    """

    def __init__(self, optimizer: Optimizer, params: Any, differentiable: bool) -> None:
        self.optimizer = optimizer
        self.params = params
        self.state = optimizer.init(params if differentiable else tree.detach(params))
        self.differentiable = differentiable

    def step(self, loss: Tensor | Callable[[], Tensor] | None = None) -> Tensor | None:
        """One update.

        Args:
            loss: the loss of `params`, shape (); or a function that computes it, which is called after `zero_grad`;
                or None to use what `backward` left in `.grad`. A parameter without a gradient stays as it is.

        Returns:
            The loss, where one was given.

        Raises:
            ArgumentError: no loss is given to a differentiable one, or no parameter has a gradient.
        """
        leaves, structure = tree.flatten(self.params)
        if loss is None and self.differentiable:
            raise ArgumentError("step: a differentiable optimizer needs the loss: call step(loss(params)).")
        if callable(loss) and not isinstance(loss, Tensor):
            self.zero_grad()
            loss = loss()
        if loss is None:
            gradients = [leaf.grad for leaf in leaves]
        else:
            gradients = list(grad(loss, leaves, create_graph=self.differentiable, allow_unused=True))
        if leaves and all(g is None for g in gradients):
            raise ArgumentError("step: no parameter has a gradient; call backward() on the loss, or step(loss).")
        grads = tree.unflatten(structure, gradients)
        if self.differentiable:
            self.params, self.state = self.optimizer.step(self.params, grads, self.state, loss)
            return loss
        value = None if loss is None else loss.detach()
        with no_grad():
            new, state = self.optimizer.step(tree.detach(self.params), tree.detach(grads), self.state, value)
            self._write(new)
        self.state = tree.detach(state)
        return loss

    def zero_grad(self) -> None:
        """Forget the gradients that `backward` left in the parameters."""
        for leaf in tree.leaves(self.params):
            leaf.grad = None

    def detach(self) -> None:
        """Take the newest parameters and state as constants from here on: what came before is cut from the graph.

        The parameters require gradients again, so that the next losses are differentiated with respect to them.
        """
        self.params = tree.map(lambda p: p.detach().requires_grad_(), self.params)
        self.state = tree.detach(self.state)

    def snapshot(self) -> Snapshot:
        """Parameters and state as they are now, for `restore`; of a differentiable one with their graph."""
        params = self.params if self.differentiable else tree.detach(self.params)
        return Snapshot(params, self.state)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot; it may be used again."""
        if self.differentiable:
            self.params = snapshot.params
        else:
            with no_grad():
                self._write(snapshot.params)
        self.state = snapshot.state

    def state_dict(self) -> dict[str, Any]:
        """The state and the hyperparameters, as constants: what `load_state_dict` takes, and `pickle` can keep."""
        return {"state": tree.detach(self.state), "optimizer": tree.detach(self.optimizer)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state and the hyperparameters of a `state_dict`.

        Raises:
            StructureError: it is of parameters or of an optimizer of another structure.
        """
        leaves = tree.match(self.state, state_dict["state"], ("the state", "state_dict['state']"))
        self.state = tree.unflatten(tree.structure(self.state), leaves)
        self.optimizer = state_dict["optimizer"]

    def _write(self, params: Any) -> None:
        for leaf, new in zip(tree.leaves(self.params), tree.match(self.params, params), strict=True):
            leaf[...] = new


def bind(optimizer: Optimizer, params: Any, differentiable: bool = False) -> Bound:
    """An optimizer with its parameters: `step` changes them, as in PyTorch, or replaces them by recorded ones.

    Args:
        optimizer: any optimizer.
        params: tree of tensors that require gradients.
        differentiable: False: `step` writes new values into the given tensors, outside any graph. True: `step(loss)`
            records the update and puts new tensors into `.params`, so that a later loss is differentiated through
            all steps, with respect to the first parameters and the hyperparameters.

    Raises:
        ArgumentError: a parameter requires no gradient.

    >>> import hograd as ho
    >>> from optim import SGD
    >>> lr = ho.tensor(0.1, requires_grad=True)
    >>> opt = bind(SGD(lr=lr), ho.tensor(1.0, requires_grad=True), differentiable=True)
    >>> for _ in range(2):
    ...     loss = opt.step(opt.params**2)
    >>> ho.grad(opt.params**2, lr)
    (tensor(-4.0960),)
    """
    for path, leaf in zip(tree.paths(params), tree.leaves(params), strict=True):
        if not isinstance(leaf, Tensor) or not leaf.requires_grad:
            raise ArgumentError(f"bind: params{path} requires no gradient; make it with requires_grad=True.")
    return Bound(optimizer, params, differentiable)
