"""Heads against NumPy, and against the conditions that their minima fulfil."""

import numpy as np
import pytest

import hograd as ho
from hograd import nn
from hograd.errors import ArgumentError
from optim.meta import R2D2, Examples, LogisticHead, MatchingNetwork, MetaOptNet, PrototypicalNetwork

RNG = np.random.default_rng(2)
#: Unequal numbers of examples of three classes.
Y = np.array([0, 0, 0, 1, 2, 2])
F, QUERY = RNG.normal(size=(6, 4)), RNG.normal(size=(5, 4))
TARGETS = np.eye(3)[Y]


def predicted(algorithm, changes=None, features=F, y=Y):
    learned = algorithm.init()
    learned = learned | {"head": learned.get("head", {}) | (changes or {})}
    return algorithm.adapt(learned, Examples(ho.tensor(features), ho.tensor(y)))(ho.tensor(QUERY)).numpy()


def test_prototypes_are_means():
    centers = np.stack([F[c == Y].mean(0) for c in range(3)])
    expected = -((QUERY[:, None] - centers) ** 2).sum(-1)
    np.testing.assert_allclose(predicted(PrototypicalNetwork(nn.sequential(), ways=3)), expected, rtol=1e-12)
    cosines = (QUERY / np.linalg.norm(QUERY, axis=1)[:, None]) @ (centers / np.linalg.norm(centers, axis=1)[:, None]).T
    found = predicted(PrototypicalNetwork(nn.sequential(), ways=3, distance="cosine"))
    np.testing.assert_allclose(found, 10 * cosines, rtol=1e-10)


def test_matching_is_a_vote():
    cosines = (QUERY / np.linalg.norm(QUERY, axis=1)[:, None]) @ (F / np.linalg.norm(F, axis=1)[:, None]).T
    votes = np.exp(3 * cosines) / np.exp(3 * cosines).sum(1)[:, None]
    found = predicted(MatchingNetwork(nn.sequential(), ways=3, scale=3.0))
    np.testing.assert_allclose(np.exp(found), votes @ TARGETS, rtol=1e-9)


@pytest.mark.parametrize("k", [4, 9], ids=["more examples", "more features"])
def test_ridge_regression_is_its_closed_form(k):
    features, query = RNG.normal(size=(6, k)), RNG.normal(size=(5, k))
    W = np.linalg.solve(features.T @ features + 0.7 * np.eye(k), features.T @ TARGETS)
    algorithm = R2D2(nn.sequential(), ways=3, l2=0.7)
    learned = algorithm.init() | {"head": algorithm.init()["head"] | {"scale": ho.tensor(2.0), "shift": ho.tensor(0.3)}}
    found = algorithm.adapt(learned, Examples(ho.tensor(features), ho.tensor(Y)))(query)
    np.testing.assert_allclose(found.numpy(), 2 * query @ W + 0.3, rtol=1e-10)
    # Values are not made classes.
    values = RNG.normal(size=(6, 2))
    expected = query @ np.linalg.solve(features.T @ features + 0.7 * np.eye(k), features.T @ values)
    found = algorithm.adapt(algorithm.init(), Examples(ho.tensor(features), ho.tensor(values)))(query)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


def weights(algorithm, features, y):
    """W of  outputs = f(x) W , from the outputs of unit features."""
    k = features.shape[1]
    return algorithm.adapt(algorithm.init(), Examples(ho.tensor(features), ho.tensor(y)))(np.eye(k)).numpy()


@pytest.mark.parametrize("l2", [0.05, 1.0])
def test_logistic_regression_is_at_its_minimum(l2):
    W = weights(LogisticHead(nn.sequential(), ways=3, l2=l2, newton=12), F, Y)
    logits = F @ W
    p = np.exp(logits) / np.exp(logits).sum(1)[:, None]
    np.testing.assert_allclose(F.T @ (p - TARGETS) + l2 * W, 0, atol=1e-9)


@pytest.mark.parametrize("C", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("examples", [3, 6, 25])
def test_the_support_vector_machine_has_no_duality_gap(C, examples):
    random = np.random.default_rng(examples)
    features, y = random.normal(size=(examples, 32)), np.arange(examples) % 3
    W = weights(MetaOptNet(nn.sequential(), ways=3, C=C), features, y)
    outputs, right = features @ W, np.arange(examples)
    margins = outputs - outputs[right, y][:, None] + (np.arange(3) != y[:, None])
    slack = margins.max(1)
    primal = (W**2).sum() / 2 + C * slack.sum()
    # W = F^T A: the dual variables that belong to it, of a matrix of full rank.
    A = np.linalg.lstsq(features.T, W)[0]
    assert A[right, y].max() <= C * (1 + 1e-9)
    assert np.where(np.arange(3) != y[:, None], A, 0).max() <= 1e-9 * C
    np.testing.assert_allclose(A.sum(1), 0, atol=1e-9 * C)
    dual = A[right, y].sum() - (W**2).sum() / 2
    assert primal == pytest.approx(dual, rel=1e-8)


def test_a_head_that_is_left_out_says_how_many_classes_there_are():
    net = nn.mlp([4, 5, 7])
    algorithm = PrototypicalNetwork(net)
    assert list(algorithm.init(0)["params"]) == ["layer1"]
    predict = algorithm.adapt(algorithm.init(0), Examples(ho.tensor(F), ho.tensor(Y)))
    assert predict(QUERY).shape == (5, 7)
    with pytest.raises(ArgumentError, match="pass ways="):
        PrototypicalNetwork(nn.sequential(nn.linear(4, 5)))


def test_running_statistics_are_kept_in_training_and_used_in_predictions():
    net = nn.sequential(nn.linear(4, 5), nn.batch_norm(5), head=nn.linear(5, 3))
    algorithm = PrototypicalNetwork(net)
    learned = algorithm.init(0)
    task = ho.tree.map(ho.tensor, base_task())
    _, told = algorithm.loss(learned, task)
    state = learned["statistics"]
    for x in (task.support.x, task.query.x):
        _, state = net[:-1].apply_with_state(learned["params"], x, state=state)
    for ours, theirs in zip(ho.tree.leaves(told["statistics"]), ho.tree.leaves(state), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)
    # One example alone has no statistics of a batch.
    learned = learned | {"statistics": told["statistics"]}
    predict = algorithm.adapt(learned, task.support)
    np.testing.assert_allclose(predict(QUERY[:1]).numpy(), predict(QUERY).numpy()[:1], rtol=1e-12)


def base_task():
    from optim.meta import Task

    return Task(Examples(F, Y), Examples(QUERY, np.arange(5) % 3))
