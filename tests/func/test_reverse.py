"""`func.grad`, `grad_and_value` and `vjp`: trees, argument numbers, auxiliary answers, closures, mistakes."""

import numpy as np
import pytest

import hograd as ho
from hograd.func import grad, grad_and_value, vjp

X = ho.tensor([1.0, 2.0])


def numbers(tree):
    return ho.tree.map(ho.Tensor.tolist, tree)


def product(x, y):
    return (x * y * y).sum()


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (0, [9.0, 16.0]),
        (1, [6.0, 16.0]),
        (-1, [6.0, 16.0]),
        ((0,), ([9.0, 16.0],)),
        ((1, 0), ([6.0, 16.0], [9.0, 16.0])),
        ([0, 1], ([9.0, 16.0], [6.0, 16.0])),
    ],
    ids=str,
)
def test_argument_numbers(argnums, expected):
    y = ho.tensor([3.0, 4.0])
    assert numbers(grad(product, argnums)(X, y)) == expected
    assert numbers(grad_and_value(product, argnums=argnums)(X, y)) == (expected, 41.0)


def test_trees_of_every_kind():
    params = {"w": [X, (ho.tensor(3.0),)], "b": None, "c": ho.tensor([[1.0]], dtype=ho.float32)}

    def f(p):
        return (p["w"][0] * p["w"][1][0]).sum() + p["c"].sum() ** 2

    gradient = grad(f)(params)
    assert numbers(gradient) == {"w": [[3.0, 3.0], (3.0,)], "b": None, "c": [[2.0]]}
    assert gradient["c"].dtype == ho.float32


def test_other_arguments_are_passed_on():
    def f(x, mode, *rest, scale=1.0):
        assert mode == "sum"
        return (x * scale).sum() + rest[0]

    assert grad(f)(X, "sum", 5.0, scale=3.0).tolist() == [3.0, 3.0]
    assert grad(f).__name__ == "f"


@pytest.mark.parametrize("x", [3.0, np.float64(3.0), np.array(3.0), ho.tensor(3.0)], ids=lambda x: type(x).__name__)
def test_numbers_and_arrays_as_arguments(x):
    (gradient, value) = grad_and_value(lambda x: x**2)(x)
    assert (gradient.item(), value.item()) == (6.0, 9.0)
    assert isinstance(gradient, ho.Tensor)


def test_has_aux():
    def f(x):
        y = x * x
        return y.sum(), {"y": y, "name": "square", "n": 2}

    gradient, aux = grad(f, has_aux=True)(X)
    assert (gradient.tolist(), aux["y"].tolist(), aux["name"], aux["n"]) == ([2.0, 4.0], [1.0, 4.0], "square", 2)
    assert not aux["y"].requires_grad
    gradient, (value, aux) = grad_and_value(f, has_aux=True)(X)
    assert (value.item(), aux["y"].tolist()) == (5.0, [1.0, 4.0])
    y, pull, aux = vjp(lambda x: (x * x, x.sum()), X, has_aux=True)
    assert (y.tolist(), aux.item(), pull(X)[0].tolist()) == ([1.0, 4.0], 3.0, [2.0, 8.0])


def test_argument_that_is_not_used_gets_zeros():
    assert numbers(grad(lambda x, y: y.sum() * 2, (0, 1))(X, X)) == ([0.0, 0.0], [2.0, 2.0])
    assert grad(lambda x: ho.tensor(3.0))(X).tolist() == [0.0, 0.0]
    assert numbers(vjp(lambda x, y: x, X, ho.tensor(1.0))[1](X)) == ([1.0, 2.0], 0.0)


def test_argument_returned_as_it_is():
    assert grad(lambda x: x)(ho.tensor(2.0)).item() == 1.0
    y, pull = vjp(lambda x: x, X)
    assert pull(ho.tensor([3.0, 4.0]))[0].tolist() == [3.0, 4.0]
    assert y.tolist() == X.tolist()


def test_caller_sees_constants_and_its_tensors_unchanged():
    x = ho.tensor([1.0, 2.0])
    gradient, value = grad_and_value(lambda x: (x * x).sum())(x)
    assert not gradient.requires_grad
    assert not value.requires_grad
    assert not x.requires_grad
    assert x.grad is None


def test_vjp_of_several_arguments_and_outputs():
    y, pull = vjp(lambda x, p: {"a": x * p["k"], "b": p["k"] ** 2}, X, {"k": ho.tensor(3.0)})
    assert numbers(y) == {"a": [3.0, 6.0], "b": 9.0}
    cotangents = {"a": ho.tensor([1.0, 10.0]), "b": ho.tensor(100.0)}
    assert numbers(pull(cotangents)) == ([3.0, 30.0], {"k": 1 + 20 + 600.0})
    cotangents["b"] = ho.tensor(0.0)
    assert numbers(pull(cotangents)) == ([3.0, 30.0], {"k": 21.0})


def test_vjp_takes_arrays_numbers_and_other_dtypes():
    _, pull = vjp(lambda x: (x * x, x.sum()), ho.tensor([1.0, 2.0], dtype=ho.float32))
    (pulled,) = pull((np.array([1.0, 10.0]), 5.0))
    assert (pulled.dtype, pulled.tolist()) == (ho.float32, [7.0, 45.0])


