"""Small results of long computations in checkpointed loops: kept where they take little, and right in every mode."""

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.loop import calls
from optim import SGD, Adam
from optim.hyper import Bilevel, Reverse, hypergradient

RNG = np.random.default_rng(0)
DATA = ho.tensor(RNG.normal(size=(256, 3)))
START, INPUTS, WEIGHT = (ho.tensor(RNG.normal(size=s) / 2) for s in [(3, 2), (12, 2), (3, 2)])
ARGUMENTS = START, INPUTS, WEIGHT
TANGENTS = tuple(ho.tensor(RNG.normal(size=x.shape)) for x in ARGUMENTS)
BATCH = tuple(ho.stack([x, x * 0.5]) for x in ARGUMENTS)


def close(found, expected, tolerance=1e-11):
    for y, e in zip(ho.tree.leaves(found), ho.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(y), np.asarray(e), rtol=tolerance, atol=tolerance)


def body(carry, x, weight):
    """A step with products and sums over the data, and something that depends on constants alone."""
    h = ho.tanh(DATA @ (carry["w"] * ho.exp(weight)) + x)
    slope = DATA.T @ (h * h - 0.2) / 256
    return {"w": carry["w"] - 0.3 * slope, "count": carry["count"] + 1}, {"mean": h.mean(0) * x, "w": carry["w"]}


def scalar(start, inputs, weight, checkpoint="none", reverse=False):
    carry = {"w": start, "count": 0}
    carry, ys = ho.scan(body, carry, inputs, reverse=reverse, checkpoint=checkpoint, consts=(weight,))
    return (carry["w"] ** 2).sum() + (ys["mean"].sin() * ys["mean"]).sum() + (ys["w"] ** 3).sum()


def norm(args, how):
    return sum((g * g).sum() for g in func.grad(lambda args: scalar(*args, **how))(args))


MODES = {
    "grad": lambda args, batch, tangents, **how: func.grad_and_value(lambda args: scalar(*args, **how))(args),
    "grad by one": lambda args, batch, tangents, **how: func.grad(lambda x: scalar(args[0], x, args[2], **how))(
        args[1]
    ),
    "forward over reverse": lambda args, batch, tangents, **how: func.hvp(
        lambda args: scalar(*args, **how), args, tangents
    ),
    "reverse over reverse": lambda args, batch, tangents, **how: func.grad(lambda args: norm(args, how))(args),
    "vmap of grad": lambda args, batch, tangents, **how: ho.vmap(
        lambda *args: func.grad(lambda args: scalar(*args, **how))(args)
    )(*batch),
}


@pytest.mark.parametrize("how", [{"checkpoint": 4}, {"checkpoint": 5}, {"checkpoint": 3, "reverse": True}], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_compiled_is_eager_in_every_mode(mode, how):
    run = lambda *values: MODES[mode](*values, **how)  # noqa: E731
    close(ho.compile(run)(ARGUMENTS, BATCH, TANGENTS), run(ARGUMENTS, BATCH, TANGENTS))


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("optimizer", [SGD(lr=0.1, momentum=0.5), Adam(lr=0.1)], ids=["sgd", "adam"])
def test_hypergradients_are_eager_ones(optimizer, backend):
    if backend == "native":
        pytest.importorskip("llvmlite")
    labels = ho.tensor(RNG.integers(0, 4, 256))
    problem = Bilevel(
        lambda params, opt: ho.cross_entropy(DATA @ params["w"] + params["b"], labels),
        lambda params, opt: ho.cross_entropy(DATA[:50] @ params["w"] + params["b"], labels[:50]),
        init={"w": ho.zeros(3, 4), "b": ho.zeros(4)},
    )
    run = lambda opt: hypergradient(problem, opt, Reverse(23, "sqrt"))[:2]  # noqa: E731
    close(ho.compile(run, backend=backend)(optimizer), run(optimizer))


def times(program, name):
    """How often a primitive runs."""
    own = sum(at.primitive.name == name for at in program.instructions)
    loops = [at.params["code"] for at in program.instructions if at.primitive.name == "loop"]
    return own + sum(code.length * times(code.step, name) for code in loops)


def program_of(length, segment, examples):
    data = ho.tensor(RNG.normal(size=(examples, 2)))

    def last(w):
        return ho.scan(lambda w, _: (w - (data * w).tanh().sum(0), None), w, length=length, checkpoint=segment)[0].sum()

    return ho.compile(func.grad(last)).program(ho.ones(2))


def test_sums_over_many_are_not_computed_again():
    program = program_of(20, 5, examples=256)
    # Once forward and once on the way back; the functions of the examples run again.
    assert times(program, "sum") == 20 + 20
    assert times(program, "tanh") == calls(20, 5)


def test_sums_over_few_are_computed_again():
    assert times(program_of(20, 5, examples=32), "sum") == calls(20, 5) + 20


@pytest.mark.parametrize(("length", "again"), [(200, False), (40_000, True)])
def test_what_is_kept_is_a_small_multiple_of_what_is_kept_anyway(length, again):
    # Of many steps the results would come to take the larger part.
    assert times(program_of(length, 20, examples=160), "sum") == (calls(length, 20) if again else length) + length


def test_memory_grows_with_the_root_of_the_steps():
    data = ho.tensor(RNG.normal(size=(300, 2)))
    problem = Bilevel(
        lambda w, lr: ((data @ w).tanh() ** 2).mean(), lambda w, lr: (w**2).sum(), ho.ones(2, 3), lambda lr: SGD(lr=lr)
    )

    def memory(steps):
        method = Reverse(steps, "sqrt")
        return ho.compile(lambda lr: hypergradient(problem, lr, method))(ho.tensor(0.1)).info.memory

    assert memory(40_000) / memory(400) < 12
