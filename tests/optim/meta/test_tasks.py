"""Tasks are the same for ever, whatever is asked for with them, and have the distributions that they are said to."""

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError
from optim.meta.tasks import Blobs, LinearRegressions, Quadratics, Sinusoids

FAMILIES = {
    "Sinusoids": Sinusoids,
    "LinearRegressions": LinearRegressions,
    "Blobs": Blobs,
    "Quadratics": Quadratics,
}


def equal(ours, theirs):
    return all(np.array_equal(a, b) for a, b in zip(ho.tree.leaves(ours), ho.tree.leaves(theirs), strict=True))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_task_depends_on_seed_and_number_alone(family):
    tasks = family(seed=3)
    batch = tasks.batch(5, 4)
    for i in range(4):
        assert equal(ho.tree.map(lambda array, i=i: array[i], batch), family(seed=3)[5 + i])
    assert equal(ho.tree.map(lambda array: array[2:], batch), tasks.batch(7, 2))
    # A far one is as near as any.
    assert not equal(tasks[10**12], tasks[10**12 + 1])
    assert not equal(batch, family(seed=4).batch(5, 4))
    assert not equal(batch, family(seed=(3, 1)).batch(5, 4))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shapes_and_dtypes(family, dtype):
    tasks = family(dtype=dtype)
    for part in tasks.batch(0, 3):
        assert part.x.dtype == dtype
        assert part.y.dtype == (np.int64 if family is Blobs else dtype)
        assert part.x.shape[0] == part.y.shape[0] == 3
        assert part.x.shape[2:] == tasks.shape
        assert part.x.shape[1] == part.y.shape[1]
        if family is Blobs:
            assert set(part.y.ravel()) == set(range(tasks.outputs))
        else:
            assert part.y.shape[2:] == (tasks.outputs,)


def test_today_s_tasks_are_those_of_tomorrow():
    # Printed once: whoever changes them changes every figure that was ever published of them.
    found = [Sinusoids(seed=0)[7].support.y[0, 0], Blobs(seed=1)[2].query.x[3, 1], Quadratics(seed=2)[1].query.y[2, 0]]
    np.testing.assert_allclose(found, [-0.3720703623107916, -0.569672366762262, 1.0587291545582138], rtol=1e-9)


def test_sinusoids_have_the_ranges_of_the_papers():
    tasks = Sinusoids(shots=30, queries=30, frequencies=(0.8, 1.2))
    x = tasks.batch(0, 500).support.x
    assert -5 <= x.min() < -4.99
    assert 4.99 < x.max() <= 5
    # With 0 the phase alone is left.
    dense = np.linspace(-5, 5, 400)[:, None]
    largest = np.array([np.abs(tasks.values(i, dense)).max() for i in range(300)])
    assert 0.1 <= largest.min() < 0.3
    assert 4.9 < largest.max() <= 5
    assert largest.mean() == pytest.approx(2.55, abs=0.3)
    task = tasks[11]
    np.testing.assert_allclose(tasks.values(11, task.query.x), task.query.y, rtol=1e-12)


def test_quadratics_have_their_condition_and_solution():
    tasks = Quadratics(features=3, rows=6, condition=50.0)
    A, b = tasks[4].support
    eigenvalues = np.linalg.eigvalsh(A.T @ A / 6)
    np.testing.assert_allclose(eigenvalues, [1 / 50, 1 / np.sqrt(50), 1], rtol=1e-10)
    np.testing.assert_allclose(tasks.solution(4), np.linalg.lstsq(A, b[:, 0])[0], rtol=1e-9)
    around = np.array([1.0, -2.0, 0.5])
    w = tasks.solution(4, damping=0.7, around=around)
    slope = 2 / 6 * A.T @ (A @ w - b[:, 0]) + 0.7 * (w - around)
    np.testing.assert_allclose(slope, 0, atol=1e-12)
    assert np.array_equal(tasks[4].query.x, A)


def test_lines_have_their_noise_and_center():
    tasks = LinearRegressions(features=2, shots=200, queries=1, noise=0.3, center=2.0)
    batch = tasks.batch(0, 200)
    w = np.stack([np.linalg.lstsq(x, y)[0][:, 0] for x, y in zip(*batch.support, strict=True)])
    assert w.mean() == pytest.approx(2.0, abs=0.2)
    assert w.std() == pytest.approx(1.0, abs=0.15)
    left = batch.support.y[:, :, 0] - np.einsum("tpk,tk->tp", batch.support.x, w)
    assert left.std() == pytest.approx(0.3, abs=0.01)


def test_blobs_have_their_spread():
    x = Blobs(ways=3, shots=50, queries=1, spread=0.2).batch(0, 300).support.x.reshape(300, 50, 3, 2)
    assert x.std(1).mean() == pytest.approx(0.2, abs=0.01)
    assert x.mean(1).std() == pytest.approx(1.0, abs=0.05)


def test_numbers_below_zero_are_refused():
    with pytest.raises(IndexError, match="numbered from 0"):
        Blobs()[-1]
    with pytest.raises(ArgumentError, match="numbered from 0"):
        Blobs().batch(-1, 3)
