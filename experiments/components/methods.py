"""Estimators of hypergradients, the solvers of linear systems, and single-loop algorithms, as components."""

from experiments.components import optimizers as optimizers  # their classes annotate parameters here
from experiments.components.derive import base
from experiments.components.registry import register
from optim import hyper
from optim.hyper import solvers
from optim.hyper.linear import Solver

base("solver", Solver)

for _name in ("Reverse", "Truncated", "Forward", "Reversible", "Implicit", "DARTS", "ZeroOrder", "PES"):
    register("method", supplied=("steps",))(getattr(hyper, _name))

for _name in solvers.__all__:
    if _name not in ("Krylov", "Product", "Solved", "Solver"):
        register("solver")(getattr(solvers, _name))
