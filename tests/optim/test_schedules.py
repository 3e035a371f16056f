"""Schedules follow those of PyTorch, and each of their parameters can be learned."""

import pathlib

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError
from optim import SGD, Adam
from optim.schedules import (
    Chain,
    Constant,
    Cosine,
    Exponential,
    Linear,
    MultiStep,
    OneCycle,
    PerStep,
    Polynomial,
    Step,
    WarmUp,
)

STEPS = 16
#: Each with what makes the same in torch.optim.lr_scheduler (`s`), of an optimizer `o` that begins at 0.3.
SCHEDULES = {
    "constant": (Constant(0.3), "s.ConstantLR(o, 1.0)"),
    "step": (Step(0.3, 0.4, every=3), "s.StepLR(o, 3, 0.4)"),
    "multi-step": (MultiStep(0.3, 0.4, milestones=(2, 3, 9)), "s.MultiStepLR(o, [2, 3, 9], 0.4)"),
    "exponential": (Exponential(0.3, 0.8), "s.ExponentialLR(o, 0.8)"),
    "polynomial": (Polynomial(0.3, 0.0, 1.7, steps=9), "s.PolynomialLR(o, 9, 1.7)"),
    "linear": (Linear(0.06, 0.3, steps=7), "s.LinearLR(o, 0.2, 1.0, 7)"),
    "cosine": (Cosine(0.3, 0.05, period=5), "s.CosineAnnealingWarmRestarts(o, 5, 1, 0.05)"),
    "cosine growing": (Cosine(0.3, 0.05, period=2, growth=2), "s.CosineAnnealingWarmRestarts(o, 2, 2, 0.05)"),
    "one cycle": (OneCycle(0.9, steps=STEPS), f"s.OneCycleLR(o, 0.9, {STEPS}, cycle_momentum=False)"),
    "one cycle of its own": (
        OneCycle(0.9, 0.3, 0.003, steps=STEPS, rise=0.5),
        f"s.OneCycleLR(o, 0.9, {STEPS}, pct_start=0.5, div_factor=3, final_div_factor=100, cycle_momentum=False)",
    ),
    "warm-up": (
        WarmUp(Exponential(0.3, 0.8), 0.1, steps=4),
        "s.ChainedScheduler([s.LinearLR(o, 0.1, 1.0, 4), s.ExponentialLR(o, 0.8)])",
    ),
    "chain": (
        Chain((Linear(0.06, 0.3, steps=4), Exponential(0.3, 0.8)), milestones=(5,)),
        "s.SequentialLR(o, [s.LinearLR(o, 0.2, 1.0, 4), s.ExponentialLR(o, 0.8)], [5])",
    ),
}
every_schedule = pytest.mark.parametrize("name", SCHEDULES)
RECORDED = np.load(pathlib.Path(__file__).parent / "torch_schedules.npy")


def values(schedule):
    return [float(schedule.at(t)) for t in range(STEPS)]


@every_schedule
def test_follows_torch(name):
    expected = RECORDED[list(SCHEDULES).index(name)]
    np.testing.assert_allclose(values(SCHEDULES[name][0]), expected, rtol=0, atol=1e-14)


@every_schedule
def test_the_step_may_be_a_tensor_and_mapped(name):
    schedule = SCHEDULES[name][0]
    mapped = ho.func.vmap(lambda t: ho.as_tensor(schedule.at(t)) * 1.0)(ho.arange(STEPS))
    np.testing.assert_allclose(mapped.numpy(), values(schedule), rtol=0, atol=1e-14)


@every_schedule
def test_every_parameter_of_a_schedule_has_its_derivative(name):
    leaves, structure = ho.tree.flatten(SCHEDULES[name][0])

    def trained(vector):
        schedule = ho.tree.unflatten(structure, [vector[i] for i in range(len(leaves))])
        opt = SGD(lr=schedule, momentum=0.5)
        w = ho.tensor([1.0, -0.5])
        state = opt.init(w)
        for _ in range(STEPS):
            w, state = opt.step(w, ho.sin(w), state)
        return (w * ho.tensor([1.0, 2.0])).sum()

    point = np.array(leaves)
    found = ho.func.grad(trained)(ho.tensor(point)).numpy()
    for i in range(len(point)):
        h = 1e-4 * np.eye(len(point))[i]
        f = [float(trained(ho.tensor(point + k * h))) for k in (-2, -1, 1, 2)]
        expected = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / 12e-4
        assert found[i] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_schedules_stand_for_any_hyperparameter_and_within_tuples():
    opt = Adam(lr=Polynomial(0.1, power=2.0, steps=5), betas=(Linear(0.5, 0.9, steps=5), 0.99))
    w = ho.tensor(1.0)
    state = opt.init(w)
    assert state["step"] == 0
    new, _ = opt.step(w, w, state | {"step": 5})
    assert float(new) == 1.0
    grads = ho.func.grad(lambda o: o.step(w, w, o.init(w) | {"step": 2})[0])(opt)
    assert float(grads.betas[0].last) != 0


def test_a_chain_never_asks_a_table_for_what_it_lacks():
    chain = Chain((PerStep([0.1, 0.2]), Constant(0.5)), milestones=(2,))
    assert [float(chain.at(t)) for t in range(4)] == [0.1, 0.2, 0.5, 0.5]
    assert ho.func.vmap(lambda t: chain.at(t) * 1.0)(ho.arange(4)).tolist() == [0.1, 0.2, 0.5, 0.5]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Step(0.1, every=0), "Step: every is 0, expected a whole number of at least 1"),
        (
            lambda: MultiStep(0.1, milestones=(3, 2)),
            r"MultiStep: milestones are \(3, 2\), expected rising",
        ),
        (lambda: Cosine(0.1, period=2.5), "Cosine: period is 2.5"),
        (lambda: OneCycle(0.1, steps=5, rise=1.5), "OneCycle: rise is 1.5"),
        (lambda: Chain((0.1, 0.2), milestones=()), "Chain: 2 schedules and 0 milestones"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
