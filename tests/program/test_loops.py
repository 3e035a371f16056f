"""`scan` and `fori_loop` inside `compile`: one captured step, in every mode, and what the program keeps."""

import gc
import itertools
import tracemalloc

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.errors import CaptureError
from hograd.loop import calls
from hograd.program.passes import PASSES
from optim import SGD, Adam
from optim.hyper import Bilevel, Reverse, hypergradient
from optim.schedules import PerStep

RNG = np.random.default_rng(0)
STEPS = 7
WEIGHT, START, INPUTS = (ho.tensor(RNG.normal(size=s) / 2) for s in [(3, 3), (3,), (STEPS, 3)])
ARGUMENTS = START, INPUTS, WEIGHT
TANGENTS = tuple(ho.tensor(RNG.normal(size=x.shape)) for x in ARGUMENTS)
BATCH = tuple(ho.stack([x, x * 0.5, -x]) for x in ARGUMENTS)
CHECKPOINTS = ["none", "sqrt", 1, 3, ("binomial", 2)]


def close(found, expected, tolerance=1e-12):
    found, expected = ho.tree.leaves(found), ho.tree.leaves(expected)
    assert len(found) == len(expected)
    for y, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(y), np.asarray(e), rtol=tolerance, atol=tolerance)


def body(carry, x, weight):
    """A step with an inner gradient, whole numbers in its tree, and something that depends on constants alone."""
    drift = func.grad(lambda h: (ho.tanh(ho.exp(weight) @ h + x["x"]) ** 2).sum())(carry["h"])
    h = carry["h"] - 0.3 * drift
    return {"h": h, "count": carry["count"] + 1}, {"h": h * x["x"], "count": carry["count"]}


def run(start, inputs, weight, checkpoint="none", reverse=False):
    carry, ys = ho.scan(
        body, {"h": start, "count": 0}, {"x": inputs}, reverse=reverse, checkpoint=checkpoint, consts=(weight,)
    )
    return carry["h"], ys["h"]


def scalar(*args, **how):
    return sum((y * y.cos()).sum() for y in run(*args, **how))


def norm(args, how):
    return sum((g * g).sum() for g in func.grad(lambda args: scalar(*args, **how))(args))


MODES = {
    "value": lambda args, batch, tangents, **how: run(*args, **how),
    "grad": lambda args, batch, tangents, **how: func.grad_and_value(lambda args: scalar(*args, **how))(args),
    "grad by one": lambda args, batch, tangents, **how: func.grad(lambda w: scalar(*args[:2], w, **how))(args[2]),
    "jvp": lambda args, batch, tangents, **how: func.jvp(lambda *args: run(*args, **how), args, tangents),
    "jvp by one": lambda args, batch, tangents, **how: func.jvp(
        lambda xs: run(args[0], xs, args[2], **how), args[1:2], tangents[1:2]
    ),
    "forward over reverse": lambda args, batch, tangents, **how: func.jvp(
        func.grad(lambda args: scalar(*args, **how)), (args,), (tangents,)
    ),
    "reverse over reverse": lambda args, batch, tangents, **how: func.grad(lambda args: norm(args, how))(args),
    "reverse over forward": lambda args, batch, tangents, **how: func.grad(
        lambda args: sum(y.sum() for y in func.jvp(lambda *args: run(*args, **how), args, tangents)[1])
    )(args),
    "third order": lambda args, batch, tangents, **how: func.jvp(
        func.grad(lambda args: norm(args, how)), (args,), (tangents,)
    ),
    "jacrev": lambda args, batch, tangents, **how: func.jacrev(lambda *args: run(*args, **how), argnums=(0, 2))(*args),
    "vmap of some": lambda args, batch, tangents, **how: ho.vmap(
        lambda *args: run(*args, **how), in_dims=(None, 0, None)
    )(args[0], batch[1], args[2]),
    "vmap of grad": lambda args, batch, tangents, **how: ho.vmap(func.grad(lambda args: scalar(*args, **how)))(batch),
    "grad of vmap": lambda args, batch, tangents, **how: func.grad(
        lambda batch: sum((y**2).sum() for y in ho.vmap(lambda *args: run(*args, **how))(*batch))
    )(batch),
}


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_compiled_is_eager_in_every_mode(mode, checkpoint):
    f = lambda *args: MODES[mode](*args, checkpoint=checkpoint)  # noqa: E731
    close(ho.compile(f)(ARGUMENTS, BATCH, TANGENTS), f(ARGUMENTS, BATCH, TANGENTS))


