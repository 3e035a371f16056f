"""How long `import hograd` takes beside `import numpy, optree`, each in fresh interpreters, in turn.

python -m benchmarks.import_time [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

BARE = "import numpy, optree"
OURS = "import hograd"


def seconds(statement: str) -> float:
    """The time of one import in a fresh interpreter, without the interpreter's own start."""
    # Installed packages have their bytecode on disk, so the checkout may write its own too.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    code = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return float(run.stdout)


def measure(rounds: int) -> tuple[float, float, float]:
    """Medians of both imports in seconds, and of their ratio round by round."""
    seconds(BARE), seconds(OURS)  # the files are in the page cache from here on
    pairs = [(seconds(BARE), seconds(OURS)) for _ in range(rounds)]
    bare, ours = zip(*pairs, strict=True)
    return statistics.median(bare), statistics.median(ours), statistics.median(o / b for b, o in pairs)


def main() -> None:
    """Print the medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    bare, ours, ratio = measure(rounds)
    print(f"{BARE:<24}{bare * 1e3:8.1f} ms")
    print(f"{OURS:<24}{ours * 1e3:8.1f} ms")
    print(f"{'ratio':<24}{ratio:8.2f}   (median of {rounds} rounds)")


if __name__ == "__main__":
    main()
