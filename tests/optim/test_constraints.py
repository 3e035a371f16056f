"""Constraints are smooth bijections onto their ranges."""

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError
from optim import SGD, Adam, constraints
from optim.constraints import CappedSimplex, Free, Interval, Positive, Simplex, UnitInterval
from optim.schedules import PerStep

RANGES = {Free(): (-np.inf, np.inf), Positive(): (0, np.inf), UnitInterval(): (0, 1), Interval(-0.5, 3): (-0.5, 3)}


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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "constraint", [Positive(), UnitInterval(), Interval(-1, 1), Interval(0.1, 0.3), Simplex()], ids=str
)
def test_numbers_that_rounding_would_take_out_stay_inside(constraint, dtype):
    for far in (-1000.0, -40.0, -17.0, 0.0, 17.0, 40.0, 1000.0):
        free = ho.tensor([far, 0.5], dtype=dtype)
        value = constraint.constrain(free)
        assert value.dtype == free.dtype
        assert constraint.inside(value).all()
        assert ho.isfinite(constraint.unconstrain(value)).all()
        slope = ho.func.grad(lambda free: (constraint.constrain(free) * ho.tensor([1.0, 2.0], dtype=dtype)).sum())(free)
        assert ho.isfinite(slope).all()


def test_what_a_careless_rate_learns_stays_in_range():
    """Adam's rate and betas, stepped so far that the outer loss is left behind."""
    ranges = Adam(lr=Positive(), betas=(UnitInterval(), UnitInterval()), eps=Positive(), weight_decay=Positive())
    free = constraints.unconstrain(ranges, Adam(lr=0.1, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.1))

    def final(free):
        opt, w = constraints.constrain(ranges, free), ho.tensor([1.0, -2.0])
        state = opt.init(w)
        for _ in range(4):
            w, state = opt.step(w, ho.sin(w), state)
        return (w**2).sum()

    for _ in range(20):
        free = ho.tree.map(lambda x, g: x - 30.0 * ho.sign(g), free, ho.func.grad(final)(free))
        learned = constraints.constrain(ranges, free)
        assert all(0 < float(beta) < 1 for beta in learned.betas)
        assert all(0 < float(x) < np.inf for x in (learned.lr, learned.eps, learned.weight_decay))


def test_interval_names_what_is_wrong():
    with pytest.raises(ArgumentError, match="Interval: low is 1.0 and high is 1.0"):
        Interval(1.0, 1.0)
    with pytest.raises(ArgumentError, match=r"value is 2\.0, expected between 0 and 1"):
        constraints.unconstrain(Interval(0, 1), 2.0)


def test_a_momentum_that_starts_at_zero_is_learned_and_stays_in_range():
    spec = Interval(-0.1, 0.95)
    free = constraints.unconstrain(spec, 0.0)

    def final(free):
        opt, w = SGD(lr=0.05, momentum=constraints.constrain(spec, free)), ho.tensor([1.0, -2.0])
        state = opt.init(w)
        for _ in range(5):
            w, state = opt.step(w, 2 * w, state)
        return (w**2).sum()

    for _ in range(50):
        free = free - 2.0 * ho.func.grad(final)(free)
    assert 0.1 < float(spec.constrain(free)) < 0.95


def test_simplex_comes_back_and_its_numbers_sum_to_one():
    free = ho.tensor(np.random.default_rng(1).normal(size=(4, 5)) * 3)
    value = Simplex().constrain(free)
    np.testing.assert_allclose(value.sum(-1).numpy(), 1, rtol=1e-14)
    back = Simplex().unconstrain(value)
    np.testing.assert_allclose(back.numpy(), (free - free.mean(-1, keepdim=True)).numpy(), rtol=0, atol=1e-12)
    with pytest.raises(ArgumentError, match="greater than 0 with the sum 1"):
        constraints.unconstrain(Simplex(), ho.tensor([0.5, 0.6]))


