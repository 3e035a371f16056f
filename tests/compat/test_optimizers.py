"""Every step of every optimizer beside torch.optim, where PyTorch 2.13 is installed."""

import importlib.util
import pathlib

import numpy as np
import pytest

from ..optim import settings
from ..optim.trajectories import build, trajectory

torch = pytest.importorskip("torch", minversion="2.13", exc_type=ImportError)

SETTINGS = settings.torch_settings()
FOLDER = pathlib.Path(__file__).parents[1] / "optim"


@pytest.fixture(scope="module")
def recorder():
    dtype = torch.get_default_dtype()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        patch.setattr(torch.Tensor, "bfloat16", torch.Tensor.bfloat16)
        spec = importlib.util.spec_from_file_location("record_torch", FOLDER / "record_torch.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.in_float64()
        yield module
    torch.set_default_dtype(dtype)


@pytest.mark.parametrize("name", list(dict.fromkeys(name for name, _ in SETTINGS)))
def test_every_step_is_that_of_torch(name, recorder):
    for options in [options for other, options in SETTINGS if other == name][::3]:
        expected, theirs = recorder.trajectory(name, options)
        ours, state = trajectory(name, build(name, options))
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12, err_msg=str(options))
        if name == "ASGD":
            weight = theirs.param_groups[0]["params"][-1]
            average = state["average"]["weight"].numpy()
            np.testing.assert_allclose(average, theirs.state[weight]["ax"].numpy(), rtol=0, atol=1e-12)
