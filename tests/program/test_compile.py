"""`compile` as users call it."""

import re
import sys
import threading

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError, MissingExtraError
from optim import SGD, Adam
from optim.hyper import Bilevel, Reverse, hypergradient
from optim.meta import adapt


def close(found, expected, tolerance=1e-12):
    found, expected = ho.tree.leaves(found), ho.tree.leaves(expected)
    assert len(found) == len(expected)
    for y, e in zip(found, expected, strict=True):
        y, e = (np.asarray(v.detach()) if isinstance(v, ho.Tensor) else v for v in (y, e))
        np.testing.assert_allclose(y, e, rtol=tolerance, atol=tolerance)


def test_trees_numbers_arrays_and_other_outputs():
    @ho.compile
    def f(params, x, scale, kind="sum"):
        y = params["w"] * x * scale
        return {"y": y, "total": (getattr(y, kind)(), "label", 3), "none": None}

    params = {"w": ho.tensor([1.0, 2.0])}
    for x, scale in [(np.array([3.0, 4.0]), 2.0), (ho.tensor([5.0, 6.0]), 7), (np.array([3.0, 4.0]), 2.5)]:
        found = f(params, x, scale)
        close(found["y"], params["w"] * ho.tensor(x) * scale)
        assert found["total"][1:] == ("label", 3)
        assert found["none"] is None
    close(f(params, [1.0, 2.0][0], 2.0, kind="mean")["total"][0], ho.tensor(3.0))
    assert f.__name__ == "f"


def test_python_runs_once_for_a_signature():
    runs = []

    @ho.compile
    def f(x):
        runs.append(x.shape)
        return x * 2

    for shape in [(2,), (2,), (3,), (2,), (3,)]:
        assert f(ho.ones(shape)).shape == shape
    assert runs == [(2,), (3,)]
    f(ho.ones(2, dtype=ho.float32))
    assert len(runs) == 3


def test_the_cache_is_bounded():
    runs = []

    @ho.compile(cache_size=2)
    def f(x):
        runs.append(len(x))
        return x + 1

    for n in [1, 2, 1, 3, 1, 2]:
        f(ho.ones(n))
    assert runs == [1, 2, 3, 2]


def test_arguments_by_position_and_by_name_are_not_mixed_up():
    f = ho.compile(lambda a, b=None, k=1.0: a[0] * b["k"] if b else a * k)
    x = ho.tensor(2.0)
    close([f((x,), {"k": 3.0}), f(x, k=3.0), f(x), f(a=x, k=5.0)], [x * 3, x * 3, x, x * 5])


def test_static_arguments():
    @ho.compile(static_argnames="steps")
    def power(x, steps=1):
        for _ in range(steps):
            x = x * x
        return x

    x = ho.tensor(1.5)
    close([power(x), power(x, 2), power(x, steps=3)], [x**2, x**4, x**8])
    with pytest.raises(ArgumentError, match="static_argnames names 'step'"):
        ho.compile(lambda x: x, static_argnames="step")


def test_results_stay_what_they_are():
    f = ho.compile(lambda x: ((x * 2 + 1).tanh(), x + 0, x))
    array = np.ones(50)
    first = f(array)
    kept = [np.array(y) for y in first]
    f(np.zeros(50))
    array[:] = 7
    close(first, kept)


def loss(w, x):
    return ((x @ w).tanh() ** 2).mean()


@pytest.mark.parametrize("opt", [SGD(lr=0.1, momentum=0.9), Adam(lr=0.05)], ids=["SGD", "Adam"])
def test_training_steps(opt):
    def step(opt, w, state, x):
        g, value = ho.func.grad_and_value(loss)(w, x)
        w, state = opt.step(w, g, state)
        return w, state, value

    w, x = ho.randn(3), ho.randn(5, 3)
    runs = []
    for function in (step, ho.compile(step)):
        p, state, values = w, opt.init(w), []
        for _ in range(5):
            p, state, value = function(opt, p, state, x)
            values.append(value)
        runs.append((p, values, state["step"]))
    close(*runs)

    def final(opt, w, steps=3):
        state = opt.init(w)
        for _ in range(steps):
            w, state = opt.step(w, ho.func.grad(loss)(w, x), state)
        return loss(w, x)

    tensors = ho.tree.map(ho.tensor, opt)
    close(ho.compile(ho.func.grad(final))(tensors, w), ho.func.grad(final)(tensors, w))
    close(ho.func.grad(ho.compile(final))(tensors, w), ho.func.grad(final)(tensors, w))


def test_torch_style_training_is_captured():
    @ho.compile
    def slopes(w, x):
        w.requires_grad_()
        out = loss(w, x)
        (g,) = ho.grad(out, w, create_graph=True)
        (h,) = ho.grad((g * g).sum(), w)
        out = loss(w, x)
        out.backward()
        return g, h, w.grad

    w, x = ho.randn(3), ho.randn(5, 3)
    g = ho.func.grad(loss)(w, x)
    close(slopes(w, x), [g, 2 * ho.func.hessian(loss)(w, x) @ g, g])
    assert not w.requires_grad


def test_maml():
    def meta(w, tasks):
        adapted = ho.vmap(lambda x: loss(adapt(loss, w, x, inner=SGD(lr=0.1), steps=2), x))
        return adapted(tasks).mean()

    w, tasks = ho.randn(3), ho.randn(4, 5, 3)
    close(ho.compile(ho.func.grad(meta))(w, tasks), ho.func.grad(meta)(w, tasks))
    close(ho.func.grad(ho.compile(meta))(w, tasks), ho.func.grad(meta)(w, tasks))


