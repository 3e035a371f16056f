"""The gradients written by hand agree with hograd's, at small sizes; so the yardstick is right without any peer."""

import numpy as np
import pytest

from benchmarks.registry import NAMES, YARDSTICK, workload
from benchmarks.runner import difference
from benchmarks.worker import arrays
from hograd.errors import MissingExtraError

#: Sizes at which a case takes milliseconds.
SMALL = {
    "mlp": {"width": 5},
    "maml": {"tasks": 3, "width": 6, "steps": 2},
    "rates": {"steps": 7},
    # Of fewer examples, 20 iterations of conjugate gradients amplify rounding.
    "cleaning": {"steps": 6, "examples": 200},
    "adam": {"steps": 4, "width": 7},
}

CASES = [(name, case) for name in NAMES for case in workload(name).cases]


def result(name, version, settings):
    """What a version computes, at these sizes."""
    chosen = workload(name)
    return [leaf.tolist() for leaf in arrays(chosen.versions[version].make(chosen.data(settings), settings)())]


def settings_of(name, case):
    return workload(name).cases[case] | SMALL.get(name, {})


@pytest.mark.parametrize("version", ["hograd eager", "hograd compiled (numpy)", "hograd native"])
@pytest.mark.parametrize(("name", "case"), CASES, ids=["/".join(c) for c in CASES])
def test_numpy_by_hand_agrees_with_hograd(name, case, version):
    settings = settings_of(name, case)
    try:
        found = result(name, version, settings)
    except MissingExtraError as error:
        pytest.skip(str(error))
    expected = result(name, YARDSTICK, settings)
    assert difference(found, expected, workload(name).tolerance) == ""
    assert all(np.abs(leaf).max() > 0 for leaf in expected)


def test_recomputation_by_hand_changes_no_result():
    settings = settings_of("rates", "1000-checkpoint")
    again, kept = (result("rates", YARDSTICK, settings | {"checkpoint": c}) for c in (True, False))
    assert difference(again, kept, 1e-12) == ""


def test_floats_agree_with_numpy_on_the_chain():
    for settings in workload("chain").cases.values():
        by_floats, by_numpy = (result("chain", v, settings) for v in ("Python's floats", YARDSTICK))
        assert difference(by_floats, by_numpy, 1e-12) == ""


@pytest.mark.parametrize("name", NAMES)
def test_cases_are_the_same_every_time_and_every_version_has_a_case(name):
    chosen = workload(name)
    for case, settings in chosen.cases.items():
        first, second = chosen.data(settings), chosen.data(settings)
        assert first.keys() == second.keys()
        assert all(np.array_equal(first[key], second[key]) for key in first)
        assert chosen.of_case(case)[0].name == YARDSTICK
    for version in chosen.versions.values():
        assert version.cases is None or set(version.cases) <= set(chosen.cases)
        assert version.make is not None or version.note
