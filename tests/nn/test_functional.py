"""The functions of networks, by the names of `torch.nn.functional`."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho
from hograd.nn import functional as F


@pytest.mark.parametrize("name", F.__all__)
def test_each_is_the_function_of_that_name(name):
    assert getattr(F, name) is getattr(ho, {"unfold": "im2col", "fold": "col2im"}.get(name, name))


def test_a_network_of_functions():
    random = np.random.default_rng(0)
    x, w, v = (ho.tensor(random.normal(size=shape)) for shape in [(2, 1, 6, 6), (3, 1, 3, 3), (4, 12)])

    def loss(w, v):
        h = F.max_pool2d(F.relu(F.conv2d(x, w)), 2)
        return F.cross_entropy(F.linear(ho.flatten(h, 1), v), ho.tensor([1, 3]))

    assert ho.check.gradcheck(loss, (w, v), order=2)
