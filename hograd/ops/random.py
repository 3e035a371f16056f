"""Random draws from one generator a thread, seeded by `manual_seed`.

Inside `vmap` its argument `randomness` decides whether elements share a draw.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hograd.backend import check_device, default_dtype, scalarize
from hograd.core.dispatch import promote
from hograd.core.levels import state
from hograd.core.primitive import ops
from hograd.core.replay import begins_with, drawn, draws_from, seen
from hograd.core.tensor import Tensor
from hograd.core.traced import user_line
from hograd.errors import ArgumentError, CaptureError, LevelError, ShapeError
from hograd.ops.axes import shape_of, tensor_of
from hograd.ops.checked import checked

__all__ = [
    "bernoulli",
    "default_generator",
    "manual_seed",
    "multinomial",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
]


def manual_seed(seed: int) -> Any:
    """Seed this thread's generator and return it: equal seeds give equal draws.

    Args:
        seed: whole number of at least 0.

    >>> import hograd as ho
    >>> _ = ho.manual_seed(0)
    >>> a = ho.rand(2)
    >>> _ = ho.manual_seed(0)
    >>> bool((ho.rand(2) == a).all())
    True
    """
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ArgumentError(f"seed is {seed!r}, expected a whole number of at least 0.")
    if state.trace is not None:
        raise CaptureError(
            f"manual_seed was called at {user_line()} in a function that is being compiled, which runs again without "
            "its Python code and so would not seed again: call it before, or pass generator= to the draws."
        )
    state.generator = np.random.default_rng(seed)
    return state.generator


def default_generator() -> Any:
    """This thread's generator, a `numpy.random.Generator`.

    >>> import hograd as ho
    >>> ho.manual_seed(0) is ho.default_generator()
    True
    """
    if state.generator is None:
        # Importing numpy.random takes a tenth of the time that importing NumPy does, so it waits until now.
        begins_with(np.random.default_rng())
    # Whoever asks for it may draw from it by NumPy, or copy it.
    draws_from(state.generator)
    return state.generator


def _draw(draw: Any, shape: tuple[Any, ...], dtype: Any, generator: Any, requires_grad: bool, name: str) -> Tensor:
    lengths = shape_of(shape[0] if len(shape) == 1 else shape, name)
    if min(lengths, default=0) < 0:
        raise ArgumentError(f"{name} got shape {lengths}, expected lengths of at least 0.")
    levels = seen()
    for level in levels:
        if level.randomness == "error":
            raise LevelError(
                f"{name} was called inside vmap or jacfwd, where it is not clear whether elements share the draw: pass "
                'randomness="different" or "same" to it, or draw outside and pass the numbers in.'
            )
    different = [level for level in levels if level.randomness == "different"]
    full = (*(level.size for level in different), *lengths)
    # An inner transform lies above an outer one, so the innermost batch axis is peeled off last.
    kind = default_dtype() if dtype is None else dtype

    def made() -> Any:
        source = default_generator() if generator is None else generator
        draws_from(source)
        return scalarize(np.asarray(draw(source, full)).astype(kind, copy=False))

    kept = None if generator is None or state.trace is None else state.trace.keep(generator)

    def again() -> Any:
        return _draw(draw, (full,), kind, kept and kept.generator, False, name)

    value = drawn(made, again, different)
    answer = value if isinstance(value, Tensor) else Tensor(value)
    return answer.requires_grad_() if requires_grad else answer


def rand(
    *shape: Any, dtype: Any = None, generator: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uniform draws from [0, 1).

    Args:
        *shape: lengths, or one tuple of them.
        dtype: default the default floating dtype.
        generator: a `numpy.random.Generator`; default the thread's own.
        device: None or "cpu".
        requires_grad: whether to record operations on it.

    >>> import hograd as ho
    >>> ho.rand(2, 3).shape
    (2, 3)
    """
    check_device(device)
    return _draw(lambda source, full: source.random(full), shape, dtype, generator, requires_grad, "rand")


