"""`hograd list`: configs, and the components that a config may name."""

from __future__ import annotations

import textwrap
from typing import Any

from experiments.commands import shipped
from experiments.components import derive, registry
from experiments.components.registry import KINDS, nearest, plural
from experiments.configuration import check, load
from experiments.configuration.words import words
from experiments.errors import ConfigError, UsageError

WIDTH = 80


def overview() -> str:
    """The configs that come with hograd, and the kinds of components."""
    lines = ["Configs (run one: hograd run NAME; have it as a file: hograd copy NAME):", ""]
    for name, path in shipped.configs().items():
        try:
            text = load.description(path)
        except ConfigError as error:
            text = f"cannot be read: {error.problems[0]}"
        lines += [f"  {name}", *_indented(text, 6)]
    lines += ["", "Components that a config may name (more: hograd list optimizers):", ""]
    for kind, (_, what) in KINDS.items():
        lines += _indented(f"{plural(kind)}: {what}", 2, 6)
    return "\n".join(lines)


def components(word: str) -> str:
    """The components of a kind, with the first line and the options of each."""
    kinds = {plural(kind): kind for kind in KINDS} | {kind: kind for kind in KINDS}
    if word not in kinds:
        raise UsageError(f"'{word}' is no kind of component{nearest(word, [plural(kind) for kind in KINDS])}")
    kind = kinds[word]
    lines = []
    for name, component in registry.components(kind).items():
        lines += [name, *_indented(component.summary, 4)]
        lines += _options(derive.options(component.make, kind, component.supplied), 6)
        lines.append("")
    return "\n".join(lines).rstrip()


def _options(options: Any, indent: int) -> list[str]:
    lines = []
    for option in options:
        value = "required" if option.required else _written(check.plain(check.default(option)))
        lines += _indented(f"{option.name} = {value}", indent, indent + 4)
        described = [option.doc] if option.doc else []
        if isinstance(option.plan, derive.Pick | derive.Named | derive.Many | derive.Either):
            described.append(f"({words(option.plan)})")
        if described:
            lines += _indented(" ".join(described), indent + 4)
        if isinstance(option.plan, derive.Section):
            lines += _options(derive.options(option.plan.make), indent + 4)
    return lines


def _written(value: Any) -> str:
    import json

    if isinstance(value, dict) and "name" in value:
        return str(value["name"])
    return "{...}" if isinstance(value, dict) and value else json.dumps(value)


def _indented(text: str, first: int, later: int | None = None) -> list[str]:
    later = first if later is None else later
    return textwrap.wrap(
        text, WIDTH, initial_indent=" " * first, subsequent_indent=" " * later, break_on_hyphens=False
    ) or [""]
