"""Every exception that the packages raise on purpose.

Each also derives from the built-in exception that a user would catch, and from the one that PyTorch raises
in the same place, so `except ValueError` and `except RuntimeError` written for either keep working.
"""

from __future__ import annotations

from numpy.linalg import LinAlgError


class HogradError(Exception):
    """Base of every exception raised on purpose by hograd."""


class ShapeError(HogradError, ValueError, RuntimeError):
    """Shapes, axes or sizes do not fit together."""


class DtypeError(HogradError, TypeError, RuntimeError):
    """A value has a dtype, or a type, that the operation cannot take."""


class ArgumentError(HogradError, ValueError):
    """An argument is out of its range, or contradicts another one."""


class IndexingError(HogradError, IndexError):
    """An index does not fit the tensor that it is used on."""


class StructureError(HogradError, ValueError, TypeError):
    """Two trees that must be alike differ; the message names the first leaf that does."""


class GradientError(HogradError, RuntimeError):
    """A derivative was asked for that the recorded graph cannot give."""


class UnusedInputError(GradientError):
    """An input of `grad` does not lead to the outputs."""


class FreedGraphError(GradientError):
    """A graph was differentiated again after its saved values had been freed."""


class LevelError(GradientError):
    """A value of one transform (`vmap`, `jvp`, `grad`) was used where only another transform's value can be."""


class MissingExtraError(HogradError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class DamagedFileError(HogradError, ValueError):
    """A file is not what was written to it: cut short, changed, or of another format."""


class GradcheckError(HogradError, AssertionError):
    """A derivative differs from the numerical one, or cannot be compared with it."""


class LinearAlgebraError(HogradError, LinAlgError, RuntimeError):
    """A matrix is singular, not positive definite, or an iteration on it did not converge."""


class AnomalyError(GradientError, ArithmeticError):
    """In anomaly mode, a gradient or value that is not finite; the message names the line that it comes from."""


class CaptureError(HogradError, TypeError, RuntimeError):
    """A function that is being compiled does what its program cannot repeat; the message names the line."""


class ConvergenceError(HogradError, RuntimeError):
    """An iteration ended without the answer that it was to find."""


class ConvergenceWarning(RuntimeWarning):
    """An iteration ended before it had the accuracy that it was asked for; its answer is used all the same."""
