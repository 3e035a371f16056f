"""The keys that every config has, whatever its experiment."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from annotated_types import Le, Len

from experiments.components.types import Count, Distinct, Natural, Positive

Text = Annotated[str, Len(1)]


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """When the state of a task is stored, and how many of these are kept.

    Args:
        every_steps: after so many steps.
        every_seconds: or after so many seconds of work, whichever comes first.
        keep: how many of the last ones are kept, beside the best.
    """

    every_steps: Count | None = None
    every_seconds: Positive | None = 10.0
    keep: Count = 2


@dataclasses.dataclass(frozen=True)
class Settings:
    """What every experiment has.

    Args:
        description: one sentence for `hograd list`.
        seeds: each is a run of its own, of everything below.
        module: Python files, relative to the config, that register components of your own; needs --trust.
        output: the run folder; by default runs/NAME/DATE-TIME.
        executor: auto (processes, where there are tasks and cores for several), serial, processes, dask (a cluster of
            processes on this machine), or the address of a running cluster, such as tcp://host:8786. The results have
            the same bits.
        workers: how many tasks work at a time; by default one for each free core.
        threads: of the linear algebra of each task; part of the config, since another number may change last digits.
        checkpoint: when the state of a task is stored.
        logs: further places for the metrics, beside metrics.jsonl.
        sweep: values to search over, key by key, as `hograd sweep` does.
        variants: several forms of the experiment that are run and shown side by side: for each name the keys that it
            sets, such as {exact: {outer.method: Reverse}, short: {outer.method: {name: Truncated, last: 10}}}.
    """

    description: str = ""
    seeds: Distinct[Natural] = (0,)
    module: Text | tuple[Text, ...] | None = None
    output: Text | None = None
    executor: Text = "auto"
    workers: Count | None = None
    threads: Annotated[Count, Le(1024)] = 1
    checkpoint: Checkpoints = Checkpoints()
    logs: tuple[Literal["csv", "tensorboard", "mlflow"], ...] = ()
    sweep: dict[str, Any] | None = None
    variants: dict[str, dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        if self.executor not in ("auto", "serial", "processes", "dask") and "://" not in self.executor:
            raise ValueError(
                f"executor: found '{self.executor}', expected auto, serial, processes, dask, or an address such as "
                "tcp://host:8786"
            )
