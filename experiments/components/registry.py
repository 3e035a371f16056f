"""Named parts of experiments: what a config calls `{name: mlp, hidden: [64]}`, or just `mlp`.

A component is a class or function. Parameters before `/` are supplied by the experiment that uses it, all others are
the options that a config may give; their types, ranges, defaults and descriptions are read off the signature and the
docstring. Your own stands in a file that the config names by `module: ./mine.py`:

    from experiments.components import register

    @register("model")
    def cubic(inputs, outputs, /, *, scale: float = 1.0):
        '''A model of my own.'''
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Annotated, Any, TypeVar

Make = TypeVar("Make", bound=Callable[..., Any])

#: Every kind, the modules that register the components that come with hograd, and what one of them is.
KINDS: dict[str, tuple[str, str]] = {
    "experiment": ("experiments.recipes", "what is run: its sections are the keys of a config"),
    "optimizer": ("experiments.components.optimizers", "how parameters are stepped"),
    "schedule": ("experiments.components.optimizers", "a hyperparameter that changes from step to step"),
    "minimizer": ("experiments.components.optimizers", "how an inner problem is solved to its end"),
    "constraint": ("experiments.components.constraints", "the range that a learned quantity keeps to"),
    "method": ("experiments.components.methods", "an estimator of the hypergradient"),
    "solver": ("experiments.components.methods", "how an implicit estimator solves its linear system"),
    "single_loop": ("experiments.components.methods", "a bilevel algorithm that steps inner and outer together"),
    "model": ("experiments.components.models", "a network"),
    "loss": ("experiments.components.losses", "what training makes small"),
    "data": ("experiments.components.data", "a data set"),
    "tasks": ("experiments.components.tasks", "a family of tasks to learn from"),
    "algorithm": ("experiments.components.algorithms", "how one learns from tasks to learn a new one"),
    "learn": ("experiments.components.learn", "an outer variable: what is learned by hypergradients"),
    "baseline": ("experiments.components.baselines", "what the learned result is compared with"),
}

#: Plurals and synonyms that people write after `hograd list`.
PLURALS = {"data": "data", "tasks": "tasks", "learn": "learn", "loss": "losses"}


def plural(kind: str) -> str:
    """What several components of a kind are called: `hograd list optimizers`.

    >>> plural("optimizer"), plural("loss"), plural("data")
    ('optimizers', 'losses', 'data')
    """
    return PLURALS.get(kind, f"{kind}s")


@dataclass(frozen=True)
class Component:
    """One named part: `make` is the class or function that makes it."""

    kind: str
    name: str
    make: Callable[..., Any] = field(repr=False)
    #: Parameters that the experiment supplies by name, beside those before `/`.
    supplied: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The first sentence of its docstring, on one line."""
        text = " ".join((self.make.__doc__ or "").strip().split("\n\n")[0].split())
        return re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)[0]


@dataclass(frozen=True)
class Choice:
    """A component that a config chose, with all of its options, checked."""

    kind: str
    name: str
    options: Mapping[str, Any]
    make: Callable[..., Any] = field(repr=False, compare=False)
    #: What stands in the place of the `*` in the component's name.
    rest: tuple[str, ...] = ()

    def build(self, *supplied: Any, **named: Any) -> Any:
        """Make it, from what the experiment supplies and the options of the config.

        A component that stands for many names gets the rest of its own first.
        """
        supplied = (*self.rest, *supplied)
        # An experiment makes its parts itself, and often several times.
        options = self.options if self.kind == "experiment" else {key: built(v) for key, v in self.options.items()}
        return self.make(*supplied, **named, **options)

    def replace(self, **options: Any) -> Choice:
        """The same component with other options."""
        return replace(self, options={**self.options, **options})


@dataclass(frozen=True)
class Default:
    """The name and options of a component that is the default of a parameter."""

    name: str
    options: Mapping[str, Any] = field(hash=False)


def choose(name: str, **options: Any) -> Any:
    """A component as the default of a parameter: `optimizer: OptimizerChoice = choose("Adam", lr=0.03)`."""
    return Default(name, options)


@dataclass(frozen=True)
class Kind:
    """Marks a parameter that is itself a component."""

    name: str


#: Types of parameters that are components: `optimizer: OptimizerChoice`.
OptimizerChoice = Annotated[Choice, Kind("optimizer")]
MinimizerChoice = Annotated[Choice, Kind("minimizer")]
ConstraintChoice = Annotated[Choice, Kind("constraint")]
MethodChoice = Annotated[Choice, Kind("method")]
SingleLoopChoice = Annotated[Choice, Kind("single_loop")]
ModelChoice = Annotated[Choice, Kind("model")]
LossChoice = Annotated[Choice, Kind("loss")]
DataChoice = Annotated[Choice, Kind("data")]
TasksChoice = Annotated[Choice, Kind("tasks")]
AlgorithmChoice = Annotated[Choice, Kind("algorithm")]
LearnChoice = Annotated[Choice, Kind("learn")]
BaselineChoice = Annotated[Choice, Kind("baseline")]

