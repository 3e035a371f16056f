"""Models as pure functions of explicit parameters."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

import hograd as ho


def mlp_init(generator: np.random.Generator, sizes: Sequence[int], dtype: str = "float64") -> list[dict[str, Any]]:
    """Parameters of a fully connected network, uniform in +- 1 / sqrt(inputs) as PyTorch's linear layers are.

    Args:
        generator: source of randomness.
        sizes: features of the input, of every hidden layer and of the output.
        dtype: of all parameters.

    Returns:
        One dict a layer: weight, shape (inputs, outputs), and bias, shape (outputs,).
    """
    layers = []
    for inputs, outputs in pairwise(sizes):
        bound = 1 / np.sqrt(inputs)
        weight = generator.uniform(-bound, bound, (inputs, outputs)).astype(dtype)
        bias = generator.uniform(-bound, bound, outputs).astype(dtype)
        layers.append({"weight": ho.tensor(weight), "bias": ho.tensor(bias)})
    return layers


def mlp(params: list[dict[str, Any]], x: Any) -> Any:
    """The network's output for rows `x`, shape (n, inputs); relu after every layer but the last."""
    for index, layer in enumerate(params):
        x = x @ layer["weight"] + layer["bias"]
        if index < len(params) - 1:
            x = ho.relu(x)
    return x
