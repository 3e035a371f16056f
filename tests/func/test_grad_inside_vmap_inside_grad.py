"""Reverse derivatives inside maps inside reverse derivatives, against loops in forward mode."""

import numpy as np
import pytest

import hograd as ho
from hograd.func import grad, jacrev, jvp, vjp, vmap

ONE = ho.tensor(1.0)
VALUES = ho.tensor([0.3, -0.8, 1.1])


def reverse(f):
    return grad(f)


def by_pull(f):
    return lambda x: vjp(f, x)[1](ONE)[0]


def by_rows(f):
    return lambda x: jacrev(f)(x)


def by_pull_inside_a_map(f):
    def derivative(x):
        _, pull = vjp(f, x)
        return vmap(pull)(ho.stack([x, ONE]))[0][1]

    return derivative


def by_pull_inside_a_derivative(f):
    def derivative(x):
        _, pull = vjp(f, x)
        # The pull is linear, so its derivative by the cotangent is the derivative of f, whatever the cotangent.
        return grad(lambda g: pull(g)[0])(x)

    return derivative


def by_pull_inside_a_jvp(f):
    def derivative(x):
        _, pull = vjp(f, x)
        return jvp(lambda g: pull(g)[0], (x,), (ONE,))[1]

    return derivative


def forward(f):
    return lambda x: jvp(f, (x,), (ONE,))[1]


def mapped(f, values):
    return vmap(f)(values).sum()


def mapped_with_shared(f, values):
    """The same by two arguments, one of which is not mapped."""
    return vmap(lambda v, zero: f(v + zero), (0, None))(values, ho.tensor(0.0)).sum()


def looped(f, values):
    return sum(f(values[i]) for i in range(len(VALUES)))


POINTS = {
    "newest": lambda seen: seen[-1],
    "oldest": lambda seen: seen[0],
    "constant": lambda seen: ho.tensor(0.4),
    "product": lambda seen: seen[0] * seen[-1],
}

MAPPED = {
    "constants": lambda seen: VALUES,
    "values that depend on the newest": lambda seen: VALUES * seen[-1],
}


def evaluate(levels, seen, differentiate, map_over, point, values):
    """A number made of all variables seen so far, under the transforms that `levels` names, outermost first."""
    if not levels:
        answer = ONE
        for i, x in enumerate(seen):
            answer = answer * (x * (1 + 0.3 * i) + 0.5).sin() + x**2
        return answer
    rest = levels[1:]

    def inside(x):
        return evaluate(rest, [*seen, x], differentiate, map_over, point, values)

    if levels[0] == "v":
        return map_over(inside, values(seen)) * seen[0]
    derivative = (forward if levels[0] == "j" else differentiate)(inside)
    return derivative(point(seen)) * seen[-1] + seen[0]


NESTINGS = ["gg", "gvg", "gvvg", "vgg", "vgvg", "gvgvg", "ggvgg", "gvgg", "jgvg", "gvjg", "gjvg", "gvgj", "vvgvg"]
DERIVATIVES = [reverse, by_pull, by_rows, by_pull_inside_a_map, by_pull_inside_a_derivative, by_pull_inside_a_jvp]


@pytest.mark.parametrize("values", MAPPED)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("levels", NESTINGS)
def test_agrees_with_loops_in_forward_mode(levels, point, values):
    start = ho.tensor(0.7)
    expected = evaluate(levels, [start], forward, looped, POINTS[point], MAPPED[values]).item()
    for map_over in (mapped, mapped_with_shared):
        found = evaluate(levels, [start], reverse, map_over, POINTS[point], MAPPED[values])
        assert found.item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("levels", ["gg", "gvg", "vgg", "gvvg", "vgvg", "gvgj", "gjvg"])
@pytest.mark.parametrize("differentiate", DERIVATIVES[1:])
def test_every_way_to_take_the_inner_derivatives(differentiate, levels, point):
    values = MAPPED["values that depend on the newest"]
    start = ho.tensor(0.7)
    expected = evaluate(levels, [start], forward, looped, POINTS[point], values).item()
    found = evaluate(levels, [start], differentiate, mapped, POINTS[point], values)
    assert found.item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("differentiate", DERIVATIVES)
