"""Hooks on tensors, `retain_grad`, and `backward(inputs=...)`."""

import gc
import weakref

import numpy as np
import pytest

import hograd as ho
from hograd.errors import DtypeError, GradientError, LevelError, ShapeError


@pytest.fixture
def x():
    return ho.tensor([1.0, 2.0], requires_grad=True)


def test_a_hook_sees_the_whole_gradient_once(x):
    y = x * 3
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    (y * y + y).sum().backward()
    assert seen == [[7.0, 13.0]]
    assert x.grad.tolist() == [21.0, 39.0]


@pytest.mark.parametrize("leaf", [True, False])
def test_a_hook_may_replace_the_gradient(x, leaf):
    y = x * 3
    (x if leaf else y).register_hook(lambda g: -g)
    (y * y).sum().backward()
    assert x.grad.tolist() == [-18.0, -36.0]
    (g,) = ho.grad((x * 3).sum(), x)
    assert g.tolist() == ([-3.0, -3.0] if leaf else [3.0, 3.0])


def test_hooks_run_in_order_each_on_what_the_last_returned(x):
    x.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: None)
    x.register_hook(lambda g: g * 10)
    x.sum().backward()
    assert x.grad.tolist() == [20.0, 20.0]


def test_removed_hooks_are_gone(x):
    first, second = x.register_hook(lambda g: g * 2), x.register_hook(lambda g: g * 3)
    first.remove()
    first.remove()
    assert ho.grad(x.sum(), x)[0].tolist() == [3.0, 3.0]
    with second:
        pass
    assert ho.grad(x.sum(), x)[0].tolist() == [1.0, 1.0]


def test_a_hook_may_remove_itself_while_running(x):
    handles = []

    def once(g):
        handles[0].remove()
        return g * 2

    handles.append(x.register_hook(once))
    x.register_hook(lambda g: g + 1)
    assert [ho.grad(x.sum(), x)[0].tolist() for _ in range(2)] == [[3.0, 3.0], [2.0, 2.0]]


def test_a_hook_is_differentiated_under_create_graph(x):
    y = x * 1.0
    y.register_hook(lambda g: g * y.detach() * x)
    (g,) = ho.grad((y**3).sum(), x, create_graph=True)
    values = x.detach()
    np.testing.assert_allclose(g.tolist(), (3 * values**4).tolist())
    # g is 3 y**2 x times a detached y; the hook also sees the second derivative's way through y.
    second = (6 * values**3) * values**2 + 3 * values**3
    np.testing.assert_allclose(ho.grad(g.sum(), x)[0].tolist(), second.tolist())


def test_hooks_record_only_under_create_graph(x):
    modes = []
    x.register_hook(lambda g: modes.append(ho.is_grad_enabled()))
    x.register_post_accumulate_grad_hook(lambda leaf: modes.append(ho.is_grad_enabled()))
    (x * x).sum().backward()
    (x * x).sum().backward(create_graph=True)
    assert modes == [False, False, True, True]
    assert ho.is_grad_enabled()


def test_the_gradient_that_a_hook_got_stays_what_it_was(x):
    seen = []
    y = x * 1.0
    y.register_hook(seen.append)
    y.sum().backward()
    before = seen[0].tolist()
    seen[0].mul_(5)
    x.grad.add_(1)
    assert before == [1.0, 1.0]
    assert x.grad.tolist() == [2.0, 2.0]


def test_hooks_inside_transforms():
    seen = []

    def f(x):
        y = x * x
        y.register_hook(lambda g: seen.append(g.shape) or g * 10)
        return (y * 2).sum()

    x = ho.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert ho.func.grad(f)(x[0]).tolist() == [40.0, 80.0]
    assert ho.vmap(ho.func.grad(f))(x).tolist() == (40 * x).tolist()
    assert ho.func.hessian(f)(x[0]).tolist() == [[40.0, 0.0], [0.0, 40.0]]
    assert seen[:2] == [(2,), (2,)]
    with pytest.raises(LevelError, match="vmap"):
        ho.func.grad(lambda x: ho.vmap(f)(x).sum())(x)


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (lambda g: 3.0, DtypeError, "hook returned float"),
        (lambda g: g.sum(), ShapeError, "has changed the size of value"),
        (lambda g: g.float(), DtypeError, "has changed the type of value"),
    ],
)
def test_what_a_hook_returns_is_checked(x, returned, error, message):
    x.register_hook(returned)
    with pytest.raises(error, match=message):
        x.sum().backward()
    assert ho.is_grad_enabled()


