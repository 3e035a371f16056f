"""Functions with a derivative of their own whose forward or rule calls `grad`, `vjp` or `hessian` itself."""

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.errors import LevelError


def cube(x):
    return (x**3).sum()


@func.custom_jvp
def jvp_by_grad(x):
    return cube(x)


@jvp_by_grad.defjvp
def _(primals, tangents):
    (x,), (t,) = primals, tangents
    return jvp_by_grad(x), (func.grad(cube)(x) * t).sum()


@func.custom_jvp
def jvp_by_vjp(x):
    return cube(x)


@jvp_by_vjp.defjvp
def _(primals, tangents):
    (x,), (t,) = primals, tangents
    y, pull = func.vjp(cube, x)
    return y, (pull(ho.ones_like(y))[0] * t).sum()


@func.custom_vjp
def vjp_by_grad(x):
    return cube(x)


vjp_by_grad.defvjp(lambda x: (cube(x), x), lambda x, g: (g * func.grad(cube)(x),))


def forward_by_grad(x):
    return func.grad(lambda x: (x**4 / 4).sum())(x).sum()


@func.custom_vjp
def saves_a_hessian(x):
    return forward_by_grad(x)


saves_a_hessian.defvjp(
    lambda x: (forward_by_grad(x), func.hessian(lambda x: cube(x) / 6)(x)),
    lambda h, g: (g * 3 * ho.diagonal(h) ** 2,),
)


class ByGrad(ho.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return forward_by_grad(x)

    @staticmethod
    def backward(ctx, g):
        return g * func.grad(cube)(*ctx.saved_tensors)


class ByGradBothWays(ByGrad):
    @staticmethod
    def jvp(ctx, t):
        return (func.grad(cube)(*ctx.saved_tensors) * t).sum()


FUNCTIONS = {
    "custom_jvp, grad": jvp_by_grad,
    "custom_jvp, vjp": jvp_by_vjp,
    "custom_vjp, grad": vjp_by_grad,
    "custom_vjp, saved hessian": saves_a_hessian,
    "Function": ByGrad.apply,
    "Function with jvp": ByGradBothWays.apply,
}


def both(x):
    return ho.stack([x, 2 * x])


TRANSFORMS = {
    "grad": func.grad,
    "jacfwd": func.jacfwd,
    "jacfwd of grad": lambda f: func.jacfwd(func.grad(f)),
    "jacrev of grad": lambda f: func.jacrev(func.grad(f)),
    "jacfwd of jacfwd": lambda f: func.jacfwd(func.jacfwd(f)),
    "grad of jacfwd": lambda f: func.grad(lambda x: func.jacfwd(f)(x).sum()),
    "hvp": lambda f: lambda x: func.hvp(f, x, x),
    "jacfwd of jacfwd of grad": lambda f: func.jacfwd(func.jacfwd(func.grad(f))),
    "jacrev of jacfwd of grad": lambda f: func.jacrev(func.jacfwd(func.grad(f))),
    "jacfwd of jacrev of grad": lambda f: func.jacfwd(func.jacrev(func.grad(f))),
    "vmap of hessian": lambda f: lambda x: func.vmap(func.hessian(f))(both(x)),
    "vmap of jacfwd of grad": lambda f: lambda x: func.vmap(func.jacfwd(func.grad(f)))(both(x)),
    "grad of vmap of grad": lambda f: func.grad(lambda x: func.vmap(func.grad(f))(both(x)).sum()),
    "jacfwd of vmap of grad": lambda f: func.jacfwd(lambda x: func.vmap(func.grad(f))(both(x))),
    "hessian of vmap": lambda f: func.hessian(lambda x: func.vmap(f)(both(x)).sum()),
}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_is_what_it_is_without_a_rule(transform, function):
    x = ho.tensor(np.random.default_rng(0).normal(size=3))
    expected = TRANSFORMS[transform](cube)(x)
    found = TRANSFORMS[transform](FUNCTIONS[function])(x)
    assert found.level == 0
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12, atol=1e-12)


class Several(ho.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        place = ho.argmax(x)
        ctx.mark_non_differentiable(place)
        return x * w, x.sum(), place

    @staticmethod
    def backward(ctx, g, h, _):
        x, w = ctx.saved_tensors
        return g * w + h, g * x


def fixed(a):
    return ho.fixed_point(lambda x, a: ho.cos(a * x), ho.tensor(1.0), a)


def test_functions_that_go_through_the_elements_of_an_empty_batch():
    x, w = ho.zeros(0, 3, requires_grad=True), ho.ones(3, requires_grad=True)
    product, total, place = func.vmap(Several.apply, in_dims=(0, None))(x, w)
    assert [y.shape for y in (product, total, place)] == [(0, 3), (0,), (0,)]
    assert place.dtype == np.int64
    assert not place.requires_grad
    for g, leaf in zip(ho.grad(product.sum() + total.sum(), (x, w)), (x, w), strict=True):
        assert g.shape == leaf.shape
        assert not g.numpy().any()
    inner = func.vmap(func.hessian(lambda x: (Several.apply(x, x)[0] ** 2).sum()))(x.detach())
    assert inner.shape == (0, 3, 3)


def test_roots_of_an_empty_batch():
    assert func.vmap(fixed)(ho.zeros(0)).shape == (0,)
    assert func.vmap(func.grad(fixed))(ho.zeros(0)).shape == (0,)
    assert func.grad(lambda a: func.vmap(fixed)(a).sum())(ho.zeros(0)).shape == (0,)


def test_what_cannot_be_evaluated_on_zeros_says_so_for_an_empty_batch():
    class Reciprocal(ho.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            if not x.item():
                raise ZeroDivisionError("no reciprocal of 0")
            return 1 / x

    with pytest.raises(LevelError, match=r"Reciprocal.*none.*no reciprocal of 0.*Leave out batches of size 0"):
        func.vmap(Reciprocal.apply)(ho.zeros(0))
