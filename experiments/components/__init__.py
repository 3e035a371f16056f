"""Named parts of experiments, each checked by its own signature. `register` adds your own."""

from experiments.components.registry import (
    AlgorithmChoice,
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
    TasksChoice,
    choose,
    register,
)
from experiments.components.types import Count, Distinct, Momentum, Natural, Positive, Several, Share, UpToOne

__all__ = [
    "register",
    "choose",
    "Choice",
    "AlgorithmChoice",
    "BaselineChoice",
    "ConstraintChoice",
    "DataChoice",
    "LearnChoice",
    "LossChoice",
    "MethodChoice",
    "MinimizerChoice",
    "ModelChoice",
    "OptimizerChoice",
    "TasksChoice",
    "Count",
    "Natural",
    "Positive",
    "UpToOne",
    "Momentum",
    "Share",
    "Several",
    "Distinct",
]
