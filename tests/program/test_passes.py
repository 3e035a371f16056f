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
    return ho.compile(f, passes=chosen, fast_math=True).program(*args)


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
    views = ("reshape", "getitem", "permute")
    before, after = ([name for name in names(p) if name not in views] for p in (plain, changed))
    joined = sum(2 for name in before if name in ("tanh_backward", "sigmoid_backward"))
    assert len(after) <= len(before) + before.count("mean") + joined
    assert changed.inputs == plain.inputs


X = ho.tensor([1.0, 2.0, 3.0])


@pytest.mark.parametrize("operation", [ho.tanh, ho.sigmoid])
def test_expansion(operation):
    derivative = captured(lambda x: ho.func.grad(lambda x: operation(x).sum())(x), X)
    assert f"{operation.__name__}_backward" in names(derivative)
    expanded = passes.expansion(derivative)
    assert not any(name.endswith("_backward") for name in names(expanded))
    np.testing.assert_array_equal(evaluate(expanded, [X.numpy()])[0], evaluate(derivative, [X.numpy()])[0])


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
        y = (x.neg().neg() + -0.0) * 1 / 1 - 0
        return y.reshape(3, 1).reshape(1, 3).reshape(3).clone() * ho.ones(3)

    assert names(passes.dead_code(passes.identities(captured(f, X)))) == []
    # Of -0 a sum with 0 is 0.
    signed = captured(lambda x: (x + 0, x - -0.0, x + ho.zeros(3), (x > 0).astype(int) + 0), X)
    assert names(passes.dead_code(passes.identities(signed))) == ["add", "sub", "add", "gt", "convert"]
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

    def f(x, y, k):
        return (-(x * k) * (y / 3)).sum() + (x / k).sum()

    plain = captured(f, X * 2, X, ho.tensor(0.3))
    changed = passes.dead_code(passes.factoring(plain))
    agree(changed, plain, (X * 2, X, ho.tensor(0.3)))
    # All that is left of the arrays is one product.
    many = [at.primitive.name for at in changed.instructions if changed.kinds[at.output].shape]
    assert many == ["mul"]
    # Sums over some axes give fewer numbers, too, unless they are as many.
    plain = captured(lambda x: (-x).sum(0) + (-x).sum(1)[:2], ho.ones(4, 2))
    changed = passes.dead_code(passes.factoring(plain))
    agree(changed, plain, (ho.tensor(np.random.default_rng(0).normal(size=(4, 2))),))
    assert sorted(changed.kinds[at.output].shape for at in changed.instructions if at.primitive.name == "neg") == [
        (2,),
        (4, 2),
    ]
    # A factor that is read elsewhere too stays where it is.
    kept = captured(lambda x: (y := -x).sum() + y.exp().sum(), X)
    assert names(passes.factoring(kept)) == names(kept)


def test_products():
    a, b, w = ho.randn(5, 3, 4), ho.randn(5, 4, 2), ho.randn(4, 2)
    column, row = ho.randn(5, 3, 1), ho.randn(5, 1, 4)

    def f(a, b, w, column, row):
        outer = column @ row
        return (
            (a @ b).mT + (column @ column.mT).sum() + (a @ w.expand(5, 4, 2)).sum(),
            outer.mT,
            w.expand(5, 4, 2).mT * 2,
        )

    args = (a, b, w, column, row)
    plain = captured(f, *args)
    changed = passes.dead_code(passes.products(plain))
    arrays = [x.numpy() for x in args]
    for y, e in zip(evaluate(changed, arrays), evaluate(plain, arrays), strict=True):
        np.testing.assert_allclose(y, e, rtol=1e-13, atol=1e-13)
    made = {at.output: at for at in changed.instructions}
    matrices = [at for at in changed.instructions if at.primitive.name == "matmul"]
    # The outer products are elementwise; what was spread over the batch is one matrix; no product is transposed.
    assert len(matrices) == 2
    assert (4, 2) in [changed.kinds[x].shape for at in matrices for x in at.operands]
    turned = [at.operands[0] for at in changed.instructions if at.primitive.name == "permute"]
    assert not any(x in made and made[x].primitive.name in ("matmul", "mul") for x in turned)
    # A product that is read twice stays as it is, and so does what takes its batch axis from the spread factor.
    twice = captured(lambda a, b: (a @ b).mT.sum() + (a @ b).sin().sum(), a, b, chosen=["common_subexpressions"])
    assert "permute" in names(passes.products(twice))
    spread = captured(lambda a, w: a @ w.expand(5, 4, 2), ho.randn(3, 4), w)
    assert names(passes.dead_code(passes.products(spread))) == names(spread)


