"""The folder of a run: who may work in it, and how a new run takes the place of an old one.

The lock `.NAME.lock` lies beside the folder NAME, not in it: it stays in force while the folder is replaced, and when
somebody deletes the folder of a live run no second run begins in its place.
"""

import os
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from experiments.errors import ExperimentError, OutputError, UsageError
from experiments.paths import path_of
from experiments.store.files import clear_drafts, write

#: What every run folder holds from its first moment on.
MARKS = ("config.yaml", "environment.json")
#: Names the run that works in the folder; workers end when it is gone or another's.
SESSION = ".session"


class RunFolder:
    """A run folder held by this process until `close`."""

    def __init__(self, path: Path, lock: Any):
        self.path = path
        self.session = secrets.token_hex(8)
        self._lock = lock
        self._ended = self._lost = False
        write(path / SESSION, self.session)

    def end_session(self) -> None:
        """Tell all workers, wherever they are, to save and end."""
        self._lost = self.is_lost()
        self._ended = True
        if is_current(self.path, self.session):
            with suppress(OSError):
                (self.path / SESSION).unlink()

    def is_lost(self) -> bool:
        """Whether somebody deleted the folder, or what is in it, while it was held."""
        return self._lost or (not self._ended and not is_current(self.path, self.session))

    def close(self) -> None:
        """Let others have the folder."""
        self.end_session()
        self._lock.release()


def is_current(folder: Path, session: str) -> bool:
    """Whether the run that gave a worker its task still works in the folder."""
    try:
        return (folder / SESSION).read_text() == session
    except (OSError, ValueError):
        return False


def claim(path: Path | None, name: str, files: Mapping[str, str], *, overwrite: bool = False) -> RunFolder:
    """Make a run folder with its first files, complete from the first moment on, and hold it.

    Args:
        path: the folder, or None for a new one: runs/NAME/DATE-TIME, with the link runs/NAME/latest beside it.
        name: NAME.
        files: the content of `config.yaml`, `environment.json` and whatever else the run begins with.
        overwrite: replace the run that is there, once the new one has begun; never one that is live.

    Raises:
        OutputError: the folder is taken, is no run folder, or cannot be written; nothing was written then.
    """
    if path is not None:
        return _claim(Path(os.path.abspath(path_of(path))), files, overwrite)
    runs = Path(os.path.abspath("runs")) / name
    moment = time.strftime("%Y-%m-%d-%H%M%S")
    for count in range(1, 1000):
        candidate = runs / (moment if count == 1 else f"{moment}-{count}")
        try:
            held = _claim(candidate, files, False)
        except _Taken:
            continue
        _point_latest(candidate)
        return held
    raise OutputError(f"{runs} has a thousand runs that began at {moment}; choose another folder: --output FOLDER")


def reopen(path: Path) -> RunFolder:
    """Hold the folder of a run that ended or was broken off.

    Raises:
        UsageError: it is no run folder, or another process works in it.
    """
    path = locate(path)
    lock = _lock(path)
    try:
        _recover(path)
        if not is_run(path):
            raise UsageError(f"{path} is not the folder of a run: it has no {' and '.join(MARKS)}")
        clear_drafts(path)
        return RunFolder(path, lock)
    except BaseException:
        lock.release()
        raise


def locate(path: Path) -> Path:
    """The run folder that a path means: the folder itself, or what `latest` names.

    Raises:
        UsageError: there is nothing.
    """
    path = Path(os.path.abspath(path_of(path)))
    try:
        if path.is_file():  # `latest` where links are impossible
            with path.open(encoding="utf-8") as file:
                path = path.parent / file.read(256).strip()
        return path.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        if _beside(path, "replaced").is_dir():
            return path
        raise UsageError(f"there is no run folder {path}") from None


def is_run(path: Path) -> bool:
    """Whether a folder is one of a run."""
    return all((path / mark).is_file() for mark in MARKS)


class _Taken(OutputError):
    """Another run has the folder."""


def _claim(path: Path, files: Mapping[str, str], overwrite: bool) -> RunFolder:
    made: list[Path] = []
    try:
        _check_vacant(path, overwrite)
        for parent in [*reversed(path.parents)]:
            if not parent.exists():
                with suppress(FileExistsError):
                    parent.mkdir()
                    made.append(parent)
        lock = _lock(path)
    except OSError as error:
        _remove_empty(made)
        raise OutputError(f"the run folder {path} cannot be written: {error.strerror or error}") from None
    try:
        _recover(path)
        _check_vacant(path, overwrite)  # again, now that nobody else can change it
        return _fill(path, files, lock)
    except OSError as error:
        lock.release()
        raise OutputError(f"the run folder {path} cannot be written: {error.strerror or error}") from None
    except ExperimentError as error:
        lock.release()
        raise error if isinstance(error, UsageError) else OutputError(str(error)) from None
    except BaseException:
        lock.release()
        raise


def _fill(path: Path, files: Mapping[str, str], lock: Any) -> RunFolder:
    draft, replaced = _beside(path, "draft"), _beside(path, "replaced")
    try:
        draft.mkdir()
        for name, content in files.items():
            write(draft / name, content)
        if path.exists():
            path.rename(replaced)
        draft.rename(path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        _recover(path)
        raise
    held = RunFolder(path, lock)
    shutil.rmtree(replaced, ignore_errors=True)
    return held


def _recover(path: Path) -> None:
    """Clear up after a claim that was killed: the new run is there and the old one goes, or the old one comes back."""
    draft, replaced = _beside(path, "draft"), _beside(path, "replaced")
    shutil.rmtree(draft, ignore_errors=True)
    if replaced.exists() and not path.exists():
        replaced.rename(path)
    shutil.rmtree(replaced, ignore_errors=True)


def _check_vacant(path: Path, overwrite: bool) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise OutputError(f"the run folder {path} exists and is not a folder; choose another: --output FOLDER")
    if not path.exists() or not any(path.iterdir()):
        return
    if not is_run(path):
        raise OutputError(f"the folder {path} holds files that are not of a run; choose another: --output FOLDER")
    if not overwrite:
        raise _Taken(
            f"the run folder {path} exists already; nothing in it was touched. Go on with it by 'hograd resume', "
            "choose another with --output FOLDER, or replace it with --overwrite."
        )


def _lock(path: Path) -> Any:
    try:
        from filelock import FileLock, Timeout
    except ImportError:
        raise UsageError('runs need filelock, of the extra `experiments`: pip install "hograd[experiments]"') from None
    lock = FileLock(_beside(path, "lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise _Taken(f"another process works in the run folder {path}; nothing in it was touched.") from None
    return lock


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{kind}")


def _remove_empty(folders: list[Path]) -> None:
    for folder in reversed(folders):
        with suppress(OSError):
            folder.rmdir()


def _point_latest(path: Path) -> None:
    """Make `latest` beside a run folder its link, or a text file with its name where links are impossible."""
    latest, draft = path.with_name("latest"), path.with_name(f".latest.{os.getpid()}")
    if latest.is_dir() and not latest.is_symlink():
        return
    try:
        draft.symlink_to(path.name)
        os.replace(draft, latest)
    except (OSError, NotImplementedError):
        with suppress(ExperimentError):
            write(latest, path.name + "\n")
