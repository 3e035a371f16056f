"""From a file and the command line to a checked config and the experiment that it describes. Nothing is written."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from experiments import memory
from experiments.components import derive, registry
from experiments.components.registry import Choice, nearest
from experiments.configuration import check
from experiments.configuration.check import MISTAKES, Checker, Problem
from experiments.configuration.compose import compose, set_key, split_key
from experiments.configuration.settings import Settings
from experiments.configuration.source import VALUES, Node, found, shortened
from experiments.configuration.variants import Variants
from experiments.errors import ConfigError, ExperimentError, Refused, UsageError
from experiments.paths import path_of
from hograd.errors import HogradError

if TYPE_CHECKING:
    from experiments.experiment import Experiment


#: Variants of a config, and tasks of a run, each of which has a folder.
VARIANTS, TASKS = 100, 10_000

SMALLER = "make sizes or numbers of steps smaller, or keep fewer steps, as by outer.method.checkpoint=sqrt"


@dataclasses.dataclass(frozen=True)
class Config:
    """A checked config: the keys that all have, and the experiment with its sections."""

    path: Path
    settings: Settings
    choice: Choice
    #: The forms of the experiment that are run side by side, if there are several.
    variants: Mapping[str, Choice]
    #: What was left out because another layer chose another component.
    notes: tuple[str, ...]
    root: Node = dataclasses.field(repr=False)

    @property
    def values(self) -> dict[str, Any]:
        """The resolved config: every key with its value or default, as plain values."""
        general = check.plain(self.settings)
        if self.settings.module is not None:
            general["module"] = [str(path) for path in modules(self.path, self.root.value["module"])]
        options = {key: check.plain(value) for key, value in self.choice.options.items()}
        if self.variants:
            # Whole sections, with the defaults of their own components: those of the others are written out above.
            general["variants"] = {
                name: {
                    key: check.plain(value)
                    for key, value in choice.options.items()
                    if check.plain(value) != options.get(key)
                }
                for name, choice in self.variants.items()
            }
        return {"experiment": self.choice.name, **general, **options}

    def build(self) -> Experiment:
        """Make the experiment, which refuses what cannot work.

        Raises:
            ConfigError: with the place of the key to mend.
        """
        try:
            experiment = self.made()
            # What is made here is a small part of what a task needs.
            with memory.bounded(1 / 8):
                experiment.check()
                needed = experiment.memory()
                tasks = len(experiment.tasks(self.settings.seeds[:1])) * len(self.settings.seeds)
        except Refused as error:
            parts = split_key(error.key)
            raise ConfigError(f"{_place(self.root, parts)}: {error}") from None
        except ExperimentError:
            raise
        except HogradError as error:
            raise ConfigError(f"{self.path}: {one_line(error)}") from None
        except Exception as error:
            if isinstance(error, MemoryError | OverflowError) or "Maximum allowed" in str(error):  # NumPy's ValueError
                raise UsageError(f"{self.path}: a task needs more memory than there is; {SMALLER}") from None
            raise ConfigError(
                f"{self.path}: the experiment cannot be made: {type(error).__name__}: {one_line(error)}{_where(error)}"
            ) from error
        if tasks > TASKS:
            raise UsageError(f"{self.path}: {tasks:,} tasks, expected at most {TASKS:,}; give fewer seeds to each run")
        available = memory.available()
        if available is not None and needed > available:
            raise UsageError(
                f"{self.path}: a task needs about {needed / 1e9:.3g} GB of memory, and {available / 1e9:.3g} GB are "
                f"free; {SMALLER}"
            )
        return experiment

    def made(self) -> Experiment:
        """The experiment, unchecked."""
        if not self.variants:
            return self.choice.build()
        return Variants({name: choice.build() for name, choice in self.variants.items()})


def load(path: str | Path, overrides: Sequence[str] = (), *, trust: bool = False) -> Config:
    """The checked config in the file `path`, with overrides such as `"outer.steps=5"` applied.

    Args:
        path: a YAML file.
        overrides: each `key=value`, the value in YAML.
        trust: whether the modules that it names may be run.

    Raises:
        ConfigError: the file cannot be read, or some of its keys or overrides cannot be used: one line for each.
    """
    return checked(compose(path, overrides), Path(path), trust)


def experiment_from(values: Mapping[str, Any]) -> Experiment:
    """The experiment of a resolved config, in another process say."""
    return checked(check.node_of(values), Path("config.yaml"), trust=True).made()


def checked(root: Node, path: Path, trust: bool) -> Config:
    """Check the values of a config."""
    checker = Checker()
    general = derive.options(Settings)
    names = [option.name for option in general]
    given = root.value
    settings_values = checker.options({k: v for k, v in given.items() if k in names}, general, root, ())
    settings = None
    if settings_values is not None:
        try:
            settings = Settings(**settings_values)
        except ValueError as error:
            key = str(error).partition(":")[0]
            checker.problems.append(Problem(given.get(key, root).place, str(error)))
    if settings is not None and settings.module is not None:
        _run_modules(given["module"], modules(path, given["module"]), trust)
    choice = _experiment(checker, root, names)
    variants = {}
    if settings is not None and settings.variants is not None and not checker.problems:
        _expect_few(given["variants"], root)
        for name, node in given["variants"].value.items():
            if not re.fullmatch(r"[A-Za-z0-9][\w.+-]{0,40}", name):
                checker.fail(
                    node, ("variants", name), "expected a name of letters, digits, '-', '.', '+' and '_'", of_key=True
                )
            changed = copy.deepcopy(root)
            for key, value in node.value.items():
                if split_key(key)[:1] and split_key(key)[0] in names:
                    checker.fail(value, ("variants", name, key), "it is the same for all variants", of_key=True)
                set_key(changed, key, value)
            variants[name] = _experiment(checker, changed, names)
    if checker.problems or settings is None:
        raise ConfigError(*_lines(checker.problems))
    return Config(path, settings, choice, variants, tuple(dict.fromkeys(checker.notes)), root)


def _expect_few(variants: Node, root: Node) -> None:
    """Each variant is a config of its own, checked and made anew."""
    number = len(variants.value)
    if number > VARIANTS:
        raise ConfigError(
            f"{variants.place}: variants: found {number:,}, expected at most {VARIANTS}; use 'hograd sweep'"
        )
    values = number * root.count()
    if values > 2 * VALUES:
        raise ConfigError(
            f"{variants.place}: variants: {values:,} values in all of them, expected at most {2 * VALUES:,}"
        )


def _experiment(checker: Checker, root: Node, general: list[str]) -> Any:
    """The choice of the experiment with its sections; None after a mistake."""
    given = {key: node for key, node in root.value.items() if key not in general}
    known = registry.components("experiment")
    node = given.pop("experiment", None)
    if node is None:
        raise ConfigError(f"{root.place}: the key 'experiment' is missing; its value is one of: {', '.join(known)}")
    if not isinstance(node.value, str):
        raise ConfigError(f"{node.place}: experiment: found {found(node.plain())}, expected one of: {', '.join(known)}")
    component = registry.find("experiment", node.value)
    if component is None:
        raise ConfigError(f"{node.place}: unknown experiment '{shortened(node.value)}'{nearest(node.value, known)}")
    options = derive.options(component.make, "experiment", component.supplied)
    # What one part of an experiment says of another one that a later layer exchanged.
    checker.notes += getattr(component.make, "reconcile", lambda root: [])(root)
    values = checker.options(given, options, root, (), extra=tuple(general))
    return None if values is None else Choice("experiment", component.name, values, component.make)


def _lines(problems: list[Problem]) -> list[str]:
    ordered = [str(problem) for problem in sorted(problems, key=lambda problem: problem.place.order)]
    unique = list(dict.fromkeys(ordered))
    left = len(unique) - MISTAKES
    return unique if left <= 0 else [*unique[:MISTAKES], f"... and {left} more"]


def modules(path: Path, node: Node) -> list[Path]:
    """The files of the key `module`, from where the config is, or from the current folder for the command line."""
    listed = node.value if isinstance(node.value, list) else [node]
    for one in listed:
        try:
            path_of(one.value)
        except UsageError as error:
            raise ConfigError(f"{one.place}: module: {error}") from None
    return [((path.parent if one.place.line else Path.cwd()) / path_of(one.value)).resolve() for one in listed]


def _run_modules(node: Node, files: Sequence[Path], trust: bool) -> None:
    if not trust:
        raise ConfigError(
            f"{node.place}: module: {', '.join(file.name for file in files)} would be run as Python code, which can do "
            "anything on this machine. If you trust it, add --trust"
        )
    for file in files:
        run_module(file, f"{node.place}: module: ")


def run_module(file: Path, where: str = "") -> None:
    """Import a Python file, once, so that it registers its components."""
    name = f"hograd_module_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    if not file.is_file():
        raise ConfigError(f"{where}{file} is no file")
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{where}{file} is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        for kind, component in registry.of_module(name):
            derive.options(component.make, kind, component.supplied)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever it raises, it is the module that has to be mended: also SystemExit
        del sys.modules[name]
        registry.forget(name)
        text = f"{type(error).__name__}: {one_line(error)}{_where(error)}"
        raise ConfigError(f"{where}{file} cannot be imported: {text}") from error


def one_line(error: BaseException) -> str:
    """The first line of what an error says."""
    return next(iter(str(error).splitlines()), "")


def _where(error: BaseException) -> str:
    """The place in the code that raised an error, for whoever has to mend it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def _place(root: Node, parts: Sequence[str]) -> Any:
    """Where a dotted key was written, or else what contains it."""
    node = root
    for index in range(len(parts)):
        if isinstance(node.value, list) and parts[index].isdigit() and int(parts[index]) < len(node.value):
            node = node.value[int(parts[index])]
        elif isinstance(node.value, dict) and parts[index] in node.value:
            node = node.value[parts[index]]
        else:
            break
    return node.place


