"""Tables as text for a terminal, and numbers in few characters."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from experiments.experiment import Report


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""Columns under their headings, which may have several lines; text to the left, numbers to the right.

    >>> print(table(["method", "mean\nloss"], [["grid", "0.25"], ["learned", "0.125"]]))
              mean
    method    loss
    --------------
    grid      0.25
    learned  0.125
    """
    heads = [head.split("\n") for head in header]
    height = max(map(len, heads))
    lines = [[head[row - height] if row >= height - len(head) else "" for head in heads] for row in range(height)]
    cells = [*lines, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    right = [bool(rows) and all(numeric(row[column]) for row in rows) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if at_right else cell.ljust(width)
            for cell, width, at_right in zip(row, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([*map(line, lines), "-" * (sum(widths) + 2 * len(widths) - 2), *map(line, rows)])


def number(value: float) -> str:
    """A loss in few characters, however large it became.

    >>> number(0.12345), number(12.3456), number(123456.7)
    ('0.1235', '12.35', '1.23e+05')
    """
    return f"{value:.3g}" if abs(value) >= 1000 else f"{value:#.4g}" if abs(value) >= 1 else f"{value:.4f}"


def numeric(cell: str) -> bool:
    return cell.lstrip("+-")[:1].isdigit() or cell in ("", "-", "inf", "nan", "not yet")


def fitted(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    r"""A table; where it is wider, its first column becomes headings over the rows that share its value.

    >>> print(fitted(["variant", "loss"], [["small", "0.5"], ["small", "0.25"], ["large", "0.1"]], 8))
    loss
    <BLANKLINE>
    small
    ----
     0.5
    0.25
    <BLANKLINE>
    large
    ----
     0.1
    """
    whole = table(header, rows)
    shared = len({row[0] for row in rows if row}) < len(rows)
    if not shared or len(header) < 2 or max(map(len, whole.splitlines())) <= width:
        return whole
    height = 1 + max(head.count("\n") for head in header[1:])
    inner = table(header[1:], [row[1:] for row in rows]).splitlines()
    heads, lines = inner[:height], inner[height + 1 :]
    parts, last = list(heads), None
    for row, line in zip(rows, lines, strict=True):
        if row[0] != last:
            parts += ["", row[0], inner[height]]
        last = row[0]
        parts.append(line)
    return "\n".join(parts)


def text(report: Report, width: int = 80, *, most: int | None = None) -> str:
    """A report as text: its tables, their notes, and what was found.

    Args:
        report: what was found.
        width: of the terminal.
        most: a table of details with more rows than that is only named, with where it is to be found.
    """
    parts = []
    for one in report.tables:
        title = f"{one.title}\n\n" if len(report.tables) > 1 else ""
        if one.detail and most is not None and len(one.rows) > most:
            parts.append(f"{one.title}: {len(one.rows)} rows, in table.txt and on the page.")
            continue
        notes = "\n".join(wrapped(note, width) for note in one.notes)
        parts.append(f"{title}{fitted(one.header, one.rows, width)}" + (f"\n\n{notes}" if notes else ""))
    if report.findings:
        parts.append("\n".join(wrapped(finding, width) for finding in report.findings))
    return "\n\n".join(parts)


def wrapped(line: str, width: int = 80) -> str:
    """A sentence in lines of bounded length."""
    return textwrap.fill(line, width, break_on_hyphens=False, break_long_words=False)
