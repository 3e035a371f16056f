"""Progress while a run works."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm


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
