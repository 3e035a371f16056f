"""One contract for all optimizers: pure, trees, differentiable, batched, and clear about bad input."""

import copy
import pickle

import numpy as np
import pytest

import hograd as ho
import optim
from hograd.errors import ArgumentError, ShapeError, StructureError
from optim import SGD, Adam, Optimizer
from optim.schedules import PerStep

RNG = np.random.default_rng(11)
OPTIMIZERS = {
    "sgd": SGD(lr=0.1),
    "sgd momentum": SGD(lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "sgd nesterov": SGD(lr=0.1, momentum=0.9, nesterov=True),
    "adam": Adam(lr=0.1, weight_decay=0.01),
    "adamw": optim.AdamW(lr=0.1),
    "amsgrad": optim.AMSGrad(lr=0.1),
    "nadam": optim.NAdam(lr=0.1, weight_decay=0.01),
    "radam": optim.RAdam(lr=0.1, betas=(0.9, 0.99), weight_decay=0.01),
    "adamax": optim.Adamax(lr=0.1, weight_decay=0.01),
    "adabelief": optim.AdaBelief(lr=0.1, weight_decay=0.01),
    "adan": optim.Adan(lr=0.1, weight_decay=0.01),
    "yogi": optim.Yogi(lr=0.1),
    "lion": optim.Lion(lr=0.1, weight_decay=0.01),
    "rmsprop": optim.RMSprop(lr=0.1, weight_decay=0.01),
    "rmsprop centred": optim.RMSprop(lr=0.1, momentum=0.5, centered=True),
    "adagrad": optim.Adagrad(lr=0.1, lr_decay=0.1, weight_decay=0.01, initial_accumulator_value=0.1),
    "adadelta": optim.Adadelta(weight_decay=0.01),
    "adafactor": optim.Adafactor(lr=0.1, weight_decay=0.01),
    "lamb": optim.LAMB(lr=0.1, weight_decay=0.01),
    "lars": optim.LARS(lr=0.1, weight_decay=0.01, nesterov=True),
    "rprop": optim.Rprop(lr=0.1),
    "asgd": optim.ASGD(lr=0.1, t0=1.0, weight_decay=0.01),
    "polyak": optim.PolyakSGD(lr=0.5),
}
every_optimizer = pytest.mark.parametrize("opt", OPTIMIZERS.values(), ids=OPTIMIZERS)


def params():
    return {"w": ho.tensor([[1.0, -2.0], [0.5, 3.0]]), "b": [ho.tensor(0.3), ho.tensor([1.0])]}


def loss(p):
    return (ho.sin(p["w"]) ** 2).sum() + (p["b"][0] * p["w"]).sum() ** 2 + ho.exp(p["b"][1]).sum()


def run(opt, p, steps=3):
    state = opt.init(p)
    for _ in range(steps):
        p, state = one_step(opt, p, state)
    return p, state


def one_step(opt, p, state):
    grads, value = ho.func.grad_and_value(loss)(p)
    return opt.step(p, grads, state, value=value)


@every_optimizer
def test_a_step_changes_nothing_that_was_given(opt):
    p = params()
    g = ho.func.grad(loss)(p)
    state = opt.init(p)
    before = [leaf.numpy().copy() for leaf in ho.tree.leaves((p, g, state)) if isinstance(leaf, ho.Tensor)]
    opt.step(p, g, state, value=loss(p))
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
    _, after = one_step(opt, p, state)
    assert ho.tree.structure(state) == ho.tree.structure(after)
    assert after["step"] == 1


@every_optimizer
def test_interrupted_and_resumed_training_is_the_same(opt):
    straight, _ = run(opt, params(), steps=5)
    p, state = run(opt, params(), steps=2)
    p, state = pickle.loads(pickle.dumps((p, state)))
    for _ in range(3):
        p, state = one_step(opt, p, state)
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
        return one_step(opt, params(), state)[0]

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
        opt.step(p, {"w": g["w"], "c": g["b"]}, opt.init(p), value=loss(p))


def test_a_hyperparameter_of_another_structure_is_refused():
    p = params()
    with pytest.raises(StructureError, match=r"SGD\.lr is no prefix of params: .*params\['b'\]\[0\]"):
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
        (lambda: optim.Adan(betas=(0.9, 0.9, 1.0)), r"Adan: betas is 1.0, expected a number in \[0, 1\)"),
        (lambda: optim.Adafactor(beta2_decay=0.5), r"Adafactor: beta2_decay is 0.5, expected a number in \[-inf, 0\]"),
        (
            lambda: optim.Muon(adjust_lr="other"),
            "Muon: adjust_lr is 'other', expected one of original, match_rms_adamw",
        ),
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


@every_optimizer
def test_where_the_gradient_is_none_nothing_changes(opt):
    p = params()
    state = opt.init(p)
    grads, value = ho.func.grad_and_value(loss)(p)
    grads["b"][0] = None
    new, after = opt.step(p, grads, state, value=value)
    assert new["b"][0] is p["b"][0]
    assert (new["w"] != p["w"]).all()
    for slot in opt.slots():
        assert (after[slot]["b"][0] == state[slot]["b"][0]).all()


@every_optimizer
def test_climbing_is_descending_on_the_negative(opt):
    p = params()
    grads, value = ho.func.grad_and_value(loss)(p)
    ours, _ = opt.replace(maximize=True).step(p, grads, opt.init(p), value=value)
    theirs, _ = opt.step(p, ho.tree.map(lambda g: -g, grads), opt.init(p), value=value)
    assert all((a == b).all() for a, b in zip(ho.tree.leaves(ours), ho.tree.leaves(theirs), strict=True))


def test_options_are_given_by_name():
    with pytest.raises(TypeError):
        SGD(0.1, 0.9, 0.0, 0.0, True)


def test_muon_takes_matrices_only():
    with pytest.raises(ShapeError, match=r"Muon: a parameter has shape \(2,\), expected two axes"):
        optim.Muon().init({"bias": ho.zeros(2)})


def test_polyak_needs_the_loss():
    p = ho.tensor(1.0)
    opt = optim.PolyakSGD()
    with pytest.raises(ArgumentError, match="step needs the loss: pass value=loss"):
        opt.step(p, p, opt.init(p))


def test_polyak_reaches_the_least_value_of_a_parabola_as_the_formula_says():
    """On w**2 the step is a quarter of the gradient, (w**2 / (4 w**2)) 2 w = w / 2 : w halves each time."""
    w, state = ho.tensor(8.0), {"step": 0}
    for _ in range(3):
        w, state = optim.PolyakSGD().step(w, 2 * w, state, value=w * w)
    assert float(w) == pytest.approx(1.0, rel=1e-14)


def test_printed_as_the_call_that_makes_it():
    assert repr(optim.SGD(lr=0.5)) == "SGD(lr=0.5, momentum=0.0, dampening=0.0, weight_decay=0.0)"
    assert repr(optim.SGD(lr=0.5, momentum=0.9, nesterov=True)).endswith("weight_decay=0.0, nesterov=True)")
