"""What a report calls components that are compared with one another."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.components.registry import Choice
from experiments.configuration.check import plain


def told_apart(choices: Sequence[Choice]) -> list[str]:
    """Their names, with those of their solvers, and with the options that tell apart what has one name."""
    names = [choice.name for choice in choices]
    for index, choice in enumerate(choices):
        solver = choice.options.get("solver")
        if isinstance(solver, Choice):
            names[index] += f", {solver.name}"
    found = []
    for name, choice in zip(names, choices, strict=True):
        alike = [other for same, other in zip(names, choices, strict=True) if same == name]
        options = [
            value if isinstance(value, str) else f"{key}={plain(value)}"
            for key, value in choice.options.items()
            if any(plain(other.options.get(key)) != plain(value) for other in alike)
        ]
        found.append(" ".join([name, *options]))
    return [f"{name} ({index + 1})" if found.count(name) > 1 else name for index, name in enumerate(found)]
