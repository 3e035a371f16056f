"""One contract for all optimizers: pure, trees, differentiable, batched, and clear about bad input."""

import copy
import pickle

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError, ShapeError, StructureError
from optim import SGD, Adam, Optimizer
from optim.schedules import PerStep

RNG = np.random.default_rng(11)
OPTIMIZERS = {
    "sgd": SGD(lr=0.1),
    "sgd momentum": SGD(lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "sgd nesterov": SGD(lr=0.1, momentum=0.9, nesterov=True),
    "adam": Adam(lr=0.1, weight_decay=0.01),
}
every_optimizer = pytest.mark.parametrize("opt", OPTIMIZERS.values(), ids=OPTIMIZERS)


def params():
    return {"w": ho.tensor([[1.0, -2.0], [0.5, 3.0]]), "b": [ho.tensor(0.3), ho.tensor([1.0])]}


def loss(p):
    return (ho.sin(p["w"]) ** 2).sum() + (p["b"][0] * p["w"]).sum() ** 2 + ho.exp(p["b"][1]).sum()


def run(opt, p, steps=3):
    state = opt.init(p)
    for _ in range(steps):
        p, state = opt.step(p, ho.func.grad(loss)(p), state)
    return p, state


@every_optimizer
def test_a_step_changes_nothing_that_was_given(opt):
    p = params()
    g = ho.func.grad(loss)(p)
    state = opt.init(p)
    before = [leaf.numpy().copy() for leaf in ho.tree.leaves((p, g, state)) if isinstance(leaf, ho.Tensor)]
    opt.step(p, g, state)
    after = [leaf.numpy() for leaf in ho.tree.leaves((p, g, state)) if isinstance(leaf, ho.Tensor)]
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
    assert state["step"] == 0


@every_optimizer
def test_an_optimizer_is_a_tree_of_its_hyperparameters(opt):
    doubled = ho.tree.map(lambda leaf: leaf * 2, opt)
    assert type(doubled) is type(opt)
    assert doubled.lr == opt.lr * 2
    assert "lr" in ho.tree.paths(opt)[0]
    assert opt.replace(lr=0.5).lr == 0.5


@every_optimizer
def test_the_state_keeps_its_structure(opt):
    p = params()
    state = opt.init(p)
    _, after = opt.step(p, ho.func.grad(loss)(p), state)
    assert ho.tree.structure(state) == ho.tree.structure(after)
    assert after["step"] == 1


@every_optimizer
def test_interrupted_and_resumed_training_is_the_same(opt):
    straight, _ = run(opt, params(), steps=5)
    p, state = run(opt, params(), steps=2)
    p, state = pickle.loads(pickle.dumps((p, state)))
    for _ in range(3):
        p, state = opt.step(p, ho.func.grad(loss)(p), state)
    for ours, theirs in zip(ho.tree.leaves(p), ho.tree.leaves(straight), strict=True):
        assert (ours == theirs).all()


@every_optimizer
def test_vmap_over_learning_rates_equals_a_loop(opt):
    rates = ho.tensor([0.01, 0.1, 0.3])
    mapped = ho.func.vmap(lambda lr: run(opt.replace(lr=lr), params())[0])(rates)
    for i in range(3):
        single, _ = run(opt.replace(lr=rates[i]), params())
        for ours, theirs in zip(ho.tree.leaves(mapped), ho.tree.leaves(single), strict=True):
            np.testing.assert_allclose(ours[i].numpy(), theirs.numpy(), rtol=0, atol=1e-12)


@every_optimizer
def test_the_step_number_may_be_a_tensor(opt):
    def one(state_step):
        state = opt.init(params()) | {"step": state_step}
        return opt.step(params(), ho.func.grad(loss)(params()), state)[0]

    mapped = ho.func.vmap(one)(ho.tensor([0, 3]))
    for i, step in enumerate([0, 3]):
        for ours, theirs in zip(ho.tree.leaves(mapped), ho.tree.leaves(one(step)), strict=True):
            np.testing.assert_allclose(ours[i].numpy(), theirs.numpy(), rtol=0, atol=1e-12)


@every_optimizer
def test_float32_stays_float32_under_float64_hyperparameters(opt):
    small = ho.tree.map(lambda leaf: leaf.astype(ho.float32), params())
    tensors = ho.tree.map(ho.tensor, opt)
    p, state = run(tensors, small)
    assert {leaf.dtype for leaf in ho.tree.leaves(p)} == {ho.float32}
    assert {leaf.dtype for leaf in ho.tree.leaves(state) if isinstance(leaf, ho.Tensor)} <= {ho.float32}


@every_optimizer
def test_gradients_of_another_structure_are_refused(opt):
    p = params()
    g = ho.func.grad(loss)(p)
    with pytest.raises(StructureError, match="grads differs in structure from params"):
        opt.step(p, {"w": g["w"], "c": g["b"]}, opt.init(p))


def test_a_hyperparameter_of_another_structure_is_refused():
    p = params()
    with pytest.raises(StructureError, match=r"SGD\.lr differs in structure from params"):
        SGD(lr={"w": 0.1}).step(p, p, SGD(lr=0.1).init(p))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(lr=-0.1), r"SGD: lr is -0.1, expected a number in \[0, inf\)"),
        (lambda: SGD(lr=float("nan")), "SGD: lr is nan"),
        (lambda: SGD(momentum=1.0), r"SGD: momentum is 1.0, expected a number in \[0, 1\)"),
        (lambda: SGD(dampening=1.5), r"SGD: dampening is 1.5, expected a number in \[0, 1\]"),
        (lambda: SGD(lr={"w": 0.1, "b": -1.0}), "SGD: lr is -1.0"),
        (lambda: SGD(nesterov=True), "Nesterov momentum requires a momentum and zero dampening"),
        (lambda: Adam(betas=(0.9, 1.0)), "Adam: betas is 1.0"),
        (lambda: Adam(eps=-1e-8), "Adam: eps is -1e-08"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_dampening_means_the_same_as_number_and_as_tensor():
    """Inside a transform every hyperparameter is a tensor; the update must be the same function."""
    for options in ({"dampening": 0.5}, {"dampening": 0.5, "momentum": 0.3}):
        opt = SGD(lr=0.1, **options)
        numbers, _ = run(opt, params())
        tensors, _ = run(ho.tree.map(ho.tensor, opt), params())
        for ours, theirs in zip(ho.tree.leaves(numbers), ho.tree.leaves(tensors), strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=1e-14)


def test_whole_numbers_become_floating():
    assert isinstance(SGD(lr=1).lr, float)


def test_arrays_become_tensors():
    opt = SGD(lr=np.array(0.1), momentum=np.float64(0.5))
    new, _ = opt.step(params(), params(), opt.init(params()))
    assert isinstance(opt.lr, ho.Tensor)
    assert float(new["b"][0]) == pytest.approx(0.27)


def test_a_schedule_has_a_value_for_every_step():
    opt = SGD(lr=PerStep([0.3, 0.2]))
    p = ho.tensor(1.0)
    state = opt.init(p)
    for rate in (0.3, 0.2):
        before = p
        p, state = opt.step(p, ho.tensor(1.0), state)
        assert float(before - p) == pytest.approx(rate, rel=1e-14)
    with pytest.raises(ArgumentError, match="PerStep has 2 values, but was asked for step 2"):
        opt.step(p, p, state)
    with pytest.raises(ShapeError, match=r"PerStep: values have shape \(\)"):
        PerStep(0.1)


def test_optimizers_are_frozen_and_copied_by_value():
    opt = SGD(lr=ho.tensor(0.1))
    with pytest.raises(AttributeError):
        opt.lr = 0.2
    assert float(copy.deepcopy(opt).lr) == 0.1


def test_users_write_their_own():
    class SignDescent(Optimizer):
        lr: float = 0.1

        def update(self, p, g, state, hyper, step):
            return p - hyper.lr * ho.sign(g), state

    w = ho.tensor([1.0, -1.0])
    opt = SignDescent(lr=0.5)
    new, _ = opt.step(w, ho.tensor([3.0, -4.0]), opt.init(w))
    assert new.tolist() == [0.5, -0.5]

    def outcome(o):
        return o.step(w, ho.tensor([3.0, -4.0]), o.init(w))[0].sum() * 2

    assert float(ho.func.grad(outcome)(SignDescent(lr=0.5)).lr) == 0.0
