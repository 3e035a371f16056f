"""Hypergradients: derivatives of an outer loss through inner training."""

from optim.hyper.problem import Bilevel, Hypergradient, Info, Method, hypergradient, train
from optim.hyper.reverse import Reverse

__all__ = ["Bilevel", "Hypergradient", "Info", "Method", "Reverse", "hypergradient", "train"]
