"""How many bytes graphs take, and that training leaves the memory of the process as it is."""

import gc
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import hograd as ho

LENGTH = 2**17  # 1 MiB an array, beside which all that is not data is small


def arrays_of(function):
    """What a call leaves and what it needs at its peak, in arrays of LENGTH numbers, and its result."""
    function()  # what Python keeps from a first call, modules and caches, is not the graph's
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = function()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before) / (8 * LENGTH), (peak - before) / (8 * LENGTH), result


def chain(x, n, operation=ho.tanh):
    for _ in range(n):
        x = operation(x)
    return x.sum()


@pytest.mark.parametrize("n", [10, 30])
class TestBytesAreAsDocumented:
    """The figures are those in the documentation of `grad`."""

    x = ho.linspace(-1, 1, LENGTH, requires_grad=True)

    def test_forward(self, n):
        left, peak, _ = arrays_of(lambda: chain(self.x, n))
        assert left == pytest.approx(n, abs=0.2)
        assert peak == pytest.approx(n, abs=0.2)

    def test_operations_that_save_nothing(self, n):
        left, peak, y = arrays_of(lambda: chain(self.x, n, lambda y: y + 1))
        assert y.requires_grad
        assert left < 0.2
        assert peak < 2.2

    def test_first_order(self, n):
        left, peak, _ = arrays_of(lambda: ho.grad(chain(self.x, n), self.x))
        assert left == pytest.approx(1, abs=0.2)
        assert peak == pytest.approx(n + 1, abs=0.2)

    def test_retained(self, n):
        left, _, _ = arrays_of(lambda: (*ho.grad((y := chain(self.x, n)), self.x, retain_graph=True), y))
        assert left == pytest.approx(n + 1, abs=0.2)

    def test_freed_while_the_output_lives(self, n):
        left, _, _ = arrays_of(lambda: ((y := chain(self.x, n)), y.backward(inputs=[self.x])))
        self.x.grad = None
        assert left == pytest.approx(1, abs=0.2)

    def test_recorded_derivative(self, n):
        left, _, _ = arrays_of(lambda: ho.grad(chain(self.x, n), self.x, create_graph=True))
        assert left == pytest.approx(2 * n, abs=0.2)

    def test_second_order(self, n):
        def second():
            (g,) = ho.grad(chain(self.x, n), self.x, create_graph=True)
            total = g.sum()
            del g
            return ho.grad(total, self.x)

        left, peak, _ = arrays_of(second)
        assert left == pytest.approx(1, abs=0.2)
        assert peak == pytest.approx(2 * n + 2, abs=0.2)

    @pytest.mark.parametrize("transform", [ho.func.grad, ho.func.grad_and_value])
    def test_transforms(self, n, transform):
        left, peak, _ = arrays_of(lambda: transform(lambda x: chain(x, n))(self.x.detach()))
        assert left == pytest.approx(1, abs=0.2)
        assert peak == pytest.approx(n + 1, abs=1.2)


def resident():
    """Bytes of this process that lie in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to see the resident size")
def test_ten_thousand_training_steps_leave_the_resident_size_flat():
    random = np.random.default_rng(0)
    x, labels = ho.tensor(random.normal(size=(8, 4))), ho.tensor(random.integers(0, 3, 8))
    w = {"a": ho.tensor(random.normal(size=(4, 5))), "b": ho.tensor(random.normal(size=(5, 3)))}

    def loss(w):
        return ho.cross_entropy((x @ w["a"]).tanh() @ w["b"], labels)

    def step(f, w):
        return ho.tree.map(lambda p, g: p - 0.1 * g, w, ho.func.grad(f)(w))

    def train(w, steps):
        for k in range(steps):
            # Each tenth step goes through a step of training.
            w = step(loss, w) if k % 10 else step(lambda w: loss(step(loss, w)), w)
        return w

    w = train(w, 1000)
    before = resident()
    train(w, 10_000)
    assert resident() - before < 2**20
