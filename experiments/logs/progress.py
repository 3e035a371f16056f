"""What a person sees while a run works: bars on a terminal, ten plain lines elsewhere, nothing when quiet."""

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiments.logs import Log, Tail
from experiments.store.files import read_json
from experiments.store.tasks import Listed, TaskFolder

#: Bars of single tasks below that of the whole run.
BARS = 8
BAR = "{desc} |{bar}| {n_fmt}/{total_fmt} {rate_fmt}, {remaining} left{postfix}"


class Progress:
    """Watches the progress files of all tasks, wherever they run, and feeds the logs; on stderr."""

    def __init__(self, run: Path, tasks: Sequence[Listed], logs: Sequence[Log], *, quiet: bool = False):
        self._tasks = tasks
        self._folders = [TaskFolder(run, task.name) for task in tasks]
        self._steps = [0] * len(tasks)
        self._total = sum(task.steps for task in tasks)
        self._tail = Tail(run, tasks, logs)
        self._shown = not quiet and sys.stderr is not None and not sys.stderr.closed
        self._bars = self._shown and sys.stderr is not None and sys.stderr.isatty()
        self._whole: Any = None
        self._single: dict[str, Any] = {}
        self._tenths, self._initial = 0, 0
        self._error: Exception | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="progress")

    def __enter__(self) -> "Progress":
        self._look()
        self._initial = sum(self._steps)
        self._tenths = self._initial * 10 // max(self._total, 1)
        self._try(self._begin)
        self._thread.start()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._end.set()
        self._thread.join()
        self._try(self._show)
        self._try(self._finish)
        self._tail.read()
        for log in self._tail.logs:
            log.close()
        if self._error is not None:
            raise self._error

    def _watch(self) -> None:
        while not self._end.wait(0.25):
            self._try(self._show)
            try:
                if self._tail.logs:
                    self._tail.read()
            except Exception as error:  # a log that fails ends the run when the tasks are done, not in between
                self._error, self._tail.logs = error, []

    def _look(self) -> list[str]:
        """Read how far all tasks are; the texts of those that moved."""
        texts = [""] * len(self._tasks)
        for i, folder in enumerate(self._folders):
            found = read_json(folder.progress)
            if isinstance(found, dict) and found.get("step", 0) != self._steps[i]:
                self._steps[i], texts[i] = found["step"], found.get("text", "")
            elif self._steps[i] < self._tasks[i].steps and folder.status()[0] == "finished":
                self._steps[i] = self._tasks[i].steps  # it ended early, or in a session before
        return texts

    def _try(self, show: Any) -> None:
        """Show, as long as there is somebody to see it: a terminal that is gone or full does not end the run."""
        if self._shown:
            try:
                show()
            except (OSError, ValueError):
                self._shown = False

    def _begin(self) -> None:
        if self._bars:
            self._whole = tqdm(
                total=self._total,
                initial=self._initial,
                desc="all",
                bar_format=BAR,
                dynamic_ncols=True,
                file=sys.stderr,
            )
        else:
            self._whole = tqdm(total=self._total, initial=self._initial, disable=False, file=_Nowhere())

    def _show(self) -> None:
        texts = self._look()
        done = min(sum(self._steps), self._total)
        self._whole.n = done
        for i, text in enumerate(texts):
            task = self._tasks[i]
            if not self._bars:
                continue
            bar = self._single.get(task.name)
            if bar is None and text and len(self._single) < BARS:
                bar = tqdm(
                    total=task.steps, desc=task.name, bar_format=BAR, dynamic_ncols=True, file=sys.stderr, leave=False,
                    initial=self._steps[i],
                )  # fmt: skip
                self._single[task.name] = bar
            if bar is not None:
                bar.n = self._steps[i]
                if text:
                    bar.set_postfix_str(text, refresh=False)
                bar.refresh()
                if self._steps[i] >= task.steps:
                    bar.close()
                    del self._single[task.name]
        if self._bars:
            self._whole.refresh()
        elif done * 10 // max(self._total, 1) > self._tenths:
            self._tenths = done * 10 // max(self._total, 1)
            self._line(done, next((f"{t.name}: {x}" for t, x in zip(self._tasks, texts, strict=True) if x), ""))

    def _line(self, done: int, text: str) -> None:
        finished = sum(step >= task.steps for step, task in zip(self._steps, self._tasks, strict=True))
        elapsed = self._whole.format_dict["elapsed"]
        rate = (done - self._initial) / elapsed if elapsed else 0.0
        left = tqdm.format_interval((self._total - done) / rate) if rate else "?"
        parts = [f"{done}/{self._total} steps", f"{finished}/{len(self._tasks)} tasks", f"{rate:.3g} steps/s"]
        parts += [f"{left} left"] + ([text] if text else [])
        print(", ".join(parts), file=sys.stderr, flush=True)

    def _finish(self) -> None:
        for bar in self._single.values():
            bar.close()
        self._whole.close()


class _Nowhere:
    """A stream that takes everything."""

    def write(self, text: str) -> None: ...

    def flush(self) -> None: ...
