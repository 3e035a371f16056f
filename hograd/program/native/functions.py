"""Transcendental functions as polynomials on vectors, without branches; within 2 units in the last place, 4 for log1p.

Coefficients of the logarithm, the sine and the cosine are those of fdlibm (Sun Microsystems, 1993); exponentials are
Taylor series on [-ln 2 / 2, ln 2 / 2]. Sines of very large numbers are the C library's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from hograd.program.native.emit import FLOAT64, Function, constant, integer, integer_of, suffix, type_of, vector


class _Format(NamedTuple):
    """What the algorithms ask of a floating format."""

    bits: int
    bias: int
    ln2: tuple[float, float]
    #: Added to and taken from a small number it rounds it, and leaves the integer in the last bits.
    rounder: float
    terms: int
    #: Where exp overflows, and where it is 0.
    largest: float
    smallest: float
    #: Where e**x - 1 is -1, and tanh is 1.
    flat: float
    root_half: int
    normal: float
    log: tuple[float, ...]


_FORMATS = {
    True: _Format(
        52,
        1023,
        (6.93147180369123816490e-01, 1.90821492927058770002e-10),
        1.5 * 2**52,
        13,
        709.782712893384,
        -745.2,
        40.0,
        0x3FE6A09E667F3BCD,
        2.0**-1022,
        (
            6.666666666666735130e-01,
            3.999999999940941908e-01,
            2.857142874366239149e-01,
            2.222219843214978396e-01,
            1.818357216161805012e-01,
            1.531383769920937332e-01,
            1.479819860511658591e-01,
        ),
    ),
    False: _Format(
        23,
        127,
        (0.693359375, -2.12194440e-4),
        1.5 * 2**23,
        8,
        88.72283935546875,
        -104.0,
        20.0,
        0x3F3504F3,
        2.0**-126,
        (0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841),
    ),
}


class Vectors:
    """Arithmetic on `lanes` values of one floating dtype.

    `fuses`: whether a sum may take in a product that is not rounded, as polynomials do.
    """

    def __init__(self, function: Function, dtype: Any, lanes: int, *, fuses: bool = True) -> None:
        self.function = function
        self.flags = " contract" if fuses else ""
        self.dtype = dtype
        self.lanes = lanes
        self.kind = type_of(dtype, lanes)
        self.integers = integer_of(dtype, lanes)
        self.mask = vector("i1", lanes)
        self.format = _FORMATS[dtype == FLOAT64]

    def const(self, value: float) -> str:
        return constant(value, self.dtype, self.lanes)

    def whole(self, value: int) -> str:
        return integer(value, self.dtype, self.lanes)

    def binary(self, operation: str, a: str, b: str) -> str:
        return self.function.let(f"{operation}{self.flags} {self.kind} {a}, {b}")

    def add(self, a: str, b: str) -> str:
        return self.binary("fadd", a, b)

    def sub(self, a: str, b: str) -> str:
        return self.binary("fsub", a, b)

    def mul(self, a: str, b: str) -> str:
        return self.binary("fmul", a, b)

    def div(self, a: str, b: str) -> str:
        return self.binary("fdiv", a, b)

    def neg(self, a: str) -> str:
        return self.function.let(f"fneg {self.kind} {a}")

    def compare(self, condition: str, a: str, b: str) -> str:
        return self.function.let(f"fcmp {condition} {self.kind} {a}, {b}")

    def select(self, condition: str, a: str, b: str) -> str:
        return self.function.let(f"select {self.mask} {condition}, {self.kind} {a}, {self.kind} {b}")

    def integral(self, operation: str, a: str, b: str) -> str:
        return self.function.let(f"{operation} {self.integers} {a}, {b}")

    def bits(self, a: str) -> str:
        return self.function.let(f"bitcast {self.kind} {a} to {self.integers}")

    def floats(self, a: str) -> str:
        return self.function.let(f"bitcast {self.integers} {a} to {self.kind}")

    def intrinsic(self, name: str, *arguments: str) -> str:
        return self.function.call(
            f"llvm.{name}.{suffix(self.dtype, self.lanes)}", self.kind, [(self.kind, a) for a in arguments]
        )

    def abs(self, x: str) -> str:
        return self.intrinsic("fabs", x)

    def polynomial(self, x: str, coefficients: list[float] | tuple[float, ...]) -> str:
        """By Horner's rule; the constant term comes first."""
        total = self.const(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            total = self.add(self.mul(total, x), self.const(c))
        return total

    def clamp(self, x: str, low: float, high: float) -> str:
        """Within limits; nan stays."""
        x = self.select(self.compare("olt", x, self.const(low)), self.const(low), x)
        return self.select(self.compare("ogt", x, self.const(high)), self.const(high), x)

    def reduce(self, x: str) -> tuple[str, str]:
        """x = k ln 2 + r: the number k, and e**r - 1."""
        form = self.format
        rounder = self.const(form.rounder)
        k = self.sub(self.add(self.mul(x, self.const(1 / math.log(2))), rounder), rounder)
        r = self.sub(self.sub(x, self.mul(k, self.const(form.ln2[0]))), self.mul(k, self.const(form.ln2[1])))
        series = self.polynomial(r, [1 / math.factorial(i) for i in range(2, form.terms + 1)])
        return k, self.add(self.mul(self.mul(r, r), series), r)

    def power_of_two(self, k: str) -> str:
        """2**k for whole numbers k that are exponents of normal numbers."""
        whole = self.bits(self.add(k, self.const(self.format.rounder)))
        return self.floats(
            self.integral(
                "shl", self.integral("add", whole, self.whole(self.format.bias)), self.whole(self.format.bits)
            )
        )

    def exp(self, x: str) -> str:
        form = self.format
        k, e = self.reduce(self.clamp(x, form.smallest, form.largest + 1))
        # In two factors, since 2**k itself may be too large, or below the normal numbers.
        rounder = self.const(form.rounder)
        half = self.sub(self.add(self.mul(k, self.const(0.5)), rounder), rounder)
        y = self.mul(self.add(e, self.const(1.0)), self.power_of_two(half))
        y = self.mul(y, self.power_of_two(self.sub(k, half)))
        return self.select(self.compare("ogt", x, self.const(form.largest)), self.const(math.inf), y)

    def expm1(self, x: str) -> str:
        form = self.format
        k, e = self.reduce(self.clamp(x, -form.flat, form.largest + 1))
        # (e**r - 1 + 1 - 2**-k) 2**k, where 2**-k is lost in 1 for large k.
        lost = self.select(self.compare("olt", k, self.const(60.0)), k, self.const(60.0))
        small = self.add(e, self.sub(self.const(1.0), self.power_of_two(self.neg(lost))))
        rounder = self.const(form.rounder)
        half = self.sub(self.add(self.mul(k, self.const(0.5)), rounder), rounder)
        y = self.mul(self.mul(small, self.power_of_two(half)), self.power_of_two(self.sub(k, half)))
        y = self.select(self.compare("ogt", x, self.const(form.largest)), self.const(math.inf), y)
        # -0 stays -0.
        return self.select(self.compare("oeq", x, self.const(0.0)), x, y)

    def tanh(self, x: str) -> str:
        flat = self.const(self.format.flat / 2)
        size = self.abs(x)
        size = self.select(self.compare("ogt", size, flat), flat, size)
        k, e = self.reduce(self.add(size, size))
        two = self.power_of_two(k)
        # e**(2|x|) - 1
        m = self.add(self.mul(two, e), self.sub(two, self.const(1.0)))
        return self.intrinsic("copysign", self.div(m, self.add(m, self.const(2.0))), x)

    def log(self, x: str) -> str:
        form = self.format
        tiny = self.compare("olt", x, self.const(form.normal))
        up = self.mul(x, self.const(2.0**54))
        bits = self.bits(self.select(tiny, up, x))
        one = form.bias << form.bits
        shifted = self.integral("add", bits, self.whole(one - form.root_half))
        exponent = self.integral("lshr", shifted, self.whole(form.bits))
        mantissa = self.integral("add", bits, self.whole(one))
        mantissa = self.integral("sub", mantissa, self.integral("shl", exponent, self.whole(form.bits)))
        # The integer as the last bits of a large float, from which that is taken.
        large = 2.0**form.bits
        k = self.floats(self.integral("or", exponent, self.whole((form.bias + form.bits) << form.bits)))
        k = self.sub(k, self.const(large + form.bias))
        k = self.select(tiny, self.sub(k, self.const(54.0)), k)
        f = self.sub(self.floats(mantissa), self.const(1.0))
        s = self.div(f, self.add(f, self.const(2.0)))
        z = self.mul(s, s)
        series = self.mul(z, self.polynomial(z, form.log))
        square = self.mul(self.mul(f, f), self.const(0.5))
        rest = self.add(self.mul(s, self.add(square, series)), self.mul(k, self.const(form.ln2[1])))
        y = self.sub(self.mul(k, self.const(form.ln2[0])), self.sub(self.sub(square, rest), f))
        y = self.select(self.compare("oeq", x, self.const(math.inf)), x, y)
        y = self.select(self.compare("ult", x, self.const(0.0)), self.const(math.nan), y)
        return self.select(self.compare("oeq", x, self.const(0.0)), self.const(-math.inf), y)

    def log1p(self, x: str) -> str:
        one = self.const(1.0)
        u = self.function.let(f"fadd {self.kind} {x}, {one}")
        y = self.mul(self.log(u), self.div(x, self.function.let(f"fsub {self.kind} {u}, {one}")))
        y = self.select(self.compare("oeq", u, one), x, y)
        # inf / inf
        return self.select(self.compare("oeq", x, self.const(math.inf)), x, y)

    def wave(self, x: str, quarter: int) -> str:
        """sin(x + quarter pi / 2), for |x| up to `LARGEST_ANGLE`."""
        rounder = self.const(self.format.rounder)
        shifted = self.add(self.mul(x, self.const(2 / math.pi)), rounder)
        k, r = self.sub(shifted, rounder), x
        # Products of k with the first parts are exact.
        for part in (1.57079632673412561417, 6.07710050630396597660e-11, 2.02226624879595063154e-21):
            r = self.sub(r, self.mul(k, self.const(part)))
        quadrant = self.integral("add", self.bits(shifted), self.whole(quarter))
        z = self.mul(r, r)
        sine = self.add(r, self.mul(self.mul(r, z), self.polynomial(z, _SINE)))
        rest = self.mul(self.mul(z, z), self.polynomial(z, _COSINE))
        half = self.mul(z, self.const(0.5))
        most = self.sub(self.const(1.0), half)
        lost = self.sub(self.function.let(f"fsub {self.kind} {self.const(1.0)}, {most}"), half)
        cosine = self.add(most, self.add(lost, rest))
        odd = self._has_bit(quadrant, 1)
        y = self.select(odd, cosine, sine)
        y = self.select(self._has_bit(quadrant, 2), self.neg(y), y)
        if quarter == 0:
            # -0 stays -0.
            y = self.select(self.compare("oeq", x, self.const(0.0)), x, y)
        return y

    def _has_bit(self, whole: str, bit: int) -> str:
        masked = self.integral("and", whole, self.whole(bit))
        return self.function.let(f"icmp ne {self.integers} {masked}, {self.whole(0)}")


#: From here on the C library reduces angles, with more digits of pi.
LARGEST_ANGLE = 2.0**20

_SINE = (
    -1.66666666666666324348e-01,
    8.33333333332248946124e-03,
    -1.98412698298579493134e-04,
    2.75573137070700676789e-06,
    -2.50507602534068634195e-08,
    1.58969099521155010221e-10,
)
_COSINE = (
    4.16666666666666019037e-02,
    -1.38888888888741095749e-03,
    2.48015872894767294178e-05,
    -2.75573143513906633035e-07,
    2.08757232129817482790e-09,
    -1.13596475577881948265e-11,
)


Build = Callable[[Vectors, str], str]


def _angle(quarter: int) -> Build:
    """A sine or cosine: polynomials of double precision, and the C library where an angle is very large."""

    def build(v: Vectors, x: str) -> str:
        f = v.function
        wide = Vectors(f, FLOAT64, v.lanes)
        z = x if v.dtype == FLOAT64 else f.let(f"fpext {v.kind} {x} to {wide.kind}")
        small = wide.compare("ole", wide.abs(z), wide.const(LARGEST_ANGLE))
        every = small
        if v.lanes:
            every = f.call(f"llvm.vector.reduce.and.v{v.lanes}i1", "i1", [(wide.mask, small)])
        f.do(f"br i1 {every}, label %near, label %far")
        f.lines.append("near:")
        near = wide.wave(z, quarter)
        f.do("br label %end")
        f.lines.append("far:")
        far = wide.intrinsic("cos" if quarter else "sin", z)
        f.do("br label %end")
        f.lines.append("end:")
        y = f.let(f"phi {wide.kind} [ {near}, %near ], [ {far}, %far ]")
        return y if v.dtype == FLOAT64 else f.let(f"fptrunc {wide.kind} {y} to {v.kind}")

    return build


FUNCTIONS: dict[str, Build] = {
    "exp": Vectors.exp,
    "expm1": Vectors.expm1,
    "tanh": Vectors.tanh,
    "log": Vectors.log,
    "log1p": Vectors.log1p,
    "sin": _angle(0),
    "cos": _angle(1),
}
"""By the names of their primitives."""


def transcendental(function: Function, name: str, dtype: Any, lanes: int, x: str) -> str:
    """A call of a function of the module, which is written where it is first called."""
    kind = type_of(dtype, lanes)
    full = f"{name}.{suffix(dtype, lanes)}"
    if full not in function.declarations:
        function.declarations[full] = ""
        body = Function(function.declarations)
        answer = FUNCTIONS[name](Vectors(body, dtype, lanes), "%x")
        # Many calls on single numbers are not worth a copy each.
        hint = "alwaysinline" if lanes else "noinline"
        function.declarations[full] = "\n".join(
            [
                f"define internal {kind} @{full}({kind} %x) {hint} nounwind {{",
                *body.lines,
                f"  ret {kind} {answer}",
                "}",
            ]
        )
    return function.call(full, kind, [(kind, x)])
