"""Random draws: reproducible, of the right distribution, differentiable where they can be, and told apart in vmap."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.check import gradcheck
from hograd.errors import LevelError

DRAWS = {
    "rand": lambda: ho.rand(3, 2),
    "randn": lambda: ho.randn((3, 2)),
    "randint": lambda: ho.randint(0, 100, (3, 2)),
    "randperm": lambda: ho.randperm(20),
    "normal": lambda: ho.normal(ho.zeros(3, 2), 2.0),
    "bernoulli": lambda: ho.bernoulli(ho.full((40,), 0.5)),
    "gumbel_softmax": lambda: ho.gumbel_softmax(ho.zeros(3, 2)),
    "dropout1d": lambda: ho.dropout1d(ho.ones(40, 2)),
    "dropout2d": lambda: ho.dropout2d(ho.ones(4, 10, 1, 2)),
    "dropout3d": lambda: ho.dropout3d(ho.ones(40, 1, 1, 2)),
    "alpha_dropout": lambda: ho.alpha_dropout(ho.ones(40), training=True),
    "multinomial": lambda: ho.multinomial(ho.ones(30), 30),
    "multinomial, replaced": lambda: ho.multinomial(ho.ones(30), 30, replacement=True),
    "normal_": lambda: ho.zeros(3, 2).normal_(),
    "uniform_": lambda: ho.zeros(3, 2).uniform_(),
    "exponential_": lambda: ho.zeros(3, 2).exponential_(),
    "bernoulli_": lambda: ho.zeros(40).bernoulli_(),
    "rand_like": lambda: ho.rand_like(ho.zeros(3, 2)),
    "randint_like": lambda: ho.randint_like(ho.zeros(3, 2), 0, 100),
    "randn_like": lambda: ho.randn_like(ho.zeros(3, 2)),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
def test_equal_seeds_give_equal_draws(draw):
    ho.manual_seed(3)
    first, second = draw(), draw()
    ho.manual_seed(3)
    assert draw().tolist() == first.tolist()
    assert second.tolist() != first.tolist()
    ho.manual_seed(4)
    assert draw().tolist() != first.tolist()


def test_a_generator_of_ones_own_leaves_the_common_one_alone():
    ho.manual_seed(0)
    expected = ho.rand(2).tolist()
    ho.manual_seed(0)
    mine = ho.rand(2, generator=np.random.default_rng(7))
    assert mine.tolist() == ho.rand(2, generator=np.random.default_rng(7)).tolist() != expected
    assert ho.rand(2).tolist() == expected
    assert ho.manual_seed(0) is ho.default_generator()
    assert ho.rand(2, generator=ho.default_generator()).tolist() == expected


def test_distributions():
    ho.manual_seed(0)
    n = 20_000
    uniform, gaussian, whole = ho.rand(n).numpy(), ho.randn(n).numpy(), ho.randint(3, 6, (n,)).numpy()
    assert 0 <= uniform.min() <= uniform.max() < 1
    assert abs(uniform.mean() - 1 / 2) < 0.01
    assert abs(gaussian.mean()) < 0.03
    assert abs(gaussian.std() - 1) < 0.03
    assert sorted(set(whole.tolist())) == [3, 4, 5]
    assert ho.randint(4).dtype == np.int64
    assert ho.randint(2, (3,)).shape == (3,)
    assert sorted(ho.randperm(9).tolist()) == list(range(9))
    shifted = ho.normal(ho.tensor([10.0, -10.0]), ho.tensor([0.1, 2.0]), (n, 2)).numpy()
    np.testing.assert_allclose(shifted.mean(0), [10, -10], atol=0.1)
    np.testing.assert_allclose(shifted.std(0), [0.1, 2.0], rtol=0.05)
    assert abs(ho.bernoulli(ho.full((n,), 0.3)).numpy().mean() - 0.3) < 0.02


@pytest.mark.parametrize("dtype", [ho.float32, ho.float64], ids=str)
def test_dtypes(dtype):
    x = ho.zeros(2, dtype=dtype)
    for y in (ho.rand(2, dtype=dtype), ho.randn(2, dtype=dtype), ho.rand_like(x), ho.randn_like(x), ho.bernoulli(x)):
        assert y.dtype == dtype
    assert ho.normal(x, ho.ones(2, dtype=dtype)).dtype == dtype


def test_draws_are_differentiable_in_mean_and_deviation():
    mean, std = ho.tensor([1.0, 2.0], requires_grad=True), ho.tensor(0.5, requires_grad=True)
    y = ho.normal(mean, std)
    by_mean, by_std = ho.grad(y.sum(), (mean, std))
    assert by_mean.tolist() == [1.0, 1.0]
    np.testing.assert_allclose(by_std.item(), ((y - mean) / std).sum().item(), rtol=1e-12)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
def test_vmap_asks_whether_elements_share_their_draws(draw):
    def f(x):
        return x + draw()

    xs = ho.zeros(3)
    with pytest.raises(LevelError, match="randomness"):
        func.vmap(f)(xs)
    same = func.vmap(f, randomness="same")(xs).numpy()
    assert (same[0] == same[1]).all()
    different = func.vmap(f, randomness="different")(xs).numpy()
    assert (different[0] != different[1]).any()
    assert different.shape == same.shape


def test_nested_vmaps_draw_for_every_pair():
    def inner(x):
        return x + ho.randn(4)

    both = func.vmap(func.vmap(inner, randomness="different"), randomness="different")(ho.zeros(2, 3)).numpy()
    assert both.shape == (2, 3, 4)
    assert len(set(both.ravel())) == 24
    outer = func.vmap(func.vmap(inner, randomness="same"), randomness="different")(ho.zeros(2, 3)).numpy()
    assert (outer[:, 0] == outer[:, 1]).all()
    assert (outer[0] != outer[1]).all()


@pytest.mark.parametrize(
    ("drop", "shape", "lead"),
    [(ho.dropout1d, (500, 4), 1), (ho.dropout2d, (50, 20, 2, 3), 2), (ho.dropout3d, (25, 40, 2, 1, 3), 2)],
)
def test_dropout_of_channels_drops_all_of_a_channel_or_nothing(drop, shape, lead):
    ho.manual_seed(0)
    x = ho.ones(*shape, requires_grad=True)
    y = drop(x, 0.25)
    channels = y.detach().numpy().reshape(*shape[:lead], -1)
    assert (channels == channels[..., :1]).all()
    assert set(channels.ravel().tolist()) == {0.0, 1 / 0.75}
    assert abs(channels.mean() - 1) < 0.1
    np.testing.assert_array_equal(ho.grad(y.sum(), x)[0].numpy(), y.detach().numpy())


def test_alpha_dropout_keeps_mean_and_variance():
    ho.manual_seed(0)
    x = ho.randn(20000, requires_grad=True)
    y = ho.alpha_dropout(x, 0.3, training=True)
    assert abs(y.mean().item()) < 0.03
    assert abs(y.var().item() - 1) < 0.03
    slopes = np.unique(ho.grad(y.sum(), x)[0].numpy())
    assert slopes[0] == 0
    assert len(slopes) == 2


def test_gumbel_softmax_draws_classes_with_their_probabilities_and_has_a_derivative():
    ho.manual_seed(0)
    p = np.array([0.5, 0.3, 0.2])
    logits = ho.tensor(np.log(p) * np.ones((20000, 1)), requires_grad=True)
    hard = ho.gumbel_softmax(logits, tau=0.7, hard=True)
    assert set(np.unique(hard.detach().numpy().round(12))) == {0.0, 1.0}
    np.testing.assert_allclose(hard.mean(0).detach().numpy(), p, atol=0.02)
    draw = np.random.default_rng(3)
    state = draw.bit_generator.state
    weights = ho.tensor(np.random.default_rng(1).normal(size=(5, 3)))
    small = ho.tensor(np.random.default_rng(2).normal(size=(5, 3)))

    def total(hard):
        def value(x, tau):
            draw.bit_generator.state = state
            return (ho.gumbel_softmax(x, tau, hard, generator=draw) * weights).sum()

        return value

    assert gradcheck(total(False), (small, ho.tensor(0.8)), order=2)
    for of_hard, of_soft in zip(
        *[func.grad(total(h), (0, 1))(small, ho.tensor(0.8)) for h in (True, False)], strict=True
    ):
        np.testing.assert_allclose(of_hard.numpy(), of_soft.numpy(), rtol=1e-12)


def test_multinomial_draws_classes_with_their_weights():
    ho.manual_seed(0)
    weights = ho.tensor([[1.0, 0.0, 3.0], [2.0, 2.0, 0.0]])
    draws = ho.multinomial(weights, 20000, replacement=True)
    assert draws.dtype == np.int64
    shares = np.stack([np.bincount(row, minlength=3) for row in draws.numpy()]) / 20000
    np.testing.assert_allclose(shares, [[0.25, 0.0, 0.75], [0.5, 0.5, 0.0]], atol=0.02)
    pairs = ho.stack([ho.multinomial(ho.tensor([1.0, 0.0, 3.0]), 2) for _ in range(2000)]).numpy()
    assert set(map(tuple, pairs.tolist())) == {(0, 2), (2, 0)}
    assert abs((pairs[:, 0] == 2).mean() - 0.75) < 0.05


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ho.multinomial(ho.tensor([1.0, -1.0]), 1), "element < 0"),
        (lambda: ho.multinomial(ho.tensor([1.0, 0.0]), 2), "2 draws without replacement of 1 classes"),
        (lambda: ho.multinomial(ho.zeros(2), 1, replacement=True), "of 0 classes"),
        (lambda: ho.multinomial(ho.ones(2, 2, 2), 1), "expected a floating dtype"),
        (lambda: ho.multinomial(ho.ones(2), 0), "num_samples"),
        (lambda: ho.gumbel_softmax(ho.tensor([1, 2])), "expected a floating dtype"),
    ],
)
def test_wrong_weights_are_refused(call, words):
    with pytest.raises(ho.errors.HogradError, match=words):
        call()


def test_filling_with_draws():
    ho.manual_seed(0)
    x = ho.zeros(20000, dtype=np.float32)
    assert x.normal_(3.0, 0.5) is x
    assert x.dtype == np.float32
    np.testing.assert_allclose([x.mean().item(), x.std().item()], [3.0, 0.5], atol=0.02)
    x.uniform_(-1.0, 3.0)
    np.testing.assert_allclose([x.min().item(), x.mean().item(), x.max().item()], [-1.0, 1.0, 3.0], atol=0.05)
    np.testing.assert_allclose(x.exponential_(4.0).mean().item(), 0.25, atol=0.01)
    assert sorted(set(x.bernoulli_(0.25).tolist())) == [0.0, 1.0]
    np.testing.assert_allclose(x.mean().item(), 0.25, atol=0.02)
    w = ho.ones(3, requires_grad=True)
    with pytest.raises(ho.errors.GradientError, match="leaf"):
        w.normal_()
    with ho.no_grad():
        w.normal_()
    assert w.requires_grad
