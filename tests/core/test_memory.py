"""Graphs are freed by reference counting alone, nothing recurses, and no step costs more than the one before."""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

import hograd as ho
from hograd.core.levels import state
from hograd.core.primitive import primitives
from hograd.errors import FreedGraphError


@pytest.fixture(autouse=True)
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Watch:
    """Weak references to the records, tensors and arrays that a computation makes."""

    def __init__(self):
        self.references = []

    def __call__(self, tensor):
        """Watch a tensor, what recorded it, and the array that it holds; returns the tensor."""
        value = tensor
        while isinstance(value, ho.Tensor):
            self.references.append(weakref.ref(value))
            if value.node is not None:
                self.references.append(weakref.ref(value.node))
            value = value.value
        if isinstance(value, np.ndarray):
            self.references.append(weakref.ref(value))
        return tensor

    @property
    def alive(self):
        return sum(reference() is not None for reference in self.references)


@pytest.fixture
def watch():
    return Watch()


def leaf(*values):
    return ho.tensor(list(values), requires_grad=True)


def network(x, watch):
    """Operations of every kind, each watched."""
    y = watch(watch(x * x).exp())
    z = watch(watch(watch(y @ y) + 1).log())
    w = watch(watch(ho.stack([y, y])).softmax(-1))
    v = watch(watch(w[0, [0, 1]]).prod())
    return watch(watch(z * v) + watch(ho.where(x > 0, y, x)).sum())


def test_forward_alone(watch):
    x = leaf(0.5, 1.0)
    y = network(x, watch)
    assert watch.alive > 15
    del y
    assert watch.alive == 0


def test_backward(watch):
    x = leaf(0.5, 1.0)
    y = network(x, watch)
    y.backward()
    del y
    assert x.grad is not None
    assert watch.alive == 0


def test_saved_arrays_are_freed_while_the_output_lives(watch):
    x = leaf(0.5, 1.0)
    y = x.exp()
    array = weakref.ref(y.detach().numpy().base)
    z = (y * y).sum()
    del y
    assert array() is not None
    ho.grad(z, x)
    assert array() is None


def test_grad(watch):
    x = leaf(0.5, 1.0)
    (g,) = ho.grad(network(x, watch), x)
    assert watch.alive == 0
    assert g.shape == (2,)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_create_graph(watch, order):
    x = leaf(0.5, 1.0)
    y = network(x, watch)
    for _ in range(order):
        (g,) = ho.grad(y, x, create_graph=True)
        watch(g)
        y = watch((g * g).sum())
    del y
    assert watch.alive > 0
    del g
    assert watch.alive == 0


def test_backward_with_create_graph_makes_no_cycle(watch):
    x = watch(leaf(0.5, 1.0))
    network(x, watch).backward(create_graph=True)
    assert x.grad.requires_grad
    del x
    assert watch.alive == 0


def test_retained_graph(watch):
    x = leaf(0.5, 1.0)
    y = network(x, watch)
    y.backward(retain_graph=True)
    y.backward()
    del y
    assert watch.alive == 0


def test_retain_grad(watch):
    x = leaf(0.5, 1.0)
    y = watch(x * x)
    y.retain_grad()
    (y * y).sum().backward()
    watch(y.grad)
    del y
    assert watch.alive == 0


def test_in_place_and_batched_grad(watch):
    x = leaf(0.5, 1.0)
    y = watch(x * 2)
    y[0] = watch(x * 3)[1]
    y += 1
    ho.grad(y * y, x, ho.eye(2), is_grads_batched=True)
    del y
    assert watch.alive == 0


TRANSFORMS = {
    "grad": lambda f, x: ho.func.grad(f)(x),
    "grad_and_value": lambda f, x: ho.func.grad_and_value(f)(x),
    "vjp": lambda f, x: ho.func.vjp(f, x)[1](ho.tensor(1.0)),
    "jvp": lambda f, x: ho.func.jvp(f, (x,), (x,)),
    "hvp": lambda f, x: ho.func.hvp(f, x, x),
    "vmap": lambda f, x: ho.func.vmap(f)(ho.stack([x, x])),
    "jacrev": lambda f, x: ho.func.jacrev(f)(x),
    "jacfwd": lambda f, x: ho.func.jacfwd(f)(x),
    "hessian": lambda f, x: ho.func.hessian(f)(x),
    "grad of grad": lambda f, x: ho.func.grad(lambda x: ho.func.grad(f)(x).sum())(x),
    "vmap of grad": lambda f, x: ho.func.vmap(ho.func.grad(f))(ho.stack([x, x])),
    "grad of vmap of grad": lambda f, x: ho.func.grad(
        lambda x: ho.func.vmap(ho.func.grad(f))(ho.stack([x, x * 2])).sum()
    )(x),
}


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms(watch, transform, requires_grad):
    x = ho.tensor([0.5, 1.0], requires_grad=requires_grad)
    result = TRANSFORMS[transform](lambda x: network(x, watch), x)
    assert len(watch.references) > 15
    del result
    assert watch.alive == 0


