"""Read a config: YAML with positions, overrides from the command line, and checks by its schema.

Every mistake is reported with its place (file, line and column, or the override), the key, what was found,
what was expected and, for a misspelt name, the nearest valid one. Nothing here writes anything.
"""

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import yaml

from experiments.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from experiments.schema import Experiment

KeyPath = tuple[str | int, ...]


class Loader(yaml.SafeLoader):
    """The safe loader with the scalars of YAML 1.2: `1e-4` is a number; `no`, `1:30`, `2026-01-01` text."""

    yaml_implicit_resolvers: ClassVar[dict] = {}


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,18})", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list("-+.")),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


def load(path: str | Path, overrides: Sequence[str] = (), *, output: str | None = None) -> "Experiment":
    """The checked config in the file `path`, with overrides such as `"outer_steps=5"` applied.

    The run folder is `output`, else the key `output`, else `runs/` and the name of the file.

    Raises:
        ConfigError: the file cannot be read, or one of its keys or overrides cannot be used.
    """
    from pydantic import ValidationError

    source = Source(path)
    for override in overrides:
        source.override(override)
    entry = _entry(source)
    if output is not None:
        source.values["output"] = output
        source.overridden[("output",)] = f"--output {output}"
    source.values.setdefault("output", f"runs/{source.path.stem}")
    try:
        return entry.schema.model_validate(source.values)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        described = sorted(_describe(problem, entry.schema, source) for problem in problems)
        raise ConfigError(*(text for _, text in described)) from None


def description(path: str | Path) -> str:
    """The description in the config `path`, without checking the rest of it."""
    return str(Source(path).values.get("description") or "").strip()


def dump(config: "BaseModel") -> str:
    """A resolved config as YAML that `load` reads back."""
    return yaml.safe_dump(config.model_dump(), sort_keys=False, default_flow_style=None, width=78, allow_unicode=True)


class Place(NamedTuple):
    """Where something was written: in order of lines, with the command line last."""

    line: float
    column: int
    text: str

    def __str__(self) -> str:
        return self.text


