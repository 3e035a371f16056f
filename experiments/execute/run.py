"""A whole run: claim the folder, have all tasks done, and leave the folder complete however it ends."""

import dataclasses
import json
import os
import platform
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from experiments.errors import ExperimentError, UsageError
from experiments.execute.executors import REPEATS, Processes, is_broken, open_executor
from experiments.execute.interrupts import Stop, listening
from experiments.execute.settings import Settings
from experiments.execute.worker import REBUILD, Ending, Job, rebuild, work
from experiments.experiment import Experiment, Outcome
from experiments.logs import open_logs
from experiments.logs.progress import Progress
from experiments.store.checkpoints import saved_steps
from experiments.store.files import read_json, warn, write, write_json
from experiments.store.folder import RunFolder, claim, reopen
from experiments.store.tasks import TASKS, TaskFolder, describe, join, listed, outcomes

DISTRIBUTIONS = ("hograd", "numpy", "scipy", "optree", "pydantic", "scikit-learn", "matplotlib", "safetensors")
#: How long workers have to save after the end was asked for; then they are killed, and lose no more than one step.
PATIENCE = 1.2


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a run ended."""

    folder: Path
    #: "finished", "failed" or "interrupted".
    status: str
    #: 0 finished, 1 failed, 130, 143 or 129 interrupted by SIGINT, SIGTERM or SIGHUP.
    exit_code: int
    outcomes: Sequence[Outcome]
    seconds: float
    #: One line a task that failed, or the reason why the run could not go on.
    errors: Sequence[str] = ()


Report = Callable[[Path, Sequence[Outcome]], None]


def run(
    experiment: Experiment,
    values: Mapping[str, Any],
    *,
    name: str,
    folder: Path | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    text: str | None = None,
    how: str = REBUILD,
    report: Report | None = None,
) -> Ended:
    """Run an experiment from its start.

    Args:
        experiment: made from `values`.
        values: the resolved config as plain values, of which workers make the experiment again.
        name: of the config, for the default folder.
        folder: the run folder; by default runs/NAME/DATE-TIME.
        overwrite: replace the run in `folder`.
        quiet: no progress.
        text: the content of config.yaml, if it is to hold more than `values`, such as comments.
        how: the function that makes the experiment of its values, as "package.module:function".
        report: called at the end with the folder and what is stored, unless the run was interrupted.

    Raises:
        UsageError: the experiment cannot be run, or the folder is taken; nothing was written then.
    """
    settings = Settings.of(values)
    experiment.check()
    tasks = experiment.tasks(settings.seeds)
    try:
        description = describe(tasks)
    except ValueError as error:
        raise UsageError(str(error)) from None
    place = settings.place(len(tasks), experiment.memory())
    with listening() as stop, open_executor(*place) as executor:
        open_logs(settings.logs, None, [])  # an extra that is missing is named before anything is written
        files = {
            "config.yaml": text or yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True),
            "environment.json": json.dumps(environment(settings), indent=2) + "\n",
            TASKS: description,
        }
        stop.check()
        held = claim(folder, name, files, overwrite=overwrite)
        return _Run(held, values, settings, how, quiet, stop).conduct(executor, place, report)


def resume(
    folder: Path,
    *,
    values: Mapping[str, Any] | None = None,
    quiet: bool = False,
    how: str = REBUILD,
    report: Report | None = None,
) -> Ended:
    """Go on with a run that was interrupted, killed or failed; one that is finished stays as it is.

    Args:
        folder: the run folder, or the `latest` beside it.
        values: the resolved config, by default that of the folder. How it runs (executor, workers, logs) may
            differ from before.
        quiet, how, report: as in `run`.

    Raises:
        UsageError: it is no run folder, or another process works in it.
    """
    with listening() as stop:
        held = reopen(folder)
        try:
            values = values or yaml.safe_load((held.path / "config.yaml").read_text(encoding="utf-8"))
            settings = Settings.of(values or {})
            experiment = rebuild(values or {}, how)
            if not listed(held.path):
                write(held.path / TASKS, describe(experiment.tasks(settings.seeds)))
            place = settings.place(len(listed(held.path)), experiment.memory())
            with open_executor(*place) as executor:
                return _Run(held, values or {}, settings, how, quiet, stop).conduct(executor, place, report)
        finally:
            held.close()


class _Run:
    def __init__(
        self, held: RunFolder, values: Mapping[str, Any], settings: Settings, how: str, quiet: bool, stop: Stop
    ):
        self.held, self.values, self.settings, self.how, self.stop = held, values, settings, how, stop
        self.folder = held.path
        self.quiet = quiet
        self.begun = time.monotonic()
        found = read_json(self.folder / "status.json")
        #: Of the processes that worked on the run before.
        self.before = float(found.get("seconds") or 0) if isinstance(found, dict) else 0.0
        self.worked = False
        self.errors: list[str] = []
        self.fatal = False
        self.ending = threading.Lock()

    def conduct(self, executor: Executor, place: tuple[str, int], report: Report | None) -> Ended:
        """Have the tasks done and conclude."""
        try:
            try:
                before = {"seconds": self.before} if self.before else {}
                write_json(self.folder / "status.json", {"status": "running", **before})
                tasks = listed(self.folder)
                logs = open_logs(self.settings.logs, self.folder, tasks)
                with Progress(self.folder, tasks, logs, quiet=self.quiet):
                    self.supervise(executor, place)
            except ExperimentError as error:
                self.errors.append(str(error))
            ended = self.conclude()
            if report is not None and ended.outcomes and ended.status != "interrupted":
                report(self.folder, ended.outcomes)
            return ended
        finally:
            self.held.close()

    def supervise(self, executor: Executor, place: tuple[str, int]) -> None:
        """Give tasks to workers, and again where a worker was killed."""
        kind, workers = place
        waiting = deque(self.jobs(own_process=kind == "processes"))
        self.worked = bool(waiting)
        running: dict[Future[Ending], Job] = {}
        reached: dict[str, tuple[int, int]] = {}
        while (waiting or running) and self.stop.number is None and not self.fatal:
            while waiting and len(running) < workers and self.stop.number is None and not self.fatal:
                job = waiting.popleft()
                options = {"abandon": self.abandon} if kind == "serial" else {}
                running[executor.submit(work, job, **options)] = job
                if kind == "serial":
                    break
            finished, _ = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
            for future in finished:
                job = running.pop(future)
                try:
                    ending = future.result()
                except Exception as error:
                    if not is_broken(error):
                        raise
                    ending = Ending("interrupted")
                if ending.status == "failed":
                    self.errors.append(f"task {job.task}: {ending.error}")
                    self.fatal = self.fatal or ending.fatal
                elif ending.status == "interrupted" and self.may_repeat(job, reached):
                    waiting.appendleft(job)
        if running:
            self.held.end_session()
            wait(running, timeout=PATIENCE)
            if isinstance(executor, Processes):
                executor.kill()

    def jobs(self, own_process: bool) -> list[Job]:
        """The tasks that are not done."""
        made = []
        for task in listed(self.folder):
            folder = TaskFolder(self.folder, task.name)
            if folder.status()[0] == "finished":
                if folder.read_result() is not None:
                    continue
                warn(f"{folder.result} is damaged; it is made again")
            made.append(
                Job(
                    values=dict(self.values),
                    seeds=self.settings.seeds,
                    task=task.name,
                    folder=str(self.folder),
                    session=self.held.session,
                    plan=self.settings.plan,
                    threads=self.settings.threads,
                    rebuild=self.how,
                    own_process=own_process,
                )
            )
        return made

    def may_repeat(self, job: Job, reached: dict[str, tuple[int, int]]) -> bool:
        """Whether a task whose worker was killed is given to another: not for ever, if it gets no further."""
        folder = TaskFolder(self.folder, job.task)
        step = max(saved_steps(folder.checkpoints), default=0)
        before, count = reached.get(job.task, (-1, 0))
        count = count + 1 if step == before else 1
        reached[job.task] = (step, count)
        if self.stop.number is not None or self.held.is_lost():
            return False
        if count <= REPEATS:
            return True
        reason = f"its worker was killed {count} times after step {step}; it may need more memory than there is"
        folder.set_status("failed", reason)
        self.errors.append(f"task {job.task}: {reason}")
        return False

    def conclude(self) -> Ended:
        """Write what the whole run says of its tasks, once."""
        with self.ending:
            number = self.stop.number
            seconds = self.before + (time.monotonic() - self.begun if self.worked else 0.0)
            if self.held.is_lost():  # nothing is written to what may be another's, and other errors follow from this
                reason = f"the run folder {self.folder} was deleted, or taken, while the run worked in it"
                return Ended(self.folder, "failed", 1, [], seconds, [reason])
            self.held.end_session()
            found = outcomes(self.folder)
            interrupted = number is not None and any(outcome.status != "finished" for outcome in found)
            status = "interrupted" if interrupted else "failed" if self.errors else "finished"
            try:
                join(self.folder, found)
                for outcome in found:
                    TaskFolder(self.folder, outcome.name).progress.unlink(missing_ok=True)
                write_json(
                    self.folder / "status.json",
                    {"status": status, "error": "\n".join(self.errors) or None, "seconds": round(seconds, 3)},
                )
            except ExperimentError as error:
                if str(error) not in self.errors:
                    self.errors.append(str(error))
                status = "interrupted" if interrupted else "failed"
            code = {"finished": 0, "failed": 1, "interrupted": 128 + (number or signal.SIGINT)}[status]
            return Ended(self.folder, status, code, found, seconds, tuple(self.errors))

    def abandon(self) -> None:
        """End the process although a step of a task goes on in it; all that is complete was saved."""
        ended = self.conclude()
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        os._exit(ended.exit_code)


def environment(settings: Settings) -> dict[str, Any]:
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "seeds": settings.seeds,
        "versions": versions,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
    }
