"""`autograd.functional`: what is expected here is what PyTorch 2.13 does."""

import pytest

import hograd as ho

functional = ho.autograd.functional

X, Y, V = ho.tensor([1.0, 2.0]), ho.tensor([3.0, 4.0]), ho.tensor([1.0, 10.0])


def numbers(tree):
    if isinstance(tree, tuple):
        return tuple(map(numbers, tree))
    return tree.tolist()


def form(x, y):
    return (x**2 * y).sum()


def test_jacobian_of_one_or_several():
    assert numbers(functional.jacobian(lambda x: x**2, X)) == [[2.0, 0.0], [0.0, 4.0]]
    assert numbers(functional.jacobian(lambda x: x**2, (X,))) == ([[2.0, 0.0], [0.0, 4.0]],)
    assert numbers(functional.jacobian(lambda x: (x.sum(), x * 2), X)) == ([1.0, 1.0], [[2.0, 0.0], [0.0, 2.0]])
    both = functional.jacobian(lambda x, y: (x * y, y.sum()), (X, Y))
    assert numbers(both) == (([[3.0, 0.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]]), ([0.0, 0.0], [1.0, 1.0]))
    assert functional.jacobian(lambda w: w @ X, ho.ones(3, 2)).shape == (3, 3, 2)
    assert numbers(functional.jacobian(lambda x: x**3, ho.tensor(2.0))) == 12.0


@pytest.mark.parametrize("options", [{}, {"vectorize": True}, {"vectorize": True, "strategy": "forward-mode"}], ids=str)
def test_jacobian_in_either_mode(options):
    assert numbers(functional.jacobian(lambda x: x.exp() * 0 + x**2, X, **options)) == [[2.0, 0.0], [0.0, 4.0]]


