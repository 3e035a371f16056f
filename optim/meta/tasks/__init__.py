"""Families of tasks, deterministic by index: task i of a family and seed is the same for ever."""

from optim.meta.tasks.episodes import Episodes
from optim.meta.tasks.functions import Blobs, LinearRegressions, Quadratics, Sinusoids
from optim.meta.tasks.source import Tasks

__all__ = ["Blobs", "Episodes", "LinearRegressions", "Quadratics", "Sinusoids", "Tasks"]
