"""Writes the trajectories of torch.optim that `test_against_torch.py` compares with: run it with PyTorch installed.

python tests/optim/record_torch.py > tests/optim/torch_trajectories.json
"""

import json

CASES = {
    "SGD": [
        {"lr": 0.1},
        {"lr": 0.05, "momentum": 0.9},
        {"lr": 0.05, "momentum": 0.8, "dampening": 0.3},
        {"lr": 0.05, "momentum": 0.9, "nesterov": True},
        {"lr": 0.1, "weight_decay": 0.2},
        {"lr": 0.03, "momentum": 0.7, "dampening": 0.0, "weight_decay": 0.1, "nesterov": True},
        {"lr": 0.03, "momentum": 0.7, "dampening": 0.5, "weight_decay": 0.1},
    ],
    "Adam": [
        {"lr": 0.1},
        {"lr": 0.05, "betas": [0.5, 0.7]},
        {"lr": 0.05, "betas": [0.0, 0.9], "eps": 0.01},
        {"lr": 0.1, "weight_decay": 0.3, "eps": 0.001},
    ],
}
START = {"bias": [0.3, -1.2], "weight": [[1.0, -2.0, 0.5], [0.25, 3.0, -0.75]]}
STEPS = 20


def loss(params, sin):
    """A smooth function that couples both parameters and is not convex."""
    hidden = sin(params["weight"]).sum(1) + params["bias"]
    return (hidden * hidden).sum() + 0.1 * (params["weight"] ** 2).sum() + sin(params["bias"]).sum()


def record():
    import torch

    torch.set_default_dtype(torch.float64)
    out = []
    for name, cases in CASES.items():
        for options in cases:
            params = {key: torch.tensor(value, requires_grad=True) for key, value in START.items()}
            optimizer = getattr(torch.optim, name)(list(params.values()), **options)
            trajectory = []
            for _ in range(STEPS):
                optimizer.zero_grad()
                loss(params, torch.sin).backward()
                optimizer.step()
                trajectory.append({key: value.tolist() for key, value in params.items()})
            out.append({"optimizer": name, "options": options, "trajectory": trajectory[4::5]})
    return out


if __name__ == "__main__":
    print(json.dumps(record(), indent=None, separators=(",", ":")).replace('{"optimizer"', '\n{"optimizer"'))
