"""Estimators of hypergradients, the solvers of linear systems, and single-loop algorithms, as components."""

from experiments.components import optimizers as optimizers  # their classes annotate parameters here
from experiments.components.derive import base
from experiments.components.registry import register
from optim import hyper
from optim.hyper import solvers
from optim.hyper.linear import Solver
from optim.hyper.sampled import Algorithm, BySeries

base("solver", Solver)

for _name in ("Reverse", "Truncated", "Forward", "Reversible", "Implicit", "DARTS", "ZeroOrder", "PES"):
    register("method", supplied=("steps",))(getattr(hyper, _name))

for _name in solvers.__all__:
    if _name not in ("Krylov", "Product", "Solved", "Solver"):
        register("solver")(getattr(solvers, _name))

for _module in (hyper.stochastic, hyper.penalty):
    for _made in vars(_module).values():
        if isinstance(_made, type) and issubclass(_made, Algorithm) and _made not in (Algorithm, BySeries):
            register("single_loop", supplied=("outer_batches", "counts"))(_made)
