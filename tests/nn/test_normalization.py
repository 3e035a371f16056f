"""Normalisation: by which statistics, how they are kept, and their derivatives."""

import re

import numpy as np
import pytest

import hograd as ho
from hograd import nn
from hograd.errors import ArgumentError, ShapeError

rng = np.random.default_rng(0)
BATCHES = [ho.tensor(rng.normal(size=(4, 2, 3)) * 2 + 1) for _ in range(3)]


def moments(x):
    x = np.moveaxis(x.numpy(), 1, 0).reshape(2, -1)
    return x.mean(1), x.var(1), x.var(1, ddof=1)


def standardized(x, mean, var, eps=1e-5):
    return (x.numpy() - mean[:, None]) / np.sqrt(var + eps)[:, None]


@pytest.mark.parametrize("train", [False, True])
def test_transductive_takes_the_batch(train):
    norm = nn.batch_norm(2, "transductive", affine=False)
    x = BATCHES[0]
    mean, var, _ = moments(x)
    assert norm.init_state() == {}
    np.testing.assert_allclose(norm.apply({}, x, train=train).numpy(), standardized(x, mean, var), rtol=1e-12)


def test_weight_and_bias():
    norm = nn.batch_norm(2, "transductive")
    params = {"weight": ho.tensor([2.0, 3.0]), "bias": ho.tensor([-1.0, 5.0])}
    plain = nn.batch_norm(2, "transductive", affine=False).apply({}, BATCHES[0]).numpy()
    expected = plain * np.array([[2.0], [3.0]]) + np.array([[-1.0], [5.0]])
    np.testing.assert_allclose(norm.apply(params, BATCHES[0]).numpy(), expected, rtol=1e-12)


def test_running_averages_are_what_use_reads():
    norm = nn.batch_norm(2, momentum=0.3, affine=False)
    state, mean, var = norm.init_state(), np.zeros(2), np.ones(2)
    for x in BATCHES:
        y, state = norm.apply_with_state({}, x, state=state)
        batch_mean, biased, unbiased = moments(x)
        np.testing.assert_allclose(y.numpy(), standardized(x, batch_mean, biased), rtol=1e-12)
        mean, var = 0.7 * mean + 0.3 * batch_mean, 0.7 * var + 0.3 * unbiased
    np.testing.assert_allclose(state["running_mean"].numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(state["running_var"].numpy(), var, rtol=1e-12)
    used, after = norm.apply_with_state({}, BATCHES[0], state=state, train=False)
    np.testing.assert_allclose(used.numpy(), standardized(BATCHES[0], mean, var), rtol=1e-12)
    assert after is state


def test_the_average_of_all_batches():
    norm = nn.batch_norm(2, momentum=None)
    params, state = norm.init(), norm.init_state()
    for x in BATCHES:
        _, state = norm.apply_with_state(params, x, state=state)
    assert state["num_batches_tracked"].item() == 3
    np.testing.assert_allclose(state["running_mean"].numpy(), np.mean([moments(x)[0] for x in BATCHES], 0), rtol=1e-12)
    np.testing.assert_allclose(state["running_var"].numpy(), np.mean([moments(x)[2] for x in BATCHES], 0), rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.3, None])
