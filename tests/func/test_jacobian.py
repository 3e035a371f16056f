"""`jacrev`, `jacfwd` and `hessian` against closed forms and one another, on trees."""

import numpy as np
import pytest

import hograd as ho
from hograd.func import grad, hessian, jacfwd, jacrev, vmap

rng = np.random.default_rng(0)
X, W = ho.tensor(rng.normal(size=3)), ho.tensor(rng.normal(size=(2, 3)))


def close(found, expected):
    assert ho.tree.structure(found) == ho.tree.structure(expected)
    for a, b in zip(ho.tree.leaves(found), ho.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.fixture(params=[jacrev, jacfwd], ids=["jacrev", "jacfwd"])
def jacobian(request):
    return request.param


def test_closed_form(jacobian):
    expected = (1 - (W @ X).tanh() ** 2)[:, None] * W
    close(jacobian(lambda x: (W @ x).tanh())(X), expected)
    close(jacobian(lambda w, x: (w @ x).tanh(), argnums=1)(W, X), expected)
    close(jacobian(lambda w, x: (w @ x).tanh(), argnums=(1,))(W, X), (expected,))


def test_shapes_of_matrices_and_scalars(jacobian):
    close(jacobian(lambda w: w @ X)(W), ho.einsum("ij,k->ijk", ho.eye(2), X))
    close(jacobian(lambda w: w.T)(W), ho.einsum("ik,jl->jikl", ho.eye(2), ho.eye(3)))
    close(jacobian(lambda x: (x * x).sum())(X), 2 * X)
    close(jacobian(lambda s: s * X)(ho.tensor(2.0)), X)
    close(jacobian(lambda s: s**3)(ho.tensor(2.0)), ho.tensor(12.0))
    assert jacobian(lambda x: x[:0])(X).shape == (0, 3)
    assert jacobian(lambda x: x)(X[:0]).shape == (0, 0)


def test_trees_of_outputs_and_inputs(jacobian):
    def f(p, s):
        return {"y": p["w"] @ p["x"] * s, "z": (p["x"].sum() ** 2,)}

    p, s = {"x": X, "w": W}, ho.tensor(3.0)
    y = jacobian(f, argnums=(0, 1))(p, s)["y"]
    close(y, ({"x": 3 * W, "w": 3 * ho.einsum("ij,k->ijk", ho.eye(2), X)}, W @ X))
    z = jacobian(f)(p, s)["z"]
    close(z, ({"x": (2 * X.sum()) * ho.ones(3), "w": ho.zeros(2, 3)},))


def test_outputs_that_do_not_depend_on_the_input(jacobian):
    close(jacobian(lambda x: (ho.ones(2), x.detach(), x * 2))(X), (ho.zeros(2, 3), ho.zeros(3, 3), 2 * ho.eye(3)))


def test_dtype(jacobian):
    found = jacobian(lambda x: (x * x, x.sum()))(ho.tensor([1.0, 2.0], dtype=ho.float32))
    assert [block.dtype for block in found] == [ho.float32, ho.float32]


def test_in_a_vmap_and_differentiated(jacobian):
    def f(x):
        return (W @ x).sin()

    xs = ho.tensor(rng.normal(size=(4, 3)))
    close(vmap(jacobian(f))(xs), ho.stack([jacobian(f)(x) for x in xs]))
    close(jacobian(lambda x: jacobian(f)(x))(X), -ho.einsum("i,ij,ik->ijk", (W @ X).sin(), W, W))
    close(grad(lambda x: jacobian(f)(x).sum())(X), -ho.einsum("i,ij,ik->k", (W @ X).sin(), W, W))
    x = X.clone().requires_grad_()
    close(ho.grad(jacobian(f)(x).sum(), x)[0], -ho.einsum("i,ij,ik->k", (W @ X).sin(), W, W))


@pytest.mark.parametrize("outer", [jacrev, jacfwd])
@pytest.mark.parametrize("inner", [jacrev, jacfwd, grad])
def test_hessian_in_every_composition(outer, inner):
    def f(x):
        return (x**3).prod() + x.sum().exp()

    y, e = (X**3).prod(), X.sum().exp()
    expected = 9 * y / X[:, None] / X[None] - ho.eye(3) * 3 * y / X / X + e
    close(outer(inner(f))(X), expected)
    close(hessian(f)(X), expected)
    close(vmap(outer(inner(f)))(ho.stack([X, X + 1]))[0], expected)


def test_hessian_on_trees():
    def f(p, s):
        return s * (p["x"] ** 2 * p["k"] ** 3).sum()

    p, s = {"k": ho.tensor(2.0), "x": X}, ho.tensor(5.0)
    blocks = hessian(f)(p, s)
    close(
        blocks,
        {
            "k": {"k": 5 * 12 * (X**2).sum(), "x": 5 * 2 * 12 * X},
            "x": {"k": 5 * 2 * 12 * X, "x": 5 * 2 * 8 * ho.eye(3)},
        },
    )
    both = hessian(f, argnums=(0, 1))(p, s)
    close({name: both[0][name][0] for name in p}, blocks)
    close({name: both[0][name][1] for name in p}, {"k": 12 * (X**2).sum(), "x": 16 * X})
    close(both[1], ({"k": 12 * (X**2).sum(), "x": 16 * X}, ho.tensor(0.0)))


def test_hessian_of_a_mapped_function():
    xs = ho.tensor(rng.normal(size=(4, 2)))

    def f(w):
        return vmap(lambda x: (w @ x).sin())(xs).sum()

    w = ho.tensor(rng.normal(size=2))
    close(hessian(f)(w), -ho.einsum("n,ni,nj->ij", (xs @ w).sin(), xs, xs))


def test_hessian_of_third_derivatives():
    third = jacrev(hessian(lambda x: (x**4).sum()))(X)
    expected = ho.zeros(3, 3, 3)
    for i in range(3):
        expected[i, i, i] = 24 * X[i]
    close(third, expected)


def test_mistakes(jacobian):
    with pytest.raises(TypeError, match="int64"):
        jacobian(lambda x: x)(ho.tensor([1, 2]))
    with pytest.raises(TypeError, match="returned float"):
        jacobian(lambda x: 1.0)(X)
    with pytest.raises(ValueError, match="argnums is 2"):
        jacobian(lambda x: x, 2)(X)
