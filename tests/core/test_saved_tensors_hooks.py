"""What the tape saves, packed and unpacked by the user's functions."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.autograd import Function
from hograd.autograd.graph import saved_tensors_hooks
from hograd.errors import DtypeError, FreedGraphError, ShapeError


def f(x):
    return ((x * x).sin() @ x.exp() + x.tanh().sum()).exp()


@pytest.fixture
def x():
    return ho.tensor([0.3, -0.7, 1.1], requires_grad=True)


@pytest.fixture
def on_disk(tmp_path):
    """Pack and unpack by files; and the folder."""

    def pack(t):
        name = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        np.save(name, t.numpy())
        return name

    return pack, lambda name: ho.tensor(np.load(name)), tmp_path


def test_derivatives_of_every_order_are_the_same(x, on_disk):
    pack, unpack, folder = on_disk
    expected = found = f(x)
    with saved_tensors_hooks(pack, unpack):
        found = f(x)
        for _ in range(3):
            (expected,), (found,) = (ho.grad(y.sum(), x, create_graph=True) for y in (expected, found))
            np.testing.assert_allclose(found.tolist(), expected.tolist(), rtol=1e-12)
    assert len(list(folder.iterdir())) > 10


def test_only_what_is_recorded_inside_is_packed(x):
    packed = []
    with saved_tensors_hooks(lambda t: packed.append(t.tolist()) or t, lambda t: t):
        y = x.exp()
        x.detach().exp()
        with ho.no_grad():
            x.exp()
        x + 1
    x.exp()
    assert packed == [y.tolist()]


def test_hooks_get_constants_and_may_use_operations(x):
    seen = []

    def pack(t):
        seen.append(t.requires_grad)
        return t * 2

    with saved_tensors_hooks(pack, lambda t: t / 2):
        y = (x * x).sum()
    y.backward()
    assert not any(seen)
    np.testing.assert_allclose(x.grad.tolist(), (2 * x.detach()).tolist())


def test_what_unpack_gives_is_used_and_not_kept(x):
    """Hooks may lose precision, and are asked again in each pass."""
    calls = []

    def unpack(t):
        calls.append(1)
        return t.double()

    with saved_tensors_hooks(lambda t: t.float(), unpack):
        y = x.exp().sum()
    first, second = (ho.grad(y, x, retain_graph=True)[0] for _ in range(2))
    assert len(calls) == 2
    assert first.tolist() == second.tolist() == x.detach().exp().float().tolist()


def test_the_innermost_hooks_act(x):
    log = []

    def hooks(name):
        return saved_tensors_hooks(lambda t: log.append(name) or t, lambda t: log.append(f"un{name}") or t)

    with hooks("a"):
        y = x.exp()
        with hooks("b"):
            z = y.sin()
        w = z.tanh()
    w.sum().backward()
    assert log == ["a", "b", "a", "una", "unb", "una"]


def test_packed_graphs_are_freed_too(x):
    with saved_tensors_hooks(lambda t: t, lambda t: t):
        y = x.exp().sum()
    y.backward()
    with pytest.raises(FreedGraphError):
        y.backward()


def test_functions_and_transforms(on_disk):
    pack, unpack, folder = on_disk

    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y, x * 2)
            return y

        @staticmethod
        def backward(ctx, g):
            y, twice = ctx.saved_tensors
            return g * y * twice / twice

    def g(x):
        return (Exp.apply(x) * x).sum()

    x = ho.tensor([0.3, -0.7])
    with saved_tensors_hooks(pack, unpack):
        found = [func.grad(g)(x), func.hessian(g)(x), ho.vmap(func.grad(g))(x[:, None]), func.hvp(g, x, x)]
        leaf = x.clone().requires_grad_()
        (first,) = ho.grad(g(leaf), leaf, create_graph=True)
        found += [first, ho.grad(first.sum(), leaf)[0]]
    assert list(folder.iterdir())
    e = x.exp()
    expected = [e * (1 + x), ho.diag(e * (2 + x)), (e * (1 + x))[:, None], e * (2 + x) * x, e * (1 + x), e * (2 + x)]
    for one, other in zip(found, expected, strict=True):
        assert ho.allclose(one, other)


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (lambda t: t.tolist(), DtypeError, "unpack_hook expected to be a Tensor but got result of type list"),
        (lambda t: t[:1], ShapeError, r"returned shape \(1,\), but pack_hook got \(3,\)"),
        (lambda t: t.float(), DtypeError, "returned dtype float32, but pack_hook got float64"),
    ],
)
def test_what_unpack_returns_is_checked(x, returned, error, message):
    with saved_tensors_hooks(lambda t: t, returned):
        y = x.exp().sum()
    with pytest.raises(error, match=message):
        y.backward()


def test_an_error_in_pack_reaches_the_user_and_ends_the_context(x):
    def pack(t):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), saved_tensors_hooks(pack, lambda t: t):
        x.exp()
    assert ho.grad(x.exp().sum(), x)[0].tolist() == x.detach().exp().tolist()


def test_hooks_belong_to_the_thread():
    gate = threading.Barrier(8, timeout=60)

    def run(i):
        x = ho.tensor([float(i)], requires_grad=True)
        packed = []
        for _ in range(50):
            gate.wait()
            if i % 2:
                with saved_tensors_hooks(lambda t: packed.append(t.item()) or t, lambda t: t):
                    y = x.sin().exp()
            else:
                y = x.sin().exp()
            assert ho.grad(y, x)[0].item() == np.cos(i) * np.exp(np.sin(i))
        return packed

    with ThreadPoolExecutor(8) as pool:
        for i, packed in enumerate(pool.map(run, range(8))):
            assert packed == ([float(i), float(np.exp(np.sin(i)))] * 50 if i % 2 else [])
