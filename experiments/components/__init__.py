"""Named parts of experiments, each checked by its own signature. `register` adds your own."""

from experiments.components.registry import (
    BaselineChoice,
    Choice,
    ConstraintChoice,
    DataChoice,
    LearnChoice,
    LossChoice,
    MethodChoice,
    MinimizerChoice,
    ModelChoice,
    OptimizerChoice,
    choose,
    register,
)
from experiments.components.types import Count, Distinct, Momentum, Natural, Positive, Several, Share, UpToOne

__all__ = [
    "register",
    "choose",
    "Choice",
    "BaselineChoice",
    "ConstraintChoice",
    "DataChoice",
    "LearnChoice",
    "LossChoice",
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
