"""Buffers of a replayed program, and views of them: made once, and used in every call."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

_ROWS, _TIMES = 256, 8


def is_tall(shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape is better kept column by column.

    What has few columns and many rows, such as the scores of classes, is worked on along the columns: a loop over ten
    elements costs more to begin than to run.
    """
    return len(shape) == 2 and 2 <= shape[1] <= 32 and shape[0] >= max(_ROWS, _TIMES * shape[1])


#: By the identity of an array, and what was made of it: both, for as long as somebody needs them.
_made: dict[tuple[int, str], tuple[weakref.ref[np.ndarray], weakref.ref[np.ndarray]]] = {}


def once(array: np.ndarray, what: str, make: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What is made of an array that is never written to: the same for all programs that need it.

    Args:
        array: a constant.
        what: a name of what is made.
        make: gives an array in memory of its own.
    """
    key = id(array), what
    source, known = _made.get(key, (None, None))
    made = known() if known is not None and source is not None and source() is array else None
    if made is None:
        made = make(array)
        _made[key] = weakref.ref(array), weakref.ref(made, lambda gone: _forget(key, gone))
    return made


def _forget(key: tuple[int, str], gone: Any) -> None:
    if key in _made and _made[key][1] is gone:
        del _made[key]


#: Constants of at least this many bytes are looked for among those that there are; below it is not worth the hash.
SHARED = 4096

_known: dict[int, tuple[weakref.ref[np.ndarray], bytes]] = {}
_constants: weakref.WeakValueDictionary[tuple[Any, ...], np.ndarray] = weakref.WeakValueDictionary()


def shared(array: Any) -> Any:
    """A constant, or another one of the same bytes, dtype, shape and order that is in use already.

    >>> a = np.arange(1000.0)
    >>> shared(a) is a, shared(np.arange(1000.0)) is a, shared(np.arange(1000)) is a
    (True, True, False)
    """
    if (
        type(array) is not np.ndarray
        or array.nbytes < SHARED
        or not (array.flags.c_contiguous or array.flags.f_contiguous)
    ):
        return array
    number = id(array)
    reference, digest = _known.get(number, (None, b""))
    if reference is None or reference() is not array:
        digest = hashlib.blake2b(array.ravel("K").view(np.uint8).data, digest_size=16).digest()
        _known[number] = weakref.ref(array, lambda _: _known.pop(number, None)), digest
    key = array.dtype.str, array.shape, array.strides, digest
    found = _constants.get(key)
    if found is None:
        _constants[key] = found = array
    return found


def by_columns(array: np.ndarray) -> np.ndarray:
    """A matrix that is never written to, in memory column by column."""
    return array if array.flags.f_contiguous else once(array, "columns", np.asfortranarray)


def scaled_by(array: np.ndarray, factor: Any) -> np.ndarray:
    """A constant times a number."""
    if not array.ndim:
        return array * np.asarray(factor, array.dtype)
    return once(array, f"times {factor!r}", lambda x: x * np.asarray(factor, x.dtype))


class Memory:
    """The buffers of one program while its code is being generated.

    Attributes:
        lines: source that makes a set of them.
        arrays: the first set: every buffer and view by its name.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.arrays: dict[str, Any] = {}
        self.free: dict[Any, list[str]] = {}
        self.kinds: dict[str, Any] = {}
        self.known: dict[tuple[str, str], str] = {}

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any], *, by_rows: bool = False) -> str:
        """The name of a buffer that holds nothing now; `by_rows`: it lies in memory row by row, even if it is tall."""
        kind = shape, dtype, by_rows or not is_tall(shape)
        waiting = self.free.get(kind)
        if waiting:
            return waiting.pop()
        name = f"b{len(self.arrays)}"
        made = f"empty({shape!r}, {dtype.char!r})"
        if not kind[2]:
            made = f"empty({shape[::-1]!r}, {dtype.char!r}).T"
        self._add(name, made, {})
        self.kinds[name] = kind
        return name

    def give_back(self, name: str) -> None:
        self.free.setdefault(self.kinds[name], []).append(name)

    def view(self, name: str, change: str, objects: dict[str, Any]) -> str | None:
        """The name of a view, `change` of what `name` holds; None if that is no buffer, or if it would be a copy."""
        if name not in self.arrays:
            return None
        found = self.known.get((name, change))
        if found is None:
            array = eval(f"x{change}", {"x": self.arrays[name], **objects})
            if not isinstance(array, np.ndarray) or not np.may_share_memory(array, self.arrays[name]):
                return None
            found = self.known[name, change] = f"w{len(self.arrays)}"
            self._add(found, f"{name}{change}", objects)
        return found

    def _add(self, name: str, made: str, objects: dict[str, Any]) -> None:
        self.lines.append(f"{name} = {made}")
        self.arrays[name] = eval(made, {"empty": np.empty, **self.arrays, **objects})

    def source(self, name: str) -> str:
        """A function that makes a set of all of them."""
        body = [*self.lines, f"return [{', '.join(self.arrays)}]"]
        return "\n".join([f"def {name}():", *[f"    {line}" for line in body]]) + "\n"
