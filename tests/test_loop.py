"""`scan` and `fori_loop` with checkpoints: the loop's derivatives in every mode, and what is kept and called again."""

import functools
import gc
import itertools
import math
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.errors import ArgumentError, LevelError

CHECKPOINTS = ["none", "sqrt", 1, 2, 3, 100, "binomial", ("binomial", 1), ("binomial", 2), ("binomial", 3)]
STEPS = 7
RNG = np.random.default_rng(0)
WEIGHT, START, INPUTS = (ho.tensor(RNG.normal(size=s) / 2) for s in [(3, 3), (3,), (STEPS, 3)])


def body(carry, x, weight):
    """A step with an inner gradient, a tree for a carry and integers in it."""
    drift = func.grad(lambda h: (ho.tanh(weight @ h + x["x"]) ** 2).sum())(carry["h"])
    h = carry["h"] - 0.3 * drift
    return {"h": h, "count": carry["count"] + 1}, {"h": h * x["x"], "count": carry["count"]}


def run(checkpoint, start, inputs, weight, reverse=False):
    carry, ys = ho.scan(
        body, {"h": start, "count": 0}, {"x": inputs}, reverse=reverse, checkpoint=checkpoint, consts=(weight,)
    )
    return carry["h"], ys["h"]


def loop(start, inputs, weight, reverse=False):
    """The same, written out."""
    h, hs = start, []
    for i in reversed(range(STEPS)) if reverse else range(STEPS):
        h = h - 0.3 * func.grad(lambda h, i=i: (ho.tanh(weight @ h + inputs[i]) ** 2).sum())(h)
        hs.append(h * inputs[i])
    return h, ho.stack(hs[::-1] if reverse else hs)


def scalar(f):
    return lambda *args: sum((y * y.cos()).sum() for y in f(*args))


def directional(f):
    """A scalar function of one tree whose gradient depends on all of it."""
    return lambda args: sum((g * g).sum() for g in func.grad(f, argnums=(0, 1, 2))(*args))


ARGUMENTS = (START, INPUTS, WEIGHT)
BATCH = tuple(ho.stack([x, x * 0.5, -x]) for x in ARGUMENTS)
TANGENTS = tuple(ho.tensor(RNG.normal(size=x.shape)) for x in ARGUMENTS)
MODES = {
    "value": lambda f: f(*ARGUMENTS),
    "jacrev": lambda f: func.jacrev(f, argnums=(0, 1, 2))(*ARGUMENTS),
    "jvp": lambda f: func.jvp(f, ARGUMENTS, TANGENTS),
    "grad": lambda f: func.grad_and_value(scalar(f), argnums=(0, 1, 2))(*ARGUMENTS),
    "forward over reverse": lambda f: func.jvp(func.grad(scalar(f), argnums=(0, 1, 2)), ARGUMENTS, TANGENTS),
    "reverse over reverse": lambda f: func.grad(directional(scalar(f)))(ARGUMENTS),
    "reverse over forward": lambda f: func.grad(lambda args: sum(y.sum() for y in func.jvp(f, args, TANGENTS)[1]))(
        ARGUMENTS
    ),
    "third order": lambda f: func.jvp(func.grad(directional(scalar(f))), (ARGUMENTS,), (TANGENTS,)),
    "vmap": lambda f: ho.vmap(f)(*BATCH),
    "vmap of some": lambda f: ho.vmap(f, in_dims=(None, 0, None))(START, BATCH[1], WEIGHT),
    "vmap of grad": lambda f: ho.vmap(func.grad(scalar(f), argnums=(0, 1, 2)))(*BATCH),
    "grad of vmap": lambda f: func.grad(
        lambda args: sum((y**2).sum() for y in ho.vmap(f, in_dims=(0, 0, None))(*args))
    )((BATCH[0], BATCH[1], WEIGHT)),
    "vmap of reverse over reverse": lambda f: ho.vmap(func.grad(directional(scalar(f))))(BATCH),
    "grad of vmap of grad": lambda f: func.grad(
        lambda args: sum((g**2).sum() for g in ho.vmap(func.grad(scalar(f), argnums=(0, 1, 2)))(*args))
    )(BATCH),
}


