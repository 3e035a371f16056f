"""Run an experiment into a folder that is complete however the run ends.

config.yaml       the resolved config: `hograd run` repeats the run from it
environment.json  versions, platform, seeds, command line
metrics.jsonl     one JSON object a line, written as the work goes
learned/          what was learned, one file a seed
*.png             the plots
table.txt         the table that is printed at the end
summary.json      how the run ended, and its results
"""

import importlib
import json
import os
import platform
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import yaml

import hograd
from experiments import config as configs
from experiments.errors import ExperimentError, OutputError
from experiments.report.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from experiments.schema import Experiment

DISTRIBUTIONS = (
    "hograd",
    "numpy",
    "scipy",
    "optree",
    "pydantic",
    "scikit-learn",
    "matplotlib",
    "safetensors",
)


class Problem(Protocol):
    """What a module in `experiments.problems` offers under the name `Problem`."""

    def __init__(self, config: Any, run: "Run"): ...

    def work(self) -> None:
        """Do everything; may be interrupted anywhere, and may raise DivergedError."""
        ...

    def finish(self) -> tuple[dict[str, Any], str]:
        """Write the learned values and plots of what was done so far; the results and their table."""
        ...


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM."""


class Run:
    """A run folder being filled. Files are written whole or not at all; metrics line by line."""

    def __init__(self, folder: Path, progress: Progress):
        self.folder = folder
        self.progress = progress
        self._metrics = (folder / "metrics.jsonl").open("a", encoding="utf-8")

    def log(self, **record: Any) -> None:
        """Append one line to metrics.jsonl and hand it to the operating system."""
        with self._writing("metrics.jsonl"):
            self._metrics.write(json.dumps(_finite(record), allow_nan=False) + "\n")
            self._metrics.flush()

    def write_text(self, name: str, text: str) -> None:
        """Write one file of the folder, by a temporary file beside it."""
        self._write(name, text.encode())

    def write_json(self, name: str, value: Any) -> None:
        """Write a value as JSON; a number that is not finite becomes null."""
        self.write_text(name, json.dumps(_finite(value), indent=2, allow_nan=False) + "\n")

    def write_yaml(self, name: str, comment: str, values: Mapping[str, Any]) -> None:
        """Write values as YAML for reading: a comment above, and numbers of six digits."""
        text = yaml.safe_dump(_rounded(values), sort_keys=False, default_flow_style=None, width=78)
        self.write_text(name, f"# {comment}\n{text}")

    def write_tensors(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write named arrays as safetensors, bit for bit."""
        from safetensors.numpy import save

        self._write(name, save({key: np.asarray(array, order="C") for key, array in arrays.items()}))

    def write_figure(self, name: str, figure: "Figure") -> None:
        """Write a figure as PNG."""
        with self._temporary(name) as path:
            figure.savefig(path, format="png")

    def close(self) -> None:
        self._metrics.close()

    def _write(self, name: str, content: bytes) -> None:
        with self._temporary(name) as path:
            path.write_bytes(content)

    @contextmanager
    def _temporary(self, name: str) -> Iterator[Path]:
        target = self.folder / name
        path = target.with_name(f".{target.name}.partial")
        with self._writing(name):
            target.parent.mkdir(exist_ok=True)
            try:
                yield path
                os.replace(path, target)
            finally:
                path.unlink(missing_ok=True)

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"{self.folder / name} cannot be written: {error.strerror}") from None


def execute(config: "Experiment", *, overwrite: bool = False, quiet: bool = False) -> int:
    """Run a checked config and return the exit code: 0, 1 after a failure, 130 or 143 after an interrupt.

    Raises:
        OutputError: the run folder exists already or cannot be written; nothing was written then.
    """
    from experiments.schema import EXPERIMENTS

    problem_class: type[Problem] = importlib.import_module(EXPERIMENTS[config.experiment].module).Problem
    with closing(Run(_create(config, overwrite), Progress(quiet))) as run:
        return _work(problem_class(config, run), run)


def _work(problem: Problem, run: "Run") -> int:
    started = time.perf_counter()
    error: BaseException | None = None
    # A number that is not finite is no warning here: it is reported with its outer step.
    with np.errstate(all="ignore"), _signals(_terminate, signal.SIGTERM):
        try:
            problem.work()
        except BaseException as raised:
            error = raised
        with _signals(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM):
            status, code = _status(error)
            if status == "interrupted":
                run.progress.note("Interrupted: writing what was done so far.")
            seconds = time.perf_counter() - started
            results, table = problem.finish()
            message = str(error) if status == "failed" else None
            run.write_json(
                "summary.json",
                {"status": status, "error": message, "seconds": round(seconds, 3), "results": results},
            )
            run.write_text("table.txt", table + "\n")
    if error is not None and not isinstance(error, KeyboardInterrupt | ExperimentError):
        raise error
    print(f"{table}\n\n{status.capitalize()} after {seconds:.1f} s; everything is in {run.folder}", flush=True)
    if message is not None:
        print(f"hograd: error: {message}", file=sys.stderr)
    return code


def _status(error: BaseException | None) -> tuple[str, int]:
    if error is None:
        return "finished", 0
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", 128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)
    return "failed", error.exit_code if isinstance(error, ExperimentError) else 1


def _terminate(number: int, frame: Any) -> None:
    raise Terminated


@contextmanager
def _signals(handler: Any, *numbers: int) -> Iterator[None]:
    """Handle signals otherwise for a while; only the main thread can, elsewhere they are left as they are."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


def _create(config: "Experiment", overwrite: bool) -> Path:
    """Make the run folder with its config and environment: built beside its place, then moved there."""
    folder = Path(config.output).expanduser()
    draft = folder.parent / f".{folder.name}.{os.getpid()}.partial"
    try:
        _check_vacant(folder, overwrite)
        draft.mkdir(parents=True)
        head = "# The resolved config of a run. Repeat it: hograd run THIS_FILE --output FOLDER\n"
        (draft / "config.yaml").write_text(head + configs.dump(config), encoding="utf-8")
        (draft / "environment.json").write_text(json.dumps(_environment(config), indent=2) + "\n")
        (draft / "metrics.jsonl").touch()
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    except OSError as error:
        raise OutputError(f"the run folder {folder} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _check_vacant(folder: Path, overwrite: bool) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise OutputError(f"the run folder {folder} exists and is not a folder; choose another: --output FOLDER")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / "metrics.jsonl").is_file() or not (folder / "environment.json").is_file():
        raise OutputError(f"the folder {folder} holds files that are not of a run; choose another: --output FOLDER")
    if not overwrite:
        raise OutputError(
            f"the run folder {folder} exists already; nothing in it was touched.\n"
            "Choose another folder with --output FOLDER, or replace this one with --overwrite."
        )


def _environment(config: "Experiment") -> dict[str, Any]:
    versions = {}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "seeds": config.seeds,
        "versions": {"python": platform.python_version(), "hograd": hograd.__version__, **versions},
        "platform": platform.platform(),
        "processors": os.cpu_count(),
    }


def _finite(value: Any) -> Any:
    """The value with None for every number that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
