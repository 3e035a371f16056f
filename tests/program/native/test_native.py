"""The backend `native` as users call it."""

import random
import threading

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.errors import ArgumentError, IndexingError
from optim import SGD, Adam
from optim.meta import adapt

from ...func.test_random_programs import OUTERMOST, SIZE, Direct, program, run

pytest.importorskip("llvmlite")


def agree(found, expected, tolerance=1e-12):
    found, expected = ho.tree.leaves(found), ho.tree.leaves(expected)
    assert len(found) == len(expected)
    for y, e in zip(found, expected, strict=True):
        assert (y.shape, y.dtype) == (e.shape, e.dtype)
        scale = max(1.0, float(np.abs(e.numpy()[np.isfinite(e.numpy())]).max(initial=0)))
        np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=tolerance, atol=tolerance * scale)


def both(f, *args, tolerance=1e-12, **options):
    compiled = ho.compile(f, backend="native", **options)
    agree(compiled(*args), f(*args), tolerance)
    # Memory that was used before holds other numbers.
    other = ho.tree.map(lambda x: x * 0.5 + 0.25, args)
    agree(compiled(*other), f(*other), tolerance)
    agree(compiled(*args), f(*args), tolerance)


@pytest.mark.parametrize("outermost", OUTERMOST)
@pytest.mark.parametrize("seed", range(15))
def test_random_programs(seed, outermost):
    tree = program(random.Random(f"{seed} {outermost} native"), 2, 2, 4)
    rng = np.random.default_rng(seed)
    x, y = ho.tensor(rng.normal(size=SIZE)), ho.tensor(rng.normal(size=SIZE))
    both(lambda x, y: OUTERMOST[outermost](lambda x, y: run(tree, [x, y], Direct), Direct, x, y), x, y)


def network(params, x):
    w1, b1, w2, b2, w3, b3 = params
    return (x @ w1 + b1).tanh().matmul(w2).add(b2).relu().matmul(w3) + b3


def parameters(dtype, width):
    rng = np.random.default_rng(0)
    shapes = [(1, width), (width,), (width, width), (width,), (width, 1), (1,)]
    return [ho.tensor((rng.normal(size=s) * 0.4).astype(dtype)) for s in shapes]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-5)], ids=["float64", "float32"])
@pytest.mark.parametrize(("tasks", "width"), [(7, 5), (40, 24)])
def test_meta_gradient_of_mapped_tasks(dtype, tolerance, threads, tasks, width):
    rng = np.random.default_rng(1)
    x, y = (ho.tensor(rng.normal(size=(tasks, 10, 1)).astype(dtype)) for _ in range(2))

    def loss(params, points):
        return ho.mse(network(params, points[0]), points[1])

    def after(params, x, y):
        return loss(adapt(loss, params, (x[:5], y[:5]), inner=SGD(lr=0.01), steps=3), (x[5:], y[5:]))

    def meta_loss(params, x, y):
        return func.vmap(after, in_dims=(None, 0, 0))(params, x, y).mean()

    both(func.grad(meta_loss), parameters(dtype, width), x, y, tolerance=tolerance, threads=threads)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (3, 5, 2), (10, 40, 40), (17, 33, 1), (1, 9, 21), (70, 3, 65), (330, 320, 310)]
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_products(shape, dtype):
    rows, inner, columns = shape
    rng = np.random.default_rng(0)
    a, b = (ho.tensor(rng.normal(size=s).astype(dtype)) for s in ((rows, inner), (inner, columns)))
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    both(lambda a, b: (a @ b, a.T @ (b.T @ a.T).T), a, b, tolerance=tolerance)
    both(lambda a, b: [a.T.contiguous().T @ b, a @ b.T.contiguous().T, b.T @ (a * 3).T], a, b, tolerance=tolerance)
    stacked = [ho.stack([a, a + 1, a - 2, a * 3, a]), ho.stack([b, b - 1, b, b + 2, b])]
    both(
        lambda p, q: [p @ q, p @ q[0], p[1] @ q, func.grad(lambda p: ((p @ q) ** 2).sum())(p)],
        *stacked,
        tolerance=1e2 * tolerance,
    )


@pytest.mark.parametrize("shape", [(), (1,), (7,), (64,), (65,), (5, 3), (3, 65), (4, 1, 6), (2, 3, 4, 5), (130, 10)])
def test_sums_within_loops(shape):
    x = ho.tensor(np.random.default_rng(0).normal(size=shape))

    def f(x):
        y = (x * 2).exp()
        total = [y.sum(), (y * x).sum()]
        for axis in range(x.ndim):
            s = y.sum(axis, keepdim=True)
            total += [s, y / s, (y / s * x).sum(axis), (s.log() * 2).sum()]
        return [*total, ho.softmax(x, -1) if x.ndim else x]

    both(f, x)


