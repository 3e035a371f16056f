"""What PyTorch does not have follows optax; the trajectories were recorded by `record_optax.py` with optax 0.2.8."""

import pathlib

import numpy as np
import pytest

import hograd as ho

from . import settings
from .trajectories import build, numbers, trajectory

SETTINGS = settings.optax_settings()
NAMES = list(dict.fromkeys(name for name, _ in SETTINGS))
RECORDED = np.load(pathlib.Path(__file__).parent / "optax_trajectories.npy")
CASES = list(zip(SETTINGS, RECORDED.reshape(len(RECORDED), 2, -1), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_follows_optax(name):
    assert 2 * numbers(name) == RECORDED.shape[1]
    cases = [(options, expected) for (other, options), expected in CASES if other == name]
    for i, (options, expected) in enumerate(cases):
        optimizers = [build(name, options)]
        if i % 7 == 0:
            optimizers.append(ho.tree.map(ho.tensor, optimizers[0]))
        for optimizer in optimizers:
            rows, _ = trajectory(name, optimizer, unused=ho.zeros(2))
            np.testing.assert_allclose(rows[[2, -1]], expected, rtol=0, atol=1e-12, err_msg=str(options))
