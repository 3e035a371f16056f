"""CONTRIBUTING.md, followed word for word in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def code_blocks(section):
    """The Python blocks of one section of CONTRIBUTING.md, as they stand in the files."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    body = text.split(f"## {section}\n")[1].split("\n## ")[0]
    return [textwrap.dedent(" " * 3 + block) for block in re.findall(r"```python\n {3}(.*?)\n {3}```", body, re.DOTALL)]


def insert(path, after, line):
    text = path.read_text()
    assert text.count(after) == 1, f"{path.name} has {after!r} not once"
    path.write_text(text.replace(after, f"{after}\n{line}"))


@pytest.mark.parametrize("wrong", [False, True], ids=["right", "with a wrong rule"])
def test_add_an_operation(tmp_path, wrong):
    declaration, reference = code_blocks("Add an operation")
    if wrong:
        declaration = declaration.replace("-x * y", "-1.01 * x * y")
    for folder in ("hograd", "tests/ops"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "tests/conftest.py"):
        shutil.copy(ROOT / file, tmp_path / file)

    family = tmp_path / "hograd/ops/elementwise.py"
    family.write_text(f"{family.read_text()}\n\n{declaration}\n")
    insert(family, "__all__ = [", '    "gaussian",')
    insert(tmp_path / "tests/ops/references.py", "_BY_NAME: dict[str, Any] = {", reference)
    where = ["tests/ops/test_derivatives.py"] if wrong else ["tests/ops", "hograd/ops"]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "gaussian", *where],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed)", result.stdout.splitlines()[-1])}
    if wrong:
        assert counts["failed"] >= 3, result.stdout
    else:
        assert result.returncode == 0, result.stdout
        assert counts["passed"] >= 50
