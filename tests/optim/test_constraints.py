"""Constraints are smooth bijections onto their ranges."""

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError
from optim import SGD, constraints
from optim.constraints import Free, Positive, UnitInterval
from optim.schedules import PerStep

RANGES = {Free(): (-np.inf, np.inf), Positive(): (0, np.inf), UnitInterval(): (0, 1)}


@pytest.mark.parametrize("constraint", RANGES, ids=str)
def test_free_numbers_land_inside_and_come_back(constraint):
    free = ho.tensor(np.random.default_rng(3).normal(size=20) * 3)
    value = constraint.constrain(free)
    low, high = RANGES[constraint]
    assert ((value > low) & (value < high)).all()
    np.testing.assert_allclose(constraint.unconstrain(value).numpy(), free.numpy(), rtol=0, atol=1e-10)
    slope = ho.func.vmap(ho.func.grad(constraint.constrain))(free)
    assert (slope > 0).all()


@pytest.mark.parametrize(
    ("constraint", "value"), [(Positive(), 0.0), (Positive(), -1.0), (UnitInterval(), 1.0), (UnitInterval(), 0.0)]
)
def test_values_outside_are_refused_by_name(constraint, value):
    with pytest.raises(ArgumentError, match=rf"value\['lr'\] is {value}, expected {constraint.range}"):
        constraints.unconstrain({"lr": constraint}, {"lr": value})


def test_a_specification_is_a_prefix_of_the_tree():
    value = {"opt": SGD(lr=PerStep([0.1, 0.2]), momentum=0.5, dampening=0.5, weight_decay=0.5), "l2": 0.1}
    spec = {"opt": SGD(lr=Positive(), momentum=UnitInterval(), dampening=Free(), weight_decay=Free()), "l2": Positive()}
    free = constraints.unconstrain(spec, value)
    assert float(free["opt"].momentum) == 0.0
    back = constraints.constrain(spec, free)
    np.testing.assert_allclose(back["opt"].lr.values.numpy(), [0.1, 0.2], rtol=1e-14)
    assert isinstance(back["opt"], SGD)
