"""One program serves every step of an optimizer, whatever its hyperparameters are."""

import numpy as np
import pytest

import hograd as ho
from optim import SGD
from optim.hyper import Online

from . import test_compose, test_hyperparameters, test_schedules

OPTIMIZERS = {name: (opt, "plain") for name, opt in test_hyperparameters.OPTIMIZERS.items()}
OPTIMIZERS |= {name: (opt, "composed") for name, opt in test_compose.COMPOSED.items()}
OPTIMIZERS |= {name: (SGD(lr=schedule), "composed") for name, (schedule, _) in test_schedules.SCHEDULES.items()}
OPTIMIZERS |= {"online": (Online(SGD(lr=0.1), by=SGD(lr=1e-3)), "composed")}


@pytest.mark.parametrize("name", ["SGD Nesterov", "Adam", "Adafactor", "Muon", "all", "online"])
def test_machine_code_is_the_eager_step(name):
    pytest.importorskip("llvmlite")
    check(name, "native")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_program_is_the_eager_step_for_all_steps_and_hyperparameters(name):
    check(name, "numpy")


def check(name, backend):
    optimizer, kind = OPTIMIZERS[name]
    plain = kind == "plain"
    params = test_hyperparameters.start(name) if plain else test_compose.start()
    loss = test_hyperparameters.loss if plain else test_compose.loss

    def step(opt, params, state):
        grads, value = ho.func.grad_and_value(loss)(params)
        return opt.step(params, grads, state, value)

    compiled = ho.compile(step, backend=backend)
    for factor in (1.0, 0.7):
        opt = ho.tree.map(lambda leaf, factor=factor: ho.tensor(leaf * factor), optimizer)
        ours, theirs = (params, ho.tree.map(ho.as_tensor, opt.init(params))), (params, opt.init(params))
        for _ in range(4):
            ours, theirs = compiled(opt, *ours), step(opt, *theirs)
        for a, b in zip(ho.tree.leaves(ours[0]), ho.tree.leaves(theirs[0]), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=1e-13)
    assert "1 programs" in repr(compiled)
