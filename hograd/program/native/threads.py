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


def together(function: Callable[..., None], jobs: Sequence[Sequence[Any]], memory: Any) -> None:
    """Call a function on the first arguments here and, at the same time, on others in other threads, and wait.

    What no thread has begun when the call here is done is left out: all calls take from the same work. An exception
    that strikes meanwhile, Ctrl-C say, leaves when no other thread is inside the function any more.

    Args:
        function: machine code, which no exception interrupts.
        jobs: arguments of each call.
        memory: what the calls write to, held until the last of them has returned.
    """
    _start(len(jobs) - 1)
    waiting = [_Job(function, arguments, memory) for arguments in jobs[1:]]
    try:
        for job in waiting:
            _work.put(job)
        function(*jobs[0])
    finally:
        try:
            _wait(waiting)
        except BaseException:
            # It may have struck before anything had been waited for.
            _wait(waiting)
            raise


def _wait(jobs: Sequence[_Job]) -> None:
    """Withdraw jobs that no thread has begun, and wait for the others even while exceptions strike."""
    struck = None
    for job in jobs:
        job.withdrawn = True
    for job in jobs:
        while True:
            try:
                with job.inside:
                    break
            except BaseException as error:
                struck = error
    if struck is not None:
        raise struck


class _Job:
    """A call for another thread.

    Attributes:
        inside: is held during the call. Python gives it back in C, so that no exception comes in between.
        withdrawn: whether the call is not to begin any more.
        memory: what the call writes to.
    """

    __slots__ = ("arguments", "function", "inside", "memory", "withdrawn")

    def __init__(self, function: Callable[..., None], arguments: Sequence[Any], memory: Any) -> None:
        self.function = function
        self.arguments = arguments
        self.memory = memory
        self.inside = threading.Lock()
        self.withdrawn = False

    def run(self) -> None:
        """Call the function, unless that is not wanted any more."""
        with self.inside:
            if not self.withdrawn:
                self.function(*self.arguments)


def _start(count: int) -> None:
    # One that an exception from outside has ended is replaced.
    if sum([thread.is_alive() for thread in _started]) < count:
        with _lock:
            _started[:] = [thread for thread in _started if thread.is_alive()]
            while len(_started) < count:
                thread = threading.Thread(target=_serve, name=f"hograd-{len(_started)}", daemon=True)
                thread.start()
                _started.append(thread)


def _serve() -> None:
    while True:
        # Without a name, by which the memory would be held until the next one comes.
        _work.get().run()


def _forget() -> None:
    """In a process that was forked there are no other threads."""
    global _work, _lock
    _started.clear()
    _work, _lock = queue.SimpleQueue(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
