"""Half of scikit-learn's handwritten digits to train on, and half to validate."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.components.data import digits

CLASSES = 10


def halves(count: int = 898) -> dict[str, Any]:
    """`count` training and as many validation images (count, 64), pixels in [0, 1], with their labels."""
    split = digits(0, train=898, validation=898)
    return {
        "x": split.train.x[:count],
        "labels": split.train.y[:count],
        "x_validation": split.validation.x[:count],
        "labels_validation": split.validation.y[:count],
    }


def with_ones(x: Any) -> Any:
    """Inputs with a column of ones, so that one product takes care of the bias too."""
    return np.concatenate([x, np.ones((len(x), 1))], 1)


def one_hot(labels: Any) -> Any:
    """Labels as rows of zeros and a one."""
    return np.eye(CLASSES)[labels]


def softmax(z: Any, ones: Any) -> Any:
    """Probabilities in place of the logits z; `ones` has shape (classes, 1).

    One maximum for all rows keeps it from overflow, and is far cheaper than one for each; a product with ones is the
    cheapest sum of short rows. A row whose logits all lie 700 below the largest of all would underflow: none does here.
    """
    z -= z.max()
    np.exp(z, out=z)
    z /= z @ ones
    return z
