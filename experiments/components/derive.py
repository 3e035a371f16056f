"""What a component's options are, read off its signature, its annotations and the Args of its docstring."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import types
import typing
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Le, Lt

from experiments.components.registry import Choice, Kind

MISSING = inspect.Parameter.empty


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A plain value: a number, a text, a list of them ..., checked by pydantic without guessing of types."""

    annotation: Any


@dataclasses.dataclass(frozen=True)
class Pick:
    """A component of a kind, by name or as a mapping with its options."""

    kind: str


@dataclasses.dataclass(frozen=True)
class Section:
    """A mapping with the options of one dataclass."""

    make: Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Many:
    """A list, each entry by the same plan; `limits` are annotated ranges of the list itself."""

    entry: Plan
    limits: tuple[Any, ...] = ()


@dataclasses.dataclass(frozen=True)
class Fixed:
    """A list of as many entries as there are plans."""

    entries: tuple[Plan, ...]


@dataclasses.dataclass(frozen=True)
class Named:
    """A mapping from names to options: components of a kind by their names, or sections by names of your own."""

    entry: Pick | Section


@dataclasses.dataclass(frozen=True)
class Either:
    """One of several plans."""

    plans: tuple[Plan, ...]


Plan = Leaf | Pick | Section | Many | Fixed | Named | Either


class Option(NamedTuple):
    """One option of a component."""

    name: str
    plan: Plan
    default: Any
    doc: str

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is MISSING


#: Classes that annotate parameters which are components, and the kind of these: `solver: Solver`.
_BASES: dict[Any, str] = {}

#: In components of these kinds a parameter annotated `Any` is a hyperparameter: a number, or what stands for it.
_HYPERPARAMETERS: dict[str, Plan] = {
    "optimizer": Either((Leaf(float), Pick("schedule"))),
    "schedule": Leaf(float | list[float]),
    "constraint": Leaf(float),
    "single_loop": Leaf(float),
}


def base(kind: str, cls: Any) -> None:
    """Parameters annotated with this class are components of the kind."""
    _BASES[cls] = kind


@cache
def options(make: Callable[..., Any], kind: str | None = None, supplied: tuple[str, ...] = ()) -> tuple[Option, ...]:
    """The options of a component or section, in the order of its signature.

    Left out is what the experiment supplies (parameters before `/`, and those in `supplied`), and what cannot be
    written in a config, such as a function, where it has a default.

    Raises:
        TypeError: a parameter without default cannot be written in a config.
    """
    hints = _hints(make)
    docs = arguments(inspect.getdoc(make) or "")
    ranges = getattr(make, "ranges", {})
    made_anew = {
        field.name: field.default_factory
        for field in getattr(make, "__dataclass_fields__", {}).values()
        if field.default_factory is not dataclasses.MISSING
    }
    found = []
    for name, parameter in inspect.signature(make).parameters.items():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name in supplied:
            continue
        made = plan(hints.get(name, Any), kind)
        if made is None:
            if parameter.default is MISSING:
                raise TypeError(
                    f"{make.__qualname__}: the parameter {name} is annotated {hints.get(name)!r}, which cannot be "
                    "written in a config. Give it a default, or put it before `/` where the experiment supplies it."
                )
            continue
        if name in ranges:
            made = _within(made, *ranges[name])
        default = made_anew[name]() if name in made_anew else parameter.default
        found.append(Option(name, made, default, docs.get(name, "")))
    return tuple(found)