@pytest.mark.parametrize("checkpoint", ["none", 1])
@pytest.mark.parametrize("mode", ["value", "grad", "forward over reverse", "vmap of grad"])
def test_as_machine_code(mode, checkpoint):
    pytest.importorskip("llvmlite")
    f = lambda *args: MODES[mode](*args, checkpoint=checkpoint)  # noqa: E731
    compiled = ho.compile(f, backend="native")
    for _ in range(2):
        close(compiled(ARGUMENTS, BATCH, TANGENTS), f(ARGUMENTS, BATCH, TANGENTS), 1e-11)


@pytest.mark.parametrize("checkpoint", ["none", "sqrt"])
def test_backwards_and_without_passes(checkpoint):
    f = lambda args: func.grad(lambda args: scalar(*args, checkpoint=checkpoint, reverse=True))(args)  # noqa: E731
    close(ho.compile(f)(ARGUMENTS), f(ARGUMENTS))
    close(ho.compile(f, passes=[])(ARGUMENTS), f(ARGUMENTS))
    names = [name for name in PASSES if name != "dead_code"]
    close(ho.compile(f, passes=names, fast_math=True)(ARGUMENTS), f(ARGUMENTS))


@pytest.mark.parametrize("checkpoint", ["none", "sqrt"])
def test_derivatives_of_a_compiled_function_with_a_loop(checkpoint):
    f = lambda args: scalar(*args, checkpoint=checkpoint)  # noqa: E731
    compiled = ho.compile(f)
    close(func.grad(compiled)(ARGUMENTS), func.grad(f)(ARGUMENTS))
    close(func.jvp(func.grad(compiled), (ARGUMENTS,), (TANGENTS,)), func.jvp(func.grad(f), (ARGUMENTS,), (TANGENTS,)))
    close(ho.vmap(func.grad(compiled))(BATCH), ho.vmap(func.grad(f))(BATCH))
    leaves = [ho.tensor(x.numpy(), requires_grad=True) for x in ARGUMENTS]
    compiled(tuple(leaves)).backward()
    close([x.grad for x in leaves], func.grad(f)(ARGUMENTS))


def instructions(length, checkpoint):
    calls = itertools.count()

    def step(c, x, a):
        next(calls)
        return (c * a).sin() + x, c.cos()

    def f(a, xs):
        def total(a, xs):
            c, ys = ho.scan(step, a, xs, checkpoint=checkpoint, consts=(a,))
            return c + ys.sum()

        return func.grad(total, argnums=(0, 1))(a, xs)

    return ho.compile(f).program(ho.tensor(0.5), ho.ones(length)), next(calls)


@pytest.mark.parametrize("checkpoint", ["none", "sqrt"])
def test_the_program_and_its_capture_do_not_grow_with_the_steps(checkpoint):
    (short, few), (long, many) = (instructions(length, checkpoint) for length in (16, 1024))
    names = [at.primitive.name for at in short.instructions]
    assert names == [at.primitive.name for at in long.instructions]
    assert len(names) < 50
    assert few == many < 12


