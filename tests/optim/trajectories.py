"""Runs of hograd's optimizers on the settings that other libraries were recorded on."""

import numpy as np

import hograd as ho
import optim

from . import settings

OF_OPTAX = {
    "adabelief": "AdaBelief",
    "adan": "Adan",
    "lion": "Lion",
    "yogi": "Yogi",
    "lamb": "LAMB",
    "lars": "LARS",
    "polyak_sgd": "PolyakSGD",
}
RENAMED = {
    "adjust_lr_fn": "adjust_lr",
    "learning_rate": "lr",
    "max_learning_rate": "largest",
    "f_min": "least_value",
}


def build(name, options):
    """The optimizer that stands here for one of another library."""
    options = {RENAMED.get(key, key): value for key, value in options.items()}
    if "scaling" in options:  # optax scales the gradient before it measures it
        options["lr"] = options.pop("scaling")
        options["scale"] = options["lr"] ** 2
    betas = tuple(options.pop(key) for key in ("b1", "b2", "b3") if key in options)
    return getattr(optim, OF_OPTAX.get(name, name))(**options, **({"betas": betas} if betas else {}))


def trajectory(name, optimizer, unused=None):
    """The parameters after every step, a row of numbers each, and the last state; `unused` is that one's gradient."""
    params = {key: ho.tensor(value) for key, value in settings.start(name).items()}
    state = optimizer.init(params)
    gradient = ho.func.grad_and_value(lambda p: settings.loss(p, ho.sin))
    rows = []
    for _ in range(settings.STEPS):
        grads, value = gradient(params)
        if "unused" in grads:
            grads["unused"] = unused
        params, state = optimizer.step(params, grads, state, value=value)
        rows.append(np.concatenate([value.numpy().ravel() for value in params.values()]))
    return np.array(rows), state


def numbers(name):
    """How many numbers the parameters are."""
    return sum(np.size(value) for value in settings.start(name).values())