def close(found, expected):
    ho.tree.map(lambda a, b: np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-11), found, expected)


@functools.cache
def expected_in(mode, reverse=False):
    return MODES[mode](functools.partial(loop, reverse=reverse))


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_scan_is_the_loop_in_every_mode(mode, checkpoint):
    close(MODES[mode](functools.partial(run, checkpoint)), expected_in(mode))


@pytest.mark.parametrize("checkpoint", ["none", "sqrt", "binomial"])
@pytest.mark.parametrize("mode", ["value", "grad", "jvp", "vmap of grad"])
def test_scan_backwards(mode, checkpoint):
    close(MODES[mode](functools.partial(run, checkpoint, reverse=True)), expected_in(mode, True))


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=str)
def test_integers_are_carried_and_stacked(checkpoint):
    start = {"h": ho.tensor(START.numpy(), requires_grad=True), "count": 0}
    for reverse in (False, True):
        carry, ys = ho.scan(body, start, {"x": INPUTS}, reverse=reverse, checkpoint=checkpoint, consts=(WEIGHT,))
        assert carry["count"].item() == STEPS
        assert ys["count"].tolist() == list(range(STEPS))[:: -1 if reverse else 1]
        assert ys["count"].dtype == np.int64


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=str)
def test_on_the_eager_tape_to_order_three(checkpoint):
    def derivatives(f):
        x = ho.tensor(WEIGHT.numpy().copy(), requires_grad=True)
        found = []
        y = scalar(f)(START, INPUTS, x)
        for _ in range(3):
            (g,) = ho.grad(y, x, create_graph=True)
            found.append(g.detach())
            y = (g * g).sum()
        y.backward()
        return [*found, x.grad]

    close(derivatives(functools.partial(run, checkpoint)), derivatives(loop))


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=str)
def test_vmap_inside(checkpoint):
    def f(x, how):
        step = lambda c, _, x: (ho.vmap(lambda a, b: (a * b).sin())(c, x), None)  # noqa: E731
        return (ho.scan(step, ho.ones(3), length=5, consts=(x,), checkpoint=how)[0] ** 2).sum()

    close(func.hessian(f)(START, checkpoint), func.hessian(f)(START, "none"))


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=str)
def test_random_draws_are_repeated(checkpoint):
    def f(x, how):
        step = lambda c, _, x: ((c * x + ho.rand()).sin(), None)  # noqa: E731
        return ho.scan(step, 0.5, length=6, consts=(x,), checkpoint=how)[0]

    def found(how):
        ho.manual_seed(3)
        return func.grad(func.grad(f))(ho.tensor(1.3), how), ho.rand()

    close(found(checkpoint), found("none"))


@pytest.mark.parametrize("checkpoint", ["sqrt", 2, "binomial"])
def test_fori_loop(checkpoint):
    f = lambda x: ho.fori_loop(1, 6, lambda i, c: (c[0] * c[1].sin() * i, c[1]), (1.0, x), checkpoint=checkpoint)[0]  # noqa: E731
    plain = lambda x: 120 * x.sin() ** 5  # noqa: E731
    x = ho.tensor(0.7)
    for order in range(3):
        found, expected = f, plain
        for _ in range(order):
            found, expected = func.grad(found), func.grad(expected)
        np.testing.assert_allclose(found(x).item(), expected(x).item(), rtol=1e-10)
    assert ho.fori_loop(3, 3, lambda i, x: x, 2.0, checkpoint=checkpoint).item() == 2.0


# What is called


def calls_of(steps, checkpoint):
    """Calls of the body for the value, and for the gradient after it."""
    count = itertools.count()

    def step(x, _, a):
        next(count)
        return (x * a).sin(), None

    a = ho.tensor(1.1, requires_grad=True)
    y = ho.scan(step, 1.0, length=steps, consts=(a,), checkpoint=checkpoint)[0]
    forward = next(count)
    ho.grad(y, a)
    return forward, next(count) - 1 - forward


