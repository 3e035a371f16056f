"""`compile`: a function that is captured once for each signature, and replayed."""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hograd import tree
from hograd.backend import RAW, as_array, default_dtype, is_array, is_number
from hograd.core.custom import has_level
from hograd.core.dispatch import wrap
from hograd.core.levels import state
from hograd.core.tensor import Tensor
from hograd.core.traced import with_weakness
from hograd.errors import ArgumentError, CaptureError, MissingExtraError

# What loops need is loaded with the rest, and not in the first call of a function that has one.
from hograd.program import loop_numpy as _loop_numpy  # noqa: F401
from hograd.program import loop_reverse as _loop_reverse  # noqa: F401
from hograd.program import scan as _scan  # noqa: F401
from hograd.program.closed import placeholder
from hograd.program.derived import Executable, Settings, Staged, call
from hograd.program.identity import identity
from hograd.program.ir import Program
from hograd.program.passes import FAST_MATH, PASSES
from hograd.program.travel import reduced

BACKENDS = ("numpy", "native")


class Compiled:
    """What `compile` returns: call it as the function itself."""

    def __init__(
        self,
        function: Callable[..., Any],
        static_argnames: Sequence[str],
        cache_size: int,
        settings: Settings,
    ) -> None:
        # What the function carries under a name of this class stays its own.
        functools.update_wrapper(self, function, updated=())
        self.__dict__.update({k: v for k, v in getattr(function, "__dict__", {}).items() if not hasattr(Compiled, k)})
        self.function = function
        self.static = tuple(static_argnames)
        self.cache_size = cache_size
        self.settings = settings
        self.signature = inspect.signature(function) if self.static else None
        if self.signature is not None:
            for name in self.static:
                if name not in self.signature.parameters:
                    raise ArgumentError(
                        f"static_argnames names {name!r}, but {self.name} has the arguments "
                        f"{', '.join(self.signature.parameters)}."
                    )
        self.cache: OrderedDict[Any, _Entry] = OrderedDict()
        self.locks = os.getpid(), threading.RLock()

    @property
    def lock(self) -> Any:
        """Of this process: after a fork that of the parent may stay taken."""
        if self.locks[0] != os.getpid():
            self.locks = os.getpid(), threading.RLock()
        return self.locks[1]

    def __reduce__(self) -> Any:
        return reduced(self, Compiled, (self.static, self.cache_size, self.settings))

    def __copy__(self) -> Compiled:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Compiled:
        # As functions do, and methods, whose objects are copied.
        function = copy.deepcopy(self.function, memo)
        return self if function is self.function else Compiled(function, self.static, self.cache_size, self.settings)

    @property
    def name(self) -> str:
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<compiled {self.name}, {len(self.cache)} programs>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.trace is not None:
            # Inside another compiled function its operations become part of that one's program.
            return self.function(*args, **kwargs)
        entry, values, levels = self._entry(args, kwargs)
        program = entry.executable.program
        if program.draws:
            drawn = [wrap(draw()) for _, draw in program.draws]
            levels = levels or any(map(has_level, drawn))
            values = [*values, *[x if has_level(x) else x.value for x in drawn]]
        try:
            # What is recorded nowhere runs as it is; all else asks the levels that are open.
            answers = call(entry.staged, values) if levels else entry.executable.run(*values)
        except (ValueError, IndexError, ArithmeticError) as error:
            raise self._error_of(args, kwargs, error) from None
        return entry.rebuild(answers)

    def _error_of(self, args: tuple[Any, ...], kwargs: dict[str, Any], found: Exception) -> Exception:
        """The error of the function itself, which knows what the arguments of its operations are called."""
        try:
            self.function(*args, **kwargs)
        except Exception as error:
            return error
        return found

    def program(self, *args: Any, **kwargs: Any) -> Program:
        """The program for these arguments, which prints as a listing."""
        return self._entry(args, kwargs)[0].executable.program

    def source(self, *args: Any, **kwargs: Any) -> str:
        """The generated code for these arguments."""
        return self._entry(args, kwargs)[0].executable.source

    def _entry(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[_Entry, list[Any], bool]:
        fixed: dict[str, Any] = {}
        if self.signature is not None:
            bound = self.signature.bind(*args, **kwargs)
            fixed = {name: bound.arguments[name] for name in self.static if name in bound.arguments}
            given = {k: v for k, v in bound.arguments.items() if k not in fixed}
            leaves, structure = tree.flatten(given)
        else:
            leaves, structure = tree.flatten((args, kwargs) if kwargs else args)
        values: list[Any] = []
        kinds: list[Any] = [structure, default_dtype(), bool(kwargs)]
        levels = False
        weak: list[int] = []
        for leaf in leaves:
            if type(leaf) is Tensor and leaf.node is None:
                value = leaf.value
                if type(value) in RAW:
                    values.append(value)
                    kinds.append(value.shape)
                    kinds.append(value.dtype)
                    continue
            number = _number(leaf)
            if isinstance(leaf, Tensor):
                value = leaf
                levels = True
            elif number is not None:
                # The type of a number is part of the signature.
                kinds.append(type(number))
                weak.append(len(values))
                values.append(number)
                continue
            elif is_array(leaf):
                # A copy of arrays, which their owner may write to.
                value = as_array(leaf, copy=True)
            else:
                # Strings and the like are part of the signature.
                values.append(_Fixed(leaf))
                continue
            values.append(value)
            kinds += (value.shape, value.dtype)
        try:
            kinds += [identity(v.value) for v in values if type(v) is _Fixed]
            kinds += [(name, identity(value)) for name, value in fixed.items()]
            key = tuple(kinds)
            entry = self.cache.get(key)
        except TypeError:
            raise CaptureError(
                f"{self.name}: an argument that is no tensor, array or number has to be hashable to be part of the "
                f"signature, found {[type(v.value).__name__ for v in values if type(v) is _Fixed]} and "
                f"{ {k: type(v).__name__ for k, v in fixed.items()} }: register its class as a tree, or pass a tuple."
            ) from None
        if entry is None:
            with self.lock:
                entry = self.cache.get(key)
                if entry is None:
                    entry = self._capture(values, weak, structure, fixed, bool(kwargs))
                    self.cache[key] = entry
                    if len(self.cache) > self.cache_size:
                        self.cache.popitem(last=False)
        elif len(self.cache) > 1:
            with self.lock:
                if key in self.cache:
                    self.cache.move_to_end(key)
        return entry, values if not entry.has_fixed else [v for v in values if type(v) is not _Fixed], levels

    def _capture(
        self, values: list[Any], weak: list[int], structure: Any, fixed: dict[str, Any], named: bool
    ) -> _Entry:
        dynamic = [v for v in values if type(v) is not _Fixed]
        entry = _Entry()
        entry.has_fixed = len(dynamic) < len(values)

        def flat(*tensors: Any) -> list[Any]:
            given = iter(tensors)
            leaves = [v.value if type(v) is _Fixed else next(given) for v in values]
            for i in weak:
                leaves[i] = with_weakness(leaves[i], True)
            full = tree.unflatten(structure, leaves)
            if self.signature is None:
                args, kwargs = full if named else (full, {})
                result = self.function(*args, **kwargs)
            else:
                bound = inspect.BoundArguments(self.signature, OrderedDict())
                for name in self.signature.parameters:
                    if name in fixed or name in full:
                        bound.arguments[name] = fixed[name] if name in fixed else full[name]
                result = self.function(*bound.args, **bound.kwargs)
            return entry.flatten(result)

        program = self.settings.capture(flat, [example(v) for v in dynamic], self.name)
        entry.executable = Executable(program, self.name, self.settings)
        entry.staged = Staged.of(entry.executable, flat)
        return entry


_NUMBERS = {bool: np.bool_, int: np.int64, float: np.float64, complex: np.complex128}


def _number(leaf: Any) -> Any:
    """A number of Python's in the dtype that holds it, or one of NumPy's, which is taken alike; None if it is none."""
    if type(leaf) in RAW and isinstance(leaf, np.generic):
        return leaf
    if not is_number(leaf) or (type(leaf) is int and not -(2**63) <= leaf < 2**63):
        return None
    return _NUMBERS[type(leaf)](leaf)


class _Fixed:
    """A leaf that is part of the signature."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class _Entry:
    """What is kept for one signature."""

    executable: Executable
    staged: Staged
    has_fixed: bool

    def flatten(self, result: Any) -> list[Any]:
        """The tensors of a result; what else there is is the same in every call."""
        leaves, structure = tree.flatten(result)
        if hasattr(self, "single"):
            return _values(leaves)
        self.structure = structure
        self.leaves = [None if _is_value(leaf) else leaf for leaf in leaves]
        self.places = [i for i, leaf in enumerate(leaves) if _is_value(leaf)]
        self.single = len(leaves) == 1 and isinstance(result, Tensor)
        return _values(leaves)

    def rebuild(self, answers: Sequence[Any]) -> Any:
        tensors = [y if isinstance(y, Tensor) else Tensor(y) for y in answers]
        if self.single:
            return tensors[0]
        if len(tensors) == len(self.leaves):
            return tree.unflatten(self.structure, tensors)
        leaves = list(self.leaves)
        for i, y in zip(self.places, tensors, strict=True):
            leaves[i] = y
        return tree.unflatten(self.structure, leaves)


def _values(leaves: Sequence[Any]) -> list[Tensor]:
    return [leaf if isinstance(leaf, Tensor) else wrap(as_array(leaf)) for leaf in leaves if _is_value(leaf)]


def _is_value(leaf: Any) -> bool:
    return isinstance(leaf, (Tensor, np.ndarray, np.generic))


def example(value: Any) -> Any:
    """An array of the shape and dtype that a value shows, to capture with."""
    if not isinstance(value, Tensor):
        return value
    shape, dtype = value.shape, value.dtype
    while isinstance(value, Tensor):
        value = value.value[0] if hasattr(value.value, "shape") and value.value.shape != value.shape else value.value
    return value if tuple(value.shape) == tuple(shape) else placeholder(shape, dtype)


def compile(
    f: Callable[..., Any] | None = None,
    *,
    backend: str = "numpy",
    static_argnames: Sequence[str] | str = (),
    cache_size: int = 64,
    passes: Sequence[str] | None = None,
    threads: int | None = None,
    fast_math: bool = False,
) -> Any:
    """`f`, run once to capture what it computes, and from then on replayed without its Python code.

    Forward, backward, `vmap`, `jvp` and the steps of optimizers inside `f` are captured alike. A call with another
    tree structure, shape or dtype captures again. The compiled function can be differentiated, mapped, and used inside
    another one, whose program then contains it.

    It computes what `f` computes, for all numbers: zeros of both signs, infinities, nan, subnormal numbers and large
    offsets. Elementwise operations give the same bits; what is a sum (products of matrices, means, cotangents that are
    added up, a bias that is added to a product with constants) has the same terms, perhaps added in another order, and
    no sign where it is 0.

    Args:
        f: function of trees of tensors, arrays and numbers that returns a tree. Numbers come in as tensors of shape ();
            they take their dtype from the tensors that they meet, as Python's do. Strings and other hashable objects,
            and whole numbers beyond int64, are part of the signature. Without `f`: a decorator.
        backend: "numpy" for generated Python that calls NumPy, "native" for machine code (extra `jit`), in which NumPy
            computes only what has no loops of its own here (linear algebra, sorting, convolutions ...). Machine code
            has exponentials and the like of its own, which differ from NumPy's by a few units in the last place.
            Of 0 and -0 its maximum is 0, and its minimum -0. It is
            kept on disk, in `HOGRAD_CACHE_DIR` or the user's cache: a folder that nobody else may write to.
        static_argnames: names of arguments that stay Python values, such as a number of steps; each new value
            captures again.
        cache_size: how many programs are kept; the one that was not used for longest goes first.
        passes: names of the optimising passes that run, of `hograd.program.passes.PASSES`, also on the steps of loops;
            default all.
        threads: of the backend "native", how many threads may share the work along a batch that was mapped; default
            `OMP_NUM_THREADS`, or the number of processors.
        fast_math: whether numbers may change for speed, within this function and the loops in it. Factors then move
            through sums and products and become one, constants leave differences, quotients become products with a
            reciprocal, and products are added without being rounded. Where numbers are moderate the answers agree to
            rounding; where they are huge or tiny, infinite, or small differences of large ones, they need not. Of a
            compiled function that another one calls, the outer one's choice counts.

    Returns:
        A function of the same arguments; `.program(*args)` is the listing of what runs for them, `.source(*args)` the
        generated code. Random draws are made anew in each call, as without `compile`. It may be called from many
        threads at once, and be pickled, as the function could: by name. No floating-point warnings come from it.

    Raises:
        CaptureError: `f` reads a number of a tensor (`float(x)`, `if x > 0`), takes a shape from numbers, or uses a
            tensor from a closure that requires grad; the message names the line.
        What `f` raises: where numbers are refused (a class or an index out of range, a singular matrix), `f` runs once
            without being compiled, and its error is raised. What no answer depends on is not computed, nor is it
            checked.
        MissingExtraError: the backend needs an extra that is not installed.

    >>> import hograd as ho
    >>> @ho.compile
    ... def step(w, x):
    ...     return w - 0.1 * ho.func.grad(lambda w: ((x @ w) ** 2).sum())(w)
    >>> step(ho.ones(2), ho.eye(2))
    tensor([0.8000, 0.8000])
    >>> x = ho.tensor([1e308, 1e308])
    >>> ho.compile(lambda x: (x / 4).sum())(x)
    tensor(5.0000e+307)
    >>> ho.compile(lambda x: (x / 4).sum(), fast_math=True)(x)
    tensor(inf)
    """
    if backend not in BACKENDS:
        raise ArgumentError(f"backend is {backend!r}, expected 'numpy' or 'native'.")
    if threads is not None and (type(threads) is not int or threads < 1):
        raise ArgumentError(f"threads is {threads!r}, expected an integer of at least 1, or None.")
    if backend == "native":
        threads = _native_threads(threads)
    if cache_size < 1:
        raise ArgumentError(f"cache_size is {cache_size}, expected at least 1.")
    for name in passes or ():
        if name not in PASSES:
            raise ArgumentError(f"passes names {name!r}, expected some of {', '.join(PASSES)}.")
        if name in FAST_MATH and not fast_math:
            raise ArgumentError(f"passes names {name!r}, which changes numbers: pass fast_math=True, too.")
    names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
    settings = Settings(None if passes is None else tuple(passes), backend, threads or 1, bool(fast_math))
    if f is None:
        return lambda function: Compiled(function, names, cache_size, settings)
    return Compiled(f, names, cache_size, settings)


def _native_threads(chosen: int | None) -> int:
    """The number of threads for machine code, if that can be made."""
    try:
        importlib.import_module("llvmlite")
    except ImportError as error:
        raise MissingExtraError("backend='native' needs the extra `jit`: pip install \"hograd[jit]\".") from error
    from hograd.program.native.threads import default_count

    return chosen or default_count()
