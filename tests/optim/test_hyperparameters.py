"""Every hyperparameter of every optimizer has the derivative that differences show, from every state and over steps."""

import dataclasses
import math

import numpy as np
import pytest

import hograd as ho
import optim
from hograd.errors import CaptureError
from optim import Optimizer
from optim.schedules import PerStep

OPTIMIZERS = {
    "SGD": optim.SGD(lr=0.1, momentum=0.8, dampening=0.2, weight_decay=0.05),
    "SGD plain": optim.SGD(lr=0.1),
    "SGD Nesterov": optim.SGD(lr=0.1, momentum=0.7, weight_decay=0.05, nesterov=True),
    "PolyakSGD": optim.PolyakSGD(lr=0.5, least_value=0.1, largest=5.0, scale=1.5, eps=0.1),
    "PolyakSGD bounded": optim.PolyakSGD(lr=0.5, largest=0.02),
    "ASGD": optim.ASGD(lr=0.1, lambd=0.2, alpha=0.6, t0=2.5, weight_decay=0.05),
    "Rprop": optim.Rprop(lr=0.05, etas=(0.4, 1.3), step_sizes=(0.03, 0.2)),
    "Adagrad": optim.Adagrad(lr=0.2, lr_decay=0.1, weight_decay=0.05, initial_accumulator_value=0.3, eps=0.01),
    "Adadelta": optim.Adadelta(lr=0.9, rho=0.7, eps=0.01, weight_decay=0.05),
    "RMSprop": optim.RMSprop(lr=0.05, alpha=0.7, eps=0.01, weight_decay=0.05),
    "RMSprop centred": optim.RMSprop(lr=0.03, alpha=0.7, eps=0.05, weight_decay=0.05, momentum=0.6, centered=True),
    "Adam": optim.Adam(lr=0.1, betas=(0.8, 0.9), eps=0.01, weight_decay=0.05),
    "Adam climbing": optim.Adam(lr=0.1, betas=(0.8, 0.9), eps=0.01, weight_decay=0.05, maximize=True),
    "AdamW": optim.AdamW(lr=0.1, betas=(0.8, 0.9), eps=0.01, weight_decay=0.5),
    "AMSGrad": optim.AMSGrad(lr=0.1, betas=(0.8, 0.6), eps=0.01, weight_decay=0.05),
    "NAdam": optim.NAdam(lr=0.1, betas=(0.8, 0.9), eps=0.01, weight_decay=0.05, momentum_decay=0.3),
    "NAdam decoupled": optim.NAdam(lr=0.1, betas=(0.8, 0.9), eps=0.01, weight_decay=0.5, decoupled_weight_decay=True),
    "RAdam": optim.RAdam(lr=0.1, betas=(0.8, 0.99), eps=0.01, weight_decay=0.05),
    "RAdam unrectified": optim.RAdam(lr=0.02, betas=(0.8, 0.6), weight_decay=0.5, decoupled_weight_decay=True),
    "Adamax": optim.Adamax(lr=0.06, betas=(0.8, 0.7), eps=0.01, weight_decay=0.05),
    "AdaBelief": optim.AdaBelief(lr=0.1, betas=(0.8, 0.9), eps=0.01, eps_root=0.02, weight_decay=0.05),
    "Adan": optim.Adan(lr=0.1, betas=(0.8, 0.7, 0.9), eps=0.01, eps_root=0.02, weight_decay=0.05),
    "Yogi": optim.Yogi(lr=0.1, betas=(0.8, 0.9), eps=0.01, initial_accumulator_value=0.02),
    "Lion": optim.Lion(lr=0.05, betas=(0.8, 0.9), weight_decay=0.3),
    "Adafactor": optim.Adafactor(lr=0.4, beta2_decay=-0.6, eps=(0.01, 0.2), d=1.2, weight_decay=0.1),
    "Adafactor small": optim.Adafactor(lr=0.1, beta2_decay=-0.6, eps=(0.5, 2.0), d=5.0, weight_decay=0.1),
    "LAMB": optim.LAMB(lr=0.1, betas=(0.8, 0.9), eps=0.01, weight_decay=0.05),
    "LARS": optim.LARS(lr=0.3, momentum=0.7, weight_decay=0.05, trust_coefficient=0.4, eps=0.1),
    "LARS Nesterov": optim.LARS(lr=0.3, momentum=0.7, weight_decay=0.05, trust_coefficient=0.4, nesterov=True),
    "Muon": optim.Muon(lr=0.02, weight_decay=0.2, momentum=0.7, eps=0.01),
    "Muon tall": optim.Muon(lr=0.02, weight_decay=0.2, eps=0.01, nesterov=False, adjust_lr="match_rms_adamw"),
}
#: How far a hyperparameter moves for a difference, as a share of it: far enough from rounding, and from every kink.
STEP = 2e-5


