"""Anomaly mode: which line of the forward pass a value or gradient that is not finite comes from."""

from __future__ import annotations

import linecache
import os
import sys
import threading
import weakref
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from hograd.core.levels import state
from hograd.core.restoring import Restoring, calling, settings
from hograd.core.tape import Node
from hograd.core.tensor import Tensor
from hograd.errors import AnomalyError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Origin(NamedTuple):
    """Where an operation was recorded: lines of the user's code, outermost first, and what was being differentiated."""

    lines: list[tuple[str, int, str]]
    cause: Node | None
    finite: bool


_origins: weakref.WeakKeyDictionary[Node, Origin] = weakref.WeakKeyDictionary()


class Watch:
    """What one thread looks for while the mode is on."""

    def __init__(self, check_nan: bool, check_forward: bool) -> None:
        self.check_nan = check_nan
        self.check_forward = check_forward
        self.current: Node | None = None

    def cotangents(self) -> dict[Node, Any]:
        """What a backward pass keeps its cotangents in."""
        return Cotangents(self)

    def finish(self, cotangents: Any) -> None:
        """The backward pass is over."""
        self.current = cotangents.outer

    def made(self, value: Any, node: Node) -> None:
        """Note where a tensor was recorded."""
        finite = _fault(value) is None
        _origins[node] = origin = Origin(_lines(), self.current, finite)
        if self.check_forward and not finite and all(_was_finite(parent) for parent in node.parents):
            raise AnomalyError(f"`{node.primitive.name}` returned {_fault(value)} values. {_describe(origin)}")


class Cotangents(dict[Node, Any]):
    """The cotangents of one backward pass, each looked at when it comes."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch
        self.outer = watch.current
        watch.current = None

    def pop(self, node: Node, *default: Any) -> Any:  # type: ignore[override]
        self.watch.current = node
        return super().pop(node, *default)

    def __setitem__(self, node: Node, g: Any) -> None:
        fault = _fault(g) if self.watch.check_nan else None
        if fault is None:
            super().__setitem__(node, g)
            return
        source = self.watch.current
        if source is None:
            self.watch.current = self.outer
            raise AnomalyError(f"The gradient that the backward pass starts with has {fault} values.")
        index = source.parents.index(node)
        message = f"Function '{source.name()}' returned {fault} values in its {index}th output. "
        raise AnomalyError(message + _describe(_origins.get(source)) + _first(source))


class set_detect_anomaly(Restoring):
    """Turn anomaly mode on or off for this thread; as a context manager, until its end.

    Args:
        mode: whether it is on.
        check_nan: raise where a backward pass computes a gradient that is not finite; if not, only record lines.
        check_forward: raise too where an operation makes a value that is not finite of finite ones.

    It sets the mode when it is called. An exception from outside, such as Ctrl-C, that strikes after that and before a
    `with` has begun leaves the mode set; `detect_anomaly` has no such moment.

    >>> import hograd as ho
    >>> with ho.autograd.set_detect_anomaly(True):
    ...     ho.autograd.is_anomaly_enabled()
    True
    """

    def __init__(self, mode: bool, check_nan: bool = True, check_forward: bool = False) -> None:
        watch = Watch(check_nan, check_forward) if mode else None
        self.close = _ending(watch)
        state.anomaly = watch

    def __enter__(self) -> None:
        pass


class detect_anomaly(Restoring):
    """Context under which a gradient that is not finite raises, and names the forward line that it belongs to.

    Operations recorded under it remember where they were called, so the forward pass has to run under it as well. It
    makes everything several times slower, and costs nothing when it is off.

    Args:
        check_nan: raise where a backward pass computes nan or inf; if not, only record lines.
        check_forward: raise too where an operation makes nan or inf of finite values.

    Raises:
        AnomalyError: from the backward pass; it names the function, the line, and the first operation before it whose
            value was not finite, if there is one.

    >>> import hograd as ho
    >>> x = ho.tensor([0.0, 1.0], requires_grad=True)
    >>> with ho.autograd.detect_anomaly():
    ...     (x.sqrt() * x).sum().backward()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    hograd.errors.AnomalyError: Function 'SqrtBackward0' returned nan values in its 0th output. It was recorded at ...
    """

    def __init__(self, check_nan: bool = True, check_forward: bool = False) -> None:
        self.watch = Watch(check_nan, check_forward)

    def __enter__(self) -> None:
        self.close = _ending(self.watch)
        state.anomaly = self.watch


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on in this thread."""
    return state.anomaly is not None


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode is on in this thread, and looks at gradients."""
    return state.anomaly is not None and state.anomaly.check_nan


#: What is on in some thread.
_watches: weakref.WeakSet[Watch] = weakref.WeakSet()
_lock = threading.Lock()
_plain_init = Tensor.__init__


def _watched_init(self: Tensor, value: Any, node: Node | None = None, level: int = 0) -> None:
    self.value, self.node, self.level = value, node, level
    watch = state.anomaly
    if watch is None:
        if not _watches:
            _settle()
    elif node is not None and node.primitive is not None and node not in _origins:
        watch.made(value, node)


def _ending(watch: Watch | None) -> Any:
    """Prepare for a mode that is about to be set; what ends it."""
    if watch is not None:
        _watches.add(watch)
        _settle()
    return settings([(state, "anomaly", state.anomaly)], calling(partial(_end, watch)))


def _end(watch: Watch | None) -> None:
    if watch is not None:
        _watches.discard(watch)
    _settle()


def _settle() -> None:
    """While some thread has the mode on tensors are made in another way, so off costs nothing."""
    with _lock:
        Tensor.__init__ = _watched_init if _watches else _plain_init  # type: ignore[method-assign]


def _fault(value: Any) -> str | None:
    """The kind of number that is not finite in a value, or None."""
    while isinstance(value, Tensor):
        tangent = getattr(value, "tangent", None)
        if tangent is not None and (fault := _fault(tangent)) is not None:
            return fault
        value = value.value
    if getattr(value, "dtype", None) is None or value.dtype.kind not in "fc" or np.isfinite(value).all():
        return None
    return "nan" if np.isnan(value).any() else "inf"


def _lines() -> list[tuple[str, int, str]]:
    """The user's lines that are running, outermost first."""
    lines = []
    frame: Any = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            lines.append((code.co_filename, frame.f_lineno, code.co_name))
        frame = frame.f_back
    return lines[::-1]


