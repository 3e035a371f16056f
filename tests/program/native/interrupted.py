"""Interrupts machine code in several threads with SIGINT, again and again, and checks what comes after.

python interrupted.py SEED THREADS TIMES
"""

import os
import random
import signal
import sys
import threading
import time

import numpy as np

import hograd as ho
from hograd import func


def inner(w, x, y):
    """Two steps, long enough for each task that a thread is at work on one when the others are done."""
    for _ in range(2):
        w = w - 0.01 * func.grad(lambda w: ((x @ w).tanh() - y).square().mean())(w)
    return w


def main(seed: int, threads: int, times: int) -> None:
    rng = np.random.default_rng(seed)
    random.seed(seed)
    function = func.vmap(inner, in_dims=(None, 0, 0))
    fast = ho.compile(function, backend="native", threads=threads)
    cases = []
    for _ in range(3):
        given = [rng.normal(size=shape) for shape in [(96, 96), (5, 256, 96), (5, 256, 96)]]
        cases.append((given, function(*map(ho.tensor, given)).numpy()))

    def check(given, right):
        np.testing.assert_allclose(fast(*given).numpy(), right, rtol=1e-9, atol=1e-12)

    check(*cases[0])
    begin = time.perf_counter()
    for case in cases:
        check(*case)
    duration = (time.perf_counter() - begin) / len(cases)

    def strike() -> None:
        time.sleep(random.random() * duration)
        os.kill(os.getpid(), signal.SIGINT)

    struck = 0
    while struck < times:
        thread = threading.Thread(target=strike)
        try:
            thread.start()
            # One that strikes in a callback of a weak reference is lost.
            while thread.is_alive():
                fast(*cases[struck % 3][0])
            fast(*cases[0][0])
        except KeyboardInterrupt:
            struck += 1
        thread.join()
        for case in cases:
            check(*case)
    sys.stdout.write(f"{struck}\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
