"""`autograd.Function`: at every level and order, against the operations that it replaces, and as in PyTorch."""

import gc
import weakref

import pytest

import hograd as ho
from hograd import func
from hograd.autograd import Function
from hograd.autograd.function import once_differentiable
from hograd.errors import ArgumentError, DtypeError, GradientError, LevelError, ShapeError

from .functions import Exp, Forward, Generated, Intermediate, OwnRule, Separate, Sine


def both(cls):
    return lambda x: cls.apply(x, x.exp())[0] * cls.apply(x * x, x)[1]


FUNCTIONS = {
    "input": (lambda x: Sine.apply(x, 2.0), lambda x: (2 * x).sin()),
    "answer": (Exp.apply, lambda x: x.exp()),
    "intermediate": (lambda x: Intermediate.apply(x)[0], lambda x: x * x.exp()),
    "composed": (lambda x: Sine.apply(Intermediate.apply(x)[0], 0.5), lambda x: (0.5 * x * x.exp()).sin()),
    **{
        cls.__name__.lower(): (both(cls), lambda x: x * x.exp() * (x * x).sin())
        for cls in (Separate, Generated, OwnRule, Forward)
    },
}


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_at_every_level_and_order(name, depth, agree):
    assert agree(*FUNCTIONS[name], depth)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_on_one_tape(name, agree_on_one_tape):
    assert agree_on_one_tape(*FUNCTIONS[name])


def test_its_backward_is_what_is_used():
    """Not the derivative of the forward: at no level."""

    class Straight(Function):
        @staticmethod
        def forward(ctx, x):
            return ho.sign(x)

        @staticmethod
        def backward(ctx, g):
            return g * 7

    class Batchwise(Straight):
        generate_vmap_rule = True

    for cls in (Straight, Batchwise):
        v = ho.tensor([0.3, 1.7])
        assert func.grad(cls.apply)(ho.tensor(0.3)).item() == 7.0
        assert func.grad(lambda v, f=cls.apply: ho.vmap(f)(v).sum())(v).tolist() == [7.0, 7.0]
        assert ho.vmap(func.grad(cls.apply))(v).tolist() == [7.0, 7.0]
        assert func.jvp(ho.vmap(cls.apply), (v,), (v,))[1].tolist() == (7 * v).tolist()


def test_needs_input_grad_and_unused_arguments():
    seen = []

    class Linear(Function):
        @staticmethod
        def forward(ctx, x, weight, bias=None):
            seen.append(ctx.needs_input_grad)
            ctx.save_for_backward(x, weight, bias)
            out = x @ weight.T
            return out if bias is None else out + bias

        @staticmethod
        def backward(ctx, g):
            x, weight, bias = ctx.saved_tensors
            grad_x = g @ weight if ctx.needs_input_grad[0] else None
            grad_weight = g.T @ x if ctx.needs_input_grad[1] else None
            grad_bias = g.sum(0) if bias is not None and ctx.needs_input_grad[2] else None
            return grad_x, grad_weight, grad_bias

    x, weight = ho.randn(4, 3), ho.randn(2, 3, requires_grad=True)
    bias = ho.randn(2, requires_grad=True)
    Linear.apply(x, weight).sum().backward()
    assert ho.allclose(weight.grad, x.sum(0) + ho.zeros(2, 3))
    Linear.apply(x, weight, bias).sum().backward()
    assert bias.grad.tolist() == [4.0, 4.0]
    with ho.no_grad():
        assert not Linear.apply(x, weight, bias).requires_grad
    assert seen == [(False, True), (False, True, True), (False, False, False)]


def test_materialize_grads():
    seen = []

    class Two(Function):
        @staticmethod
        def forward(ctx, x, materialize):
            ctx.set_materialize_grads(materialize)
            return x * 2, x[0] * 3

        @staticmethod
        def backward(ctx, a, b):
            seen.append((a, b))
            return None, None

    x = ho.ones(2, requires_grad=True)
    for materialize in (True, False):
        Two.apply(x, materialize)[0].sum().backward()
    assert seen[0][1].tolist() == 0.0
    assert seen[1][1] is None
    assert x.grad is None