def start(name):
    """`still` has a gradient of exactly 0 in every step."""
    params = {"m": ho.tensor([[1.0, -2.0], [0.5, 0.3], [-0.4, 0.9]]), "still": ho.zeros(2, 3)}
    if "Muon" in name:
        return params
    return params | {"still": ho.zeros(2), "v": ho.tensor([0.7, -1.3]), "scalar": ho.tensor(0.4)}


def loss(params):
    total = sum((ho.sin(x) * (0.5 + 0.3 * i)).sum() for i, (k, x) in enumerate(params.items()) if k != "still")
    squares = sum((x * x).sum() for x in params.values())
    return 0.3 + total * total + 0.2 * squares + 0.5 * (ho.sin(params["m"].sum(0) * 1.3) ** 2).sum()


def run(optimizer, params, state, steps):
    for _ in range(steps):
        grads, value = ho.func.grad_and_value(loss)(params)
        params, state = optimizer.step(params, grads, state, value=value)
    return params, state


def outcome(params):
    return sum((ho.cos(x) * (1.0 + 0.2 * i)).sum() + (x * x).sum() for i, x in enumerate(params.values()))


def differences(function, point, h):
    """The derivative of a function of a vector along each axis, by central differences of order 4 in one batch."""
    n = len(point)
    offsets = np.array([-2.0, -1.0, 1.0, 2.0])[:, None, None] * (np.eye(n) * h)
    values = ho.func.vmap(function)(ho.tensor((point + offsets).reshape(-1, n))).numpy().reshape(4, n)
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)


def test_every_optimizer_is_in_the_table_with_every_hyperparameter():
    named = (getattr(optim, name) for name in optim.__all__)
    classes = {one for one in named if isinstance(one, type) and issubclass(one, Optimizer)} - {Optimizer}
    assert {type(opt) for opt in OPTIMIZERS.values()} == classes
    for opt in OPTIMIZERS.values():
        fields = [f.name for f in dataclasses.fields(opt) if not f.metadata.get("static")]
        assert all(f"{name}" in " ".join(ho.tree.paths(opt)) for name in fields)


def training(name, begin, steps):
    """The outcome as a function of a vector, the vector, and how far each of its entries moves for a difference.

    The vector holds every hyperparameter and, where training begins "warm" (after two steps), every parameter and
    every entry of the state.
    """
    optimizer = OPTIMIZERS[name]
    leaves, structure = ho.tree.flatten(optimizer)
    params = start(name)
    params, state = run(optimizer, params, optimizer.init(params), 2)
    number = state.pop("step")
    flat, unravel = ho.tree.ravel((params, state))
    # Away from the exact 0 of `still`, where signs and lengths have kinks.
    moved = flat.numpy() + np.where(flat.numpy() == 0, np.linspace(0.2, 0.5, flat.numel()) ** 2, 0.0)

    def final(vector):
        opt = ho.tree.unflatten(structure, [vector[i] for i in range(len(leaves))])
        if begin == "fresh":
            return outcome(run(opt, start(name), opt.init(start(name)), steps)[0])
        params, state = unravel(vector[len(leaves) :])
        return outcome(run(opt, params, state | {"step": number}, steps)[0])

    h = STEP * np.maximum(np.abs(leaves), 0.01)
    if begin == "fresh":
        return final, np.array(leaves), h
    h = np.append(h, np.full(moved.size, 1e-5))
    # Muon's direction turns sharply where the gradient is nearly 0.
    return final, np.append(leaves, moved), np.minimum(h, 1e-7) if name == "Muon" else h


def derivatives(final):
    return lambda vector: (ho.func.grad(final)(vector), ho.func.jacfwd(final)(vector))


def check_compiled(final, point, expected, tolerance, backend="numpy"):
    compiled = ho.compile(derivatives(final), backend=backend)
    # Captured elsewhere, so that a number that the program took for a constant would show.
    compiled(ho.tensor(0.99 * point))
    for found in compiled(ho.tensor(point)):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=tolerance)
    assert "1 programs" in repr(compiled)


