"""Runs that are killed at random moments, again and again, end with the bytes of runs that were not."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("filelock")
pytest.importorskip("threadpoolctl")

#: Saved after every step, so that most moments lie in a checkpoint; by steps and the best; by the clock.
PLANS = [{"every_steps": 1, "keep": 2}, {"every_steps": 25, "keep": 3}, {"every_seconds": 0.02}]
KINDS = ["counter", "training", "noise"]


def children(pid):
    """The worker processes of a run, on Linux."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        found = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def await_run(process, folder="run"):
    """Wait until a run has its folder, or has ended."""
    while process.poll() is None and not Path(folder, ".session").exists():
        time.sleep(0.002)


@pytest.mark.parametrize("executor", ["serial", "processes"])
@pytest.mark.parametrize("number", range(3), ids=KINDS)
def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(run_here, start, kept, number, executor):
    values = {
        "kind": KINDS[number], "steps": 200, "seeds": [1, 2], "sleep": 0.002, "executor": executor, "workers": 2,
        "checkpoint": PLANS[number],
    }  # fmt: skip
    run_here({**values, "sleep": 0, "executor": "serial"}, "whole")
    generator = random.Random(number)
    kills = 0
    process = start("run", values)
    for _ in range(4 if executor == "serial" else 2):
        await_run(process)
        time.sleep(generator.uniform(0, 0.4))
        victims = [process.pid, *children(process.pid)]
        try:
            os.kill(generator.choice(victims), signal.SIGKILL)
            kills += 1
        except ProcessLookupError:
            pass
        if process.poll() is None and executor == "processes":
            time.sleep(0.2)
            process.kill()
        process.wait(30)
        process = start("resume", values)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert kills
    assert kept() == kept("whole")


def test_workers_end_with_a_parent_that_is_killed(start):
    values = {"kind": "counter", "steps": 10**6, "seeds": [1, 2], "sleep": 0.01, "executor": "processes", "workers": 2}
    process = start("run", values)
    deadline = time.monotonic() + 60
    while not (list(Path().glob("run/tasks/*/progress.json"))[1:] or time.monotonic() > deadline):
        time.sleep(0.05)
    workers = children(process.pid)
    if not workers:
        pytest.skip("child processes can be found on Linux only")
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(worker) for worker in workers)
    assert len(list(Path().glob("run/tasks/*/checkpoints/step-*"))) == 2


def alive(pid):
    """Whether a process runs; one that waits to be taken notice of does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
