"""The engine: tensors, the tape, levels, dispatch and the backward pass. Importing it installs every interpreter."""

from hograd.core import batching, forward

__all__ = ["batching", "forward"]
