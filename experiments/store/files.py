"""Writing the files of a run: whole or not at all, with errors that name the file."""

import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

import hograd as ho
from experiments.errors import StorageError
from hograd.files import write as write_whole


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the file system refuses becomes one line that names the file."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from None


def write(path: Path, content: bytes | str) -> None:
    """Write a file beside its place, flush it to the disk and rename it."""
    with writing(path):
        write_whole(path, content.encode() if isinstance(content, str) else content)


def clear_drafts(folder: Path) -> None:
    """Remove what a process that was killed while it wrote has left beside the files of a folder."""
    for draft in folder.glob(".*.partial"):
        with suppress(OSError):
            draft.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON for people to read, too."""
    write(path, json.dumps(plain(value), indent=2, allow_nan=False) + "\n")


def write_tree(path: Path, tree: Any) -> None:
    """Write a tree to the bit."""
    with writing(path):
        ho.save(path, tree)


def warn(text: str) -> None:
    """One line on stderr, as far as somebody reads it."""
    with suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(f"hograd: warning: {text}", file=sys.stderr, flush=True)


def read_json(path: Path, default: Any = None) -> Any:
    """The content of a JSON file, or the default where it is missing or no JSON."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return default


def plain(value: Any) -> Any:
    """A value as JSON holds it: arrays as lists, and None for every number that is not finite.

    >>> import numpy as np
    >>> plain({"loss": np.float32(0.5), "rates": np.array([1.0, np.inf]), "seed": 3})
    {'loss': 0.5, 'rates': [1.0, None], 'seed': 3}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, ho.Tensor):
        return plain(value.detach().numpy())
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, complex):
        return [plain(value.real), plain(value.imag)]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
