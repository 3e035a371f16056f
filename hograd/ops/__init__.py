"""The operations, one file a family; importing this package declares them all."""

from hograd.ops import (
    arithmetic,
    contract,
    convert,
    create,
    elementwise,
    extrema,
    index,
    join,
    logic,
    random,
    reduce,
    repeat,
    shape,
    stable,
)

__all__ = [
    "arithmetic",
    "contract",
    "convert",
    "create",
    "elementwise",
    "extrema",
    "index",
    "join",
    "logic",
    "random",
    "reduce",
    "repeat",
    "shape",
    "stable",
]
