"""Ties, zeros, infinities and nan in scans, orders, statistics, distances and masks, as PyTorch 2.13 gave them.

What differs from PyTorch is marked.
"""

from __future__ import annotations

import math

import hograd as ho

from .edges import Edge, check_transforms, check_values_and_derivatives, check_warnings, over

inf, nan = math.inf, math.nan

# fmt: off
EDGES = [
    Edge("cumprod with zeros", lambda x: ho.cumprod(x, 0),
         [[2.0, 0.0, 5.0, 0.0]], [2.0, 0.0, 0.0, 0.0], [[1.0, 34.0, 0.0, 0.0]], [[34.0, 195.0, 12.0, 80.0]]),
    Edge("cumprod of rows with zeros", lambda x: ho.cumprod(x, 1),
         [[[0.0, 3.0, 2.0], [1.0, 0.0, 4.0]]], [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]],
         [[[25.0, 0.0, 0.0], [4.0, 29.0, 0.0]]], [[[43.0, 8.0, 9.0], [145.0, 152.0, 30.0]]]),
    Edge("cummax of ties", lambda x: ho.cummax(x, 0).values,
         [[1.0, 3.0, 3.0, 2.0]], [1.0, 3.0, 3.0, 3.0], [[1.0, 2.0, 7.0, 0.0]], None),
    Edge("cummax with nan", lambda x: ho.cummax(x, 0).values,
         [[1.0, nan, 3.0, nan, 2.0]], [1.0, nan, nan, nan, nan], [[1.0, 5.0, 0.0, 9.0, 0.0]], None),
    Edge("cummin of ties", lambda x: ho.cummin(x, 0).values,
         [[3.0, 1.0, 1.0, 2.0]], [3.0, 1.0, 1.0, 1.0], [[1.0, 2.0, 7.0, 0.0]], None),
    Edge("cummin with nan", lambda x: ho.cummin(x, 0).values,
         [[3.0, nan, 1.0]], [3.0, nan, nan], [[1.0, 5.0, 0.0]], None),
    # PyTorch's derivatives are nan for the elements -inf.
    Edge("logcumsumexp from -inf", lambda x: ho.logcumsumexp(x, 0),
         [[-inf, -inf, 0.0, 1.0]], [-inf, -inf, 0.0, 1.31326168751822],
         [[1.0, 0.0, 4.075765685479981, 2.92423431452002]], [[0.0, 0.0, -0.786447732965929, 0.786447732965929]]),
    Edge("logcumsumexp of large numbers", lambda x: ho.logcumsumexp(x, 0),
         [[1000.0, 1000.0, -1000.0]], [1000.0, 1000.6931471805599, 1000.6931471805599],
         [[3.5, 2.5, 0.0]], [[-1.25, 1.25, 0.0]]),
    Edge("sort of ties", lambda x: ho.sort(x).values,
         [[2.0, 1.0, 2.0, 1.0]], [1.0, 1.0, 2.0, 2.0], [[3.0, 1.0, 4.0, 2.0]], None),
    Edge("sort from the largest with nan", lambda x: ho.sort(x, 0, True).values,
         [[2.0, nan, 2.0, 1.0]], [nan, 2.0, 2.0, 1.0], [[2.0, 1.0, 3.0, 4.0]], None),
    # PyTorch takes the last two.
    Edge("topk of ties", lambda x: ho.topk(x, 2).values,
         [[2.0, 1.0, 2.0, 2.0]], [2.0, 2.0], [[1.0, 0.0, 2.0, 0.0]], None),
    Edge("topk with nan", lambda x: ho.topk(x, 2).values,
         [[2.0, nan, 1.0, 3.0]], [nan, 3.0], [[0.0, 1.0, 0.0, 2.0]], None),
    Edge("topk of the smallest with nan", lambda x: ho.topk(x, 2, largest=False).values,
         [[2.0, nan, 1.0, 1.0]], [1.0, 1.0], [[0.0, 0.0, 1.0, 2.0]], None),
    # PyTorch takes the first.
    Edge("kthvalue of ties", lambda x: ho.kthvalue(x, 2).values,
         [[1.0, 1.0, 3.0, 1.0]], 1.0, [[0.0, 1.0, 0.0, 0.0]], None),
    Edge("kthvalue with nan", lambda x: ho.kthvalue(x, 1).values, [[nan, 1.0, 3.0]], 1.0, [[0.0, 1.0, 0.0]], None),
    Edge("mode of ties", lambda x: ho.mode(x).values,
         [[2.0, 1.0, 2.0, 1.0]], 1.0, [[0.0, 0.0, 0.0, 1.0]], None),
    Edge("mode with nan", lambda x: ho.mode(x, 1).values,
         [[[1.0, 3.0, 3.0, 1.0, 3.0], [nan, nan, 1.0, 2.0, 2.0]]], [3.0, 2.0],
         [[[0.0, 0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0, 2.0]]], None),
    Edge("median of ties", lambda x: ho.median(x),
         [[1.0, 3.0, 3.0, 3.0, 5.0]], 3.0, [[0.0, 1 / 3, 1 / 3, 1 / 3, 0.0]], None),
    Edge("median with nan", lambda x: ho.median(x), [[1.0, nan, 3.0]], nan, [[0.0, 1.0, 0.0]], None),
    Edge("median along an axis of ties", lambda x: ho.median(x, 0).values,
         [[1.0, 3.0, 3.0, 3.0, 5.0]], 3.0, [[0.0, 0.0, 1.0, 0.0, 0.0]], None),
    Edge("median along an axis with nan", lambda x: ho.median(x, 0).values,
         [[1.0, nan, 3.0, nan]], nan, [[0.0, 1.0, 0.0, 0.0]], None),
    Edge("nanmedian with nan", lambda x: ho.nanmedian(x), [[1.0, nan, 3.0, 3.0]], 3.0, [[0.0, 0.0, 0.5, 0.5]], None),
    Edge("nanmedian along an axis with nan", lambda x: ho.nanmedian(x, 0).values,
         [[1.0, nan, 3.0, nan]], 1.0, [[1.0, 0.0, 0.0, 0.0]], None),
    Edge("nanmedian along an axis of nan", lambda x: ho.nanmedian(x, 0).values, [[nan, nan]], nan, [[1.0, 0.0]], None),
    Edge("quantile of ties", lambda x: ho.quantile(x, 0.5),
         [[1.0, 2.0, 2.0, 3.0]], 2.0, [[0.0, 0.5, 0.5, 0.0]], None),
    Edge("quantile at an element", lambda x: ho.quantile(x, 0.5), [[1.0, 2.0, 3.0]], 2.0, [[0.0, 1.0, 0.0]], None),
    # PyTorch gives the derivative 1 to the nan.
    Edge("quantile with nan", lambda x: ho.quantile(x, 0.5), [[1.0, nan, 3.0]], nan, [[0.0, 0.0, 0.0]], None),
    Edge("quantiles at elements", lambda x, q: ho.quantile(x, q),
         [[1.0, 3.0, 4.0], [0.0, 0.5, 1.0]], [1.0, 3.0, 4.0], [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]],
         [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    Edge("midpoint at an element", lambda x: ho.quantile(x, 0.5, interpolation="midpoint"),
         [[1.0, 3.0, 4.0]], 3.0, [[0.0, 1.0, 0.0]], None),
    Edge("nearest of two as near", lambda x: ho.quantile(x, 0.75, interpolation="nearest"),
         [[1.0, 3.0, 4.0]], 4.0, [[0.0, 0.0, 1.0]], None),
    Edge("nanquantile with nan", lambda x: ho.nanquantile(x, 0.5), [[1.0, nan, 3.0]], 2.0, [[0.5, 0.0, 0.5]], None),
    Edge("nanquantile of nan", lambda x: ho.nanquantile(x, 0.5), [[nan, nan]], nan, [[1.0, 0.0]], None),
    Edge("nansum with nan", lambda x: ho.nansum(x), [[1.0, nan, 3.0]], 4.0, [[1.0, 0.0, 1.0]], None),
    Edge("nanmean with nan", lambda x: ho.nanmean(x), [[1.0, nan, 3.0]], 2.0, [[0.5, 0.0, 0.5]], None),
    # PyTorch's derivative is nan.
    Edge("nanmean of nan", lambda x: ho.nanmean(x), [[nan, nan]], nan, [[0.0, 0.0]], None),
    Edge("std_mean of constant data", lambda x: ho.std_mean(x)[0],
         [[2.0, 2.0, 2.0]], 0.0, [[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]),
    Edge("aminmax of ties", lambda x: ho.aminmax(x).max, [[2.0, 5.0, 5.0]], 5.0, [[0.0, 0.5, 0.5]], None),
    # PyTorch has no second derivative of cdist and pdist.
    Edge("cdist of equal rows", lambda a, b: ho.cdist(a, b),
         [[[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0]]], [[0.0], [5.0]], [[[0.0, 0.0], [1.2, 1.6]], [[-1.2, -1.6]]],
         [[[0.0, 0.0], [0.128, -0.096]], [[-0.128, 0.096]]]),
    Edge("cdist of rows equal in one place", lambda a, b: ho.cdist(a, b, 1.0),
         [[[0.0, 0.0], [3.0, 4.0]], [[0.0, 1.0]]], [[1.0], [6.0]], [[[0.0, -1.0], [2.0, 2.0]], [[-2.0, -1.0]]],
         [[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0]]]),
    # PyTorch gives each of the largest differences the derivative 1.
    Edge("cdist of rows as far in both places", lambda a, b: ho.cdist(a, b, inf),
         [[[0.0, 0.0], [3.0, 4.0]], [[1.0, 1.0]]], [[1.0], [3.0]], [[[-0.5, -0.5], [0.0, 2.0]], [[0.5, -1.5]]],
         [[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0]]]),
    Edge("pdist of equal rows", lambda x: ho.pdist(x),
         [[[0.0, 0.0], [0.0, 0.0], [3.0, 4.0]]], [0.0, 5.0, 5.0], [[[-1.2, -1.6], [-1.8, -2.4], [3.0, 4.0]]],
         [[[-0.256, 0.192], [-0.192, 0.144], [0.448, -0.336]]]),
    # PyTorch's second derivative is nan.
    Edge("dist of equal tensors", lambda a, b: ho.dist(a, b),
         [[1.0, 2.0], [1.0, 2.0]], 0.0, [[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]),
    # PyTorch gives both values the derivative of the place.
    Edge("scatter to one place twice", lambda x, v: ho.scatter(x, 0, ho.tensor([1, 1]), v),
         [[1.0, 2.0, 3.0], [5.0, 6.0]], [1.0, 6.0, 3.0], [[1.0, 0.0, 3.0], [0.0, 2.0]], None),
    Edge("scatter_reduce of ties", lambda x, v: ho.scatter_reduce(x, 0, ho.tensor([0, 0, 1, 2, 2]), v, "amax"),
         [[3.0, 2.5, -1.0], [3.0, 3.0, 2.0, 0.0, 0.0]], [3.0, 2.5, 0.0],
         [[1 / 3, 2.0, 0.0], [1 / 3, 1 / 3, 0.0, 1.5, 1.5]], None),
    Edge("scatter_reduce to the smallest of ties", lambda x, v: ho.scatter_reduce(x, 0, ho.tensor([0, 0]), v, "amin"),
         [[2.0], [2.0, 2.0]], [2.0], [[1 / 3], [1 / 3, 1 / 3]], None),
    Edge("index_reduce of ties", lambda x, v: ho.index_reduce(x, 0, ho.tensor([0, 0]), v, "amax"),
         [[2.0, 1.0], [2.0, 2.0]], [2.0, 1.0], [[1 / 3, 2.0], [1 / 3, 1 / 3]], None),
    Edge("scatter_reduce of means of nothing",
         lambda x, v: ho.scatter_reduce(x, 0, ho.tensor([0, 0]), v, "mean", include_self=False),
         [[2.0, 1.0], [2.0, 2.0]], [2.0, 1.0], [[0.0, 2.0], [0.5, 0.5]], None),
    Edge("cov of one observation", lambda x: ho.cov(x), [[2.0]], nan, [[nan]], [[nan]]),
    Edge("corrcoef of a constant variable", lambda x: ho.corrcoef(x), [[[1.0, 1.0], [0.0, 1.0]]],
         [[nan, nan], [nan, 1.0]], [[[nan, nan], [nan, nan]]], [[[nan, nan], [nan, nan]]]),
    Edge("msort of ties", lambda x: ho.msort(x), [[2.0, 1.0, 1.0]], [1.0, 1.0, 2.0], [[3.0, 1.0, 2.0]], None),
    Edge("amin with nan", lambda x: ho.amin(x, 0), [[nan, 2.0, nan]], nan, [[nan, nan, nan]], None),
    Edge("var_mean of one element without correction", lambda x: ho.var_mean(x, correction=0)[0],
         [[2.0]], 0.0, [[0.0]], [[0.0]]),
    Edge("scatter_reduce of products with zeros",
         lambda x, v: ho.scatter_reduce(x, 0, ho.tensor([0, 0, 1, 2, 2]), v, "prod"),
         [[1.0, 2.0, 3.0], [3.0, 3.0, 2.0, 0.0, 0.0]], [9.0, 4.0, 0.0],
         [[9.0, 4.0, 0.0], [3.0, 3.0, 4.0, 0.0, 0.0]], [[9.0, 6.0, 0.0], [5.0, 4.0, 4.0, 45.0, 36.0]]),
    Edge("masked_fill beside nan", lambda x: ho.masked_fill(x, x > 1, 0.0),
         [[1.0, nan, 3.0]], [1.0, nan, 0.0], [[1.0, 2.0, 0.0]], None),
    Edge("cross of parallel vectors", lambda a, b: ho.cross(a, b),
         [[1.0, 2.0, 0.0], [1.0, 2.0, 0.0]], [0.0, 0.0, 0.0], [[6.0, -3.0, 0.0], [-6.0, 3.0, 0.0]],
         [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    Edge("trace beside nan", lambda x: ho.trace(x),
         [[[1.0, nan], [2.0, 3.0]]], 4.0, [[[1.0, 0.0], [0.0, 1.0]]], None),
    Edge("tril of nan above", lambda x: ho.tril(x),
         [[[1.0, nan], [inf, 3.0]]], [[1.0, 0.0], [inf, 3.0]], [[[1.0, 0.0], [3.0, 4.0]]], None),
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