@pytest.mark.parametrize(
    ("checkpoint", "again"), [("none", 0), ("sqrt", 90), (7, 93), (50, 50), (100, 0), (1000, 0), (1, 99)]
)
def test_a_step_is_called_twice_at_most(checkpoint, again):
    # All but the last segment are called again.
    assert calls_of(100, checkpoint) == (100, again)


@functools.cache
def fewest(length, slots):
    """The fewest calls beyond the recorded ones to reverse so many steps, with that many carries at a time."""
    if length == 1:
        return 0
    if slots == 1:
        return length * (length - 1) // 2
    return min(m + fewest(length - m, slots - 1) + fewest(m, slots) for m in range(1, length))


@pytest.mark.parametrize("slots", [1, 2, 3, 5, 30])
@pytest.mark.parametrize("length", [1, 2, 5, 17, 40])
def test_the_binomial_schedule_calls_as_little_as_possible(length, slots):
    forward, again = calls_of(length, ("binomial", slots))
    assert forward == length
    # Each step is recorded once, the last one in the first pass.
    assert forward + again == length + fewest(length, slots)


def test_the_default_number_of_slots_grows_with_the_logarithm():
    assert calls_of(1000, "binomial") == calls_of(1000, ("binomial", 10))
    slots, repeats = 10, 4
    assert sum(calls_of(1000, "binomial")) == 1000 + repeats * 1000 - math.comb(slots + repeats, slots + 1)


# What is kept

SIZE = 2**14


def growth(steps, checkpoint, order=1):
    """The most memory that derivatives of a scan need at a time, in arrays of its carry."""
    x = ho.tensor(np.linspace(0.1, 1, SIZE))

    def f(x):
        step = lambda c, _, x: (((c.sin() * x).exp() * x).cos(), None)  # noqa: E731
        return ho.scan(step, x, length=steps, consts=(x,), checkpoint=checkpoint)[0].sum()

    for _ in range(order - 1):
        f = lambda x, f=f: (func.grad(f)(x) ** 2).sum()  # noqa: E731
    func.grad(f)(x)
    gc.collect()
    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        func.grad(f)(x)
        return (tracemalloc.get_traced_memory()[1] - start) / (SIZE * 8)
    finally:
        tracemalloc.stop()


def test_what_reverse_mode_keeps():
    step = (growth(64, "none") - growth(32, "none")) / 32
    assert step > 3
    working = growth(1, "none")
    for checkpoint, carries, steps, repeats in [
        ("sqrt", 8, 8, 1),
        (4, 16, 4, 1),
        (16, 4, 16, 1),
        ("binomial", 6, 1, 3),
        (("binomial", 5), 5, 1, 4),
        (("binomial", 2), 2, 1, 10),
    ]:
        # Nested segments hold their answer and two cotangents each; they are no more than the repeats of a step.
        nested = 3 * repeats
        assert growth(64, checkpoint) < carries + steps * step + nested + working + 2, checkpoint
    assert growth(256, ("binomial", 6)) < growth(64, ("binomial", 6)) + 8


def test_derivatives_of_higher_order_keep_carries_too():
    assert growth(64, "sqrt", order=2) < 0.5 * growth(64, "none", order=2)
    assert growth(64, ("binomial", 5), order=2) < 0.35 * growth(64, "none", order=2)


def test_forward_mode_keeps_one_step():
    def peak(steps):
        f = lambda x: ho.scan(lambda c, _: ((c * x).sin(), None), x, length=steps, checkpoint="sqrt")[0]  # noqa: E731
        x = ho.ones(SIZE)
        gc.collect()
        tracemalloc.start()
        try:
            func.jvp(f, (x,), (x,))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(100) < peak(5) + 8 * SIZE


