"""Control flow: values, derivatives in both modes, and under `vmap` against a loop."""

import gc
import weakref

import numpy as np
import pytest

import hograd as ho
from hograd import func


def branch(x):
    return ho.cond(x > 0, lambda x: x**3, lambda x: -2 * x, (x,))


class TestCond:
    @pytest.mark.parametrize(("x", "value", "slope"), [(2.0, 8.0, 12.0), (-2.0, 4.0, -2.0)])
    def test_value_and_derivatives(self, x, value, slope):
        x = ho.tensor(x)
        assert func.grad_and_value(branch)(x)[0].item() == slope
        assert [y.item() for y in func.jvp(branch, (x,), (ho.tensor(1.0),))] == [value, slope]

    def test_only_the_chosen_branch_runs(self):
        ran = []
        for pred in (True, ho.tensor(False), ho.tensor([1]), 0):
            ho.cond(pred, lambda: ran.append("yes"), lambda: ran.append("no"))
        assert ran == ["yes", "no", "yes", "no"]

    def test_under_vmap_each_element_has_its_own(self):
        x = ho.tensor([2.0, -2.0, 0.0, 1.0])
        assert ho.vmap(branch)(x).tolist() == [8.0, 4.0, 0.0, 1.0]
        assert ho.vmap(func.grad(branch))(x).tolist() == [12.0, -2.0, -2.0, 3.0]
        assert func.grad(lambda x: ho.vmap(branch)(x).sum())(x).tolist() == [12.0, -2.0, -2.0, 3.0]
        nested = ho.vmap(
            ho.vmap(lambda x, y: ho.cond(x > y, lambda: (x, y * 1), lambda: (y, x * 1))), in_dims=(0, None)
        )
        low, high = ho.tensor([[1.0, 5.0], [4.0, 2.0]]), ho.tensor([3.0, 3.0])
        assert [y.tolist() for y in nested(low, high)] == [[[3.0, 5.0], [4.0, 3.0]], [[1.0, 3.0], [3.0, 2.0]]]

    def test_a_shared_condition_runs_one_branch_under_vmap(self):
        def fail(x):
            raise AssertionError("ran")

        assert ho.vmap(lambda x: ho.cond(ho.tensor(True), lambda x: x, fail, (x,)))(ho.ones(2)).tolist() == [1, 1]
        assert ho.vmap(lambda x: ho.cond(x > 0, lambda x: x, fail, (x,)))(ho.ones(2)).tolist() == [1, 1]

    def test_errors(self):
        with pytest.raises(ValueError, match=r"pred has shape \(2,\), expected one element"):
            ho.cond(ho.ones(2), lambda: 1.0, lambda: 0.0)
        with pytest.raises(ValueError, match="expected a tuple"):
            ho.cond(True, lambda x: x, lambda x: x, ho.ones(2))
        x = ho.tensor([1.0, -1.0])
        with pytest.raises(ValueError, match=r"cond: false_fn\(...\) has shape \(2,\), expected \(\)"):
            ho.vmap(lambda x: ho.cond(x > 0, lambda: x, lambda: ho.zeros(2)))(x)
        with pytest.raises(TypeError, match="dtype int64, expected float64"):
            ho.vmap(lambda x: ho.cond(x > 0, lambda: x, lambda: 1))(x)
        with pytest.raises(ValueError, match="differs in structure"):
            ho.vmap(lambda x: ho.cond(x > 0, lambda: x, lambda: (x, x)))(x)


