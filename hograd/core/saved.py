"""Saved-tensor hooks: what the tape keeps for the backward pass, in another form or in another place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from hograd.core.custom import Residue
from hograd.core.dispatch import RAW
from hograd.core.restoring import Restoring, calling, settings
from hograd.core.tape import Node, Packed, watch
from hograd.core.tensor import Tensor
from hograd.errors import DtypeError, GradientError, ShapeError


class _Hooks(threading.local):
    def __init__(self) -> None:
        self.stack: list[tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]] | None] = []


_hooks = _Hooks()


class saved_tensors_hooks(Restoring):
    """Context in which what operations save for the backward pass is kept as `pack_hook` returns it.

    It concerns the operations of this thread that are recorded inside it; of nested contexts the innermost acts. What
    an outer transform (`func.grad`, `jvp`, `vmap`) knows as its own is kept as it is, and so are Python numbers.
    Derivatives of every order stay right.

    Args:
        pack_hook: function of a constant tensor; what it returns, of any type, is kept.
        unpack_hook: function of what `pack_hook` returned that gives a tensor of the shape and dtype that `pack_hook`
            got. It is called whenever the value is needed: once for each backward pass.

    Raises:
        DtypeError, ShapeError: what `unpack_hook` returned does not fit; raised by the backward pass.

    >>> import hograd as ho
    >>> import numpy as np
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...
    ...     def save(t):
    ...         name = os.path.join(folder, f"{len(os.listdir(folder))}.npy")
    ...         np.save(name, t.numpy())
    ...         return name
    ...
    ...     x = ho.tensor([1.0, 2.0], requires_grad=True)
    ...     with ho.autograd.graph.saved_tensors_hooks(save, lambda name: ho.tensor(np.load(name))):
    ...         y = x.exp().sum()
    ...     ho.grad(y, x)
    (tensor([2.7183, 7.3891]),)
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.hooks = (pack_hook, unpack_hook)

    def __enter__(self) -> None:
        # Watching alone does nothing, so that it may begin earlier and, where Ctrl-C strikes, end later.
        self.close = settings([(_hooks, "stack", _hooks.stack)], calling(partial(watch, _pack, False)))
        watch(_pack, True)
        _hooks.stack = [*_hooks.stack, self.hooks]


class _Kept:
    """What `pack` returned, and what `unpack` has to give."""

    __slots__ = ("content", "dtype", "shape")

    def __init__(self, content: Any, shape: tuple[int, ...], dtype: Any) -> None:
        self.content, self.shape, self.dtype = content, shape, dtype


def _pack(node: Node) -> None:
    """Put packed values in the place of what a new node saved."""
    # Nested contexts, and other threads, have put this function among the watchers too: it acts once.
    if not _hooks.stack or _hooks.stack[-1] is None or type(node.saved) is not tuple:
        return
    pack, unpack = _hooks.stack[-1]
    saved = node.saved

    def close(value: Any) -> Any:
        if type(value) is tuple:
            return tuple(map(close, value))
        if isinstance(value, Residue):
            return value.replaced([_close_leaf(x) for x in value.leaves])
        return _keep(value) if type(value) in RAW else value

    def _close_leaf(x: Any) -> Any:
        return _keep(x.value) if type(x) is Tensor and x.node is None and type(x.value) in RAW else x

    def _keep(array: Any) -> _Kept:
        return _Kept(pack(Tensor(array)), tuple(array.shape), array.dtype)

    # What the hook itself may record is saved as it is.
    before = _hooks.stack
    _hooks.stack = [*before, None]
    try:
        packed = close(saved)
    finally:
        _hooks.stack = before

    def opened() -> tuple[Any, ...]:
        return _open(packed, unpack)

    node.saved = Packed((opened,))


def _open(value: Any, unpack: Callable[[Any], Tensor]) -> Any:
    if type(value) is tuple:
        return tuple([_open(x, unpack) for x in value])
    if isinstance(value, Residue):
        return value.replaced([Tensor(_open(x, unpack)) if type(x) is _Kept else x for x in value.leaves])
    if type(value) is not _Kept:
        return value
    tensor = unpack(value.content)
    if not isinstance(tensor, Tensor):
        raise DtypeError(
            "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
            f"{type(tensor).__name__}."
        )
    tensor = tensor.detach()
    if type(tensor.value) not in RAW:
        raise GradientError("unpack_hook returned a value of vmap, expected a tensor of plain numbers.")
    if tuple(tensor.shape) != value.shape:
        raise ShapeError(f"unpack_hook returned shape {tuple(tensor.shape)}, but pack_hook got {value.shape}.")
    if tensor.dtype != value.dtype:
        raise DtypeError(f"unpack_hook returned dtype {tensor.dtype}, but pack_hook got {value.dtype}.")
    return tensor.value
