"""Runs of small experiments, in this process and in others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
#: They import one another by the path that the fixtures set.
collect_ignore = ["programs"]


@pytest.fixture(autouse=True)
def _programs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(PROGRAMS)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture
def run_here():
    """A function that runs values in this process."""
    from experiments.execute import run

    def call(values, folder="run", **options):
        import fakes

        how = "fakes:experiment_from"
        options = {"quiet": True, "how": how, "name": "fake", **options}
        return run(fakes.experiment_from(values), values, folder=folder and Path(folder), **options)

    return call


@pytest.fixture
def resume_here():
    """A function that goes on with a run in this process."""
    from experiments.execute import resume

    def call(folder="run", **options):
        return resume(Path(folder), how="fakes:experiment_from", **{"quiet": True, **options})

    return call


@pytest.fixture
def start():
    """A function that starts a run in a process of its own; those that are left are killed at the end."""
    started = []

    def call(command, values, folder="run", quiet=True, **options):
        arguments = [command, folder, json.dumps(values), json.dumps({"quiet": quiet, **options})]
        process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / "drive.py"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=dict(os.environ),
        )
        started.append(process)
        return process

    yield call
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def kept():
    """A function that reads all of a run that must not depend on how it came about."""

    def read(folder="run"):
        folder = Path(folder)
        found = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name not in ("timing.json", "environment.json", "config.yaml", ".lock")
        }
        found["status.json"] = json.loads(found["status.json"])["status"]
        return found

    return read
