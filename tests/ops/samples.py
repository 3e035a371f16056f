"""What the operations' samples are made of, and one sample as a function of its tensors."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

import hograd as ho
from hograd.core.declare import Operation, operations

#: Operations whose argument 1 is an index, which stays as it is.
INDEXED = {"getitem", "place", "at_add", "at_set", "masked_select"}


class Samples:
    """Random inputs of one operation, seeded by its name, away from ties, kinks and poles.

    Numbers are drawn without replacement from a grid that is fine, but coarse beside the steps of a numerical
    derivative, and leaves out the multiples of 0.1, where samples have their limits.
    """

    def __init__(self, name: str, variant: int = 0) -> None:
        self.random = np.random.default_rng([zlib.crc32(name.encode()), variant])
        self.left: list[float] = []

    def grid(self, shape: tuple[int, ...], points: np.ndarray) -> Any:
        count = int(np.prod(shape))
        if len(self.left) < count:
            self.left = self.random.permutation((np.arange(400) + 0.5) / 400).tolist()
        drawn, self.left = self.left[:count], self.left[count:]
        return points[(np.array(drawn) * 400).astype(int)].reshape(shape)[()]

    def normal(self, *shape: int) -> Any:
        """Normal draws."""
        points = ndtri((np.arange(400) + 0.5) / 400)
        return self.grid(shape, np.where(np.abs(points * 10 - np.round(points * 10)) < 0.05, points + 0.01, points))

    def positive(self, *shape: int) -> Any:
        """Between 0.5 and 2.5."""
        return self.grid(shape, np.linspace(0.503, 2.497, 400))

    def away_from_zero(self, *shape: int) -> Any:
        """Between -2.5 and -0.5, or 0.5 and 2.5."""
        return self.grid(shape, np.concatenate([-np.linspace(0.503, 2.497, 200), np.linspace(0.506, 2.5, 200)]))

    def mask(self, *shape: int) -> Any:
        """Bools, both of them if there are several."""
        flat = self.random.permutation(np.arange(int(np.prod(shape))) % 2 == 0)
        return flat.reshape(shape)[()]

    def simplex(self, n: int, k: int) -> Any:
        """n rows of k probabilities."""
        return self.random.dirichlet(np.full(k, 2.0), n)

    def regular(self, *shape: int) -> Any:
        """Well-conditioned square matrices, shape (*shape, shape[-1]), with singular values apart from each other."""
        return self.tall(*shape, shape[-1])

    def tall(self, *shape: int) -> Any:
        """Matrices of this shape with singular values near 1.5, 2.5, ..."""
        k = min(shape[-2:])
        left = np.linalg.qr(self.random.normal(size=(*shape[:-1], k)))[0]
        right = np.linalg.qr(self.random.normal(size=(*shape[:-2], shape[-1], k)))[0]
        values = np.arange(1, k + 1) + self.random.uniform(0.4, 0.6, (*shape[:-2], 1, k))
        return (left * values) @ right.swapaxes(-1, -2)

    def spd(self, *shape: int) -> Any:
        """Symmetric positive definite matrices, shape (*shape, shape[-1]), with eigenvalues near 1.5, 2.5, ..."""
        vectors = np.linalg.qr(self.random.normal(size=(*shape, shape[-1])))[0]
        values = np.arange(1, shape[-1] + 1) + self.random.uniform(0.4, 0.6, (*shape[:-1], 1, shape[-1]))
        return (vectors * values) @ vectors.swapaxes(-1, -2)

    def complex(self, *shape: int) -> Any:
        """Complex numbers with normal parts."""
        return self.normal(*shape) + 1j * self.normal(*shape)

    def array(self, data: Any) -> np.ndarray:
        """These numbers."""
        return np.array(data, dtype=np.float64)


class Bound:
    """One sample of an operation as a function of the tensors in it.

    Attributes:
        arrays: the values of the tensors: arrays and NumPy scalars among the arguments, also within lists. Complex
            ones are their parts, along a last axis, so that tests know real tensors only.
        floating: the positions of those that can be differentiated.
    """

    def __init__(self, operation: Operation, index: int, variant: int = 0) -> None:
        self.operation = operation
        self.case = operation.samples(Samples(operation.name, variant))[index]
        self.arrays: list[Any] = []
        self.complex: set[int] = set()
        self.slots: list[list[int | None]] = []
        self.leaves: list[list[Any]] = []
        self.structures: list[Any] = []
        for position, arg in enumerate(self.case.args):
            leaves, structure = ho.tree.flatten(arg)
            constant = position == 1 and operation.name in INDEXED
            slots: list[int | None] = []
            for k, leaf in enumerate(leaves):
                if constant or not isinstance(leaf, (np.ndarray, np.generic)):
                    slots.append(None)
                    continue
                slots.append(len(self.arrays))
                # Samples write integers down: other variants have them in another order.
                leaves[k] = np.roll(leaf, variant)[()] if leaf.dtype.kind == "i" else leaf
                if leaves[k].dtype.kind == "c":
                    self.complex.add(len(self.arrays))
                    leaves[k] = np.stack([leaves[k].real, leaves[k].imag], -1)
                self.arrays.append(leaves[k])
            self.slots.append(slots)
            self.leaves.append(leaves)
            self.structures.append(structure)
        self.floating = [k for k, array in enumerate(self.arrays) if array.dtype.kind == "f"]

    def arguments(self, values: Iterable[Any]) -> list[Any]:
        """The positional arguments with `values` in place of the arrays."""
        values = list(values)
        for k in self.complex:
            x = values[k]
            values[k] = ho.view_as_complex(x) if isinstance(x, ho.Tensor) else x[..., 0] + 1j * x[..., 1]
        return [
            ho.tree.unflatten(
                structure, [leaf if s is None else values[s] for s, leaf in zip(slots, leaves, strict=True)]
            )
            for slots, leaves, structure in zip(self.slots, self.leaves, self.structures, strict=True)
        ]

    def __call__(self, *tensors: Any) -> list[ho.Tensor]:
        """The operation's answers, given all tensors."""
        return ho.tree.leaves(self.operation.function(*self.arguments(tensors), **self.case.kwargs))

    def of_floating(self, *tensors: Any) -> list[ho.Tensor]:
        """The operation's floating answers, given the floating tensors only."""
        values = [ho.tensor(array) for array in self.arrays]
        for k, tensor in zip(self.floating, tensors, strict=True):
            values[k] = tensor
        answers = [ho.view_as_real(y) if y.dtype.kind == "c" else y for y in self(*values)]
        return [y for y in answers if y.dtype.kind == "f"]

    def tensors(self, dtype: Any = None, requires_grad: bool = False) -> list[ho.Tensor]:
        """Fresh tensors of all arrays, the floating ones in `dtype`."""
        return [
            ho.tensor(array, dtype=dtype, requires_grad=requires_grad) if k in self.floating else ho.tensor(array)
            for k, array in enumerate(self.arrays)
        ]

    def floats(self, dtype: Any = None, requires_grad: bool = False) -> list[ho.Tensor]:
        """Fresh tensors of the floating arrays."""
        return [ho.tensor(self.arrays[k], dtype=dtype, requires_grad=requires_grad) for k in self.floating]