@pytest.mark.parametrize("levels", ["g", "vg", "gvg", "vgvg"])
def test_on_the_eager_tape(levels, differentiate):
    """The same under `backward` twice, instead of a transform around it."""
    start = ho.tensor(0.7, requires_grad=True)
    values = MAPPED["values that depend on the newest"]

    def f(x, derivative, map_over):
        return evaluate(levels, [x], derivative, map_over, POINTS["newest"], values)

    (slope,) = ho.grad(f(start, differentiate, mapped), start, create_graph=True)
    (curvature,) = ho.grad(slope, start)
    constant = start.detach()
    expected = forward(lambda x: f(x, forward, looped))
    assert slope.item() == pytest.approx(expected(constant).item(), rel=1e-12)
    assert curvature.item() == pytest.approx(forward(expected)(constant).item(), rel=1e-12)


@pytest.mark.parametrize("argnums", [(0, 1, 2, 3), (3, 0), (1,), (2,), (0,)], ids=str)
@pytest.mark.parametrize("outside", [grad, lambda f: f, jacrev, forward], ids=["grad", "nothing", "jacrev", "jvp"])
def test_arguments_that_the_outer_the_inner_both_or_neither_map_maps(outside, argnums):
    rng = np.random.default_rng(0)
    by_outer, by_inner, by_neither = (ho.tensor(rng.normal(size=shape)) for shape in ((4, 3), (5, 3), (3,)))
    by_both = ho.tensor(rng.normal(size=(5, 3, 4)))

    def slopes(s, *args):
        def f(u, v, w, c):
            return (u * s).sin() @ v * (w * w * s).sum() + (u * c * v).sum() * s

        return sum((g * g).sum() for g in grad(f, argnums)(*args))

    def mapped(s):
        inside = vmap(lambda *args: slopes(s, *args), (None, 0, 0, None))
        return vmap(inside, (0, None, 2, None))(by_outer, by_inner, by_both, by_neither).sum()

    def looped(s):
        pairs = [(i, j) for i in range(4) for j in range(5)]
        return sum(slopes(s, by_outer[i], by_inner[j], by_both[j, :, i], by_neither) for i, j in pairs)

    s = ho.tensor(0.6)
    assert outside(mapped)(s).item() == pytest.approx(outside(looped)(s).item(), rel=1e-12)


def test_constant_of_an_outer_map_as_the_point_of_the_inner_derivative():
    xs = ho.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

    def f(x):
        # d/ds [ sum_j s^2 d/dz (s z^2) at z = x_j ] = d/ds 2 s^3 sum x = 6 s^2 sum x
        return grad(lambda s: (s * s * grad(lambda z: (s * z * z).sum())(x)).sum())(ho.tensor(2.0))

    assert vmap(f)(xs).tolist() == [72.0, 168.0, 264.0]


def test_pull_used_after_the_tape_was_left_and_many_times():
    def outer(x):
        y, pull = vjp(lambda x: x**3, x)
        first = [pull(ho.tensor(k))[0] for k in (1.0, 2.0)]
        with ho.no_grad():
            constant = pull(ONE)[0]
        return first[0] * first[1] + constant * y

    # 18 x^4 + c x^3 with c = 3 x^2
    assert outer(ho.tensor(2.0)).item() == 18 * 16 + 12 * 8
    assert grad(outer)(ho.tensor(2.0)).item() == 72 * 8 + 12 * 12
    assert vmap(grad(outer))(ho.tensor([2.0, 2.0])).tolist() == [720.0, 720.0]


def test_values_of_the_inner_function_stay_on_the_outer_tape():
    def outer(x):
        slope, (value, aux) = ho.func.grad_and_value(lambda y: (y * y * x, [y * x]), has_aux=True)(x)
        return slope * value * aux[0]  # 2 x^2 . x^3 . x^2

    assert grad(outer)(ho.tensor(2.0)).item() == 14 * 64


def test_no_grad_around_the_inner_transform():
    def outer(x):
        with ho.no_grad():
            slopes = vmap(lambda v: grad(lambda y: x * y**3)(v))(ho.stack([x, x]))
        return (slopes * x).sum()

    # slopes are the constants 3 c^3
    assert grad(outer)(ho.tensor(2.0)).item() == 48.0
