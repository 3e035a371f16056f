"""Event files for TensorBoard: one run a task, one curve a metric."""

import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from experiments.errors import UsageError
from experiments.store.files import writing
from experiments.store.tasks import Listed


class Board:
    """The folder `tensorboard` of a run; a run that is resumed writes it anew, from its first step."""

    def __init__(self, folder: Path):
        self.folder = folder
        with writing(folder):
            shutil.rmtree(folder, ignore_errors=True)
        self._writers: dict[str, Any] = {}

    def add(self, task: Listed, line: Mapping[str, Any]) -> None:
        if task.name not in self._writers:
            self._writers[task.name] = library().SummaryWriter(str(self.folder / task.name))
        for key, value in line.items():
            if key != "step" and isinstance(value, int | float):
                self._writers[task.name].add_scalar(key, value, line["step"])

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


def library() -> Any:
    """The library, or the extra that brings it."""
    try:
        return import_module("tensorboardX")
    except ImportError:
        raise UsageError(
            'logs: tensorboard needs tensorboardX, of the extra `tensorboard`: pip install "hograd[tensorboard]"'
        ) from None