def test_slices_and_shapes_are_windows():
    x = ho.tensor(np.random.default_rng(0).normal(size=(6, 8)))
    both(
        lambda x: [
            x[::2, ::-1] * x[1::2],
            (x.T[2:5] + 1).reshape(-1),
            x.reshape(2, 3, 8).permute(2, 0, 1).reshape(8, 6) @ x,
            x[3][None].expand(4, 8) - x[:4],
            x[2, 5] * x[-1],
            x.T,
        ],
        x,
    )


def test_parts_are_joined():
    x = ho.tensor(np.random.default_rng(0).normal(size=(6, 4, 3)))

    def f(x):
        a, b = x[:, :2] * 2, x[:, 1:].exp()
        y = ho.concatenate([a, b], 1)
        return [
            y,
            ho.concatenate([x[:2], y[:, 1:] - 1]),
            ho.stack([x, x * 2], 2),
            x.at[1:3, 0].set(0.0) * 3,
            ho.concatenate([x[..., :1], x], 2),
        ]

    both(f, x)
    both(func.grad(lambda x: sum((y * y).sum() for y in f(x))), x)
    both(func.vmap(lambda x: (ho.concatenate([x @ x.T, x], 1) @ ho.ones(7, 2))[1:].tanh()), x)
    both(func.grad(lambda x: func.vmap(lambda x: ((x @ x.T)[1:, :2] @ x[:2]).sum())(x).sum()), x)


def test_numpy_computes_what_machine_code_does_not():
    x = ho.tensor(np.random.default_rng(0).normal(size=(5, 5)))

    def f(x):
        a = (x @ x.T + ho.eye(5) * 6) * 1.5
        lower = ho.linalg.cholesky(a)
        values = ho.sort(lower.sum(0) * 2)[0]
        return [lower.T.exp(), values + 1, values[1:3], lower[1:], ho.cumsum(values, 0) * values]

    both(f, x)
    both(func.grad(lambda x: sum((y * y).sum() for y in f(x))), x, tolerance=1e-11)


def test_answers_are_arrays_of_their_own():
    f = ho.compile(lambda x, y: [x * 2, (x * 2).T, x, y[0], x.exp()[1:], (x * 2)[0, 0]], backend="native")
    x, y = ho.tensor(np.arange(6.0).reshape(2, 3)), ho.tensor(np.ones((2, 2)))
    first = f(x, y)
    kept = [np.array(v.numpy()) for v in first]
    f(x + 1, y * 3)
    for v, k in zip(first, kept, strict=True):
        np.testing.assert_array_equal(v.numpy(), k)


def test_arrays_in_any_order_in_memory():
    f = ho.compile(lambda x: x * 2 + x.sum(0), backend="native")
    x = np.asfortranarray(np.random.default_rng(0).normal(size=(4, 5)))
    for value in (x, x[::2, 1:], x.T[::-1]):
        np.testing.assert_allclose(f(ho.tensor(value)).numpy(), value * 2 + value.sum(0), rtol=1e-14)


def test_nan_and_infinity_come_through():
    x = ho.tensor([np.nan, np.inf, -np.inf, 0.0, -0.0])
    both(lambda x: [ho.maximum(x, 0.0), ho.minimum(x, 1.0), x == x, x < 1, ho.where(x > 0, x, -1.0), x.isnan()], x)


def test_differentiable_mapped_and_part_of_others():
    f = ho.compile(lambda w, x: ((x @ w).tanh() ** 2).sum(), backend="native")
    w, x = (ho.tensor(np.random.default_rng(i).normal(size=s)) for i, s in enumerate([(4, 3), (5, 4)]))
    agree(func.hessian(f)(w, x), func.hessian(f.function)(w, x))
    agree(func.vmap(f, in_dims=(None, 0))(w, ho.stack([x, x * 2])), [ho.stack([f(w, x), f(w, x * 2)])])
    both(lambda w, x: func.grad(f)(w, x) * 2, w, x)
    leaf = ho.tensor(w.numpy(), requires_grad=True)
    f(leaf, x).backward()
    agree([leaf.grad], [func.grad(f.function)(w, x)])


def test_steps_of_optimizers():
    opt = Adam(lr=0.01, weight_decay=0.1)
    w, x = (ho.tensor(np.random.default_rng(i).normal(size=s)) for i, s in enumerate([(10, 3), (20, 10)]))

    def train(opt, w, x):
        state = opt.init(w)
        for _ in range(5):
            w, state = opt.step(w, func.grad(lambda w: ho.logsumexp(x @ w, 1).mean())(w), state)
        return (w**2).sum()

    both(func.grad(train), opt, w, x)


