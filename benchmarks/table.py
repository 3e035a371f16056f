"""Tables of at most 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from benchmarks.registry import YARDSTICK
from benchmarks.runner import Row

WIDTH = 80


def seconds(value: float | None) -> str:
    """A duration with three digits and its unit.

    >>> seconds(0.00215), seconds(12.0), seconds(0.0009999), seconds(None)
    ('2.15 ms', '12.0 s', '1.00 ms', '')
    """
    if value is None:
        return ""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if value * factor >= 0.9995 or unit == "us":
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
    # By ratio, which noise that all meet in a round does not touch; by median where there is no yardstick.
    ranked = sorted((row for row in rows if row.median is not None), key=lambda row: row.ratio or row.median or 0.0)
    lines = [*textwrap.wrap(title, WIDTH)]
    lines.append(f"{'':<24}{'median':>11}{'ratio to NumPy':>16}{'first call':>13}{'memory':>13}")
    lines.append("-" * 77)
    for row in ranked:
        share = "" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append(
            f"{row.version:<24}{seconds(row.median):>11}{share:>16}{seconds(row.first):>13}{megabytes(row.growth):>13}"
        )
    for row in rows:
        if row.median is None:
            lines += textwrap.wrap(f"{row.version:<24}left out: {row.why}", WIDTH, subsequent_indent=" " * 24)
    if not any(row.version == YARDSTICK for row in ranked):
        lines.append(f"({YARDSTICK} was not measured, so there are no ratios.)")
    return "\n".join(lines)
