"""Compiled functions are pickled and copied, go to other processes, and survive a fork."""

import copy
import functools
import multiprocessing
import os
import pickle
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import hograd as ho
from tests.program import travelling

W = ho.tensor([1.0, 2.0])


def through_pickle(thing, protocol=pickle.HIGHEST_PROTOCOL):
    return pickle.loads(pickle.dumps(thing, protocol))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_function_under_its_name_is_pickled_by_name(protocol):
    assert through_pickle(travelling.slope, protocol) is travelling.slope
    assert through_pickle(travelling.Model.scaled, protocol) is travelling.Model.scaled


def test_a_function_under_another_name_takes_its_options_along():
    found = through_pickle(travelling.fast_cube)
    assert found.function is travelling.cube
    assert (found.cache_size, found.settings) == (3, travelling.fast_cube.settings)
    assert found(W) == travelling.cube(W)


def test_methods_and_callable_objects():
    model = travelling.Model(3.0)
    assert through_pickle(ho.compile(model.plain))(W).tolist() == [3.0, 6.0]
    assert through_pickle(model.scaled)(W).tolist() == [2.0, 4.0]
    compiled = ho.compile(model.plain)
    copied = copy.deepcopy(compiled)
    assert copied.function.__self__ is not model
    assert copied(W).tolist() == [3.0, 6.0]


def test_functions_are_copied_as_functions_are():
    local = ho.compile(lambda w: w * 2)
    for compiled in (travelling.slope, local):
        assert copy.copy(compiled) is compiled
        assert copy.deepcopy({"step": compiled})["step"] is compiled


def test_what_has_no_name_is_refused_in_words():
    def local(w):
        return w

    for compiled in (ho.compile(lambda w: w), ho.compile(local), travelling.hidden.__wrapped__):
        with pytest.raises(pickle.PicklingError, match="Define it at the top level of a module"):
            pickle.dumps(compiled)


def test_cloudpickle_takes_what_has_no_name():
    cloudpickle = pytest.importorskip("cloudpickle")
    assert pickle.loads(cloudpickle.dumps(ho.compile(lambda w: w * 2)))(W).tolist() == [2.0, 4.0]
    assert pickle.loads(cloudpickle.dumps(travelling.slope)) is travelling.slope


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_executors_run_compiled_functions(method):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        assert pool.submit(travelling.slope, W).result(timeout=120).tolist() == [3.0, 12.0]
        assert pool.submit(travelling.fast_cube, W).result(timeout=120).item() == 9.0


def shifted(number, w):
    return (w * number).exp() + number


def in_fork(function):
    """The exit status of a fork that runs a function; None if it hangs."""
    child = os.fork()
    if child == 0:
        try:
            function()
        except BaseException:
            os._exit(1)
        os._exit(0)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_another_thread_captures():
    inside, finish = threading.Event(), threading.Event()

    def slow(w):
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            finish.wait(60)
        return w * 2

    compiled = ho.compile(slow)
    thread = threading.Thread(target=compiled, args=(W,))
    thread.start()
    inside.wait(60)
    try:
        assert in_fork(lambda: np.testing.assert_array_equal(compiled(W).numpy(), [2.0, 4.0])) == 0
    finally:
        finish.set()
        thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forks_while_other_threads_compile_and_run_machine_code():
    pytest.importorskip("llvmlite")
    stop = threading.Event()
    running = ho.compile(ho.func.vmap(lambda x: (x @ x.T).tanh() @ x), backend="native", threads=2)
    x = ho.tensor(np.random.default_rng(0).normal(size=(8, 60, 60)))
    right = running(x).numpy()

    def compiles():
        while not stop.is_set():
            number = np.random.default_rng().random()
            ho.compile(functools.partial(shifted, number), backend="native")(W)

    def runs():
        while not stop.is_set():
            running(x)

    def child():
        np.testing.assert_array_equal(running(x).numpy(), right)
        found = ho.compile(lambda w: (w * 3.25).sin(), backend="native")(W).numpy()
        np.testing.assert_allclose(found, np.sin([3.25, 6.5]))

    threads = [threading.Thread(target=compiles), threading.Thread(target=runs)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert in_fork(child) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
