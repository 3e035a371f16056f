"""Function transforms: derivatives and vectorised maps of functions, which nest freely and work on trees."""

from hograd.func.forward import hvp, jvp
from hograd.func.jacobian import hessian, jacfwd, jacrev
from hograd.func.reverse import grad, grad_and_value, vjp
from hograd.func.vectorize import vmap

__all__ = ["grad", "grad_and_value", "hessian", "hvp", "jacfwd", "jacrev", "jvp", "vjp", "vmap"]