def randn(
    *shape: Any, dtype: Any = None, generator: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Draws from the normal distribution with mean 0 and standard deviation 1.

    Args:
        *shape: lengths, or one tuple of them.
        dtype: default the default floating dtype.
        generator: a `numpy.random.Generator`; default the thread's own.
        device: None or "cpu".
        requires_grad: whether to record operations on it.

    >>> import hograd as ho
    >>> ho.randn(2, 3).shape
    (2, 3)
    """
    check_device(device)
    return _draw(lambda source, full: source.standard_normal(full), shape, dtype, generator, requires_grad, "randn")


def randint(
    low: int,
    high: int | None = None,
    size: Any = (),
    *,
    dtype: Any = np.int64,
    generator: Any = None,
    device: Any = None,
) -> Tensor:
    """Uniform draws of whole numbers from `low` (0 if only one is given) up to but without `high`.

    Args:
        low, high: whole numbers, low < high.
        size: shape of the answer.
        dtype: default int64.
        generator: a `numpy.random.Generator`; default the thread's own.
        device: None or "cpu".

    >>> import hograd as ho
    >>> bool((ho.randint(3, 5, (10,)) >= 3).all())
    True
    """
    check_device(device)
    if isinstance(high, (tuple, list)):
        low, high, size = 0, low, high
    if high is None:
        low, high = 0, low
    if not isinstance(low, (int, np.integer)) or not isinstance(high, (int, np.integer)):
        raise ArgumentError(f"randint got low={low!r} and high={high!r}, expected whole numbers.")
    if low >= high:
        raise ArgumentError(f"randint got low={low} and high={high}, expected low < high.")
    return _draw(lambda source, full: source.integers(low, high, full), (size,), dtype, generator, False, "randint")


def randperm(n: int, *, generator: Any = None) -> Tensor:
    """A random order of the whole numbers from 0 to n - 1.

    >>> import hograd as ho
    >>> sorted(ho.randperm(3).tolist())
    [0, 1, 2]
    """

    def draw(source: Any, full: Any) -> Any:
        return source.permuted(np.broadcast_to(np.arange(n), full), axis=-1)

    return _draw(draw, (n,), np.int64, generator, False, "randperm")


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None) -> Tensor:
    """Normal draws, differentiable in `mean` and `std`:  mean + std * randn.

    Args:
        mean, std: numbers or tensors, broadcast against each other; std >= 0.
        size: shape; default that of `mean` and `std` together.
        generator: a `numpy.random.Generator`; default the thread's own.

    >>> import hograd as ho
    >>> ho.normal(ho.tensor([1.0, 2.0]), 0.0)
    tensor([1., 2.])
    """
    mean, std, _ = promote("normal", mean, std, 1.0)
    shape = np.broadcast_shapes(getattr(mean, "shape", ()), getattr(std, "shape", ()))
    dtype = getattr(mean, "dtype", getattr(std, "dtype", None))
    return mean + std * randn(shape if size is None else size, dtype=dtype, generator=generator)


def bernoulli(p: Any, *, generator: Any = None) -> Tensor:
    """1 with probability `p` and else 0, for each element of `p`, in its dtype; no derivative.

    >>> import hograd as ho
    >>> ho.bernoulli(ho.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    p = tensor_of(p, "bernoulli")
    draws = rand(p.shape, generator=generator)
    return (draws < p.detach()).astype(p.dtype)


def rand_like(x: Any, **options: Any) -> Tensor:
    """Uniform draws in the shape and dtype of `x`.

    >>> import hograd as ho
    >>> ho.rand_like(ho.zeros(2)).shape
    (2,)
    """
    return rand(x.shape, dtype=options.pop("dtype", x.dtype), **options)


def randn_like(x: Any, **options: Any) -> Tensor:
    """Normal draws in the shape and dtype of `x`.

    >>> import hograd as ho
    >>> ho.randn_like(ho.zeros(2)).shape
    (2,)
    """
    return randn(x.shape, dtype=options.pop("dtype", x.dtype), **options)


def multinomial(p: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """Draws of classes with given weights; no derivative.

    Args:
        p: weights of at least 0, not all 0, shape (classes,) or (n, classes) (`input`).
        num_samples: how many draws for each row.
        replacement: whether a class can be drawn twice.
        generator: a `numpy.random.Generator`; default the thread's own.

    Returns:
        Integers, shape (num_samples,) or (n, num_samples).

    Raises:
        ArgumentError: a weight is negative or not finite, or there are fewer classes to draw than draws.

    >>> import hograd as ho
    >>> ho.multinomial(ho.tensor([0.0, 1.0, 0.0]), 3, replacement=True)
    tensor([1, 1, 1])
    """
    p = tensor_of(p, "multinomial").detach()
    if not 1 <= p.ndim <= 2 or not p.shape[-1] or p.dtype.kind != "f":
        raise ShapeError(
            f"multinomial: p has dtype {p.dtype} and shape {tuple(p.shape)}, expected a floating dtype and (classes,) "
            "or (n, classes)."
        )
    if not isinstance(num_samples, (int, np.integer)) or num_samples < 1:
        raise ArgumentError(f"multinomial: num_samples is {num_samples!r}, expected a whole number above 0.")

    def check(weights: Any) -> None:
        if not np.all(np.isfinite(weights) & (weights >= 0)):
            raise ArgumentError("multinomial: probability tensor contains either inf, nan or element < 0.")
        possible = int(np.count_nonzero(weights, axis=-1).min(initial=weights.shape[-1]))
        if possible < (1 if replacement else num_samples):
            raise ArgumentError(
                f"multinomial: {num_samples} draws {'with' if replacement else 'without'} replacement of {possible} "
                "classes with weights above 0."
            )

    p = checked(p, check)
    if replacement:
        bounds = ops.cumsum(p, -1)
        draws = rand((*p.shape[:-1], num_samples), dtype=p.dtype, generator=generator) * bounds[..., -1:]
        # A draw on a bound belongs to the class behind it; the last bound is never reached.
        return ops.searchsorted(bounds, draws, right=True)
    # The order of exponential waiting times with these rates is that of draws without replacement.
    waits = -ops.log1p(-rand(p.shape, dtype=p.dtype, generator=generator)) / ops.where(p > 0, p, 1.0)
    return ops.argsort(ops.where(p > 0, waits, np.inf), -1)[..., :num_samples]


def randint_like(x: Any, low: int, high: int | None = None, **options: Any) -> Tensor:
    """Uniform draws of whole numbers, as `randint` makes them, in the shape and dtype of `x`.

    >>> import hograd as ho
    >>> ho.randint_like(ho.zeros(2), 3, 4)
    tensor([3., 3.])
    """
    return randint(low, high, tuple(x.shape), dtype=options.pop("dtype", x.dtype), **options)


ops.bernoulli, ops.multinomial, ops.rand, ops.randn = bernoulli, multinomial, rand, randn
