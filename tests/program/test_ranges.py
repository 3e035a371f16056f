"""Parts of flat arrays: what is taken apart and put together again is neither copied nor computed in parts."""

import numpy as np
import pytest

import hograd as ho
from hograd.program.capture import capture
from hograd.program.ir import evaluate
from hograd.program.passes import PASSES, dead_code, optimize
from hograd.program.ranges import ranges, views

RNG = np.random.default_rng(0)
FLAT = RNG.normal(size=12)
PLAIN = [name for name in PASSES if name not in ("ranges", "packing", "flattening", "recompute", "linear")]


def parts(flat, rows=3):
    return ho.reshape(flat[: 3 * rows], (rows, 3)), flat[3 * rows :]


def joined(*arrays):
    return ho.concatenate([ho.reshape(x, (-1,)) for x in arrays])


def changed(function, *values, by=ranges):
    """The program of a function before and after, which compute the same."""
    plain = optimize(capture(lambda *tensors: list(function(*tensors)), values, "f"), PLAIN)
    after = dead_code(by(plain))
    for y, e in zip(evaluate(after, values), evaluate(plain, values), strict=True):
        np.testing.assert_allclose(ho.as_tensor(y).numpy(), ho.as_tensor(e).numpy(), rtol=1e-14, atol=1e-14)
    return plain, after


def names(program):
    return [at.primitive.name for at in program.instructions]


def test_the_gradient_of_an_array_that_was_taken_apart_is_put_together():
    def f(flat):
        def loss(flat):
            weight, bias = parts(flat)
            return weight.sin().sum() + (bias**3).sum() + (flat * flat).sum()

        return [ho.func.grad(loss)(flat)]

    plain, after = changed(f, FLAT)
    assert names(plain).count("place") == 2
    assert "place" not in names(after)
    assert names(after).count("concatenate") == 1


@pytest.mark.parametrize("missing", ["a part", "all but one", "an overlap"])
def test_zeros_around_parts_that_are_not_the_whole_stay(missing):
    ends = {"a part": [(0, 4), (8, 12)], "all but one": [(0, 4)], "an overlap": [(0, 7), (5, 12)]}[missing]
    _, after = changed(lambda flat: [ho.func.grad(lambda x: sum((x[a:b] ** 3).sum() for a, b in ends))(flat)], FLAT)
    assert "concatenate" not in names(after)


def test_what_is_done_to_all_parts_is_done_to_the_whole():
    constants = ho.tensor(RNG.normal(size=(3, 3))), ho.tensor(RNG.normal(size=3))

    def f(weight, bias, flat, rate):
        first, second = parts(flat)
        return [
            joined(
                (weight.T @ weight - constants[0]) * rate + 0.5 * first,
                (weight.sum(0) - constants[1]) * rate + 0.5 * second,
            )
        ]

    weight = RNG.normal(size=(4, 3))
    plain, after = changed(f, weight, RNG.normal(size=3), FLAT, np.float64(0.3))
    assert sorted(names(plain)).count("mul") == 4
    assert [names(after).count(name) for name in ("sub", "add", "mul")] == [1, 1, 2]


def test_parts_that_are_computed_in_different_ways_stay_parts():
    _, after = changed(
        lambda flat: [joined(flat[:4] * 2.0, flat[4:] * 3.0), joined(flat[:4] + 1.0, flat[4:] - 1.0)], FLAT
    )
    assert names(after).count("concatenate") == 2


def test_arrays_from_elsewhere_are_not_copied_to_save_an_operation():
    values = [RNG.normal(size=5) for _ in range(4)]
    plain, after = changed(lambda a, b, c, d: [joined(a + b, c + d)], *values)
    assert names(after) == names(plain)


def test_what_lies_one_behind_the_other_is_a_view():
    def f(flat):
        weight, bias = parts(flat)
        bordered = ho.concatenate([weight, ho.reshape(bias, (1, 3))])
        return [bordered.sin(), joined(weight, bias).cos(), joined(weight[1], weight[2]).exp(), joined(weight[2], bias)]

    plain, after = changed(f, FLAT)
    assert names(plain).count("concatenate") == 4
    assert "concatenate" not in names(after)


def test_what_lies_in_another_order_is_copied():
    plain, after = changed(lambda flat: [joined(*parts(flat)[::-1]), joined(flat[:4], flat[5:])], FLAT)
    assert names(after).count("concatenate") == names(plain).count("concatenate") == 2


def test_a_part_of_what_was_joined_is_what_was_joined():
    def f(a, b):
        flat = joined(a, b)
        return [flat.sin(), flat[:6].reshape(2, 3).cos(), flat[6:].exp(), flat[7:8], flat[5:7], flat[0]]

    _, after = changed(f, RNG.normal(size=(2, 3)), RNG.normal(size=2))
    made = {at.output: at for at in after.instructions}
    whole = next(at.output for at in after.instructions if at.primitive.name == "concatenate")
    read = {
        name: made.get(at.operands[0])
        for name in ("cos", "exp")
        for at in after.instructions
        if at.primitive.name == name
    }
    assert read == {"cos": None, "exp": None}, "the cosine and the exponential are of the arguments themselves"
    assert whole in {at.operands[0] for at in after.instructions if at.primitive.name == "getitem"}


def test_views_of_steps_other_than_one_are_left_alone():
    changed(lambda flat: [joined(flat[0:6:2], flat[6:12:2]), joined(flat[::-1][:6], flat[::-1][6:])], FLAT, by=views)


def test_batches():
    def f(batch):
        def loss(flat):
            weight, bias = parts(flat)
            return weight.sin().sum() + (bias**3).sum()

        return [ho.func.vmap(ho.func.grad(loss))(batch)]

    _, after = changed(f, RNG.normal(size=(5, 12)))
    assert "place" not in names(after)
