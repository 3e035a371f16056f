"""Compiled code on disk, so that the next process need not compile it again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from pathlib import Path

#: The oldest files go when all together are larger.
MOST_BYTES = 256 * 2**20


def folder() -> Path:
    """Where compiled code is kept: `HOGRAD_CACHE_DIR`, or the user's folder for such files."""
    chosen = os.environ.get("HOGRAD_CACHE_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "hograd" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "hograd"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hograd"


def load(key: str) -> bytes | None:
    """What was stored under a key; None if nothing was, or if it is damaged."""
    try:
        data = (folder() / f"{key}.o").read_bytes()
    except (OSError, RuntimeError):  # no home folder
        return None
    check, code = data[:32], data[32:]
    return code if hashlib.sha256(code).digest() == check else None


def store(key: str, code: bytes) -> None:
    """Keep compiled code, whole or not at all; where nothing can be written, nothing is kept."""
    with contextlib.suppress(OSError, RuntimeError):
        place = folder()
        place.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=place, suffix=".part")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            os.replace(name, place / f"{key}.o")
        except OSError:
            os.unlink(name)
            raise
        _prune(place)


def _prune(place: Path) -> None:
    files = sorted(((p.stat().st_mtime, p.stat().st_size, p) for p in place.glob("*.o")), reverse=True)
    total = 0
    for _, size, path in files:
        total += size
        if total > MOST_BYTES:
            path.unlink(missing_ok=True)
