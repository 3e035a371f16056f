"""Named parts of experiments, each checked by its own signature. `register` adds your own."""

from experiments.components.registry import (
    Choice,
    ConstraintChoice,
    MethodChoice,
    MinimizerChoice,
    ModelChoice,
    OptimizerChoice,
    register,
)
from experiments.components.types import Count, Distinct, Momentum, Natural, Positive, Several, Share, UpToOne

__all__ = [
    "register",
    "Choice",
    "ConstraintChoice",
    "MethodChoice",
    "MinimizerChoice",
    "ModelChoice",
    "OptimizerChoice",
    "Count",
    "Natural",
    "Positive",
    "UpToOne",
    "Momentum",
    "Share",
    "Several",
    "Distinct",
]
