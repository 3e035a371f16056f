"""An array type that is not NumPy's and refuses to become it silently, as arrays in a GPU's memory do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

#: What a host may hand to a device beside its own arrays: numbers. Positions and masks in an index, too.
HOST = (bool, int, float, complex, np.generic)


def _inside(value: Any) -> Any:
    if isinstance(value, DeviceArray):
        return value.held
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type numpy.ndarray: a kernel mixes the host's arrays with the device's.")
    if isinstance(value, (list, tuple)):
        return type(value)(map(_inside, value))
    return value


def _outside(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return DeviceArray(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_outside, value))
    return type(value)(map(_outside, value)) if isinstance(value, (list, tuple)) else value


def _index(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(map(_index, index))
    return index.held if isinstance(index, DeviceArray) else index


class DeviceArray(NDArrayOperatorsMixin):
    """Holds an array, works through NumPy's protocols alone, and stays what it is, without axes as well."""

    def __init__(self, held: Any) -> None:
        self.held = np.asarray(held)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Use `.get()`.")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "at":
            array, index, *values = inputs
            ufunc.at(array.held, _index(index), *map(_inside, values))
            return None
        return _outside(getattr(ufunc, method)(*map(_inside, inputs), **{k: _inside(v) for k, v in kwargs.items()}))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in (np.asarray, np.array):  # how numbers of the host come to the device, by `like=`
            return DeviceArray(*args, **kwargs)
        return _outside(function(*map(_inside, args), **{k: _inside(v) for k, v in kwargs.items()}))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self.held, name)
        if callable(found):
            return lambda *args, **kwargs: _outside(
                found(*map(_inside, args), **{k: _inside(v) for k, v in kwargs.items()})
            )
        return found if name in ("shape", "ndim", "size", "dtype", "flags", "strides", "nbytes") else _outside(found)

    def __getitem__(self, index: Any) -> Any:
        return _outside(self.held[_index(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self.held[_index(index)] = _inside(value)

    def __len__(self) -> int:
        return len(self.held)

    def __bool__(self) -> bool:
        return bool(self.held)

    def __int__(self) -> int:
        return int(self.held)

    def __float__(self) -> float:
        return float(self.held)

    def item(self) -> Any:
        """The only element, as a Python number."""
        return self.held.item()

    def tolist(self) -> Any:
        """The elements, as Python numbers."""
        return self.held.tolist()

    def get(self) -> np.ndarray:
        """A copy in the host's memory."""
        return self.held.copy()
