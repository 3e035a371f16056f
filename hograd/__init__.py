"""hograd: differentiate through training.

A NumPy-based differentiable engine: `tensor`, `grad(..., create_graph=True)` and `.backward()` as in PyTorch, and
function transforms (`func.grad`, `vjp`, `jvp`, `vmap`, `hessian`, ...) that nest freely, exact to any order.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

import numpy as _numpy

from hograd import autograd, errors, fft, func, linalg, special, tree
from hograd import ops as _ops  # noqa: F401  (declares the operations)
from hograd.backend import default_dtype as get_default_dtype
from hograd.backend import set_default_dtype
from hograd.control import cond, while_loop
from hograd.core.format import set_printoptions
from hograd.core.grad import grad
from hograd.core.levels import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from hograd.core.tensor import Tensor
from hograd.func import checkpoint, remat, vmap
from hograd.loop import fori_loop, scan
from hograd.ops import activations as _activations
from hograd.ops import arithmetic as _arithmetic
from hograd.ops import complex as _complex
from hograd.ops import contract as _contract
from hograd.ops import conv as _conv
from hograd.ops import convert as _convert
from hograd.ops import covariance as _covariance
from hograd.ops import create as _create
from hograd.ops import cross_entropy as _cross_entropy
from hograd.ops import elementwise as _elementwise
from hograd.ops import embedding_bag as _embedding_bag
from hograd.ops import exchange as _exchange
from hograd.ops import exponentials as _exponentials
from hograd.ops import extrema as _extrema
from hograd.ops import gather as _gather
from hograd.ops import histograms as _histograms
from hograd.ops import images as _images
from hograd.ops import index as _index
from hograd.ops import inverses as _inverses
from hograd.ops import join as _join
from hograd.ops import labels as _labels
from hograd.ops import layers as _layers
from hograd.ops import linalg_factor as _linalg_factor
from hograd.ops import linalg_householder as _linalg_householder
from hograd.ops import linalg_lu as _linalg_lu
from hograd.ops import linalg_norms as _linalg_norms
from hograd.ops import linalg_solve as _linalg_solve
from hograd.ops import linalg_top as _linalg_top
from hograd.ops import logic as _logic
from hograd.ops import losses as _losses
from hograd.ops import lowrank as _lowrank
from hograd.ops import margins as _margins
from hograd.ops import masks as _masks
from hograd.ops import noise as _noise
from hograd.ops import normalization as _normalization
from hograd.ops import norms as _norms
from hograd.ops import order as _order
from hograd.ops import pad as _pad
from hograd.ops import patches as _patches
from hograd.ops import pool as _pool
from hograd.ops import pool_adaptive as _pool_adaptive
from hograd.ops import products as _products
from hograd.ops import queries as _queries
from hograd.ops import random as _random
from hograd.ops import reduce as _reduce
from hograd.ops import repeat as _repeat
from hograd.ops import resize as _resize
from hograd.ops import rounding as _rounding
from hograd.ops import sampled as _sampled
from hograd.ops import scan as _scan
from hograd.ops import scatter_reduce as _scatter_reduce
from hograd.ops import shape as _shape
from hograd.ops import special as _special
from hograd.ops import special_bessel as _special_bessel
from hograd.ops import special_gamma as _special_gamma
from hograd.ops import spectrogram as _spectrogram
from hograd.ops import split as _split
from hograd.ops import stable as _stable
from hograd.ops import statistics as _statistics
from hograd.ops import triangle as _triangle
from hograd.ops import trigonometry as _trigonometry
from hograd.ops import unit_axes as _unit_axes
from hograd.ops import unpool as _unpool
from hograd.ops import update as _update
from hograd.ops.activations import *
from hograd.ops.arithmetic import *
from hograd.ops.complex import *
from hograd.ops.contract import *
from hograd.ops.conv import *
from hograd.ops.convert import *
from hograd.ops.covariance import *
from hograd.ops.create import *
from hograd.ops.cross_entropy import *
from hograd.ops.elementwise import *
from hograd.ops.embedding_bag import *
from hograd.ops.exchange import *
from hograd.ops.exponentials import *
from hograd.ops.extrema import *
from hograd.ops.gather import *
from hograd.ops.histograms import *
from hograd.ops.images import *
from hograd.ops.index import *
from hograd.ops.inverses import *
from hograd.ops.join import *
from hograd.ops.labels import *
from hograd.ops.layers import *
from hograd.ops.linalg_factor import *
from hograd.ops.linalg_householder import *
from hograd.ops.linalg_lu import *
from hograd.ops.linalg_norms import *
from hograd.ops.linalg_solve import *
from hograd.ops.linalg_solve import inv as inverse
from hograd.ops.linalg_solve import pinv as pinverse
from hograd.ops.linalg_top import *
from hograd.ops.logic import *
from hograd.ops.losses import *
from hograd.ops.lowrank import *
from hograd.ops.margins import *
from hograd.ops.masks import *
from hograd.ops.noise import *
from hograd.ops.normalization import *
from hograd.ops.norms import *
from hograd.ops.order import *
from hograd.ops.pad import *
from hograd.ops.patches import *
from hograd.ops.pool import *
from hograd.ops.pool_adaptive import *
from hograd.ops.products import *
from hograd.ops.queries import *
from hograd.ops.random import *
from hograd.ops.reduce import *
from hograd.ops.repeat import *
from hograd.ops.resize import *
from hograd.ops.rounding import *
from hograd.ops.sampled import *
from hograd.ops.scan import *
from hograd.ops.scatter_reduce import *
from hograd.ops.shape import *
from hograd.ops.special import *
from hograd.ops.special_bessel import *
from hograd.ops.special_gamma import *
from hograd.ops.spectrogram import *
from hograd.ops.split import *
from hograd.ops.stable import *
from hograd.ops.statistics import *
from hograd.ops.triangle import *
from hograd.ops.trigonometry import *
from hograd.ops.unit_axes import *
from hograd.ops.unpool import *
from hograd.ops.update import *
from hograd.roots import custom_root, fixed_point

# What not everyone needs who differentiates is imported when it is first used.
if _TYPE_CHECKING:
    from hograd import check, graph, nn
    from hograd.files import load, save
    from hograd.program import compile
else:

    def __getattr__(name):
        from importlib import import_module

        if name in ("check", "graph", "nn"):
            return import_module(f"hograd.{name}")
        if name == "compile":
            return globals().setdefault(name, import_module("hograd.program").compile)
        if name in ("load", "save"):
            return globals().setdefault(name, getattr(import_module("hograd.files"), name))
        raise AttributeError(f"module 'hograd' has no attribute {name!r}")


__version__ = "0.1.0"

inf, nan, pi, e = _numpy.inf, _numpy.nan, _numpy.pi, _numpy.e

float16, float32, float64 = _numpy.dtype("f2"), _numpy.dtype("f4"), _numpy.dtype("f8")
int8, int16, int32, int64 = _numpy.dtype("i1"), _numpy.dtype("i2"), _numpy.dtype("i4"), _numpy.dtype("i8")
uint8, bool = _numpy.dtype("u1"), _numpy.dtype("?")
complex64, complex128 = _numpy.dtype("c8"), _numpy.dtype("c16")
half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
finfo, iinfo = _numpy.finfo, _numpy.iinfo

multiply, subtract, divide, true_divide, negative = mul, sub, div, div, neg
absolute, power, clamp, detach, movedim = abs, pow, clip, stop_gradient, moveaxis
positive = resolve_conj = resolve_neg = clone
conj_physical = conj
swapdims = swapaxes
arccos, arcsin, arctan, arctan2 = acos, asin, atan, atan2
arccosh, arcsinh, arctanh = acosh, asinh, atanh
fix = trunc
lgamma = special.gammaln
igamma, igammac = special.gammainc, special.gammaincc
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne

__all__ = [
    "compile",
    "conj_physical",
    "resolve_conj",
    "resolve_neg",
    "Tensor",
    "absolute",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "autograd",
    "bool",
    "check",
    "clamp",
    "complex128",
    "complex64",
    "checkpoint",
    "cond",
    "custom_root",
    "detach",
    "divide",
    "e",
    "double",
    "enable_grad",
    "errors",
    "fft",
    "finfo",
    "fix",
    "fixed_point",
    "float",
    "float16",
    "float32",
    "float64",
    "fori_loop",
    "func",
    "get_default_dtype",
    "grad",
    "graph",
    "greater",
    "greater_equal",
    "half",
    "igamma",
    "igammac",
    "iinfo",
    "inf",
    "int",
    "int16",
    "int32",
    "int64",
    "int8",
    "inverse",
    "is_grad_enabled",
    "less",
    "less_equal",
    "lgamma",
    "linalg",
    "load",
    "long",
    "movedim",
    "multiply",
    "nan",
    "negative",
    "nn",
    "no_grad",
    "pi",
    "not_equal",
    "pinverse",
    "positive",
    "power",
    "remat",
    "save",
    "scan",
    "set_default_dtype",
    "set_grad_enabled",
    "set_printoptions",
    "short",
    "special",
    "subtract",
    "swapdims",
    "tree",
    "true_divide",
    "uint8",
    "vmap",
    "while_loop",
]
__all__ += _activations.__all__
__all__ += _arithmetic.__all__
__all__ += _complex.__all__
__all__ += _contract.__all__
__all__ += _conv.__all__
__all__ += _convert.__all__
__all__ += _covariance.__all__
__all__ += _create.__all__
__all__ += _cross_entropy.__all__
__all__ += _elementwise.__all__
__all__ += _embedding_bag.__all__
__all__ += _exchange.__all__
__all__ += _exponentials.__all__
__all__ += _extrema.__all__
__all__ += _gather.__all__
__all__ += _histograms.__all__
__all__ += _images.__all__
__all__ += _index.__all__
__all__ += _inverses.__all__
__all__ += _join.__all__
__all__ += _labels.__all__
__all__ += _layers.__all__
__all__ += _linalg_factor.__all__
__all__ += _linalg_householder.__all__
__all__ += _linalg_lu.__all__
__all__ += _linalg_norms.__all__
__all__ += _linalg_solve.__all__
__all__ += _linalg_top.__all__
__all__ += _logic.__all__
__all__ += _losses.__all__
__all__ += _lowrank.__all__
__all__ += _margins.__all__
__all__ += _masks.__all__
__all__ += _noise.__all__
__all__ += _normalization.__all__
__all__ += _norms.__all__
__all__ += _order.__all__
__all__ += _pad.__all__
__all__ += _patches.__all__
__all__ += _pool.__all__
__all__ += _pool_adaptive.__all__
__all__ += _products.__all__
__all__ += _queries.__all__
__all__ += _random.__all__
__all__ += _reduce.__all__
__all__ += _repeat.__all__
__all__ += _resize.__all__
__all__ += _rounding.__all__
__all__ += _sampled.__all__
__all__ += _scan.__all__
__all__ += _scatter_reduce.__all__
__all__ += _shape.__all__
__all__ += _special.__all__
__all__ += _special_bessel.__all__
__all__ += _special_gamma.__all__
__all__ += _spectrogram.__all__
__all__ += _split.__all__
__all__ += _stable.__all__
__all__ += _statistics.__all__
__all__ += _triangle.__all__
__all__ += _trigonometry.__all__
__all__ += _unit_axes.__all__
__all__ += _unpool.__all__
__all__ += _update.__all__
