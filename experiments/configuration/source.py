"""One YAML file as plain values, with the place where each was written, within budgets that bound time and memory."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from experiments.errors import ConfigError

KeyPath = tuple[str | int, ...]

#: Bytes of a file: some 20,000 seeds; read in about a second.
SIZE = 256 * 1024
#: Values of a file, each alias counted as what it stands for.
VALUES = 50_000
#: Lists and mappings inside one another.
DEPTH = 32
#: Digits of a number.
DIGITS = 400


class Loader(yaml.SafeLoader):
    """The safe loader with the scalars of YAML 1.2: `1e-4` is a number; `no`, `1:30`, `2026-01-01` text."""

    yaml_implicit_resolvers: dict = {}  # noqa: RUF012  (PyYAML reads it from the class)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list("-+.")),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


class File:
    """What places refer to: a config file, or the command line; later layers win over earlier ones."""

    def __init__(self, name: str, layer: int = 0):
        self.name, self.layer = name, layer


class Place(NamedTuple):
    """Where something was written."""

    file: File
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line}:{self.column}" if self.line else self.file.name

    @property
    def order(self) -> tuple[int, int, int]:
        """To sort mistakes by."""
        return self.file.layer, self.line, self.column


class Node:
    """A value, where it was written, and where its key was; inside lists and mappings are nodes again."""

    __slots__ = ("key", "place", "value")

    def __init__(self, value: Any, place: Place, key: Place | None = None):
        self.value, self.place, self.key = value, place, key or place

    def count(self) -> int:
        """How many values it has, itself among them."""
        below = self.value.values() if isinstance(self.value, dict) else self.value
        return 1 + (sum(node.count() for node in below) if isinstance(self.value, dict | list) else 0)

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def load(path: Path, file: File) -> Node:
    """The values of a file, a mapping.

    Raises:
        ConfigError: the file cannot be read, is no YAML, or is larger than the budgets allow.
    """
    text = read(path)
    try:
        root = yaml.compose(text, Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else f"{path}"
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(f"{where}: broken YAML: {reason}") from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigError(f"{path}:{line}: not text: character {error.character!r}") from None
    except RecursionError:
        raise ConfigError(f"{path}: broken YAML: nested more than {DEPTH} deep") from None
    if root is None:
        raise ConfigError(f"{path}:1:1: the file is empty; expected a line such as 'experiment: NAME'")
    node = _Reader(file).node(root)
    if not isinstance(node.value, dict):
        raise ConfigError(f"{node.place}: expected 'key: value' lines, found {found(node.plain())}")
    return node


def parse(text: str, place: Place) -> Node:
    """The value of a piece of YAML, such as what stands behind `key=` on the command line.

    Raises:
        ValueError: it is no YAML, or larger than the budgets allow.
    """
    if len(text) > SIZE:
        raise ValueError(f"it has {len(text):,} characters, expected at most {SIZE:,}")
    try:
        root = yaml.compose(text, Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ValueError("the value is broken YAML; put it in quotes?") from None
    return Node(None, place) if root is None else _Reader(place.file, place).node(root)


class _Reader:
    """Turns nodes of PyYAML into ours and counts them; `everywhere` is the place of all, if they have no lines."""

    def __init__(self, file: File, everywhere: Place | None = None):
        self.file, self.everywhere = file, everywhere
        self.left = VALUES
        self.within: list[yaml.Node] = []

    def node(self, node: yaml.Node, key: Place | None = None) -> Node:
        place = self.place(node)
        self.left -= 1
        if self.left < 0:
            raise ConfigError(f"{place}: more than {VALUES:,} values, counting what each alias stands for")
        if any(node is outer for outer in self.within):
            raise ConfigError(f"{place}: broken YAML: an alias that contains itself")
        if len(self.within) >= DEPTH:
            raise ConfigError(f"{place}: nested more than {DEPTH} deep")
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            self.within.append(node)
            value: Any = [self.node(item) for item in node.value]
            self.within.pop()
        elif isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            self.within.append(node)
            value = self.mapping(node)
            self.within.pop()
        else:
            value = self.scalar(node, place)
        return Node(value, place, key)

    def place(self, node: yaml.Node) -> Place:
        return self.everywhere or Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def mapping(self, node: yaml.MappingNode) -> dict[str, Node]:
        """Own code, because PyYAML silently keeps the last of two equal keys."""
        values: dict[str, Node] = {}
        for key, value in node.value:
            place = self.place(key)
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{place}: a key must be a name, not a list or a mapping")
            if key.value in values:
                first = values[key.value].key
                raise ConfigError(f"{place}: the key '{shortened(key.value)}' stands twice, first in line {first.line}")
            values[key.value] = self.node(value, place)
        return values

    def scalar(self, node: yaml.Node, place: Place) -> Any:
        if node.tag.endswith((":int", ":float")) and len(node.value) > DIGITS:
            raise ConfigError(f"{place}: a number of {len(node.value):,} digits, expected at most {DIGITS}")
        try:
            return Loader("").construct_object(node)
        except (yaml.constructor.ConstructorError, ValueError):
            raise ConfigError(f"{place}: the tag {node.tag} is not allowed here: only plain values are") from None


def read(path: Path) -> str:
    """The text of a regular file within the budget.

    Raises:
        ConfigError: there is none, it is something else, too large, or no UTF-8.
    """
    try:
        # A pipe or a device could hold us up, or never end.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path}: cannot be read: {reason}{_neighbours(path)}") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe, a device or a socket"
        raise ConfigError(f"{path}: cannot be read: it is {what}, expected a file")
    try:
        with open(descriptor, "rb") as file:
            content = file.read(SIZE + 1) or b""  # None where nothing can be read without waiting
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > SIZE:
        raise ConfigError(f"{path}: larger than {SIZE // 1024} KB, which no config is")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not text in UTF-8: byte {error.object[error.start]:#x} at {error.start}") from None


def _neighbours(path: Path) -> str:
    """The hint for a file that is not there: configs beside where it was looked for."""
    import difflib

    try:
        names = sorted(one.name for one in path.parent.glob("*.yaml"))
    except (OSError, ValueError):
        return ""
    close = difflib.get_close_matches(path.name, names, n=2)
    return f"; did you mean {' or '.join(str(path.with_name(name)) for name in close)}?" if close else ""


def found(value: Any) -> str:
    """A value in words, short whatever it is.

    >>> found("a"), found([1, 2]), found(None), found(10**30)
    ("'a' (text)", 'a list of 2', 'nothing', '1000000000... (31 digits)')
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{shortened(value)}' (text)"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, dict):
        return "a mapping"
    text = repr(value)
    return text if len(text) <= 24 else f"{text[:10]}... ({len(text)} digits)"


def shortened(text: str) -> str:
    """A text on one line of at most 40 characters."""
    line = "".join(letter if letter.isprintable() else "?" for letter in text)
    return line if len(line) <= 40 else f"{line[:40]}..."


def dotted(path: KeyPath) -> str:
    """A path as people write it.

    >>> dotted(("baselines", 0, "points")), dotted(("learn", "optimizer.lr"))
    ('baselines[0].points', 'learn[optimizer.lr]')
    """
    text = "".join(f"[{part}]" if isinstance(part, int) or "." in part else f".{part}" for part in path)
    return shortened_key(text.removeprefix("."))


def shortened_key(text: str) -> str:
    """A dotted key of bounded length."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:120])