def test_the_graph_is_freed_without_the_collector():
    x, freed = ho.tensor(START.numpy(), requires_grad=True), []

    def step(c, _, x):
        new = (c * x).sin()
        freed.append(weakref.ref(new))
        return new, None

    gc.collect()
    gc.disable()
    try:
        for checkpoint in CHECKPOINTS:
            y = ho.scan(step, x, length=STEPS, consts=(x,), checkpoint=checkpoint)[0].sum()
            (g,) = ho.grad(y, x, create_graph=True)
            (g**2).sum().backward()
            del y, g
            assert len(freed) >= STEPS
            assert not any(ref() is not None for ref in freed), checkpoint
    finally:
        gc.enable()


def test_inputs_are_gathered_once():
    """The cotangent of xs is stacked once: no array of its length for each step."""
    xs = ho.tensor(np.ones((20_000, 1)))
    f = lambda xs: ho.scan(lambda c, x: (c + x.sum(), None), 0.0, xs)[0]  # noqa: E731
    gc.collect()
    tracemalloc.start()
    try:
        assert func.grad(f)(xs).sum().item() == 20_000
    finally:
        tracemalloc.stop()
    nodes = ho.tensor(np.ones((5, 1)), requires_grad=True)
    total = f(nodes)
    assert {"place", "getitem"}.isdisjoint(ho.graph.memory_report(total).operations)
    assert not any("getitem" in name.lower() for name in ho.graph.memory_report(total).operations)


# Errors


@pytest.mark.parametrize("how", ["eager", "grad", "vmap of grad", "grad beside another input"])
def test_a_closure_that_is_differentiated_is_refused(how):
    def f(a, b=1.0):
        return ho.scan(lambda c, _, b: (c * a * b, None), 1.0, length=4, consts=(b,), checkpoint=2)[0]

    calls = {
        "eager": lambda: f(ho.tensor(2.0, requires_grad=True)),
        "grad": lambda: func.grad(f)(ho.tensor(2.0)),
        "vmap of grad": lambda: ho.vmap(func.grad(f))(ho.ones(2)),
        "grad beside another input": lambda: func.grad(f, argnums=(0, 1))(ho.tensor(2.0), ho.tensor(3.0)),
    }
    with pytest.raises(LevelError, match="closure: pass it"):
        calls[how]()


def test_checkpoint_by_its_name_in_jax():
    x = ho.tensor(0.5)
    for wrapped in (ho.remat, ho.checkpoint, func.remat, func.checkpoint):
        f = wrapped(lambda x: func.grad(lambda x: (x * x.exp()).sin())(x) * x)
        close(func.grad(func.grad(f))(x), func.grad(func.grad(f.__wrapped__))(x))


@pytest.mark.parametrize("checkpoint", ["all", 0, -1, 2.0, True, None, ("binomial", 0), ("sqrt", 2), ("binomial",)])
def test_what_checkpoint_may_be(checkpoint):
    with pytest.raises(ArgumentError, match="scan: checkpoint is .*expected 'none', 'sqrt', 'binomial'"):
        ho.scan(lambda c, _: (c, None), 1.0, length=3, checkpoint=checkpoint)


def test_too_few_slots():
    with pytest.raises(ArgumentError, match="more than 40 calls for each of 10000 steps; expected at least 3 slots"):
        ho.scan(lambda c, _: (c, None), 1.0, length=10_000, checkpoint=("binomial", 2))
    with pytest.raises(ArgumentError, match="consts of type Tensor, expected a tuple"):
        ho.scan(lambda c, _: (c, None), 1.0, length=3, consts=ho.ones(2))


def test_draws_of_a_thread_that_drew_nothing_before_are_repeated():
    found = []

    def fresh():
        f = ho.checkpoint(lambda x: x * ho.rand())
        found.extend(x.item() for x in func.grad_and_value(f)(ho.tensor(1.0)))
        found.extend(x.item() for x in func.grad_and_value(f)(ho.tensor(1.0)))

    thread = threading.Thread(target=fresh)
    thread.start()
    thread.join()
    assert found[0] == found[1] != found[2] == found[3]