def projected_by_bisection(value, total, cap):
    low, high = value.min() - min(cap, total) - total, value.max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.clip(value - middle, 0, cap).sum() > total else (low, middle)
    return np.clip(value - low, 0, cap)


@pytest.mark.parametrize("seed", range(20))
def test_projection_is_the_nearest_point(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    value = rng.normal(size=n) * rng.choice([0.1, 1.0, 10.0])
    total = float(rng.uniform(0.05, 1)) * n
    found = CappedSimplex(total).constrain(value).numpy()
    np.testing.assert_allclose(found, projected_by_bisection(value, total, 1.0), rtol=0, atol=1e-11)
    assert CappedSimplex(total).inside(ho.tensor(found)).all()
    # Twice is once.
    np.testing.assert_allclose(CappedSimplex(total).project(found).numpy(), found, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        Simplex().project(value).numpy(), projected_by_bisection(value, 1.0, np.inf), rtol=0, atol=1e-11
    )


def test_projection_has_the_derivative_of_its_face_and_maps():
    value = ho.tensor([[1.8, 0.6, 0.4, -0.9], [0.3, 0.2, 0.1, 0.0]])
    total = 1.7
    slope = ho.func.jacrev(CappedSimplex(total).constrain)(value[0]).numpy()
    forward = ho.func.jacfwd(CappedSimplex(total).constrain)(value[0]).numpy()
    expected = np.zeros((4, 4))
    expected[1:3, 1:3] = [[0.5, -0.5], [-0.5, 0.5]]
    np.testing.assert_allclose(slope, expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(forward, expected, rtol=0, atol=1e-15)
    mapped = ho.func.vmap(CappedSimplex(total).constrain)(value)
    np.testing.assert_allclose(mapped.numpy(), CappedSimplex(total).constrain(value).numpy(), rtol=0, atol=1e-15)


@pytest.mark.parametrize("total", [3.0, 0.0])
def test_projection_to_a_corner(total):
    assert constraints.project_capped_simplex([5.0, -2.0, 0.3], total).tolist() == [total / 3] * 3


def test_projection_refuses_what_cannot_be():
    with pytest.raises(ArgumentError, match="total is 4, but 3 numbers up to 1 cannot sum to it"):
        CappedSimplex(4.0).constrain([1.0, 2.0, 3.0])
    with pytest.raises(ArgumentError, match="CappedSimplex: total is 0"):
        CappedSimplex(0.0)
    with pytest.raises(ArgumentError, match="between 0 and 1 with the sum 1.5"):
        constraints.unconstrain(CappedSimplex(1.5), ho.tensor([0.5, 0.5]))


def test_a_capped_simplex_may_hold_at_most_its_total():
    within, beyond = [0.4, 1.7, -0.3], [0.9, 1.7, 0.8]
    assert CappedSimplex(1.8, at_most=True).constrain(within).tolist() == [0.4, 1.0, 0.0]
    expected = CappedSimplex(1.8).constrain(beyond).numpy()
    np.testing.assert_array_equal(CappedSimplex(1.8, at_most=True).constrain(beyond).numpy(), expected)
    assert CappedSimplex(9, at_most=True).constrain(beyond).tolist() == [0.9, 1.0, 0.8]
    with pytest.raises(ArgumentError, match="with a sum of at most 0.5"):
        constraints.unconstrain(CappedSimplex(0.5, at_most=True), ho.tensor([0.5, 0.5]))


@pytest.mark.parametrize("dtype", [ho.float16, ho.float32, ho.float64])
@pytest.mark.parametrize("constraint", [Simplex(), CappedSimplex(1.5), CappedSimplex(1.5, at_most=True)], ids=repr)
def test_projections_keep_the_dtype(constraint, dtype):
    value = ho.tensor([0.7, 0.5, -1.0, 2.0], dtype=dtype)
    assert constraint.project(value).dtype == dtype
    assert ho.func.grad(lambda v: constraint.project(v)[0])(value).dtype == dtype