def collatz(n):
    """The number of steps to 1, which depends on the data."""
    going = lambda n, count: n != 1  # noqa: E731
    step = lambda n, count: (ho.where(n % 2 == 0, n // 2, 3 * n + 1), count + 1)  # noqa: E731
    return ho.while_loop(going, step, (n, 0))[1]


def newton(a, **options):
    going = lambda x, a: abs(x * x - a) > 1e-13  # noqa: E731
    return ho.while_loop(going, lambda x, a: ((x + a / x) / 2, a), (ho.ones_like(a), a), **options)[0]


class TestWhileLoop:
    def test_value(self):
        assert [collatz(ho.tensor(n)).item() for n in (1, 6, 27)] == [0, 8, 111]
        assert ho.while_loop(lambda x: x["n"] < 3, lambda x: {"n": x["n"] + 1}, {"n": 0})["n"].item() == 3

    def test_under_vmap_each_element_stops_by_itself(self):
        assert ho.vmap(collatz)(ho.tensor([1, 6, 27, 2])).tolist() == [0, 8, 111, 1]
        assert ho.vmap(ho.vmap(collatz))(ho.tensor([[1, 6], [27, 2]])).tolist() == [[0, 8], [111, 1]]
        assert ho.vmap(lambda x: ho.while_loop(lambda k, y: k < 3, lambda k, y: (k + 1, y * x), (0, 1.0))[1])(
            ho.tensor([1.0, 2.0])
        ).tolist() == [1.0, 8.0]

    def test_forward_mode_needs_no_bound(self):
        a = ho.tensor(2.0)
        value, slope = func.jvp(newton, (a,), (ho.tensor(1.0),))
        assert value.item() == pytest.approx(2**0.5, rel=1e-14)
        assert slope.item() == pytest.approx(0.5 / 2**0.5, rel=1e-10)
        assert func.jacfwd(func.jacfwd(newton))(a).item() == pytest.approx(-0.25 * 2**-1.5, rel=1e-8)

    def test_reverse_mode_with_a_bound_is_that_of_the_unrolled_loop(self):
        bounded = lambda a: newton(a, maximum_steps=50)  # noqa: E731

        def unrolled(a):
            x = ho.ones_like(a)
            while abs(x * x - a).item() > 1e-13:
                x = (x + a / x) / 2
            return x

        for a in (2.0, 9.0, 0.3):
            f, g = bounded, unrolled
            for _ in range(3):
                f, g = func.grad(f), func.grad(g)
                assert f(ho.tensor(a)).item() == pytest.approx(g(ho.tensor(a)).item(), rel=1e-10)
        x = ho.tensor(2.0, requires_grad=True)
        (g,) = ho.grad(bounded(x), x, create_graph=True)
        assert ho.grad(g, x)[0].item() == pytest.approx(
            func.grad(func.grad(unrolled))(ho.tensor(2.0)).item(), rel=1e-10
        )

    def test_gradients_under_vmap_are_those_of_a_loop_over_the_elements(self):
        a = ho.tensor([2.0, 9.0, 0.3])
        one = func.grad(lambda a: newton(a, maximum_steps=50))
        expected = [one(x).item() for x in a]
        np.testing.assert_allclose(ho.vmap(one)(a), expected, rtol=1e-13)
        both = func.grad(lambda a: ho.vmap(lambda a: newton(a, maximum_steps=50))(a).sum())(a)
        np.testing.assert_allclose(both, expected, rtol=1e-13)

    @pytest.mark.parametrize("how", ["eager", "func", "closure", "vmap"])
    def test_reverse_mode_without_a_bound_is_refused(self, how):
        calls = {
            "eager": lambda: newton(ho.tensor(2.0, requires_grad=True)),
            "func": lambda: func.grad(newton)(ho.tensor(2.0)),
            "closure": lambda: func.grad(lambda a: ho.while_loop(lambda x: x < 9, lambda x: x * a, 1.0))(
                ho.tensor(2.0)
            ),
            "vmap": lambda: func.grad(lambda a: ho.vmap(newton)(a).sum())(ho.tensor([2.0])),
        }
        with pytest.raises(RuntimeError, match="state maximum_steps"):
            calls[how]()

    def test_values_alone_need_no_bound(self):
        a = ho.tensor(2.0, requires_grad=True)
        with ho.no_grad():
            assert newton(a).item() == pytest.approx(2**0.5)
        assert func.grad(lambda b: b * newton(a.detach()))(ho.tensor(1.0)).item() == pytest.approx(2**0.5)

    def test_the_bound(self):
        count = lambda n: ho.while_loop(lambda k: k < n, lambda k: k + 1, 0, maximum_steps=5)  # noqa: E731
        assert count(5).item() == 5
        with pytest.raises(RuntimeError, match="cond_fn still holds after maximum_steps=5 steps. Raise"):
            count(6)
        with pytest.raises(ho.errors.ConvergenceError, match="for 1 of 3 elements"):
            ho.vmap(lambda n: ho.while_loop(lambda k: k < n, lambda k: k + 1, 0, maximum_steps=5))(ho.tensor([1, 6, 2]))
        with pytest.raises(ValueError, match="maximum_steps is -1"):
            ho.while_loop(lambda k: k < 1, lambda k: k + 1, 0, maximum_steps=-1)

    def test_without_reverse_mode_steps_are_not_kept(self):
        alive = []

        def body(x):
            gc.collect()
            assert sum(ref() is not None for ref in alive) <= 2
            new = x + 1
            alive.append(weakref.ref(new))
            return new

        ho.while_loop(lambda x: x < 20, body, ho.tensor(0.0))

    def test_what_is_carried_stays_alike(self):
        with pytest.raises(ValueError, match=r"body_fn\(...\)\[0\] has shape \(2,\), expected \(\)"):
            ho.while_loop(lambda x: x.sum() < 3, lambda x: x + ho.ones(2), 0.0)
        with pytest.raises(TypeError, match="dtype float64, expected int64"):
            ho.while_loop(lambda x: x < 3, lambda x: x + 0.5, 0)
        with pytest.raises(ValueError, match="differs in structure"):
            ho.while_loop(lambda x, y: x < 3, lambda x, y: x, (0, 1))
        with pytest.raises(ValueError, match=r"cond_fn\(...\) has shape \(2,\)"):
            ho.while_loop(lambda x: x < 3, lambda x: x, ho.zeros(2))


class TestCounted:
    def test_fori_loop(self):
        f = lambda x: ho.fori_loop(1, 4, lambda i, x: {"x": x["x"] * i}, {"x": x})["x"]  # noqa: E731
        assert func.grad_and_value(lambda x: f(x) ** 2)(ho.tensor(2.0))[0].item() == 144.0
        assert func.jvp(f, (ho.tensor(2.0),), (ho.tensor(1.0),))[1].item() == 6.0
        assert ho.vmap(f)(ho.tensor([1.0, 2.0])).tolist() == [6.0, 12.0]
        assert ho.fori_loop(3, 3, lambda i, x: x * 0, 5.0).item() == 5.0
        with pytest.raises(ValueError, match=r"fori_loop: body_fn\(...\) has shape \(1,\), expected \(\)"):
            ho.fori_loop(0, 1, lambda i, x: x.reshape(1), 5.0)

    @pytest.mark.parametrize("reverse", [False, True])
    def test_scan_is_the_loop(self, reverse):
        rng = np.random.default_rng(0)
        w, h0, xs = (ho.tensor(rng.normal(size=s)) for s in [(3, 3), (3,), (5, 3)])

        def step(h, x):
            h = ho.tanh(w @ h + x["x"])
            return h, {"h": h, "norm": (h**2).sum()}

        def loop(h, xs):
            hs = []
            for i in range(4, -1, -1) if reverse else range(5):
                h = ho.tanh(w @ h + xs[i])
                hs.append(h)
            hs = ho.stack(hs[::-1] if reverse else hs)
            return h, {"h": hs, "norm": (hs**2).sum(1)}

        f = lambda h, xs: ho.scan(step, h, {"x": xs}, reverse=reverse)  # noqa: E731
        close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)  # noqa: E731
        ho.tree.map(close, f(h0, xs), loop(h0, xs))
        ho.tree.map(close, func.jacrev(f, (0, 1))(h0, xs), func.jacrev(loop, (0, 1))(h0, xs))
        ho.tree.map(close, func.jvp(f, (h0, xs), (h0, xs)), func.jvp(loop, (h0, xs), (h0, xs)))
        batch = ho.stack([xs, xs * 2])
        ho.tree.map(
            lambda a, b, c: close(a, ho.stack([b, c])),
            ho.vmap(f, in_dims=(None, 0))(h0, batch),
            loop(h0, xs),
            loop(h0, xs * 2),
        )

    def test_scan_without_input_or_output(self):
        assert ho.scan(lambda x, _: (x * 2, None), 1.0, length=3) == (8.0, None)
        carry, ys = ho.scan(lambda x, _: (x * 2, x), 1.0, length=3)
        assert (carry.item(), ys.tolist()) == (8.0, [1.0, 2.0, 4.0])

    def test_scan_errors(self):
        step = lambda c, x: (c, x)  # noqa: E731
        for xs, length in ((None, None), (ho.ones(3), 2), ((ho.ones(3), ho.ones(2)), None), (None, 0), (1.0, None)):
            with pytest.raises(ValueError, match="scan needs one number of steps"):
                ho.scan(step, 0.0, xs, length)
        with pytest.raises(ValueError, match=r"must return \(carry, output\)"):
            ho.scan(lambda c, x: c, 0.0, ho.ones(2))
        with pytest.raises(
            ValueError, match=r"scan: the carry of f\(...\) has shape \(2,\), expected \(\), that of init"
        ):
            ho.scan(lambda c, x: (ho.ones(2), None), 0.0, ho.ones(2))
