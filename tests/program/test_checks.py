"""What depends on numbers is checked in every run of a compiled function: the error is the eager one."""

import numpy as np
import pytest

import hograd as ho
from hograd import func

T = ho.tensor
X = T(np.random.default_rng(0).normal(size=(5, 3)))
SQUARE = T(np.eye(3) * 2 + 0.1)

#: By name: a function, arguments that it takes, and some that it refuses.
CASES = {
    "cross_entropy": (
        ho.cross_entropy,
        (X, T([0, 2, 1, -100, 0])),
        [(X, T([0, 2, 3, 1, 0])), (X, T([0, -1, 1, 1, 0]))],
    ),
    "its gradient": (
        lambda x, i: func.grad(lambda x: ho.cross_entropy(x, i))(x),
        (X, T([0, 2, 1, 1, 0])),
        [(X, T([0, 2, 3, 1, 0]))],
    ),
    "nll_loss": (ho.nll_loss, (X, T([0, 2, 1, 1, 0])), [(X, T([0, 2, 3, 1, 0])), (X, T([0, -1, 1, 1, 0]))]),
    "multi_margin_loss": (ho.multi_margin_loss, (X, T([0, 2, 1, 1, 0])), [(X, T([0, -2, 1, 1, 0]))]),
    "multilabel_margin_loss": (ho.multilabel_margin_loss, (X, T([[0, -1, 1]] * 5)), [(X, T([[0, -2, 1]] * 5))]),
    "getitem": (lambda x, i: x[i], (X, T([0, -5])), [(X, T([0, 5])), (X, T([-6, 0]))]),
    "a number as index": (lambda x, i: x[i], (X, T(2)), [(X, T(5)), (X, T(-6))]),
    "its derivative": (lambda x, i: func.grad(lambda x: (x[i] ** 2).sum())(x), (X, T([0, 4])), [(X, T([0, 5]))]),
    "getitem of columns": (lambda x, i: x[:, i], (X, T([0, 2])), [(X, T([0, 3]))]),
    "take": (ho.take, (X, T([0, 14])), [(X, T([0, 15]))]),
    "gather": (lambda x, i: ho.gather(x, 1, i), (X, T([[0], [2]])), [(X, T([[0], [3]]))]),
    "take_along_axis": (lambda x, i: ho.take_along_axis(x, i, 1), (X, T([[0]] * 5)), [(X, T([[3]] * 5))]),
    "index_select": (lambda x, i: ho.index_select(x, 0, i), (X, T([0, 4])), [(X, T([0, 5]))]),
    "scatter": (lambda x, i: ho.scatter(x, 1, i, x), (X, T([[0], [2]])), [(X, T([[0], [3]]))]),
    "index_add": (lambda x, i: ho.index_add(x, 0, i, x[:2]), (X, T([0, 4])), [(X, T([0, 5]))]),
    "embedding": (lambda x, i: ho.embedding(i, x), (X, T([0, 4])), [(X, T([0, 5]))]),
    "one_hot": (lambda i: ho.one_hot(i, 3), (T([0, 2]),), [(T([0, 3]),), (T([0, -1]),)]),
    "quantile": (ho.quantile, (X, T(0.5)), [(X, T(1.5)), (X, T(-0.1))]),
    "multinomial": (
        lambda p: ho.multinomial(p, 2),
        (T([0.2, 0.3, 0.5]),),
        [(T([0.2, -0.3, 0.5]),), (T([0.0, 0.0, 1]),)],
    ),
    "gaussian_nll_loss": (ho.gaussian_nll_loss, (X, X, X * X), [(X, X, -X * X)]),
    "cov": (lambda x, w: ho.cov(x, aweights=w), (X, T([1.0, 2, 3])), [(X, T([1.0, -2, 3]))]),
    "max_unpool1d": (lambda x, i: ho.max_unpool1d(x, i, 2), (X, T([[0, 2, 4]] * 5)), [(X, T([[0, 2, -1]] * 5))]),
    "inv": (ho.linalg.inv, (SQUARE,), [(SQUARE * 0,)]),
    "solve": (lambda a: ho.linalg.solve(a, a), (SQUARE,), [(SQUARE * 0,)]),
    "cholesky": (ho.linalg.cholesky, (SQUARE,), [(-SQUARE,)]),
}


@pytest.mark.parametrize("place", ["function", "loop", "vmap"])
@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", CASES)
def test_refused_as_without_compile(name, backend, place):
    if backend == "native":
        pytest.importorskip("llvmlite")
    function, given, refused = CASES[name]
    f = function
    if place == "loop":
        f = lambda *args: ho.scan(lambda c, _, *args: (c, function(*args)), T(0.0), length=2, consts=args)[1]  # noqa: E731
    if place == "vmap":
        if name in ("a number as index", "quantile", "cov", "multinomial"):
            pytest.skip("not mapped")
        f = lambda *args: func.vmap(function)(*[ho.stack([x, x]) for x in args])  # noqa: E731
    compiled = ho.compile(f, backend=backend)
    compiled(*given)
    for args in refused:
        with pytest.raises(Exception) as expected:  # noqa: PT011
            f(*args)
        for again in (compiled, ho.compile(f, backend=backend)):
            with pytest.raises(type(expected.value)) as found:
                again(*args)
            assert type(found.value) is type(expected.value)
            assert str(found.value) == str(expected.value)
    compiled(*given)


def test_a_derivative_of_a_compiled_function():
    compiled = ho.compile(ho.cross_entropy)
    labels = T([0, 2, 3, 1, 0])
    with pytest.raises(IndexError, match="target class 3 is out of range, expected 0 to 2"):
        func.grad(compiled)(X, labels)
    leaf = X.clone().requires_grad_()
    with pytest.raises(IndexError, match="target class 3 is out of range"):
        compiled(leaf, labels)


def test_a_loop_with_labels_stays_machine_code():
    pytest.importorskip("llvmlite")

    def train(w, x, labels):
        def step(w, _, x, labels):
            return w - 0.1 * func.grad(lambda w: ho.cross_entropy(x @ w, labels))(w), None

        return ho.scan(step, w, length=3, consts=(x, labels))[0]

    args = T(np.ones((3, 2))), X, T([0, 1, 1, 0, 1])
    compiled = ho.compile(train, backend="native")
    np.testing.assert_allclose(compiled(*args).numpy(), train(*args).numpy(), rtol=1e-12)
    assert "icmp ugt" in compiled.source(*args)
    with pytest.raises(IndexError, match="cross_entropy: target class 2 is out of range"):
        compiled(*args[:2], T([0, 2, 1, 0, 1]))