def test_hooks_need_a_recorded_tensor(x):
    with pytest.raises(GradientError, match="doesn't require gradient"):
        ho.ones(2).register_hook(print)
    with pytest.raises(GradientError, match="doesn't require gradient"):
        ho.ones(2).register_post_accumulate_grad_hook(print)
    with pytest.raises(GradientError, match="non-leaf"):
        (x * 2).register_post_accumulate_grad_hook(print)


def test_hooks_make_no_cycle():
    gc.collect()
    gc.disable()
    try:
        x = ho.tensor([1.0], requires_grad=True)
        y = x * 2
        handle = y.register_hook(lambda g: g)
        x.register_hook(lambda g: g)
        x.register_post_accumulate_grad_hook(lambda leaf: None)
        y.retain_grad()
        y.sum().backward()
        dead = [weakref.ref(t) for t in (x, y, y.node)]
        del x, y
        assert [d() for d in dead] == [None] * 3
        handle.remove()
    finally:
        gc.enable()


def test_post_accumulate_hooks_see_the_sum_and_may_step(x):
    seen = []

    def step(leaf):
        seen.append(leaf.grad.tolist())
        leaf -= 0.5 * leaf.grad
        leaf.grad = None

    handle = x.register_post_accumulate_grad_hook(step)
    x.grad = ho.ones(2)
    (x * x).sum().backward()
    assert seen == [[3.0, 5.0]]
    assert x.grad is None
    assert x.tolist() == [-0.5, -0.5]
    (x * x).sum().backward(inputs=[x])
    assert seen[1] == [-1.0, -1.0]
    handle.remove()
    (x * x).sum().backward()
    assert len(seen) == 2


# retain_grad and backward(inputs=...)


def test_retain_grad_holds_what_hooks_returned(x):
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 100)
    y.sum().backward()
    assert y.retains_grad
    assert y.grad.tolist() == [100.0, 100.0]
    assert x.grad.tolist() == [200.0, 200.0]


def test_grad_fills_retained_tensors_and_no_leaf(x):
    y = x * 2
    y.retain_grad()
    ho.grad((y * y).sum(), x)
    assert y.grad.tolist() == [4.0, 8.0]
    assert x.grad is None


def test_retain_grad_follows_in_place_operations(x):
    y = x * 2
    y.retain_grad()
    y += 1
    assert y.retains_grad
    (y * y).sum().backward()
    assert y.grad.tolist() == [6.0, 10.0]


def test_backward_inputs_fills_these_alone():
    a, b = ho.tensor(2.0, requires_grad=True), ho.tensor(3.0, requires_grad=True)
    c = a * b
    (c * c).backward(inputs=[a], retain_graph=True)
    assert a.grad.item() == 36.0
    assert b.grad is None
    (c * c).backward(inputs=c)
    assert c.grad.item() == 12.0
    assert c.retains_grad
    assert a.grad.item() == 36.0


def test_backward_inputs_accumulates_once(x):
    y = x * 2
    z = (y * y).sum()
    z.backward(inputs=[x, y], retain_graph=True)
    z.backward(inputs=[y, x])
    assert y.grad.tolist() == [8.0, 16.0]
    assert x.grad.tolist() == [16.0, 32.0]


def test_backward_inputs_that_do_not_lead_there_stay_without(x):
    other = ho.ones(2, requires_grad=True)
    (x * x).sum().backward(inputs=[other])
    assert other.grad is None
    assert x.grad is None
    with pytest.raises(GradientError, match="cannot be empty"):
        x.sum().backward(inputs=[])
    with pytest.raises(GradientError):
        x.sum().backward(inputs=[ho.ones(2)])


# Graph nodes as PyTorch shows them


def test_nodes_can_be_walked(x):
    y = (x * 2).exp().sum()
    names, node = [], y.grad_fn
    while node is not None:
        names.append(node.name())
        node = next((parent for parent, _ in node.next_functions if parent is not None), None)
    assert names == ["SumBackward0", "ExpBackward0", "MulBackward0", "AccumulateGrad"]
    assert isinstance(y.grad_fn, ho.autograd.graph.Node)
    assert x.grad_fn is None
    leaf = (x * 2).grad_fn.next_functions[0][0]
    assert leaf.variable is x
