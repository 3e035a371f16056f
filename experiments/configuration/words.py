"""What a config should have held, in words for people who do not write Python."""

from __future__ import annotations

from typing import Any

from experiments.components import registry
from experiments.components.derive import Either, Fixed, Leaf, Many, Named, Option, Pick, Plan, Section
from experiments.configuration.source import found


def words(plan: Plan) -> str:
    """What a plan wants, in words."""
    match plan:
        case Leaf():
            if plan.annotation in (None, type(None)):
                return "nothing"
            inner = plan.annotation
            while hasattr(inner, "__metadata__"):
                inner = inner.__origin__
            return {int: "a whole number", float: "a number", str: "text", bool: "true or false"}.get(inner, "a value")
        case Pick():
            return f"{article(plan.kind)}{example(plan.kind)}"
        case Section() | Named():
            return "a mapping"
        case Many():
            return f"a list of {words(plan.entry)}"
        case Fixed():
            return f"a list of {len(plan.entries)}"
        case Either():
            return " or ".join(words(one) for one in plan.plans)


def article(kind: str) -> str:
    """A kind with its article.

    >>> article("optimizer"), article("model")
    ('an optimizer', 'a model')
    """
    name = {"data": "data set", "tasks": "distribution of tasks", "learn": "outer variable"}.get(kind, kind)
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def example(kind: str) -> str:
    """The first names of a kind."""
    names = list(registry.components(kind))
    return f" such as {names[0]}" if names else ""


#: What pydantic expects, in words for people who do not write Python.
EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "none_required": "nothing",
    "list_type": "a list, such as [1, 2]",
    "tuple_type": "a list, such as [1, 2]",
    "dict_type": "a mapping of keys to values",
    "too_short": "at least one entry",
    "too_long": "fewer entries",
    "finite_number": "a finite number",
}


def expected(kind: str, message: str) -> str:
    """What pydantic expected."""
    wanted = EXPECTED.get(kind) or message.removeprefix("Input should be ")
    return f"a value {wanted}" if wanted.startswith(("greater", "less")) else wanted


def whole_number(kind: str, value: Any) -> str:
    """How to write a whole number that was given as 5.0 or 1e3."""
    if kind == "int_type" and isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f": write {int(value)}"
    return ""


def twice(values: Any) -> str:
    """Which entry stands twice."""
    seen: set[str] = set()
    for value in values:
        if repr(value) in seen:
            return f"{found(value)} stands twice"
        seen.add(repr(value))
    return "an entry stands twice"


def says(option: Option) -> str:
    """What an option is, after its name."""
    return f": {option.doc}" if option.doc else ""
