"""Families of tasks as components."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np

from experiments.components.registry import register
from experiments.components.types import Count, Natural, Share
from experiments.data import folders
from experiments.data import glyphs as characters
from optim.meta import tasks
from optim.meta.tasks import Episodes

for _name in ("Sinusoids", "LinearRegressions", "Blobs", "Quadratics"):
    register("tasks", supplied=("seed",))(getattr(tasks, _name))


@dataclasses.dataclass(frozen=True)
class Halves:
    """Tasks of classes to train on, and of others to be judged by."""

    train: Episodes
    test: Episodes

    def split(self) -> tuple[Episodes, Episodes]:
        """Both."""
        return self.train, self.test


@register("tasks", supplied=("seed",))
def glyphs(
    *,
    seed: int,
    ways: Count = 5,
    shots: Count = 1,
    queries: Count = 15,
    warps: Natural = 3,
) -> Halves:
    """Characters of the DejaVu fonts: trained on Latin and Greek, judged by Cyrillic, Armenian and Georgian.

    Args:
        ways: classes of a task.
        shots: images of each class to adapt to.
        queries: images of each class to judge by.
        warps: how often each character is turned, scaled, sheared and moved in each of twelve faces; 0 leaves it
            upright, once.
    """
    found = characters.load(warps)
    trained = np.isin(found.scripts, characters.TRAINED)
    parts = [np.unique(found.characters[part]).tolist() for part in (trained, ~trained)]
    return Halves(
        *(
            Episodes(found.images, found.characters, ways, shots, queries, part, seed=(seed, number))
            for number, part in enumerate(parts)
        )
    )


@register("tasks", supplied=("seed",))
def images(
    *,
    seed: int,
    folder: str,
    side: Count = 28,
    colour: bool = False,
    ways: Count = 5,
    shots: Count = 1,
    queries: Count = 15,
    rotations: bool = False,
    train: Share = 0.8,
    layout: Literal["classes", "omniglot"] = "classes",
) -> Halves:
    """Images in a local folder that has a folder for each class, at any depth.

    Args:
        folder: where they lie.
        side: height and width that they are brought to.
        colour: whether they keep three channels.
        ways: classes of a task.
        shots: images of each class to adapt to.
        queries: images of each class to judge by.
        rotations: whether images turned by 90, 180 and 270 degrees are further classes.
        train: share of the classes to train on, if the folder has no folders named train and test.
        layout: "omniglot" trains on images_background and is judged by images_evaluation, white on black.
    """
    found = folders.load(Path(folder), side, colour, inverted=layout == "omniglot")
    options = {"ways": ways, "shots": shots, "queries": queries, "rotations": rotations}
    names = ("images_background", "images_evaluation") if layout == "omniglot" else ("train", "test")
    parts = [[one for one in np.unique(found.classes) if name in one.split("/")] for name in names]
    if all(parts):
        halves = (
            Episodes(found.images, found.classes, **options, classes=part, seed=(seed, number))
            for number, part in enumerate(parts)
        )
        return Halves(*halves)
    if layout == "omniglot":
        raise folders.MissingDataError(f"{folder}: found no folders named {names[0]} and {names[1]}, as Omniglot has")
    return Halves(*Episodes(found.images, found.classes, **options, seed=seed).split(train))
