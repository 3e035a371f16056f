"""Every optimizer follows torch.optim; the trajectories were recorded by `record_torch.py` with PyTorch 2.13."""

import pathlib

import numpy as np
import pytest

import hograd as ho

from . import settings
from .trajectories import build, numbers, trajectory

SETTINGS = settings.torch_settings()
NAMES = list(dict.fromkeys(name for name, _ in SETTINGS))
RECORDED = np.load(pathlib.Path(__file__).parent / "torch_trajectories.npy")


def recorded(name):
    """Options, and the parameters after step 3 and 20, for each setting of one optimizer."""
    at = 0
    for other, options in SETTINGS:
        count = 2 * numbers(other)
        if other == name:
            yield options, RECORDED[at : at + count].reshape(2, -1)
        at += count


def test_the_record_is_of_these_settings():
    assert len(SETTINGS) >= 500
    assert sum(2 * numbers(name) for name, _ in SETTINGS) == RECORDED.size


@pytest.mark.parametrize("name", NAMES)
def test_follows_torch(name):
    for options, expected in recorded(name):
        rows, _ = trajectory(name, build(name, options))
        np.testing.assert_allclose(rows[[2, -1]], expected, rtol=0, atol=1e-12, err_msg=str(options))


@pytest.mark.parametrize("name", NAMES)
def test_follows_torch_with_hyperparameters_as_tensors(name):
    for options, expected in list(recorded(name))[::7]:
        rows, _ = trajectory(name, ho.tree.map(ho.tensor, build(name, options)))
        np.testing.assert_allclose(rows[[2, -1]], expected, rtol=0, atol=1e-12, err_msg=str(options))
