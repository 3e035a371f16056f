"""Draws of what is computed again are those of the first time: at every order, in every nesting, compiled or not."""

import copy
import threading
from functools import partial

import numpy as np
import pytest

import hograd as ho
from hograd import func

RANDOM = np.random.default_rng(0)
W, X = ho.tensor(RANDOM.normal(size=(3, 2))), ho.tensor(RANDOM.normal(size=(4, 3)))
RANDOMNESS = pytest.mark.parametrize("randomness", ["different", "same"])


def block(w, x):
    return ho.dropout(ho.tanh(x @ w), 0.4) * ho.randn(2)


def twice(again):
    return lambda w, x: (again(block)(w, x) ** 2).sum() + (again(block)(w, x) ** 3).sum()


def within(again):
    inner = again(block)
    outer = again(lambda w, x: inner(w, x) * ho.rand(2) + inner(w * 2, x) ** 2)
    return lambda w, x: (outer(w, x) ** 3).sum()


def from_what_is_not_mapped(again):
    drop = again(lambda w: ho.dropout(ho.tanh(w), 0.5))
    return lambda w, x: (drop(w).sum(0) * block(w, x) ** 2).sum()


def in_a_loop(again):
    def step(carry, _, w, x):
        return ho.tanh(carry + again(block)(w, x)), carry * ho.rand(2)

    def loss(w, x):
        how = "binomial" if again is func.checkpoint else "none"
        carry, rows = ho.scan(step, ho.ones(2), length=4, consts=(w, x), checkpoint=how)
        return (carry**2).sum() + (rows**2).sum()

    return loss


def in_control_flow(again):
    def body(count, carry, w, x):
        return count + 1, ho.tanh(carry + block(w, x)), w, x

    def f(w, x):
        start = (ho.tensor(0.0), x[:2] * 1.0, w, x)
        carry = ho.while_loop(lambda i, *_: i < 3, body, start, maximum_steps=3)[1]
        return ho.cond(x.sum() > 0, lambda c: c * ho.rand(2), lambda c: c**2 * ho.rand(2), (carry,))

    return lambda w, x: (again(f)(w, x) ** 2).sum()


def with_rules(again):
    by_vjp = func.custom_vjp(lambda h: h**2 * ho.rand(2))

    def forward(h):
        drawn = ho.rand(2)
        return h**2 * drawn, (h, drawn)

    by_vjp.defvjp(forward, lambda kept, g: (2 * kept[0] * kept[1] * g,))
    by_jvp = func.custom_jvp(lambda h: h**3 * ho.rand(2))
    by_jvp.defjvps(lambda t, y, h: 3 * t * y / h)
    return lambda w, x: (again(lambda w, x: by_vjp(ho.tanh(x @ w)) + by_jvp(1 + ho.tanh(x @ w)))(w, x) ** 2).sum()


def without_rules(w, x):
    """The same function, whose derivative is known."""
    return ((ho.tanh(x @ w) ** 2 * ho.rand(2) + (1 + ho.tanh(x @ w)) ** 3 * ho.rand(2)) ** 2).sum()


def from_a_generator_of_ones_own(again):
    def loss(w, x):
        generator = np.random.default_rng(3)
        f = again(lambda w, x: ho.tanh(x @ w) * ho.rand(2, generator=generator) + block(w, x))
        return (f(w, x) ** 3).sum() + (f(w, x) ** 2).sum() * ho.rand(generator=generator)

    return loss


LOSSES = (
    twice, within, from_what_is_not_mapped, in_a_loop, in_control_flow, with_rules, from_a_generator_of_ones_own,
)  # fmt: skip


def slope(f):
    return lambda *args: (func.grad(f)(*args) ** 2).sum()


def of_ones(f):
    return lambda w, x: func.jvp(lambda w: f(w, x), (w,), (ho.ones_like(w),))[1]


def mapped(f, randomness):
    return func.vmap(f, in_dims=(None, 0), randomness=randomness)