def test_every_inner_step_has_its_own_averages(momentum):
    norm = nn.batch_norm(2, "per_step", steps=3, momentum=momentum)
    single = nn.batch_norm(2, momentum=momentum)
    params, state = norm.init(), norm.init_state()
    for step, x in enumerate(BATCHES[:2]):
        for _ in range(2):
            _, state = norm.apply_with_state(params, x, state=state, step=step)
    for step, x in enumerate(BATCHES[:2]):
        alone = single.init_state()
        for _ in range(2):
            _, alone = single.apply_with_state(params, x, state=alone)
        for name, value in alone.items():
            np.testing.assert_allclose(state[name][step].numpy(), value.numpy(), rtol=1e-12)
        np.testing.assert_allclose(
            norm.apply(params, x, state=state, step=step).numpy(),
            single.apply(params, x, state=alone).numpy(),
            rtol=1e-12,
        )
    assert state["running_mean"][2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("statistics", ["transductive", "running", "per_step"])
def test_every_inner_step_may_have_its_own_weight_and_bias(statistics):
    norm = nn.batch_norm(2, statistics, steps=2, affine="per_step")
    params = {"weight": ho.tensor([[1.0, 2.0], [3.0, 4.0]]), "bias": ho.tensor([[0.0, 1.0], [2.0, 3.0]])}
    shared = nn.batch_norm(2, "transductive")
    for step in range(2):
        row = ho.tree.map(lambda p, step=step: p[step], params)
        found = norm.apply(params, BATCHES[0], train=True, step=step)
        np.testing.assert_allclose(found.numpy(), shared.apply(row, BATCHES[0]).numpy(), rtol=1e-12)
    gradient = ho.func.grad(lambda p: (norm.apply(p, BATCHES[0], train=True, step=1) ** 2).sum())(params)
    assert gradient["weight"][0].tolist() == [0.0, 0.0]
    assert float(abs(gradient["weight"][1]).min()) > 0


def test_the_step_may_be_a_tensor_and_mapped():
    norm = nn.batch_norm(2, "per_step", steps=3)
    params, state = norm.init(), norm.init_state()
    steps = ho.tensor([2, 0])

    def after(step, x):
        return norm.apply_with_state(params, x, state=state, step=step)

    y, states = ho.vmap(after)(steps, ho.stack(BATCHES[:2]))
    for i in range(2):
        expected, one = after(steps[i].item(), BATCHES[i])
        np.testing.assert_allclose(y[i].numpy(), expected.numpy(), rtol=1e-12)
        np.testing.assert_allclose(states["running_mean"][i].numpy(), one["running_mean"].numpy(), rtol=1e-12)


def test_running_statistics_can_be_differentiated():
    """What is normalised later by statistics of training depends on the weights in training, exactly."""
    net = nn.sequential(scale=nn.linear(2, 2, bias=False), norm=nn.batch_norm(2, affine=False))
    x = BATCHES[0][:, :, 0]

    def later(w):
        params = {"scale": {"weight": w}}
        _, state = net.apply_with_state(params, x, state=net.init_state())
        return (net.apply(ho.tree.detach(params), x, state=state) ** 3).sum()

    w, direction, h = ho.tensor([[1.0, 0.5], [-0.3, 2.0]]), ho.tensor([[0.2, 1.0], [-1.0, 0.4]]), 1e-5

    def numerical(w):
        with_state = net.apply_with_state({"scale": {"weight": w}}, x, state=net.init_state())[1]
        return (net.apply({"scale": {"weight": center}}, x, state=with_state) ** 3).sum().item()

    center = w
    expected = (numerical(w + h * direction) - numerical(w - h * direction)) / (2 * h)
    found = (ho.func.grad(later)(w) * direction).sum().item()
    assert found == pytest.approx(expected, rel=1e-6)
    assert abs(found) > 1e-3


def test_the_state_that_grad_passes_on_is_cut():
    norm = nn.batch_norm(2)

    def loss(params, state, x):
        y, state = norm.apply_with_state(params, x, state=state)
        return (y**3).sum(), state

    _, state = ho.func.grad(loss, has_aux=True)(norm.init(), norm.init_state(), BATCHES[0])
    assert not state["running_mean"].requires_grad


def test_the_state_keeps_its_dtype():
    norm = nn.batch_norm(2, affine=False)
    _, state = norm.apply_with_state({}, BATCHES[0], state=norm.init_state(dtype=ho.float32))
    assert state["running_var"].dtype == np.float32


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: nn.batch_norm(2, "batch"), ArgumentError, "statistics is 'batch', expected 'transductive'"),
        (lambda: nn.batch_norm(2, affine="yes"), ArgumentError, "affine is 'yes', expected True, False or 'per_step'"),
        (lambda: nn.batch_norm(2, "per_step"), ArgumentError, "what is 'per_step' needs steps="),
        (lambda: nn.batch_norm(2, steps=3), ArgumentError, "neither statistics nor affine is 'per_step'"),
        (lambda: nn.batch_norm(2, momentum=2.0), ArgumentError, "momentum is 2.0, expected a number in [0, 1]"),
        (lambda: nn.batch_norm(0), ArgumentError, "batch_norm: features is 0, expected a whole number of at least 1"),
        (lambda: nn.batch_norm(2).apply({}, BATCHES[0]), ArgumentError, "reads running statistics, but the state"),
        (
            lambda: nn.batch_norm(2).apply_with_state({}, BATCHES[0], state={}),
            ArgumentError,
            "pass state=net.init_state()",
        ),
        (
            lambda: nn.batch_norm(2, "per_step", steps=2, affine=False).apply_with_state(
                {}, BATCHES[0], state=nn.batch_norm(2, "per_step", steps=2).init_state()
            ),
            ArgumentError,
            "has 2 inner steps: pass step=",
        ),
        (
            lambda: nn.batch_norm(2, "transductive", steps=2, affine="per_step").apply(
                nn.batch_norm(2, "transductive", steps=2, affine="per_step").init(), BATCHES[0], step=2
            ),
            ArgumentError,
            "step is 2, expected 0 to 1",
        ),
        (
            lambda: nn.batch_norm(3).apply({}, BATCHES[0], train=True),
            ShapeError,
            "batch_norm(3): x has shape (4, 2, 3), expected (n, 3, ...)",
        ),
        (
            lambda: nn.batch_norm(2).apply_with_state({}, ho.ones(1, 2), state=nn.batch_norm(2).init_state()),
            ArgumentError,
            "Expected more than 1 value per channel when training",
        ),
    ],
)
def test_mistakes_are_named(act, error, message):
    with pytest.raises(error, match=re.escape(message)):
        act()
