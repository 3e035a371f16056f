"""Where the metrics of a run go besides metrics.jsonl: CSV, TensorBoard, MLflow, and the eyes of whoever waits."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from experiments.errors import UsageError
from experiments.store.tasks import Listed, TaskFolder


class Log(Protocol):
    """Takes the metrics of all tasks, line by line, while they are written or later."""

    def add(self, task: Listed, line: Mapping[str, Any]) -> None:
        """One line of a task's metrics, with `task` and `step`."""
        ...

    def close(self) -> None:
        """All lines were added."""
        ...


def open_logs(names: Sequence[str], folder: Path | None, tasks: Sequence[Listed]) -> list[Log]:
    """The logs of these names.

    Args:
        names: "csv", "tensorboard", "mlflow".
        folder: of the run; None only to see whether what they need is installed.
        tasks: of the run.

    Raises:
        UsageError: a name is unknown, or the extra that it needs is missing.
    """
    made = []
    for name in names:
        if name not in _OPENERS:
            raise UsageError(f"logs has {name!r}, expected {', '.join(_OPENERS)}")
        made.append(_OPENERS[name](folder, tasks))
    return [log for log in made if log is not None]


def _csv(folder: Path | None, tasks: Sequence[Listed]) -> Log | None:
    from experiments.logs.csv import Table

    return folder and Table(folder / "metrics.csv", tasks)


def _tensorboard(folder: Path | None, tasks: Sequence[Listed]) -> Log | None:
    from experiments.logs.tensorboard import Board, library

    library()
    return folder and Board(folder / "tensorboard")


def _mlflow(folder: Path | None, tasks: Sequence[Listed]) -> Log | None:
    from experiments.logs.mlflow import Tracker, library

    library()
    return folder and Tracker(folder)


_OPENERS: dict[str, Callable[[Path | None, Sequence[Listed]], Log | None]] = {
    "csv": _csv,
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
}


class Tail:
    """Hands new lines of the tasks' metrics to logs.

    A task that is resumed writes again what is cut off its metrics, to the same bytes, so that a place in the file once
    reached stays right.
    """

    def __init__(self, run: Path, tasks: Sequence[Listed], logs: Sequence[Log]):
        self.logs = logs
        self._files = [(task, TaskFolder(run, task.name).metrics) for task in tasks]
        self._offsets = [0] * len(tasks)

    def read(self) -> None:
        """Hand on what was written since the last call."""
        for i, (task, path) in enumerate(self._files):
            try:
                with open(path, "rb") as file:
                    file.seek(self._offsets[i])
                    content = file.read()
            except OSError:
                continue
            complete = content[: content.rfind(b"\n") + 1]
            self._offsets[i] += len(complete)
            for line in complete.splitlines():
                for log in self.logs:
                    log.add(task, json.loads(line))
