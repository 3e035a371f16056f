"""The measuring side of a worker: starts it, tells it what to do, and ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from benchmarks.registry import Data, Refused

#: What libraries read to choose their number of threads.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@contextmanager
def stored(data: Data) -> Iterator[Path]:
    """The arrays in a file that workers read."""
    with tempfile.TemporaryDirectory(prefix="hograd-benchmarks-") as folder:
        path = Path(folder) / "data.npz"
        np.savez(path, **data)
        yield path


def environment(threads: int) -> dict[str, str]:
    """The environment of a worker that may use so many threads."""
    found = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    root = str(Path(__file__).parents[1])
    found["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [found.get("PYTHONPATH")])])
    found["JAX_PLATFORMS"] = "cpu"
    return found | dict.fromkeys(THREADS, str(threads))


class Worker:
    """A running worker. `with Worker(...) as worker` ends it.

    Args:
        workload, version: their names.
        settings: of the case.
        data: the file of arrays.
        threads: how many threads it may use; with fewer than the machine's cores it is held to so many cores, which is
            the one limit that every library obeys.
    """

    def __init__(self, workload: str, version: str, settings: dict[str, Any], data: Path, threads: int) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed by __exit__)
        self.start = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.worker", workload, version, json.dumps(settings), str(data)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            # Machine code that hograd keeps on the disk is kept beside the data: not from one case, or run, to another.
            env=environment(threads) | {"HOGRAD_CACHE_DIR": str(data.parent / "cache")},
        )
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            if threads < len(cores):
                os.sched_setaffinity(self.process.pid, cores[:threads])

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):  # it may have ended by itself, and said why
            self.process.stdin.close()
        if kind is not None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def seconds_since_start(self) -> float:
        """Seconds since the process was started."""
        return time.perf_counter() - self.start

    def read(self) -> dict[str, Any]:
        """The next answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            self.errors.seek(0)
            last = self.errors.read().strip().splitlines()[-1:]
            raise Refused(f"the process ended with status {code}: {' '.join(last)}")
        message = json.loads(line)
        if "refused" in message:
            raise Refused(message["refused"])
        return message

    def ask(self, do: str, **how: Any) -> dict[str, Any]:
        """Tell it to do something, and wait for the answer."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # `read` says how it ended
            self.process.stdin.write(json.dumps({"do": do, **how}) + "\n")
            self.process.stdin.flush()
        return self.read()
