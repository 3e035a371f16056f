"""What a person sees: progress while a run works, a table at its end, and figures of one look."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours that colour-blind readers can tell apart (Okabe and Ito, 2008), one a seed.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


class Progress:
    """A bar on a terminal, ten plain lines elsewhere, nothing when quiet; always on stderr."""

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self.bars = sys.stderr.isatty()

    def note(self, text: str) -> None:
        """One line of its own."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    @contextmanager
    def track(self, name: str, total: int, unit: str = "step") -> Iterator["Counter"]:
        """Count to `total`; the counter says how far the work is, also when it is broken off."""
        bar = tqdm(
            total=total,
            desc=name,
            disable=self.quiet or not self.bars,
            dynamic_ncols=True,
            # The text of `advance` comes whole even in 80 columns; the bar takes what is left.
            bar_format="{desc} |{bar}| {n_fmt}/{total_fmt}, {remaining} left{postfix}",
        )
        with bar:
            yield Counter(bar, name, total, unit, None if self.quiet or self.bars else self.note)


class Counter:
    """Counts up and shows a text beside the count."""

    def __init__(self, bar, name, total, unit, note):
        self.bar, self.name, self.total, self.unit, self.note = bar, name, total, unit, note
        self.count = 0

    def advance(self, text: str = "") -> None:
        """One more is done; `text` describes where the work stands, such as "loss 0.12"."""
        self.count += 1
        if self.note is None:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update()
        elif self.count == self.total or self.count * 10 // self.total > (self.count - 1) * 10 // self.total:
            self.note(f"{self.name}: {self.unit} {self.count}/{self.total}  {text}".rstrip())


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
    right = [bool(rows) and all(_numeric(row[column]) for row in rows) for column in range(len(header))]

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


def _numeric(cell: str) -> bool:
    return cell[:1].isdigit() or cell in ("", "-", "inf", "nan", "not yet")


def figure(rows: int = 1, columns: int = 1, *, width: float = 7.5, height: float = 4.5) -> "tuple[Figure, list[Axes]]":
    """A figure and its axes, row by row; without pyplot, so without a display and without global state."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), dpi=150, layout="constrained")
    axes = made.subplots(rows, columns, squeeze=False).ravel().tolist()
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(alpha=0.25, linewidth=0.6)
    return made, axes


def log_scale(axes: "Axes") -> None:
    """Make the vertical axis logarithmic, with plain numbers: 0.2 rather than 2 x 10^-1."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")


def legend_below(figure: "Figure", axes: "Axes", columns: int) -> None:
    """The legend of `axes` below the whole figure, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
