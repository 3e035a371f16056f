"""Check values against the options of components; every mistake is named by place, key, what was found and expected."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from experiments.components import derive, registry
from experiments.components.derive import Either, Fixed, Leaf, Many, Named, Option, Pick, Plan, Section
from experiments.components.registry import Choice, nearest
from experiments.configuration.source import KeyPath, Node, Place, dotted, found, shortened
from experiments.configuration.words import article, example, expected, says, twice, whole_number, words

#: Beyond this many mistakes a person is not helped by more.
MISTAKES = 20
#: Components in one list, each of which is made when the config is checked.
COMPONENTS = 100


@dataclasses.dataclass(frozen=True)
class Problem:
    """One mistake."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class Checker:
    """Walks a config; collects mistakes, and notes on what was left out because another layer chose otherwise."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.notes: list[str] = []

    def fail(self, node: Node, path: KeyPath, text: str, *, of_key: bool = False) -> Any:
        """Note a mistake; returns BAD."""
        self.problems.append(Problem(node.key if of_key else node.place, f"{dotted(path)}: {text}" if path else text))
        return BAD

    def value(self, node: Node, plan: Plan, path: KeyPath) -> Any:
        """The checked value of a node, or BAD."""
        match plan:
            case Leaf():
                return self._leaf(node, plan, path)
            case Pick():
                return self._component(node, plan.kind, path)
            case Section():
                return self._section(node, plan.make, path)
            case Many():
                return self._many(node, plan, path)
            case Fixed():
                return self._fixed(node, plan, path)
            case Named():
                return self._named(node, plan, path)
            case Either():
                return self._either(node, plan, path)

    def options(
        self,
        given: Mapping[str, Node],
        known: Iterable[Option],
        owner: Node,
        path: KeyPath,
        drops: Callable[[Node], bool] = lambda node: False,
        extra: tuple[str, ...] = (),
    ) -> dict[str, Any] | None:
        """The checked options of one component, with defaults; None if there was a mistake.

        `drops` says of an unknown key that it belonged to what an earlier layer had chosen. `extra` are keys that are
        known but not looked at.
        """
        known = list(known)
        names = [option.name for option in known]
        values: dict[str, Any] = {}
        sound = True
        for key, node in given.items():
            if key in names or key in extra:
                continue
            if drops(node):
                self.notes.append(
                    f"{dotted((*path, key))} ({node.key}) is left out: what is chosen now has no such option"
                )
                continue
            hint = nearest(key, [*extra, *names]) if names or extra else "; it has no options"
            self.problems.append(Problem(node.key, f"unknown key '{dotted((*path, key))}'{hint}"))
            sound = False
        for option in known:
            where = (*path, option.name)
            if option.name in given:
                value = self.value(given[option.name], option.plan, where)
            elif option.required:
                self.problems.append(Problem(owner.place, f"the key '{dotted(where)}' is missing{says(option)}"))
                value = BAD
            else:
                value = default(option)
            sound = sound and value is not BAD
            values[option.name] = value
        return values if sound else None

    def _leaf(self, node: Node, plan: Leaf, path: KeyPath) -> Any:
        from pydantic import ValidationError

        plain = node.plain()
        if isinstance(plain, list) and _is_tuple(plan.annotation):
            plain = tuple(plain)
        try:
            return adapter(plan.annotation).validate_python(plain)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False)
        if len({problem["loc"][:1] for problem in problems}) > 1 and not isinstance(plain, list | tuple | dict):
            # One line for the alternatives of a union.
            wanted = " or ".join(dict.fromkeys(expected(problem["type"], problem["msg"]) for problem in problems))
            return self.fail(node, path, f"found {found(plain)}, expected {wanted}")
        for problem in problems[:3]:
            self._describe(node, path, problem)
        return BAD

    def _describe(self, node: Node, path: KeyPath, problem: Any) -> None:
        at, where = node, path
        for part in problem["loc"]:
            below = at.value if isinstance(at.value, list | dict) else {}
            if (isinstance(below, list) and isinstance(part, int) and part < len(below)) or part in below:
                at, where = below[part], (*where, part)
        kind, message = problem["type"], problem["msg"]
        if kind == "value_error":
            self.fail(at, where, message.removeprefix("Value error, "))
        elif kind == "predicate_failed":
            self.fail(at, where, f"{twice(at.plain())}, but each entry may stand only once")
        else:
            hint = whole_number(kind, at.value)
            self.fail(at, where, f"found {found(at.plain())}, expected {expected(kind, message)}{hint}")

    def _component(self, node: Node, kind: str, path: KeyPath) -> Any:
        given, name_node = node.value, node
        if isinstance(given, dict):
            name_node = given.get("name")
            if name_node is None:
                names = ", ".join(registry.components(kind))
                return self.fail(node, path, f"the key 'name' is missing; it is one of: {names}")
        elif not isinstance(given, str):
            return self.fail(
                node, path, f"found {found(node.plain())}, expected the name of {article(kind)}{example(kind)}"
            )
        name = name_node.value
        if not isinstance(name, str):
            return self.fail(name_node, (*path, "name"), f"found {found(name_node.plain())}, expected a name")
        return self.named_component(node, name_node, kind, name, path)

    def named_component(self, node: Node, name_node: Node, kind: str, name: str, path: KeyPath) -> Any:
        """The choice of a component by its name, with the options in the mapping of a node."""
        component = registry.find(kind, name)
        if component is None:
            hint = nearest(name, registry.components(kind))
            return self.fail(name_node, path, f"unknown {kind.replace('_', ' ')} '{shortened(name)}'{hint}")
        given = (
            {key: below for key, below in node.value.items() if key != "name"} if isinstance(node.value, dict) else {}
        )
        layer = name_node.place.file.layer
        values = self.options(
            given,
            derive.options(component.make, kind, component.supplied),
            node,
            path,
            drops=lambda below: below.key.file.layer < layer,
        )
        if values is None:
            return BAD
        choice = Choice(kind, name, values, component.make, registry.rest_of(component, name))
        if kind in registry.MADE_WITH_OWNER:
            # What its own checks refuse is found now, not when it is used.
            try:
                choice.build()
            except (ValueError, TypeError) as error:
                return self.fail(node, path, str(error))
        return choice

    def _section(self, node: Node, make: Callable[..., Any], path: KeyPath) -> Any:
        if not isinstance(node.value, dict):
            return self.fail(node, path, f"found {found(node.plain())}, expected a mapping of keys to values")
        values = self.options(node.value, derive.options(make), node, path)
        if values is None:
            return BAD
        try:
            return make(**values)
        except ValueError as error:
            return self.fail(node, path, str(error))

    def _many(self, node: Node, plan: Many, path: KeyPath) -> Any:
        if not isinstance(node.value, list):
            return self.fail(node, path, f"found {found(node.plain())}, expected a list of {words(plan.entry)}")
        if len(node.value) > COMPONENTS:
            return self.fail(node, path, f"found {found(node.plain())}, expected at most {COMPONENTS}")
        values = [self.value(below, plan.entry, (*path, index)) for index, below in enumerate(node.value)]
        return BAD if any(value is BAD for value in values) else tuple(values)

    def _fixed(self, node: Node, plan: Fixed, path: KeyPath) -> Any:
        if not isinstance(node.value, list) or len(node.value) != len(plan.entries):
            return self.fail(node, path, f"found {found(node.plain())}, expected a list of {len(plan.entries)}")
        pairs = enumerate(zip(node.value, plan.entries, strict=True))
        values = [self.value(below, entry, (*path, index)) for index, (below, entry) in pairs]
        return BAD if any(value is BAD for value in values) else tuple(values)

    def _named(self, node: Node, plan: Named, path: KeyPath) -> Any:
        if not isinstance(node.value, dict):
            return self.fail(node, path, f"found {found(node.plain())}, expected a mapping of names to options")
        values = {}
        for name, below in node.value.items():
            where = (*path, name)
            if below.value is None:
                below = Node({}, below.place, below.key)
            if isinstance(plan.entry, Section):
                values[name] = self._section(below, plan.entry.make, where)
            elif not isinstance(below.value, dict):
                values[name] = self.fail(
                    below, where, f"found {found(below.plain())}, expected a mapping of its options, or {{}}"
                )
            else:
                values[name] = self.named_component(below, Node(name, below.key), plan.entry.kind, name, where)
        return BAD if any(value is BAD for value in values.values()) else values

    def _either(self, node: Node, plan: Either, path: KeyPath) -> Any:
        """By the first alternative that fits the shape of what was given; its mistakes are those that count."""
        fitting = [one for one in plan.plans if _fits(node, one)]
        for one in fitting:
            trial = Checker()
            value = trial.value(node, one, path)
            if value is not BAD:
                return value
        if fitting and not (isinstance(node.value, str) and any(isinstance(one, Pick) for one in plan.plans)):
            return self.value(node, fitting[-1], path)
        wanted = " or ".join(words(one) for one in plan.plans)
        return self.fail(node, path, f"found {found(node.plain())}, expected {wanted}")


class _Bad:
    """Stands for a value that could not be used."""


BAD = _Bad()


def default(option: Option) -> Any:
    """The default of an option, with components as choices."""
    return chosen(option.default, option.plan)


def chosen(value: Any, plan: Plan) -> Any:
    """A default value as it would be after checking: objects of components become choices of these."""
    if isinstance(plan, Either):
        for one in plan.plans:
            if isinstance(one, Pick) and not isinstance(value, int | float | str | type(None)):
                return chosen(value, one)
            if isinstance(one, Named) and isinstance(value, dict):
                return chosen(value, one)
        return value
    if isinstance(plan, Pick):
        if isinstance(value, Choice):
            return value
        if not isinstance(value, registry.Default):
            return _choice_of(value, plan.kind)
        checker = Checker()
        made = checker.value(node_of({"name": value.name, **value.options}), plan, ())
        if made is BAD:
            raise TypeError(f"the default {value!r} is no {plan.kind}: {checker.problems[0].text}")
        return made
    if isinstance(plan, Section) and isinstance(value, plan.make if isinstance(plan.make, type) else ()):
        options = derive.options(plan.make)
        return plan.make(**{option.name: chosen(getattr(value, option.name), option.plan) for option in options})
    if isinstance(plan, Many) and isinstance(value, list | tuple):
        return tuple(chosen(item, plan.entry) for item in value)
    if isinstance(plan, Named) and isinstance(value, dict):
        if isinstance(plan.entry, Section):
            return {name: chosen(item, plan.entry) for name, item in value.items()}
        checker = Checker()
        made = checker.value(node_of(value), plan, ())
        if made is BAD:
            raise TypeError(f"the default {value!r}: {checker.problems[0].text}")
        return made
    return value


def _choice_of(value: Any, kind: str) -> Choice:
    """The choice that makes such an object."""
    for component in registry.components(kind).values():
        if component.make is type(value):
            known = derive.options(component.make, kind, component.supplied)
            return Choice(
                kind,
                component.name,
                {option.name: chosen(getattr(value, option.name), option.plan) for option in known},
                component.make,
            )
    raise TypeError(f"{value!r} is the default of a component of the kind {kind}, but no such component")


def node_of(value: Any) -> Node:
    """A plain value as nodes without a place."""
    from experiments.configuration.source import File

    place = Place(File("a default"))
    if isinstance(value, dict):
        return Node({key: node_of(item) for key, item in value.items()}, place)
    if isinstance(value, list | tuple):
        return Node([node_of(item) for item in value], place)
    return Node(value, place)


def plain(value: Any) -> Any:
    """A checked value as a config has it."""
    if isinstance(value, Choice):
        return {"name": value.name, **{key: plain(item) for key, item in value.options.items()}}
    if isinstance(value, Mapping):
        # The name of a component under its own name is not said twice.
        return {
            key: {inner: plain(below) for inner, below in item.options.items()}
            if isinstance(item, Choice)
            else plain(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {option.name: plain(getattr(value, option.name)) for option in derive.options(type(value))}
    return value


@cache
def adapter(annotation: Any) -> Any:
    """What checks plain values of a type."""
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))


def _is_tuple(annotation: Any) -> bool:
    """Whether a list of a config is a tuple in Python."""
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _is_tuple(inside[0])
    return origin is tuple or (origin in (typing.Union, types.UnionType) and any(map(_is_tuple, inside)))


def _fits(node: Node, plan: Plan) -> bool:
    """Whether a value has the shape of what a plan wants."""
    value = node.value
    match plan:
        case Pick():
            return isinstance(value, dict) or (isinstance(value, str) and registry.find(plan.kind, value) is not None)
        case Section() | Named():
            return isinstance(value, dict)
        case Many() | Fixed():
            return isinstance(value, list)
        case Either():
            return any(_fits(node, one) for one in plan.plans)
        case Leaf():
            if plan.annotation in (None, type(None)):
                return value is None
            return value is not None and not isinstance(value, dict)
