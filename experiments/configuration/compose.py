"""One mapping out of several: the files that a config includes, the config itself, and the command line.

Later layers win key by key; lists are replaced whole. `${a.b}` in a text stands for the value of another key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.configuration.source import VALUES, File, KeyPath, Node, Place, dotted, found, load, parse, shortened
from experiments.errors import ConfigError, UsageError
from experiments.paths import path_of

#: Files that may be included, by way of one another.
FILES = 20

REFERENCE = re.compile(r"\$\{([^${}]*)\}")


def compose(path: str | Path, overrides: Sequence[str] = ()) -> Node:
    """The values of the config `path` with what it includes, overrides such as `"inner.steps=5"`, and references.

    Raises:
        ConfigError: a file cannot be read, or an override or a reference cannot be used.
    """
    root = _Files().read(Path(path), [])
    given: dict[KeyPath, str] = {}
    for text in overrides:
        _override(root, text, given)
    return _References(root).resolved()


class _Files:
    """Reads a config and what it includes; the included ones are the earlier layers."""

    def __init__(self) -> None:
        self.opened = 0
        self.finished = 0

    def read(self, path: Path, within: list[Path]) -> Node:
        self.opened += 1
        file = File(str(path))
        root = load(path, file)
        listed = root.value.pop("include", None)
        place = (listed or root).place
        merged = Node({}, root.place)
        real = path.resolve()
        for name in self._names(listed) if listed else ():
            target = path.parent / self._path(name, place)
            if target.resolve() in [*within, real]:
                raise ConfigError(f"{place}: include: {name} includes itself")
            if self.opened >= FILES:
                raise ConfigError(f"{place}: include: more than {FILES} files")
            _merge(merged, self.read(target, [*within, real]))
        self.finished += 1
        file.layer = self.finished
        _merge(merged, root)
        merged.place = root.place
        return merged

    @staticmethod
    def _path(name: str, place: Place) -> Path:
        try:
            return path_of(name)
        except UsageError as error:
            raise ConfigError(f"{place}: include: {error}") from None

    @staticmethod
    def _names(listed: Node) -> list[str]:
        plain = listed.plain()
        names = [plain] if isinstance(plain, str) else plain
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise ConfigError(f"{listed.place}: include: found {found(plain)}, expected a file name or a list of them")
        return names


def _merge(target: Node, new: Node) -> None:
    """Lay one mapping over another."""
    for key, node in new.value.items():
        before = target.value.get(key)
        if before is not None and isinstance(before.value, dict) and isinstance(node.value, dict):
            _merge(before, node)
            before.place, before.key = node.place, node.key
        else:
            target.value[key] = node


#: Above all files.
COMMAND_LINE = FILES + 1


def _override(root: Node, text: str, given: dict[KeyPath, str]) -> None:
    """Set the value of one dotted key from `key=value`; the value is YAML."""
    key, equals, value_text = text.partition("=")
    # All overrides are one layer: in what order they stand decides nothing but the order of mistakes.
    place = Place(File(f"on the command line, '{shortened(text)}'", COMMAND_LINE), column=len(given))
    if not equals or not split_key(key):
        raise ConfigError(f"{place}: expected key=value, as in seeds=[0,1] or inner.steps=50")
    try:
        value = parse(value_text, place)
    except ValueError as error:
        raise ConfigError(f"{place}: {shortened(key)}: {error}") from None
    path = set_key(root, key, value)
    if path in given:
        raise ConfigError(f"{place}: {dotted(path)} is given twice, first by '{given[path]}'; leave one of them out")
    given[path] = shortened(text)


def set_key(root: Node, key: str, value: Node) -> KeyPath:
    """Set the value of a dotted key; its path."""
    parts = split_key(key)
    if not parts:
        raise ConfigError(f"{value.place}: '{shortened(key)}' is no key; expected one such as inner.steps")
    path, target, last = _descend(root, parts, value.key)
    target[last] = value
    return path


def _descend(root: Node, parts: list[str], place: Place) -> tuple[KeyPath, Any, Any]:
    """The path that a dotted key means, and the mapping or list that holds its last part.

    A key that contains dots, as `optimizer.lr` under `learn`, is found where it stands already.
    """
    node, path = root, ()
    while True:
        target: Any = node.value
        step: Any
        if isinstance(target, list):
            if not parts[0].isdigit() or int(parts[0]) >= len(target):
                raise ConfigError(
                    f"{place}: {dotted(path)} is a list of {len(target)}; expected one of the numbers 0 to "
                    f"{len(target) - 1} in place of '{shortened(parts[0])}', as in {dotted(path)}[0]"
                )
            step, used = int(parts[0]), 1
        else:
            used = _longest(parts, target) or 1
            step = ".".join(parts[:used])
        path, parts = (*path, step), parts[used:]
        if not parts:
            return path, target, step
        if isinstance(target, dict) and (step not in target or target[step].value is None):
            target[step] = Node({}, place)
        node = target[step]
        if isinstance(node.value, str):
            # The short form of a component: its name alone.
            node.value = {"name": Node(node.value, node.place)}
        if not isinstance(node.value, dict | list):
            raise ConfigError(f"{place}: {dotted(path)} is {found(node.value)}, which has no keys; set it whole")


def _longest(parts: list[str], keys: Mapping[str, Node]) -> int:
    """How many parts, joined by dots, are one of the keys; 0 if none are."""
    return next((end for end in range(len(parts), 0, -1) if ".".join(parts[:end]) in keys), 0)


class _References:
    """Puts values in the place of `${a.b}`, each once, and counts what comes out."""

    def __init__(self, root: Node):
        self.root = root
        self.left = 2 * VALUES
        self.within: list[KeyPath] = []

    def resolved(self) -> Node:
        return self.node(self.root, ())

    def node(self, node: Node, path: KeyPath) -> Node:
        self.left -= 1
        if self.left < 0:
            raise ConfigError(f"{node.place}: more than {2 * VALUES:,} values, counting what references stand for")
        if isinstance(node.value, dict):
            return Node(
                {key: self.node(below, (*path, key)) for key, below in node.value.items()}, node.place, node.key
            )
        if isinstance(node.value, list):
            entries = [self.node(below, (*path, index)) for index, below in enumerate(node.value)]
            return Node(entries, node.place, node.key)
        if not isinstance(node.value, str) or "${" not in node.value:
            return node
        return self.text(node, path)

    def text(self, node: Node, path: KeyPath) -> Node:
        if path in self.within:
            raise ConfigError(f"{node.place}: {dotted(path)}: it refers to itself")
        if len(self.within) > 20:
            raise ConfigError(f"{node.place}: {dotted(path)}: more than 20 references to one another")
        self.within.append(path)
        whole = REFERENCE.fullmatch(node.value)
        if whole:
            value = self.target(whole[1], node, path).value
        else:
            value = REFERENCE.sub(lambda match: self.written(match, node, path), node.value)
            if "${" in REFERENCE.sub("", node.value):
                raise ConfigError(
                    f"{node.place}: {dotted(path)}: '{shortened(node.value)}' has no }} after ${{; expected ${{key}}"
                )
            if len(value) > 10_000:
                raise ConfigError(f"{node.place}: {dotted(path)}: a text of more than 10,000 characters")
        self.within.pop()
        return Node(value, node.place, node.key)

    def written(self, match: re.Match[str], node: Node, path: KeyPath) -> str:
        value = self.target(match[1], node, path).value
        if isinstance(value, dict | list):
            what = "a list" if isinstance(value, list) else "a mapping"
            raise ConfigError(f"{node.place}: {dotted(path)}: {match[0]} is {what}, which cannot stand inside a text")
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    def target(self, name: str, node: Node, path: KeyPath) -> Node:
        parts = split_key(name)
        at, walked = self.root, ()
        while parts:
            step: Any
            if isinstance(at.value, list) and parts[0].isdigit() and int(parts[0]) < len(at.value):
                step, used = int(parts[0]), 1
            else:
                used = _longest(parts, at.value if isinstance(at.value, dict) else {})
                if not used:
                    break
                step = ".".join(parts[:used])
            at, walked, parts = at.value[step], (*walked, step), parts[used:]
        if parts or not walked:
            raise ConfigError(
                f"{node.place}: {dotted(path)}: ${{{shortened(name)}}} refers to a key that is not written in this "
                "config; write it, or give the value itself"
            )
        if path[: len(walked)] == walked:
            raise ConfigError(f"{node.place}: {dotted(path)}: ${{{shortened(name)}}} refers to what it stands in")
        return self.node(at, walked)


def split_key(text: str) -> list[str]:
    """The parts of a dotted key; none if it is no key.

    >>> split_key("inner.lr"), split_key("baselines[0].points"), split_key("learn[optimizer.lr].per"), split_key("a..b")
    (['inner', 'lr'], ['baselines', '0', 'points'], ['learn', 'optimizer.lr', 'per'], [])
    """
    parts: list[str] = []
    position = 0
    while position < len(text):
        match = re.compile(r"\[([^\[\]]+)\]" if text[position] == "[" else r"\.?([^.\[\]]+)").match(text, position)
        if match is None or (not parts and text[position] in ".["):
            return []
        parts.append(match[1].strip())
        position = match.end()
    return parts
