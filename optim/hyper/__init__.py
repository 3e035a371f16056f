"""Hypergradients: derivatives of an outer loss through inner training.

Which method to choose:

- `Reverse` is exact for whatever steers a training of any length: learning rates, momenta, first parameters.
- `Forward` is, too, for few outer variables: its memory does not grow with the steps, and it works while training
  goes on.
- `Reversible` is, too, for momentum SGD, in a small part of the memory.
- `Implicit(CG())` is for variables of the inner loss, such as penalties, where training converges; its memory and
  time do not depend on how long that takes; `solve=optim.LBFGS()` takes the place of training. GMRES or NormalCG
  where the equation is not symmetric, MINRES where it is indefinite.
- `Truncated`, `Implicit(Neumann(...))` and `Implicit(FixedPoint(...))` are cheaper and biased; the bias falls with
  each step or product by the factor that an inner step contracts by. `Implicit(Identity())` and `DARTS` are cheaper
  still.
- `ZeroOrder` and `PES` ask for values alone.

`bilevel` is the outer loop around any of them. Where even one whole inner training is too much, the algorithms of
`stochastic` and `penalty` move inner and outer variables together, on batches of both losses; `Online` learns
hyperparameters of an optimizer while it trains.

Relative to the exact hypergradient, after 100 inner steps of the logistic regression in
configs/penalised_logistic.yaml, the errors are: Reverse 3e-5; Truncated 3e-1 through 10 steps, 4e-2 through 25;
FixedPoint the same for as many iterations, and 4e-6 for 100; CG 1e-3 after 2 products, 2e-6 after 5, which is what
the inner training leaves. `diagnose` measures this for any problem.
"""

from optim.hyper import penalty, solvers, stochastic
from optim.hyper.diagnose import Diagnosis, diagnose
from optim.hyper.forward import Forward
from optim.hyper.implicit import Implicit
from optim.hyper.loop import Solution, bilevel
from optim.hyper.one_step import DARTS
from optim.hyper.online import Online
from optim.hyper.problem import Bilevel, Hypergradient, Info, Method, hypergradient, train
from optim.hyper.reverse import Reverse
from optim.hyper.reversible import Reversible
from optim.hyper.solvers import CG, GMRES, MINRES, Dense, FixedPoint, Identity, Neumann, NormalCG, Nystrom
from optim.hyper.truncated import Truncated
from optim.hyper.zero_order import PES, ZeroOrder

__all__ = [
    "CG",
    "DARTS",
    "GMRES",
    "MINRES",
    "PES",
    "Bilevel",
    "Dense",
    "Diagnosis",
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
    "Solution",
    "Truncated",
    "ZeroOrder",
    "bilevel",
    "diagnose",
    "hypergradient",
    "penalty",
    "solvers",
    "stochastic",
    "train",
]