def training(x, labels, optimizer=None):
    """Three steps on a linear layer, as a function of its weight, bias and learning rate; its last loss."""

    def final(w, b, rate):
        velocity = [w * 0, b * 0]
        for _ in range(3):
            slopes = ho.func.grad(lambda w, b: ho.cross_entropy(x @ w + b, labels), argnums=(0, 1))(w, b)
            velocity = [rate * 3 * v + g for v, g in zip(velocity, slopes, strict=True)]
            w, b = w - rate * velocity[0], b - rate * velocity[1]
        return ho.cross_entropy(x @ w + b, labels)

    return ho.func.grad(final, argnums=2)


def agree(changed, plain, args):
    arrays = [np.asarray(a) for a in args]
    for y, e in zip(evaluate(changed, arrays), evaluate(plain, arrays), strict=True):
        np.testing.assert_allclose(y, e, rtol=1e-12, atol=1e-13)


BEFORE_PACKING = ["dead_code", "constant_folding", "identities", "products", "reductions", "broadcasting"]


def test_packing():
    rng = np.random.default_rng(0)
    x, labels = ho.tensor(rng.normal(size=(40, 6))), ho.tensor(rng.integers(0, 4, 40))
    args = ho.tensor(rng.normal(size=(6, 4))), ho.tensor(rng.normal(size=4)), ho.tensor(0.1)
    plain = captured(training(x, labels), *args, chosen=[*BEFORE_PACKING, "common_subexpressions"])
    changed = passes.dead_code(passes.packing(plain))
    agree(changed, plain, args)
    # The layer with a column of ones is one product, also where it is differentiated; steps are taken on both at once.
    assert {changed.kinds[at.output].shape for at in changed.instructions if at.primitive.name == "mm_tn"} == {(7, 4)}
    assert len(changed.instructions) < 0.85 * len(plain.instructions)
    sizes = [changed.kinds[at.output].shape for at in changed.instructions if at.primitive.name in ("add", "sub")]
    assert (7, 4) in sizes
    assert (4,) not in sizes
    # With inputs that are no constants both gradients are written to one array.
    free = captured(lambda x, *args: training(x, labels)(*args), x, *args, chosen=[*BEFORE_PACKING])
    agree(passes.packing(free), free, (x, *args))
    compiled = ho.compile(lambda x, *args: training(x, labels)(*args))
    np.testing.assert_allclose(compiled(x, *args).numpy(), compiled.function(x, *args).numpy(), rtol=1e-12)


def test_packing_leaves_what_differs():
    rng = np.random.default_rng(0)
    x = ho.tensor(rng.normal(size=(5, 3)))

    def f(d, w, b):
        gw, gb = x.T @ d, d.sum(0)
        # Other factors, other operations, and a weight that depends on the bias.
        first, second = gw * 2 + w, gb * 3 + b
        return gw.exp() + gw * second.sum(), (gb + b).sin() + first.sum(), second, gw - w, b - gb

    args = [ho.tensor(rng.normal(size=s)) for s in [(5, 4), (3, 4), (4,)]]
    plain = captured(f, *args, chosen=BEFORE_PACKING)
    agree(passes.packing(plain), plain, args)
    compiled = ho.compile(f)
    for y, e in zip(compiled(*args), f(*args), strict=True):
        np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=1e-12)


def network(params, x):
    return ((x @ params[0]).tanh() @ params[1]).tanh() @ params[2]


def test_flattening():
    rng = np.random.default_rng(0)
    params = [ho.tensor(rng.normal(size=shape)) for shape in [(5, 4), (4, 6), (6, 2)]]
    x = ho.tensor(rng.normal(size=(7, 5)))

    def final(rate, momentum, *params):
        velocity = [p * 0 for p in params]
        for _ in range(3):
            slopes = ho.func.grad(lambda params: (network(params, x) ** 2).mean())(params)
            velocity = [momentum * v + g for v, g in zip(velocity, slopes, strict=True)]
            params = [p - rate * v for p, v in zip(params, velocity, strict=True)]
        return (network(params, x) ** 2).mean()

    f = ho.func.grad(final, argnums=(0, 1))
    args = ho.tensor(0.1), ho.tensor(0.9), *params
    plain = captured(f, *args, chosen=[*BEFORE_PACKING, "common_subexpressions"])
    changed = passes.flattening(plain)
    agree(changed, plain, args)
    # All three arrays are one behind the other where steps are taken and where these are differentiated.
    updates = [at for at in changed.instructions if at.primitive.name == "mul" and set(at.operands) & {0, 1}]
    assert sum(changed.kinds[at.output].shape == (56,) for at in updates) > len(updates) / 2
    compiled = ho.compile(f)
    for y, e in zip(compiled(*args), f(*args), strict=True):
        np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=1e-11)
    # Arrays that are only put together and taken apart again stay apart.
    apart = captured(lambda k, x, y: (x.sin() * k, y.cos() * k), ho.tensor(2.0), ho.randn(3), ho.randn(4))
    assert names(passes.flattening(apart)) == names(apart)


