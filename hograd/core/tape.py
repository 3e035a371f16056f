"""The tape: one record for each operation that has to be differentiated later.

A node refers to the nodes before it, never to a tensor and never to its own answer as a tensor, so graphs hold no
cycles and are freed by reference counting alone.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

_sequence = itertools.count()


class Freed(tuple[Any, ...]):
    """Stands where saved values were, after a backward pass that did not retain them."""

    __slots__ = ()


FREED = Freed()


class Packed(tuple[Any, ...]):
    """Stands where saved values were, while what saved-tensor hooks made of them is kept; holds the way back."""

    __slots__ = ()

    def open(self) -> tuple[Any, ...]:
        """The saved values."""
        return self[0]()


watchers: tuple[Callable[[Node], None], ...] = ()
"""Called with every new node of any thread: there are some while saved-tensor hooks are on."""

_watching = threading.Lock()


def watch(function: Callable[[Node], None], on: bool) -> None:
    """Put a function among the watchers, or take it away once."""
    global watchers
    with _watching:
        # Other threads may be going through the tuple: it is replaced, never changed.
        if on:
            watchers = (*watchers, function)
        else:
            place = watchers.index(function)
            watchers = watchers[:place] + watchers[place + 1 :]


class Owner(weakref.ref):
    """What a tensor asks of its node: weak reference to it, whether to fill `.grad`, and hooks.

    Attributes:
        fills: whether `backward` fills the tensor's `.grad`.
        hooks: functions of the cotangent that may return another one, by number.
        after: functions of the tensor, called when its `.grad` has been filled, by number.
    """

    __slots__ = ("after", "fills", "hooks")

    def __init__(self, tensor: Any) -> None:
        self.fills = True
        self.hooks: OrderedDict[int, Any] | None = None
        self.after: OrderedDict[int, Any] | None = None


class Node:
    """One recorded operation, or a leaf (`primitive` is None).

    Attributes:
        parents: for each argument the node that made it, or None for a constant.
        saved: (answer, *arguments) with None where no rule reads the value; None if no rule reads any.
        params: the parameters by keyword.
        shape, dtype: of the answer.
        sequence: grows with every node, so parents always have smaller numbers.
        owner: the `Owner` of leaves, of tensors with `retain_grad` and of tensors with hooks; else None.
    """

    __slots__ = (
        "__weakref__",
        "dtype",
        "owner",
        "params",
        "parents",
        "primitive",
        "saved",
        "sequence",
        "shape",
    )

    def __init__(self, primitive: Any, parents: Any, saved: Any, params: Any, shape: Any, dtype: Any) -> None:
        self.primitive = primitive
        self.parents = parents
        self.saved = saved
        self.params = params
        self.shape = shape
        self.dtype = dtype
        self.sequence = next(_sequence)
        self.owner: Any = None
        if watchers:
            for watcher in watchers:
                watcher(self)

    def name(self) -> str:
        """The operation's name in PyTorch's style, such as `MulBackward0`."""
        if self.primitive is None:
            return "AccumulateGrad"
        if self.primitive.kind == "custom":
            return f"{self.primitive.name}Backward"
        return "".join(part[:1].upper() + part[1:] for part in self.primitive.name.split("_")) + "Backward0"

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The nodes of the arguments, each with the number of its answer, as PyTorch's attribute of that name."""
        # Users see one node for a function with a derivative of its own, not one more for each answer.
        picks = self.primitive is not None and self.primitive.kind == "custom" and self.dtype is not None
        parents = self.parents[0].parents if picks else self.parents
        return tuple(
            (parent, parent.primitive.index if parent and getattr(parent.primitive, "kind", None) == "custom" else 0)
            for parent in parents
        )

    @property
    def variable(self) -> Any:
        """The leaf that this node stands for, if it still exists; None for an operation."""
        return self.owner() if self.primitive is None and self.owner is not None else None

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


def leaf(value: Any) -> Node:
    """The node of a tensor that nothing computed."""
    return Node(None, (), None, None, value.shape, value.dtype)