#: Kinds whose components are made without anything that the experiment supplies, and so are made with their owner.
MADE_WITH_OWNER = ("optimizer", "schedule", "minimizer", "constraint", "solver")


def built(value: Any) -> Any:
    """An option as its component expects it: choices made where nothing is to be supplied, containers gone through."""
    if isinstance(value, Choice):
        return value.build() if value.kind in MADE_WITH_OWNER else value
    if isinstance(value, list | tuple):
        return type(value)(built(item) for item in value)
    if isinstance(value, dict):
        return {name: built(item) for name, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        # A section: its own options may be components.
        parts = {one.name: getattr(value, one.name) for one in fields(value) if one.init}
        made = {name: built(part) for name, part in parts.items() if isinstance(part, Choice)}
        return replace(value, **made) if made else value
    return value


_COMPONENTS: dict[str, dict[str, Component]] = {}
_loaded: set[str] = set()


def register(kind: str, name: str | None = None, *, supplied: tuple[str, ...] = ()) -> Callable[[Make], Make]:
    """Decorator that makes a class or function a component of a kind, under its own name or another.

    Args:
        kind: one of the kinds that `hograd list` shows, such as "model".
        name: what configs call it; by default what Python calls it. One that ends in `*` stands for all names that
            begin so, and is supplied the rest of the name first.
        supplied: parameters that are no options, since the experiment gives them by name; those before `/` are none
            either.

    Raises:
        ValueError: there is no such kind, or another component has that name already.

    >>> @register("model", "a_line")
    ... def line(inputs: int, outputs: int, /, *, slope: float = 1.0):
    ...     '''A line through 0.'''
    >>> find("model", "a_line").summary
    'A line through 0.'
    """
    if kind not in KINDS:
        raise ValueError(f"register: kind is {kind!r}, expected one of {', '.join(KINDS)}")

    def decorate(make: Make) -> Make:
        called = name or make.__name__
        before = _COMPONENTS.setdefault(kind, {}).get(called)
        if before is not None and _origin(before.make) != _origin(make):
            raise ValueError(
                f"register: there is a {kind} named {called!r} already, from {before.make.__module__}; "
                f'choose another name: @register("{kind}", "NAME")'
            )
        _COMPONENTS[kind][called] = Component(kind, called, make, supplied)
        return make

    return decorate


def _origin(make: Callable[..., Any]) -> tuple[str, str]:
    """Where it was defined, so that a module may be loaded again."""
    return make.__module__, make.__qualname__


def components(kind: str) -> dict[str, Component]:
    """All components of a kind by name, those that come with hograd first."""
    _load(kind)
    return _COMPONENTS.get(kind, {})


def find(kind: str, name: str) -> Component | None:
    """The component of that name, or one whose name ends in `*` and begins like it, or None."""
    known = components(kind)
    if name in known:
        return known[name]
    for pattern, component in known.items():
        if pattern.endswith("*") and name.startswith(pattern[:-1]) and len(name) >= len(pattern):
            return component
    return None


def of_module(module: str) -> list[tuple[str, Component]]:
    """What a module has registered, with the kinds."""
    return [
        (kind, one) for kind, known in _COMPONENTS.items() for one in known.values() if one.make.__module__ == module
    ]


def forget(module: str) -> None:
    """Take back what a module has registered: it failed later."""
    for kind, one in of_module(module):
        del _COMPONENTS[kind][one.name]


def rest_of(component: Component, name: str) -> tuple[str, ...]:
    """What a name has in the place of the `*` at the end of a component's own name."""
    return (name[len(component.name) - 1 :],) if component.name.endswith("*") else ()


def _load(kind: str) -> None:
    module, _ = KINDS[kind]
    for source in (module, "hograd.components"):
        if source not in _loaded:
            _loaded.add(source)
            if source == "hograd.components":
                _load_entry_points()
            else:
                importlib.import_module(source)


def _load_entry_points() -> None:
    """Components of installed packages: each names a module that registers some."""
    from importlib.metadata import entry_points

    for point in entry_points(group="hograd.components"):
        point.load()


def nearest(name: str, names: Iterable[str]) -> str:
    """The hint for a misspelt name: the closest ones, else all."""
    import difflib

    known = list(names)
    lower = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower()[:200], lower, n=2, cutoff=0.6)
    if found:
        return f"; did you mean {' or '.join(repr(lower[one]) for one in found)}?"
    return f"; valid are: {', '.join(known)}"
