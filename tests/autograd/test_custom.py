"""`custom_vjp`, `custom_jvp` and `checkpoint`: at every level and order, against the operations that they replace."""

import functools
import gc
import tracemalloc

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.errors import ArgumentError, DtypeError, GradientError, LevelError, StructureError


def make_vjp():
    """Trees in, an intermediate among the residuals, a residual that is a number."""

    @func.custom_vjp
    def f(d):
        return d["a"] * d["b"].exp()

    def fwd(d):
        e = d["b"].exp()
        return d["a"] * e, {"e": e, "a": d["a"], "two": 2}

    def bwd(saved, g):
        return ({"a": saved["e"] * g, "b": saved["two"] / 2 * saved["a"] * saved["e"] * g},)

    f.defvjp(fwd, bwd)
    return lambda x: f({"a": x, "b": x * x})


def make_jvp():
    """Two arguments, two answers."""

    @func.custom_jvp
    def f(a, b):
        return a * b, [a.sin()]

    @f.defjvp
    def rule(primals, tangents):
        (a, b), (s, t) = primals, tangents
        return f(a, b), (s * b + a * t, [a.cos() * s])

    return lambda x: f(x, x.exp())[0] * f(x * x, x)[1][0]


def make_jvps():
    f = func.custom_jvp(lambda a, b: a * b.exp())
    f.defjvps(lambda t, y, a, b: t * b.exp(), lambda t, y, a, b: t * y)
    return lambda x: f(x, x * x)


def make_checkpoint():
    f = func.checkpoint(lambda a, *, b: {"y": (a * b).exp(), "z": a.sin(), "n": a > 0})
    return lambda x: f(x, b=x.cos())["y"] * f(x, b=x)["z"] + f(x, b=x)["y"]


def make_nested_checkpoint():
    def step(x):
        return (x * x).sin() + x

    two = func.checkpoint(lambda x: func.checkpoint(step)(func.checkpoint(step)(x)))
    return lambda x: two(two(x))


def four_steps(x):
    for _ in range(4):
        x = (x * x).sin() + x
    return x


FUNCTIONS = {
    "custom_vjp": (make_vjp(), lambda x: x * (x * x).exp()),
    "custom_jvp": (make_jvp(), lambda x: x * x.exp() * (x * x).sin()),
    "defjvps": (make_jvps(), lambda x: x * (x * x).exp()),
    "checkpoint": (make_checkpoint(), lambda x: (x * x.cos()).exp() * x.sin() + (x * x).exp()),
    "nested checkpoint": (make_nested_checkpoint(), four_steps),
}


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_at_every_level_and_order(name, depth, agree):
    assert agree(*FUNCTIONS[name], depth)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_on_one_tape(name, agree_on_one_tape):
    assert agree_on_one_tape(*FUNCTIONS[name])


# The rules are what is used


def test_the_given_rules_are_used_in_every_mode():
    clipped = func.custom_vjp(lambda x: x * 1)
    clipped.defvjp(lambda x: (x * 1, ()), lambda saved, g: (7 * g,))
    doubled = func.custom_jvp(lambda x: x * 1)
    doubled.defjvp(lambda primals, tangents: (primals[0], 7 * tangents[0]))
    x, v = ho.tensor(2.0), ho.tensor([1.0, 2.0])
    for f in (clipped, doubled):
        assert f(x).item() == 2.0
        assert func.grad(f)(x).item() == 7.0
        assert func.jvp(f, (x,), (x,))[1].item() == 14.0
        assert func.grad(lambda v, f=f: ho.vmap(f)(v).sum())(v).tolist() == [7.0, 7.0]
        assert ho.vmap(func.grad(f))(v).tolist() == [7.0, 7.0]
        leaf = ho.tensor(2.0, requires_grad=True)
        f(leaf).backward()
        assert leaf.grad.item() == 7.0


def test_fwd_runs_only_where_a_derivative_is_asked_for():
    calls = []

    @func.custom_vjp
    def f(x):
        calls.append("f")
        return x * 2

    def fwd(x):
        calls.append("fwd")
        return x * 2, None

    f.defvjp(fwd, lambda saved, g: (g * 2,))
    f(ho.ones(2))
    func.grad(lambda x: f(x).sum())(ho.ones(2))
    assert calls == ["f", "fwd"]


@pytest.mark.parametrize("numbers", [(0,), (-3,)])
def test_nondiff_arguments_come_first(numbers):
    @functools.partial(func.custom_vjp, nondiff_argnums=numbers)
    def apply(f, x, n):
        return f(x) * n

    apply.defvjp(lambda f, x, n: (f(x) * n, (x, n)), lambda f, saved, g: (f(saved[0]) * saved[1] * g, None))
    x = ho.tensor(0.5)
    assert ho.allclose(func.grad(lambda x: apply(ho.exp, x, n=3.0))(x), 3 * x.exp())
    assert ho.allclose(func.grad(lambda x: apply(ho.exp, x, ho.tensor(3.0)))(x), 3 * x.exp())

    power = func.custom_jvp(lambda x, n: x**n, nondiff_argnums=(1,))
    power.defjvp(lambda n, primals, tangents: (primals[0] ** n, n * primals[0] ** (n - 1) * tangents[0]))
    assert func.grad(power)(ho.tensor(2.0), 3).item() == 12.0


