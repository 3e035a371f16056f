"""Ranges that options may have, for annotations: `steps: Count = 100`."""

from typing import Annotated, TypeVar

from annotated_types import Ge, Gt, Le, Len, Lt, Predicate

T = TypeVar("T")


def all_different(values: tuple[T, ...]) -> bool:
    """Whether no two entries are equal."""
    try:
        return len(set(values)) == len(values)
    except TypeError:  # entries that cannot be hashed
        return len({repr(value) for value in values}) == len(values)


#: A whole number from 1.
Count = Annotated[int, Ge(1)]
#: A whole number from 0.
Natural = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
#: A number from 0 to 1, both allowed.
UpToOne = Annotated[float, Ge(0), Le(1)]
#: A number from 0 to below 1.
Momentum = Annotated[float, Ge(0), Lt(1)]
#: A share that leaves something on both sides.
Share = Annotated[float, Gt(0), Lt(1)]
#: A list that is not empty; a tuple in Python, so that it may be a default.
Several = Annotated[tuple[T, ...], Len(1)]
#: A list that is not empty and in which nothing stands twice.
Distinct = Annotated[tuple[T, ...], Len(1), Predicate(all_different)]
