"""`func.jvp` and `hvp`: trees, auxiliary answers, closures, mistakes."""

import numpy as np
import pytest

import hograd as ho
from hograd.func import grad, hvp, jvp

X, V = ho.tensor([1.0, 2.0]), ho.tensor([1.0, 10.0])
LEAKED = []


def numbers(tree):
    return ho.tree.map(ho.Tensor.tolist, tree)


def test_trees_of_arguments_and_outputs():
    def f(x, p):
        return {"product": x * p["k"], "square": (p["k"] ** 2,)}

    value, tangent = jvp(f, (X, {"k": ho.tensor(3.0)}), (V, {"k": ho.tensor(100.0)}))
    assert numbers(value) == {"product": [3.0, 6.0], "square": (9.0,)}
    assert numbers(tangent) == {"product": [103.0, 230.0], "square": (600.0,)}


def test_outputs_that_do_not_depend_on_the_arguments():
    value, tangent = jvp(lambda x: (ho.tensor([5.0]), x.detach(), x), (X,), (V,))
    assert numbers(value) == ([5.0], [1.0, 2.0], [1.0, 2.0])
    assert numbers(tangent) == ([0.0], [0.0, 0.0], [1.0, 10.0])


def test_has_aux():
    value, tangent, aux = jvp(lambda x: (x * x, [x.sum(), "name"]), (X,), (V,), has_aux=True)
    assert numbers((value, tangent)) == ([1.0, 4.0], [2.0, 40.0])
    assert (aux[0].item(), aux[1]) == (3.0, "name")
    assert type(aux[0]) is ho.Tensor


def test_numbers_arrays_and_dtypes():
    assert numbers(jvp(lambda x: x**2, (3.0,), (np.float64(1.0),))) == (9.0, 6.0)
    value, tangent = jvp(lambda x: x * 2, (ho.tensor([1.0], dtype=ho.float32),), (np.array([1.5]),))
    assert (value.dtype, tangent.dtype, tangent.tolist()) == (ho.float32, ho.float32, [3.0])


def test_no_grad_inside_does_not_stop_forward_mode():
    def f(x):
        with ho.no_grad():
            return x**3

    assert numbers(jvp(f, (X,), (V,))[1]) == [3.0, 120.0]


def test_closure_and_arguments_that_require_grad_leave_the_result_differentiable():
    c = ho.tensor(3.0, requires_grad=True)
    x, v = X.clone().requires_grad_(), V.clone().requires_grad_()
    value, tangent = jvp(lambda x: c * x**2, (x,), (v,))
    assert numbers(ho.grad(tangent.sum(), (c, x, v), retain_graph=True)) == (42.0, [6.0, 60.0], [6.0, 12.0])
    assert numbers(ho.grad(value.sum(), (c, x))) == (5.0, [6.0, 12.0])


def test_hvp_on_a_tree_is_the_derivative_of_the_gradient_along_the_vector():
    def f(p):
        return (p["a"] ** 3 * p["b"][0].exp()).sum()

    rng = np.random.default_rng(0)
    x, v = ({"a": ho.tensor(rng.normal(size=3)), "b": [ho.tensor(rng.normal(size=3))]} for _ in range(2))
    step = 1e-6
    up, down = (grad(f)(ho.tree.map(lambda a, b, s=sign: a + s * step * b, x, v)) for sign in (1, -1))
    for found, high, low in zip(*map(ho.tree.leaves, (hvp(f, x, v), up, down)), strict=True):
        np.testing.assert_allclose(found.numpy(), ((high - low) / (2 * step)).numpy(), rtol=1e-8, atol=1e-8)


def test_hvp_of_a_quadratic_is_its_matrix():
    matrix = ho.tensor([[2.0, 1.0], [1.0, 5.0]])
    assert hvp(lambda x: x @ matrix @ x / 2, X, V).tolist() == [12.0, 51.0]


@pytest.mark.parametrize(
    ("call", "error", "phrase"),
    [
        (lambda: jvp(ho.sin, X, V), TypeError, "primals and tangents are tuples"),
        (lambda: jvp(ho.sin, (X,), (V, V)), TypeError, r"tangents\[1\] stands where nothing does"),
        (lambda: jvp(lambda x: x["a"], ({"a": X, "b": X},), ({"a": V},)), TypeError, r"where primals\[0\]\['b'\] does"),
        (lambda: jvp(ho.sin, (X,), (V[:1],)), RuntimeError, r"tangents\[0\] has shape \(1,\), expected \(2,\)"),
        (
            lambda: jvp(lambda x: x["a"], ({"a": X, "b": X},), ({"a": V, "b": V[0]},)),
            RuntimeError,
            r"tangents\[0\]\['b'\] has shape \(\), expected \(2,\)",
        ),
        (lambda: jvp(ho.sin, (ho.tensor([1]),), (V[:1],)), TypeError, r"primals\[0\] has dtype int64"),
        (lambda: jvp(lambda x: 1.0, (X,), (V,)), TypeError, "returned float at output 0"),
        (lambda: jvp(lambda x: LEAKED.append(x * 2) or x, (X,), (V,)) and LEAKED.pop() + 1, RuntimeError, "has ret"),
        (lambda: hvp(lambda x: x["a"].sum(), {"a": X}, {"c": X}), TypeError, r"\['c'\] stands where .*\['a'\] does"),
        (lambda: hvp(ho.sin, X, V), RuntimeError, "only for scalar outputs"),
    ],
)
def test_mistakes_name_the_leaf(call, error, phrase):
    with pytest.raises(error, match=phrase):
        call()


def test_imperative_grad_inside_points_to_the_transform():
    def f(x):
        return ho.grad((x * x).sum(), x)[0]

    x = X.clone().requires_grad_()
    with pytest.raises(RuntimeError, match=r"use func\.grad"):
        jvp(f, (x,), (V,))
    with pytest.raises(RuntimeError, match=r"use func\.grad"):
        jvp(lambda x: x.requires_grad_(), (X,), (V,))
