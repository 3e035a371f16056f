"""The settings, the start and the loss on which optimizers are compared with those of other libraries."""

import itertools


def grid(**choices):
    """Every combination of the choices, as a dict of options."""
    return [dict(zip(choices, row, strict=True)) for row in itertools.product(*choices.values())]


def torch_settings():
    """Pairs of a name in torch.optim and options for it."""
    either = [False, True]
    sgd = [
        rates | momentum
        for rates in grid(lr=[0.01, 0.05, 0.1], weight_decay=[0.0, 0.01, 0.2], maximize=either)
        for momentum in (
            {},
            {"momentum": 0.9},
            {"momentum": 0.5, "dampening": 0.3},
            {"momentum": 0.8, "nesterov": True},
        )
    ]
    adam = grid(
        lr=[0.01, 0.1],
        betas=[(0.9, 0.999), (0.5, 0.7), (0.0, 0.9)],
        eps=[1e-8, 0.01],
        weight_decay=[0.0, 0.1],
        amsgrad=either,
        maximize=either,
    )
    grids = {
        "SGD": sgd,
        "Adam": adam,
        "AdamW": adam,
        "NAdam": grid(
            lr=[0.01, 0.1],
            betas=[(0.9, 0.999), (0.5, 0.7)],
            momentum_decay=[0.004, 0.5],
            weight_decay=[0.0, 0.1],
            decoupled_weight_decay=either,
            maximize=either,
        ),
        "RAdam": grid(
            lr=[0.01, 0.1],
            betas=[(0.9, 0.999), (0.5, 0.7), (0.0, 0.9)],
            weight_decay=[0.0, 0.1],
            decoupled_weight_decay=either,
            maximize=either,
        ),
        "Adamax": grid(
            lr=[0.01, 0.1], betas=[(0.9, 0.999), (0.5, 0.7)], eps=[1e-8, 0.1], weight_decay=[0.0, 0.1], maximize=either
        ),
        "RMSprop": grid(
            lr=[0.005, 0.05],
            alpha=[0.9, 0.5],
            eps=[1e-8, 0.1],
            weight_decay=[0.0, 0.1],
            momentum=[0.0, 0.8],
            centered=either,
            maximize=either,
        ),
        "Adagrad": grid(
            lr=[0.01, 0.1],
            lr_decay=[0.0, 0.2],
            weight_decay=[0.0, 0.1],
            initial_accumulator_value=[0.0, 0.3],
            eps=[1e-10, 0.1],
            maximize=either,
        ),
        "Adadelta": grid(lr=[0.5, 1.0], rho=[0.9, 0.5], eps=[1e-6, 0.01], weight_decay=[0.0, 0.1], maximize=either),
        "Adafactor": grid(
            lr=[0.01, 0.1],
            beta2_decay=[-0.8, -0.3],
            eps=[(None, 1e-3), (0.01, 0.5)],
            d=[1.0, 1.5],
            weight_decay=[0.0, 0.1],
            maximize=either,
        ),
        "Rprop": grid(
            lr=[0.01, 0.1], etas=[(0.5, 1.2), (0.3, 1.5)], step_sizes=[(1e-6, 50), (0.005, 0.2)], maximize=either
        ),
        "ASGD": grid(
            lr=[0.01, 0.1],
            lambd=[1e-4, 0.5],
            alpha=[0.75, 0.3],
            t0=[1e6, 5.0],
            weight_decay=[0.0, 0.1],
            maximize=either,
        ),
        "Muon": grid(
            lr=[0.01, 0.1],
            weight_decay=[0.0, 0.1],
            momentum=[0.95, 0.5],
            nesterov=either,
            adjust_lr_fn=["original", "match_rms_adamw"],
        ),
    }
    return [(name, options) for name, options_of_one in grids.items() for options in options_of_one]


def optax_settings():
    """Pairs of a name in optax and options for it."""
    grids = {
        "adabelief": grid(
            learning_rate=[0.01, 0.1], b1=[0.9, 0.5], b2=[0.999, 0.7], eps=[1e-16, 0.1], eps_root=[1e-16, 0.01]
        ),
        "adan": grid(
            learning_rate=[0.01, 0.1],
            b1=[0.98, 0.5],
            b2=[0.92, 0.4],
            b3=[0.99, 0.7],
            eps_root=[1e-8, 0.1],
            weight_decay=[0.0, 0.1],
        ),
        "lion": grid(learning_rate=[0.01, 0.1], b1=[0.9, 0.5], b2=[0.99, 0.7], weight_decay=[0.0, 0.1]),
        "yogi": grid(learning_rate=[0.01, 0.1], b1=[0.9, 0.5], b2=[0.999, 0.7], eps=[1e-3, 0.1]),
        "lamb": grid(
            learning_rate=[0.01, 0.1], b1=[0.9, 0.5], b2=[0.999, 0.7], eps=[1e-6, 0.1], weight_decay=[0.0, 0.1]
        ),
        "lars": grid(
            learning_rate=[0.05, 0.5],
            weight_decay=[0.0, 0.1],
            trust_coefficient=[0.001, 0.1],
            eps=[0.0, 0.1],
            momentum=[0.9, 0.5],
            nesterov=[False, True],
        ),
        "polyak_sgd": grid(max_learning_rate=[0.02, 0.3], scaling=[0.5, 1.0], f_min=[0.0, 0.5], eps=[0.0, 0.1]),
    }
    return [(name, options) for name, options_of_one in grids.items() for options in options_of_one]


STEPS = 20
#: A parameter of shape (), one that the loss uses twice, and one that it does not use.
START = {
    "bias": [0.3, -1.2],
    "scale": 0.7,
    "shared": [[0.4, -0.9], [1.1, 0.2], [-0.5, 0.8]],
    "unused": [1.0, 2.0],
    "weight": [[1.0, -2.0, 0.5], [0.25, 3.0, -0.75]],
}
MATRICES = ("shared", "weight")


def start(name):
    """The parameters for the optimizer of this name: Muon takes matrices only."""
    return {key: START[key] for key in (MATRICES if name == "Muon" else START)}


def loss(params, sin):
    """A smooth function that couples the parameters, is not convex, and never below 0.5."""
    used = [value for key, value in params.items() if key != "unused"]
    total = sum(sin(value).sum() * (0.2 + 0.1 * i) for i, value in enumerate(used))
    rows = sin(params["shared"] * 1.3).sum(1) + 0.3 * params["weight"].sum(0)
    squares = sum((value * value).sum() for value in used)
    return 0.5 + total * total + 0.5 * (rows * rows).sum() + 0.1 * squares + 0.1 * (sin(params["shared"]) ** 2).sum()
