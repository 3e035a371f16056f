"""Steps of loops that draw random numbers: one step in the program, and the draws of code that is not compiled."""

import numpy as np
import pytest

import hograd as ho
import optim
from hograd.program.loops import LOOP
from optim.hyper import Bilevel, Reverse, hypergradient

X = ho.tensor([0.5, -1.0, 2.0])


def walk(x, scale, length=5, checkpoint="none"):
    """Draws of several kinds, between which the order shows."""

    def step(carry, _, scale):
        noise = ho.randn(3)
        count = ho.randint(0, 2**62, (2,))
        kept = ho.rand(3, dtype=np.float32)
        more = ho.randn(())
        return (carry * (1 + 0.1 * noise) * kept + scale * more).astype(carry.dtype), (count, kept)

    return ho.scan(step, x, length=length, consts=(scale,), checkpoint=checkpoint)


def loops(program):
    return [at.params["code"] for at in program.instructions if at.primitive is LOOP]


def same(function, *args, calls=2, rtol=1e-12):
    """Compiled and not, from one seed, in several calls."""
    answers = []
    for run in (function, ho.compile(function)):
        ho.manual_seed(7)
        answers.append([ho.tree.leaves(run(*args)) for _ in range(calls)] + [[ho.rand(2)]])
    for found, expected in zip(*answers, strict=True):
        for y, e in zip(found, expected, strict=True):
            assert y.dtype == e.dtype
            np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=rtol, atol=1e-14)


def test_the_draws_are_those_of_eager_code_to_the_last_bit_of_whole_numbers():
    same(walk, X, ho.tensor(0.3))
    ho.manual_seed(7)
    (counts, _) = ho.compile(walk)(X, ho.tensor(0.3))[1]
    ho.manual_seed(7)
    (expected, _) = walk(X, ho.tensor(0.3))[1]
    np.testing.assert_array_equal(counts.numpy(), expected.numpy())
    assert int(counts.numpy().max()) > 2**53


@pytest.mark.parametrize("checkpoint", ["none", 2, "sqrt", "binomial"])
def test_derivatives_see_the_draws_of_their_forward(checkpoint):
    def loss(x, scale):
        return (walk(x, scale, 7, checkpoint)[0] ** 2).sum()

    same(ho.func.grad(loss, (0, 1)), X, ho.tensor(0.3), rtol=1e-11)
    same(lambda x, s: ho.func.jvp(ho.func.grad(loss), (x, s), (x, s))[1], X, ho.tensor(0.3), rtol=1e-10)


def test_derivatives_of_a_compiled_function():
    compiled = ho.compile(lambda x, s: (walk(x, s)[0] ** 2).sum())
    ho.manual_seed(3)
    found = ho.func.grad(compiled)(X, ho.tensor(0.3))
    ho.manual_seed(3)
    expected = ho.func.grad(lambda x, s: (walk(x, s)[0] ** 2).sum())(X, ho.tensor(0.3))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)
    rows = ho.stack([X, 2 * X])
    for randomness in ("same", "different"):
        ho.manual_seed(3)
        batch = ho.func.vmap(compiled, in_dims=(0, None), randomness=randomness)(rows, ho.tensor(0.3))
        assert batch.shape == (2,)
        assert not np.allclose(batch.numpy(), 0)


def test_the_program_does_not_grow_with_the_steps():
    sizes = set()
    for length in (4, 40):
        program = ho.compile(lambda x, n=length: walk(x, ho.tensor(0.3), n)[0]).program(X)
        assert len(program.draws) == 1
        sizes.add((len(program.instructions), len(loops(program)[0].step.instructions)))
    assert len(sizes) == 1


def test_loops_within_loops_and_generators_of_their_own():
    generator = np.random.default_rng(5)

    def f(x):
        def inner(carry, _):
            return carry + ho.randn(3), None

        def outer(carry, _):
            carry = carry * ho.rand(3, generator=generator)
            return ho.scan(inner, carry, length=3)[0] * ho.randn(()), None

        return ho.scan(outer, x, length=4)[0]

    expected, found = [], []
    for answers, run in ((expected, f), (found, ho.compile(f))):
        generator.bit_generator.state = np.random.default_rng(5).bit_generator.state
        ho.manual_seed(2)
        answers += [run(X).numpy() for _ in range(3)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_vmap_within_a_step_and_around_it():
    def noisy(x):
        return x + ho.randn(())

    def f(x):
        def step(carry, _):
            return ho.func.vmap(noisy, randomness="different")(carry), ho.func.vmap(noisy, randomness="same")(carry)

        return ho.scan(step, x, length=4)

    same(f, X)

    def mapped(rows):
        walk = lambda x: ho.scan(lambda c, _: (noisy(c), None), x, length=3)[0]  # noqa: E731
        return ho.func.vmap(walk, randomness="different")(rows)

    same(mapped, X)


def test_dropout_in_inner_training():
    data = ho.tensor(np.random.default_rng(0).normal(size=(20, 4)))

    def inner(w, outer):
        kept = (ho.rand(data.shape) < 0.8).astype(data.dtype)
        return (((data * kept) @ w - 1) ** 2).mean()

    problem = Bilevel(inner, lambda w, outer: ((data @ w - 1) ** 2).mean(), init=ho.zeros(4))
    same(lambda opt: hypergradient(problem, opt, Reverse(6)).hypergrad, optim.SGD(lr=ho.tensor(0.1)), rtol=1e-11)
    program = ho.compile(lambda opt: hypergradient(problem, opt, Reverse(6)).hypergrad).program(
        optim.SGD(lr=ho.tensor(0.1))
    )
    assert len(loops(program)) == 2


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_generators_that_the_function_makes_are_made_in_each_run(backend):
    if backend == "native":
        pytest.importorskip("llvmlite")

    def f(x):
        def step(carry, _):
            return carry * ho.rand(3, generator=np.random.default_rng(5)), None

        generator = np.random.default_rng(3)
        first, second = ho.rand(3, generator=generator), ho.randn(3, generator=generator)
        return ho.scan(step, x * first + second, length=3)[0]

    compiled, expected = ho.compile(f, backend=backend), f(X).numpy()
    for _ in range(3):
        np.testing.assert_allclose(compiled(X).numpy(), expected, rtol=1e-12)
    net = ho.nn.sequential(ho.nn.linear(3, 4), ho.nn.dropout(0.5))
    loss = ho.func.grad(lambda p: (net.apply(p, X, train=True, key=1) ** 2).sum())
    same(loss, net.init(0), calls=3)


def test_a_vmap_without_elements_draws_nothing():
    def f(none, x):
        scaled = ho.vmap(ho.func.checkpoint(lambda x: x * ho.rand(3)), randomness="different")
        return scaled(none), x * ho.rand(3, 3)

    same(f, ho.zeros(0, 3), X)


def test_a_pull_from_outside_within_the_steps_of_a_loop():
    def f(x, again):
        _, pull = ho.func.vjp(again(lambda x: x**3 * ho.rand(3)), x)
        return ho.scan(lambda carry, g: (carry + pull(g)[0], None), 0 * x, ho.stack([x, 2 * x]))[0]

    ho.manual_seed(7)
    expected = f(X, lambda g: g).numpy()
    ho.manual_seed(7)
    np.testing.assert_allclose(ho.compile(lambda x: f(x, ho.func.checkpoint))(X).numpy(), expected, rtol=1e-12)