def test_outputs_that_are_inputs_or_twice_the_same():
    class Through(Function):
        @staticmethod
        def forward(ctx, x):
            return x, x

        @staticmethod
        def backward(ctx, a, b):
            return 10 * a + b

    x = ho.tensor([1.0, 2.0], requires_grad=True)
    a, b = Through.apply(x)
    assert a is not x
    (a.sum() + 2 * b.sum() + 3 * x.sum()).backward()
    assert x.grad.tolist() == [15.0, 15.0]


def test_non_differentiable_answers_are_constants():
    class Both(Function):
        @staticmethod
        def forward(ctx, x):
            rank = x.exp()
            ctx.mark_non_differentiable(rank)
            return x * 2, rank

        @staticmethod
        def backward(ctx, g, h):
            assert not h.any()
            return 2 * g

    x = ho.tensor([1.0, 2.0], requires_grad=True)
    y, rank = Both.apply(x)
    assert y.requires_grad
    assert not rank.requires_grad
    assert Both.apply(x.detach())[0].requires_grad is False
    assert func.jvp(Both.apply, (x.detach(),), (x.detach(),))[1][1].tolist() == [0.0, 0.0]


def test_marking_what_is_not_returned_marks_nothing():
    class Marks(Function):
        @staticmethod
        def forward(ctx, x):
            # One of the answers may come to lie in memory where the marked tensor was.
            ctx.mark_non_differentiable(x > 0)
            return tuple(x * i for i in range(50))

        @staticmethod
        def backward(ctx, *gs):
            return gs[0]

    assert all(y.requires_grad for y in Marks.apply(ho.tensor(1.0, requires_grad=True)))


def test_once_differentiable():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return ho.tensor(2 * x.numpy() * g.numpy())

    x = ho.tensor([1.0, 3.0], requires_grad=True)
    (g,) = ho.grad(Square.apply(x).sum(), x)
    assert g.tolist() == [2.0, 6.0]
    (g,) = ho.grad(Square.apply(x).sum(), x, create_graph=True)
    assert g.tolist() == [2.0, 6.0]
    with pytest.raises(GradientError, match="once_differentiable"):
        ho.grad(g.sum(), x)
    with pytest.raises(GradientError, match="once_differentiable"):
        func.hessian(lambda x: Square.apply(x).sum())(x.detach())
    assert ho.vmap(func.grad(Square.apply))(x.detach()).tolist() == [2.0, 6.0]


