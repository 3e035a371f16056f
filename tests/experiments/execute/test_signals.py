"""SIGINT, SIGTERM and SIGHUP, in every phase and on every executor: all is saved, soon, and once."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

import hograd as ho

pytest.importorskip("filelock")
pytest.importorskip("threadpoolctl")
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals are sent as on POSIX systems")

VALUES = {
    "kind": "training",
    "steps": 200,
    "seeds": [1, 2],
    "sleep": 0.01,
    "workers": 2,
    "checkpoint": {"every_steps": 50},
}
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
#: What the brief time between a signal and the end may be here, where machines are busy.
SOON = 10


def await_step(least, process, folder="run"):
    """Wait until some task has done so many steps."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        for path in Path(folder).glob("tasks/*/progress.json"):
            try:
                if json.loads(path.read_text())["step"] >= least:
                    return
            except (OSError, ValueError):
                pass
        time.sleep(0.01)
    pytest.fail(f"no task came to step {least}")


def end(process, number, again=0):
    begun = time.monotonic()
    process.send_signal(number)
    for _ in range(again):
        time.sleep(0.02)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - begun < SOON
    assert "Traceback" not in err, err
    return out


@pytest.mark.parametrize(
    ("executor", "number"),
    [
        ("serial", signal.SIGINT),
        ("serial", signal.SIGTERM),
        ("serial", signal.SIGHUP),
        ("processes", signal.SIGTERM),
        ("dask", signal.SIGTERM),
    ],
    ids=lambda x: getattr(x, "name", x),
)
def test_a_signal_saves_all_and_the_run_goes_on_later(run_here, start, kept, executor, number):
    if executor == "dask":
        pytest.importorskip("distributed", reason="dask.distributed, of the extra `cluster`, is not installed")
    values = {**VALUES, "executor": executor}
    process = start("run", values)
    await_step(20, process)
    out = end(process, number, again=3)
    assert process.returncode == CODES[number], out
    assert out.startswith("interrupted")
    assert json.loads(Path("run/status.json").read_text())["status"] == "interrupted"
    saved = list(Path().glob("run/tasks/*/checkpoints/step-*"))
    assert saved
    for path in saved:
        assert ho.load(path)["step"] >= 20 or executor != "serial"
    assert not Path("run/.session").exists()
    # What a report shows meanwhile is there, too.
    assert Path("run/metrics.jsonl").read_text().count("\n") >= 20
    run_here({**values, "executor": "serial", "sleep": 0}, "whole")
    process = start("resume", {**values, "sleep": 0})
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert kept() == kept("whole")


@pytest.mark.parametrize("executor", ["processes", "dask"])
def test_the_signal_of_a_terminal_reaches_all_processes_at_once(start, executor):
    if executor == "dask":
        pytest.importorskip("distributed", reason="dask.distributed, of the extra `cluster`, is not installed")
    process = start("run", {**VALUES, "executor": executor})
    await_step(20, process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert list(Path().glob("run/tasks/*/checkpoints/step-*"))


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_a_step_that_cannot_be_broken_off_does_not_delay_the_end(start, executor):
    values = {**VALUES, "executor": executor, "accident": "deaf", "at": 40, "sleep": 0, "seeds": [1], "workers": 1}
    process = start("run", values)
    await_step(1, process)
    time.sleep(1)
    end(process, signal.SIGTERM, again=2)
    assert process.returncode == 143
    (path,) = Path().glob("run/tasks/*/checkpoints/step-*")
    assert ho.load(path)["step"] == 39
    assert json.loads(Path("run/status.json").read_text())["status"] == "interrupted"


def test_a_signal_while_a_task_is_prepared_ends_the_run(start):
    process = start("run", {**VALUES, "executor": "serial", "prepare": 30})
    deadline = time.monotonic() + 60
    while not Path("run/tasks/seed-1-0").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    out = end(process, signal.SIGHUP)
    assert process.returncode == 129
    assert out.startswith("interrupted")


def test_handlers_are_as_before_after_a_run(run_here):
    before = [signal.getsignal(number) for number in CODES]
    run_here({**VALUES, "executor": "serial", "steps": 3, "sleep": 0})
    assert [signal.getsignal(number) for number in CODES] == before
    assert signal.set_wakeup_fd(-1) == -1
