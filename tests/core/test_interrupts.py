"""Exceptions from outside, such as Ctrl-C or the end of a test's time: what is set for a while is put back.

CPython raises them where a Python function begins, behind a call, and where a loop begins anew. Here one is raised at
each of these moments in turn, and, in another test, by a timer.
"""

import dis
import functools
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.core.levels import state

PACKAGE = str(Path(ho.__file__).parent)
NUMPY = str(Path(np.__file__).parent)


class Struck(BaseException):
    pass


def modes():
    """All that is set for a while: what users can ask for, and what only shows later."""
    generator = state.generator
    return (
        ho.is_grad_enabled(),
        ho.autograd.is_anomaly_enabled(),
        np.geterr(),
        ho.get_default_dtype(),
        list(state.stack),
        (state.floor, state.base, state.trace, state.anomaly),
        list(state.watches),
        generator,
    )


W = ho.tensor([0.3, -0.2, 0.5])
X = ho.tensor(np.linspace(-1, 1, 12).reshape(4, 3))


def eager():
    w = W.clone().requires_grad_()
    with ho.no_grad():
        start = w * 2
        with ho.enable_grad():
            y = (w * start).sum()
    ho.grad(y, w, create_graph=True)


def decorated():
    @ho.no_grad()
    def function(x):
        return x.exp() + x.sigmoid()

    function(W)


def gradients():
    func.grad(lambda w: func.grad(lambda w: (w**3).sum())(w).sum())(W)
    func.jvp(lambda w: w.sin(), (W,), (W,))
    func.hessian(lambda w: (w**2).sum())(W)


def mapped():
    def one(w, x):
        noise = ho.rand(3)
        return func.grad(lambda w: (w * x + noise).tanh().sum())(w)

    func.vmap(one, in_dims=(None, 0), randomness="different")(W, X)
    func.vmap(one, in_dims=(None, 0), randomness="same", chunk_size=2)(W, X)


def checkpointed():
    step = func.checkpoint(lambda w: (w * ho.rand(3)).tanh())
    func.grad(lambda w: step(step(w)).sum())(W)


def watching():
    with ho.autograd.detect_anomaly():
        w = W.clone().requires_grad_()
        with ho.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            y = (w**2).sum()
        y.backward()


def captured():
    def step(w, x):
        noise = ho.rand(3)
        return func.vmap(lambda x: func.grad(lambda w: (w * x + noise).tanh().sum())(w))(x)

    compiled = ho.compile(step)
    compiled(W, X)
    func.grad(lambda w: compiled(w, X).sum())(W)


REPLAYED = ho.compile(lambda w, x: func.grad(lambda w: ((x @ w).tanh() ** 2).sum())(w))


def replayed():
    REPLAYED(W, X)
    func.grad(lambda w: REPLAYED(w, X).sum())(W)


PROGRAMS = [eager, decorated, gradients, mapped, checkpointed, watching, captured, replayed]

#: Behind these CPython looks for signals.
MOMENTS = {dis.opmap.get(name) for name in ("RESUME", "CALL", "CALL_FUNCTION_EX", "CALL_KW", "JUMP_BACKWARD")}


@functools.cache
def handlers(code):
    return dis.Bytecode(code).exception_entries


def handler(code, place):
    """Where an exception goes that is raised there."""
    return next((entry.target for entry in handlers(code) if entry.start <= place < entry.end), None)


class Striking:
    """Raises an exception at one moment, counted from the beginning."""

    def __init__(self, moment):
        self.left = moment
        self.last = {}

    def __call__(self, frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith((PACKAGE, NUMPY, __file__)):
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            return self.trace
        return None

    def trace(self, frame, event, argument):
        if event == "opcode" and frame.f_code.co_name not in ("modes", "strike_at"):
            code, place = frame.f_code, frame.f_lasti
            before, self.last[frame] = self.last.get(frame, 0), place
            # From behind the operation it is raised as by the operation only if the same code catches it.
            if code.co_code[before] in MOMENTS and handler(code, before) == handler(code, place):
                self.left -= 1
                if self.left == 0:
                    raise Struck
        elif event == "return":
            self.last.pop(frame, None)
        return self.trace


def strike_at(program, moment):
    """Whether the program was still running at that moment."""
    striking = Striking(moment)
    sys.settrace(striking)
    try:
        program()
    except Struck:
        return True
    finally:
        sys.settrace(None)
    return striking.left <= 0


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_everything_is_put_back_whenever_an_exception_strikes(program):
    ho.manual_seed(0)
    program()
    before = modes()
    moment = 1
    while strike_at(program, moment):
        if modes() != before:
            pytest.fail(f"{program.__name__} at moment {moment}: {before} became {modes()}")
        moment += 1 + moment // 25
    assert moment > 20
    program()


@pytest.fixture
def timer():
    """A function that runs another under a timer again and again, and counts how often that struck."""

    def strike(number, frame):
        raise Struck

    def run(program, check, times):
        rng, struck = np.random.default_rng(0), 0
        for _ in range(times):
            try:
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 1e-3))
                program()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Struck:
                struck += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            check()
        return struck

    handler = signal.signal(signal.SIGALRM, strike)
    yield run
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, handler)


# Those that strike in the callback of a weak reference are lost.
timed = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers"),
]


class TestTimer:
    pytestmark = timed

    @pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
    def test_everything_is_put_back(self, timer, program):
        ho.manual_seed(0)
        program()
        before = modes()

        def check():
            assert modes() == before

        assert timer(program, check, 100)
        program()

    def test_captures_and_repeated_draws_leave_generators_as_they_were(self, timer):
        """NumPy sets a generator's state with Python in between, which is interrupted like any other."""
        generator = ho.manual_seed(0)
        own = np.random.default_rng(0)
        before = [str(g.bit_generator.state) for g in (generator, own)]

        def captured():
            ho.compile(lambda v: v * ho.rand(3) + ho.rand(3, generator=own)).program(W)

        def check():
            assert [str(g.bit_generator.state) for g in (generator, own)] == before

        assert timer(captured, check, 600)
