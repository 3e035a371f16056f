"""What a workload is: cases, their data, and one version of the program for each library."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Modules of `benchmarks.workloads`, in the order in which they run.
NAMES = ("chain", "mlp", "maml", "rates", "cleaning", "adam")

#: The version that all others are compared with and divided by.
YARDSTICK = "NumPy by hand"

#: hograd on the program that PyTorch's users write, with another import.
TAPE = "hograd as torch"

Run = Callable[[], Any]
"""Computes the result once, and waits until it is there: a flat list of what NumPy can take as arrays."""

Data = Mapping[str, Any]
"""The arrays of a case, by name."""


class Refused(Exception):
    """A library cannot do this workload; the message says why, for the table."""


@dataclass(frozen=True)
class Version:
    """One library's program for a workload.

    `make(data, settings)` prepares and returns the `Run`. It is None for a library that cannot do it, and `note` says
    why; a version with a note and a program is known to return a wrong result, and the note says what is wrong.
    """

    name: str
    make: Callable[[Data, dict[str, Any]], Run] | None
    needs: tuple[str, ...] = ()
    note: str = ""
    cases: tuple[str, ...] | None = None

    def missing(self) -> str | None:
        """The first module that is needed and not installed."""
        return next((module for module in self.needs if importlib.util.find_spec(module) is None), None)


@dataclass
class Workload:
    """A computation that every library is asked for.

    Args:
        name: how it is asked for on the command line.
        title: one line on what is computed.
        cases: name -> settings, numbers that `data` and the versions take.
        data: function of the settings that returns the arrays.
        tolerance: largest difference from the yardstick, relative to the largest entry of each result.
    """

    name: str
    title: str
    cases: dict[str, dict[str, Any]]
    data: Callable[[dict[str, Any]], Data]
    tolerance: float = 1e-8
    versions: dict[str, Version] = field(default_factory=dict)

    def version(
        self, name: str, *needs: str, note: str = "", cases: tuple[str, ...] | None = None
    ) -> Callable[[Callable[[Data, dict[str, Any]], Run]], Any]:
        """Decorator: this function prepares the version `name`, which needs these modules."""

        def add(make: Any) -> Any:
            self.versions[name] = Version(name, make, needs, note, cases)
            return make

        return add

    def hograd(self, make: Callable[[Data, dict[str, Any], Callable[[Any], Any]], Run]) -> Any:
        """Decorator for hograd's program: it takes `compiled` too, and is run eagerly and with both backends."""
        self.versions["hograd eager"] = Version("hograd eager", lambda data, s: make(data, s, lambda f: f), ("hograd",))
        for backend, name in (("numpy", "hograd compiled (numpy)"), ("native", "hograd native")):
            self.versions[name] = Version(name, lambda data, s, b=backend: make(data, s, compiler(b)), ("hograd",))
        return make

    def cannot(self, name: str, *needs: str, why: str) -> None:
        """`name` has no program for this workload."""
        self.versions[name] = Version(name, None, needs, why)

    def of_case(self, case: str) -> list[Version]:
        """The versions that are defined for a case."""
        return [v for v in self.versions.values() if v.cases is None or case in v.cases]


def compiler(backend: str) -> Callable[[Any], Any]:
    """`hograd.compile` for a backend."""
    import hograd as ho

    compile_function = getattr(ho, "compile", None)
    if compile_function is None:
        raise Refused("this hograd has no compile")
    return lambda f: compile_function(f, backend=backend)


def workload(name: str) -> Workload:
    """The workload of this name, or the one that a module given with its dots holds."""
    return importlib.import_module(name if "." in name else f"benchmarks.workloads.{name}").workload
