"""Results and problems as people meet them: how they print, what they hold, and which mistakes are named at once."""

import dataclasses

import numpy as np
import pytest

import hograd as ho
import optim
from hograd.errors import DtypeError
from optim import SGD
from optim.hyper import Bilevel, Diagnosis, Implicit, Reverse, bilevel, hypergradient, stochastic
from optim.hyper.diagnose import Row

LARGE = {"w": ho.ones(30, 40), "b": ho.zeros(40)}


def inner(w, outer):
    return (w["w"] ** 2).sum() + ((w["b"] - outer["a"]) ** 2).sum()


def judged(w, outer):
    return (w["w"] ** 2).sum() + ((w["b"] - 1.0) ** 2).sum()


PROBLEM = Bilevel(inner, judged, LARGE, SGD(lr=0.1))
OUTER = {"a": ho.tensor(0.5)}


def test_the_loss_of_a_solution_is_a_tensor_like_every_other():
    found = bilevel(PROBLEM, OUTER, SGD(lr=0.01), Reverse(3), steps=4)
    result = hypergradient(PROBLEM, found.outer, Reverse(3))
    least = optim.LBFGS().minimize(lambda w: (w**2).sum(), ho.ones(2))
    for value in (found.value, result.value, least.value):
        assert isinstance(value, ho.Tensor)
        assert value.shape == ()
        assert not value.requires_grad
    assert float(found.value) == float(result.value) == found.history[found.best]


@pytest.mark.parametrize(
    "make",
    [
        lambda: bilevel(PROBLEM, OUTER, SGD(lr=0.01), Reverse(3), steps=20),
        lambda: hypergradient(PROBLEM, OUTER, Reverse(3)).info,
        lambda: hypergradient(PROBLEM, OUTER, Implicit(steps=100)).info,
        lambda: hypergradient(PROBLEM, OUTER, Reverse(3)),
        lambda: PROBLEM,
        lambda: stochastic.SOBA(inner_lr=0.1, outer_lr=0.1).run(PROBLEM, OUTER, 2),
        lambda: optim.LBFGS().minimize(lambda w: (w["w"] ** 2).sum() + (w["b"] ** 2).sum(), LARGE),
        lambda: optim.bind(SGD(lr=0.1), ho.tree.map(lambda x: x.detach().requires_grad_(), LARGE)).snapshot(),
    ],
    ids=["solution", "info", "implicit info", "hypergradient", "problem", "position", "minimum", "snapshot"],
)
def test_what_holds_parameters_prints_a_line_for_each_field(make):
    found = make()
    names = found._fields if isinstance(found, tuple) else [field.name for field in dataclasses.fields(found)]
    head, *lines = repr(found).splitlines()
    assert head == type(found).__name__
    assert [line.split(": ", 1)[0].strip() for line in lines] == list(names)
    assert max(map(len, lines)) <= 120
    if "params" in names:
        assert "  params: dict of 2 tensors, 1,240 numbers, float64" in lines


def test_small_fields_print_as_they_are_and_large_ones_by_their_size():
    found = bilevel(PROBLEM, OUTER, SGD(lr=0.01), Reverse(3), steps=20)
    lines = repr(found).splitlines()
    assert f"  outer: {found.outer!r}" in lines
    assert f"  value: {found.value!r}" in lines
    assert "  history: list of 21 numbers" in lines
    assert "  stopped: 'steps'" in lines
    assert "  params: tensor of shape (30, 40), float32" in repr(
        dataclasses.replace(found.info, params=ho.ones(30, 40, dtype=ho.float32))
    )
    assert "  params: SGD of 1 tensor" in repr(dataclasses.replace(found.info, params=SGD(lr=ho.ones(50))))


class Nothing:
    """An instance that is neither a function nor a number."""


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({"inner_loss": Nothing()}, r"Bilevel: inner_loss is Nothing .*, expected a function \(params, outer\)"),
        ({"outer_loss": 3.0}, r"Bilevel: outer_loss is float 3\.0, expected a function"),
        ({"outer_loss": None}, "Bilevel: outer_loss is NoneType None, expected a function"),
        ({"init": 3}, "Bilevel: init is int 3, expected a floating tensor or number"),
        ({"init": Nothing()}, "Bilevel: init is Nothing .*, expected a floating tensor or number"),
        ({"init": {"w": [1.0, True]}}, r"Bilevel: init\['w'\]\[1\] is bool True, expected a floating"),
        ({"init": np.arange(3)}, "Bilevel: init has dtype int64, expected a floating"),
        ({"init": lambda outer: 3}, "Bilevel: init is int 3, expected a floating tensor or number"),
        ({"optimizer": Nothing()}, "Bilevel: the inner optimizer is Nothing, expected an Optimizer"),
        ({"optimizer": 0.1}, "Bilevel: the inner optimizer is float, expected an Optimizer"),
        ({"optimizer": lambda outer: 0.1}, "Bilevel: the inner optimizer is float, expected an Optimizer"),
        ({"batches": [1, 2]}, r"Bilevel: batches is list \[1, 2\], expected a function \(step number\)"),
    ],
    ids=range(12),
)
def test_mistakes_in_a_problem_are_named(changes, phrase):
    with pytest.raises(DtypeError, match=phrase):
        hypergradient(dataclasses.replace(PROBLEM, **changes), OUTER, Reverse(1))
    if not callable(next(iter(changes.values()))):
        with pytest.raises(DtypeError, match=phrase):
            dataclasses.replace(PROBLEM, **changes)


def test_what_is_no_problem_is_refused():
    with pytest.raises(DtypeError, match="hypergradient: problem is SGD, expected a Bilevel"):
        hypergradient(SGD(lr=0.1), OUTER, Reverse(1))


def test_a_problem_without_optimizer_says_so_when_it_is_used():
    with pytest.raises(DtypeError, match="the inner optimizer is dict, expected an Optimizer"):
        hypergradient(Bilevel(inner, judged, LARGE), OUTER, Reverse(1))


def test_the_mark_of_a_residual_is_explained_where_it_stands():
    legend = "! an iteration of the method ended before it had the accuracy that it was asked for"
    rows = [Row("cg", error=0.1, residual=1e-12), Row("short", error=0.5, residual=0.5, converged=False)]
    plain, marked = (str(Diagnosis(some)).splitlines() for some in (rows[:1], rows))
    assert len(plain) == 2
    assert marked[2].endswith("5.0e-01!")
    assert marked[3:] == ["", legend]
    assert str(Diagnosis([*rows, Row("broken", failure="it is broken")])).splitlines()[4:] == ["", legend]