TRANSFORMS = {
    "grad in vmap": lambda f, r: mapped(func.grad(f), r),
    "vmap in grad": lambda f, r: func.grad(lambda w, x: mapped(f, r)(w, x).sum()),
    "grad of grad in vmap": lambda f, r: mapped(func.grad(slope(f)), r),
    "grad in vmap in grad": lambda f, r: func.grad(lambda w, x: (mapped(func.grad(f), r)(w, x) ** 2).sum()),
    "third order": lambda f, r: mapped(func.grad(slope(slope(f))), r),
    "jvp": lambda f, r: mapped(of_ones(f), r),
    "jvp of grad": lambda f, r: mapped(of_ones(func.grad(f)), r),
    "grad of jvp": lambda f, r: mapped(func.grad(of_ones(f)), r),
    "Jacobian of grad": lambda f, r: mapped(func.jacrev(func.grad(f)), r),
    "Hessian": lambda f, r: mapped(func.hessian(f), r),
    "vmap in vmap": lambda f, r: (
        lambda w, x: func.vmap(
            lambda s: mapped(func.grad(slope(f)), r)(s * w, x), randomness="different" if r == "same" else "same"
        )(ho.tensor([1.0, 0.5]))
    ),
}


def run(function, *args):
    """What a function gives, and the draw that follows it."""
    ho.manual_seed(7)
    return [y.numpy() for y in ho.tree.leaves(function(*args))], ho.rand().item()


def expect_equal(found, expected, rtol=1e-9):
    for y, e in zip(found[0], expected[0], strict=True):
        np.testing.assert_allclose(y, e, rtol=rtol, atol=1e-10)
    assert found[1] == expected[1]


@RANDOMNESS
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=list(TRANSFORMS))
@pytest.mark.parametrize("loss", LOSSES, ids=lambda f: f.__name__)
def test_a_checkpoint_changes_nothing(loss, transform, randomness):
    plain = without_rules if loss is with_rules else loss(lambda f: f)
    expected = run(transform(plain, randomness), W, X)
    expect_equal(run(transform(loss(func.checkpoint), randomness), W, X), expected)


@RANDOMNESS
@pytest.mark.parametrize("name", ["grad of grad in vmap", "grad in vmap in grad", "jvp of grad", "Jacobian of grad"])
@pytest.mark.parametrize("loss", [within, from_what_is_not_mapped, in_a_loop], ids=lambda f: f.__name__)
def test_nor_does_it_in_a_program(loss, name, randomness):
    transform = TRANSFORMS[name]
    expected = run(transform(loss(lambda f: f), randomness), W, X)
    compiled = ho.compile(transform(loss(func.checkpoint), randomness))
    for _ in range(2):
        expect_equal(run(compiled, W, X), expected)


@pytest.mark.parametrize("checkpoint", [1, 2, "binomial"])
def test_derivatives_of_a_program_with_checkpoints(checkpoint):
    def step(carry, _, w):
        return ho.tanh(carry @ w @ w.T + ho.randn(3)), None

    def loss(w):
        begun = func.checkpoint(lambda w: w.sum(1) * ho.rand(3))(w)
        return (ho.scan(step, begun, length=5, consts=(w,), checkpoint=checkpoint)[0] ** 2).sum()

    expected = run(func.grad(loss), W)
    expect_equal(run(func.grad(ho.compile(loss)), W), expected)
    expect_equal(run(func.grad(slope(ho.compile(loss))), W), run(func.grad(slope(loss)), W))
    rows = func.vmap(func.grad(ho.compile(loss)), randomness="same")(ho.stack([W, W]))
    np.testing.assert_allclose(rows[0].numpy(), rows[1].numpy(), rtol=1e-12)


def test_a_seed_within_is_set_again():
    def seeded(w):
        ho.manual_seed(3)
        return (w * ho.rand(2)).tanh() * ho.rand(2)

    def second(f):
        return func.grad(slope(lambda w: (f(w) ** 2).sum()))

    expect_equal(run(second(func.checkpoint(seeded)), W), run(second(seeded), W))


