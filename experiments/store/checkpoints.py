"""Checkpoints of a task: the last ones and the best, each a file with a checksum, the damaged ones put aside."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hograd as ho
from experiments.store.files import clear_drafts, warn, write_tree, writing
from hograd.errors import HogradError


@dataclasses.dataclass(frozen=True)
class Plan:
    """When a task is saved.

    Which checkpoints are kept for long follows from `every_steps` alone, so that a run leaves the same files however
    often it was broken off; what was saved by the clock or by an interrupt goes when the task ends.

    Args:
        every_steps: steps between checkpoints, >= 1; None for the clock alone.
        every_seconds: seconds between checkpoints, > 0; None for the steps alone.
        keep: how many of the last ones are kept, >= 1; beside them the best.
    """

    every_steps: int | None = None
    every_seconds: float | None = 60.0
    keep: int = 2

    def scheduled(self, step: int) -> bool:
        """Whether the checkpoint of a step is kept for long."""
        return self.every_steps is not None and step % self.every_steps == 0


class Checkpoints:
    """The folder `checkpoints` of a task."""

    def __init__(self, folder: Path, plan: Plan):
        self.folder = folder
        self.plan = plan
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        clear_drafts(folder)

    def save(self, step: int, tree: Any) -> None:
        """Write the checkpoint of a step."""
        write_tree(self._path(step), tree)

    def prune(self, best: int | None, final: int | None = None) -> None:
        """Remove all but the last and the best; with the step that was `final`, also those that were not scheduled."""
        steps = self.steps()
        scheduled = [step for step in steps if self.plan.scheduled(step) or step == final]
        kept = {*scheduled[-self.plan.keep :], best}
        if final is None:
            kept.update(steps[-self.plan.keep :])
        for step in steps:
            if step not in kept:
                with writing(self._path(step)):
                    self._path(step).unlink(missing_ok=True)

    def steps(self) -> list[int]:
        """The steps of which there are checkpoints, in order."""
        return saved_steps(self.folder)

    def latest(self, objection: Callable[[Any], str | None]) -> Any:
        """The last checkpoint that can be read and to which there is no objection, or None.

        What cannot be used is named on stderr and put aside as `damaged-...`.
        """
        for step in reversed(self.steps()):
            path = self._path(step)
            try:
                tree = ho.load(path)
                reason = "it is of another step" if tree["step"] != step else objection(tree)
            except (HogradError, OSError, LookupError, TypeError) as error:
                reason = str(error)
            if reason is None:
                return tree
            before = "the one before is used" if step != self.steps()[0] else "the task begins anew"
            warn(f"checkpoint {path} is refused: {reason}; {before}")
            with writing(path):
                os.replace(path, next(p for i in range(10**6) if not (p := self._aside(step, i)).exists()))
        return None

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:06d}.safetensors"

    def _aside(self, step: int, count: int) -> Path:
        return self.folder / f"damaged-{step:06d}{f'-{count}' if count else ''}.safetensors"


def saved_steps(folder: Path) -> list[int]:
    """The steps of the checkpoints in a folder, in order."""
    numbers = (
        path.name.removeprefix("step-").removesuffix(".safetensors") for path in folder.glob("step-*.safetensors")
    )
    return sorted(int(number) for number in numbers if number.isdecimal())