def test_hypergradients():
    problem = Bilevel(
        inner_loss=lambda w, outer: ((w - outer["target"]) ** 2).sum(),
        outer_loss=lambda w, outer: (w**3).sum(),
        init=ho.zeros(3),
        optimizer=lambda outer: SGD(lr=outer["lr"], momentum=0.5),
    )

    def slopes(outer):
        value, slope, _ = hypergradient(problem, outer, Reverse(steps=4))
        return value, slope

    outer = {"target": ho.randn(3), "lr": ho.tensor(0.1)}
    close(ho.compile(slopes)(outer), slopes(outer))


def test_what_is_no_derivative_stays_none():
    @ho.func.custom_vjp
    def clipped(x):
        return x * 1

    clipped.defvjp(lambda x: (x * 1, ()), lambda residuals, g: (ho.clip(g, -1, 1),))

    def f(x):
        with ho.no_grad():
            constant = x * 3
        return (x.detach() * x + constant * x + clipped(x) * 5).sum()

    x = ho.tensor([1.0, 2.0])
    close(ho.func.grad(ho.compile(f))(x), ho.func.grad(f)(x))
    close(ho.compile(ho.func.grad(f))(x), ho.func.grad(f)(x))


def test_random_draws_are_made_in_each_call_and_once_for_a_derivative():
    def f(x):
        mask = ho.bernoulli(ho.full((3,), 0.5))
        noise = ho.vmap(lambda x: x * ho.randn(), randomness="different")(x)
        return (mask * x + noise).sum()

    compiled = ho.compile(f)
    x = ho.tensor([1.0, 2.0, 3.0])
    results = []
    for function in (f, compiled):
        ho.manual_seed(3)
        results.append([function(x), function(x), *ho.func.grad_and_value(function)(x), function(x)])
    close(*results)
    assert len({float(y) for y in results[1] if y.shape == ()}) == 4
    both = ho.func.vmap(ho.func.grad_and_value(compiled), randomness="different")(ho.stack([x, x]))
    close((both[0] * x).sum(1), both[1])
    assert (both[0][0] != both[0][1]).any()


def test_checkpoint_repeats_its_draws():
    inner = ho.func.checkpoint(lambda x: (ho.randn(3) * x * x).sum())
    f = ho.compile(ho.func.grad_and_value(inner))
    x = ho.tensor([1.0, 2.0, 3.0])
    for _ in range(2):
        slope, value = f(x)
        close((slope * x).sum() / 2, value)


def test_checkpoints_compute_again_and_hold_less():
    def layers(x):
        for _ in range(6):
            x = (x * 1.1).tanh()
        return x

    def total(x, block):
        for _ in range(5):
            x = block(x)
        return x.sum()

    x = ho.randn(40, 40)
    plain, checkpointed = (
        ho.compile(ho.func.grad(lambda x, block=block: total(x, block)))
        for block in (layers, ho.func.checkpoint(layers))
    )
    close(checkpointed(x), plain(x))
    # The last block's values are those of a forward pass that is not kept either.
    assert str(plain.program(x)).count("tanh(") == 30
    assert str(checkpointed.program(x)).count("tanh(") > 50
    buffers = [len(set(re.findall(r"\bb\d+\b", f.source(x)))) for f in (plain, checkpointed)]
    assert buffers[1] < buffers[0] / 2
    g = ho.compile(lambda x, v: ho.func.hvp(lambda x: total(x, ho.func.checkpoint(layers)), x, v))
    close(g(x, x), ho.func.hvp(lambda x: total(x, layers), x, x))


def test_used_inside_another_one():
    g = ho.compile(lambda x: x.sin() * x)
    f = ho.compile(lambda x: g(g(x)).sum())
    x = ho.randn(3)
    close(f(x), ((x.sin() * x).sin() * (x.sin() * x)).sum())
    assert str(f.program(x)).count("sin(") == 2


def test_listing_and_source():
    f = ho.compile(lambda x, y: (x @ y).relu().sum())
    x = ho.ones(2, 2)
    listing = str(f.program(x, x))
    assert "matmul" in listing or "mm_nn" in listing
    assert "float64[2,2]" in listing
    assert "test_compile.py" in listing
    assert "def " in f.source(x, x)


def test_backends(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    with pytest.raises(MissingExtraError, match=r"hograd\[jit\]"):
        ho.compile(lambda x: x, backend="native")
    with pytest.raises(ArgumentError, match="backend"):
        ho.compile(lambda x: x, backend="cuda")


def test_threads():
    f = ho.compile(lambda x: ((x * 2 + 1).tanh() @ x).sum() + ho.func.grad(lambda x: (x**3).sum())(x).sum())
    inputs = [ho.randn(20, 20) for _ in range(8)]
    expected = [float(f.function(x)) for x in inputs]
    wrong = []

    def work(k):
        for i in range(200):
            j = (i + k) % 8
            if abs(float(f(inputs[j])) - expected[j]) > 1e-9:
                wrong.append(j)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_methods():
    class Model:
        def __init__(self):
            self.scale = 3.0

        @ho.compile
        def run(self, x):
            return x * self.scale

    close(Model().run(ho.ones(2)), ho.tensor([3.0, 3.0]))
