"""How a tensor is printed: the text that PyTorch prints for the same numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hograd.backend import to_numpy
from hograd.core.restoring import silent


@dataclass(frozen=True, slots=True)
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": _Options(),
    "short": _Options(precision=2, edgeitems=2),
    "full": _Options(threshold=math.inf),
}

_options = _Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed, in every thread; a number that is None leaves its setting as it is.

    Args:
        precision: digits after the point of floating numbers, at least 0 (initially 4).
        threshold: number of elements above which only the edges are printed (initially 1000; `inf`: never).
        edgeitems: elements printed at each end of a summarised axis, at least 0 (initially 3).
        linewidth: columns of a line after which elements and suffixes move to the next one (initially 80).
        profile: `"default"`, `"short"` or `"full"`, whose settings are taken before the other arguments.
        sci_mode: True for scientific notation always, False for never, None for a choice by the finite
            numbers other than zero: when the largest magnitude passes 1e8 or 1000 times the smallest, or the
            smallest is below 1e-4. Where there are no such numbers the notation is never scientific. Unlike
            the other arguments, every call sets this one, also to None.

    Raises:
        ValueError: a number is out of its range, or there is no such profile.
        TypeError: an argument is not of the type above.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.set_printoptions.html

    >>> set_printoptions(precision=2, sci_mode=True)
    >>> format_tensor(np.array([0.5, 20.0]), default_dtype=np.float64)
    'tensor([5.00e-01, 2.00e+01])'
    >>> set_printoptions(profile="default")
    """
    global _options
    if profile is not None and profile not in _PROFILES:
        raise ValueError(f"profile is {profile!r}, expected one of {', '.join(map(repr, _PROFILES))}, or None.")
    if not (sci_mode is None or isinstance(sci_mode, (bool, np.bool_))):
        raise TypeError(f"sci_mode is {sci_mode!r}, expected True, False, or None for a choice by range.")
    numbers: dict[str, Any] = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    given = {name: value for name, value in numbers.items() if value is not None}
    for name, value in given.items():
        expected, kinds = ("an integer", (int, np.integer))
        if name == "threshold":
            expected, kinds = ("a number", (*kinds, float, np.floating))
        if not isinstance(value, kinds):
            raise TypeError(f"{name} is {value!r}, expected {expected}, or None to leave it as it is.")
        if not value >= 0:
            raise ValueError(f"{name} is {value}, expected {expected} of at least 0.")
    _options = replace(_PROFILES[profile] if profile else _options, **given, sci_mode=sci_mode)


def format_tensor(array: Any, *, prefix: str = "tensor", default_dtype: Any, suffixes: Sequence[str] = ()) -> str:
    """The text of `array` as PyTorch prints it: `prefix(numbers, suffix, ...)`.

    The dtype is written as a suffix unless the reader infers it: `default_dtype` goes without, and where
    there are numbers to infer it from so do `bool`, `int64` and the complex dtype of the precision of
    `default_dtype` (at least complex64). An array without elements shows its shape, unless it has one axis.

    Args:
        array: a NumPy array or NumPy scalar of bool, integer, floating or complex dtype, of any shape.
        prefix: what stands before the parenthesis; later lines are indented by its length.
        default_dtype: the floating dtype that goes without saying.
        suffixes: what follows the numbers and the dtype, such as `requires_grad=True`, each on a new line
            where it would pass the line width.

    Returns:
        The text, without a final newline.

    >>> format_tensor(np.array([[1.0, 4.0], [-2.5, np.inf]]), default_dtype=np.float64)
    'tensor([[ 1.0000,  4.0000],\\n        [-2.5000,     inf]])'
    >>> format_tensor(np.float32(3.2), default_dtype=np.float64, suffixes=["requires_grad=True"])
    'tensor(3.2000, dtype=float32, requires_grad=True)'
    """
    options = _options  # read once: another thread may set them meanwhile
    array, default = np.asarray(to_numpy(array)), np.dtype(default_dtype)
    inferred = {default.name}
    if array.size:
        inferred |= {"bool", "int64", np.result_type(default, np.complex64).name}
    own = [] if array.dtype.name in inferred else [f"dtype={array.dtype.name}"]

    indent = len(prefix) + 1
    summarised = array.size > options.threshold
    if array.size == 0:
        body = "[]"
    elif summarised and options.edgeitems == 0 and array.ndim:
        body = "[...]"
    else:
        gaps = [summarised and size > 2 * options.edgeitems for size in array.shape]
        cells, width = _cells(_edges(array, gaps, options.edgeitems), options)
        body = _layout(cells, gaps, width + len(", "), indent, options.linewidth)
    # Without edge items PyTorch adds the shape to every tensor, summarised or not.
    hides_shape = array.ndim != 1 if array.size == 0 else options.edgeitems == 0
    shape = [f"size={array.shape}"] if hides_shape else []
    return _append(f"{prefix}({body}", [*shape, *own, *suffixes], indent, options.linewidth) + ")"