@pytest.mark.parametrize("steps", [1, 3, 10])
@pytest.mark.parametrize("begin", ["fresh", "warm"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_derivatives_by_hyperparameters_parameters_and_state_equal_differences(name, begin, steps):
    final, point, h = training(name, begin, steps)
    expected = differences(final, point, h)
    reverse, forward = (found.numpy() for found in derivatives(final)(ho.tensor(point)))
    # Each hyperparameter on its own: 1e-6 of it, and what rounding does to the difference.
    rounding = 4 * np.finfo(float).eps * abs(final(ho.tensor(point)).item()) / h
    count = len(ho.tree.leaves(OPTIMIZERS[name]))
    scale = max(np.abs(expected[count:]).max(initial=0.0), 1e-3)
    tolerance = np.where(np.arange(point.size) < count, rounding, 1e-6 * scale)
    assert (np.abs(reverse - expected) <= 1e-6 * np.abs(expected) + tolerance).all()
    np.testing.assert_allclose(forward, reverse, rtol=1e-9, atol=1e-11)
    check_compiled(final, point, reverse, 1e-11)


@pytest.mark.parametrize("name", ["SGD Nesterov", "Adam", "Adafactor", "LARS", "Muon"])
def test_derivatives_by_machine_code_are_the_eager_ones(name):
    pytest.importorskip("llvmlite")
    final, point, _ = training(name, "warm", 3)
    check_compiled(final, point, ho.func.grad(final)(ho.tensor(point)).numpy(), 1e-11, "native")


class ReadsItsRate(Optimizer):
    """What no optimizer here may do."""

    lr: float = 0.1
    how: object = optim.base.static(default=float)

    def update(self, p, g, state, hyper, step):
        return p - self.how(hyper.lr) * g, state


@pytest.mark.parametrize("how", [float, math.sqrt, lambda lr: lr if lr > 0 else -lr], ids=["float", "math", "if"])
def test_a_compiled_step_refuses_to_read_a_hyperparameter(how):
    """So the compiled derivatives above show that no step reads any: they would have no derivative by it."""
    params = {"w": ho.tensor([1.0, 2.0])}

    def after(opt):
        return outcome(opt.step(params, params, opt.init(params))[0])

    with pytest.raises(CaptureError):
        ho.compile(after)(ReadsItsRate(lr=ho.tensor(0.1), how=how))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_is_differentiable_where_gradients_and_moments_are_zero(name):
    optimizer = OPTIMIZERS[name]
    zero = ho.tree.map(ho.zeros_like, start(name))

    def final(opt, params, grads):
        state = opt.init(params)
        for _ in range(3):
            params, state = opt.step(params, grads, state, value=ho.tensor(0.2))
        return outcome(params)

    for at in (zero, start(name)):
        for found in (ho.func.grad(final, (0, 1, 2))(optimizer, at, zero),):
            assert all(bool(ho.isfinite(ho.as_tensor(x)).all()) for x in ho.tree.leaves(found))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_hyperparameters_may_be_trees_and_schedules(name):
    optimizer = OPTIMIZERS[name]
    params = start(name)
    expected, _ = run(optimizer, params, optimizer.init(params), 3)
    spread = optimizer.replace(lr={key: ho.full(x.shape, optimizer.lr) for key, x in params.items()})
    if "Polyak" in name:
        spread = optimizer.replace(lr=dict.fromkeys(params, optimizer.lr))
    scheduled = ho.tree.unflatten(
        ho.tree.structure(optimizer), [PerStep(ho.full((3,), leaf)) for leaf in ho.tree.leaves(optimizer)]
    )
    for other in (spread, scheduled):
        found, _ = run(other, params, other.init(params), 3)
        for key in params:
            np.testing.assert_allclose(found[key].numpy(), expected[key].numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["SGD", "SGD Nesterov", "Adam", "AdamW", "RMSprop centred", "NAdam", "LAMB", "Muon"])
def test_second_derivatives_by_hyperparameters_equal_differences_of_the_first(name):
    leaves, structure = ho.tree.flatten(OPTIMIZERS[name])
    params = start(name)
    weights = np.random.default_rng(7).normal(size=len(leaves))

    def slope(vector):
        def final(vector):
            opt = ho.tree.unflatten(structure, [vector[i] for i in range(len(leaves))])
            return outcome(run(opt, params, opt.init(params), 3)[0])

        return (ho.func.grad(final)(vector) * weights).sum()

    point = np.array(leaves)
    expected = differences(slope, point, STEP * np.maximum(np.abs(point), 0.01))
    found = ho.func.grad(slope)(ho.tensor(point)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_a_stack_of_three_optimizers_has_the_derivative_that_differences_show():
    """RMSprop's rate is learned through Adam's steps on the fields of SGD, which trains the model."""
    params = start("SGD")

    def after_training(opt):
        return outcome(run(opt, params, opt.init(params), 2)[0])

    def after_learning_sgd(adam):
        sgd = ho.tree.map(ho.tensor, optim.SGD(lr=0.1, momentum=0.5))
        state = adam.init(sgd)
        for _ in range(2):
            sgd, state = adam.step(sgd, ho.func.grad(after_training)(sgd), state)
        return after_training(sgd)

    def after_learning_adam(vector):
        adam = ho.tree.map(ho.tensor, optim.Adam(lr=0.02, betas=(0.8, 0.9), eps=0.01))
        top = optim.RMSprop(lr=vector[0], alpha=vector[1], eps=0.1)
        adam, _ = top.step(adam, ho.func.grad(after_learning_sgd)(adam), top.init(adam))
        return after_learning_sgd(adam)

    point = np.array([0.003, 0.7])
    expected = differences(after_learning_adam, point, 1e-4 * point)
    found = ho.func.grad(after_learning_adam)(ho.tensor(point)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
