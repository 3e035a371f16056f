"""An order between values that do not depend on one another, for programs that compute again to hold less."""

from __future__ import annotations

from typing import Any

from hograd.core.batching import in_front
from hograd.core.declare import general
from hograd.core.dispatch import apply, wrap
from hograd.core.primitive import register


def _behind(primitive: Any, size: int, values: list[Any], batched: list[bool], params: Any) -> Any:
    return apply(primitive, [in_front(values[0], batched[0], size), values[1]], params)


#: x, but not before the other value is there.
_after = general(
    "after",
    lambda x, other: x,
    [1, None],
    jvp=lambda F, tangents, values, params: F.zeros_like(values[0]) if tangents[0] is None else tangents[0],
    batch=_behind,
    arguments="x other",
)
register("after", lambda x, other: wrap(apply(_after, (x, other), {})), lambda x, other: x)