def test_calls_from_many_threads_at_once():
    f = ho.compile(lambda x: ((x * 2 + 1).tanh() @ x).sum(0) + func.grad(lambda x: (x**3).sum())(x), backend="native")
    inputs = [ho.tensor(np.random.default_rng(i).normal(size=(20, 20))) for i in range(6)]
    expected = [f.function(x).numpy() for x in inputs]
    wrong = []

    def work(i):
        found = [f(inputs[i]).numpy() for _ in range(50)]
        wrong.extend(y for y in found if not np.allclose(y, expected[i], rtol=1e-12))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for t in workers:
        t.start()
    for t in workers:
        t.join()
    assert not wrong


def test_source_is_what_is_compiled():
    f = ho.compile(lambda x: x.exp() + 1, backend="native")
    source = f.source(ho.ones(3))
    assert "define void @f0" in source
    assert "@exp" in source


def test_threads_are_refused():
    with pytest.raises(ArgumentError, match="threads is 0"):
        ho.compile(lambda x: x, backend="native", threads=0)


def test_integers_and_positions():
    x = ho.tensor(np.random.default_rng(0).normal(size=(7, 4)))
    labels = ho.tensor(np.array([3, 0, 1, 1, 2, 0, 3]))

    def f(x, labels):
        return [
            x[labels],
            x[labels[2]] * 2,
            x[-labels - 1],
            x[labels, labels],
            x.T[labels, labels].exp(),
            (labels * 2 + 1 > labels) & (labels != 3),
            ho.where(labels == 1, labels, -labels),
            labels + x.sum(1),
            labels / 2,
            x.sum(1) ** labels.double(),
            ho.cross_entropy(x, labels),
            ho.concatenate([labels, labels + 1]),
        ]

    compiled = ho.compile(f, backend="native")
    agree(compiled(x, labels), f(x, labels))
    agree(compiled(x + 1, labels), f(x + 1, labels))
    both(func.grad(lambda x: sum((y * y).sum() for y in f(x, labels) if y.dtype.kind == "f")), x.abs() + 1)


def test_positions_out_of_range_are_refused():
    f = ho.compile(lambda x, i: x[i] * 2, backend="native")
    x = ho.tensor(np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(f(x, ho.tensor([2, -3])).numpy(), [[8.0, 10.0], [0.0, 2.0]])
    for wrong in (3, -4, 2**40):
        with pytest.raises(IndexingError, match="out of bounds"):
            f(x, ho.tensor([0, wrong]))
    np.testing.assert_array_equal(f(x, ho.tensor([0, 1])).numpy(), [[0.0, 2.0], [4.0, 6.0]])


@pytest.mark.parametrize("checkpoint", ["none", "sqrt", 3])
def test_loops(checkpoint):
    rng = np.random.default_rng(0)
    w, xs = ho.tensor(rng.normal(size=(5, 3)) * 0.3), ho.tensor(rng.normal(size=(12, 4, 5)) * 0.3)

    def step(carry, x):
        w, v, count = carry
        v = 0.9 * v + func.grad(lambda w: ((x @ w).tanh() ** 2).sum())(w)
        w = w - 0.1 * v / (1 + 0.9**count)
        return (w, v, count + 1), (w.sum(), w.T)

    def f(w, xs):
        (w, v, count), (sums, all_w) = ho.scan(step, (w, ho.zeros_like(w), ho.tensor(0)), xs, checkpoint=checkpoint)
        return [(w * v).sum() + (sums**2).sum(), all_w, count]

    both(f, w, xs)
    both(func.grad(lambda w, xs: f(w, xs)[0], argnums=(0, 1)), w, xs)
    both(lambda w, xs: func.hvp(lambda w: f(w, xs)[0], w, w * 2), w, xs)
    both(lambda w, xs: func.vmap(lambda w: f(w, xs)[0])(ho.stack([w, w * 2, w * 3, w * 0.5])), w, xs)


def test_loops_with_steps_that_machine_code_does_not_compute():
    w = ho.tensor(np.random.default_rng(0).normal(size=(4, 4)))

    def step(carry, x):
        lower = ho.linalg.cholesky(carry @ carry.T + 4 * ho.eye(4))
        return (lower * x + carry) * 0.1, lower.sum(0)

    def f(w, xs):
        last, sums = ho.scan(step, w, xs)
        return [last, sums]

    xs = ho.tensor(np.random.default_rng(1).normal(size=6))
    both(f, w, xs)
    both(func.grad(lambda w, xs: sum((y * y).sum() for y in f(w, xs)), argnums=(0, 1)), w, xs)
