"""Linear solvers for implicit hypergradients: how  A x = b  is solved, exactly or roughly, by products with A alone.

- `Dense` takes n products for n parameters.
- `CG`, `NormalCG`, `MINRES` and `GMRES` go on until a tolerance, or for a number of steps.
- `Neumann`, `FixedPoint`, `Nystrom` and `Identity` are rough, for a fixed price.

One of your own is any object with the method of `Solver`.
"""

from optim.hyper.approximate import FixedPoint, Identity, Neumann, Nystrom
from optim.hyper.krylov import CG, GMRES, MINRES, Krylov, NormalCG
from optim.hyper.linear import Dense, Product, Solved, Solver

__all__ = [
    "CG",
    "GMRES",
    "MINRES",
    "Dense",
    "FixedPoint",
    "Identity",
    "Krylov",
    "Neumann",
    "NormalCG",
    "Nystrom",
    "Product",
    "Solved",
    "Solver",
]
