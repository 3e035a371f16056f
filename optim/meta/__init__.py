"""Meta-learning: adaptation to a task as a function, which the user differentiates."""

from optim.meta.maml import adapt

__all__ = ["adapt"]
