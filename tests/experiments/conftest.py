"""A small config, and the command run in a folder of its own."""

from pathlib import Path
from typing import NamedTuple

import pytest

from experiments.cli import main

SMALL = """\
experiment: bilevel
description: A small run.
seeds: [3, 5]
data: {name: digits, train: 60, validation: 40}
model: {name: linear, start: zero}
inner: {steps: 5, optimizer: {name: SGD, lr: 0.5, momentum: 0.9}}
learn:
  optimizer.lr: {per: step}
outer: {optimizer: {name: Adam, lr: 0.03}, steps: 3}
baselines: [{name: grid, over: {optimizer.lr: {low: 0.1, high: 1, count: 2}}}]
executor: serial
"""


class Result(NamedTuple):
    """What a shell sees of one call."""

    code: int
    out: str
    err: str


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """An empty current folder with the config."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
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