@pytest.mark.parametrize(
    "options", [{}, {"vectorize": True}, {"vectorize": True, "outer_jacobian_strategy": "forward-mode"}], ids=str
)
def test_hessian(options):
    assert numbers(functional.hessian(lambda x: (x**3).sum(), X, **options)) == [[6.0, 0.0], [0.0, 12.0]]
    assert numbers(functional.hessian(lambda x: (x**3).sum().reshape(1), X, **options)) == [[6.0, 0.0], [0.0, 12.0]]
    assert numbers(functional.hessian(form, (X, Y), **options)) == (
        ([[6.0, 0.0], [0.0, 8.0]], [[2.0, 0.0], [0.0, 4.0]]),
        ([[2.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]),
    )


def test_products():
    assert numbers(functional.vjp(lambda x: x**2, X, V)) == ([1.0, 4.0], [2.0, 40.0])
    assert numbers(functional.vjp(form, (X, Y))) == (19.0, ([6.0, 16.0], [1.0, 4.0]))
    assert numbers(functional.vjp(lambda x: (x**2, x.sum()), X, (V, ho.tensor(2.0))))[1] == [4.0, 42.0]
    assert numbers(functional.jvp(lambda x: x**2, X, V)) == ([1.0, 4.0], [2.0, 40.0])
    assert numbers(functional.jvp(lambda x: x**2, ho.tensor(3.0))) == (9.0, 6.0)
    assert numbers(functional.jvp(lambda x, y: (x * y, x), (X, Y), (V, X))) == (
        ([3.0, 8.0], [1.0, 2.0]),
        ([4.0, 44.0], [1.0, 10.0]),
    )
    for product in (functional.hvp, functional.vhp):
        assert numbers(product(lambda x: (x**3).sum(), X, V)) == (9.0, [6.0, 120.0])
        assert numbers(product(form, (X, Y), (ho.ones(2), ho.zeros(2)))) == (19.0, ([6.0, 8.0], [2.0, 4.0]))
        assert numbers(product(lambda x: (x**3).sum().reshape(1), X, V)) == ([9.0], [6.0, 120.0])
        assert numbers(product(lambda x: x**3, ho.tensor(2.0))) == (8.0, 12.0)


CALLS = {
    "jacobian": lambda x, c, **flags: functional.jacobian(lambda x: x**3 * c, x, **flags).sum(),
    "hessian": lambda x, c, **flags: functional.hessian(lambda x: (x**3 * c).sum(), x, **flags).sum(),
    "vjp": lambda x, c, **flags: functional.vjp(lambda x: x**3 * c, x, V, **flags)[1].sum(),
    "jvp": lambda x, c, **flags: functional.jvp(lambda x: x**3 * c, x, V, **flags)[1].sum(),
    "hvp": lambda x, c, **flags: functional.hvp(lambda x: (x**3 * c).sum(), x, V, **flags)[1].sum(),
    "vhp": lambda x, c, **flags: functional.vhp(lambda x: (x**3 * c).sum(), x, V, **flags)[1].sum(),
}

#: The derivative of each of those by x and by c at x = [1, 2], c = 2.
SLOPES = {
    "jacobian": ([12.0, 24.0], 15.0),
    "hessian": ([12.0, 12.0], 18.0),
    "vjp": ([12.0, 240.0], 123.0),
    "jvp": ([12.0, 240.0], 123.0),
    "hvp": ([12.0, 120.0], 126.0),
    "vhp": ([12.0, 120.0], 126.0),
}


@pytest.mark.parametrize("mode", [True, False], ids=["grad mode", "no_grad"])
@pytest.mark.parametrize("name", CALLS)
def test_create_graph(name, mode):
    x, c = X.clone().requires_grad_(), ho.tensor(2.0, requires_grad=True)
    with ho.set_grad_enabled(mode):
        constant, recorded = (CALLS[name](x, c, create_graph=flag) for flag in (False, True))
        assert ho.is_grad_enabled() is mode
    assert not constant.requires_grad
    assert recorded.requires_grad is mode
    if not mode:  # the sum at the end of each call is not recorded under no_grad
        return
    assert numbers(ho.autograd.grad(recorded, (x, c))) == SLOPES[name]
    assert x.grad is None


def test_create_graph_under_no_grad():
    x = X.clone().requires_grad_()
    with ho.no_grad():
        jacobian = functional.jacobian(lambda x: x**3, x, create_graph=True)
        value, product = functional.vjp(lambda x: x**3, x, V, create_graph=True)
    assert numbers(ho.autograd.grad(jacobian.sum(), x)) == ([6.0, 12.0],)
    assert value.requires_grad
    assert numbers(ho.autograd.grad(product.sum(), x)) == ([6.0, 120.0],)


INDEPENDENT = {
    "jacobian": lambda **flags: functional.jacobian(lambda x, y: x * 2, (X, Y), **flags)[1],
    "jacobian of a constant": lambda **flags: functional.jacobian(lambda x: ho.ones(2), X, **flags),
    "vjp": lambda **flags: functional.vjp(lambda x: ho.ones(2), X, V, **flags)[1],
    "jvp": lambda **flags: functional.jvp(lambda x: ho.ones(2), X, V, **flags)[1],
    "hessian": lambda **flags: functional.hessian(lambda x: x.sum(), X, **flags),
    "hvp": lambda **flags: functional.hvp(lambda x: x.sum(), X, V, **flags)[1],
    "vhp": lambda **flags: functional.vhp(lambda x: x.sum(), X, V, **flags)[1],
}


@pytest.mark.parametrize("name", INDEPENDENT)
def test_strict(name):
    assert not INDEPENDENT[name]().any()
    with pytest.raises(RuntimeError, match="is independent of .*not allowed in strict mode"):
        INDEPENDENT[name](strict=True)


def test_strict_lets_through_what_depends_on_everything():
    x = X.clone().requires_grad_()
    assert numbers(functional.jacobian(lambda x: x**2, x, strict=True)) == [[2.0, 0.0], [0.0, 4.0]]
    assert numbers(functional.hessian(lambda x: (x**3).sum(), x, strict=True)) == [[6.0, 0.0], [0.0, 12.0]]
    assert numbers(functional.hvp(lambda x: (x**3).sum(), x, V, strict=True)[1]) == [6.0, 120.0]
    assert x.grad is None


def test_inside_a_transform():
    def f(x):
        return functional.hessian(lambda x: (x**4).sum(), x, create_graph=True).sum()

    assert ho.func.grad(f)(X).tolist() == [24.0, 48.0]
    assert ho.func.vmap(f)(ho.stack([X, Y])).tolist() == [60.0, 300.0]


@pytest.mark.parametrize(
    ("call", "error", "phrase"),
    [
        (
            lambda: functional.vjp(lambda x: x**2, X),
            RuntimeError,
            "vector v can only be None if the user-provided function ret",
        ),
        (lambda: functional.jvp(lambda x: x**2, X), RuntimeError, "vector v can only be None if the input to the"),
        (lambda: functional.hvp(lambda x: x.sum(), X), RuntimeError, "vector v can only be None if the input to the"),
        (lambda: functional.vhp(lambda x: x.sum(), X), RuntimeError, "vector v can only be None if the input to the"),
        (lambda: functional.hessian(lambda x: x, X), RuntimeError, "function given to hessian should contain a single"),
        (lambda: functional.hvp(lambda x: x, X, V), RuntimeError, "function given to hvp should contain a single"),
        (lambda: functional.vhp(lambda x: (x.sum(),), X, V), RuntimeError, "given to vhp should contain a single"),
        (
            lambda: functional.jacobian(lambda x: 3.0, X),
            TypeError,
            "outputs .* given to jacobian must be either a Tensor",
        ),
        (
            lambda: functional.jacobian(lambda x: x, [1.0]),
            TypeError,
            "inputs given to jacobian must be either a Tensor",
        ),
        (lambda: functional.jacobian(lambda x: x, ho.tensor([1, 2])), RuntimeError, "floating point"),
        (lambda: functional.vjp(lambda x: x, X, ho.ones(3)), RuntimeError, r"v.* has invalid size: should be .*2"),
        (lambda: functional.vjp(lambda x: x, X, (V, V)), RuntimeError, "v has 2 tensors, expected 1"),
        (lambda: functional.jacobian(lambda x: x, X, strategy="both"), ValueError, "strategy is 'both', expected"),
    ],
)
def test_mistakes(call, error, phrase):
    with pytest.raises(error, match=phrase):
        call()
