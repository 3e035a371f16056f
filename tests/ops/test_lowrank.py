"""svd_lowrank and pca_lowrank: exact for matrices of that rank, with derivatives, and close for others."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho
from hograd import func

DRAW = np.random.default_rng(0)
LEFT, RIGHT = DRAW.normal(size=(2, 5, 2)), DRAW.normal(size=(2, 2, 4))


@pytest.mark.parametrize("wide", [False, True])
def test_of_low_rank(wide):
    a = LEFT @ RIGHT
    a = a.swapaxes(-1, -2) if wide else a
    u, s, v = ho.svd_lowrank(ho.tensor(a), 2)
    np.testing.assert_allclose((u * s.unsqueeze(-2)) @ v.mT, a, atol=1e-13)
    np.testing.assert_allclose(s, np.linalg.svd(a)[1][..., :2], rtol=1e-12)
    np.testing.assert_allclose(u.mT @ u, np.broadcast_to(np.eye(2), (2, 2, 2)), atol=1e-13)


def test_components_are_those_of_the_centered_rows():
    a = LEFT @ RIGHT + 3.0
    s = ho.pca_lowrank(ho.tensor(a), 2)[1]
    centered = a - a.mean(-2, keepdims=True)
    np.testing.assert_allclose(s, np.linalg.svd(centered)[1][..., :2], rtol=1e-12)
    raw = ho.pca_lowrank(ho.tensor(a), center=False)[1]
    np.testing.assert_allclose(raw[..., :3], np.linalg.svd(a)[1][..., :3], rtol=1e-8)
    np.testing.assert_allclose(
        ho.svd_lowrank(ho.tensor(a), 2, M=ho.tensor(a.mean(-2, keepdims=True)))[1], s, rtol=1e-12
    )


def test_derivatives():
    def f(left, right):
        ho.manual_seed(0)
        return ho.svd_lowrank(left @ right, 2)[1].sum()

    def exact(left, right):
        return ho.linalg.svdvals(left @ right)[..., :2].sum()

    x, y = ho.tensor(LEFT[0]), ho.tensor(RIGHT[0])
    np.testing.assert_allclose(func.grad(f)(x, y), func.grad(exact)(x, y), atol=1e-11)
    direction = ho.tensor(DRAW.normal(size=(5, 2)))
    found = [func.jvp(lambda x, g=g: func.grad(g)(x, y), (x,), (direction,))[1] for g in (f, exact)]
    np.testing.assert_allclose(*found, atol=1e-10)


def test_refusals():
    with pytest.raises(ho.errors.ArgumentError, match="q=5.*from 0 to 4"):
        ho.svd_lowrank(ho.ones(5, 4), 5)
