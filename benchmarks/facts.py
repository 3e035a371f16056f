"""The facts of the machine that figures depend on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

PACKAGES = (
    "hograd", "numpy", "scipy", "optree", "llvmlite", "numba", "torch", "higher", "torchopt", "jax", "jaxlib", "optax",
    "jaxopt", "autograd",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """Processor, system, load and versions."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "versions": {package: version(package) for package in PACKAGES},
    }


def version(package: str) -> str | None:
    """The installed version of a package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """The name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def summary() -> str:
    """One line for a table or a plot."""
    facts = machine()
    load = "" if facts["load"] is None else f", load {facts['load'][0]:.1f}"
    return f"{facts['processor'] or facts['system']}, {facts['cores']} cores{load}, Python {facts['python']}"
