"""Trees in files: safetensors for the numbers and JSON for the structure around them, and never pickle."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import optree

from hograd.backend import as_array
from hograd.core.tensor import Tensor
from hograd.errors import DamagedFileError, DtypeError, HogradError, MissingExtraError, StructureError
from hograd.tree import NAMESPACE

__all__ = ["load", "save"]

#: The dtypes that a file holds; complex numbers are stored as pairs of real ones, which every reader understands.
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = ("bool", *INTEGERS, "float16", "float32", "float64")
PAIRS = {"complex64": "float32", "complex128": "float64"}
#: Levels of containers in one another; JSON's readers recurse.
DEPTH = 200
#: How the entry of the metadata begins, which tells a file whose one key was changed from one of another library.
ABOUT = '{"format": 1, "sha256": '
#: Whole numbers beyond these are not the same in all readers of JSON.
EXACT = 2**53


def save(path: str | os.PathLike[str], tree: Any) -> None:
    """Write a tree to a file from which `load` makes the same tree, to the bit.

    The file is a safetensors file, which other libraries read too, with each tensor under its path in the tree, such
    as `layers.0.weight`; its metadata hold the structure as JSON and a checksum. It is written beside its place,
    flushed to the disk and renamed, so that `path` is at no moment a half-written file.

    Args:
        path: the file; one that is there is replaced.
        tree: lists, tuples, dicts and `OrderedDict`s with text or whole numbers as keys, named tuples, optimizers and
            other registered nodes. Leaves are tensors, NumPy arrays and scalars (booleans, integers, floating and
            complex numbers), numbers of Python (of any size, inf and nan), text and None.

    A tensor or array that stands in several places is stored once, and is one object when it is loaded. Tensors keep
    `requires_grad`, but not the graph that they were computed by; arrays come back in C order and the machine's byte
    order.

    Raises:
        DtypeError: a leaf is of none of these types; the message names its place.
        StructureError: a key is neither text nor a whole number, or containers are nested more than 200 levels deep.
        OSError: the file cannot be written.
        MissingExtraError: safetensors is not installed.

    >>> import hograd as ho, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "state.safetensors")
    >>> ho.save(path, {"w": ho.tensor([1.0, 2.0]), "step": 3, "names": ("a", None)})
    >>> ho.load(path)
    {'w': tensor([1., 2.]), 'step': 3, 'names': ('a', None)}
    """
    numpy_format = _safetensors().numpy
    writer = _Writer()
    structure = json.dumps(writer.encode(tree, ""), allow_nan=False, separators=(",", ":"))
    # One entry only: the order of several is another one in every process.
    about = {"format": 1, "sha256": _digest(structure, writer.arrays), "tree": structure}
    write(path, numpy_format.save(writer.arrays, metadata={"hograd": json.dumps(about)}))


def load(path: str | os.PathLike[str], like: Any = ...) -> Any:
    """The tree that `save` wrote.

    Args:
        path: the file. One of another library is a dict of its tensors.
        like: a tree of the structure that is expected, with tensors and arrays of the expected shapes and dtypes. Named
            tuples, optimizers and other registered nodes can be loaded only with it, since a file names no code; their
            options that are no leaves are those of `like`.

    Raises:
        DamagedFileError: the file is not what was written: cut short, changed, or of another format.
        StructureError: the file holds something else than `like`; the message names the first place.
        OSError: the file cannot be read.
        MissingExtraError: safetensors is not installed.

    >>> import hograd as ho, os, tempfile
    >>> from optim import SGD
    >>> path = os.path.join(tempfile.mkdtemp(), "optimizer.safetensors")
    >>> ho.save(path, SGD(lr=0.5, momentum=ho.tensor(0.9)))
    >>> ho.load(path, like=SGD(lr=0.1))
    SGD(lr=0.5, momentum=tensor(0.9000), dampening=0.0, weight_decay=0.0)
    """
    arrays, metadata = _read(path)
    with _as_damage(path):
        if "hograd" in metadata or any(text.startswith(ABOUT) for text in metadata.values()):
            about = json.loads(metadata["hograd"])
            if about["format"] != 1:
                raise DamagedFileError(
                    f"{path} is of format {about['format']!r}, which this version of hograd cannot read."
                )
            if about["sha256"] != _digest(about["tree"], arrays):
                raise DamagedFileError(f"{path} is damaged: its checksum is not that of its content.")
            tree = json.loads(about["tree"])
        else:
            tree = {"dict": [[name, {"tensor": name}] for name in arrays]}
        return _Reader(path, arrays).decode(tree, like, "")


def write(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file whole or not at all: beside its place, flushed to the disk, renamed, and the folder flushed."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        with open(draft, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    if os.name == "posix":  # elsewhere folders cannot be opened
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class _Writer:
    """Makes JSON of a tree and collects its arrays under readable names."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.known: dict[int, tuple[Any, dict[str, Any]]] = {}

    def encode(self, value: Any, path: str, name: str = "", depth: int = 0) -> Any:
        """Plain values stand for themselves, all else is an object with one key that says what it is."""
        kind = type(value)
        if value is None or kind is bool or kind is str or (kind is int and abs(value) <= EXACT):
            return value
        if kind is int:
            return {"int": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"float": struct.pack("<d", value).hex()}
        if kind is complex:
            return {"complex": struct.pack("<dd", value.real, value.imag).hex()}
        numeric = _numeric(value)
        if numeric is not None:
            return self.put(value, numeric, path, name)
        if depth == DEPTH:
            raise StructureError(f"tree{path[:80]}... is nested more than {DEPTH} levels deep.")

        def inside(key: Any, item: Any, place: str) -> Any:
            return self.encode(item, path + place, f"{name}.{key}" if name else str(key), depth + 1)

        if kind in (list, tuple):
            return {kind.__name__: [inside(i, item, f"[{i}]") for i, item in enumerate(value)]}
        if kind in (dict, OrderedDict):
            for key in value:
                if type(key) not in (str, int, bool):
                    raise StructureError(f"tree{path} has the key {key!r}, expected text or a whole number.")
            return {kind.__name__: [[self.encode(k, path), inside(k, v, f"[{k!r}]")] for k, v in value.items()]}
        try:
            children, static, entries, _ = optree.tree_flatten_one_level(value, namespace=NAMESPACE)
        except ValueError:
            raise DtypeError(
                f"tree{path} is a {_named(kind)}, which cannot be saved; expected tensors, NumPy arrays, numbers, "
                "text or None, in lists, tuples, dicts or registered nodes."
            ) from None
        described = [inside(e, c, f".{e}") for e, c in zip(entries or range(len(children)), children, strict=True)]
        return {"node": _named(kind), "static": _plain(static), "entries": _plain(entries), "children": described}

    def put(self, value: Any, kind: str, path: str, name: str) -> dict[str, Any]:
        """Keep an array, once for each object, and say under which name and how to read it."""
        if id(value) in self.known:
            return self.known[id(value)][1]
        array = np.asarray(value.detach().numpy() if kind == "tensor" else value, order="C")
        dtype = array.dtype.name
        if dtype not in DTYPES and dtype not in PAIRS:
            raise DtypeError(
                f"tree{path} has dtype {array.dtype}, expected one of {', '.join([*sorted(DTYPES), *PAIRS])}."
            )
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        name = (name or "value").encode("utf-8", "backslashreplace").decode().replace("__metadata__", "metadata")
        unique = next(n for i in itertools.count(1) if (n := f"{name}~{i}" if i > 1 else name) not in self.arrays)
        reference: dict[str, Any] = {kind: unique}
        if dtype in PAIRS:
            array = array[..., None].view(PAIRS[dtype])
            reference["complex"] = True
        if kind == "tensor" and value.requires_grad:
            reference["requires_grad"] = True
        self.arrays[unique] = array
        self.known[id(value)] = (value, reference)  # kept, so that no other object gets its identity
        return reference


