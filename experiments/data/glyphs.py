"""glyphs: a few-shot image set without a download, of the characters in the DejaVu fonts that come with matplotlib."""

from __future__ import annotations

import contextlib
import hashlib
import os
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hograd.program.native.cache import folder

SIDE, OVER = 28, 3
"""Height and width of an image, and how many times larger characters are rendered before they are warped."""

SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN")
TRAINED = ("LATIN", "GREEK")

FACES = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
)

ALIKE = 0.82
"""Characters whose images, of all faces, correlate more than this with those of another one are left out."""

LAYOUT = "1"
"""Of what is cached; a change of how images are made is a new layout."""


class Glyphs(NamedTuple):
    """Images, shape (n, 1, 28, 28), uint8, white on black; their characters, shape (n,); and scripts, shape (n,)."""

    images: np.ndarray
    characters: np.ndarray
    scripts: np.ndarray

    @property
    def digest(self) -> str:
        """A hash of all of it."""
        sha = hashlib.sha256()
        for part in self:
            sha.update(np.ascontiguousarray(part).tobytes())
        return sha.hexdigest()


def load(warps: int = 3, seed: int = 0) -> Glyphs:
    """All characters that the twelve faces share and that can be told apart, each `warps` times in every face.

    Every image is turned by up to 20 degrees, scaled by 0.75 to 1.15 along either axis, sheared by up to 0.3 and moved
    by up to 3 pixels, as the seed fixes; `warps=0` gives each once and upright. What was made is kept in the user's
    folder for caches, with a hash of its content, and made anew where that does not fit.
    """
    place = folder()
    path = None if place is None else place / f"glyphs-{_key(warps, seed)}.npz"
    found = None if path is None else _read(path)
    if found is None:
        found = _made(warps, seed)
        if path is not None:
            _write(path, found)
    return found


def _key(warps: int, seed: int) -> str:
    """What images depend on: fonts, the library that renders, and how."""
    import PIL
    from PIL import features

    sha = hashlib.sha256()
    for face in FACES:
        sha.update(_font(face).read_bytes())
    sha.update(f"{LAYOUT} {PIL.__version__} {features.version('freetype2')} {ALIKE} {warps} {seed}".encode())
    return sha.hexdigest()[:20]


def _font(face: str) -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"


def _read(path: Path) -> Glyphs | None:
    """What was kept; None if there is nothing, or it is damaged."""
    try:
        # Opened here, so that it is closed where it turns out to be damaged.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            glyphs = Glyphs(file["images"], file["characters"], file["scripts"])
            return glyphs if glyphs.digest == str(file["digest"]) else None
    except (OSError, ValueError, KeyError, EOFError):
        return None
    except Exception as error:  # a damaged archive: zipfile and zlib have errors of their own
        if type(error).__module__ in ("zipfile", "zlib"):
            return None
        raise


def _write(path: Path, glyphs: Glyphs) -> None:
    """Keep it; a folder that cannot be written to does not matter."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            np.savez_compressed(file, **glyphs._asdict(), digest=np.array(glyphs.digest))
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _made(warps: int, seed: int) -> Glyphs:
    large, characters = _rendered()
    upright = large.reshape(len(characters), len(FACES), SIDE, OVER, SIDE, OVER).mean((3, 5))
    kept = apart(upright.reshape(len(characters), -1), ALIKE)
    large, characters = large[kept], characters[kept]
    scripts = np.array([script_of(character) for character in characters])
    if warps:
        count = len(characters) * len(FACES) * warps
        numbers = np.random.default_rng(seed).uniform(-1, 1, (count, 6))
        sources = np.repeat(large.reshape(-1, SIDE * OVER, SIDE * OVER), warps, axis=0)
        images = np.stack([warped(image, row) for image, row in zip(sources, numbers, strict=True)])
    else:
        images = upright[kept].reshape(-1, SIDE, SIDE)
    each = len(images) // len(characters)
    images = np.rint(images).astype(np.uint8)[:, None]
    return Glyphs(images, np.repeat(characters, each), np.repeat(scripts, each))


def script_of(character: str) -> str:
    """The first word of a character's name, if that is one of the scripts."""
    first = unicodedata.name(character, "").partition(" ")[0]
    return first if first in SCRIPTS and unicodedata.category(character) in ("Lu", "Ll", "Lo", "Lt") else ""


def _rendered() -> tuple[np.ndarray, np.ndarray]:
    """All shared characters in every face, in the middle of large images, shape (characters, faces, 84, 84)."""
    from matplotlib.ft2font import FT2Font
    from PIL import Image, ImageDraw, ImageFont

    shared = set.intersection(*(set(FT2Font(str(_font(face))).get_charmap()) for face in FACES))
    characters = [chr(point) for point in sorted(shared) if script_of(chr(point))]
    # Those of the scripts that are trained on come first, so that what looks like them is not tested.
    characters.sort(key=lambda one: (SCRIPTS.index(script_of(one)), one))
    side = SIDE * OVER
    fonts = [ImageFont.truetype(str(_font(face)), 20 * OVER, layout_engine=ImageFont.Layout.BASIC) for face in FACES]
    images = np.zeros((len(characters), len(FACES), side, side), np.uint8)
    for row, character in enumerate(characters):
        for column, font in enumerate(fonts):
            left, top, right, bottom = font.getbbox(character)
            image = Image.new("L", (side, side))
            at = ((side - left - right) / 2, (side - top - bottom) / 2)
            ImageDraw.Draw(image).text((round(at[0]), round(at[1])), character, fill=255, font=font)
            images[row, column] = np.asarray(image)
    return images, np.array(characters)


def apart(rows: np.ndarray, alike: float) -> np.ndarray:
    """The places of rows that correlate with no kept row before them by more than `alike`.

    >>> apart(np.array([[1.0, 0.0, 0.0], [2.0, 0.0, 0.1], [0.0, 1.0, 0.0]]), 0.9)
    array([0, 2])
    """
    centered = rows.astype(np.float32) - rows.mean(1, keepdims=True)
    centered /= np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), 1e-6)
    products = centered @ centered.T
    kept: list[int] = []
    for place in range(len(rows)):
        if np.any(centered[place]) and not (kept and products[place, kept].max() > alike):
            kept.append(place)
    return np.array(kept, int)


def warped(image: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """An image at a third of its size, turned, scaled, sheared and moved as six numbers from -1 to 1 say."""
    from PIL import Image

    turn, wide, high, shear, right, down = numbers * [np.pi / 9, 0.2, 0.2, 0.3, 3 * OVER, 3 * OVER]
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = rotation @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag([0.95 + wide, 0.95 + high])
    back, middle = np.linalg.inv(matrix), (SIDE * OVER - 1) / 2
    offset = middle - back @ (middle + np.array([right, down]))
    affine = (back[0, 0], back[0, 1], offset[0], back[1, 0], back[1, 1], offset[1])
    moved = Image.fromarray(image).transform(image.shape, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    return np.asarray(moved).reshape(SIDE, OVER, SIDE, OVER).mean((1, 3))
