"""`linearize`, `ggnvp` and `functional_call`."""

import numpy as np
import pytest

import hograd as ho
from hograd import func


def problem(seed):
    """A function of a tree, a point and a direction."""
    rng = np.random.default_rng(seed)
    w, b, v, c = (ho.tensor(rng.normal(size=s)) for s in [(3, 2), (2,), (3, 2), (2,)])
    x = ho.tensor(rng.normal(size=(4, 3)))

    def f(params):
        h = ho.tanh(x @ params["w"] + params["b"])
        return {"h": h, "norm": (h**2).sum()}

    return f, {"w": w, "b": b}, {"w": v, "b": c}


def close(a, b, rtol=1e-12):
    ho.tree.map(lambda x, y: np.testing.assert_allclose(x.detach(), y.detach(), rtol=rtol, atol=1e-14), a, b)


@pytest.mark.parametrize("seed", range(3))
def test_linearize_is_jvp_at_every_direction(seed):
    f, x, t = problem(seed)
    y, push = func.linearize(f, x)
    close(y, f(x))
    for scale in (1.0, -2.0, 0.0):
        direction = ho.tree.map(lambda v, scale=scale: v * scale, t)
        close(push(direction), func.jvp(f, (x,), (direction,))[1])


def test_linearize_runs_the_function_once():
    calls = []

    def f(x, y):
        calls.append(1)
        return x.sin() * y

    _, push = func.linearize(f, ho.tensor([1.0, 2.0]), ho.tensor(3.0))
    for t in (0.0, 1.0):
        push(ho.tensor([t, 1.0]), ho.tensor(t))
    assert len(calls) == 1


def test_linearize_of_a_constant_is_zero():
    _, push = func.linearize(lambda x: ho.tensor([1.0, 2.0]), ho.tensor(3.0))
    assert push(ho.tensor(5.0)).tolist() == [0.0, 0.0]


def test_linearize_maps_and_nests():
    f, x, t = problem(5)
    scalar = lambda p: f(p)["h"].sum(0)  # noqa: E731
    directions = ho.tree.stack([t, x])
    rows = ho.vmap(func.linearize(scalar, x)[1])(directions)
    close(rows, ho.stack([func.jvp(scalar, (x,), (d,))[1] for d in (t, x)]))
    nested = func.grad(lambda p: (func.linearize(scalar, p)[1](t) ** 2).sum())(x)
    close(nested, func.grad(lambda p: (func.jvp(scalar, (p,), (t,))[1] ** 2).sum())(x), rtol=1e-10)
    both = func.jvp(lambda p: func.linearize(scalar, p)[1](t), (x,), (t,))[1]
    close(both, func.jvp(lambda p: func.jvp(scalar, (p,), (t,))[1], (x,), (t,))[1], rtol=1e-10)


def test_linearize_checks_the_tangents():
    _, push = func.linearize(lambda x: x["a"] * 2, {"a": ho.tensor([1.0, 2.0])})
    with pytest.raises(ValueError, match=r"tangents\[0\]\['a'\] has shape \(3,\), expected \(2,\)"):
        push({"a": ho.zeros(3)})
    with pytest.raises(ValueError, match="tangents differs in structure"):
        push({"b": ho.zeros(2)})


@pytest.mark.parametrize("seed", range(3))
def test_ggnvp_is_the_product_of_the_matrices(seed):
    f, x, v = problem(seed)
    labels = ho.tensor([0, 1, 1, 0])
    model = lambda p: f(p)["h"]  # noqa: E731
    loss = lambda z: ho.cross_entropy(z, labels)  # noqa: E731
    flat, unravel = ho.tree.ravel(x)
    J = func.jacrev(lambda p: model(unravel(p)).reshape(-1))(flat)
    H = func.hessian(lambda z: loss(z.reshape(4, 2)))(model(x).reshape(-1))
    expected = J.T @ (H @ (J @ ho.tree.ravel(v)[0]))
    np.testing.assert_allclose(ho.tree.ravel(func.ggnvp(model, loss, x, v))[0], expected, rtol=1e-11, atol=1e-14)
    assert (ho.tree.ravel(v)[0] @ expected).item() >= 0


def test_ggnvp_of_a_linear_model_is_hvp_and_differentiates():
    rng = np.random.default_rng(0)
    a, x, v = ho.tensor(rng.normal(size=(4, 3))), ho.tensor(rng.normal(size=3)), ho.tensor(rng.normal(size=3))
    loss = lambda z: (z.exp()).sum()  # noqa: E731
    close(func.ggnvp(lambda p: a @ p, loss, x, v), func.hvp(lambda p: loss(a @ p), x, v))
    third = func.grad(lambda p: (func.ggnvp(lambda q: a @ q, loss, p, v) * v).sum())(x)
    close(third, func.grad(lambda p: (func.hvp(lambda q: loss(a @ q), p, v) * v).sum())(x))


def test_ggnvp_checks_the_vector():
    with pytest.raises(ValueError, match=r"tangents\[0\] has shape"):
        func.ggnvp(lambda x: x, lambda y: y.sum(), ho.ones(2), ho.ones(3))


class Line:
    def apply(self, params, x, *, shift=0.0):
        return params[0] * x + params[1] + shift


def test_functional_call():
    params = (ho.tensor(2.0), ho.tensor(1.0))
    assert func.functional_call(Line(), params, ho.tensor(3.0)).item() == 7.0
    assert func.functional_call(Line(), params, (ho.tensor(3.0),), {"shift": 1.0}).item() == 8.0
    assert func.functional_call(lambda p, x, y: p[0] * x + y, params, (ho.tensor(1.0), 5.0)).item() == 7.0
    gradient = func.grad(lambda p: func.functional_call(Line(), p, ho.tensor(3.0)))(params)
    assert [g.item() for g in gradient] == [3.0, 1.0]
