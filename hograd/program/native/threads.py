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


def together(function: Callable[..., None], jobs: Sequence[Sequence[Any]]) -> None:
    """Call a function on the first arguments here and, at the same time, on others in other threads, and wait.

    What no thread has begun when the call here is done is left out: all calls take from the same work.
    """
    _start(len(jobs) - 1)
    waiting = [_Job(function, arguments) for arguments in jobs[1:]]
    for job in waiting:
        _work.put(job)
    function(*jobs[0])
    for job in waiting:
        if not job.begun.acquire(blocking=False):
            job.done.acquire()


class _Job:
    """A call for another thread.

    Attributes:
        begun: whoever acquires it has the job.
        done: is released at the end.
    """

    __slots__ = ("arguments", "begun", "done", "function")

    def __init__(self, function: Callable[..., None], arguments: Sequence[Any]) -> None:
        self.function = function
        self.arguments = arguments
        self.begun = threading.Lock()
        self.done = threading.Lock()
        self.done.acquire()


def _start(count: int) -> None:
    if len(_started) < count:
        with _lock:
            while len(_started) < count:
                thread = threading.Thread(target=_serve, name=f"hograd-{len(_started)}", daemon=True)
                thread.start()
                _started.append(thread)


def _serve() -> None:
    while True:
        job = _work.get()
        if job.begun.acquire(blocking=False):
            job.function(*job.arguments)
            job.done.release()


def _forget() -> None:
    """In a process that was forked there are no other threads."""
    global _work
    _started.clear()
    _work = queue.SimpleQueue()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