def growth(f, *args):
    """The most memory that a compiled function needs at a time, with its buffers."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        compiled = ho.compile(f)
        for _ in range(2):
            compiled(*args)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_what_the_program_keeps():
    size = 2**14
    x, w = ho.tensor(np.linspace(0.1, 1, size)), ho.tensor(np.linspace(1, 2, size))

    def peak(length, checkpoint):
        def f(x, w):
            step = lambda c, _, w: (((c.sin() * w.exp()).exp() * 2).cos(), None)  # noqa: E731
            loss = lambda x: ho.scan(step, x, length=length, consts=(w,), checkpoint=checkpoint)[0].sum()  # noqa: E731
            return func.grad(loss)(x)

        return growth(f, x, w) / (8 * size)

    kept = (peak(64, "none") - peak(32, "none")) / 32
    # Of each step: c for the cosine, and the arguments of exp and cos or what follows from them; not w.exp().
    assert kept < 3.5
    assert peak(64, "sqrt") < 8 * kept + 8 + 12
    assert peak(256, ("binomial", 6)) < 0.1 * 256 * kept


def test_what_is_not_asked_for_is_not_computed():
    def f(x):
        carry, ys = ho.scan(lambda c, x: ((c[0] * x, c[1] + x.exp()), (c[0].sin(), x.cos())), (1.0, 0.0), x)
        return carry[0], ys[1]

    compiled = ho.compile(f)
    xs = ho.tensor([0.5, 2.0, 3.0])
    close(compiled(xs), f(xs))
    (loop,) = [at for at in compiled.program(xs).instructions if at.primitive.name == "loop"]
    assert {at.primitive.name for at in loop.params["code"].step.instructions} == {"mul", "cos"}


def test_closures():
    def f(a, b):
        def loss(b):
            shift = b * 2

            def step(c, x):
                inner = ho.scan(lambda c, _: (c * shift, None), c, length=2)[0]
                return (inner * a + shift * x).sin(), c * b

            c, ys = ho.scan(step, a, ho.arange(4.0))
            return c + (ys * b).sum()

        return loss(b), func.grad(loss)(b), func.jvp(func.grad(loss), (b,), (a,)), ho.vmap(loss)(ho.stack([a, b]))

    args = ho.tensor(0.7), ho.tensor(0.3)
    compiled = ho.compile(f)
    close(compiled(*args), f(*args))
    close(func.grad(lambda a: compiled(a, args[1])[1])(args[0]), func.grad(lambda a: f(a, args[1])[1])(args[0]))


def test_a_closure_from_outside_that_requires_grad_is_refused():
    w = ho.tensor(2.0, requires_grad=True)
    f = ho.compile(lambda x: ho.scan(lambda c, _: (c * w, None), x, length=3)[0])
    with pytest.raises(CaptureError, match="came in through a closure"):
        f(ho.tensor(1.0))


def test_steps_that_cannot_be_one_program_are_captured_one_by_one():
    def draws(x):
        return ho.scan(lambda c, _: (c * ho.rand(), c), x, length=4)

    def numbers(x):
        return ho.fori_loop(0, 5, lambda i, c: c * 2 if i % 2 else c + i, x)

    def once(x):
        return ho.fori_loop(0, 5, lambda i, c: c * x + i, x)

    x = ho.tensor(1.5)
    found = []
    for f in (draws, ho.compile(draws)):
        ho.manual_seed(0)
        found.append(f(x))
    close(found[1], found[0])
    close(ho.compile(numbers)(x), numbers(x))
    close(ho.compile(once)(x), once(x))
    listing = str(ho.compile(once).program(x))
    assert "loop(" in listing
    assert "mul(" in listing.split("loop(")[1]
    with pytest.raises(CaptureError, match="test_loops.py"):
        ho.compile(lambda x: ho.scan(lambda c, _: (c * float(c), None), x, length=2))(x)


def test_numbers_that_python_refuses():
    f = lambda x: ho.scan(lambda c, x: (c / x, ho.log(x)), 1.0, x)  # noqa: E731
    with np.errstate(all="ignore"):
        close(ho.compile(f)(ho.tensor([0.0, -1.0])), f(ho.tensor([0.0, -1.0])))


@pytest.mark.parametrize("dtype", [ho.float32, ho.float64])
def test_dtypes(dtype):
    xs = ho.ones(3, 2, dtype=dtype)
    f = lambda xs: func.grad(lambda xs: ho.scan(lambda c, x: (c * x.exp(), c.sum()), xs[0], xs)[1].sum())(xs)  # noqa: E731
    found = ho.compile(f)(xs)
    assert found.dtype == dtype
    close(found, f(xs), 1e-6 if dtype == ho.float32 else 1e-12)


def test_answers_are_memory_of_their_own():
    f = ho.compile(lambda x, y: ho.scan(lambda c, x: ((c[1], c[0]), c[0]), (x, y), length=3))
    x, y = ho.ones(2), ho.zeros(2)
    (a, b), ys = f(x, y)
    f(ho.full((2,), 5.0), ho.full((2,), 6.0))
    close([a, b, ys], [y, x, ho.stack([x, y, x])])


# Checkpoints without loops


def test_what_is_checkpointed_is_computed_again():
    def f(x, wrap):
        part = wrap(lambda x: (x.sin() * x).exp().cos())
        return func.grad(lambda x: part(part(x)).sum())(x)

    def count(wrap):
        names = [at.primitive.name for at in ho.compile(lambda x: f(x, wrap)).program(START).instructions]
        return names.count("exp")

    close(ho.compile(lambda x: f(x, ho.checkpoint))(START), f(START, lambda g: g))
    assert count(lambda g: g) == 2
    # Once each, and what the first one needs in the backward pass; nobody asked for the value of the second.
    assert count(ho.checkpoint) == 3


def times(program, name):
    """How often a primitive runs."""
    own = sum(at.primitive.name == name for at in program.instructions)
    loops = [at.params["code"] for at in program.instructions if at.primitive.name == "loop"]
    return own + sum(code.length * times(code.step, name) for code in loops)


CHECKPOINTED = [(20, 5), (23, 5), (24, "sqrt"), (6, 5), (5, 1), (4, 9), (7, "none")]


@pytest.mark.parametrize(("length", "checkpoint"), CHECKPOINTED)
def test_the_last_segment_is_not_computed_again(length, checkpoint):
    def last(x):
        return ho.scan(lambda x, _: (x.cosh().sum() * x, None), x, length=length, checkpoint=checkpoint)[0].sum()

    program = ho.compile(func.grad(last)).program(ho.ones(2))
    assert times(program, "cosh") == calls(length, checkpoint)


def test_checkpoints_between_forward_and_backward():
    f = lambda x: (ho.checkpoint(lambda x: (x.sin() * x).exp().cos())(x) ** 2).sum()  # noqa: E731
    compiled = ho.compile(f)
    close(func.grad(compiled)(START), func.grad(f)(START))
    forward, backward = next(iter(next(iter(compiled.cache.values())).staged.cuts.values()))
    # Only the answer of what is checkpointed is kept.
    assert len(forward.program.outputs) == 2
    assert "exp" in str(backward.program)


# Inner training


@pytest.mark.parametrize("checkpoint", ["none", "sqrt", 4, ("binomial", 2)], ids=str)
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_inner_training_is_one_loop(name, checkpoint):
    x, y = ho.tensor(RNG.normal(size=(12, 4))), ho.tensor(RNG.normal(size=12))
    optimizers = {
        "sgd": lambda outer: SGD(lr=PerStep(outer["lr"]), momentum=outer["momentum"], dampening=0.1),
        "adam": lambda outer: Adam(lr=PerStep(outer["lr"]), betas=(outer["momentum"], 0.9), eps=1e-3),
    }
    problem = Bilevel(
        lambda w, outer: (ho.exp(outer["weights"]) * (x @ w - y) ** 2).mean(),
        lambda w, outer: ((x @ w - y) ** 2).mean(),
        init=ho.zeros(4),
        optimizer=optimizers[name],
    )
    outer = {"lr": ho.linspace(0.05, 0.1, 10), "momentum": ho.tensor(0.8), "weights": ho.tensor(RNG.normal(size=12))}

    def found(outer):
        value, hypergrad, info = hypergradient(problem, outer, Reverse(10, checkpoint))
        return value, hypergrad, info.params

    compiled = ho.compile(found)
    close(compiled(outer), found(outer))
    listing = [at.primitive.name for at in compiled.program(outer).instructions]
    assert listing.count("loop") >= 2
    if checkpoint == "none":
        assert len(listing) < 80


def test_what_is_carried_out_is_not_computed_again():
    """With a checkpoint for every step the backward loop has what the next step began with."""

    def step(carry, _, rate):
        velocity = 0.9 * carry[1] + carry[0].cos()
        return (carry[0] - rate * velocity, velocity), None

    def f(x, rate):
        loss = lambda rate: ho.scan(step, (x, x), length=9, consts=(rate,), checkpoint=1)[0][0].sum()  # noqa: E731
        return func.grad(loss)(rate)

    compiled, rate = ho.compile(f), ho.tensor(0.1)
    close(compiled(START, rate), f(START, rate))
    loops = [at for at in compiled.program(START, rate).instructions if at.primitive.name == "loop"]
    forward, backward = [{at.primitive.name for at in loop.params["code"].step.instructions} for loop in loops]
    assert "cos" in forward
    assert "sin" in backward
    assert "cos" not in backward
