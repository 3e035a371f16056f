"""Print what PyTorch has and hograd has not:  python -m tests.compat.missing  (from the repository's root)."""

from __future__ import annotations

import textwrap

from tests.compat.names import missing, shared

if __name__ == "__main__":
    print(f"{len(shared())} entries of PyTorch's test database are in hograd.")
    for kind, names in missing().items():
        print(f"\n{kind} that hograd lacks ({len(names)}):")
        print(textwrap.fill(" ".join(names), 118, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False))