def _was_finite(node: Node | None) -> bool:
    origin = None if node is None else _origins.get(node)
    return origin is None or origin.finite


def _place(origin: Origin) -> str:
    if not origin.lines:
        return "inside hograd"
    file, line, name = origin.lines[-1]
    code = linecache.getline(file, line).strip()
    return f"{file}:{line}, in {name}{f': {code}' if code else ''}"


def _describe(origin: Origin | None) -> str:
    """Sentences on where an operation was recorded."""
    if origin is None:
        return "No forward pass information available: run the forward pass under detect_anomaly too."
    text = f"It was recorded at {_place(origin)}"
    if len(origin.lines) > 1:
        callers = [f'  File "{file}", line {line}, in {name}' for file, line, name in origin.lines[-6:]]
        text += "\nTraceback of the forward call (most recent call last):\n" + "\n".join(callers)
    cause = origin.cause
    if cause is not None:
        before = _origins.get(cause)
        where = f" recorded at {_place(before)}" if before is not None else ""
        text += f"\nIt belongs to the derivative of '{cause.name()}'{where}"
    return text + "."


def _first(node: Node) -> str:
    """A sentence on the oldest operation behind a node whose value was not finite."""
    stack, seen = [node], {node}
    worst: Node | None = None
    while stack:
        current = stack.pop()
        if not _was_finite(current) and (worst is None or current.sequence < worst.sequence):
            worst = current
        for parent in current.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    if worst is None:
        return ""
    return f"\nA value was not finite before: `{worst.primitive.name}` made it at {_place(_origins[worst])}."
