"""Kinks, poles, zeros and infinities of the elementwise functions, as PyTorch 2.13 gave them.

What differs from PyTorch is marked. The second derivative at a kink is that of the branch which the first one is of.
"""

from __future__ import annotations

import math

import hograd as ho

from .edges import Edge, check_transforms, check_values_and_derivatives, check_warnings, over

inf, nan = math.inf, math.nan

# fmt: off
EDGES = [
    Edge("asin at its ends", lambda x: ho.asin(x),
         [[1.0, -1.0, 2.0]], [1.5707963267949, -1.5707963267949, nan], [[inf, inf, nan]], [[inf, -inf, nan]]),
    Edge("acos at its ends", lambda x: ho.acos(x),
         [[1.0, -1.0, 2.0]], [0.0, 3.14159265358979, nan], [[-inf, -inf, nan]], [[-inf, inf, nan]]),
    Edge("acosh at its end", lambda x: ho.acosh(x), [[1.0, 0.5]], [0.0, nan], [[inf, nan]], [[-inf, nan]]),
    Edge("atanh at its poles", lambda x: ho.atanh(x),
         [[1.0, -1.0, 2.0]], [inf, -inf, nan], [[inf, inf, -1.0]], [[inf, -inf, 4.0]]),
    # In PyTorch: second [[nan, nan]]
    Edge("atan of infinities", lambda x: ho.atan(x),
         [[inf, -inf]], [1.5707963267949, -1.5707963267949], [[0.0, 0.0]], [[0.0, 0.0]]),
    Edge("asinh of large numbers", lambda x: ho.asinh(x),
         [[10000000000.0, -10000000000.0]], [23.7189981105004, -23.7189981105004], [[1e-10, 2e-10]],
         [[-1e-20, 4e-20]]),
    Edge("sinh and cosh beyond floating numbers", lambda x: ho.sinh(x),
         [[800.0, -800.0]], [inf, -inf], [[inf, inf]], [[inf, -inf]]),
    # In PyTorch: second [[nan, -4.0, 9.0], [nan, -4.0, 9.0]]
    Edge("atan2 at the origin", lambda x, y: ho.atan2(x, y),
         [[0.0, 0.0, 1.0], [0.0, -1.0, 0.0]], [0.0, 3.14159265358979, 1.5707963267949],
         [[0.0, -2.0, 0.0], [0.0, 0.0, -3.0]], [[0.0, -4.0, 9.0], [0.0, -4.0, 9.0]]),
    Edge("atan2 of large numbers", lambda x, y: ho.atan2(x, y),
         [[1e+200], [1e+200]], [0.785398163397448], [[5e-201], [-5e-201]], [[0.0], [0.0]]),
    # In PyTorch: first [[nan, 0.0], [nan, 2.0]] second [[nan, 2.0], [nan, 0.0]]
    Edge("hypot at the origin", lambda x, y: ho.hypot(x, y),
         [[0.0, 0.0], [0.0, 2.0]], [0.0, 2.0], [[0.0, 0.0], [0.0, 2.0]], [[0.0, 2.0], [0.0, 0.0]]),
    Edge("hypot of large numbers", lambda x, y: ho.hypot(x, y),
         [[3e+200], [4e+200]], [5e+200], [[0.6], [0.8]], [[3.2e-202], [-2.40000000000001e-202]]),
    # In PyTorch: first [[0.0, -2.0, 0.0]] second [[nan, 8.0, 0.0]]
    Edge("sinc at zero", lambda x: ho.sinc(x),
         [[0.0, 1.0, 1e-09]], [1.0, 0.0, 1.0], [[0.0, -2.0, -9.86960440108936e-09]],
         [[-3.28986813369645, 8.0, -29.6088132032681]]),
    Edge("log2 of zero", lambda x: ho.log2(x),
         [[0.0, 2.0, -1.0]], [-inf, 1.0, nan], [[inf, 1.44269504088896, -4.32808512266689]],
         [[-inf, -1.44269504088896, -12.9842553680007]]),
    Edge("log10 of zero", lambda x: ho.log10(x),
         [[0.0, -1.0]], [-inf, nan], [[inf, -0.868588963806504]], [[-inf, -1.73717792761301]]),
    Edge("rsqrt of zero", lambda x: ho.rsqrt(x),
         [[0.0, 4.0, -1.0]], [inf, 0.5, nan], [[-inf, -0.125, nan]], [[inf, 0.09375, nan]]),
    # In PyTorch: second [[nan, nan, nan], [nan, nan, nan]]
    Edge("logaddexp with infinities", lambda x, y: ho.logaddexp(x, y),
         [[-inf, -inf, inf], [-inf, 1.0, 1.0]], [-inf, 1.0, inf], [[nan, 0.0, 3.0], [nan, 2.0, 0.0]],
         [[nan, 0.0, 0.0], [nan, 0.0, 0.0]]),
    # In PyTorch: second [[0.0, nan], [0.0, nan]]
    Edge("logaddexp of large numbers", lambda x, y: ho.logaddexp(x, y),
         [[1000.0, -1000.0], [1000.0, 1000.0]], [1000.69314718056, 1000.0], [[0.5, 0.0], [0.5, 2.0]],
         [[0.0, 0.0], [0.0, 0.0]]),
    # In PyTorch: second [[0.0, nan], [0.0, nan]]
    Edge("logaddexp2 of large numbers", lambda x, y: ho.logaddexp2(x, y),
         [[1000.0, -1000.0], [1000.0, 1000.0]], [1001.0, 1000.0], [[0.5, 0.0], [0.5, 2.0]],
         [[0.0, 0.0], [0.0, 0.0]]),
    # In PyTorch: first [[0.0, 0.0, -inf, nan], [nan, 0.0, inf, nan]]
    # second [[inf, -4.0, inf, nan], [nan, 0.0, nan, nan]]
    Edge("xlogy with zeros", lambda x, y: ho.xlogy(x, y),
         [[0.0, 0.0, 1.0, 0.0], [0.0, -1.0, 0.0, nan]], [0.0, 0.0, -inf, nan],
         [[0.0, 0.0, -inf, nan], [0.0, 0.0, inf, nan]], [[0.0, -4.0, inf, nan], [0.0, 0.0, nan, nan]]),
    # In PyTorch: first [[0.0, -inf], [nan, inf]] second [[inf, inf], [nan, nan]]
    Edge("xlog1py with zeros", lambda x, y: ho.special.xlog1py(x, y),
         [[0.0, 1.0], [-1.0, -1.0]], [0.0, -inf], [[0.0, -inf], [0.0, inf]], [[0.0, inf], [0.0, nan]]),
    Edge("floor of whole numbers", lambda x: ho.floor(x),
         [[2.0, -2.0, 2.5, -2.5]], [2.0, -2.0, 2.0, -3.0], [[0.0, 0.0, 0.0, 0.0]], None),
    Edge("ceil of whole numbers", lambda x: ho.ceil(x),
         [[2.0, -2.0, 2.5, -2.5]], [2.0, -2.0, 3.0, -2.0], [[0.0, 0.0, 0.0, 0.0]], None),
    Edge("trunc of whole numbers", lambda x: ho.trunc(x),
         [[2.0, -2.0, 2.5, -2.5]], [2.0, -2.0, 2.0, -2.0], [[0.0, 0.0, 0.0, 0.0]], None),
    Edge("round of halves", lambda x: ho.round(x),
         [[0.5, 1.5, -0.5, 2.5]], [0.0, 2.0, 0.0, 2.0], [[0.0, 0.0, 0.0, 0.0]], None),
    Edge("frac of whole numbers", lambda x: ho.frac(x),
         [[2.0, -2.0, -2.25]], [0.0, 0.0, -0.25], [[1.0, 2.0, 3.0]], None),
    Edge("fmod at a jump", lambda x, y: ho.fmod(x, y),
         [[6.0, -6.0, 7.0], [3.0, 3.0, -3.0]], [0.0, 0.0, 1.0], [[1.0, 2.0, 3.0], [-2.0, 4.0, 6.0]],
         None),
    Edge("fmod by zero", lambda x, y: ho.fmod(x, y),
         [[1.0, 1.0], [0.0, inf]], [nan, 1.0], [[1.0, 2.0], [-inf, 0.0]], None),
    Edge("remainder by zero and infinity", lambda x, y: ho.remainder(x, y),
         [[1.0, -0.5], [0.0, inf]], [nan, inf], [[1.0, 2.0], [-inf, 2.0]], [[0.0, 0.0], [0.0, 0.0]]),
    # PyTorch has no derivative of it.
    Edge("floor_divide at a jump and by zero", lambda x, y: ho.floor_divide(x, y),
         [[2.0, -1.0, 1.0], [1.0, 2.0, 0.0]], [2.0, -1.0, inf], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], None),
    Edge("addcdiv with zero below", lambda x, y, z: ho.addcdiv(x * x, y, z),
         [[1.0], [1.0], [0.0]], [inf], [[2.0], [inf], [-inf]], [[2.0], [-inf], [nan]]),
    Edge("addcmul with infinity", lambda x, y, z: ho.addcmul(x * x, y, z),
         [[1.0], [inf], [0.0]], [nan], [[2.0], [0.0], [inf]], [[2.0], [1.0], [1.0]]),
    Edge("clamp_min at its limit", lambda x: ho.clamp_min(x, 0.0),
         [[0.0, -1.0, 2.0]], [0.0, 0.0, 2.0], [[1.0, 0.0, 3.0]], None),
    Edge("clamp_max at its limit", lambda x: ho.clamp_max(x, 0.0),
         [[0.0, -1.0, 2.0]], [0.0, -1.0, 0.0], [[1.0, 2.0, 0.0]], None),
    Edge("float_power of zero", lambda x: ho.float_power(x, 0.5),
         [[0.0, 4.0]], [0.0, 2.0], [[inf, 0.5]], [[-inf, -0.125]]),
    # In PyTorch: first [[0.0, 2.0], [0.0, 0.0]]
    Edge("nextafter to an equal number", lambda x, y: ho.nextafter(x, y), [[1.0, 2.0], [1.0, 1.0]],
         [1.0, 1.9999999999999998], [[1.0, 2.0], [0.0, 0.0]], None),
    Edge("ldexp of large numbers", lambda x, y: ho.ldexp(x, y),
         [[1.0], [2000.0]], [inf], [[inf], [inf]], [[inf], [inf]]),
    Edge("safe_sqrt of zero", lambda x: ho.safe_sqrt(x), [[0.0, 4.0]], [0.0, 2.0], [[0.0, 0.5]], [[0.0, -0.125]]),
    Edge("angle of numbers on both sides", lambda x: ho.angle(x), [[0.0, -2.0, 3.0]], [0.0, math.pi, 0.0],
         [[0.0, 0.0, 0.0]], None),
    Edge("sgn of zero", lambda x: ho.sgn(x), [[0.0, -2.0]], [0.0, -1.0], [[0.0, 0.0]], None),
    Edge("square of infinity", lambda x: ho.square(x), [[0.0, inf]], [0.0, inf], [[0.0, inf]], [[2.0, 8.0]]),
    Edge("exp2 of large numbers", lambda x: ho.exp2(x), [[-2000.0, 2000.0]], [0.0, inf], [[0.0, inf]], [[0.0, inf]]),
    Edge("cosh beyond floating numbers", lambda x: ho.cosh(x),
         [[-1000.0, 1000.0]], [inf, inf], [[-inf, inf]], [[inf, inf]]),
    Edge("tan at infinity", lambda x: ho.tan(x), [[inf]], [nan], [[nan]], [[nan]]),
    Edge("sin at infinity", lambda x: ho.sin(x), [[inf, 0.0]], [nan, 0.0], [[nan, 2.0]], [[nan, 0.0]]),
    Edge("cos at infinity", lambda x: ho.cos(x), [[inf, 0.0]], [nan, 1.0], [[nan, 0.0]], [[nan, -4.0]]),
    Edge("remainder at a jump", lambda x, y: ho.remainder(x, y),
         [[6.0, -6.0, 7.0], [3.0, 3.0, -3.0]], [0.0, 0.0, -2.0], [[1.0, 2.0, 3.0], [-2.0, 4.0, 9.0]],
         [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    # In PyTorch: second [[nan, 0.0, 0.0]]
    Edge("copysign of zero", lambda x: ho.copysign(x, -1.0),
         [[0.0, 2.0, -2.0]], [0.0, -2.0, -2.0], [[0.0, -2.0, 3.0]], None),
    Edge("copysign with zeros", lambda x: ho.copysign(2.0 + x * x, x),
         [[0.0, -0.0]], [2.0, -2.0], [[0.0, 0.0]], [[2.0, -8.0]]),
    # PyTorch has no derivative of it.
    Edge("heaviside of zero", lambda x, y: ho.heaviside(x, y),
         [[0.0, -1.0, 2.0], [0.5, 0.5, 0.5]], [0.5, 0.0, 1.0], [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], None),
    Edge("nan_to_num", lambda x: ho.nan_to_num(x, 7.0, 8.0),
         [[nan, inf, 1.0]], [7.0, 8.0, 1.0], [[0.0, 0.0, 3.0]], None),
    Edge("fmax of ties and nan", lambda x, y: ho.fmax(x, y),
         [[1.0, nan, 2.0, nan], [1.0, 3.0, nan, nan]], [1.0, 3.0, 2.0, nan],
         [[1.0, 0.0, 3.0, 4.0], [0.0, 2.0, 0.0, 0.0]], None),
    Edge("fmin of ties and nan", lambda x, y: ho.fmin(x, y),
         [[1.0, nan, 2.0, nan], [1.0, 3.0, nan, nan]], [1.0, 3.0, 2.0, nan],
         [[1.0, 0.0, 3.0, 4.0], [0.0, 2.0, 0.0, 0.0]], None),
    # In PyTorch: first [[1.0, 0.125, nan]]
    Edge("softsign of zero", lambda x: ho.softsign(x),
         [[0.0, -3.0, inf]], [0.0, -0.75, nan], [[1.0, 0.125, 0.0]], [[0.0, 0.125, 0.0]]),
    # In PyTorch: second [[0.0, 0.0, 0.0]]
    Edge("elu at zero", lambda x: ho.elu(x, 2.0),
         [[0.0, -1000.0, 1000.0]], [0.0, -2.0, 1000.0], [[2.0, 0.0, 3.0]], [[2.0, 0.0, 0.0]]),
    # In PyTorch: second [[0.0]]
    Edge("selu at zero", lambda x: ho.selu(x), [[0.0]], [0.0], [[1.75809934084738]], [[1.75809934084738]]),
    # In PyTorch: second [[0.0, 1.42491528134826e-217]]
    Edge("celu at zero", lambda x: ho.celu(x, 2.0),
         [[0.0, -1000.0]], [0.0, -2.0], [[1.0, 1.42491528134826e-217]], [[0.5, 1.42491528134826e-217]]),
    Edge("leaky_relu at zero", lambda x: ho.leaky_relu(x, 0.1),
         [[0.0, -2.0, 2.0]], [0.0, -0.2, 2.0], [[0.1, 0.2, 3.0]], None),
    # PyTorch leaves the mixed derivative at 0 out: second [[0.0, 2.0, 0.0], [4.0]]
    Edge("prelu at zero", lambda x, y: ho.prelu(x, y),
         [[0.0, -2.0, 2.0], [0.1]], [0.0, -0.2, 2.0], [[0.1, 0.2, 3.0], [-4.0]], [[1.0, 2.0, 0.0], [5.0]]),
    Edge("hardtanh at its limits", lambda x: ho.hardtanh(x),
         [[-1.0, 1.0, 0.5, 2.0]], [-1.0, 1.0, 0.5, 1.0], [[0.0, 0.0, 3.0, 0.0]], None),
    Edge("relu6 at its limits", lambda x: ho.relu6(x), [[0.0, 6.0, 3.0]], [0.0, 6.0, 3.0], [[0.0, 0.0, 3.0]], None),
    # PyTorch has no second derivative of it.
    Edge("hardsigmoid at its limits", lambda x: ho.hardsigmoid(x),
         [[-3.0, 3.0, 0.0]], [0.0, 1.0, 0.5], [[0.0, 0.0, 0.5]], None),
    Edge("hardswish at its limits", lambda x: ho.hardswish(x),
         [[-3.0, 3.0, 0.0, 4.0]], [0.0, 3.0, 0.0, 4.0], [[0.0, 2.0, 1.5, 4.0]], [[0.0, 0.0, 3.0, 0.0]]),
    Edge("hardshrink at its limits", lambda x: ho.hardshrink(x),
         [[0.5, -0.5, 0.0, 2.0]], [0.0, 0.0, 0.0, 2.0], [[0.0, 0.0, 0.0, 4.0]], None),
    Edge("softshrink at its limits", lambda x: ho.softshrink(x),
         [[0.5, -0.5, 0.0, 2.0, inf]], [0.0, 0.0, 0.0, 1.5, inf], [[0.0, 0.0, 0.0, 4.0, 5.0]], None),
    Edge("threshold at its limit", lambda x: ho.threshold(x, 0.5, 9.0),
         [[0.5, 0.0, 1.0]], [9.0, 9.0, 1.0], [[0.0, 0.0, 3.0]], None),
    Edge("tanhshrink of small numbers", lambda x: ho.tanhshrink(x),
         [[0.0, 1e-09]], [0.0, 0.0], [[0.0, 2e-18]], [[0.0, 8e-09]]),
    Edge("gelu of large numbers", lambda x: ho.gelu(x),
         [[-1000.0, 1000.0, 0.0]], [0.0, 1000.0, 0.0], [[0.0, 2.0, 1.5]], [[0.0, 0.0, 7.18096104722579]]),
    Edge("gelu by tanh of large numbers", lambda x: ho.gelu(x, approximate="tanh"),
         [[-100.0, 100.0, 0.0]], [0.0, 100.0, 0.0], [[0.0, 2.0, 1.5]], [[0.0, 0.0, 7.18096104722579]]),
    Edge("silu of large numbers", lambda x: ho.silu(x),
         [[-1000.0, 1000.0, 0.0]], [0.0, 1000.0, 0.0], [[0.0, 2.0, 1.5]], [[0.0, 0.0, 4.5]]),
    # In PyTorch: second [[0.0, nan, 5.76]]
    Edge("mish of large numbers", lambda x: ho.mish(x),
         [[-1000.0, 1000.0, 0.0]], [0.0, 1000.0, 0.0], [[0.0, 2.0, 1.8]], [[0.0, 0.0, 5.76]]),
    Edge("logsigmoid of large numbers", lambda x: ho.logsigmoid(x),
         [[-1000.0, 1000.0, 0.0]], [-1000.0, 0.0, -0.693147180559945], [[1.0, 0.0, 1.5]], [[0.0, 0.0, -2.25]]),
    Edge("softplus with a threshold", lambda x: ho.softplus(x, 2.0, 20.0),
         [[9.0, 10.5, -1000.0]], [9.00000000761499, 10.5, 0.0], [[0.999999984770021, 2.0, 0.0]],
         [[3.04599585356246e-08, 0.0, 0.0]]),
    Edge("glu of large numbers", lambda x: ho.glu(x, 0),
         [[2.0, 3.0, -1000.0, 1000.0]], [0.0, 3.0], [[0.0, 2.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 0.0]]),
    Edge("lerp beyond its ends", lambda x, y, z: ho.lerp(x, y, z),
         [[1.0, 1.0], [2.0, 3.0], [0.0, 2.0]], [1.0, 5.0], [[1.0, -2.0], [0.0, 4.0], [1.0, 4.0]],
         [[-1.0, -4.0], [1.0, 4.0], [0.0, 0.0]]),
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
