"""Libraries of the extras, imported where they are used, with a message that names the extra where one is missing."""

import importlib
from types import ModuleType

from experiments.errors import UsageError


def require(module: str, extra: str) -> ModuleType:
    """Import a module that the bare installation leaves out.

    Raises:
        UsageError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise UsageError(
            f"{module.partition('.')[0]} is not installed, which the bare installation leaves out.\n"
            f'Install it with: pip install "hograd[{extra}]"'
        ) from None