def test_the_first_draws_of_a_thread_are_made_again():
    found = []

    def work():
        # No generator has been made on this thread.
        f = func.checkpoint(lambda x: (x * ho.rand(3)) ** 2)
        y, pull = func.vjp(f, ho.ones(3))
        found.append((y.numpy(), pull(ho.ones(3))[0].numpy()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    np.testing.assert_allclose(found[0][1], 2 * found[0][0], rtol=1e-12)


def test_a_backward_pass_on_another_thread_leaves_the_draws_of_this_one():
    ho.manual_seed(1)
    x = ho.ones(3).requires_grad_()
    y = func.checkpoint(lambda x: (x * ho.rand(3)) ** 2)(x)
    before = ho.default_generator().bit_generator.state
    thread = threading.Thread(target=lambda: y.sum().backward())
    thread.start()
    thread.join()
    np.testing.assert_allclose(x.grad.numpy(), 2 * y.detach().numpy(), rtol=1e-12)
    assert ho.default_generator().bit_generator.state == before


def test_chunks_of_a_vmap_share_the_draws_of_a_generator_of_ones_own_and_in_a_program():
    generator = np.random.default_rng(0)
    f = func.vmap(lambda x: x * ho.rand(generator=generator) + ho.rand(), randomness="same", chunk_size=2)
    for run in (f, ho.compile(f)):
        y = run(ho.ones(5)).numpy()
        assert (y == y[0]).all()


def test_a_rule_that_draws_more_draws_anew():
    """Noise of a backward pass is its own: it is not that of the forward."""
    noisy = func.custom_vjp(lambda x: x + ho.rand())

    def forward(x):
        drawn = ho.rand()
        return x + drawn, drawn

    noisy.defvjp(forward, lambda drawn, g: (g * drawn * 0 + ho.rand(),))
    ho.manual_seed(0)
    first, second = ho.rand(2).tolist()
    ho.manual_seed(0)
    assert func.grad_and_value(noisy)(ho.tensor(0.0))[0].item() == second != first


@pytest.mark.parametrize(
    "source",
    [
        lambda: ho.tensor(ho.default_generator().random(2)),
        lambda: ho.rand(2, generator=copy.deepcopy(ho.default_generator())),
        lambda: ho.rand(2, generator=np.random.Generator(np.random.MT19937(3))),
    ],
    ids=["by NumPy", "copied", "made within"],
)
def test_other_ways_to_the_thread_s_generator(source):
    def between(f):
        def slope(w):
            y, pull = func.vjp(f, w)
            # What was drawn since does not matter.
            ho.rand(5)
            return pull(ho.ones_like(y))[0]

        return slope

    def drawn(w):
        return (w * source()) ** 3

    expect_equal(run(between(func.checkpoint(drawn)), W), run(between(drawn), W))


class Masked(ho.autograd.Function):
    """Its elements are gone through one by one in `vmap`."""

    @staticmethod
    def forward(ctx, x):
        drawn = ho.rand(3)
        ctx.save_for_backward(x, drawn)
        return x**2 * drawn

    @staticmethod
    def backward(ctx, g):
        x, drawn = ctx.saved_tensors
        return 2 * x * drawn * g


@RANDOMNESS
def test_functions_one_by_one(randomness):
    def second(f):
        return func.vmap(func.grad(slope(lambda x: (f(x) ** 2).sum())), randomness=randomness)

    expected = run(second(Masked.apply), X)
    expect_equal(run(second(func.checkpoint(Masked.apply)), X), expected)
    expect_equal(run(ho.compile(second(func.checkpoint(Masked.apply))), X), expected)
    # A program has its numbers from outside of the vmap.
    inside = run(second(ho.compile(lambda x: x**2 * ho.rand(3))), X)
    expect_equal(run(second(ho.compile(func.checkpoint(Masked.apply))), X), inside)


def test_forward_mode_of_one_draw():
    def f(x):
        return x**3 * ho.rand(2)

    x = ho.tensor([0.5, 2.0])
    for strategy in ("reverse-mode", "forward-mode"):
        jacobian = partial(ho.autograd.functional.jacobian, f, vectorize=True, strategy=strategy)
        expect_equal(run(jacobian, x), run(lambda x: ho.diag(3 * x**2 * ho.rand(2)), x))
    product = run(lambda x: func.ggnvp(f, lambda y: (y**2).sum(), x, x), x)
    expect_equal(product, run(lambda x: 18 * x**5 * ho.rand(2) ** 2, x))
