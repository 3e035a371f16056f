"""Writes the trajectories of torch.optim that `test_against_torch.py` compares with: run it with PyTorch installed.

python tests/optim/record_torch.py
"""

import pathlib

import numpy as np
import torch
from settings import STEPS, loss, start, torch_settings

torch.set_default_dtype(torch.float64)
#: Steps after which the parameters are kept.
KEPT = (3, STEPS)


def trajectory(name, options):
    """The parameters after every step, a row of numbers each, and the optimizer."""
    params = {key: torch.tensor(value, requires_grad=True) for key, value in start(name).items()}
    optimizer = getattr(torch.optim, name)(list(params.values()), **options)
    rows = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(params, torch.sin).backward()
        optimizer.step()
        rows.append(torch.cat([value.detach().reshape(-1) for value in params.values()]).numpy())
    return np.array(rows), optimizer


def in_float64():
    """Lets torch.optim.Muon iterate in the dtype of its parameters, and not in bfloat16."""
    torch.Tensor.bfloat16 = torch.Tensor.clone


if __name__ == "__main__":
    in_float64()
    kept = [trajectory(name, options)[0][[step - 1 for step in KEPT]].reshape(-1) for name, options in torch_settings()]
    np.save(pathlib.Path(__file__).parent / "torch_trajectories.npy", np.concatenate(kept))
