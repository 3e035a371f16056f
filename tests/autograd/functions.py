"""Subclasses of `autograd.Function` of every kind, for the tests."""

import numpy as np

import hograd as ho
from hograd.autograd import Function


class Sine(Function):
    """Forward in NumPy, a number beside the tensor, an input saved."""

    @staticmethod
    def forward(ctx, x, k):
        ctx.k = k
        ctx.save_for_backward(x)
        return ho.tensor(np.sin(k * x.numpy()))

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return ctx.k * (ctx.k * x).cos() * g, None


class Exp(Function):
    """An answer saved."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


class Intermediate(Function):
    """Something else saved, two answers of which one has no derivative, attributes in containers."""

    @staticmethod
    def forward(ctx, x):
        e = x.exp()
        ctx.save_for_backward(e)
        ctx.pair = {"x": [x, 1.0]}
        positive = x > 0
        ctx.mark_non_differentiable(positive)
        return e * x, positive

    @staticmethod
    def backward(ctx, g, _):
        (e,) = ctx.saved_tensors
        return g * e * (1 + ctx.pair["x"][0])


class Separate(Function):
    """The form with setup_context."""

    @staticmethod
    def forward(x, y):
        return x * y, x.sin()

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, y = inputs
        ctx.save_for_backward(x, y, x.cos())

    @staticmethod
    def backward(ctx, g, h):
        x, y, cos = ctx.saved_tensors
        return g * y + h * cos, g * x


class Generated(Separate):
    generate_vmap_rule = True


class OwnRule(Separate):
    @staticmethod
    def vmap(info, in_dims, x, y):
        assert info.batch_size == (x.shape[in_dims[0]] if in_dims[0] is not None else y.shape[in_dims[1]])
        return OwnRule.apply(x, y), (0, None if in_dims[0] is None else 0)


class Forward(Separate):
    @staticmethod
    def jvp(ctx, t, u):
        x, y, cos = ctx.saved_tensors
        zero = ho.zeros_like(x)
        t, u = (zero if d is None else d for d in (t, u))
        return t * y + x * u, t * cos


class Dropped(Function):
    """Random draws in the forward."""

    @staticmethod
    def forward(ctx, x):
        noise = ho.rand() + 0.5
        ctx.save_for_backward(x, noise * x)
        return x * x * noise

    @staticmethod
    def backward(ctx, g):
        _, scaled = ctx.saved_tensors
        return 2 * scaled * g
