"""The folder of a task, and what is read from it for reports."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import hograd as ho
from experiments.errors import StorageError
from experiments.experiment import Metrics, Outcome, Task
from experiments.store.checkpoints import saved_steps
from experiments.store.files import clear_drafts, plain, read_json, warn, write, write_json, write_tree, writing
from hograd.errors import HogradError

#: The tasks of a run in their order, with labels and steps.
TASKS = "tasks.json"
#: How a task may be called; on some systems names of files do not tell capitals from small letters.
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


@dataclasses.dataclass(frozen=True)
class Listed:
    """One task as the run folder lists it."""

    name: str
    labels: Mapping[str, str | int]
    steps: int


class TaskFolder:
    """`tasks/NAME` of a run: metrics, checkpoints, result, status, and times apart from them."""

    def __init__(self, run: Path, name: str):
        self.path = run / "tasks" / name
        self.metrics = self.path / "metrics.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.progress = self.path / "progress.json"
        self.result = self.path / "result.safetensors"

    def lock(self) -> Any:
        """Hold the task: the worker of a run that was killed may still be about to end."""
        from filelock import FileLock, Timeout

        with writing(self.path):
            for folder in (self.path.parent, self.path):  # and no more: a run folder that was deleted stays so
                folder.mkdir(exist_ok=True)
            lock = FileLock(self.path / ".lock", timeout=15)
            try:
                lock.acquire()
            except Timeout:
                raise StorageError(f"another process still works in {self.path}; wait for it, or end it") from None
        clear_drafts(self.path)
        return lock

    def set_status(self, status: str, error: str | None = None) -> None:
        """Write how the task stands: "running", "finished", "interrupted" or "failed"."""
        write_json(self.path / "status.json", {"status": status, "error": error})

    def status(self) -> tuple[str, str | None]:
        """How the task stands, and why it failed; one whose process was killed is interrupted."""
        found = read_json(self.path / "status.json")
        status = found.get("status") if isinstance(found, dict) else None
        if status in ("finished", "failed"):
            return status, found.get("error")
        return ("interrupted" if saved_steps(self.checkpoints) else "waiting"), None

    def seconds(self) -> float:
        """Time of work in all processes that had a part in it."""
        found = read_json(self.path / "timing.json")
        return float(found.get("seconds", 0.0)) if isinstance(found, dict) else 0.0

    def set_seconds(self, seconds: float) -> None:
        write_json(self.path / "timing.json", {"seconds": round(seconds, 3)})

    def write_result(self, result: Mapping[str, Any]) -> None:
        write_tree(self.result, dict(result))

    def read_result(self) -> Mapping[str, Any] | None:
        """What is kept of the task; None where there is nothing, or nothing that can be read."""
        try:
            return ho.load(self.result)
        except (HogradError, OSError):
            return None

    def read_metrics(self) -> list[Metrics]:
        """All complete lines, up to one that is damaged."""
        try:
            lines = self.metrics.read_bytes().split(b"\n")[:-1]
        except OSError:
            return []
        found: list[Metrics] = []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            if not isinstance(entry, dict):
                warn(f"{self.metrics}: line {len(found) + 1} is damaged; it and those after it are left out")
                break
            found.append(entry)
        return found

    def show_progress(self, step: int, text: str) -> None:
        """Tell whoever watches how far the task is; this file need not survive anything."""
        draft = self.progress.with_name(".progress")
        with suppress(OSError):
            draft.write_text(json.dumps({"step": step, "text": text}))
            os.replace(draft, self.progress)


class MetricsFile:
    """metrics.jsonl of a task, appended line by line."""

    def __init__(self, path: Path, task: str, offset: int):
        self.path = path
        self.task = task
        with writing(path):
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115  (closed by close)
            self._file.truncate(offset)
        self.offset = offset

    def append(self, step: int, metrics: Metrics) -> None:
        """Write one line and hand it to the operating system; half a line is cut off again."""
        line = json.dumps(plain({"task": self.task, "step": step, **metrics}), allow_nan=False).encode() + b"\n"
        with writing(self.path):
            if self._file.write(line) != len(line):
                with suppress(OSError):
                    self._file.truncate(self.offset)
                raise StorageError(f"{self.path} cannot be written: No space left on device")
        self.offset += len(line)

    def flush(self) -> None:
        """Have all lines on the disk: a checkpoint that counts on them is written next."""
        with writing(self.path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()


def describe(tasks: Sequence[Task]) -> str:
    """The content of tasks.json.

    Raises:
        ValueError: two tasks have one name, or a name cannot be that of a folder.
    """
    names = [task.name for task in tasks]
    for name in names:
        if not NAME.fullmatch(name):
            raise ValueError(f"the task name {name!r} has other characters than letters, digits, '.', '-' and '_'")
    if len({name.lower() for name in names}) < len(names):
        twice = sorted(name for name in names if [n.lower() for n in names].count(name.lower()) > 1)
        raise ValueError(f"several tasks have the name {twice[0]!r}")
    listed = [{"name": task.name, "labels": dict(task.labels), "steps": task.steps} for task in tasks]
    return json.dumps(plain(listed), indent=2) + "\n"


def listed(run: Path) -> list[Listed]:
    """The tasks of a run, in their order."""
    return [Listed(**entry) for entry in read_json(run / TASKS, [])]


def outcomes(run: Path) -> list[Outcome]:
    """What is stored of all tasks of a run."""
    found = []
    for task in listed(run):
        folder = TaskFolder(run, task.name)
        status, error = folder.status()
        result, metrics = folder.read_result(), folder.read_metrics()
        found.append(Outcome(task.name, task.labels, status, result, metrics, folder.seconds(), error))
    return found


def join(run: Path, found: Sequence[Outcome]) -> None:
    """Write metrics.jsonl and results.json of the whole run from those of its tasks."""
    parts = [TaskFolder(run, outcome.name).metrics for outcome in found]
    write(run / "metrics.jsonl", b"".join(part.read_bytes() for part in parts if part.is_file()))
    write_json(
        run / "results.json",
        [{"task": o.name, "labels": o.labels, "status": o.status, "error": o.error, "result": o.result} for o in found],
    )
