"""Hypergradients: derivatives of an outer loss through inner training."""

from optim.hyper.forward import Forward
from optim.hyper.problem import Bilevel, Hypergradient, Info, Method, hypergradient, train
from optim.hyper.reverse import Reverse
from optim.hyper.truncated import Truncated

__all__ = [
    "Bilevel",
    "Forward",
    "Hypergradient",
    "Info",
    "Method",
    "Reverse",
    "Truncated",
    "hypergradient",
    "train",
]
