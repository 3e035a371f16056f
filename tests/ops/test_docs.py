"""Every public operation is documented by an example that runs."""

from __future__ import annotations

import doctest
import inspect
import re
import warnings

import pytest

import hograd as ho
import hograd.ops.create
import hograd.ops.random
from hograd.core.declare import operations


def defined_in(module):
    return {
        f"{module.__name__.rpartition('.')[2]}.{name}": member
        for name, member in vars(module).items()
        if inspect.isfunction(member) and member.__module__ == module.__name__ and not name.startswith("_")
    }


PUBLIC = (
    {name: operation.function for name, operation in operations.items()}
    | defined_in(hograd.ops.create)
    | defined_in(hograd.ops.random)
)


#: Modules of operations whose names begin with that of the module.
MODULES = {"fft": ho.fft, "linalg": ho.linalg}


def public_home(name):
    """The module in which users find an operation, and what it is called there."""
    module, _, rest = name.partition("_")
    if module in MODULES and rest:
        return MODULES[module], rest
    return (ho if hasattr(ho, name) else ho.special), name


@pytest.mark.parametrize("function", PUBLIC.values(), ids=PUBLIC.keys())
def test_the_example_in_the_documentation_runs(function):
    text = inspect.getdoc(function)
    assert text, "no documentation"
    examples = doctest.DocTestParser().get_doctest(text, {}, function.__name__, None, 0)
    assert examples.examples, "no example"
    report: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE, verbose=False).run(
            examples, out=report.append
        )
    assert result.failed == 0, "".join(report)
    assert any(re.search(rf"\bho\.(\w+\.)?{function.__name__}|x\[", example.source) for example in examples.examples)


@pytest.mark.parametrize("function", PUBLIC.values(), ids=PUBLIC.keys())
def test_the_documentation_begins_with_a_sentence(function):
    assert inspect.getdoc(function).partition("\n\n")[0].endswith(".")


def test_every_documented_operation_is_public():
    for name in operations:
        home, called = public_home(name)
        assert getattr(home, called).__doc__ == operations[name].function.__doc__
        assert called in home.__all__
