"""Function transforms: derivatives and vectorised maps of functions, which nest freely and work on trees."""

from hograd.func.checkpoint import checkpoint, remat
from hograd.func.custom import custom_jvp, custom_vjp
from hograd.func.forward import hvp, jvp
from hograd.func.jacobian import hessian, jacfwd, jacrev
from hograd.func.linear import functional_call, ggnvp, linearize
from hograd.func.reverse import grad, grad_and_value, vjp
from hograd.func.vectorize import vmap

__all__ = [
    "checkpoint",
    "custom_jvp",
    "custom_vjp",
    "functional_call",
    "ggnvp",
    "grad",
    "grad_and_value",
    "hessian",
    "hvp",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "remat",
    "vjp",
    "vmap",
]
