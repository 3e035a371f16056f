"""What `hograd list` prints fits a terminal and names everything."""

import pytest

from experiments.commands import listing
from experiments.components import registry
from experiments.components.registry import KINDS, plural
from experiments.errors import UsageError


@pytest.mark.parametrize("kind", KINDS)
def test_every_component_is_listed_with_its_first_line(kind):
    shown = listing.components(plural(kind))
    assert max(map(len, shown.splitlines())) <= 80
    words = " ".join(shown.split())
    for name, component in registry.components(kind).items():
        if not name.startswith("tests_"):
            assert component.summary, f"{kind} {name} has no docstring"
            assert f"{name} {component.summary}" in words


def test_overview_and_misspelt_kinds():
    shown = listing.overview()
    assert max(map(len, shown.splitlines())) <= 80
    assert "optimizers: how parameters are stepped" in shown
    with pytest.raises(UsageError, match="'optimisers' is no kind of component; did you mean 'optimizers'"):
        listing.components("optimisers")
