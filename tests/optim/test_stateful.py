"""Bound optimizers do what the pure ones do, in the manner of PyTorch."""

import pickle

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError, StructureError
from optim import SGD, Adam, PolyakSGD
from optim.stateful import bind, detach


def start():
    rng = np.random.default_rng(5)
    return {"w": ho.tensor(rng.normal(size=(2, 3)), requires_grad=True), "b": ho.tensor(0.3, requires_grad=True)}


def loss(p):
    return (ho.sin(p["w"]) ** 2).sum() + (p["b"] * p["w"].sum()) ** 2


def pure(opt, p, steps):
    p = detach(p)
    state = opt.init(p)
    for _ in range(steps):
        grads, value = ho.func.grad_and_value(loss)(p)
        p, state = opt.step(p, grads, state, value)
    return p


def same(a, b):
    return all((x.detach() == y.detach()).all() for x, y in zip(ho.tree.leaves(a), ho.tree.leaves(b), strict=True))


@pytest.mark.parametrize("manner", ["backward", "loss", "closure"])
@pytest.mark.parametrize("opt", [SGD(lr=0.1, momentum=0.9), Adam(lr=0.1)], ids=["sgd", "adam"])
def test_three_manners_of_a_step_change_the_given_tensors(opt, manner):
    p = start()
    bound = bind(opt, p)
    for _ in range(3):
        if manner == "backward":
            bound.zero_grad()
            loss(p).backward()
            assert bound.step() is None
        elif manner == "loss":
            bound.step(loss(p))
        else:
            bound.step(lambda: loss(p))
    assert same(p, pure(opt, start(), 3))
    assert p["w"].requires_grad
    assert p["w"].is_leaf


def test_zero_grad_forgets():
    p = start()
    bound = bind(SGD(lr=0.1), p)
    loss(p).backward()
    bound.zero_grad()
    assert p["w"].grad is None
    with pytest.raises(ArgumentError, match="no parameter has a gradient"):
        bound.step()


def test_a_parameter_that_the_loss_does_not_use_stays():
    p = start()
    bind(SGD(lr=0.1, weight_decay=0.5), p).step((p["w"] ** 2).sum())
    assert float(p["b"].detach()) == 0.3


def test_the_loss_reaches_an_optimizer_that_asks_for_it():
    p = start()
    bind(PolyakSGD(), p).step(loss(p))
    assert same(p, pure(PolyakSGD(), start(), 1))


def test_differentiable_steps_equal_the_pure_function_in_value_and_gradient():
    lr, p = ho.tensor(0.1, requires_grad=True), start()
    bound = bind(Adam(lr=lr), p, differentiable=True)
    for _ in range(3):
        bound.step(loss(bound.params))
    found = ho.grad(loss(bound.params), [lr, p["w"]])

    def outcome(lr, w):
        return loss(pure_recorded(Adam(lr=lr), {"w": w, "b": start()["b"].detach()}))

    def pure_recorded(opt, q):
        state = opt.init(q)
        for _ in range(3):
            q, state = opt.step(q, ho.func.grad(loss)(q), state)
        return q

    expected = ho.func.grad(outcome, (0, 1))(lr.detach(), p["w"].detach())
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12, atol=1e-13)


def test_detaching_truncates_parameters_and_state_together():
    lr = ho.tensor(0.1, requires_grad=True)
    bound = bind(SGD(lr=lr, momentum=0.9), start(), differentiable=True)
    bound.step(loss(bound.params))
    bound.detach()
    begin = bound.snapshot()
    bound.step(loss(bound.params))
    (found,) = ho.grad(loss(bound.params), [lr])

    def last_step(rate):
        before = detach(begin.params)
        p, _ = SGD(lr=rate, momentum=0.9).step(before, ho.func.grad(loss)(before), begin.state)
        return loss(p)

    assert float(found) == pytest.approx(float(ho.func.grad(last_step)(ho.tensor(0.1))), rel=1e-12)


@pytest.mark.parametrize("differentiable", [False, True])
def test_a_snapshot_is_restored_more_than_once(differentiable):
    bound = bind(Adam(lr=0.1), start(), differentiable)
    bound.step(loss(bound.params))
    kept = bound.snapshot()
    outcomes = []
    for _ in range(2):
        bound.restore(kept)
        bound.step(loss(bound.params))
        outcomes.append(detach(bound.params))
    assert same(*outcomes)
    assert same(outcomes[0], pure(Adam(lr=0.1), start(), 2))


def test_state_is_saved_and_loaded():
    p = start()
    first = bind(Adam(lr=0.1), p)
    first.step(loss(p))
    kept = pickle.loads(pickle.dumps(first.state_dict()))
    second = bind(Adam(lr=5.0), p)
    second.load_state_dict(kept)
    second.step(loss(p))
    assert same(p, pure(Adam(lr=0.1), start(), 2))
    with pytest.raises(StructureError, match=r"state_dict\['state'\] differs in structure"):
        bind(SGD(lr=0.1, momentum=0.9), start()).load_state_dict(kept)


def test_what_cannot_be_is_refused():
    with pytest.raises(ArgumentError, match=r"bind: params\['w'\] requires no gradient"):
        bind(SGD(), {"w": ho.ones(2)})
    with pytest.raises(ArgumentError, match="a differentiable optimizer needs the loss"):
        bind(SGD(), start(), differentiable=True).step()