def _edges(array: np.ndarray, gaps: list[bool], count: int) -> np.ndarray:
    """`array` with the first and last `count` elements alone along the axes that have a gap."""
    if not any(gaps):
        return array
    axes = [
        np.r_[:count, size - count : size] if gap else np.arange(size)
        for size, gap in zip(array.shape, gaps, strict=True)
    ]
    return array[np.ix_(*axes)]


def _cells(array: np.ndarray, options: _Options) -> tuple[np.ndarray, int]:
    """The text of every element, padded to one width, and that width (which nan and inf may exceed)."""
    if array.dtype.kind == "c":
        real, real_width = _float_texts(np.real(array), options)
        imag, imag_width = _float_texts(np.imag(array), options)
        texts = [a + _signed(b) + "j" for a, b in zip(real, imag, strict=True)]
        # PyTorch counts the j and not the sign.
        width = real_width + imag_width + 1
    elif array.dtype.kind == "f":
        texts, width = _float_texts(array, options)
    else:
        texts = [str(value) for value in array.ravel().tolist()]
        width = max(map(len, texts))
        texts = [text.rjust(width) for text in texts]
    return np.array(texts, dtype=object).reshape(array.shape), width


def _signed(text: str) -> str:
    text = text.lstrip()
    return text if text.startswith("-") else "+" + text


def _float_texts(array: np.ndarray, options: _Options) -> tuple[list[str], int]:
    """All numbers in the notation that the finite ones other than zero call for, and the width of these."""
    with silent():  # an extended float beyond the range of float64 is printed as inf
        values = array.ravel().astype(np.float64)
    deciding = np.isfinite(values) & (values != 0)
    magnitudes = np.abs(values[deciding])
    integral = bool((magnitudes == np.floor(magnitudes)).all())
    scientific = magnitudes.size > 0 and _is_scientific(magnitudes, options)
    if scientific:
        notation, point = f".{options.precision}e", ""
    elif integral:
        notation, point = ".0f", "."
    else:
        notation, point = f".{options.precision}f", ""
    texts = [format(value, notation) + (point if math.isfinite(value) else "") for value in values.tolist()]
    width = max((len(text) for text, decides in zip(texts, deciding, strict=True) if decides), default=1)
    return [text.rjust(width) for text in texts], width


def _is_scientific(magnitudes: np.ndarray, options: _Options) -> bool:
    if options.sci_mode is not None:
        return bool(options.sci_mode)
    # Python's floats: their quotient overflows to inf without a warning.
    smallest, largest = float(magnitudes.min()), float(magnitudes.max())
    return largest / smallest > 1000 or largest > 1e8 or smallest < 1e-4


def _layout(cells: np.ndarray, gaps: list[bool], width: int, indent: int, linewidth: int) -> str:
    """Nested brackets around `cells`, with dots in the middle of each axis that has a gap."""
    if cells.ndim == 0:
        return cells.item()
    if cells.ndim == 1:
        items, dots = list(cells), " ..."
    else:
        items, dots = [_layout(row, gaps[1:], width, indent + 1, linewidth) for row in cells], "..."
    if gaps[0]:
        items.insert(len(items) // 2, dots)
    line_break = "," + "\n" * max(1, cells.ndim - 1) + " " * (indent + 1)
    per_line = max(1, (linewidth - indent) // width) if cells.ndim == 1 else 1
    lines = [", ".join(items[start : start + per_line]) for start in range(0, len(items), per_line)]
    return "[" + line_break.join(lines) + "]"


def _append(text: str, suffixes: list[str], indent: int, linewidth: int) -> str:
    # As in PyTorch, numbers count for two columns more than they take, suffixes for what they take.
    column = len(text) - (text.rfind("\n") + 1) + 2
    for suffix in suffixes:
        if column + len(", ") + len(suffix) > linewidth:
            text += ",\n" + " " * indent + suffix
            column = indent + len(suffix)
        else:
            text += ", " + suffix
            column += len(", ") + len(suffix)
    return text