def test_only_jvp_or_vjp():
    class OnlyForward(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_forward(x)
            return x**2

        @staticmethod
        def jvp(ctx, t):
            return 2 * ctx.saved_tensors[0] * t

    class Vjp(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def vjp(ctx, g):
            return 2 * ctx.saved_tensors[0] * g

    x = ho.tensor(3.0)
    assert func.jacfwd(OnlyForward.apply)(x).item() == 6.0
    assert func.grad(Vjp.apply)(x).item() == 6.0
    with pytest.raises(GradientError, match="jvp and no backward"):
        func.grad(OnlyForward.apply)(x)


def returning(*values):
    class Returns(Function):
        @staticmethod
        def forward(ctx, x, k):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return values

    return Returns


@pytest.mark.parametrize(
    ("cls", "error", "message"),
    [
        (
            returning(ho.ones(2)),
            GradientError,
            r"ReturnsBackward returned an incorrect number of gradients \(expected 2",
        ),
        (returning(None, None, ho.ones(2)), GradientError, r"expected 2, got 3"),
        (returning(ho.ones(3), None), ShapeError, r"invalid gradient at index 0 - got \[3\] but expected shape"),
        (returning(1.0, None), DtypeError, "returned float at index 0"),
        (returning(ho.ones(2), ho.ones(2)), GradientError, "different from None at position 1"),
    ],
)
def test_what_backward_returns_is_checked(cls, error, message):
    x = ho.ones(2, requires_grad=True)
    with pytest.raises(error, match=message):
        cls.apply(x, 3).sum().backward()


def test_other_mistakes_are_named():
    class NoBackward(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    class NotATensor(Function):
        @staticmethod
        def forward(ctx, x):
            return 3.0

    class SavesNumber(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(3)

    class InPlace(Function):
        @staticmethod
        def forward(ctx, x):
            x += 1
            return x * 2

    class Dirty(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)

    x = ho.ones(2, requires_grad=True)
    with pytest.raises(NotImplementedError, match="either the backward or vjp"):
        NoBackward.apply(x).sum().backward()
    with pytest.raises(NotImplementedError, match="implement the forward"):
        Function.apply(x)
    with pytest.raises(DtypeError, match="returned float at output 0"):
        NotATensor.apply(x)
    with pytest.raises(DtypeError, match="can only save variables, but argument 0"):
        SavesNumber.apply(x)
    with pytest.raises(ArgumentError, match="changed its input 0 in place"):
        InPlace.apply(x)
    with pytest.raises(ArgumentError, match="mark_dirty"):
        Dirty.apply(x)
    with pytest.raises(GradientError, match="should not be instantiated"):
        Sine()
    assert x.tolist() == [1.0, 1.0]


def test_a_mapped_tensor_from_a_closure_is_refused():
    def outer(c):
        class Closes(Function):
            @staticmethod
            def forward(ctx, x):
                return x * c

            @staticmethod
            def backward(ctx, g):
                return g * c

        return Closes.apply(ho.tensor(2.0))

    with pytest.raises(LevelError, match="closure: pass it as an argument"):
        ho.vmap(outer)(ho.ones(3))


def test_grad_mode_inside():
    modes = []

    class Watch(Function):
        @staticmethod
        def forward(ctx, x):
            modes.append(ho.is_grad_enabled())
            return x * 2

        @staticmethod
        def backward(ctx, g):
            modes.append(ho.is_grad_enabled())
            return g * 2

    x = ho.ones(2, requires_grad=True)
    Watch.apply(x).sum().backward()
    ho.grad(Watch.apply(x).sum(), x, create_graph=True)
    assert modes == [False, False, False, True]


def test_the_record_looks_as_in_pytorch():
    x = ho.ones(2, requires_grad=True)
    y = Sine.apply(x, 2.0)
    assert y.grad_fn.name() == "SineBackward"
    assert y.grad_fn.next_functions[0][0].variable is x
    assert repr(y).endswith("grad_fn=<SineBackward>)")


def test_graph_is_freed_and_refuses_a_second_pass():
    gc.collect()
    gc.disable()
    try:
        x = ho.ones(2, requires_grad=True)
        y = Intermediate.apply(x)[0]
        z = y.sum()
        z.backward()
        with pytest.raises(GradientError, match="second time"):
            z.backward()
        dead = [weakref.ref(t) for t in (y, y.node)]
        del y, z
        assert [d() for d in dead] == [None, None]
    finally:
        gc.enable()


def test_float32_and_integers():
    x = ho.tensor([1.0, 2.0], dtype=ho.float32, requires_grad=True)
    y = Exp.apply(x)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == ho.float32

    class Index(Function):
        @staticmethod
        def forward(ctx, x, i):
            ctx.save_for_backward(i)
            ctx.shape = x.shape
            return x[i]

        @staticmethod
        def backward(ctx, g):
            (i,) = ctx.saved_tensors
            return ho.zeros(*ctx.shape).at[i].add(g), None

    x = ho.randn(3)
    i = ho.tensor([0, 0, 2])
    assert func.grad(lambda x: (Index.apply(x, i) * ho.tensor([1.0, 2.0, 3.0])).sum())(x).tolist() == [3.0, 0.0, 3.0]
