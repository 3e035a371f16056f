"""The configs that come with hograd: in a clone they lie in configs/, in an installed package beside its modules."""

from __future__ import annotations

from pathlib import Path

from experiments.errors import UsageError
from experiments.paths import path_of


def configs() -> dict[str, Path]:
    """All of them by name."""
    package = Path(__file__).parents[1]
    for folder in (package / "shipped", package.parent / "configs"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return {}


def located(name: str) -> Path:
    """The config that a command line means: a file, or else one that comes with hograd."""
    path = path_of(name)
    if path.suffix or path.exists() or len(path.parts) != 1:
        return path
    return configs().get(name, path)


def copy(name: str, *, overwrite: bool = False) -> Path:
    """Write a config that comes with hograd into the current folder."""
    import difflib

    known = configs()
    stem = name.removesuffix(".yaml")
    if stem not in known:
        close = [one for one in known if stem and one.startswith(stem)] or difflib.get_close_matches(stem, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
        raise UsageError(f"no config named '{name}' comes with hograd{hint}")
    target = Path(f"{stem}.yaml")
    try:
        with target.open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(known[stem].read_text(encoding="utf-8"))
    except FileExistsError:
        raise UsageError(f"{target} exists already; nothing in it was touched. Replace it with --overwrite") from None
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from None
    return target
