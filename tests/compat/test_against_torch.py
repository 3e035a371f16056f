"""Every operation that hograd shares with PyTorch, on PyTorch's own samples: value, gradient, second derivative.

The samples are those of PyTorch's tests, in float64; the known differences are in `differences.py`. The tests need
PyTorch 2.13 and `expecttest`. What PyTorch has and hograd has not is printed by `python -m tests.compat.missing`.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", minversion="2.13", exc_type=ImportError)
pytest.importorskip("expecttest")

import hograd as ho  # noqa: E402

from .compare import accepted, compare  # noqa: E402
from .differences import ABSENT, DIFFERENCES  # noqa: E402
from .names import Form, dtype_of_samples, forms, missing, shared  # noqa: E402

#: Samples of an operation, evenly spaced over those that PyTorch has: for its first form, and for every other.
SAMPLES, OF_OTHER_FORMS = 50, 15


def samples(op: Any) -> list[Any]:
    """PyTorch's samples of an operation."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  PyTorch's samples draw from it
    dtype = dtype_of_samples(op)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(op.sample_inputs("cpu", dtype, requires_grad=op.supports_autograd and dtype.is_floating_point))


def spaced(values: list[Any], count: int) -> list[Any]:
    """At most `count` of the values, evenly spaced, the first and the last among them."""
    chosen = np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)
    return [values[i] for i in chosen]


@pytest.mark.parametrize("name", shared())
def test_as_in_pytorch(name):
    op = shared()[name]
    given = samples(op)
    found, compared = [], 0
    for position, form in enumerate(forms(op)):
        for sample in spaced(given, OF_OTHER_FORMS if position else SAMPLES):
            differences = compare(op, form, sample)
            if differences is not None:
                compared += 1
                found.extend(differences)
    assert compared, "PyTorch takes none of its samples in a form that hograd has"
    check_table(found, [entry for entry in DIFFERENCES if name in entry.ops.split() and entry.what != "accepted"])


@pytest.mark.parametrize("name", [name for name, op in shared().items() if op.error_inputs_func is not None])
def test_refused_as_in_pytorch(name):
    op = shared()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrong = [error.sample_input for error in op.error_inputs("cpu")]
    functions = [form for form in forms(op) if form.arranged][:1]
    found = [difference for form in functions for sample in wrong for difference in accepted(op, form, sample)]
    check_table(found, [entry for entry in DIFFERENCES if name in entry.ops.split() and entry.what == "accepted"])


def check_table(found, known):
    """What was found is in the table, and what is in the table was found."""
    unknown = [str(difference) for difference in found if not any(entry.covers(difference) for entry in known)]
    assert not unknown, f"{len(unknown)} differences from PyTorch that are not in the table:\n" + "\n".join(unknown)
    gone = [entry for entry in known if not any(entry.covers(difference) for difference in found)]
    assert not gone, f"no longer different, remove from the table: {gone}"


def test_the_table_names_operations_that_are_compared():
    named = {name for entry in DIFFERENCES for name in entry.ops.split()}
    assert named <= set(shared())


def test_what_is_absent_is_in_pytorch_alone():
    assert set(" ".join(ABSENT).split()) <= {name for names in missing().values() for name in names}


def straight(x):
    """The sine with the right slope and without a second derivative."""
    point = x.detach()
    return ho.sin(point) + ho.cos(point) * (x - point)


def lost(x):
    raise TypeError("unsupported operand type(s) for +: 'NoneType' and 'int'")


WRONG = [
    (ho.cos, "value"),
    (lambda x: ho.sin(x).reshape(1, *x.shape), "value"),
    (lambda x: ho.sin(x).to(ho.float32).to(ho.float64), "value"),
    (lambda x: (ho.sin(x), x), "structure"),
    (lambda x: ho.sin(x.detach()), "gradient"),
    (straight, "second derivative"),
    (lambda x: x.sum(axis=9), "refused"),
    (lost, "crash"),
]


@pytest.mark.parametrize(("wrong", "what"), WRONG, ids=[what for _, what in WRONG])
def test_what_is_wrong_is_seen(wrong, what):
    op = shared()["sin"]
    found = list(compare(op, Form("sin", torch.sin, wrong, called="sin"), samples(op)[0]))
    assert [difference.what for difference in found] == [what]
