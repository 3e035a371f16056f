"""Poles, zeros and large numbers of the special functions, as PyTorch 2.13 gave them; what differs is marked."""

from __future__ import annotations

import math

import hograd as ho

from .edges import Edge, check_transforms, check_values_and_derivatives, check_warnings, over

inf, nan = math.inf, math.nan

# fmt: off
EDGES = [
    # In PyTorch: second [[0.0, nan, 0.0]], and so for erfc
    Edge("erf of large numbers", lambda x: ho.erf(x),
         [[-40.0, inf, 0.0]], [-1.0, 1.0, 0.0], [[0.0, 0.0, 3.38513750128654]], [[0.0, 0.0, 0.0]]),
    Edge("erfc of large numbers", lambda x: ho.erfc(x),
         [[-40.0, 40.0, inf]], [2.0, 0.0, 0.0], [[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]),
    Edge("erfinv at its poles", lambda x: ho.erfinv(x),
         [[1.0, -1.0, 2.0]], [inf, -inf, nan], [[inf, inf, nan]], [[inf, -inf, nan]]),
    Edge("ndtri at its poles", lambda x: ho.special.ndtri(x),
         [[0.0, 1.0, 2.0]], [-inf, inf, nan], [[inf, inf, nan]], [[-inf, inf, nan]]),
    # In PyTorch: second [[-0.999900062059169, 0.0, 0.0]]
    Edge("log_ndtr of large numbers", lambda x: ho.special.log_ndtr(x),
         [[-100.0, 100.0, 100000.0]], [-5005.52420869421, 0.0, 0.0], [[100.009998000999, 0.0, 0.0]],
         [[-0.999900059950616, 0.0, 0.0]]),
    Edge("entr of zero", lambda x: ho.special.entr(x),
         [[0.0, -1.0, 1.0]], [0.0, -inf, 0.0], [[inf, nan, -3.0]], [[-inf, 4.0, -9.0]]),
    # In PyTorch: second [[nan, nan, 0.0, 0.0]]
    Edge("logit at its poles", lambda x: ho.logit(x),
         [[0.0, 1.0, -0.5, 2.0]], [-inf, inf, nan, nan], [[inf, inf, nan, nan]], [[-inf, inf, 0.0, 0.0]]),
    # In PyTorch: second [[-14.2222222222222, nan, 0.0, nan]]
    Edge("logit limited", lambda x: ho.logit(x, 0.25),
         [[0.25, 0.0, 0.5, 1.0]], [-1.09861228866811, -1.09861228866811, 0.0, 1.09861228866811],
         [[5.33333333333333, 0.0, 12.0, 0.0]], [[-14.2222222222222, 0.0, 0.0, 0.0]]),
    # In PyTorch: second [[0.5, nan]]
    Edge("i0 of zero and beyond floating numbers", lambda x: ho.i0(x),
         [[0.0, 800.0]], [1.0, inf], [[0.0, inf]], [[0.5, inf]]),
    Edge("i1 of zero", lambda x: ho.special.i1(x), [[0.0]], [0.0], [[0.5]], [[0.0]]),
    Edge("i0e at its kink", lambda x: ho.special.i0e(x), [[0.0, inf]], [1.0, 0.0], [[0.0, 0.0]], [[0.5, 0.0]]),
    Edge("i1e of zero", lambda x: ho.special.i1e(x), [[0.0, inf]], [0.0, 0.0], [[0.5, 0.0]], [[0.0, 0.0]]),
    # In PyTorch: second [[inf, 2.63231605892838e+33, 14.804406608745]]
    Edge("mvlgamma at its pole", lambda x: ho.mvlgamma(x, 2), [[0.5]], [inf], [[-inf]], [[inf]]),
    # PyTorch has no derivatives of these. At poles of yv they are differences of infinities, but for order 0.
    Edge("jv of zero", lambda x: ho.special.jv(1, x), [[0.0]], [0.0], [[0.5]], [[0.0]]),
    Edge("bessel_j0 of zero", lambda x: ho.special.bessel_j0(x), [[0.0]], [1.0], [[0.0]], [[-0.5]]),
    Edge("bessel_j1 of zero", lambda x: ho.special.bessel_j1(x), [[0.0]], [0.0], [[0.5]], [[0.0]]),
    Edge("yv at its pole", lambda x: ho.special.yv(2, x), [[0.0]], [-inf], [[nan]], [[nan]]),
    Edge("bessel_y0 at its pole", lambda x: ho.special.bessel_y0(x), [[0.0]], [-inf], [[inf]], [[nan]]),
    Edge("bessel_y1 at its pole", lambda x: ho.special.bessel_y1(x), [[0.0]], [-inf], [[nan]], [[nan]]),
    Edge("kv at its pole", lambda x: ho.special.kv(2, x), [[0.0]], [inf], [[-inf]], [[inf]]),
    Edge("kve at its pole", lambda x: ho.special.kve(2, x), [[0.0]], [inf], [[-inf]], [[inf]]),
    Edge("modified_bessel_k0 at its pole", lambda x: ho.special.modified_bessel_k0(x),
         [[0.0]], [inf], [[-inf]], [[inf]]),
    Edge("modified_bessel_k1 at its pole", lambda x: ho.special.modified_bessel_k1(x),
         [[0.0]], [inf], [[-inf]], [[inf]]),
    Edge("scaled_modified_bessel_k0 at its pole", lambda x: ho.special.scaled_modified_bessel_k0(x),
         [[0.0]], [inf], [[-inf]], [[inf]]),
    Edge("scaled_modified_bessel_k1 at its pole", lambda x: ho.special.scaled_modified_bessel_k1(x),
         [[0.0]], [inf], [[-inf]], [[inf]]),
    Edge("iv of zero", lambda x: ho.special.iv(1.0, x), [[0.0]], [0.0], [[0.5]], [[0.0]]),
    Edge("iv of half an order, at its pole", lambda x: ho.special.iv(0.5, x), [[0.0]], [0.0], [[inf]], [[inf]]),
    Edge("ive of zero", lambda x: ho.special.ive(1.0, x), [[0.0]], [0.0], [[0.5]], [[0.0]]),
    Edge("erfcx of large numbers", lambda x: ho.special.erfcx(x),
         [[-30.0, 1e10]], [inf, 5.641895835477563e-11], [[-inf, -1.1283791670955126e-20]],
         [[inf, 4.5135166683820503e-30]]),
    Edge("ndtr of large numbers", lambda x: ho.special.ndtr(x),
         [[-40.0, 40.0, -1e5]], [0.0, 1.0, 0.0], [[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]),
    Edge("betaln at its pole", lambda x, y: ho.special.betaln(x, y),
         [[0.0, 1.0], [2.0, 1.0]], [inf, 0.0], [[-inf, -2.0], [0.0, -2.0]],
         [[inf, 1.4202637326070935], [-0.6449340668482266, 1.4202637326070935]]),
    Edge("gammaln at its poles", lambda x: ho.lgamma(x),
         [[0.0, -1.0, 1.0]], [inf, inf, 0.0], [[-inf, nan, -1.7316469947046]], [[inf, inf, 14.804406601634]]),
    # In PyTorch: first [[inf, 1.31615802946419e+33]]
    Edge("digamma at its poles", lambda x: ho.digamma(x), [[0.0, -1.0]], [-inf, nan], [[inf, inf]], [[-inf, -inf]]),
    Edge("polygamma far below zero", lambda x: ho.polygamma(1, x),
         [[-40.25]], [19.7146701561229], [[124.024504606252]], [[1558.54542699683]]),
    Edge("zeta at its pole", lambda x: ho.special.zeta(2.0, x),
         [[0.0, 1.0]], [inf, 1.64493406684823], [[-inf, -4.80822761263838]], [[inf, 25.9757576090673]]),
    # In PyTorch: second [[nan, 0.0]], and so for gammaincc
    Edge("gammainc at zero", lambda x: ho.special.gammainc(2.0, x),
         [[0.0, 1.0]], [0.0, 0.264241117657115], [[0.0, 0.735758882342885]], [[1.0, 0.0]]),
    # PyTorch has no derivative in the first argument.
    Edge("gammainc at zero in both arguments", lambda x, y: ho.special.gammainc(x, y),
         [[2.0, 3.0], [0.0, 0.0]], [0.0, 0.0], [[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 0.0]]),
    Edge("gammaincc at zero", lambda x: ho.special.gammaincc(2.0, x),
         [[0.0, 1.0]], [1.0, 0.735758882342885], [[0.0, -0.735758882342885]], [[-1.0, 0.0]]),
    Edge("betainc at its ends", lambda x, y, z: ho.special.betainc(x, y, z),
         [[2.0, 3.0], [3.0, 2.0], [0.0, 1.0]], [0.0, 1.0], [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]],
         [[0.0, 0.0], [0.0, 0.0], [12.0, -48.0]]),
]
# fmt: on


@over(EDGES)
def test_values_and_derivatives_at_the_edge(edge):
    check_values_and_derivatives(edge)


@over(EDGES)
def test_transforms_agree_at_the_edge(edge):
    check_transforms(edge)


@over(EDGES)
def test_derivatives_do_not_warn_where_values_do_not(edge):
    check_warnings(edge)