def plan(annotation: Any, kind: str | None = None) -> Plan | None:
    """How a parameter of this annotation is checked; None if a config cannot hold its values."""
    if annotation is Any:
        return _HYPERPARAMETERS.get(kind or "")
    if annotation in _BASES:
        return Pick(_BASES[annotation])
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        marks = [mark for mark in inside[1:] if isinstance(mark, Kind)]
        if marks:
            return Pick(marks[0].name)
        made = plan(inside[0], kind)
        if isinstance(made, Many):
            return Many(made.entry, inside[1:])
        return made if made is None or not isinstance(made, Leaf) else Leaf(annotation)
    if origin in (typing.Union, types.UnionType):
        return _either([plan(member, kind) for member in inside], annotation)
    if (origin is list and inside) or (origin is tuple and inside[1:] == (Ellipsis,)):
        entry = plan(inside[0], kind)
        return None if entry is None else Leaf(annotation) if isinstance(entry, Leaf) else Many(entry)
    if origin is tuple and inside:
        entries = [plan(member, kind) for member in inside]
        return None if None in entries else Fixed(tuple(entry for entry in entries if entry is not None))
    if origin is dict and len(inside) == 2:
        if inside[1] is Any or typing.get_args(inside[1])[1:] == (Any,):
            return Leaf(annotation)  # checked by who reads it
        entry = plan(inside[1], kind)
        return Named(entry) if isinstance(entry, Pick | Section) else None if entry is None else Leaf(annotation)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation) and annotation is not Choice:
        return Section(annotation)
    if annotation in (int, float, bool, str, type(None), None) or origin in (typing.Literal, list, dict, tuple):
        return Leaf(annotation)
    return None


def _either(plans: list[Plan | None], annotation: Any) -> Plan | None:
    kept = [one for one in plans if one is not None]
    if all(isinstance(one, Leaf) for one in kept):
        if len(kept) == len(plans):
            return Leaf(annotation)
        # Something that a config cannot hold, a function say, or None: worth an option only if a value is left.
        values = [one.annotation for one in kept if isinstance(one, Leaf) and one.annotation not in (None, type(None))]
        if not values:
            return None
        return Leaf(typing.Union[tuple(one.annotation for one in kept if isinstance(one, Leaf))])  # noqa: UP007
    return kept[0] if len(kept) == 1 else Either(tuple(kept))


def _within(made: Plan, least: float, bound: float, closed: bool) -> Plan:
    """The same plan with a range for its numbers."""
    if isinstance(made, Either):
        return Either(tuple(_within(one, least, bound, closed) for one in made.plans))
    if isinstance(made, Fixed):
        return Fixed(tuple(_within(one, least, bound, closed) for one in made.entries))
    if not isinstance(made, Leaf) or made.annotation is not float:
        return made
    limits: list[Any] = [Ge(least)] if least > -math.inf else []
    if bound < math.inf:
        limits.append(Le(bound) if closed else Lt(bound))
    annotation: Any = float
    for limit in limits:
        annotation = Annotated[annotation, limit]
    return Leaf(annotation)


def _hints(make: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of the parameters, also where they are written as text."""
    if inspect.isclass(make):
        hints: dict[str, Any] = {}
        if "__init__" in vars(make) and not dataclasses.is_dataclass(make):
            hints = typing.get_type_hints(make.__init__, include_extras=True)
        return hints or typing.get_type_hints(make, include_extras=True)
    return typing.get_type_hints(make, include_extras=True)


def arguments(docstring: str) -> dict[str, str]:
    '''What the Args of a docstring say of each parameter, on one line.

    >>> arguments("""One line.
    ...
    ... Args:
    ...     lr, momentum: of the optimizer,
    ...         both at least 0.
    ...     steps: how many.
    ...
    ... Returns:
    ...     All.
    ... """)
    {'lr': 'of the optimizer, both at least 0.', 'momentum': 'of the optimizer, both at least 0.', 'steps': 'how many.'}
    '''
    inside, found, names, indent = False, {}, [], None
    for line in docstring.splitlines():
        if line.strip() in ("Args:", "Arguments:"):
            inside, indent = True, None
            continue
        if not inside:
            continue
        if line and not line[0].isspace():
            break
        depth = len(line) - len(line.lstrip())
        entry = re.match(r"\s*([*\w, ]+?)(?: \(.*?\))?:\s+(.*)", line)
        if line.strip() and (indent is None or depth == indent) and entry:
            indent = depth
            names = [name.strip(" *") for name in entry[1].split(",")]
            found |= dict.fromkeys(names, entry[2].strip())
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}".strip() for name in names}
    return found


def limits(annotation: Any) -> list[Any]:
    """The ranges that an annotation carries."""
    if typing.get_origin(annotation) is not Annotated:
        return []
    inner, *marks = typing.get_args(annotation)
    return [*limits(inner), *(mark for mark in marks if isinstance(mark, Ge | Gt | Le | Lt))]
