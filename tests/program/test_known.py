"""What follows from slices that are known at capture, and from the number of the step, is computed once for all."""

import numpy as np
import pytest

import hograd as ho
import optim
from hograd.program.loops import LOOP
from optim.hyper import Bilevel, Reverse, hypergradient, train

RNG = np.random.default_rng(0)
STEPS, BATCH = 6, 40
X = ho.tensor(RNG.normal(size=(STEPS, BATCH, 5)))
LABELS = ho.tensor(RNG.integers(0, 3, (STEPS, BATCH)))
PARAMS = [ho.tensor(0.3 * RNG.normal(size=(5, 3))), ho.zeros(3)]


def problem(labels=LABELS):
    def inner(params, outer, batch):
        return ho.cross_entropy(batch[0] @ params[0] + params[1], batch[1])

    return Bilevel(
        inner,
        lambda params, outer: ho.cross_entropy(X[0] @ params[0] + params[1], labels[0] * 0 + 1),
        init=PARAMS,
        batches=lambda number: (X[number], labels[number]),
    )


def steps_of(program):
    return [at.params["code"].step for at in program.instructions if at.primitive is LOOP]


def agree(function, *args, rtol=1e-11):
    for y, e in zip(ho.tree.leaves(ho.compile(function)(*args)), ho.tree.leaves(function(*args)), strict=True):
        np.testing.assert_allclose(ho.as_tensor(y).numpy(), ho.as_tensor(e).numpy(), rtol=rtol, atol=1e-13)


def names(step):
    return [at.primitive.name for at in step.instructions]


@pytest.mark.parametrize("optimizer", [optim.SGD(lr=ho.tensor(0.1)), optim.Adam(lr=ho.tensor(0.1))])
def test_labels_are_no_matter_of_a_step(optimizer):
    run = lambda optimizer: hypergradient(problem(), optimizer, Reverse(STEPS)).hypergrad  # noqa: E731
    agree(run, optimizer, rtol=1e-9)
    for step in steps_of(ho.compile(run).program(optimizer)):
        assert not {"indicator", "ne", "astype", "convert"} & set(names(step))
        assert not any(kind.dtype.kind in "iu" for s, kind in step.kinds.items() if s in step.names()), (
            "no label is left"
        )


def test_labels_that_are_ignored_differ_from_step_to_step():
    labels = LABELS.numpy().copy()
    labels[2, :7] = -100
    run = lambda lr: train(problem(ho.tensor(labels)), optim.SGD(lr=lr), STEPS)[0]  # noqa: E731
    agree(run, ho.tensor(0.1))


def test_labels_that_come_in_as_arguments_are_not_known():
    run = lambda lr, labels: train(problem(labels), optim.SGD(lr=lr), STEPS)[0]  # noqa: E731
    compiled = ho.compile(run)
    for labels in (LABELS, (LABELS + 1) % 3):
        expected = run(ho.tensor(0.1), labels)
        for y, e in zip(compiled(ho.tensor(0.1), labels), expected, strict=True):
            np.testing.assert_allclose(y.numpy(), e.numpy(), rtol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_number_of_the_step(reverse):
    def f(x, rate):
        def step(carry, row, rate):
            total, number, down = carry
            new = total * rate ** (number + 1.0) + row / (down - 3.5)
            return (new, number + 1, down - 2), new * number

        return ho.scan(step, (x, 0, 7), ho.tensor(np.arange(5.0)), reverse=reverse, consts=(rate,))

    x, rate = ho.tensor([1.0, 2.0]), ho.tensor(0.9)
    agree(f, x, rate)
    agree(ho.func.grad(lambda x, rate: f(x, rate)[1].sum(), (0, 1)), x, rate)
    (step,) = steps_of(ho.compile(lambda x, rate: f(x, rate)[1]).program(x, rate))
    assert not any(kind.dtype.kind in "iu" for s, kind in step.kinds.items() if s in step.names())


def test_numbers_that_are_no_counters():
    def f(x, begin):
        def step(carry, row):
            a, b, c, total = carry
            return (a * 2, b + a, begin + c, total + a * row + b + c), None

        return ho.scan(step, (1, 0, begin, x), ho.tensor(np.arange(5.0)))[0]

    agree(f, ho.tensor(0.5), ho.tensor(3))


def test_large_values_are_computed_in_each_step():
    rows, classes = ho.tensor(RNG.integers(0, 300, (50, 40, 1))), ho.arange(300)

    def f(w):
        def step(w, row):
            chosen = ho.where(row == classes, 1.0, 0.0)
            return w + 0.01 * chosen.sum(0) * w, (chosen * w).sum()

        return ho.scan(step, w, rows)

    w = ho.tensor(RNG.normal(size=300))
    agree(f, w)
    (step,) = steps_of(ho.compile(f).program(w))
    assert "where" in names(step), "the masks are known for all steps, the 5 MB of numbers are not"
    assert "eq" not in names(step)


def test_minibatches_have_a_column_of_ones_in_replays_with_numpy():
    run = ho.compile(lambda lr: train(problem(), optim.SGD(lr=lr), STEPS)[0])
    entry = run._entry((ho.tensor(0.1),), {})[0]
    (step,) = steps_of(entry.executable.replay.program)
    assert (BATCH, 6) in [step.kinds[s].shape for s in step.inputs]
    agree(run.function, ho.tensor(0.1))


@pytest.mark.parametrize("passes", [(), ("dead_code",), ("ranges", "linear"), ("constant_folding",), None])
@pytest.mark.parametrize("checkpoint", ["none", "sqrt"])
def test_passes_of_steps_can_be_switched_off(passes, checkpoint):
    def run(optimizer):
        return hypergradient(problem(), optimizer, Reverse(STEPS, checkpoint=checkpoint)).hypergrad

    optimizer = optim.Adam(lr=ho.tensor(0.1), weight_decay=ho.tensor(0.01))
    compiled = ho.compile(run, passes=passes, fast_math=True)
    for y, e in zip(ho.tree.leaves(compiled(optimizer)), ho.tree.leaves(run(optimizer)), strict=True):
        np.testing.assert_allclose(ho.as_tensor(y).numpy(), ho.as_tensor(e).numpy(), rtol=1e-9)
    if checkpoint == "none":
        found = {name for step in steps_of(compiled.program(optimizer)) for name in names(step)}
        assert ("indicator" in found) == (passes is not None and "constant_folding" not in passes)
        assert ("place" in found) == (passes is not None and "ranges" not in passes)
