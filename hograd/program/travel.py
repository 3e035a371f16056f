"""Compiled functions in other processes: how they are pickled."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Callable
from typing import Any

#: Picklers that write functions down that cannot be found by name.
_BY_VALUE = ("cloudpickle", "dill")


def reduced(compiled: Any, rebuild: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """What pickle keeps of a compiled function: its name, or the function and the options.

    Programs do not travel: they are captured again, and machine code comes from the disk.
    """
    function = compiled.function
    by_value = _is_by_value()
    if _named(compiled) is compiled and not (by_value and compiled.__module__ == "__main__"):
        return compiled.__qualname__
    if isinstance(function, types.FunctionType) and not by_value and _named(function) is not function:
        name = f"{function.__module__}.{function.__qualname__}"
        raise pickle.PicklingError(
            f"the compiled function {name} cannot be pickled: pickle keeps functions as names, and that name leads to "
            "something else or, of a lambda or a function in another one, nowhere. Define it at the top level of a "
            "module, and keep what `compile` returns there under its name or one of its own; or use cloudpickle."
        )
    return rebuild, (function, *arguments)


def _named(function: Any) -> Any:
    """What the name of a function leads to."""
    found: Any = sys.modules.get(getattr(function, "__module__", None) or "")
    for part in getattr(function, "__qualname__", "").split("."):
        found = getattr(found, part, None)
    return found


def _is_by_value() -> bool:
    frame: Any = sys._getframe(2)
    while frame is not None:
        if any(name in frame.f_globals.get("__name__", "").split(".") for name in _BY_VALUE):
            return True
        frame = frame.f_back
    return False