def dump(values: Mapping[str, Any]) -> str:
    """A resolved config as YAML that `load` reads back."""
    return yaml.safe_dump(dict(values), sort_keys=False, default_flow_style=None, width=78, allow_unicode=True)


def description(path: str | Path) -> str:
    """The description in the config `path`, without checking the rest of it."""
    node = compose(path).value.get("description")
    return "" if node is None or node.value is None else str(node.value).strip()


def differing(config: Config) -> set[tuple]:
    """Paths of the keys of a resolved config whose values are not the defaults."""
    general = derive.options(Settings)
    values = {option.name: getattr(config.settings, option.name) for option in general}
    own = derive.options(config.choice.make, "experiment")
    return {("experiment",)} | set(_changed(values, general, ())) | set(_changed(config.choice.options, own, ()))


def _changed(values: Mapping[str, Any], options: Sequence[derive.Option], path: tuple) -> Iterator[tuple]:
    for option in options:
        default = check.default(option) if not option.required else derive.MISSING
        yield from _differs(values[option.name], default, (*path, option.name))


def _differs(value: Any, default: Any, path: tuple) -> Iterator[tuple]:
    if isinstance(value, Choice):
        if not isinstance(default, Choice) or default.name != value.name:
            yield (*path, "name")
        component = registry.find(value.kind, value.name)
        supplied = component.supplied if component else ()
        yield from _changed(value.options, derive.options(value.make, value.kind, supplied), path)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        options = derive.options(type(value))
        yield from _changed({option.name: getattr(value, option.name) for option in options}, options, path)
    elif isinstance(value, Mapping) and any(isinstance(item, Choice) for item in value.values()):
        for key, item in value.items():
            yield from _differs(item, default.get(key) if isinstance(default, Mapping) else None, (*path, key))
    elif isinstance(value, tuple) and any(isinstance(item, Choice) for item in value):
        for index, item in enumerate(value):
            yield from _differs(item, None, (*path, index))
    elif default is derive.MISSING or check.plain(value) != check.plain(default):
        yield path