class Source:
    """The values of a config file and of its overrides, and the place where each was written."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        text = _read(self.path)
        try:
            self.root = yaml.compose(text, Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{self.path}:{mark.line + 1}:{mark.column + 1}" if mark else f"{self.path}"
            reason = ", ".join(part for part in (error.context, error.problem) if part)
            raise ConfigError(f"{where}: broken YAML: {reason}") from None
        except yaml.reader.ReaderError as error:
            line = text[: error.position].count("\n") + 1
            raise ConfigError(f"{self.path}:{line}: not text: character {error.character!r}") from None
        except RecursionError:
            raise ConfigError(f"{self.path}: broken YAML: nested too deeply") from None
        self.overridden: dict[KeyPath, str] = {}
        if self.root is None:
            raise ConfigError(f"{self.path}:1:1: the file is empty; expected a line such as 'experiment: NAME'")
        values = self._plain(self.root, [])
        if not isinstance(values, dict):
            raise self.error(self.root, f"expected 'key: value' lines, found {_found(values)}")
        self.values: dict[str, Any] = values

    def error(self, node: yaml.Node, message: str) -> ConfigError:
        """A ConfigError at the place of a node."""
        return ConfigError(f"{self._mark(node)}: {message}")

    def override(self, text: str) -> None:
        """Set the value of one dotted key from `key=value`; the value is YAML."""
        key, equals, value_text = text.partition("=")
        parts = key.split(".")
        place = f"on the command line, '{text}'"
        if not equals or not all(parts):
            raise ConfigError(f"{place}: expected key=value, as in outer_steps=5")
        try:
            value = yaml.load(value_text, Loader)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise ConfigError(f"{place}: {key}: the value is broken YAML; put it in quotes?") from None
        section = self.values
        for depth, part in enumerate(parts[:-1], start=1):
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                whole = ".".join(parts[:depth])
                raise ConfigError(f"{place}: {whole} is {_found(section)}, which has no keys; set it whole")
        section[parts[-1]] = value
        self.overridden[tuple(parts)] = text

    def place(self, path: KeyPath, *, of_key: bool = False) -> "Place":
        """Where the value (or with `of_key` the key) at `path` was written, or else what contains it."""
        for index, (key, text) in enumerate(self.overridden.items()):
            if key == path[: len(key)] or (path and path == key[: len(path)]):
                return Place(math.inf, index, f"on the command line, '{text}'")
        node = self.root
        for depth, part in enumerate(path, start=1):
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            found = next(((key, value) for key, value in pairs if key.value == part), None)
            if found is not None:
                node = found[0] if of_key and depth == len(path) else found[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
            else:
                break
        return Place(node.start_mark.line + 1, node.start_mark.column + 1, self._mark(node))

    def _mark(self, node: yaml.Node) -> str:
        return f"{self.path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def _plain(self, node: yaml.Node, within: list[yaml.Node]) -> Any:
        """The Python value of a node; own code, because PyYAML silently keeps the last of two equal keys."""
        if any(node is outer for outer in within):
            raise self.error(node, "broken YAML: an alias that contains itself")
        within = [*within, node]
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self._plain(item, within) for item in node.value]
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            lines: dict[str, int] = {}
            values = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise self.error(key, "a key must be a name, not a list or a mapping")
                if key.value in lines:
                    raise self.error(key, f"the key '{key.value}' stands twice, first in line {lines[key.value]}")
                lines[key.value] = key.start_mark.line + 1
                values[key.value] = self._plain(value, within)
            return values
        try:
            return Loader("").construct_object(node)
        except (yaml.constructor.ConstructorError, ValueError):
            raise self.error(node, f"the tag {node.tag} is not allowed here: only plain values are") from None


def nearest(name: str, valid: Iterable[str]) -> str:
    """`; did you mean '...'?` with the closest of the valid names, or all of them where none is close.

    >>> nearest("outer_step", ["outer_steps", "inner_steps"])
    "; did you mean 'outer_steps'?"
    >>> nearest("colour", ["outer_steps", "inner_steps"])
    '; valid are: outer_steps, inner_steps'
    """
    valid = list(valid)
    close = _close(name, valid)
    return f"; did you mean '{close[0]}'?" if close else f"; valid are: {', '.join(valid)}"


def _close(name: str, valid: list[str]) -> list[str]:
    """The valid name that looks most like `name`, or those that begin with it."""
    return difflib.get_close_matches(name, valid, n=1) or [other for other in valid if other.startswith(name)]


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file{_nearest_file(path)}") from None
    except IsADirectoryError:
        inside = sorted(path.glob("*.yaml"))
        hint = f"; it holds {', '.join(map(str, inside[:5]))}" if inside else ""
        raise ConfigError(f"{path}: is a folder, not a config file{hint}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}:{line}: not a text file in UTF-8: found the byte 0x{error.object[error.start]:02x}"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _nearest_file(path: Path) -> str:
    """The hint for a missing file: the closest config beside it or in ./configs."""
    candidates = sorted({*path.parent.glob("*.yaml"), *Path("configs").glob("*.yaml")})
    by_name = {candidate.stem: str(candidate) for candidate in candidates}
    close = _close(path.stem, list(by_name))
    return f"; did you mean '{by_name[close[0]]}'?" if close else "; see 'hograd list' for the configs at hand"


def _entry(source: Source) -> Any:
    from experiments.schema import EXPERIMENTS

    valid = ", ".join(EXPERIMENTS)
    if "experiment" not in source.values:
        raise ConfigError(f"{source.place(())}: the key 'experiment' is missing; its value is one of: {valid}")
    name, place = source.values["experiment"], source.place(("experiment",))
    if not isinstance(name, str):
        raise ConfigError(f"{place}: experiment: found {_found(name)}, expected one of: {valid}")
    if name not in EXPERIMENTS:
        raise ConfigError(f"{place}: unknown experiment '{name}'{nearest(name, EXPERIMENTS)}")
    return EXPERIMENTS[name]


#: What pydantic expects, in words for people who do not write Python.
EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "list_type": "a list, such as [1, 2]",
    "model_type": "a mapping of keys to values",
    "too_short": "at least one entry",
}


def _describe(problem: Any, schema: "type[BaseModel]", source: Source) -> tuple[Place, str]:
    """One line for one error of pydantic, and its place to sort by."""
    path: KeyPath = problem["loc"]
    kind, message = problem["type"], problem["msg"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    place = source.place(path, of_key=kind == "extra_forbidden")
    if kind == "extra_forbidden":
        return place, f"{place}: unknown key '{key}'{_nearest_key(path, schema)}"
    if kind == "value_error":
        return place, f"{place}: {key}: {message.removeprefix('Value error, ')}"
    expected = EXPECTED.get(kind) or message.removeprefix("Input should be ")
    if expected.startswith(("greater", "less")):
        expected = f"a value {expected}"
    return place, f"{place}: {key}: found {_found(problem['input'])}, expected {expected}"


def _nearest_key(path: KeyPath, schema: "type[BaseModel]") -> str:
    """The hint for an unknown key: a close name beside it, else elsewhere, else all names beside it."""
    *above, name = [part for part in path if isinstance(part, str)]
    keys = list(_dotted_keys(schema))
    beside = [key for key in keys if key[:-1] == tuple(above)]
    for candidates in (beside, keys):
        close = _close(name, [key[-1] for key in candidates])
        if close:
            dotted = [".".join(key) for key in candidates if key[-1] in close]
            return f"; did you mean {' or '.join(repr(key) for key in dotted)}?"
    return f"; valid are: {', '.join(key[-1] for key in beside)}"


def _dotted_keys(schema: "type[BaseModel]", above: tuple[str, ...] = ()) -> Iterable[tuple[str, ...]]:
    from pydantic import BaseModel

    for name, field in schema.model_fields.items():
        yield (*above, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _dotted_keys(field.annotation, (*above, name))


def _found(value: Any) -> str:
    """A value in words, short whatever it is."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value if len(value) <= 40 else value[:40] + '...'}' (text)"
    if isinstance(value, list):
        return "an empty list" if not value else f"a list of {len(value)}"
    return "a mapping" if isinstance(value, dict) else repr(value)
