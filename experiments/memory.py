"""How much memory there is, and a bound on what is taken while a config is checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


def available() -> int | None:
    """Bytes that a new process can have, or None where the system does not tell."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":") for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, LookupError, ValueError):
        return None


@contextmanager
def bounded(share: float) -> Iterator[None]:
    """Let this process take no more than a share of what is free: beyond it an array is a MemoryError, at once.

    Where the system knows no such bound, nothing is bounded.
    """
    free = available()
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        before = resource.getrlimit(resource.RLIMIT_AS)
    except (ImportError, OSError, ValueError):
        yield
        return
    if free is None:
        yield
        return
    most, hard = taken + int(share * free), before[1]
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
