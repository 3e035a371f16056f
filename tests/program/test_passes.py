"""Each pass alone: the program computes the same, and what the pass promises is gone."""

import random

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError
from hograd.program import passes
from hograd.program.ir import evaluate

from ..func.test_random_programs import SIZE, Direct, program, run


def captured(f, *args, chosen=()):
    return ho.compile(f, passes=chosen).program(*args)


def names(program):
    return [at.primitive.name for at in program.instructions]


@pytest.mark.parametrize("name", passes.PASSES)
@pytest.mark.parametrize("seed", range(10))
def test_alone_on_random_programs(name, seed):
    source = random.Random(f"{seed} passes")
    tree = program(source, 2, 2, 4)
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=SIZE) for _ in range(2)]
    plain = captured(lambda x, y: run(tree, [x, y], Direct), *map(ho.tensor, arrays))
    (expected,) = evaluate(plain, arrays)
    changed = passes.PASSES[name](plain)
    (found,) = evaluate(changed, arrays)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * max(1, np.abs(expected).max()))
    assert len(changed.instructions) <= len(plain.instructions) + names(plain).count("mean")
    assert changed.inputs == plain.inputs


X = ho.tensor([1.0, 2.0, 3.0])


def test_dead_code():
    def f(x):
        x.exp()
        return x.sin()

    assert names(captured(f, X)) == ["exp", "sin"]
    assert names(passes.dead_code(captured(f, X))) == ["sin"]


def test_draws_stay_in_order_though_unused():
    def f(x):
        ho.randn(3)
        return x * ho.randn(3)

    compiled = ho.compile(f)
    ho.manual_seed(0)
    expected = f(X).numpy()
    ho.manual_seed(0)
    np.testing.assert_array_equal(compiled(X).numpy(), expected)


def test_constant_folding():
    # Operations among constants run while capturing; what becomes constant later is folded.
    f = captured(lambda x: x + (ho.zeros_like(x) + 2).exp() * 3, X)
    assert names(passes.constant_folding(f)) == ["add"]
    first = captured(lambda x: x * 2, X)
    fixed = first.with_(inputs=(), constants={first.inputs[0]: X.numpy()})
    assert names(passes.constant_folding(fixed)) == []
    np.testing.assert_array_equal(evaluate(passes.constant_folding(fixed), [])[0], [2.0, 4.0, 6.0])


def test_common_subexpressions():
    f = captured(lambda x, y: (x * y).exp() + (y * x).exp() + x.sum(0) + x.sum(0, keepdim=True), X, X)
    assert names(f).count("mul") == 2
    assert names(passes.common_subexpressions(f)).count("mul") == 1
    assert names(passes.common_subexpressions(f)).count("exp") == 1
    # Equal constants are kept once: here those of each step of a loop.
    labels = ho.tensor([0, 1, 1])
    steps = captured(
        lambda x: sum(ho.func.grad(ho.cross_entropy)(x * k, labels) for k in (1.0, 2.0, 3.0)), ho.ones(3, 2)
    )
    kept = passes.dead_code(passes.common_subexpressions(steps))
    assert len(kept.constants) < len(steps.constants)
    np.testing.assert_array_equal(evaluate(kept, [np.ones((3, 2))])[0], evaluate(steps, [np.ones((3, 2))])[0])
    # Differing parameters, and 1 beside 1.0, are not the same.
    assert names(passes.common_subexpressions(f)).count("sum") == 2


def test_identities():
    def f(x):
        y = (x.neg().neg() + 0) * 1 / 1 - 0.0
        return y.reshape(3, 1).reshape(1, 3).reshape(3).clone() * ho.ones(3)

    assert names(passes.dead_code(passes.identities(captured(f, X)))) == []
    kept = captured(lambda x: (0 - x) * 1 + ho.ones(2, 3) * 0, X)
    np.testing.assert_array_equal(evaluate(passes.identities(kept), [X.numpy()])[0], [[-1.0, -2.0, -3.0]] * 2)


def test_shapes_and_dtypes_are_kept():
    x = ho.ones(3, dtype=ho.float32)
    for f in [lambda x: x * ho.ones(2, 3), lambda x: x.astype(ho.float64) * 1, lambda x: (x > 0) * 1, lambda x: x[0]]:
        expected = f(x)
        found = ho.compile(f)(x)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_broadcasting():
    def f(x, y):
        return x.sum(1, keepdim=True).expand(2, 3) * y

    x = ho.randn(2, 3)
    plain = captured(f, x, x)
    changed = passes.dead_code(passes.broadcasting(plain))
    assert "broadcast_to" in names(plain)
    assert "broadcast_to" not in names(changed)
    args = [x.numpy(), x.numpy()]
    np.testing.assert_array_equal(evaluate(changed, args)[0], evaluate(plain, args)[0])


def test_reductions():
    plain = captured(lambda x: x.mean(), X)
    assert names(passes.reductions(plain)) == ["sum", "div"]


def test_scaling():
    def f(x):
        y = -(x * 2 / 4 * ho.full((3,), 3.0))
        return x.exp() + -(x.sin()) + y

    plain = captured(f, X)
    changed = passes.dead_code(passes.scaling(plain))
    assert sorted(names(changed)) == ["add", "exp", "mul", "sin", "sub"]
    np.testing.assert_allclose(evaluate(changed, [X.numpy()])[0], evaluate(plain, [X.numpy()])[0], rtol=1e-14)
    # Factors that leave the range of numbers stay apart, and bools are no numbers here.
    apart = ho.compile(lambda x: (x * 1e-200 * 1e300, (x > 0) * 2 * 3.0, x / 0))
    with np.errstate(all="ignore"):
        expected = apart.function(X * 1e100)
    for y, e in zip(apart(X * 1e100), expected, strict=True):
        assert y.dtype == e.dtype
        np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=1e-14)


def test_fusion_marks_runs_of_elementwise_operations():
    def f(x):
        return ((x * 2).exp() + 1).sum() * x.sin()

    program = passes.fusion(captured(f, X))
    assert [program.instructions[i].primitive.name for i in program.groups[0]] == ["mul", "exp", "add"]


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


def test_numbers_that_python_refuses():
    f = ho.compile(lambda x: (1 / x, x.log(), (x + 800).exp(), (1 / x).sin()))
    for value in [0.5, 0.0, 0.25]:
        with np.errstate(all="ignore"):
            expected = [v.item() for v in f.function(ho.tensor(value))]
        np.testing.assert_array_equal([v.item() for v in f(value)], expected)


def test_passes_can_be_switched_off():
    def f(x):
        x.exp()
        return x.mean() + 0

    assert names(captured(f, X)) == ["exp", "mean", "add"]
    assert names(captured(f, X, chosen=["dead_code"])) == ["mean", "add"]
    assert names(captured(f, X, chosen=None)) == ["sum", "mul"]
    with pytest.raises(ArgumentError, match="passes names 'inline'"):
        ho.compile(f, passes=["inline"])
