"""Compiled code on disk, so that the next process need not compile it again.

It is run as it is read. So only a folder and files of this user are read that nobody else can write to, and a file is
whole and was written for what it is read for: a checksum covers the key, too. Where that is not so, or nothing can be
written, there is no cache, and code is compiled in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import sys
import tempfile
import time
import warnings
from pathlib import Path

#: When all together are larger, the files go that were used longest ago.
MOST_BYTES = 256 * 2**20

#: Larger files are neither written nor read.
LARGEST_BYTES = 64 * 2**20

#: So many seconds pass from one look at the whole folder to the next, and until what a writer left is taken away.
_EVERY, _LEFT = 3600, 3600

#: A file that was used is marked so when its last mark is so many seconds old.
_MARKED = 86400

#: Names of files: of code, of what is being written, and the one whose time tells when the folder was looked at.
_CODE, _PART, _PRUNED = re.compile(r"[0-9a-f]{64}\.o"), ("hograd-", ".part"), "hograd-pruned"

#: Of this file's layout.
_FORMAT = b"hograd code 2\n"


def folder() -> Path | None:
    """Where compiled code is kept: `HOGRAD_CACHE_DIR`, or the user's folder for such files; None if there is none."""
    chosen = os.environ.get("HOGRAD_CACHE_DIR")
    try:
        if chosen:
            place = Path(chosen).expanduser()
            if not place.is_absolute():
                _warn(f"HOGRAD_CACHE_DIR is {chosen!r}, expected an absolute path, or one that begins with ~")
        elif sys.platform == "win32":
            place = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "hograd" / "cache"
        elif sys.platform == "darwin":
            place = Path.home() / "Library" / "Caches" / "hograd"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or "")
            # By the specification of that variable a relative path is not followed.
            place = (base if base.is_absolute() else Path.home() / ".cache") / "hograd"
    except RuntimeError:  # no home folder
        return None
    # A relative one would be another folder, with other people's files perhaps, in each that a program runs in.
    return place if place.is_absolute() else None


def load(key: str) -> bytes | None:
    """What was stored under a key; None if nothing was, if it is damaged, or if others could have written it."""
    place = folder()
    if place is None or not _is_safe(place):
        return None
    path = place / f"{key}.o"
    data = _read(path)
    if data is None:
        return None
    head, code = data[: len(_FORMAT) + 32], data[len(_FORMAT) + 32 :]
    if head != _FORMAT + _checksum(key, code):
        _remove(path)
        return None
    return code


def store(key: str, code: bytes) -> None:
    """Keep compiled code, whole or not at all; where nothing can be written, nothing is kept."""
    place = folder()
    if place is None or len(code) > LARGEST_BYTES:
        return
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_safe(place):
            return
        _close(place)
        number, name = tempfile.mkstemp(dir=place, prefix=_PART[0], suffix=_PART[1])
        try:
            with os.fdopen(number, "wb") as file:
                file.write(_FORMAT + _checksum(key, code) + code)
            os.replace(name, place / f"{key}.o")
        except BaseException:
            _remove(Path(name))
            raise
        _prune(place)
    except OSError:
        return


def _checksum(key: str, code: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\0" + code).digest()


def _is_safe(place: Path) -> bool:
    """Whether a folder is there that belongs to this user and that nobody else can write to."""
    if not hasattr(os, "getuid"):
        return True
    try:
        found = os.lstat(place)
        if stat.S_ISLNK(found.st_mode) and found.st_uid in (0, os.getuid()):
            found = os.stat(place)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            _warn(f"the folder {place} is not a folder of this user")
            return False
        if found.st_mode & 0o022:
            # Others could have put files there before.
            _warn(f"others can write to the folder {place}: remove it, or take that away and empty it")
            return False
    except OSError:
        return False
    return True


def _close(place: Path) -> None:
    """Close the folder to others, if it is one for this alone: a home folder that was named, say, stays as it is."""
    if hasattr(os, "getuid") and place.stat().st_mode & 0o077 and all(map(_is_ours, os.listdir(place))):
        os.chmod(place, 0o700)


def _is_ours(name: str) -> bool:
    return name == _PRUNED or _CODE.fullmatch(name) is not None or _is_part(name)


def _is_part(name: str) -> bool:
    return name.startswith(_PART[0]) and name.endswith(_PART[1])


def _read(path: Path) -> bytes | None:
    """A regular file of this user, of a size that is sensible, that others cannot write to."""
    # Neither through a link nor waiting for the other end of a pipe.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        number = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    with contextlib.suppress(OSError), os.fdopen(number, "rb") as file:
        found = os.fstat(number)
        owned = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022)
        if not (stat.S_ISREG(found.st_mode) and owned and found.st_size <= LARGEST_BYTES + 1024):
            return None
        data = file.read(LARGEST_BYTES + 1024)
        if time.time() - found.st_mtime > _MARKED:
            with contextlib.suppress(OSError):
                os.utime(path)
        return data
    return None


def _prune(place: Path) -> None:
    """Now and then, take away what was used longest ago, and what writers left that were ended."""
    mark, now = place / _PRUNED, time.time()
    with contextlib.suppress(OSError):
        if 0 <= now - mark.lstat().st_mtime < _EVERY:
            return
    # Whoever else comes meanwhile sees that it is being done.
    mark.touch(0o600)
    os.utime(mark)
    files = []
    with os.scandir(place) as entries:
        for entry in entries:
            # Another process may take it away at any time.
            with contextlib.suppress(OSError):
                found = entry.stat(follow_symlinks=False)
                if _is_part(entry.name) and now - found.st_mtime > _LEFT:
                    _remove(Path(entry.path))
                elif _CODE.fullmatch(entry.name):
                    files.append((found.st_mtime, found.st_size, entry.path))
    total = 0
    for _, size, path in sorted(files, reverse=True):
        total += size
        if total > MOST_BYTES:
            _remove(Path(path))


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


_warned: set[str] = set()


def _warn(reason: str) -> None:
    """Tell once why there is no cache."""
    if reason not in _warned:
        _warned.add(reason)
        message = f"machine code is compiled anew in each process: {reason}."
        warnings.warn(message, RuntimeWarning, stacklevel=2)
