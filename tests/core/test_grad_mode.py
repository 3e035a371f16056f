"""`no_grad`, `enable_grad` and `set_grad_enabled` in each form; what is expected is what PyTorch 2.13 does."""

import copy
import pickle

import pytest

import hograd as ho


@pytest.fixture
def x():
    return ho.tensor([1.0, 2.0], requires_grad=True)


@pytest.fixture(autouse=True)
def mode_is_left_as_it_was():
    assert ho.is_grad_enabled()
    yield
    assert ho.is_grad_enabled()


OFF = [ho.no_grad, lambda: ho.set_grad_enabled(False)]
ON = [ho.enable_grad, lambda: ho.set_grad_enabled(True)]


@pytest.mark.parametrize("off", OFF, ids=["no_grad", "set_grad_enabled"])
@pytest.mark.parametrize("on", ON, ids=["enable_grad", "set_grad_enabled"])
def test_nested_contexts(x, off, on):
    with off():
        assert not ho.is_grad_enabled()
        y = x * 2
        assert (y.requires_grad, y.is_leaf, y.grad_fn) == (False, True, None)
        with on():
            assert (x * 2).requires_grad
            with off():
                assert not (x * 2).requires_grad
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad
    assert not (y * 2).requires_grad


def test_leaf_made_under_no_grad_still_requires_grad(x):
    with ho.no_grad():
        w = ho.tensor([3.0, 4.0], requires_grad=True)
        assert w.requires_grad
        assert ho.zeros(2).requires_grad_().requires_grad
    (x * w).sum().backward()
    assert w.grad.tolist() == [1.0, 2.0]


def test_graph_recorded_before_can_be_differentiated_under_no_grad(x):
    y = (x * x).sum()
    with ho.no_grad():
        (g,) = ho.autograd.grad(y, x, retain_graph=True)
        y.backward()
    assert g.tolist() == x.grad.tolist() == [2.0, 4.0]
    assert not g.requires_grad


def test_part_computed_under_no_grad_is_a_constant(x):
    with ho.no_grad():
        c = x * x
    (x * c).sum().backward()
    assert x.grad.tolist() == [1.0, 4.0]


def test_one_context_object_used_again_and_within_itself(x):
    context = ho.no_grad()
    with context:
        assert not ho.is_grad_enabled()
    assert ho.is_grad_enabled()
    with context:
        with context:
            assert not ho.is_grad_enabled()
        assert not ho.is_grad_enabled()
    assert ho.is_grad_enabled()


@pytest.mark.parametrize("context", [*OFF, *ON])
def test_mode_is_restored_after_an_exception(context):
    for before in (True, False):
        with ho.set_grad_enabled(before):
            with pytest.raises(ZeroDivisionError), context():
                raise ZeroDivisionError
            assert ho.is_grad_enabled() is before


def test_set_grad_enabled_as_a_plain_call(x):
    ho.set_grad_enabled(False)
    try:
        assert not (x * 2).requires_grad
    finally:
        ho.set_grad_enabled(True)
    assert (x * 2).requires_grad


def test_set_grad_enabled_by_a_condition(x):
    for is_train in (False, True):
        with ho.set_grad_enabled(is_train):
            y = x * 2
        assert y.requires_grad is is_train


def called(x):
    return x * 2, ho.is_grad_enabled()


@pytest.mark.parametrize(
    ("decorate", "expected"),
    [
        (ho.no_grad(), False),
        (ho.no_grad, False),
        (ho.set_grad_enabled(True), True),
        (ho.enable_grad(), True),
        (ho.enable_grad, True),
    ],
    ids=["no_grad()", "no_grad", "set_grad_enabled", "enable_grad()", "enable_grad"],
)
def test_decorator(x, decorate, expected):
    function = decorate(called)
    assert function.__name__ == "called"
    for outside in (True, False):
        with ho.set_grad_enabled(outside):
            y, inside = function(x)
            assert (y.requires_grad, inside) == (expected, expected)
            assert ho.is_grad_enabled() is outside


def test_set_grad_enabled_false_as_a_decorator(x):
    @ho.set_grad_enabled(False)
    def function():
        return ho.is_grad_enabled()

    assert ho.is_grad_enabled()
    assert not function()
    assert ho.is_grad_enabled()


def test_decorated_method(x):
    class Model:
        @ho.no_grad()
        def predict(self, x):
            return x * 2

    assert not Model().predict(x).requires_grad


def test_decorated_function_that_raises_or_calls_itself():
    @ho.no_grad()
    def countdown(n):
        assert not ho.is_grad_enabled()
        if n == 0:
            raise ZeroDivisionError
        with ho.enable_grad():
            countdown(n - 1)

    with pytest.raises(ZeroDivisionError):
        countdown(3)
    assert ho.is_grad_enabled()


def test_generator_runs_under_its_mode_and_its_caller_does_not(x):
    @ho.no_grad()
    def values():
        inside.append(ho.is_grad_enabled())
        received = yield x * 2
        inside.append(ho.is_grad_enabled())
        yield received
        inside.append(ho.is_grad_enabled())
        return "end"

    inside = []
    running = values()
    assert ho.is_grad_enabled()
    assert not next(running).requires_grad
    assert ho.is_grad_enabled()
    assert running.send("sent") == "sent"
    assert ho.is_grad_enabled()
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == "end"
    assert inside == [False, False, False]


def test_generator_that_catches_what_is_thrown_in():
    @ho.no_grad()
    def values():
        try:
            yield 1
        except KeyError:
            yield ho.is_grad_enabled()
        finally:
            closed.append(ho.is_grad_enabled())

    closed = []
    running = values()
    next(running)
    assert running.throw(KeyError) is False
    running.close()
    assert closed == [False]


def test_mode_inside_and_outside_of_a_transform(x):
    def inside(x):
        with ho.no_grad():
            c = x * x
        return (x * x - c).sum()

    assert ho.func.grad(inside)(x.detach()).tolist() == [2.0, 4.0]
    with ho.no_grad():
        assert ho.func.grad(lambda x: (x * x).sum())(x.detach()).tolist() == [2.0, 4.0]
        g = ho.func.grad(lambda x: (x * x).sum())(x)
        assert not g.requires_grad
    assert ho.func.grad(lambda x: (x * x).sum())(x).requires_grad


@pytest.mark.parametrize("mode", [ho.no_grad, ho.enable_grad])
def test_contexts_are_copied_and_pickled(mode):
    for context in (copy.deepcopy(mode()), pickle.loads(pickle.dumps(mode()))):
        with ho.set_grad_enabled(mode is ho.no_grad), context:
            assert ho.is_grad_enabled() == (mode is ho.enable_grad)


def test_contexts_that_end_crosswise_leave_the_mode_as_it_was():
    def silenced():
        with ho.no_grad():
            yield

    first, second = silenced(), silenced()
    next(first)
    next(second)
    first.close()
    assert not ho.is_grad_enabled()
    second.close()
    assert ho.is_grad_enabled()
