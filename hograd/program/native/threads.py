"""Threads that wait for work, so that sharing a segment costs microseconds."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

_work: queue.SimpleQueue[Any] = queue.SimpleQueue()
_started: list[threading.Thread] = []
_lock = threading.Lock()


def default_count() -> int:
    """How many threads share the work of a program: `OMP_NUM_THREADS`, or as many as there are processors."""
    chosen = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if chosen.isdigit() and int(chosen):
        return int(chosen)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def together(function: Callable[..., None], own: Sequence[Any], others: Sequence[Sequence[Any]]) -> None:
    """Call a function here and, at the same time, in other threads, and wait for all of them."""
    _start(len(others))
    done = [threading.Lock() for _ in others]
    for lock, arguments in zip(done, others, strict=True):
        lock.acquire()
        _work.put((function, arguments, lock))
    function(*own)
    for lock in done:
        lock.acquire()


def _start(count: int) -> None:
    if len(_started) < count:
        with _lock:
            while len(_started) < count:
                thread = threading.Thread(target=_serve, name=f"hograd-{len(_started)}", daemon=True)
                thread.start()
                _started.append(thread)


def _serve() -> None:
    while True:
        function, arguments, lock = _work.get()
        function(*arguments)
        lock.release()


def _forget() -> None:
    """In a process that was forked there are no other threads."""
    global _work
    _started.clear()
    _work = queue.SimpleQueue()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
