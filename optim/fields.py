"""Frozen dataclasses that are trees: their fields are branches, but for those declared `static`."""

from __future__ import annotations

import dataclasses
from typing import Any

from hograd import tree


def static(*, default: Any = dataclasses.MISSING, kw_only: bool = True) -> Any:
    """A field that is an option and not a hyperparameter: it is no leaf of the tree, and is given by its name."""
    return dataclasses.field(default=default, kw_only=kw_only, metadata={"static": True})


def fields(cls: Any) -> list[str]:
    """Names of the fields that are branches."""
    return [f.name for f in dataclasses.fields(cls) if not f.metadata.get("static")]


def written(instance: Any) -> str:
    """The call that makes an instance, without options at their defaults."""
    fields = [(f, getattr(instance, f.name)) for f in dataclasses.fields(instance)]
    shown = [f"{f.name}={value!r}" for f, value in fields if not f.metadata.get("static") or value != f.default]
    return f"{type(instance).__name__}({', '.join(shown)})"


def declare(cls: type) -> None:
    """Make a class a frozen dataclass and a tree."""
    dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
    if cls.__repr__ is object.__repr__:
        setattr(cls, "__repr__", written)  # noqa: B010  (a plain assignment is an error to the type checker)
    names = fields(cls)
    options = [f.name for f in dataclasses.fields(cls) if f.metadata.get("static")]  # type: ignore[arg-type]

    def flatten(instance: Any) -> Any:
        values = tuple(getattr(instance, name) for name in names)
        return values, tuple(getattr(instance, name) for name in options), tuple(names)

    def unflatten(metadata: Any, values: Any) -> Any:
        # Whatever a tree operation put in the leaves' places, so nothing is checked.
        instance = object.__new__(cls)
        for name, value in zip((*names, *options), (*values, *metadata), strict=True):
            object.__setattr__(instance, name, value)
        return instance

    tree.register(cls, flatten, unflatten)
