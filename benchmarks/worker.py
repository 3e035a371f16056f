"""A version of a workload in a process of its own, which does what it is told in lines of JSON.

python -m benchmarks.worker WORKLOAD VERSION SETTINGS DATA

Settings are JSON, the data a .npz file. Each line on standard input is answered by one line on standard output:
{"do": "first"} computes once: seconds, and the result; {"do": "memory"} computes with a watch on the memory;
{"do": "time", "repeats": n}: mean seconds of n computations. What libraries print goes to standard error.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.registry import Refused, Run, workload


def resident(key: str = "VmRSS") -> int | None:
    """Bytes of memory that this process has now, or had at most (`VmHWM`); None where /proc is not there."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":")), None)


def return_freed_memory() -> None:
    """Ask the C library to give back what was freed, so that the next peak counts all that is used."""
    with suppress(OSError, AttributeError):  # outside of glibc there is none: the growth is then a lower bound
        ctypes.CDLL(None).malloc_trim(0)


def peak(run: Run) -> int | None:
    """The most memory that the process has while it computes once."""
    return_freed_memory()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM to VmRSS
    except OSError:
        return None
    run()
    return resident("VmHWM")


def arrays(result: Any) -> list[np.ndarray]:
    """A result as arrays, whichever library it comes from."""
    return [np.asarray(leaf.detach() if hasattr(leaf, "detach") else leaf) for leaf in result]


def mean_seconds(run: Run, repeats: int) -> float:
    """Mean seconds of one computation."""
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def commands(run: Run) -> dict[str, Callable[..., dict[str, Any]]]:
    """What the process can be told to do."""
    before = resident()

    def first() -> dict[str, Any]:
        start = time.perf_counter()
        result = run()
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "result": [leaf.tolist() for leaf in arrays(result)]}

    def memory() -> dict[str, Any]:
        most = peak(run)
        return {"growth": None if most is None or before is None else max(0, most - before)}

    def timed(repeats: int) -> dict[str, Any]:
        return {"seconds": mean_seconds(run, repeats)}

    return {"first": first, "memory": memory, "time": timed}


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    name, version, settings, path = sys.argv[1:5]
    known: dict[str, Callable[..., dict[str, Any]]] = {}
    try:
        make = workload(name).versions[version].make
        if make is None:
            raise Refused(f"{version} has no program for {name}")
        with np.load(path) as data:
            known = commands(make(dict(data), json.loads(settings)))
        answer({"ready": True})
        for line in sys.stdin:
            order = json.loads(line)
            answer(known[order.pop("do")](**order))
    except Refused as error:
        answer({"refused": str(error)})
    except Exception as error:
        text = str(error).strip().splitlines()
        answer({"refused": f"{type(error).__name__}: {text[0] if text else ''}"})
        raise


if __name__ == "__main__":
    main()
