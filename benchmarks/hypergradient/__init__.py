"""Every estimator of a hypergradient against its cost, and bilevel algorithms against time.

  python -m benchmarks hypergradient [PART ...] [--quick] [--output FOLDER]

Parts, all by default:
  error        error relative to the exact hypergradient against gradients,
               products with the Hessian and time, on three problems: with
               the same number of inner steps as of products, and with the
               inner solution given, where only the linear system is left
  memory       the most that is allocated at a time, against T inner steps
  convergence  algorithms on batches and on all data: how far they come, in
               evaluations of the losses and in time
  published    numbers that papers print or prove, with ours beside them

The exact hypergradient of the quadratic problem is a closed form; those of
the others come from long inner training and a linear system solved to
rounding. DARTS, Identity and Nystrom are approximations by intention, and
ZeroOrder and PES draw noise: their cosine with the exact one tells more.
PES estimates the gradient of the mean loss along training, not at its end.
An evaluation is a gradient of the inner loss, or a product with its second
derivatives; each is one pass through the data.
"""

from benchmarks.hypergradient.command import run

__all__ = ["run"]
