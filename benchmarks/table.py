"""Tables of at most 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from benchmarks.registry import YARDSTICK
from benchmarks.runner import Row

WIDTH = 80


def seconds(value: float | None) -> str:
    """A duration with three digits and its unit.

    >>> seconds(0.00215), seconds(12.0), seconds(None)
    ('2.15 ms', '12.0 s', '')
    """
    if value is None:
        return ""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if value * factor >= 1 or unit == "us":
            scaled = value * factor
            return f"{scaled:.{max(0, 2 - max(0, len(str(int(scaled))) - 1))}f} {unit}"
    return ""


def megabytes(value: float | None) -> str:
    """An amount of memory.

    >>> megabytes(12_345_678)
    '12.3 MB'
    """
    return "" if value is None else f"{value / 1e6:.1f} MB"


def table(title: str, rows: Sequence[Row]) -> str:
    """The ranking of one case, the fastest first, and below it what was left out and why."""
    ranked = sorted((row for row in rows if row.median is not None), key=lambda row: row.median or 0.0)
    lines = [*textwrap.wrap(title, WIDTH)]
    lines.append(f"{'':<22}{'median':>11}{'ratio to NumPy':>17}{'first call':>13}{'memory':>13}")
    lines.append("-" * 76)
    for row in ranked:
        share = "" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append(
            f"{row.version:<22}{seconds(row.median):>11}{share:>17}{seconds(row.first):>13}{megabytes(row.growth):>13}"
        )
    for row in rows:
        if row.median is None:
            lines += textwrap.wrap(f"{row.version:<22}left out: {row.why}", WIDTH, subsequent_indent=" " * 22)
    if not any(row.version == YARDSTICK for row in ranked):
        lines.append(f"({YARDSTICK} was not measured, so there are no ratios.)")
    return "\n".join(lines)