def every_case(where: Callable[[Operation], bool] = lambda operation: True) -> list[Any]:
    """Each sample of each operation, as parameters `operation, index` of a test."""
    return [
        pytest.param(operation, index, id=f"{operation.name}-{index}")
        for operation in operations.values()
        if where(operation)
        for index in range(len(operation.samples(Samples(operation.name))))
    ]


def differentiable(operation: Operation) -> bool:
    return operation.differentiable


def cotangents(outputs: Iterable[Any], seed: int = 0) -> list[ho.Tensor]:
    """Random weights for tensors, never near 0, in their dtypes."""
    random = np.random.default_rng(seed)
    return [
        ho.tensor(random.uniform(0.5, 1.5, y.shape) * random.choice([-1.0, 1.0], y.shape), dtype=y.dtype)
        for y in outputs
    ]


def recorded_ones(outputs: Iterable[Any], weights: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Those answers that have a derivative, with their weights: one may be a constant, as the sign of a determinant."""
    pairs = [(y, w) for y, w in zip(outputs, weights, strict=True) if y.requires_grad]
    return [y for y, _ in pairs], [w for _, w in pairs]


def assert_equal(found: Any, expected: Any, tolerance: float = 1e-12) -> None:
    """Same shape, and numbers equal to rounding."""
    found = found.detach().numpy() if isinstance(found, ho.Tensor) else found
    expected = expected.detach().numpy() if isinstance(expected, ho.Tensor) else expected
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
