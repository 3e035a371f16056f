"""`import hograd` is light, whatever else is installed."""

import functools
import inspect
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


def test_public_names_are_all_there_and_no_others():
    import hograd as ho

    assert [name for name in ho.__all__ if not hasattr(ho, name)] == []
    assert len(set(ho.__all__)) == len(ho.__all__)
    # Python makes an imported module of a package an attribute of it.
    inner = {name.split(".")[1] for name in sys.modules if name.startswith("hograd.")}
    assert {name for name in vars(ho) if not name.startswith("_")} - set(ho.__all__) - inner == set()


@pytest.mark.parametrize(
    "name", ["linalg", "special", "fft", "func", "autograd", "autograd.functional", "graph", "tree", "check", "nn"]
)
def test_public_functions_are_annotated(name):
    import hograd as ho

    module = functools.reduce(getattr, name.split("."), ho)
    for function in [getattr(module, name) for name in module.__all__] + [getattr(ho, name) for name in ho.__all__]:
        if inspect.isfunction(function):
            signature = inspect.signature(function)
            assert signature.return_annotation is not signature.empty, function
            assert all(p.annotation is not p.empty for p in signature.parameters.values()), function


@pytest.mark.parametrize("name", ["hograd.program", "hograd.check", "hograd.graph", "hograd.nn", "pathlib", "urllib"])
def test_what_not_everyone_needs_is_imported_when_it_is_used(after_hograd, name):
    assert name in modules_after("import numpy, optree") or name not in after_hograd