def test_linear():
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(150, 6)), rng.normal(size=(150, 8))
    c = ho.tensor(x)

    def f(d, weights):
        total = 0
        for k in range(4):
            p = ho.softmax(d * (k + 1), 1)
            total = total + c.T @ ((p - ho.tensor(target)) / 7) + c.T @ (weights[:, None] * (p - ho.tensor(target)))
        r = d * 0.3
        return total + c.T @ (r * p - p * (r * p).sum(1, keepdim=True))

    args = ho.tensor(rng.normal(size=(150, 8))), ho.tensor(rng.normal(size=150))
    plain = captured(f, *args, chosen=[name for name in passes.PASSES if name not in ("linear", "fusion")])
    changed = passes.dead_code(passes.common_subexpressions(passes.linear(plain)))
    agree(changed, plain, args)

    def large(program, *kinds):
        found = [at for at in program.instructions if at.primitive.name in kinds]
        return sum(program.kinds[at.output].shape == (150, 8) for at in found)

    # Differences with the target and all factors are gone, but those of the softmax and of products.
    assert large(plain, "sub") == 5
    assert large(changed, "sub") == 1
    assert large(changed, "mul") == large(plain, "mul") - 9
    # What shows a factor keeps it.
    kept = captured(lambda d: (c.T @ (y := d * 2), y), args[0], chosen=["dead_code"])
    agree(passes.linear(kept), kept, args[:1])
    assert names(passes.linear(kept)) == names(kept)


def test_scaling():
    def f(x):
        y = -(x * 2 / 4 * ho.full((3,), 3.0))
        return x.exp() + -(x.sin()) + y

    plain = captured(f, X)
    changed = passes.dead_code(passes.scaling(plain))
    assert sorted(names(changed)) == ["add", "exp", "mul", "sin", "sub"]
    np.testing.assert_allclose(evaluate(changed, [X.numpy()])[0], evaluate(plain, [X.numpy()])[0], rtol=1e-14)
    # Many elements are not divided, but multiplied.
    many = captured(lambda x, k: x / k + (x + 1) / k, ho.randn(100), ho.tensor(3.0))
    divided = passes.scaling(many)
    assert sorted(names(divided)) == ["add", "add", "div", "mul", "mul"]
    agree(divided, many, (ho.randn(100), ho.tensor(3.0)))
    # Factors that leave the range of numbers stay apart, and bools are no numbers here.
    apart = ho.compile(lambda x: (x * 1e-200 * 1e300, (x > 0) * 2 * 3.0, x / 0), fast_math=True)
    with np.errstate(all="ignore"):
        expected = apart.function(X * 1e100)
    for y, e in zip(apart(X * 1e100), expected, strict=True):
        assert y.dtype == e.dtype
        np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=1e-14)


def test_recompute():
    def f(x):
        square, mask, both = x * x, (x > 0).astype(ho.float64), x.sin() + x
        y = square * mask + both
        for _ in range(60):
            y = (y * 1.01).tanh()
        return (y + x) * square * mask + both

    x = ho.randn(100, 60)
    plain = captured(f, x)
    changed = passes.recompute(plain)
    agree(changed, plain, (x,))
    # What one large value that is still there gives is computed again, with the mask from its bools; the sum is kept.
    assert names(changed).count("mul") == names(plain).count("mul") + 1
    assert names(changed).count("astype") == names(plain).count("astype") + 1
    assert names(changed).count("add") == names(plain).count("add")
    small = captured(f, ho.randn(6, 6))
    assert names(passes.recompute(small)) == names(small)
    compiled = ho.compile(f)
    np.testing.assert_allclose(compiled(x).numpy(), f(x).numpy(), rtol=1e-12)


def test_fusion_marks_runs_of_elementwise_operations():
    def f(x):
        return ((x * 2).exp() + 1).sum() * x.sin()

    program = passes.fusion(captured(f, X))
    assert [program.instructions[i].primitive.name for i in program.groups[0]] == ["mul", "exp", "add"]


def test_passes_can_be_switched_off():
    def f(x):
        x.exp()
        return x.mean() + 0

    assert names(captured(f, X)) == ["exp", "mean", "add"]
    assert names(captured(f, X, chosen=["dead_code"])) == ["mean", "add"]
    assert names(captured(f, X, chosen=None)) == ["sum", "mul", "add"]
    with pytest.raises(ArgumentError, match="passes names 'inline'"):
        ho.compile(f, passes=["inline"])
    with pytest.raises(ArgumentError, match="passes names 'scaling', which changes numbers: pass fast_math=True"):
        ho.compile(f, passes=["scaling"])
