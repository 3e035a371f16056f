"""Paths as people write them."""

from pathlib import Path

from experiments.errors import UsageError


def path_of(text: str | Path) -> Path:
    """The path that a text means, with `~` and `~NAME` for home folders.

    Raises:
        UsageError: it is none: a home folder that there is not, or a character that no name may have.

    >>> path_of("runs/mine").parts
    ('runs', 'mine')
    """
    shown = str(text) if len(str(text)) <= 80 else f"{str(text)[:80]}..."
    if "\0" in str(text):
        raise UsageError(f"{shown!r} is no path: it contains the character 0")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UsageError(f"{shown} is no path: there is no home folder of that name") from None
