"""`autograd.Function` under vmap: its own rule, its forward on whole batches, or a loop."""

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.autograd import Function
from hograd.errors import ArgumentError, GradientError, LevelError

from .functions import Dropped, Exp, Generated, OwnRule, Separate


def test_vmap_over_one_argument_and_other_axes():
    x, y = ho.randn(3, 2), ho.randn(2)
    for cls in (Separate, Generated):
        assert ho.allclose(ho.vmap(cls.apply, in_dims=(0, None))(x, y)[0], x * y)
        assert ho.allclose(ho.vmap(cls.apply, in_dims=(1, 0), out_dims=1)(x, y)[0], x * y)
        gradient = func.grad(lambda y, f=cls.apply: (ho.vmap(f, in_dims=(0, None))(x, y)[0] ** 2).sum())(y)
        assert ho.allclose(gradient, 2 * (x * x).sum(0) * y)


def test_vmap_of_a_function_that_must_not_see_batches():
    class NumPyOnly(Function):
        @staticmethod
        def forward(ctx, x):
            assert x.shape == (2,)
            ctx.save_for_backward(x)
            return ho.tensor(float(np.prod(x.numpy())))

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * x.flip(0)

    x = ho.randn(4, 2)
    assert ho.allclose(ho.vmap(NumPyOnly.apply)(x), x.prod(1))
    assert ho.allclose(ho.vmap(func.grad(NumPyOnly.apply))(x), x.flip(1))

    class Claims(NumPyOnly):
        generate_vmap_rule = True

    with pytest.raises(LevelError, match="numpy\\(\\) was called inside vmap"):
        ho.vmap(Claims.apply)(x)


def test_vmap_says_when_it_cannot():
    class WithContext(Exp):
        @staticmethod
        def vmap(info, in_dims, x):
            return WithContext.apply(x), in_dims[0]

    v = ho.tensor([0.3, 0.7])
    assert ho.allclose(ho.vmap(WithContext.apply)(v), v.exp())
    with pytest.raises(GradientError, match="setup_context"):
        ho.vmap(func.grad(WithContext.apply))(v)

    class Twice(OwnRule):
        generate_vmap_rule = True

    with pytest.raises(ArgumentError, match="has both"):
        Twice.apply(v, v)

    class Wrong(Exp):
        @staticmethod
        def vmap(info, in_dims, x):
            return x

    with pytest.raises(ArgumentError, match=r"must return \(output, out_dims\)"):
        ho.vmap(Wrong.apply)(v)
    assert ho.vmap(Exp.apply)(ho.zeros(0, 2)).shape == (0, 2)


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_random_draws_are_repeated_where_the_forward_is(randomness):
    for depth, factor in ((0, 1.0), (1, 2.0), (2, 2.0)):
        ho.manual_seed(3)
        noise = ho.rand() + 0.5
        ho.manual_seed(3)
        x = ho.tensor(3.0)
        f = Dropped.apply
        for _ in range(depth):
            f = func.grad(f)
        assert ho.allclose(f(x), factor * noise * (x**2, x, 1.0)[depth])
        after = ho.rand()
        ho.manual_seed(3)
        ho.rand()
        assert ho.rand() == after

        xs = ho.tensor([3.0, 3.0, 3.0])
        rows = ho.vmap(f, randomness=randomness)(xs)
        assert (bool((rows == rows[0]).all())) == (randomness == "same")
    with pytest.raises(LevelError, match="randomness"):
        ho.vmap(Dropped.apply)(ho.ones(2))
