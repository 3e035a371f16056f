"""Elementwise primitives as vector instructions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from hograd.ops.activations import SHRUNK
from hograd.program.native.emit import BOOL, FLOAT64, INT64, Function, constant, is_native, type_of
from hograd.program.native.functions import FUNCTIONS, Vectors, transcendental

#: Comparisons, with their conditions; != holds beside nan.
COMPARISONS = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
#: Of two bools.
LOGIC = {
    "logical_and": "and",
    "logical_or": "or",
    "logical_xor": "xor",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "bitwise_xor": "xor",
    "ne": "xor",
}
INTRINSICS = {
    "sqrt": "sqrt",
    "safe_sqrt": "sqrt",
    "abs": "fabs",
    "maximum": "maximum",
    "minimum": "minimum",
    "floor": "floor",
    "ceil": "ceil",
    "trunc": "trunc",
    "copysign": "copysign",
    "pow": "pow",
    "asin": "asin",
    "acos": "acos",
    "atan": "atan",
    "atan2": "atan2",
    "sinh": "sinh",
    "cosh": "cosh",
    "exp2": "exp2",
}
INTEGERS = {"add": "add", "sub": "sub", "mul": "mul", "maximum": "llvm.smax", "minimum": "llvm.smin"}
ORDERS = {"eq": "eq", "ne": "ne", "lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge"}
ALIASES = {"clone": "convert", "astype": "convert", "convert": "convert"}


class Lanes:
    """Writes elementwise instructions on `lanes` elements at a time.

    `fuses`: whether a sum may take in a product that is not rounded.
    """

    def __init__(self, function: Function, lanes: int, *, fuses: bool = False) -> None:
        self.function = function
        self.lanes = lanes
        self.fuses = fuses

    def convert(self, value: str, dtype: Any, target: Any) -> str:
        """A value of one dtype in another."""
        if dtype == target:
            return value
        source, kind = type_of(dtype, self.lanes), type_of(target, self.lanes)
        if dtype == INT64 and target != BOOL:
            return self.function.let(f"sitofp {source} {value} to {kind}")
        if dtype == BOOL:
            one, zero = constant(1, target, self.lanes), constant(0, target, self.lanes)
            return self.function.let(f"select {source} {value}, {kind} {one}, {kind} {zero}")
        if target == BOOL and dtype == INT64:
            return self.function.let(f"icmp ne {source} {value}, {constant(0, dtype, self.lanes)}")
        if target == BOOL:
            return self.function.let(f"fcmp une {source} {value}, {constant(0.0, dtype, self.lanes)}")
        operation = "fpext" if target == FLOAT64 else "fptrunc"
        return self.function.let(f"{operation} {source} {value} to {kind}")

    def write(
        self, name: str, params: dict[str, Any], operands: Sequence[tuple[str, Any]], computed: Any, dtype: Any
    ) -> str:
        """One instruction.

        Args:
            name: of the primitive.
            params: of the primitive.
            operands: pairs of value and dtype.
            computed: the dtype in which it computes.
            dtype: of the answer.
        """
        if name in ALIASES:
            return self.convert(*operands[0], dtype)
        if name == "where":
            (c, kind), *rest = operands
            a, b = (self.convert(v, d, dtype) for v, d in rest)
            answer, mask = type_of(dtype, self.lanes), type_of(BOOL, self.lanes)
            return self.function.let(f"select {mask} {self.convert(c, kind, BOOL)}, {answer} {a}, {answer} {b}")
        values = [self.convert(v, d, computed) for v, d in operands]
        if computed == BOOL:
            mask = type_of(BOOL, self.lanes)
            if name in ("logical_not", "bitwise_not", "eq"):
                first = values[0] if len(values) == 1 else self.function.let(f"xor {mask} {values[0]}, {values[1]}")
                return self.function.let(f"xor {mask} {first}, {constant(True, BOOL, self.lanes)}")
            return self.function.let(f"{LOGIC[name]} {mask} {values[0]}, {values[1]}")
        if computed == INT64:
            return self._of_integers(name, values)
        vectors = Vectors(self.function, computed, self.lanes, fuses=self.fuses)
        if name in COMPARISONS:
            return vectors.compare(COMPARISONS[name], values[0], values[1])
        if name in FUNCTIONS:
            return transcendental(self.function, name, computed, self.lanes, values[0])
        if name in INTRINSICS:
            return vectors.intrinsic(INTRINSICS[name], *values)
        if name == "power":
            return self._power(vectors, values[0], params["exponent"])
        return _FORMULAS[name](self, vectors, *values)

    def _of_integers(self, name: str, values: list[str]) -> str:
        kind = type_of(INT64, self.lanes)
        if name == "neg":
            return self.function.let(f"sub {kind} {constant(0, INT64, self.lanes)}, {values[0]}")
        if name in ORDERS:
            return self.function.let(f"icmp {ORDERS[name]} {kind} {values[0]}, {values[1]}")
        operation = INTEGERS[name]
        if operation.startswith("llvm"):
            full = f"{operation}.{f'v{self.lanes}' if self.lanes else ''}i64"
            return self.function.call(full, kind, [(kind, v) for v in values])
        return self.function.let(f"{operation} {kind} {values[0]}, {values[1]}")

    def function_of(self, name: str, vectors: Vectors, x: str) -> str:
        return transcendental(self.function, name, vectors.dtype, self.lanes, x)

    def _power(self, v: Vectors, x: str, exponent: float) -> str:
        if exponent == 0.5:
            return v.intrinsic("sqrt", x)
        if exponent == -0.5:
            return _over_root(v, x)
        if exponent == -1:
            return v.div(v.const(1.0), x)
        if exponent in (2, 3, 4):
            square = v.mul(x, x)
            return square if exponent == 2 else v.mul(square, x if exponent == 3 else square)
        return v.intrinsic("pow", x, v.const(exponent))


def _sigmoid(at: Lanes, v: Vectors, x: str) -> str:
    one = v.const(1.0)
    return v.div(one, v.add(one, at.function_of("exp", v, v.neg(x))))


def _logaddexp(at: Lanes, v: Vectors, a: str, b: str) -> str:
    apart = at.function_of("exp", v, v.neg(v.abs(v.sub(a, b))))
    y = v.add(v.intrinsic("maximum", a, b), at.function_of("log1p", v, apart))
    # Also where both are the same infinity, whose difference is nan.
    return v.select(v.compare("oeq", a, b), v.add(a, v.const(math.log(2))), y)


def _sign(at: Lanes, v: Vectors, x: str) -> str:
    one = v.intrinsic("copysign", v.const(1.0), x)
    return v.select(v.compare("one", x, v.const(0.0)), one, v.select(v.compare("uno", x, x), x, v.const(0.0)))


def _softplus(at: Lanes, v: Vectors, x: str) -> str:
    return _logaddexp(at, v, x, v.const(0.0))


def _gelu_tanh(at: Lanes, v: Vectors, x: str) -> str:
    cube = v.mul(v.mul(v.mul(x, v.const(0.044715)), x), x)
    return v.mul(x, _sigmoid(at, v, v.mul(v.add(x, cube), v.const(math.sqrt(8 / math.pi)))))


def _tanhshrink(at: Lanes, v: Vectors, x: str) -> str:
    square = v.mul(x, x)
    near = v.mul(v.mul(x, square), v.polynomial(square, SHRUNK))
    # Enough terms of the hyperbolic cosine for |x| < 1.
    near = v.div(near, v.polynomial(square, [1 / math.factorial(2 * k) for k in range(11)]))
    far = v.sub(x, at.function_of("tanh", v, x))
    return v.select(v.compare("olt", v.abs(x), v.const(1.0)), near, far)


def _over_root(v: Vectors, q: str) -> str:
    return v.div(v.const(1.0), v.intrinsic("sqrt", q))


def _asin_slope(at: Lanes, v: Vectors, x: str) -> str:
    one = v.const(1.0)
    return _over_root(v, v.mul(v.sub(one, x), v.add(one, x)))


def _asinh_slope(at: Lanes, v: Vectors, x: str) -> str:
    size, one = v.abs(x), v.const(1.0)
    over = v.div(one, size)
    inside = _over_root(v, v.add(one, v.mul(x, x)))
    outside = v.mul(over, _over_root(v, v.add(one, v.mul(over, over))))
    return v.select(v.compare("ogt", size, one), outside, inside)


def _acosh_slope(at: Lanes, v: Vectors, x: str) -> str:
    one = v.const(1.0)
    return v.div(_over_root(v, v.sub(x, one)), v.intrinsic("sqrt", v.add(x, one)))


def _atan_slope(at: Lanes, v: Vectors, x: str) -> str:
    one = v.const(1.0)
    over = v.div(one, x)
    outside = v.div(over, v.add(x, over))
    return v.select(v.compare("ogt", v.abs(x), one), outside, v.div(one, v.add(one, v.mul(x, x))))


def _atanh_slope(at: Lanes, v: Vectors, x: str) -> str:
    one = v.const(1.0)
    return v.div(v.div(one, v.sub(one, x)), v.add(one, x))


def _moment(slope: Callable[..., str], at_infinity: float) -> Callable[..., str]:
    """x times a slope, with its limit."""

    def build(at: Lanes, v: Vectors, x: str) -> str:
        limit = v.intrinsic("copysign", v.const(at_infinity), x)
        endless = v.compare("oeq", v.abs(x), v.const(math.inf))
        return v.select(endless, limit, v.mul(x, slope(at, v, x)))

    return build


def _squared_error(at: Lanes, v: Vectors, a: str, b: str) -> str:
    apart = v.sub(a, b)
    return v.mul(apart, apart)


_FORMULAS: dict[str, Callable[..., str]] = {
    "add": lambda at, v, a, b: v.add(a, b),
    "sub": lambda at, v, a, b: v.sub(a, b),
    "mul": lambda at, v, a, b: v.mul(a, b),
    "div": lambda at, v, a, b: v.div(a, b),
    "neg": lambda at, v, x: v.neg(x),
    "square": lambda at, v, x: v.mul(x, x),
    "reciprocal": lambda at, v, x: v.div(v.const(1.0), x),
    "rsqrt": lambda at, v, x: v.div(v.const(1.0), v.intrinsic("sqrt", x)),
    "relu": lambda at, v, x: v.select(v.compare("ole", x, v.const(0.0)), v.const(0.0), x),
    "sigmoid": _sigmoid,
    "silu": lambda at, v, x: v.mul(x, _sigmoid(at, v, x)),
    "softplus": _softplus,
    "gelu_tanh": _gelu_tanh,
    "mish": lambda at, v, x: v.mul(x, at.function_of("tanh", v, _softplus(at, v, x))),
    "logsigmoid": lambda at, v, x: v.neg(_softplus(at, v, v.neg(x))),
    "softsign": lambda at, v, x: v.div(x, v.add(v.const(1.0), v.abs(x))),
    "tanhshrink": _tanhshrink,
    "tan": lambda at, v, x: v.div(at.function_of("sin", v, x), at.function_of("cos", v, x)),
    "log2": lambda at, v, x: v.mul(at.function_of("log", v, x), v.const(1 / math.log(2))),
    "log10": lambda at, v, x: v.mul(at.function_of("log", v, x), v.const(1 / math.log(10))),
    "logaddexp": _logaddexp,
    "sign": _sign,
    "asin_slope": _asin_slope,
    "asin_moment": _moment(_asin_slope, math.nan),
    "asinh_slope": _asinh_slope,
    "asinh_moment": _moment(_asinh_slope, 1.0),
    "acosh_slope": _acosh_slope,
    "acosh_moment": _moment(_acosh_slope, 1.0),
    "atan_slope": _atan_slope,
    "atan_moment": _moment(_atan_slope, 0.0),
    "atanh_slope": _atanh_slope,
    "atanh_moment": _moment(_atanh_slope, 0.0),
    "squared_error": _squared_error,
    "isnan": lambda at, v, x: v.compare("uno", x, x),
    "isfinite": lambda at, v, x: v.compare("olt", v.abs(x), v.const(math.inf)),
    "isinf": lambda at, v, x: v.compare("oeq", v.abs(x), v.const(math.inf)),
}

_TO_BOOL = {*COMPARISONS, "isnan", "isfinite", "isinf"}
_OF_BOOLS = {*LOGIC, "logical_not", "bitwise_not", "eq"}


def computed_in(name: str, params: dict[str, Any], dtypes: Sequence[Any], dtype: Any, weak_integers: bool) -> Any:
    """The dtype in which an instruction computes; None where it is left to NumPy.

    Args:
        name: of the primitive.
        params: of the primitive.
        dtypes: of the operands; None for Python numbers, which take the others'.
        dtype: of the answer.
        weak_integers: whether all Python numbers among the operands are integers.
    """
    known = [d for d in dtypes if d is not None]
    if not known or not is_native(dtype) or not all(map(is_native, known)):
        return None
    if name in ALIASES:
        # What floats too large for integers become is the processor's affair.
        return None if dtype == INT64 and known[0].kind == "f" else dtype
    if name == "where":
        return dtype if dtypes[0] is not None else None
    if name in _OF_BOOLS and all(d == BOOL for d in dtypes):
        return BOOL
    if name in _TO_BOOL:
        numbers = {d for d in known if d != BOOL}
        if not numbers or dtype != BOOL:
            return None
        if numbers == {INT64}:
            return INT64 if name in ORDERS and weak_integers else None
        return FLOAT64 if len(numbers) > 1 or FLOAT64 in numbers else numbers.pop()
    if dtype == BOOL:
        return None
    if dtype == INT64:
        return dtype if (name in INTEGERS or name == "neg") and weak_integers else None
    if name == "power":
        return dtype if type(params["exponent"]) in (int, float) else None
    return dtype if name in _FORMULAS or name in FUNCTIONS or name in INTRINSICS else None
