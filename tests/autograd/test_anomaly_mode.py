"""Anomaly mode names the line of the forward pass that a value or gradient that is not finite comes from."""

import threading

import pytest

import hograd as ho
from hograd import func

# Values that are not finite are the subject here.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

detect_anomaly = ho.autograd.detect_anomaly
AnomalyError = ho.errors.AnomalyError


def bad_root(x):
    return ho.sqrt(x) * x  # the culprit


def test_the_line_of_the_operation_is_named():
    x = ho.tensor([0.0, 1.0], requires_grad=True)
    with detect_anomaly(), pytest.raises(AnomalyError) as caught:
        bad_root(x).sum().backward()
    message = str(caught.value)
    assert "Function 'SqrtBackward0' returned nan values in its 0th output." in message
    assert "in bad_root: return ho.sqrt(x) * x  # the culprit" in message
    assert "test_anomaly_mode.py" in message
    assert "in test_the_line_of_the_operation_is_named" in message
    assert "not finite before" not in message


def test_the_kind_and_the_place_of_the_argument():
    a, b = ho.tensor(1.0, requires_grad=True), ho.tensor(0.0, requires_grad=True)
    with (
        detect_anomaly(),
        pytest.raises(RuntimeError, match=r"'DivBackward0' returned (inf|nan) values in its \dth output"),
    ):
        ho.grad(a / b, [a, b])


def test_the_first_value_that_was_not_finite_is_named():
    x = ho.tensor([0.0, 1.0], requires_grad=True)
    with detect_anomaly():
        y = x.log()  # the first
        z = (y * x).sum()
        with pytest.raises(AnomalyError) as caught:
            z.backward()
    assert "`log` made it at" in str(caught.value)
    assert "y = x.log()  # the first" in str(caught.value)


def test_forward_values_are_checked_on_request():
    x = ho.tensor([0.0, 1.0], requires_grad=True)
    with detect_anomaly():
        x.log()
    with detect_anomaly(check_forward=True):
        x.exp()
        with pytest.raises(AnomalyError, match=r"`log` returned inf values. It was recorded at .*: x.log\(\)"):
            x.log()


@pytest.mark.parametrize("how", ["create_graph", "func", "vmap", "hessian"])
def test_every_kind_of_derivative_is_watched(how):
    x = ho.tensor([0.0, 1.0], requires_grad=True)
    f = lambda x: (ho.sqrt(x) * x).sum()  # noqa: E731
    calls = {
        "create_graph": lambda: ho.grad(f(x), x, create_graph=True),
        "func": lambda: func.grad(f)(x.detach()),
        "vmap": lambda: ho.vmap(func.grad(f))(ho.tensor([[0.0], [1.0]])),
        "hessian": lambda: func.hessian(f)(x.detach()),
    }
    with detect_anomaly(), pytest.raises(AnomalyError, match="returned (nan|inf) values"):
        calls[how]()


def test_a_second_derivative_names_what_was_differentiated():
    x = ho.tensor(0.0, requires_grad=True)
    with detect_anomaly():
        y = x**1.5
        (g,) = ho.grad(y, x, create_graph=True)
        with pytest.raises(
            AnomalyError, match=r"belongs to the derivative of 'PowerBackward0' recorded at .*: y = x\*\*1.5"
        ):
            ho.grad(g, x)


def test_finite_derivatives_are_those_without_the_mode():
    x = ho.tensor([0.5, 2.0], requires_grad=True)
    f = lambda x: (x.sin() * x.log()).sum()  # noqa: E731
    with detect_anomaly():
        (g,) = ho.grad(f(x), x, create_graph=True)
        (h,) = ho.grad(g.sum(), x)
    (g2,) = ho.grad(f(x), x, create_graph=True)
    assert g.tolist() == g2.tolist()
    assert h.tolist() == ho.grad(g2.sum(), x)[0].tolist()


def test_a_start_that_is_not_finite():
    x = ho.tensor([1.0], requires_grad=True)
    with detect_anomaly(), pytest.raises(AnomalyError, match="starts with has nan values"):
        ho.grad(x * 2, x, ho.tensor([float("nan")]))


def test_a_forward_pass_outside_of_the_mode():
    x = ho.tensor([0.0], requires_grad=True)
    y = bad_root(x).sum()
    with detect_anomaly(), pytest.raises(AnomalyError, match="run the forward pass under detect_anomaly too"):
        y.backward()


def test_off_it_does_nothing():
    x = ho.tensor([0.0], requires_grad=True)
    with detect_anomaly(check_nan=False):
        assert ho.isnan(ho.grad(bad_root(x).sum(), x)[0]).all()
    assert ho.isnan(ho.grad(bad_root(x).sum(), x)[0]).all()


def test_the_switches():
    enabled = ho.autograd.is_anomaly_enabled
    assert not enabled()
    with detect_anomaly():
        assert ho.autograd.is_anomaly_check_nan_enabled()
        with ho.autograd.set_detect_anomaly(False):
            assert not enabled()
        with detect_anomaly(check_nan=False):
            assert enabled()
            assert not ho.autograd.is_anomaly_check_nan_enabled()
        assert enabled()
    assert not enabled()
    ho.autograd.set_detect_anomaly(True)
    assert enabled()
    ho.autograd.set_detect_anomaly(False)
    assert not enabled()


def test_other_threads_are_left_alone():
    found = []

    def other():
        x = ho.tensor([0.0], requires_grad=True)
        found.append(ho.grad(bad_root(x).sum(), x)[0].tolist())

    with detect_anomaly():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert str(found) == "[[nan]]"
