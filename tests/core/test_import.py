"""`import hograd` is light, whatever else is installed."""

import subprocess
import sys

import pytest


def modules_after(code):
    """The names of the modules that a fresh interpreter holds after `code`."""
    script = f"import sys\n{code}\nprint(*sorted(sys.modules))"
    return set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )


@pytest.fixture(scope="module")
def after_hograd():
    return modules_after("import hograd")


@pytest.mark.parametrize(
    "name",
    ["scipy", "matplotlib", "sklearn", "pydantic", "yaml", "tqdm", "safetensors", "torch", "optim", "experiments"],
)
def test_not_imported(after_hograd, name):
    assert "hograd" in after_hograd
    assert name not in after_hograd


def test_beyond_numpy_and_optree_there_is_little(after_hograd):
    more = after_hograd - modules_after("import numpy, optree")
    assert len({name for name in more if not name.startswith("hograd")}) < 10


def test_every_public_name_is_there():
    import hograd as ho

    assert [name for name in ho.__all__ if not hasattr(ho, name)] == []
