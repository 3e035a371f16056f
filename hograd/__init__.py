"""hograd: differentiate through training.

A NumPy-based differentiable engine: `tensor`, `grad(..., create_graph=True)` and `.backward()` as in PyTorch, and
function transforms (`func.grad`, `vjp`, `jvp`, `vmap`, `hessian`, ...) that nest freely, exact to any order.
"""

import numpy as _numpy

from hograd import autograd, errors, func, tree
from hograd import ops as _ops
from hograd.backend import default_dtype as get_default_dtype
from hograd.backend import set_default_dtype
from hograd.core.engine import grad
from hograd.core.format import set_printoptions
from hograd.core.levels import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from hograd.core.tensor import Tensor
from hograd.ops.contract import dot, einsum, matmul, outer, tensordot
from hograd.ops.create import (
    arange,
    as_tensor,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from hograd.ops.elementwise import (
    abs,
    add,
    astype,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    clip,
    clone,
    cos,
    div,
    eq,
    exp,
    expm1,
    floor_divide,
    ge,
    gt,
    isfinite,
    isnan,
    le,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    maximum,
    minimum,
    mul,
    ne,
    neg,
    pow,
    reciprocal,
    relu,
    remainder,
    safe_sqrt,
    sigmoid,
    sign,
    sin,
    softplus,
    sqrt,
    square,
    stop_gradient,
    sub,
    tanh,
    where,
)
from hograd.ops.index import at_add, at_set, getitem, put, take_along_axis
from hograd.ops.random import (
    bernoulli,
    default_generator,
    manual_seed,
    normal,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
)
from hograd.ops.reduce import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    logsumexp,
    max,
    mean,
    min,
    norm,
    prod,
    std,
    sum,
    var,
)
from hograd.ops.shape import (
    broadcast_to,
    cat,
    concat,
    concatenate,
    expand,
    expand_dims,
    flatten,
    flip,
    moveaxis,
    permute,
    reshape,
    split,
    squeeze,
    stack,
    swapaxes,
    t,
    transpose,
    unsqueeze,
)
from hograd.ops.stable import cross_entropy, log_softmax, mse, mse_loss, softmax

__version__ = "0.1.0"

float16, float32, float64 = _numpy.dtype("f2"), _numpy.dtype("f4"), _numpy.dtype("f8")
int8, int16, int32, int64 = _numpy.dtype("i1"), _numpy.dtype("i2"), _numpy.dtype("i4"), _numpy.dtype("i8")
uint8, bool = _numpy.dtype("u1"), _numpy.dtype("?")
half, float, double = float16, float32, float64
short, int, long = int16, int32, int64

multiply, subtract, divide, true_divide, negative = mul, sub, div, div, neg
absolute, power, clamp, detach = abs, pow, clip, stop_gradient
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
