"""Images in folders, one folder a class, read by Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.data.images import ENTRIES, IMAGES, MalformedDataError, MissingDataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".webp")

#: More pixels than this no image of a few-shot set has; they would take memory before they are made small.
PIXELS = 2**24


class Images(NamedTuple):
    """Images, shape (n, channels, side, side), uint8, and their classes, shape (n,): their folders, with `/`."""

    images: np.ndarray
    classes: np.ndarray


def load(folder: Path, side: int, colour: bool = False, *, inverted: bool = False) -> Images:
    """All images below a folder, whose classes are the folders that they lie in.

    Args:
        folder: where to look, at any depth.
        side: height and width that they are brought to.
        colour: three channels, instead of one of greys.
        inverted: swap black and white, as is done for Omniglot, whose strokes are black.

    Raises:
        MissingDataError: there is no such folder, or no image below it.
        MalformedDataError: a file is no image that can be read.
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        raise MissingDataError(f"{folder}: there is no such folder; it should hold a folder of images for each class")
    paths = []
    for number, path in enumerate(folder.rglob("*")):
        if number >= ENTRIES:
            raise MalformedDataError(folder, f"more than {ENTRIES:,} files and folders lie below it")
        if path.suffix.lower() in SUFFIXES and path.is_file():
            paths.append(path)
    if not paths:
        raise MissingDataError(f"{folder}: found no images ({', '.join(SUFFIXES)}) below it")
    if len(paths) > IMAGES:
        raise MalformedDataError(folder, f"found {len(paths):,} images below it, expected at most {IMAGES:,}")
    paths.sort()
    found = np.stack([_read(path, side, colour) for path in paths])
    classes = [path.parent.relative_to(folder).as_posix() for path in paths]
    return Images(255 - found if inverted else found, np.array(classes))


def _read(path: Path, side: int, colour: bool) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.width * image.height > PIXELS:
                raise MalformedDataError(path, f"{image.width} x {image.height} pixels are more than expected")
            made = image.convert("RGB" if colour else "L")
            if made.size != (side, side):
                made = made.resize((side, side), Image.Resampling.LANCZOS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MalformedDataError(path, f"it is no image that Pillow can read: {' '.join(str(error).split())}") from None
    pixels = np.asarray(made)
    return pixels.transpose(2, 0, 1) if colour else pixels[None]
