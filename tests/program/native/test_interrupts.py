"""Exceptions from outside, such as Ctrl-C, while machine code runs in several threads."""

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

pytest.importorskip("llvmlite")

from hograd.program.native.threads import together

SCRIPT = Path(__file__).with_name("interrupted.py")


def test_answers_after_ctrl_c_are_right():
    """The script checks them: in two processes, with two and four threads."""
    runs = [
        subprocess.Popen([sys.executable, SCRIPT, str(seed), str(threads), "40"], stdout=-1, stderr=-1, text=True)
        for seed, threads in [(0, 2), (1, 4)]
    ]
    for run in runs:
        out, errors = run.communicate(timeout=120)
        assert (run.returncode, out) == (0, "40\n"), errors[-2000:]


def interrupt(after=0.0):
    time.sleep(after)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("strikes", [0, 1, 3])
def test_an_exception_leaves_when_no_other_thread_is_at_work(strikes):
    """It strikes here, and then while the other thread is waited for."""
    begun, finished = threading.Event(), []

    def work(i):
        if i == 0:
            assert begun.wait(60)
            raise KeyboardInterrupt
        begun.set()
        for _ in range(strikes):
            interrupt(0.05)
        time.sleep(0.1)
        finished.append(i)

    with pytest.raises(KeyboardInterrupt):
        together(work, [(0,), (1,)], None)
    assert finished == [1]


def test_threads_that_wait_hold_no_memory():
    class Memory:
        pass

    memory, begun = Memory(), threading.Event()
    alive = weakref.ref(memory)

    def work(i):
        if i:
            begun.set()
        begun.wait(60)

    together(work, [(0,), (1,)], memory)
    del memory
    end = time.monotonic() + 60
    while alive() is not None and time.monotonic() < end:
        time.sleep(0.01)
    assert alive() is None


def test_a_thread_that_an_exception_ended_is_replaced(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    found = []

    def work(i):
        if i:
            found.append(threading.current_thread())
            raise SystemExit
        time.sleep(0.05)

    for count in (1, 2, 3):
        end = time.monotonic() + 60
        while len(found) < count and time.monotonic() < end:
            together(work, [(0,), (1,)], None)
    assert len(set(found)) == 3
