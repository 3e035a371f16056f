"""Families of tasks as components."""

from experiments.components.registry import register
from optim.meta import tasks

for _name in ("Sinusoids", "LinearRegressions", "Blobs", "Quadratics"):
    register("tasks", supplied=("seed",))(getattr(tasks, _name))
