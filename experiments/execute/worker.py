"""Runs one task from its last checkpoint to its end, in whatever process."""

import dataclasses
import math
import os
import signal
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import hograd as ho
from experiments.errors import ExperimentError, StorageError, UsageError
from experiments.execute.interrupts import Interrupted, Stop, listening
from experiments.experiment import Experiment, Metrics, Task
from experiments.store.checkpoints import Checkpoints, Plan
from experiments.store.files import write, writing
from experiments.store.folder import is_current
from experiments.store.tasks import MetricsFile, TaskFolder

#: Makes an experiment of the plain values of its resolved config.
REBUILD = "experiments.configuration.load:experiment_from"
#: How long a step may go on after the end was asked for; then its state before is saved without waiting for it.
GRACE = 0.7


@dataclasses.dataclass(frozen=True)
class Job:
    """All that a worker needs to know, as plain values."""

    values: Mapping[str, Any]
    seeds: tuple[int, ...]
    task: str
    folder: str
    session: str
    plan: Plan
    threads: int = 1
    rebuild: str = REBUILD
    #: Whether the process is the worker's own, so that it may end it when a step cannot be broken off.
    own_process: bool = False


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a worker left its task."""

    status: str
    error: str | None = None
    #: No other task can be expected to go better, such as when the disk is full.
    fatal: bool = False


def rebuild(values: Mapping[str, Any], how: str = REBUILD) -> Experiment:
    """The experiment of a resolved config; `how` is the function that makes it, as "package.module:function"."""
    module, _, function = how.partition(":")
    return getattr(import_module(module), function)(values)


def work(job: Job, abandon: Callable[[], None] | None = None) -> Ending:
    """Run a task until it is done, broken off or failed; what was done before is not done again.

    Args:
        job: the task.
        abandon: ends the process after a step that could not be broken off in time; the state before it was saved.
    """
    folder = TaskFolder(Path(job.folder), job.task)
    try:
        with listening() as stop, folder.lock(), limited(job.threads), np.errstate(all="ignore"):
            if not is_current(Path(job.folder), job.session):
                return Ending("interrupted")
            return _Work(job, folder, stop, abandon).run()
    except ExperimentError as error:
        return Ending("failed", str(error), isinstance(error, StorageError | UsageError))
    except KeyboardInterrupt:
        return Ending("interrupted")


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """BLAS with a number of threads, on which the last bits of its results depend."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise UsageError(
            'runs need threadpoolctl, of the extra `experiments`: pip install "hograd[experiments]"'
        ) from None
    with threadpool_limits(limits=threads):
        yield


@dataclasses.dataclass(frozen=True)
class _Complete:
    """The last state that is complete, with its line of metrics."""

    state: Any
    step: int
    offset: int
    #: Step and score of the best checkpoint.
    best: tuple[int, float] | None


