"""Optimizers made of others: each part does what it says, in value and in every derivative."""

import pickle

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError, StructureError
from optim import SGD, Adam, AdamW, PolyakSGD, clip
from optim.clip import ClipAdaptively, ClipByNorm, ClipByValue
from optim.compose import accumulate, average, chain, decay, freeze, groups, lookahead

from . import test_hyperparameters

BIAS = {"w": "matrix", "b": "bias"}
COMPOSED = {
    "chain by value": chain(ClipByValue(0.4), Adam(lr=0.1, eps=0.01)),
    "chain by norm": chain(ClipByNorm(0.9), SGD(lr=0.1, momentum=0.5)),
    "chain adaptively": chain(ClipAdaptively(0.3, 0.1), SGD(lr=0.1)),
    "chain of three": chain(ClipByValue(1.5), ClipByNorm(1.0), SGD(lr=0.1)),
    "decay": decay(SGD(lr=0.1), 0.03, mask={"w": True, "b": False}),
    "groups": groups(BIAS, {"matrix": Adam(lr=0.1, eps=0.01), "bias": SGD(lr=0.2, momentum=0.3)}),
    "freeze": freeze(Adam(lr=0.1, eps=0.01), {"w": False, "b": True}),
    "accumulate": accumulate(SGD(lr=0.3, momentum=0.5), every=2),
    "lookahead": lookahead(SGD(lr=0.2), 0.4, every=2),
    "average": average(Adam(lr=0.1, eps=0.01), 0.7),
    "all": chain(ClipByNorm(0.9), lookahead(average(groups(BIAS, {"matrix": SGD(lr=0.2), "bias": SGD(lr=0.3)})))),
}
every_composition = pytest.mark.parametrize("opt", COMPOSED.values(), ids=COMPOSED)


def start():
    return {"w": ho.tensor([[1.0, -2.0], [0.5, 3.0]]), "b": [ho.tensor(0.3), ho.tensor([1.0])]}


def loss(p):
    return (ho.sin(p["w"]) ** 2).sum() + 0.3 * (p["b"][0] * p["w"]).sum() ** 2 + ho.exp(p["b"][1]).sum()


def run(opt, p, steps, state=None):
    state = opt.init(p) if state is None else state
    for _ in range(steps):
        grads, value = ho.func.grad_and_value(loss)(p)
        p, state = opt.step(p, grads, state, value)
    return p, state


def close(a, b, tolerance=1e-13):
    for x, y in zip(ho.tree.leaves(a), ho.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=0, atol=tolerance)


@every_composition
def test_every_hyperparameter_has_its_derivative(opt):
    leaves, structure = ho.tree.flatten(opt)

    def final(vector):
        made = ho.tree.unflatten(structure, [vector[i] for i in range(len(leaves))])
        p, state = run(made, start(), 4)
        extra = sum(ho.sin(x).sum() for x in ho.tree.leaves(state.get("average", {})))
        return loss(p) + extra

    point = np.array(leaves)
    found = ho.func.grad(final)(ho.tensor(point)).numpy()
    forward = ho.func.jacfwd(final)(ho.tensor(point)).numpy()
    np.testing.assert_allclose(forward, found, rtol=1e-9, atol=1e-11)
    compiled = ho.compile(lambda vector: (ho.func.grad(final)(vector), ho.func.jacfwd(final)(vector)))
    for one in compiled(ho.tensor(point)):
        np.testing.assert_allclose(one.numpy(), found, rtol=1e-9, atol=1e-11)
    for i in range(len(point)):
        h = 1e-4 * max(point[i], 0.1)
        f = [float(final(ho.tensor(point + k * h * np.eye(len(point))[i]))) for k in (-2, -1, 1, 2)]
        expected = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h)
        assert found[i] == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("steps", [1, 3, 10])
@every_composition
def test_parameters_and_state_have_their_derivatives(opt, steps):
    leaves, structure = ho.tree.flatten(run(opt, start(), 3))
    numbers = [leaf if isinstance(leaf, int) else None for leaf in leaves]
    flat, unravel = ho.tree.ravel([leaf for leaf in leaves if not isinstance(leaf, int)])

    def final(vector):
        numeric = iter(unravel(vector))
        p, state = ho.tree.unflatten(structure, [next(numeric) if n is None else n for n in numbers])
        p, state = run(opt, p, steps, state)
        return loss(p) + sum(ho.sin(x).sum() for x in ho.tree.leaves(state) if not isinstance(x, int))

    point = flat.numpy()
    found = ho.func.grad(final)(flat).numpy()
    # A second moment must stay positive.
    expected = test_hyperparameters.differences(final, point, np.clip(1e-3 * np.abs(point), 1e-8, 1e-5))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * max(np.abs(expected).max(), 1e-3))
    np.testing.assert_allclose(ho.func.jacfwd(final)(flat).numpy(), found, rtol=1e-9, atol=1e-11)
    test_hyperparameters.check_compiled(final, point, found, 1e-11)


@every_composition
def test_vmap_over_hyperparameters_and_step_numbers_equals_a_loop(opt):
    factors = ho.tensor([0.5, 1.0])
    first, state = run(opt, start(), 1)

    def one(factor, number):
        scaled = ho.tree.map(lambda leaf: leaf * factor, opt)
        return run(scaled, first, 1, state | {"step": number})[0]

    mapped = ho.func.vmap(one)(factors, ho.tensor([1, 2]))
    for i, number in enumerate((1, 2)):
        close(ho.tree.map(lambda leaf, i=i: leaf[i], mapped), one(factors[i], number))