class _Reader:
    """Makes the tree again of JSON and arrays; where `like` is given, only one of its structure."""

    def __init__(self, path: Any, arrays: Mapping[str, np.ndarray]):
        self.path = path
        self.arrays = arrays
        self.made: dict[str, Any] = {}

    def decode(self, node: Any, like: Any, place: str) -> Any:
        """The value that JSON describes."""
        if not isinstance(node, dict):
            return self.leaf(node, like, place)
        kind = next(iter(node))
        content = node[kind]
        if kind == "int":
            return self.leaf(int(content, 16), like, place)
        if kind == "float":
            return self.leaf(struct.unpack("<d", bytes.fromhex(content))[0], like, place)
        if kind == "complex":
            return self.leaf(complex(*struct.unpack("<dd", bytes.fromhex(content))), like, place)
        if kind in ("list", "tuple"):
            made = list if kind == "list" else tuple
            likes = self.children(like, made, [*range(len(content))], place)
            return made(self.decode(c, k, f"{place}[{i}]") for i, (c, k) in enumerate(zip(content, likes, strict=True)))
        if kind in ("dict", "OrderedDict"):
            made = dict if kind == "dict" else OrderedDict
            keys = [self.decode(key, ..., place) for key, _ in content]
            likes = self.children(like, made, keys, place)
            return made(
                (key, self.decode(c, k, f"{place}[{key!r}]"))
                for key, (_, c), k in zip(keys, content, likes, strict=True)
            )
        if kind == "node":
            return self.node(node, like, place)
        return self.leaf(self.array(kind, node), like, place)

    def array(self, kind: str, node: dict[str, Any]) -> Any:
        """A tensor, array or scalar; the one made before, where it stands in several places."""
        name = node[kind]
        if name not in self.made:
            array = self.arrays[name]
            if node.get("complex"):
                array = array.view(f"c{2 * array.itemsize}")[..., 0]
            if kind == "tensor":
                made = Tensor(as_array(array))
                self.made[name] = made.requires_grad_() if node.get("requires_grad") else made
            else:
                self.made[name] = {"array": array, "scalar": array.reshape(-1)[:1]}[kind]
        return self.made[name][0] if kind == "scalar" else self.made[name]

    def node(self, node: dict[str, Any], like: Any, place: str) -> Any:
        """An instance of a registered class, made as `like` would be."""
        name = node["node"]
        if like is ...:
            raise StructureError(
                f"{self.path} holds a {name} at tree{place}, which can be made only after an example: "
                "load(path, like=a tree of the same structure)."
            )
        if _named(type(like)) != name:
            raise self.differs(place, f"a {name}", like)
        children, static, entries, unflatten = optree.tree_flatten_one_level(like, namespace=NAMESPACE)
        found = [(_plain(entries), node["entries"], "entries"), (_plain(static), node["static"], "options")]
        for ours, theirs, what in found:
            if ours != theirs:
                raise StructureError(
                    f"{self.path}: the {name} at tree{place} has the {what} {theirs}, but like has {ours}."
                )
        names = entries or range(len(children))
        decoded = [self.decode(c, k, f"{place}.{e}") for c, k, e in zip(node["children"], children, names, strict=True)]
        return unflatten(static, decoded)

    def children(self, like: Any, made: type, keys: list[Any], place: str) -> list[Any]:
        """What stands in `like` at each of the keys of a container."""
        if like is ...:
            return [...] * len(keys)
        if type(like) is not made:
            raise self.differs(place, f"a {made.__name__}", like)
        wanted = list(like) if isinstance(like, dict) else list(range(len(like)))
        for key in wanted:
            if key not in keys:
                raise StructureError(
                    f"{self.path} has nothing at tree{place}[{key!r}], where like has {_brief(like[key])}."
                )
        for key in keys:
            if key not in wanted:
                raise StructureError(f"{self.path} has tree{place}[{key!r}], where like has nothing.")
        if made is OrderedDict and keys != wanted:
            raise StructureError(f"{self.path} has the keys of tree{place} in the order {keys}, but like has {wanted}.")
        return [like[key] for key in keys]

    def leaf(self, value: Any, like: Any, place: str) -> Any:
        """The value, if it may stand where `like` does: a leaf for a leaf, an array for one of its shape and dtype."""
        if like is ...:
            return value
        if (value is None) != (like is None) or not _is_leaf(like):
            raise self.differs(place, _brief(value), like)
        if (
            hasattr(value, "shape")
            and hasattr(like, "shape")
            and (value.shape, value.dtype) != (like.shape, like.dtype)
        ):
            raise self.differs(place, _brief(value), like)
        return value

    def differs(self, place: str, found: str, like: Any) -> StructureError:
        return StructureError(f"{self.path} has {found} at tree{place}, where like has {_brief(like)}.")


