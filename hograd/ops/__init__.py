"""The operations, one file a family; importing this package declares them all."""

from hograd.ops import contract, create, elementwise, index, random, reduce, shape, stable

__all__ = ["contract", "create", "elementwise", "index", "random", "reduce", "shape", "stable"]
