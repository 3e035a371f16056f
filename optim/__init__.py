"""optim: optimizers that are differentiable in their hyperparameters, hypergradients, and meta-learning."""

from optim import constraints, hyper, meta, schedules
from optim.adam import Adam
from optim.base import Optimizer
from optim.sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer", "constraints", "hyper", "meta", "schedules"]