def test_closure_that_requires_grad_leaves_the_result_differentiable():
    c = ho.tensor(3.0, requires_grad=True)
    gradient, value = grad_and_value(lambda x: c * c * (x**3).sum())(X)
    assert gradient.requires_grad
    assert value.requires_grad
    (gradient * ho.tensor([1.0, 10.0])).sum().backward(retain_graph=True)
    assert c.grad.item() == 6 * 3 * (1 + 40)
    assert ho.grad(value, c)[0].item() == 6 * 9
    y, pull = vjp(lambda x: c * x, X)
    assert ho.grad(pull(ho.tensor([1.0, 1.0]))[0].sum(), c)[0].item() == 2.0
    assert ho.grad(y.sum(), c)[0].item() == 3.0


def test_argument_that_requires_grad_leaves_the_result_differentiable():
    x = ho.tensor([1.0, 2.0], requires_grad=True)
    gradient = grad(lambda x: (x**3).sum())(x)
    gradient.sum().backward()
    assert x.grad.tolist() == [6.0, 12.0]
    with ho.no_grad():
        assert not grad(lambda x: (x**3).sum())(x).requires_grad


def test_imperative_grad_inside():
    def f(x):
        (g,) = ho.grad((x**3).sum(), x, create_graph=True)
        return (g * x).sum()

    assert grad(f)(X).tolist() == [9.0, 36.0]


def test_imperative_training_of_an_inner_leaf():
    def f(x):
        w = ho.tensor(2.0, requires_grad=True)
        loss = w**3 * x
        (g,) = ho.grad(loss, w)
        return g.detach() * x + (w * 5).detach()

    assert grad(f)(ho.tensor(3.0)).item() == 36.0


def test_inner_leaf_whose_graph_was_freed_and_that_is_used_again():
    def f(x):
        w = ho.tensor(2.0, requires_grad=True)
        cube = w**3
        (g,) = ho.grad(cube, w)
        return x * g + cube

    assert grad(f)(ho.tensor(3.0)).item() == 12.0


def test_inner_backward_fills_the_inner_leaf_only():
    def f(x):
        w = ho.tensor(2.0, requires_grad=True)
        (w * w * x).backward(inputs=[w])
        return w.grad.detach() * x

    x = ho.tensor(3.0)
    assert grad(f)(x).item() == 12.0
    assert x.grad is None


@pytest.mark.parametrize(
    ("call", "error", "phrase"),
    [
        (lambda: grad(lambda x: x)(X), RuntimeError, r"only for scalar outputs: <lambda> returned shape \(2,\)"),
        (lambda: grad(lambda x: x[:1])(X), RuntimeError, r"only for scalar outputs: <lambda> returned shape \(1,\)"),
        (lambda: grad(lambda x: 2.0)(X), TypeError, "<lambda> returned float, expected a scalar tensor"),
        (lambda: grad(lambda x: (x, x))(X), TypeError, "<lambda> returned tuple, expected a scalar tensor"),
        (lambda: grad(lambda x: x, has_aux=True)(X), RuntimeError, "has_aux=True must return .output, aux."),
        (lambda: grad(lambda x: x.sum())(ho.tensor([1])), TypeError, "argument has dtype int64"),
        (lambda: grad(lambda x: x["a"])({"a": ho.tensor(1)}), TypeError, r"argument\['a'\] has dtype int64"),
        (lambda: grad(lambda x: x)(1), TypeError, "argument is int 1, expected a floating tensor"),
        (lambda: grad(lambda x: x[0])([1.0, True]), TypeError, r"argument\[1\] is bool True"),
        (lambda: grad(lambda x: x[0])([1.0, "a"]), TypeError, r"argument\[1\] is str 'a'"),
        (lambda: grad(lambda x: x, 1)(X), ValueError, "argnums is 1, but the function was called with 1"),
        (lambda: grad(lambda x: x, (0, -2))(X), ValueError, "argnums is .0, -2."),
        (lambda: vjp(lambda x: 2.0, X), TypeError, "returned float at output 0, expected tensors only"),
    ],
)
def test_mistakes(call, error, phrase):
    with pytest.raises(error, match=phrase):
        call()


@pytest.mark.parametrize(
    ("cotangents", "error", "phrase"),
    [
        (lambda: X, TypeError, r"cotangents stands where output\['a'\] does"),
        (lambda: {"a": X}, TypeError, r"nothing stands where output\['b'\] does"),
        (lambda: {"a": X, "c": X}, TypeError, r"cotangents\['c'\] stands where output\['b'\] does"),
        (lambda: {"a": X, "b": X}, RuntimeError, r"cotangents\['b'\] has shape \(2,\), expected \(\)"),
    ],
    ids=["no dict", "leaf missing", "other leaf", "shape"],
)
def test_cotangents_that_do_not_fit_name_the_leaf(cotangents, error, phrase):
    _, pull = vjp(lambda x: {"a": x, "b": x.sum()}, X)
    with pytest.raises(error, match=phrase):
        pull(cotangents())
