"""Writes the values of torch.optim.lr_scheduler that `test_schedules.py` compares with: run it with PyTorch installed.

python tests/optim/record_schedules.py
"""

import ast
import pathlib
import warnings

import numpy as np
import torch

HERE = pathlib.Path(__file__).parent
# The table of expressions in the test, whose module needs its record to be imported.
source = ast.parse((HERE / "test_schedules.py").read_text())
table = next(n for n in source.body if isinstance(n, ast.Assign) and n.targets[0].id == "SCHEDULES").value
STEPS = 16

if __name__ == "__main__":
    rows = []
    for pair in table.values:
        names = {"s": torch.optim.lr_scheduler, "STEPS": STEPS}
        names["o"] = optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
        code = eval(compile(ast.Expression(pair.elts[1]), "table", "eval"), names)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            schedule = eval(code, names)
            row = []
            for t in range(STEPS):
                row.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
                if t < STEPS - 1:
                    schedule.step()
        rows.append(row)
    np.save(HERE / "torch_schedules.npy", np.array(rows))
