"""Handwritten digits: 1,797 images of 8 x 8 pixels that come with scikit-learn, split by seed."""

from typing import NamedTuple

import numpy as np


class Images(NamedTuple):
    """Images as rows, shape (n, 64), float64 in [0, 1], and their digits, shape (n,), int64 in 0 to 9."""

    pixels: np.ndarray
    digits: np.ndarray


class Split(NamedTuple):
    """Three disjoint parts that together hold every image, and the rows of the data set that each took."""

    train: Images
    validation: Images
    test: Images
    rows: tuple[np.ndarray, np.ndarray, np.ndarray]


def load_split(train_fraction: float, validation_fraction: float, seed: int) -> Split:
    """The digits in a random order that `seed` fixes, cut into train, validation and test images.

    Args:
        train_fraction: share of the images to train on, in (0, 1); rounded to whole images.
        validation_fraction: share to validate on, in (0, 1); the test images are the rest.
        seed: any integer from 0.
    """
    from sklearn.datasets import load_digits

    data, target = load_digits(return_X_y=True)
    pixels, digits = data / 16.0, target.astype(np.int64)
    count = len(digits)
    order = np.random.default_rng(seed).permutation(count)
    first = round(train_fraction * count)
    second = first + round(validation_fraction * count)
    rows = (order[:first], order[first:second], order[second:])
    train, validation, test = (Images(pixels[part], digits[part]) for part in rows)
    return Split(train, validation, test, rows)
