"""The keys of a config that say how it runs, not what."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from experiments import memory as memory_of_machine
from experiments.errors import UsageError
from experiments.store.checkpoints import Plan


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a run is executed.

    Args:
        seeds: one or more.
        executor: "auto", "serial", "processes", "dask" or the address of a Dask scheduler.
        workers: processes, or None for one a free core.
        threads: of BLAS in each task.
        plan: when tasks are saved.
        logs: beside metrics.jsonl: "csv", "tensorboard", "mlflow".
    """

    seeds: tuple[int, ...] = (0,)
    executor: str = "auto"
    workers: int | None = None
    threads: int = 1
    plan: Plan = dataclasses.field(default_factory=Plan)
    logs: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Settings":
        """The settings of a resolved config, whose keys all have defaults.

        >>> Settings.of({"seeds": [1, 2], "executor": {"dask": "tcp://10.0.0.1:8786"}, "checkpoint": {"keep": 3}}).plan
        Plan(every_steps=None, every_seconds=60.0, keep=3)
        """
        given = {key: values[key] for key in ("executor", "workers", "threads") if values.get(key) is not None}
        if isinstance(given.get("executor"), Mapping):
            given["executor"] = given["executor"]["dask"]
        logs = values.get("logs") or ()
        return cls(
            seeds=tuple(values.get("seeds", (0,))),
            plan=Plan(**(values.get("checkpoint") or {})),
            logs=(logs,) if isinstance(logs, str) else tuple(logs),
            **given,
        )

    def place(self, tasks: int, memory: int) -> tuple[str, int]:
        """The executor and the number of workers for tasks that need so many bytes each.

        Raises:
            UsageError: not even one task fits into the memory of this machine.
        """
        free, executor = memory_of_machine.available(), self.executor
        if "://" in executor:
            return executor, tasks
        if free is not None and memory > free:
            raise UsageError(
                f"a task needs about {memory / 2**30:.3g} GiB of memory, and {free / 2**30:.3g} GiB are available"
            )
        workers = min(self.workers or free_cores(), tasks)
        if free is not None and memory:
            workers = min(workers, free // memory)
        workers = max(workers, 1)
        if executor == "auto":
            executor = "processes" if workers > 1 else "serial"
        return executor, workers


def free_cores() -> int:
    """Cores that this process may use and that are not busy, at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(cores - round(busy), 1)
