"""In-place syntax on the functional meaning: a tensor is bound to a new array, nothing is written to."""

from __future__ import annotations

from typing import Any

from hograd.core.levels import state
from hograd.core.methods import Operations
from hograd.core.primitive import ops
from hograd.errors import DtypeError, GradientError, ShapeError


def in_place(name: str) -> Any:
    """The method `name` with its answer assigned to the tensor."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        return self.assign(getattr(self, name)(*args, **options))

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"`self[...] = self.{name}(...)`."
    return method


def reshaping(name: str) -> Any:
    """The method `name` with its answer, of another shape, in the place of the tensor."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        return self.become(getattr(self, name)(*args, **options))

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"`self` becomes `self.{name}(...)`."
    return method


class InPlace(Operations):
    """`x += y`, `x[i] = v`, `x.zero_()` and the like."""

    __slots__ = ()

    @property
    def data(self: Any) -> Any:
        """The same values as a constant; what is done to it in place, or assigned, is done here and not recorded."""
        constant = self.detach()
        constant.data_of = self
        return constant

    @data.setter
    def data(self: Any, value: Any) -> None:
        new = ops.stop_gradient(value if isinstance(value, InPlace) else ops.tensor(value))
        if state.trace is not None:
            state.trace.changed(self)
        other_kind = (new.shape, new.dtype) != (self.shape, self.dtype)
        self.value = new.value
        if other_kind and self.requires_grad and self.is_leaf:
            self.requires_grad_(False).requires_grad_()

    def rebind(self: Any, other: Any) -> None:
        """Become `other`, of any kind, keeping this object's identity and `.grad`."""
        if state.trace is not None:
            state.trace.changed(self)
        retains = self.retains_grad
        if retains:
            self.node.owner.fills = False
        if type(self) is not type(other):
            self.__class__ = type(other)
        if hasattr(other, "tangent"):
            self.tangent = other.tangent
        self.value, self.node, self.level = other.value, other.node, other.level
        if retains and self.node is not None:
            self.retain_grad()

    def assign(self: Any, new: Any) -> Any:
        """What in-place operations do with their answer, by PyTorch's rules for leaves and `no_grad`."""
        if new.shape != self.shape:
            raise ShapeError(
                f"an in-place operation gives shape {tuple(new.shape)}, but the tensor has shape {tuple(self.shape)}."
            )
        if new.dtype != self.dtype:
            if new.dtype.kind not in "biu" and self.dtype.kind in "biu":
                raise DtypeError(f"result type {new.dtype} can't be cast to the desired output type {self.dtype}.")
            new = ops.astype(new, self.dtype)
        return self.become(new)

    def become(self: Any, new: Any) -> Any:
        """Hold `new`, of the same dtype, from here on."""
        other_shape = new.shape != self.shape
        if state.trace is not None:
            state.trace.changed(self)
        if self.node is not None and self.node.primitive is None and self.level == 0:
            if state.floor <= 0:
                raise GradientError(
                    "a leaf Variable that requires grad is being used in an in-place operation. Do it under "
                    "no_grad(), or on a clone()."
                )
            if other_shape and self.gradient is not None:
                raise GradientError(
                    f"an in-place operation gives shape {tuple(new.shape)} to a tensor whose .grad has shape "
                    f"{tuple(self.gradient.shape)}. Set .grad to None first."
                )
            self.value = new.detach().value
            if other_shape:
                self.requires_grad_(False).requires_grad_()
        elif self.node is not None and self.level < state.floor:
            if other_shape:
                raise GradientError(
                    f"an in-place operation gives shape {tuple(new.shape)} under no_grad() to a tensor whose gradient "
                    f"has shape {tuple(self.shape)}. Do it on a detach()."
                )
            self.value = new.value
        else:
            self.rebind(new)
        if (origin := getattr(self, "data_of", None)) is not None:
            origin.data = self
        return self

    def __iadd__(self: Any, other: Any) -> Any:
        return self.assign(ops.add(self, other))

    def __isub__(self: Any, other: Any) -> Any:
        return self.assign(ops.sub(self, other))

    def __imul__(self: Any, other: Any) -> Any:
        return self.assign(ops.mul(self, other))

    def __itruediv__(self: Any, other: Any) -> Any:
        return self.assign(ops.div(self, other))

    def __ipow__(self: Any, other: Any) -> Any:
        return self.assign(ops.pow(self, other))

    def __ifloordiv__(self: Any, other: Any) -> Any:
        return self.assign(ops.floor_divide(self, other))

    def __imod__(self: Any, other: Any) -> Any:
        return self.assign(ops.remainder(self, other))

    def add_(self: Any, other: Any, *, alpha: Any = 1) -> Any:
        """`self += alpha * other`."""
        return self.assign(ops.add(self, other if alpha == 1 else ops.mul(other, alpha)))

    def sub_(self: Any, other: Any, *, alpha: Any = 1) -> Any:
        """`self -= alpha * other`."""
        return self.assign(ops.sub(self, other if alpha == 1 else ops.mul(other, alpha)))

    def mul_(self: Any, other: Any) -> Any:
        """`self *= other`."""
        return self.assign(ops.mul(self, other))

    def div_(self: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
        """`self /= other`."""
        return self.assign(self.div(other, rounding_mode=rounding_mode))

    def copy_(self: Any, other: Any) -> Any:
        """`self[...] = other`."""
        if self.requires_grad:
            return self.assign(ops.at_set(self, Ellipsis, other))
        return self.assign(ops.astype(ops.broadcast_to(other, self.shape), self.dtype))

    def fill_(self: Any, value: Any) -> Any:
        """Set every element to `value`."""
        return self.copy_(value)

    def zero_(self: Any) -> Any:
        """Set every element to 0."""
        return self.copy_(0)

    def normal_(self: Any, mean: Any = 0.0, std: Any = 1.0, *, generator: Any = None) -> Any:
        """Fill with normal draws."""
        return self.copy_(mean + std * ops.randn(self.shape, dtype=self.dtype, generator=generator))

    def uniform_(self: Any, low: Any = 0.0, high: Any = 1.0, *, generator: Any = None) -> Any:
        """Fill with uniform draws from `low` up to but without `high`."""
        return self.copy_(low + (high - low) * ops.rand(self.shape, dtype=self.dtype, generator=generator))

    def exponential_(self: Any, lambd: Any = 1.0, *, generator: Any = None) -> Any:
        """Fill with draws from the exponential distribution with the rate `lambd`."""
        return self.copy_(-ops.log1p(-ops.rand(self.shape, dtype=self.dtype, generator=generator)) / lambd)

    def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
        """Fill with draws that are 1 with probability p (a number or a tensor) and else 0."""
        return self.copy_(ops.bernoulli(ops.broadcast_to(p, self.shape), generator=generator))

    def __setitem__(self: Any, index: Any, value: Any) -> None:
        self.assign(ops.at_set(self, index, value))

    # What PyTorch has in place of its elementwise functions.

    abs_ = in_place("abs")
    absolute_ = in_place("absolute")
    neg_ = in_place("neg")
    negative_ = in_place("negative")
    sign_ = in_place("sign")
    square_ = in_place("square")
    sqrt_ = in_place("sqrt")
    rsqrt_ = in_place("rsqrt")
    reciprocal_ = in_place("reciprocal")
    exp_ = in_place("exp")
    exp2_ = in_place("exp2")
    expm1_ = in_place("expm1")
    log_ = in_place("log")
    log2_ = in_place("log2")
    log10_ = in_place("log10")
    log1p_ = in_place("log1p")
    pow_ = in_place("pow")
    floor_divide_ = in_place("floor_divide")
    remainder_ = in_place("remainder")
    fmod_ = in_place("fmod")
    sin_ = in_place("sin")
    cos_ = in_place("cos")
    tan_ = in_place("tan")
    asin_ = in_place("asin")
    acos_ = in_place("acos")
    atan_ = in_place("atan")
    sinh_ = in_place("sinh")
    cosh_ = in_place("cosh")
    tanh_ = in_place("tanh")
    asinh_ = in_place("asinh")
    acosh_ = in_place("acosh")
    atanh_ = in_place("atanh")
    atan2_ = in_place("atan2")
    hypot_ = in_place("hypot")
    arcsin_ = in_place("arcsin")
    arccos_ = in_place("arccos")
    arctan_ = in_place("arctan")
    arcsinh_ = in_place("arcsinh")
    arccosh_ = in_place("arccosh")
    arctanh_ = in_place("arctanh")
    arctan2_ = in_place("arctan2")
    deg2rad_ = in_place("deg2rad")
    rad2deg_ = in_place("rad2deg")
    sinc_ = in_place("sinc")
    sigmoid_ = in_place("sigmoid")
    relu_ = in_place("relu")
    floor_ = in_place("floor")
    ceil_ = in_place("ceil")
    round_ = in_place("round")
    trunc_ = in_place("trunc")
    fix_ = in_place("fix")
    frac_ = in_place("frac")
    clip_ = in_place("clip")
    clamp_ = in_place("clamp")
    nan_to_num_ = in_place("nan_to_num")
    lerp_ = in_place("lerp")
    addcmul_ = in_place("addcmul")
    addcdiv_ = in_place("addcdiv")
    copysign_ = in_place("copysign")
    heaviside_ = in_place("heaviside")
    xlogy_ = in_place("xlogy")
    erf_ = in_place("erf")
    erfc_ = in_place("erfc")
    erfinv_ = in_place("erfinv")
    lgamma_ = in_place("lgamma")
    digamma_ = in_place("digamma")
    polygamma_ = in_place("polygamma")
    i0_ = in_place("i0")
    logit_ = in_place("logit")
    eq_ = in_place("eq")
    ne_ = in_place("ne")
    lt_ = in_place("lt")
    le_ = in_place("le")
    gt_ = in_place("gt")
    ge_ = in_place("ge")
    logical_and_ = in_place("logical_and")
    logical_or_ = in_place("logical_or")
    logical_xor_ = in_place("logical_xor")
    logical_not_ = in_place("logical_not")
    bitwise_and_ = in_place("bitwise_and")
    bitwise_or_ = in_place("bitwise_or")
    bitwise_xor_ = in_place("bitwise_xor")
    bitwise_not_ = in_place("bitwise_not")
    bitwise_left_shift_ = in_place("bitwise_left_shift")
    bitwise_right_shift_ = in_place("bitwise_right_shift")
    igamma_ = in_place("igamma")
    igammac_ = in_place("igammac")
    multiply_ = in_place("multiply")
    subtract_ = in_place("subtract")
    divide_ = in_place("divide")
    true_divide_ = in_place("true_divide")
    greater_ = in_place("greater")
    greater_equal_ = in_place("greater_equal")
    less_ = in_place("less")
    less_equal_ = in_place("less_equal")
    not_equal_ = in_place("not_equal")
    clamp_min_ = in_place("clamp_min")
    clamp_max_ = in_place("clamp_max")
    float_power_ = in_place("float_power")
    ldexp_ = in_place("ldexp")
    gcd_ = in_place("gcd")
    lcm_ = in_place("lcm")
    nextafter_ = in_place("nextafter")
    mvlgamma_ = in_place("mvlgamma")
    sgn_ = in_place("sgn")

    # What it has in place of those that give another shape; nothing aliases, so it is the tensor alone that has it.

    squeeze_ = reshaping("squeeze")
    unsqueeze_ = reshaping("unsqueeze")
    t_ = reshaping("t")
    transpose_ = reshaping("transpose")
    swapaxes_ = reshaping("swapaxes")
    swapdims_ = reshaping("swapdims")

    # What it has in place of those that write by index or mask, of triangles, scans and sums with products.

    masked_fill_ = in_place("masked_fill")
    masked_scatter_ = in_place("masked_scatter")
    scatter_ = in_place("scatter")
    scatter_add_ = in_place("scatter_add")
    scatter_reduce_ = in_place("scatter_reduce")
    index_add_ = in_place("index_add")
    index_copy_ = in_place("index_copy")
    index_fill_ = in_place("index_fill")
    index_put_ = in_place("index_put")
    index_reduce_ = in_place("index_reduce")
    put_ = in_place("put")
    renorm_ = in_place("renorm")
    tril_ = in_place("tril")
    triu_ = in_place("triu")
    cumsum_ = in_place("cumsum")
    cumprod_ = in_place("cumprod")
    addmm_ = in_place("addmm")
    addmv_ = in_place("addmv")
    addr_ = in_place("addr")
    addbmm_ = in_place("addbmm")
    baddbmm_ = in_place("baddbmm")
