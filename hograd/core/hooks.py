"""Hooks on tensors: functions that the backward pass calls with a gradient when it is known."""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from hograd.core.tape import Owner
from hograd.errors import GradientError, LevelError

_numbers = itertools.count()


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away, and so does the end of a `with` block.

    The handle does not keep the hook, nor the hook the handle.
    """

    def __init__(self, hooks: OrderedDict[int, Any]) -> None:
        self.hooks = weakref.ref(hooks)
        self.number = next(_numbers)

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        hooks = self.hooks()
        if hooks is not None:
            hooks.pop(self.number, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class Hooks:
    """`register_hook` and its kin. The node holds the hooks, and no tensor, so they make no cycle."""

    __slots__ = ()

    def request(self: Any, *, fills: bool) -> Owner:
        """This tensor's entry on its node."""
        owner = self.node.owner
        if owner is None:
            owner = self.node.owner = Owner(self)
            owner.fills = fills
        elif fills and (owner() is not self or not owner.fills):
            # In-place syntax may have made another tensor object the one of this node.
            hooks, after = owner.hooks, owner.after
            owner = self.node.owner = Owner(self)
            owner.hooks, owner.after = hooks, after
        return owner

    def register_hook(self: Any, hook: Callable[[Any], Any]) -> RemovableHandle:
        """Call `hook` with this tensor's gradient in each backward pass; what it returns, unless None, replaces it.

        Hooks run in the order of registration, before the gradient is used further, accumulated or returned. Under
        `create_graph` the gradient is recorded, and so is what the hook does; else neither is, as under `no_grad`.
        In-place syntax binds the tensor to a new value: hooks stay with the value that they were registered on.

        Args:
            hook: function of a tensor that returns None, or a tensor of the same shape and dtype.

        Raises:
            GradientError: the tensor does not require grad. ShapeError, DtypeError: what the hook returned does not
                fit; raised by the backward pass.

        >>> import hograd as ho
        >>> x = ho.tensor(3.0, requires_grad=True)
        >>> handle = x.register_hook(lambda g: g * 10)
        >>> (x**2).backward()
        >>> x.grad
        tensor(60.)
        >>> handle.remove()
        """
        self._check_recorded()
        owner = self.request(fills=False)
        if owner.hooks is None:
            owner.hooks = OrderedDict()
        handle = RemovableHandle(owner.hooks)
        owner.hooks[handle.number] = hook
        return handle

    def register_post_accumulate_grad_hook(self: Any, hook: Callable[[Any], Any]) -> RemovableHandle:
        """Call `hook` with this leaf after `backward` has added to its `.grad`.

        >>> import hograd as ho
        >>> x = ho.tensor(3.0, requires_grad=True)
        >>> handle = x.register_post_accumulate_grad_hook(lambda leaf: print(leaf.grad))
        >>> (x**2).backward()
        tensor(6.)
        """
        self._check_recorded()
        if not self.is_leaf:
            raise GradientError("post accumulate grad hooks cannot be registered on non-leaf tensors.")
        owner = self.request(fills=True)
        if owner.after is None:
            owner.after = OrderedDict()
        handle = RemovableHandle(owner.after)
        owner.after[handle.number] = hook
        return handle

    def _check_recorded(self: Any) -> None:
        if self.node is None and self.requires_grad:
            raise LevelError(
                "a hook was registered on a value of vmap or jvp: register it outside, or inside the function that "
                "`func.grad` differentiates there."
            )
        if self.node is None:
            raise GradientError("cannot register a hook on a tensor that doesn't require gradient.")
