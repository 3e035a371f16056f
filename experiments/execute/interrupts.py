"""The end of work on request: signals, a session that was closed, a parent that died.

A signal raises `Interrupted` while a step is computed, so that a long step does not delay the end, and is only noted
elsewhere, so that nothing is left half-written. Python handles signals between its own instructions; one that comes
during a long call of machine code is noticed by a thread, through the descriptor that the C handler writes to.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

#: What ends a run; the exit code is 128 + the number.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(KeyboardInterrupt):
    """The work was asked to end."""


class Stop:
    """Whether the work is to end. The first request counts, later ones change nothing."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.requested = threading.Event()
        self.moment = 0.0
        self._inside: int | None = None
        self._raised = False

    def request(self, number: int) -> None:
        """Ask for the end, for the reason of a signal."""
        if self.number is None:
            self.number, self.moment = int(number), time.monotonic()
            self.requested.set()

    def check(self) -> None:
        """Raise `Interrupted` where the end was asked for."""
        if self.number is not None:
            raise Interrupted(self.number)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """What is computed in here may be broken off anywhere."""
        self.check()
        self._inside = threading.get_ident()
        try:
            yield
        finally:
            self._inside = None

    def handle(self, number: int, frame: Any = None) -> None:
        """The handler of a signal, in the main thread."""
        self.request(number)
        if self._inside == threading.get_ident() and not self._raised:
            self._raised = True
            raise Interrupted(self.number)

    def break_off(self) -> None:
        """Raise `Interrupted` in the step of the main thread, after a request by another thread."""
        if _listening is self and hasattr(signal, "pthread_kill"):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


#: That of the main thread of this process, while it listens to signals.
_listening: Stop | None = None


@contextmanager
def listening(*, last: bool = False) -> Iterator[Stop]:
    """A `Stop` that signals end, where this is the main thread; inside of another, that one.

    Args:
        last: the process ends after this, as a command does: when it was asked to, signals stay ignored to its end.
    """
    global _listening
    if threading.current_thread() is not threading.main_thread():
        yield Stop()
        return
    if _listening is not None:
        yield _listening
        return
    stop = Stop()
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    previous = {number: signal.signal(number, stop.handle) for number in SIGNALS}
    _listening = stop
    thread = threading.Thread(target=_relay, args=(reader, stop), daemon=True, name="signals")
    thread.start()
    try:
        yield stop
    finally:
        _listening = None
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_IGN if last and stop.number is not None else handler)
        signal.set_wakeup_fd(descriptor)
        writer.close()
        thread.join()
        reader.close()


def _relay(reader: socket.socket, stop: Stop) -> None:
    """Note signals while the main thread is in a long call of machine code."""
    with suppress(OSError):
        while received := reader.recv(64):
            for number in received:
                if number in SIGNALS:
                    stop.request(number)


def mask_interrupts(masked: bool = True) -> None:
    """Make this thread, and the processes and threads that it starts, deaf to Ctrl-C, or let them hear it.

    A terminal sends it to all processes at once, and in a worker it would break off imports; the parent tells workers.
    """
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # it starts with the first worker otherwise, and unmasks the signals then
        signal.pthread_sigmask(signal.SIG_BLOCK if masked else signal.SIG_UNBLOCK, {signal.SIGINT})


def end_with_parent() -> None:
    """In a worker process: when the process that started it is dead, save and end."""
    import multiprocessing
    from multiprocessing.connection import wait

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business while there is no task
    mask_interrupts(False)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            if _listening is not None:
                _listening.request(signal.SIGTERM)
                _listening.break_off()
                time.sleep(2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()
