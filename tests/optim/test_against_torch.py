"""Every optimizer follows torch.optim; the trajectories were recorded by `record_torch.py` with PyTorch 2.13."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest

import hograd as ho
import optim

HERE = pathlib.Path(__file__).parent
RECORDED = json.loads((HERE / "torch_trajectories.json").read_text())
_spec = importlib.util.spec_from_file_location("record_torch", HERE / "record_torch.py")
recorder = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(recorder)


def as_options(options):
    return {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}


def as_tensors(options):
    return {
        key: value if isinstance(value, bool) else ho.tree.map(ho.tensor, value)
        for key, value in as_options(options).items()
    }


def test_every_recorded_case_is_current():
    cases = [(name, options) for name, group in recorder.CASES.items() for options in group]
    assert [(r["optimizer"], r["options"]) for r in RECORDED] == cases


@pytest.mark.parametrize("given", [as_options, as_tensors], ids=["numbers", "tensors"])
@pytest.mark.parametrize("record", RECORDED, ids=lambda r: f"{r['optimizer']}-{r['options']}")
def test_follows_torch(record, given):
    opt = getattr(optim, record["optimizer"])(**given(record["options"]))
    params = {key: ho.tensor(value) for key, value in recorder.START.items()}
    state = opt.init(params)
    gradient = ho.func.grad(lambda p: recorder.loss(p, ho.sin))
    trajectory = []
    for _ in range(recorder.STEPS):
        params, state = opt.step(params, gradient(params), state)
        trajectory.append(params)
    for ours, theirs in zip(trajectory[4::5], record["trajectory"], strict=True):
        for key, value in theirs.items():
            np.testing.assert_allclose(ours[key].numpy(), value, rtol=0, atol=1e-12)