class _Work:
    def __init__(self, job: Job, folder: TaskFolder, stop: Stop, abandon: Callable[[], None] | None):
        self.job, self.folder, self.stop, self.abandon = job, folder, stop, abandon
        self.checkpoints = Checkpoints(folder.checkpoints, job.plan)
        self.complete: _Complete | None = None
        self.saved: int | None = None
        self.writing = threading.RLock()
        self.abandoned = False
        self.ended = threading.Event()
        self.begun, self.seconds = time.monotonic(), folder.seconds()

    def run(self) -> Ending:
        watcher = threading.Thread(target=self.watch, daemon=True, name="watcher")
        watcher.start()
        try:
            return self.go()
        except Interrupted:
            return self.interrupted()
        except StorageError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            return self.failed(error)
        finally:
            self.ended.set()
            watcher.join()

    def go(self) -> Ending:
        with self.stop.interruptible():
            found = rebuild(self.job.values, self.job.rebuild).tasks(self.job.seeds)
            task = next(task for task in found if task.name == self.job.task)
            task.prepare()
        for left in (self.folder.result, self.folder.path / "status.json", self.folder.path / "error.txt"):
            left.unlink(missing_ok=True)
        metrics = self.begin(task)
        try:
            self.steps(task, metrics)
        except Interrupted:
            with self.writing:
                self.save()
            with suppress(Exception):  # what a report shows meanwhile; a second signal changes nothing
                self.folder.write_result(task.result(self.now.state))
            raise
        finally:
            metrics.close()
        with self.stop.interruptible():
            result = task.result(self.now.state)
        self.folder.write_result(result)
        self.finish("finished")
        return Ending("finished")

    def begin(self, task: Task) -> MetricsFile:
        """Take up the last checkpoint, or start."""
        size = self.folder.metrics.stat().st_size if self.folder.metrics.exists() else 0
        tree = self.checkpoints.latest(lambda t: "its metrics are lost" if t["offset"] > size else None)
        if tree is None:
            with self.stop.interruptible():
                state = canonical(task.start(), task.name)
            self.complete = _Complete(state, 0, 0, None)
        else:
            best = tree["best"]
            self.complete = _Complete(tree["state"], tree["step"], tree["offset"], best and tuple(best))
            self.saved = tree["step"]
        return MetricsFile(self.folder.metrics, task.name, self.now.offset)

    @property
    def now(self) -> _Complete:
        assert self.complete is not None
        return self.complete

    def steps(self, task: Task, metrics: MetricsFile) -> None:
        plan = self.job.plan
        saved_at, shown_at, text = time.monotonic(), 0.0, ""
        self.folder.show_progress(self.now.step, text)
        if self.now.step and plan.scheduled(self.now.step):  # an interrupt may have saved it before it was judged
            self.checkpoint(task, metrics)
        while not task.done(self.now.state):
            with self.stop.interruptible():
                state, measured = task.step(self.now.state)
                state = canonical(state, task.name)
            with self.writing:
                if self.abandoned:
                    raise Interrupted(self.stop.number)
                step = self.now.step + 1
                metrics.append(step, measured)
                self.complete = _Complete(state, step, metrics.offset, self.now.best)
            moment = time.monotonic()
            if plan.scheduled(step):
                self.checkpoint(task, metrics)
                saved_at = moment
            elif plan.every_seconds is not None and moment - saved_at >= plan.every_seconds:
                with self.writing:
                    self.save(metrics)
                    self.checkpoints.prune(self.now.best and self.now.best[0])
                saved_at = moment
            text = _figure(measured)
            if moment - shown_at >= 0.2:
                self.folder.show_progress(step, text)
                shown_at = moment
        self.checkpoint(task, metrics, final=self.now.step)
        self.folder.show_progress(self.now.step, text)

    def checkpoint(self, task: Task, metrics: MetricsFile, final: int | None = None) -> None:
        """A checkpoint that is kept, as far as it is one of the last or the best."""
        now = self.now
        score = task.score(now.state)
        with self.writing:
            if score is not None and not math.isnan(score) and (now.best is None or float(score) < now.best[1]):
                self.complete = dataclasses.replace(now, best=(now.step, float(score)))
            if self.saved != now.step or self.now.best != now.best:
                self.save(metrics)
            self.checkpoints.prune(self.now.best and self.now.best[0], final)

    def save(self, metrics: MetricsFile | None = None) -> None:
        """Save the last complete state, once its lines of metrics are on the disk."""
        now = self.complete
        if now is None or (metrics is None and self.saved == now.step):
            return
        if metrics is not None:
            metrics.flush()
        else:
            with writing(self.folder.metrics), open(self.folder.metrics, "r+b") as file:
                os.fsync(file.fileno())
        tree = {"step": now.step, "offset": now.offset, "best": now.best and list(now.best), "state": now.state}
        self.checkpoints.save(now.step, tree)
        self.saved = now.step
        self.folder.set_seconds(self.seconds + time.monotonic() - self.begun)

    def finish(self, status: str, error: str | None = None) -> None:
        self.folder.set_seconds(self.seconds + time.monotonic() - self.begun)
        self.folder.set_status(status, error)

    def interrupted(self) -> Ending:
        with self.writing:
            if not self.abandoned:
                self.finish("interrupted")
        return Ending("interrupted")

    def failed(self, error: BaseException) -> Ending:
        """Keep what was done before a failure, and where in the code it was."""
        text = str(error) if isinstance(error, ExperimentError) else f"{type(error).__name__}: {error}".splitlines()[0]
        with self.writing:
            self.save()
            if not isinstance(error, ExperimentError):
                write(self.folder.path / "error.txt", "".join(traceback.format_exception(error)))
                text += f" (the traceback is in {self.folder.path / 'error.txt'})"
            self.finish("failed", text)
        return Ending("failed", text)

    def watch(self) -> None:
        """Notice from outside of the step that the work is to end, and save if the step does not end in time."""
        run = Path(self.job.folder)
        while not self.ended.wait(0.1):
            if self.stop.number is None and not is_current(run, self.job.session):
                self.stop.request(signal.SIGTERM)
                self.stop.break_off()
            if self.stop.number is not None and time.monotonic() - self.stop.moment > GRACE:
                with self.writing:
                    if self.ended.is_set():
                        return
                    self.abandoned = True
                    with suppress(Exception):
                        self.save()
                        self.finish("interrupted")
                if self.abandon is not None:
                    self.abandon()
                if self.job.own_process:
                    os._exit(1)
                return


def canonical(state: Any, task: str) -> Any:
    """A state as it would come back from a checkpoint, so that it makes no difference whether it did.

    The last bits of a product depend on the order in which its matrices lie in memory, and what hangs on a graph keeps
    it alive.
    """
    made: dict[int, Any] = {}

    def convert(value: Any, path: str) -> Any:
        kind = type(value)
        if value is None or kind in (bool, int, float, complex, str) or isinstance(value, np.generic):
            return value
        if kind in (list, tuple):
            return kind(convert(item, f"{path}[{i}]") for i, item in enumerate(value))
        if kind in (dict, OrderedDict):
            return kind((key, convert(item, f"{path}[{key!r}]")) for key, item in value.items())
        if isinstance(value, ho.Tensor):
            if id(value) not in made:
                made[id(value)] = _canonical_tensor(value)
            return made[id(value)]
        if kind in (np.ndarray, np.memmap):
            if id(value) not in made:
                made[id(value)] = _canonical_array(value)
            return made[id(value)]
        raise TypeError(
            f"the state of task {task} holds a {kind.__module__}.{kind.__qualname__} at state{path}; expected tensors, "
            "arrays, numbers, text or None in lists, tuples and dicts: of an optimizer, keep its hyperparameters"
        )

    return convert(state, "")


def _canonical_array(array: np.ndarray) -> np.ndarray:
    if type(array) is np.ndarray and array.flags.c_contiguous and array.dtype.isnative:
        return array
    return np.array(array, dtype=array.dtype.newbyteorder("="), order="C", subok=False)


def _canonical_tensor(tensor: ho.Tensor) -> ho.Tensor:
    array = np.asarray(tensor.detach().numpy())
    if array.flags.c_contiguous and (not tensor.requires_grad or tensor.is_leaf):
        return tensor
    return ho.from_numpy(np.array(array, order="C")).requires_grad_(tensor.requires_grad)


def _figure(measured: Metrics) -> str:
    """The first number that was measured, for the progress."""
    for name, value in measured.items():
        with suppress(TypeError, ValueError):
            if not isinstance(value, bool | str):
                return f"{name} {float(value):.4g}"
    return ""