def test_none_is_zero_and_unused_answers_have_zero_cotangents():
    f = func.custom_vjp(lambda x, y: (x * y, x))
    f.defvjp(lambda x, y: ((x * y, x * 1), y), lambda y, g: (g[0] * y + g[1], None))
    x, y = ho.tensor(2.0), ho.tensor(3.0)
    gradients = func.grad(lambda x, y: f(x, y)[0], argnums=(0, 1))(x, y)
    assert [g.item() for g in gradients] == [3.0, 0.0]


def test_whole_numbers_among_the_arguments():
    take = func.custom_jvp(lambda x, i: x[i])
    take.defjvp(lambda primals, tangents: (primals[0][primals[1]], tangents[0][primals[1]]))
    x, i = ho.tensor([1.0, 2.0, 3.0]), ho.tensor([0, 0, 2])
    assert func.grad(lambda x: take(x, i).sum())(x).tolist() == [2.0, 0.0, 1.0]
    again = func.checkpoint(lambda x, i: x[i] ** 2)
    assert func.grad(lambda x: again(x, i).sum())(x).tolist() == [4.0, 0.0, 6.0]


def test_mistakes_are_named():
    x = ho.tensor(2.0)
    with pytest.raises(GradientError, match="No VJP defined"):
        func.custom_vjp(ho.exp)(x)
    with pytest.raises(GradientError, match="No JVP defined"):
        func.custom_jvp(ho.exp)(x)
    with pytest.raises(ArgumentError, match="nondiff_argnums"):
        func.custom_jvp(ho.exp, nondiff_argnums=(0,)).defjvps(None)

    f = func.custom_vjp(lambda x: x * 2)
    f.defvjp(lambda x: x * 2, lambda saved, g: (g,))
    with pytest.raises(StructureError, match=r"must return \(output, residuals\)"):
        func.grad(f)(x)
    f.defvjp(lambda x: (x * 2, None), lambda saved, g: g)
    with pytest.raises(StructureError, match="one entry for each of 1 arguments, found Tensor"):
        func.grad(f)(x)
    f.defvjp(lambda x: (x * 2, None), lambda saved, g: ({"a": g, "b": g},))
    with pytest.raises(StructureError, match=r"bwd rule of <lambda>: .*cotangent\['a'\] stands where argument 0"):
        func.grad(f)(x)
    f.defvjp(lambda x: (3.0, None), lambda saved, g: (g,))
    with pytest.raises(DtypeError, match="returned float at output 0"):
        func.grad(f)(x)

    h = func.custom_jvp(lambda x: (x, x))
    h.defjvp(lambda primals, tangents: (primals[0], tangents[0]))
    with pytest.raises(StructureError, match="tangent"):
        func.jvp(h, (x,), (x,))


@pytest.mark.parametrize("wrap", [func.checkpoint, None])
def test_tracked_tensors_from_closures_are_refused(wrap):
    def wrapped(f):
        if wrap is not None:
            return wrap(f)
        g = func.custom_jvp(f)
        g.defjvp(lambda primals, tangents: (f(*primals), tangents[0]))
        return g

    with pytest.raises(LevelError, match="closure: pass it as an argument"):
        func.grad(lambda w: wrapped(lambda x: x * w)(ho.ones(2)).sum())(ho.tensor(2.0))
    with pytest.raises(LevelError, match="closure: pass it as an argument"):
        ho.vmap(lambda w: wrapped(lambda x: x * w)(ho.ones(2)))(ho.ones(3))
    w = ho.tensor(2.0, requires_grad=True)
    with pytest.raises(LevelError, match="closure: pass it as an argument"):
        wrapped(lambda x: x * w)(ho.ones(2))
    constant = ho.tensor(2.0)
    assert wrapped(lambda x: x * constant)(ho.ones(2)).tolist() == [2.0, 2.0]


class ComplexSquare(ho.autograd.Function):
    """With PyTorch's convention of gradients."""

    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z)
        return z * z

    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0].conj()


def complex_square_by_jvp():
    f = func.custom_jvp(lambda z: z * z)
    f.defjvp(lambda primals, tangents: (primals[0] * primals[0], 2 * primals[0] * tangents[0]))
    return f


