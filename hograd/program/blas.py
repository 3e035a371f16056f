"""SciPy's BLAS, without the package around it, whose import takes a tenth of a second and 25 MB."""

from __future__ import annotations

import functools
import importlib
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType


@functools.cache
def extension(name: str) -> ModuleType:
    """An extension module of `scipy.linalg`: `_fblas`, say; from its own file, if that lies where it is expected."""
    whole = f"scipy.linalg.{name}"
    package = find_spec("scipy")
    if whole not in sys.modules and package is not None and package.submodule_search_locations:
        folder = Path(package.submodule_search_locations[0]) / "linalg"
        for file in [folder / f"{name}{suffix}" for suffix in EXTENSION_SUFFIXES]:
            if not file.is_file():
                continue
            spec = spec_from_file_location(whole, file, loader=ExtensionFileLoader(whole, str(file)))
            if spec is None or spec.loader is None:
                break
            try:
                module = module_from_spec(spec)
                spec.loader.exec_module(module)
            except ImportError:
                # Where the package has to prepare for its libraries, it does.
                break
            return module
    return importlib.import_module(whole)