def _read(path: Any) -> tuple[dict[str, np.ndarray], Mapping[str, str]]:
    """The arrays and the metadata of a safetensors file."""
    library = _safetensors()
    with open(path, "rb"):  # errors of the file system as Python words them
        pass
    if not Path(path).is_file():
        raise DamagedFileError(f"{path} is not a regular file.")
    arrays, metadata = {}, {}
    with _as_damage(path, library.SafetensorError), library.safe_open(str(path), framework="numpy") as file:
        metadata = file.metadata() or {}
        for name in file.keys():  # noqa: SIM118  (it is no dict)
            arrays[name] = file.get_tensor(name)
    return arrays, metadata


@contextmanager
def _as_damage(path: Any, *errors: type[Exception]) -> Iterator[None]:
    """What goes wrong with the content of a file as one error that names the file."""
    try:
        yield
    except HogradError:
        raise
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
        OSError,
        struct.error,
        *errors,
    ) as error:
        raise DamagedFileError(f"{path} is damaged, or no file of safetensors: {error}.") from None


def _digest(structure: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(structure.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise MissingExtraError(
            'save and load need safetensors, of the extra `experiments`: pip install "hograd[experiments]".'
        ) from error
    return safetensors


def _named(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _numeric(value: Any) -> str | None:
    """How a value that is stored as an array is called in the structure."""
    if isinstance(value, Tensor):
        return "tensor"
    if type(value) in (np.ndarray, np.memmap):
        return "array"
    return "scalar" if isinstance(value, np.generic) else None


def _is_leaf(value: Any) -> bool:
    return value is None or isinstance(value, (Tensor, np.ndarray, np.generic, str, int, float, complex))


def _brief(value: Any) -> str:
    """What a value is, in a message."""
    if isinstance(value, (Tensor, np.ndarray)):
        return (
            f"{'a tensor' if isinstance(value, Tensor) else 'an array'} of shape {value.shape} and dtype {value.dtype}"
        )
    return repr(value) if value is None or isinstance(value, (str, int, float)) else f"a {_named(type(value))}"


def _plain(value: Any) -> Any:
    """Options of a registered node as far as JSON can tell them apart; None for what it cannot."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if type(value) in (bool, int, str) else repr(value) if type(value) is float else None