COMPLEX = {
    "Function": ComplexSquare.apply,
    "custom_jvp": complex_square_by_jvp(),
    "checkpoint": func.checkpoint(lambda z: z * z),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_values(name):
    square, z = COMPLEX[name], ho.tensor([1.0 + 2.0j, 3.0 - 1.0j])

    def modes(f):
        def loss(z):
            return (f(z) * (1.0 - 0.5j)).real.sin().sum()

        yield func.grad(loss)(z)
        yield ho.vmap(func.grad(loss))(z)
        yield func.grad(lambda z: ho.vmap(f)(z).abs().sum())(z)
        yield func.jvp(f, (z,), (z * 1j,))[1]
        yield func.grad(lambda z: func.grad(loss)(z).abs().sum())(z)
        x = ho.tensor([0.5, 2.0])
        yield func.grad(lambda x: loss(x * (1.0 + 1.0j)))(x)

    for found, expected in zip(modes(square), modes(lambda z: z * z), strict=True):
        assert ho.allclose(found, expected)


# checkpoint


def test_checkpoint_repeats_random_draws():
    f = lambda x: x * ho.rand(*x.shape) * x  # noqa: E731

    def run(g, derivative):
        ho.manual_seed(1)
        result = derivative(lambda x: g(g(x)).sum())(ho.tensor([1.0, 2.0]))
        return result, ho.rand()

    def twice(f):
        return func.grad(lambda x: func.grad(f)(x).sum())

    for derivative in (func.grad, twice):
        (expected, after), (found, after_too) = run(f, derivative), run(func.checkpoint(f), derivative)
        assert ho.allclose(expected, found)
        # What is drawn later does not depend on the checkpoint.
        assert after == after_too


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_checkpoint_repeats_random_draws_in_vmap(randomness):
    def gradients(f):
        ho.manual_seed(1)
        xs = ho.tensor([1.0, 2.0, 3.0])
        inner = ho.vmap(func.grad(f), randomness=randomness)(xs)
        ho.manual_seed(1)
        outer = func.grad(lambda xs: ho.vmap(f, randomness=randomness)(xs).sum())(xs)
        ho.manual_seed(1)
        rows = func.jacrev(ho.vmap(f, randomness=randomness))(xs)
        ho.manual_seed(1)
        second = ho.vmap(func.grad(func.grad(f)), randomness=randomness)(xs)
        return inner, outer, rows, second

    f = lambda x: (x * x).sin() * ho.rand()  # noqa: E731
    for expected, found in zip(gradients(f), gradients(func.checkpoint(f)), strict=True):
        assert ho.allclose(expected, found)


def test_a_backward_pass_under_vmap_repeats_random_draws():
    f = func.checkpoint(lambda x: (x * ho.rand(*x.shape)).sin())
    ho.manual_seed(1)
    found = func.jacrev(f)(ho.tensor([1.0, 2.0]))
    ho.manual_seed(1)
    noise = ho.rand(2)
    assert ho.allclose(found, (ho.tensor([1.0, 2.0]) * noise).cos() * noise * ho.eye(2))


def held(f, x):
    """Bytes that the graph of `f(x)` keeps alive, and the most that its gradient needs at once."""
    gc.collect()
    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        y = f(x).sum()
        kept = tracemalloc.get_traced_memory()[0] - start
        ho.grad(y, x)
        return kept, tracemalloc.get_traced_memory()[1] - start
    finally:
        tracemalloc.stop()


def test_checkpoint_holds_its_arguments_alone():
    size, steps = 2**15, 16
    x = ho.tensor(np.linspace(0, 1, size), requires_grad=True)
    one = x.detach().numpy().nbytes

    def chain(x, n=steps):
        for _ in range(n):
            x = x.sin()
        return x

    def grouped(x):
        for _ in range(4):
            x = func.checkpoint(functools.partial(chain, n=4))(x)
        return x

    plain, whole, parts = (held(f, x) for f in (chain, func.checkpoint(chain), grouped))
    slack = one / 2
    assert (steps - 1) * one - slack < plain[0] < (steps + 1) * one + slack
    # The argument itself is alive anyway.
    assert whole[0] < slack
    assert parts[0] < 3 * one + slack
    assert parts[1] < 0.75 * plain[1]
    assert ho.allclose(ho.grad(chain(x).sum(), x)[0], ho.grad(grouped(x).sum(), x)[0])


def test_checkpoint_computes_again_once_for_each_pass():
    calls = []

    @func.checkpoint
    def f(x):
        calls.append(1)
        return x * x

    x = ho.tensor([1.0, 2.0], requires_grad=True)
    y = f(x).sum()
    assert len(calls) == 1
    ho.grad(y, x, retain_graph=True)
    assert len(calls) == 2
    y.backward()
    assert len(calls) == 3
    assert x.grad.tolist() == [2.0, 4.0]
    with pytest.raises(GradientError, match="second time"):
        y.backward()
