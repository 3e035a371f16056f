"""Hypergradients: derivatives of an outer loss through inner training."""

from optim.hyper import solvers
from optim.hyper.forward import Forward
from optim.hyper.implicit import Implicit
from optim.hyper.one_step import DARTS
from optim.hyper.online import Online
from optim.hyper.problem import Bilevel, Hypergradient, Info, Method, hypergradient, train
from optim.hyper.reverse import Reverse
from optim.hyper.reversible import Reversible
from optim.hyper.solvers import CG, GMRES, MINRES, Dense, FixedPoint, Identity, Neumann, NormalCG, Nystrom
from optim.hyper.truncated import Truncated

__all__ = [
    "CG",
    "DARTS",
    "GMRES",
    "MINRES",
    "Bilevel",
    "Dense",
    "FixedPoint",
    "Forward",
    "Hypergradient",
    "Identity",
    "Implicit",
    "Info",
    "Method",
    "Neumann",
    "NormalCG",
    "Nystrom",
    "Online",
    "Reverse",
    "Reversible",
    "Truncated",
    "hypergradient",
    "solvers",
    "train",
]
