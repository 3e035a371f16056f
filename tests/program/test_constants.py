"""What captures make of the same data is one array for all programs, as long as one of them needs it."""

import gc
import tracemalloc

import numpy as np

import hograd as ho

ARRAYS = [tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)]


def arrays():
    """The bytes of NumPy's arrays."""
    gc.collect()
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(ARRAYS).traces)


def test_constants_of_the_same_bytes_are_held_once():
    labels = ho.tensor(np.arange(4000) % 5)

    def shifted(number):
        return lambda x: x - ho.nn.functional.one_hot(labels, 5).double() + number

    x = ho.ones(4000, 5)
    compiled = [ho.compile(shifted(float(number))) for number in range(6)]
    compiled[0](x)
    tracemalloc.start()
    before = arrays()
    answers = [f(x).sum().item() for f in compiled[1:]]
    # The 160 KB of the first program serve the other five; each has a buffer for its answer.
    held = arrays() - before
    tracemalloc.stop()
    assert answers == [16000.0 + 20000.0 * number for number in range(1, 6)]
    assert held < 5 * 160_000 + 2 * 160_000
    del compiled
