"""What cannot be captured is refused, by the line that does it and with a remedy."""

import numpy as np
import pytest

import hograd as ho
from hograd.errors import CaptureError

from .test_compile import close


def test_reading_numbers():
    message = r"test_capture_errors\.py:\d+.*where\(\)"
    for f in [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: float(x.sum()) * x,
        lambda x: np.sin(x.numpy()),
        lambda x: x[x > 0],
        lambda x: ho.arange(3)[x[0].astype(ho.int64)] if int(x[0]) else x,
        lambda x: ho.nonzero(x),
        lambda x: x.tolist(),
    ]:
        with pytest.raises(CaptureError, match=message):
            ho.compile(f)(ho.ones(3))


def test_closures_that_require_grad():
    w = ho.tensor([1.0, 2.0], requires_grad=True)
    for f in [lambda x: x * w, lambda x: (w * 2) * x, lambda x: w + 1, lambda x: w]:
        with pytest.raises(CaptureError, match=r"test_capture_errors\.py:\d+.*argument"):
            ho.compile(f)(ho.ones(2))
    close(ho.compile(lambda x: x * w.detach())(ho.ones(2)), w.detach())
    with pytest.raises(CaptureError, match="argument"):
        ho.func.grad(lambda v: ho.compile(lambda x: (x * v).sum())(ho.ones(2)))(ho.ones(2))
    with pytest.raises(CaptureError, match="argument"):
        ho.vmap(lambda v: ho.compile(lambda x: (x * v).sum())(ho.ones(2)))(ho.ones(2))


def test_leaked_values():
    kept = []

    @ho.compile
    def f(x):
        kept.append(x * 2)
        return x

    f(ho.ones(2))
    with pytest.raises(CaptureError, match=r"test_capture_errors\.py:\d+.*Return the value"):
        kept[0] + 1
    with pytest.raises(CaptureError, match=r"test_capture_errors\.py:\d+"):
        kept[0].numpy()
    with pytest.raises(CaptureError, match="Return"):
        ho.compile(lambda x: x * kept[0])(ho.ones(2))


def test_arguments_changed_in_place():
    def doubled(x):
        x *= 2
        return x

    def filled(x):
        x.zero_()
        return x

    x = ho.ones(2)
    for f in (doubled, filled):
        with pytest.raises(CaptureError, match=r"changed in place.*clone\(\)"):
            ho.compile(f)(x)
    with pytest.raises(CaptureError, match=r"test_capture_errors\.py:\d+"):
        ho.compile(doubled)(x)
    close(x, ho.ones(2))
    close(ho.compile(lambda x: doubled(x.clone()))(x), 2 * x)


def test_tensors_from_outside_changed_in_place():
    total, count = ho.zeros(2), ho.tensor(0)

    def added(x):
        total.add_(x)
        return x

    def counted(x):
        count.add_(1)
        return x

    def stored(x):
        total[0] = x[1]
        raise RuntimeError("mine")

    refusal = r"outside of .* changed in place at test_capture_errors\.py:\d+.*argument"
    for f in (added, counted):
        with pytest.raises(CaptureError, match=refusal):
            ho.compile(f)(ho.ones(2))
    with pytest.raises(RuntimeError, match="mine"):
        ho.compile(stored)(ho.ones(2))
    close([total, count], [ho.zeros(2), ho.tensor(0)])

    def local(x):
        y, cycle = ho.zeros(2), []
        cycle += [cycle, y]
        y[0] = x.sum()
        y += 1
        return y

    close(ho.compile(local)(ho.ones(2)), ho.tensor([3.0, 1.0]))
    with pytest.raises(CaptureError, match=r"manual_seed was called at test_capture_errors\.py"):
        ho.compile(lambda x: (ho.manual_seed(0), x * ho.randn(2))[1])(ho.ones(2))


def test_an_error_inside_leaves_no_trace():
    @ho.compile
    def f(x):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        f(ho.ones(2))
    x = ho.tensor(2.0, requires_grad=True)
    (x * x).backward()
    assert x.grad.item() == 4.0
