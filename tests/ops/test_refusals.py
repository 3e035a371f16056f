"""Whatever is wrong with an argument, every operation says so in an error of hograd's own."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import hograd as ho
from hograd.core.declare import operations
from hograd.errors import HogradError

from .samples import Samples


class Unknown:
    """Something that no operation can take."""

    def __repr__(self):
        return "an unknown thing"


def wrong(argument):
    """What may be given by mistake in an argument's place."""
    yield from ("abc", Unknown(), None)
    if isinstance(argument, (np.ndarray, np.generic)):
        yield np.array(["a", "b"])
        if argument.ndim:
            yield np.ones((*(n + 3 for n in argument.shape), 7))
            yield np.float64(1.5)
    elif isinstance(argument, (int, tuple)):
        yield from (99, -99, 0.5)


def as_tensor(value):
    numbers = isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "fiubc"
    return ho.tensor(value) if numbers else value


@pytest.mark.parametrize("name", [name for name, operation in operations.items() if operation.samples(Samples(name))])
def test_wrong_arguments_are_refused_in_words_or_taken(name):
    case = operations[name].samples(Samples(name))[0]
    for position, argument in enumerate(case.args):
        for value in wrong(argument):
            args = [as_tensor(value if k == position else arg) for k, arg in enumerate(case.args)]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numbers that are no sample may overflow
                try:
                    operations[name].function(*args, **case.kwargs)
                except HogradError:
                    pass
                except Exception as error:
                    pytest.fail(f"{name} with {value!r} as argument {position}: {type(error).__name__}: {error}")
