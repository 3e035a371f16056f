"""Writes the trajectories of optax that `test_against_optax.py` compares with: run it with optax installed.

python tests/optim/record_optax.py
"""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
from settings import STEPS, loss, optax_settings, start

jax.config.update("jax_enable_x64", True)


@functools.partial(jax.jit, static_argnames=("name", "choices"))
def trajectory(name, choices, numbers):
    """The parameters after step 3 and the last, as numbers in a row."""
    params = {key: jnp.array(value) for key, value in start(name).items()}
    optimizer = optax.with_extra_args_support(getattr(optax, name)(**dict(choices), **numbers))

    def step(carry, _):
        params, state = carry
        value, grads = jax.value_and_grad(lambda p: loss(p, jnp.sin))(params)
        updates, state = optimizer.update(grads, state, params, value=value)
        params = optax.apply_updates(params, updates)
        return (params, state), jnp.concatenate([jnp.ravel(params[key]) for key in start(name)])

    _, rows = jax.lax.scan(step, (params, optimizer.init(params)), None, STEPS)
    return jnp.concatenate([rows[2], rows[-1]])


def record(name, options):
    numbers = {key: value for key, value in options.items() if not isinstance(value, bool)}
    return trajectory(name, tuple((key, value) for key, value in options.items() if key not in numbers), numbers)


if __name__ == "__main__":
    kept = [record(name, options) for name, options in optax_settings()]
    np.save(pathlib.Path(__file__).parent / "optax_trajectories.npy", np.stack(kept))
