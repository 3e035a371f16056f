"""The data that experiments work on: splits are disjoint and seeded, tasks are those of the paper."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from experiments.data.digits import load_split
from experiments.data.sinusoids import sample_tasks, sinusoid


@pytest.mark.parametrize(("train", "validation", "sizes"), [(0.5, 0.25, (898, 449, 450)), (0.1, 0.8, (180, 1438, 179))])
def test_split_takes_every_image_once(train, validation, sizes):
    split = load_split(train, validation, seed=7)
    assert tuple(map(len, split.rows)) == sizes
    np.testing.assert_array_equal(np.sort(np.concatenate(split.rows)), np.arange(1797))
    pixels, digits = load_digits(return_X_y=True)
    for images, rows in zip((split.train, split.validation, split.test), split.rows, strict=True):
        np.testing.assert_array_equal(images.pixels * 16, pixels[rows])
        np.testing.assert_array_equal(images.digits, digits[rows])


def test_pixels_fill_the_unit_interval():
    pixels = np.concatenate([images.pixels for images in load_split(0.5, 0.25, seed=0)[:3]])
    assert (pixels.min(), pixels.max()) == (0.0, 1.0)


def test_the_seed_alone_fixes_the_split():
    first, again, other = (load_split(0.5, 0.25, seed) for seed in (4, 4, 5))
    for ours, theirs in zip(first.rows, again.rows, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(np.sort(first.rows[0]), np.sort(other.rows[0]))


def test_sinusoid_tasks_have_the_distribution_of_the_paper():
    tasks = sample_tasks(np.random.default_rng(11), 4000, 10, 15)
    uniform = {
        "amplitude": (tasks.amplitude, 0.1, 5.0),
        "phase": (tasks.phase, 0.0, np.pi),
        "support": (tasks.support.x, -5.0, 5.0),
        "query": (tasks.query.x, -5.0, 5.0),
    }
    for name, (values, low, high) in uniform.items():
        values = np.sort((values.ravel() - low) / (high - low))
        assert values[0] >= 0, name
        assert values[-1] <= 1, name
        # Kolmogorov's distance from the uniform distribution; beyond 2 / sqrt(n) once in 1,500 draws.
        assert np.abs(values - np.linspace(0, 1, len(values))).max() < 2 / np.sqrt(len(values)), name
    assert abs(np.corrcoef(tasks.amplitude.ravel(), tasks.phase.ravel())[0, 1]) < 0.07
    # The variance of the values, (E amplitude**2) (E sin(x - phase)**2), as in the distribution above.
    assert np.mean(tasks.query.y**2) == pytest.approx((5.0**3 - 0.1**3) / (3 * 4.9) * 0.5, rel=0.1)


def test_a_task_is_one_sinusoid_for_support_and_query():
    tasks = sample_tasks(np.random.default_rng(1), 5, 3, 4)
    for points, count in ((tasks.support, 3), (tasks.query, 4)):
        assert points.x.shape == points.y.shape == (5, count, 1)
        np.testing.assert_array_equal(points.y, tasks.amplitude * np.sin(points.x - tasks.phase))
    assert not np.intersect1d(tasks.support.x, tasks.query.x).size
    np.testing.assert_allclose(sinusoid(np.array(2.0), np.array(3.0), np.array(0.5)), 3 * np.sin(1.5))


def test_tasks_are_seeded_and_keep_the_dtype():
    first, again = (sample_tasks(np.random.default_rng(2), 3, 2, 2, "float32") for _ in range(2))
    assert first.support.x.dtype == first.query.y.dtype == np.float32
    np.testing.assert_array_equal(first.query.y, again.query.y)
