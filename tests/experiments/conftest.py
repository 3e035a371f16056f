"""Small configs of both experiments, and the command run in a folder of its own."""

from pathlib import Path
from typing import NamedTuple

import pytest

from experiments.cli import main

DIGITS = """\
experiment: digits_learning_rates
seeds: [3, 5]
train_fraction: 0.1
inner_steps: 5
outer_steps: 4
grid:
  learning_rates: {low: 0.1, high: 1, count: 3}
  momenta: [0.5, 0.9]
"""

SINUSOID = """\
experiment: maml_sinusoid
seeds: [2]
iterations: 6
tasks_per_iteration: 4
hidden: [8, 8]
evaluation: {tasks: 10, steps: [0, 1, 3]}
"""


class Result(NamedTuple):
    """What a shell sees of one call."""

    code: int
    out: str
    err: str


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """An empty current folder with the two configs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.yaml").write_text(DIGITS)
    (tmp_path / "sinusoid.yaml").write_text(SINUSOID)
    return tmp_path


@pytest.fixture
def hograd(capsys):
    """Call the command line in this process."""

    def call(*arguments: str) -> Result:
        try:
            code = main(list(arguments))
        except SystemExit as ended:  # how argparse ends for --help and for what it cannot parse
            code = ended.code
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def files(workplace):
    """The content of every file below the current folder, and every folder."""

    def read() -> dict[str, bytes | None]:
        return {
            str(path.relative_to(workplace)): path.read_bytes() if path.is_file() else None
            for path in sorted(workplace.rglob("*"))
        }

    return read
