"""The generated NumPy code: buffers, views, layouts of arrays, and Python's numbers."""

import weakref

import numpy as np

import hograd as ho
from hograd.program.memory import by_columns, once


def test_memory_is_reused_and_answers_keep_theirs():
    def f(x):
        for _ in range(50):
            x = (x * 1.01).tanh()
        return x, x.reshape(20, 50)

    x = ho.randn(50, 20)
    compiled = ho.compile(f)
    first = compiled(x)
    kept = [y.numpy().copy() for y in first]
    assert "b0" in compiled.source(x)
    assert "b3" not in compiled.source(x)
    compiled(x * 2)
    for y, k in zip(first, kept, strict=True):
        np.testing.assert_array_equal(y.numpy(), k)


def test_views_keep_the_memory_that_they_show():
    def f(x):
        y = x * 2
        turned, part = y.T, y[1:]
        z = y + 1
        w = z * 3
        return turned @ w + part.sum() + (w * 2).exp().sum()

    x = ho.randn(4, 4)
    np.testing.assert_allclose(ho.compile(f)(x).numpy(), f(x).numpy(), rtol=1e-12)


def test_choices():
    def f(x, y):
        chosen = ho.where(x > 0, y * 2, x * 3)
        return chosen + ho.where(x > 1, 0.0, y) * ho.where(x < 0, x, 1.0) + ho.where(y > 0, x, ho.tensor(2.0)), x, y

    compiled = ho.compile(f)
    for _ in range(2):
        x, y = ho.randn(20, 3), ho.randn(20, 3)
        for found, expected in zip(compiled(x, y), f(x, y), strict=True):
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-14)


def test_numbers_become_one_array():
    f = ho.compile(lambda x, y: (ho.stack([x * 2, y + x, x.sin()]), ho.cat([x[None], y[None] * 3, ho.ones(2)])))
    x, y = ho.tensor(1.5), ho.tensor(-2.0)
    for found, expected in zip(f(x, y), f.function(x, y), strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-15)
    assert "np.array([" in f.source(x, y)
    single = ho.compile(lambda x: ho.stack([x, x]).astype(ho.float32))
    np.testing.assert_array_equal(single(x).numpy(), single.function(x).numpy())


def test_tall_arrays():
    def f(x, w):
        h = ho.softmax(x @ w, 1)
        r = h * (x @ w) - h * (h * 2).sum(1, keepdim=True)
        return r.reshape(10, 300), x.T @ r, r.sum(0), r.sum(1), h.T, (h * r).sum(), r[3:7], h @ w.T

    x, w = ho.randn(300, 6), ho.randn(6, 10)
    compiled = ho.compile(f)
    for found, expected in zip(compiled(x, w), f(x, w), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-11, atol=1e-13)
    # Sums whose answers are tall.
    y = ho.randn(300, 5, 8)
    sums = ho.compile(lambda y: (y.exp().sum(-1) * 3 + y.sin().sum(2) * 2, y.exp().sum(1) * 3, (y * 2).sum(0) * 3))
    for found, expected in zip(sums(y), sums.function(y), strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-11, atol=1e-11)
    # Scores that are far apart have a maximum of their own in every row.
    apart = ho.tensor(np.random.default_rng(0).normal(size=(300, 10)) * 300)
    soft = ho.compile(lambda x: ho.softmax(x, 1) * 1.5)
    np.testing.assert_allclose(soft(apart).numpy(), soft.function(apart).numpy(), rtol=1e-12)


def test_numbers_that_python_refuses():
    f = ho.compile(lambda x: (1 / x, x.log(), (x + 800).exp(), (1 / x).sin()))
    for value in [0.5, 0.0, 0.25]:
        with np.errstate(all="ignore"):
            expected = [v.item() for v in f.function(ho.tensor(value))]
        np.testing.assert_array_equal([v.item() for v in f(value)], expected)


def test_what_is_made_of_a_constant_is_made_once_and_goes_with_it():
    array = np.ones((300, 4))
    first = once(array, "columns", np.asfortranarray)
    assert once(array, "columns", np.asfortranarray) is first
    assert by_columns(array) is first
    assert once(array, "other", lambda x: x + 1) is not first
    gone = weakref.ref(first)
    del first
    assert gone() is None
    # A constant with the same identity as one before it gets its own.
    assert once(array + 1, "columns", np.asfortranarray)[0, 0] == 2
