"""The tasks of Finn, Abbeel and Levine (2017), section 5.1: sinusoids of random amplitude and phase."""

from typing import Any, NamedTuple

import numpy as np

AMPLITUDES = (0.1, 5.0)
PHASES = (0.0, np.pi)
INPUTS = (-5.0, 5.0)


class Points(NamedTuple):
    """Inputs x and values y of many tasks, each of shape (tasks, points, 1): arrays, or tensors made of them."""

    x: Any
    y: Any


class Tasks(NamedTuple):
    """Tasks y = amplitude sin(x - phase): points to adapt to, points to judge by, and what drew them."""

    support: Points
    query: Points
    amplitude: np.ndarray
    phase: np.ndarray


def sample_tasks(
    generator: np.random.Generator, tasks: int, support_points: int, query_points: int, dtype: str = "float64"
) -> Tasks:
    """Draw tasks: amplitude uniform in 0.1 to 5, phase in 0 to pi, every x in -5 to 5.

    Args:
        generator: source of randomness; equal states give equal tasks.
        tasks: how many sinusoids.
        support_points: points of each to adapt to.
        query_points: further points of each to judge by.
        dtype: of the points; amplitudes and phases, shape (tasks, 1, 1), stay float64.
    """
    amplitude = generator.uniform(*AMPLITUDES, (tasks, 1, 1))
    phase = generator.uniform(*PHASES, (tasks, 1, 1))
    x = generator.uniform(*INPUTS, (tasks, support_points + query_points, 1))
    y = sinusoid(x, amplitude, phase)
    x, y = x.astype(dtype), y.astype(dtype)
    support, query = (Points(x[:, part], y[:, part]) for part in (np.s_[:support_points], np.s_[support_points:]))
    return Tasks(support, query, amplitude, phase)


def sinusoid(x: np.ndarray, amplitude: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """amplitude sin(x - phase)."""
    return amplitude * np.sin(x - phase)