def test_result_of_a_transform_holds_nothing_of_it(watch):
    g = ho.func.grad(lambda x: network(x, watch))(ho.tensor([0.5, 1.0]))
    assert g.shape == (2,)
    assert watch.alive == 0


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_exception_inside_a_transformed_function(watch, transform):
    def f(x):
        network(x, watch)
        raise Interrupted

    x = leaf(0.5, 1.0)
    try:
        TRANSFORMS[transform](f, x)
    except Interrupted:
        pass
    else:
        pytest.fail("the function was not called")
    assert watch.alive == 0
    assert not state.stack
    assert ho.is_grad_enabled()
    assert ho.func.grad(lambda x: (x * x).sum())(x).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("create_graph", [False, True])
def test_exception_midway_of_the_backward_pass(watch, create_graph):
    x = leaf(0.5, 1.0)
    freed = watch(x * x)
    ho.grad(freed.sum(), x)
    y = network(freed, watch)
    before = np.geterr()
    try:
        ho.grad(y, x, create_graph=create_graph)
    except FreedGraphError:
        pass
    else:
        pytest.fail("the graph had not been freed")
    assert ho.is_grad_enabled()
    assert np.geterr() == before
    del y, freed
    assert watch.alive == 0
    assert ho.grad((x * x).sum(), x)[0].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "differentiate",
    [lambda f, x: ho.grad(f(x), x), lambda f, x: f(x).backward(create_graph=True), *TRANSFORMS.values()],
)
def test_exception_inside_a_rule(watch, monkeypatch, differentiate):
    def failing(*_):
        raise Interrupted

    monkeypatch.setattr(primitives["log"], "vjps", (failing,))
    x = leaf(0.5, 1.0)
    try:
        differentiate(lambda x: network(x, watch), x)
    except Interrupted:
        pass
    else:
        assert differentiate is TRANSFORMS["vmap"]
    assert watch.alive == 0
    assert not state.stack
    assert ho.is_grad_enabled()


def test_chain_of_a_million_operations():
    x = ho.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(500_000):
        y = y * 1.000001 + 1e-7
    first = weakref.ref(y.grad_fn)
    y.backward()
    assert x.grad.item() == pytest.approx(1.000001**500_000, rel=1e-9)
    del y
    assert first() is None


def test_chain_of_a_hundred_thousand_operations_differentiated_twice():
    x = ho.tensor(0.5, requires_grad=True)
    y = x
    for _ in range(50_000):
        y = y + 1e-6 * y * y
    (g,) = ho.grad(y, x, create_graph=True)
    (h,) = ho.grad(g, x)
    # y(n) tends to the solution of dy/dn = c y^2: y = x / (1 - c n x), with g = y^2 / x^2 and h = 2 c n (y / x)^3.
    ratio = 1 / (1 - 0.05 * 0.5)
    assert g.item() == pytest.approx(ratio**2, rel=1e-6)
    assert h.item() == pytest.approx(0.1 * ratio**3, rel=1e-5)
    last = weakref.ref(g.grad_fn)
    del y, g
    assert last() is None


def test_step_1000_of_an_inner_loop_visits_no_more_than_step_1():
    lr = ho.tensor(0.001, requires_grad=True)
    w = ho.tensor([3.0, -2.0], requires_grad=True)
    start = w
    visited = []
    for _ in range(1000):
        (g,) = ho.grad((w * w).sum(), w, create_graph=True)
        visited.append(state.visited)
        w = w - lr * g
    assert visited[-1] == visited[0]
    assert max(visited) < 10
    (slope,) = ho.grad(w.sum(), lr)
    # w(T) = (1 - 2 lr)^T w(0)
    assert slope.item() == pytest.approx(-2000 * (1 - 0.002) ** 999 * start.detach().sum().item(), rel=1e-10)


def test_training_without_create_graph_takes_constant_memory():
    w = ho.tensor(np.linspace(-1, 1, 30).reshape(10, 3), requires_grad=True)
    x, y = ho.tensor(np.linspace(0, 1, 200).reshape(20, 10)), ho.tensor(np.ones((20, 3)))

    def train(steps):
        for _ in range(steps):
            loss = ((x @ w).tanh() - y).square().mean()
            loss.backward()
            with ho.no_grad():
                w.sub_(0.1 * w.grad)
                w.grad = None
            ho.func.grad(lambda w: ((x @ w).tanh() - y).square().mean())(w.detach())

    train(50)
    tracemalloc.start()
    try:
        train(10)
        before = tracemalloc.get_traced_memory()[0]
        train(2000)
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 5_000