@every_composition
def test_interrupted_training_is_the_same_and_the_state_keeps_its_structure(opt):
    straight, state = run(opt, start(), 5)
    assert ho.tree.structure(state) == ho.tree.structure(opt.init(start()))
    p, state = pickle.loads(pickle.dumps(run(opt, start(), 2)))
    close(run(opt, p, 3, state)[0], straight, 0)


def test_decay_is_that_of_adamw():
    ours = run(decay(Adam(lr=0.1), 0.1 * 0.3), start(), 5)[0]
    close(ours, run(AdamW(lr=0.1, weight_decay=0.3), start(), 5)[0])


def test_a_mask_may_be_a_function_of_paths():
    by_path = decay(SGD(lr=0.1), 0.2, mask=lambda path: path == "['w']")
    close(run(by_path, start(), 2)[0], run(decay(SGD(lr=0.1), 0.2, mask={"w": True, "b": False}), start(), 2)[0])


def test_groups_of_one_optimizer_are_that_optimizer():
    opt = Adam(lr=0.1)
    ours, state = run(groups(BIAS, {"matrix": opt, "bias": opt}), start(), 4)
    close(ours, run(opt, start(), 4)[0])
    assert state["inner"]["bias"]["first_moment"]["w"] is None


def test_a_label_without_an_optimizer_is_named():
    with pytest.raises(StructureError, match=r"params\['b'\]\[0\] has the label 'bias', expected one of \['matrix'\]"):
        groups(BIAS, {"matrix": SGD()}).init(start())


def test_frozen_parameters_stay_and_have_no_state():
    p, state = run(COMPOSED["freeze"], start(), 3)
    assert (p["b"][0] == start()["b"][0]).all()
    assert (p["w"] != start()["w"]).all()
    assert state["inner"]["first_moment"]["b"] == [None, None]


@pytest.mark.parametrize("opt", [COMPOSED["groups"], COMPOSED["freeze"], COMPOSED["accumulate"]])
def test_gradients_may_be_none(opt):
    p = start()
    grads = ho.func.grad(loss)(p)
    grads["w"] = None
    state = opt.init(p)
    for _ in range(2):
        p, state = opt.step(p, grads, state)
    assert (p["w"] == start()["w"]).all()


def test_accumulation_is_a_step_on_the_mean():
    p = ho.tensor([1.0, 2.0])
    opt = accumulate(Adam(lr=0.1), every=3)
    state = opt.init(p)
    grads = [ho.tensor(g) for g in ([1.0, 2.0], [0.5, -1.0], [3.0, 0.2])]
    new = p
    for g in grads:
        assert (new == p).all()
        new, state = opt.step(new, g, state)
    expected, _ = Adam(lr=0.1).step(p, sum(grads[1:], grads[0]) / 3, Adam(lr=0.1).init(p))
    close(new, expected)
    assert state["inner"]["step"] == 1


def test_lookahead_follows_its_paper():
    p, state = ho.tensor(1.0), None
    opt = lookahead(SGD(lr=0.1), 0.5, every=3)
    state = opt.init(p)
    for _ in range(6):
        p, state = opt.step(p, p, state)
    slow = 1.0
    for _ in range(2):
        slow += 0.5 * (slow * 0.9**3 - slow)
    assert float(p) == pytest.approx(slow, rel=1e-14)
    assert float(state["slow"]) == float(p)


def test_the_loss_reaches_an_optimizer_that_asks_for_it():
    opt = chain(ClipByNorm(100.0), lookahead(PolyakSGD(), every=9))
    close(run(opt, start(), 2)[0], run(PolyakSGD(), start(), 2)[0])


def test_clipping_as_functions():
    grads = {"a": ho.tensor([3.0, 0.0]), "b": ho.tensor(-4.0)}
    assert clip.by_value(grads, 2.0)["b"].item() == -2.0
    close(clip.by_norm(grads, 10.0), grads, 0)
    shorter = clip.by_norm(grads, 1.0)
    assert float(shorter["a"][0]) == pytest.approx(0.6, rel=1e-15)
    assert float(shorter["b"]) == pytest.approx(-0.8, rel=1e-15)
    tall = clip.adaptively(ho.tensor([[3.0, 4.0], [0.3, 0.4]]), ho.tensor([[1.0, 0.0], [0.0, 1.0]]), 0.5)
    np.testing.assert_allclose(tall.numpy(), [[0.3, 0.4], [0.3, 0.4]], rtol=1e-14)


@pytest.mark.parametrize("clipped", [clip.by_value, clip.by_norm, lambda g, limit: clip.adaptively(g, g, limit)])
def test_clipping_is_differentiable_at_zero_gradients(clipped):
    zero = {"a": ho.zeros(2), "b": ho.tensor(0.0)}
    by_grads, by_limit = ho.func.grad(lambda g, limit: sum(x.sum() for x in ho.tree.leaves(clipped(g, limit))), (0, 1))(
        zero, ho.tensor(1.0)
    )
    close(by_grads, {"a": ho.ones(2), "b": ho.tensor(1.0)}, 0)
    assert float(by_limit) == 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: chain(), "chain: found no stage"),
        (lambda: chain(ClipByNorm(1.0)), "chain: stage 0 of 1 is ClipByNorm"),
        (lambda: chain(SGD(), SGD()), "chain: stage 0 of 2 is SGD"),
        (lambda: ClipByNorm(-1.0), "ClipByNorm: limit is -1.0"),
        (lambda: ClipByNorm(1.0).step(ho.zeros(1), ho.zeros(1), {}), "ClipByNorm changes gradients and moves no"),
        (lambda: accumulate(SGD(), every=0), "accumulate: every is 0"),
        (lambda: lookahead(SGD(), every=1.5), "lookahead: every is 1.5"),
        (lambda: lookahead(SGD(), 1.5), "Lookahead: rate is 1.5"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
