"""`save` and `load`: every leaf and container to the bit, and clear refusals of what is damaged or different."""

import collections
import enum
import json
import math
import os
import struct
import subprocess
import sys

import numpy as np
import pytest

import hograd as ho
from hograd.errors import DamagedFileError, DtypeError, StructureError
from optim import SGD, Adam
from optim.schedules import Cosine

pytest.importorskip("safetensors")

Pair = collections.namedtuple("Pair", "first second")
DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
SHAPES = [(), (0,), (3,), (2, 0, 3), (2, 3)]


def random_bits(dtype, shape, seed=0):
    """An array of any bits, so with nan of many payloads, infinities and both zeros."""
    dtype = np.dtype(dtype)
    count = math.prod(shape)
    data = np.random.default_rng(seed).bytes(count * dtype.itemsize)
    if dtype.kind == "b":
        data = bytes(byte % 2 for byte in data)
    return np.frombuffer(data, dtype).reshape(shape).copy()


def same(found, expected):
    """Whether two trees are the same to the bit: types, structure, order of keys, dtypes, values."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        assert [type(key) for key in found] == [type(key) for key in expected]
        for key in expected:
            same(found[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            same(ours, theirs)
    elif isinstance(expected, ho.Tensor):
        assert found.requires_grad == expected.requires_grad
        same(np.asarray(found.detach().numpy()), np.asarray(expected.detach().numpy()))
    elif isinstance(expected, (np.ndarray, np.generic)):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()
    elif isinstance(expected, float):
        assert struct.pack("d", found) == struct.pack("d", expected)
    else:
        assert found == expected


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tree.safetensors"


@pytest.fixture
def back(path):
    """A function that saves a tree and loads it."""

    def through(tree, **like):
        ho.save(path, tree)
        return ho.load(path, **like)

    return through


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_comes_back_to_the_bit(back, dtype, shape):
    array = random_bits(dtype, shape)
    tree = {"array": array, "scalar": np.zeros(1, dtype)[0]}
    if dtype not in ("u2", "u4", "u8"):
        tree["tensor"] = ho.from_numpy(array)
    same(back(tree), tree)
    same(back(tree, like=tree), tree)


def test_arrays_of_other_layouts_come_back_with_the_same_numbers(back):
    array = np.arange(12.0).reshape(3, 4)
    for other in (array.T, array[::-1, ::2], array.astype(">f8"), np.broadcast_to(array[0], (2, 4))):
        found = back({"a": other})["a"]
        np.testing.assert_array_equal(found, other)
        assert found.flags.c_contiguous
        assert found.flags.writeable
        assert found.dtype == np.float64


LEAVES = [
    None, True, False, 0, -1, 2**53, -(2**53) - 1, 2**64, -(10**5000), 0.0, -0.0, 5e-324, 1e308, 0.1, math.inf,
    -math.inf, math.nan, struct.unpack("<d", bytes.fromhex("010000000000f8ff"))[0], 1 + 2j, complex(-0.0, math.nan), "",
    "text", "näh\x00\U0001f600", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("leaf", LEAVES, ids=range(len(LEAVES)))
def test_plain_values_come_back_to_the_bit(back, leaf):
    if isinstance(leaf, complex):
        assert repr(back(leaf)) == repr(leaf)
    else:
        same(back(leaf), leaf)
        same(back([leaf, {"a": leaf}]), [leaf, {"a": leaf}])


@pytest.mark.parametrize(
    "tree",
    [
        [],
        (),
        {},
        [[], (), {}, [()]],
        collections.OrderedDict(b=1, a=[2]),
        {"b": 1, "a": 2, 3: 4, "3": 5, True: 6, -7: (8,)},
        {"a": {"b": ho.ones(2)}, "a.b": ho.zeros(3), "": ho.ones(1), "__metadata__": ho.ones(4), "\ud800": ho.ones(5)},
        ho.tensor(3.0),
        {"generator": np.random.default_rng(5).bit_generator.state},
        {"generator": np.random.Generator(np.random.MT19937(5)).bit_generator.state},
    ],
    ids=lambda tree: repr(tree)[:30],
)
def test_containers_keep_types_keys_and_order(back, tree):
    same(back(tree), tree)
    same(back(tree, like=tree), tree)


def test_deep_trees_are_saved_and_deeper_ones_are_refused(back):
    tree = ho.tensor(1.0)
    for i in range(200):
        tree = {"a": tree} if i % 2 else [tree]
    same(back(tree), tree)
    cycle = []
    cycle.append(cycle)
    for deeper in ([tree], cycle):
        with pytest.raises(StructureError, match="more than 200 levels"):
            back(deeper)


def test_what_is_shared_is_one_object_again(back):
    tensor, array = ho.tensor([1.0, 2.0]), np.ones(3)
    found = back({"a": [tensor, tensor], "b": tensor, "c": (array, array), "d": tensor + 0})
    assert found["a"][0] is found["a"][1] is found["b"]
    assert found["c"][0] is found["c"][1]
    assert found["d"] is not found["b"]


def test_tensors_keep_requires_grad_and_lose_their_graph(back):
    x = ho.tensor([1.0, 2.0], requires_grad=True)
    found = back({"leaf": x, "made": x * 2, "constant": ho.ones(2)})
    assert (found["leaf"].requires_grad, found["made"].requires_grad) == (True, True)
    assert found["made"].is_leaf
    assert not found["constant"].requires_grad


@pytest.mark.parametrize(
    ("tree", "like"),
    [
        (SGD(lr=0.5, momentum=ho.tensor(0.9), nesterov=True), SGD(lr=0.1, momentum=0.1, nesterov=True)),
        (Adam(lr={"a": ho.ones(2)}, betas=(0.1, ho.tensor(0.2))), Adam(lr={"a": ho.zeros(2)})),
        (Pair(ho.ones(2), [1, 2]), Pair(ho.zeros(2), [0, 0])),
        ({"opt": SGD(lr=Cosine(0.1, period=10))}, {"opt": SGD(lr=Cosine(0.2, period=10))}),
        (collections.deque([1, ho.ones(1)], maxlen=3), collections.deque([0, ho.zeros(1)], maxlen=3)),
        (collections.defaultdict(list, a=ho.ones(1)), collections.defaultdict(list, a=0.0)),
    ],
    ids=lambda tree: type(tree).__name__,
)
def test_registered_nodes_are_made_after_an_example(back, path, tree, like):
    found = back(tree, like=like)
    assert ho.tree.structure(found) == ho.tree.structure(tree)
    for ours, theirs in zip(ho.tree.leaves(found), ho.tree.leaves(tree), strict=True):
        same(ours, theirs)
    with pytest.raises(StructureError, match="like="):
        ho.load(path)


def test_nodes_of_other_classes_or_options_are_refused(back):
    with pytest.raises(StructureError, match=r"tree\['o'\].*optim.adam.Adam"):
        back({"o": SGD(lr=0.1)}, like={"o": Adam(lr=0.1)})
    with pytest.raises(StructureError, match="options"):
        back(SGD(lr=0.1, momentum=0.9, nesterov=True), like=SGD(lr=0.1, momentum=0.9))


@pytest.mark.parametrize(
    ("tree", "like", "message"),
    [
        ({"a": 1}, {"a": 1, "b": ho.ones(2)}, r"nothing at tree\['b'\], where like has a tensor of shape \(2,\)"),
        ({"a": 1, "b": 2}, {"a": 1}, r"has tree\['b'\], where like has nothing"),
        ({"a": [ho.ones(2)]}, {"a": [ho.ones(3)]}, r"shape \(2,\) and dtype float64 at tree\['a'\]\[0\].*\(3,\)"),
        ({"a": ho.ones(2)}, {"a": ho.ones(2, dtype=ho.float32)}, "float64.*float32"),
        ([1], (1,), "a list at tree, where like has a builtins.tuple"),
        ([1, 2], [1], r"tree\[1\]"),
        ([1], [1, 2], r"tree\[1\]"),
        ({1: 2}, {"1": 2}, "'1'"),
        (None, 1, "None at tree"),
        (1, None, "1 at tree"),
        ([1], [[1]], r"1 at tree\[0\]"),
        ([[1]], [1], r"a list at tree\[0\]"),
        (collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1), "order"),
        ({"a": 1}, collections.OrderedDict(a=1), "OrderedDict"),
    ],
    ids=lambda x: repr(x)[:25],
)
def test_another_structure_than_expected_names_the_first_place(back, path, tree, like, message):
    with pytest.raises(StructureError, match=message) as raised:
        back(tree, like=like)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_values_may_be_of_other_leaf_types_than_in_the_example(back):
    same(back({"lr": ho.tensor(0.5)}, like={"lr": 0.1})["lr"], ho.tensor(0.5))
    assert back({"b": 2, "a": 1}, like={"a": 0.0, "b": 0.0}) == {"a": 1, "b": 2}


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        (object(), "builtins.object"),
        (b"bytes", "builtins.bytes"),
        ({1, 2}, "builtins.set"),
        (Colour.RED, "Colour"),
        (np.array(["text"]), "dtype <U4"),
        (np.array([object()]), "dtype object"),
        (np.array(["2020-01-01"], "M8[D]"), "dtype datetime64"),
        (np.ma.masked_array([1.0]), "MaskedArray"),
        (np.longdouble(1), "longdouble|float128"),
    ],
    ids=lambda x: repr(x)[:20],
)
def test_what_cannot_be_saved_is_refused_with_its_place(back, path, leaf, message):
    with pytest.raises(DtypeError, match=message) as raised:
        back({"a": [1, leaf]})
    assert "tree['a'][1]" in str(raised.value)
    assert not path.exists()


@pytest.mark.parametrize("key", [1.5, (1, 2), None, Colour.RED, np.int64(3)], ids=repr)
def test_keys_are_text_or_whole_numbers(back, key):
    with pytest.raises(StructureError, match=r"tree\[0\] has the key"):
        back([{key: 1}])


def test_flipped_bits_and_cuts_are_noticed(path):
    tree = {"w": ho.tensor([[1.0, 2.0], [3.0, 4.0]]), "n": [1, 2.5, "text"], "z": np.complex64(1j), "big": 2**100}
    ho.save(path, tree)
    content = path.read_bytes()
    generator = np.random.default_rng(0)
    for cut in [0, 1, 7, 8, 9, len(content) - 1, *generator.integers(10, len(content), 20)]:
        path.write_bytes(content[:cut])
        with pytest.raises(DamagedFileError, match="tree.safetensors"):
            ho.load(path)
    for bit in generator.choice(8 * len(content), 400, replace=False):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            found = ho.load(path)
        except DamagedFileError as error:
            assert "\n" not in str(error)  # noqa: PT017  (a bit of the padding may be flipped without harm)
        else:
            same(found, tree)
    path.write_bytes(content + b"0")
    with pytest.raises(DamagedFileError):
        ho.load(path)


@pytest.mark.parametrize(
    "about",
    ["nothing", "[]", "{}", '{"format": 2}', "[" * 100000, '{"format": 1, "sha256": "", "tree": "1"}'],
    ids=lambda text: text[:20],
)
def test_files_with_other_structure_are_refused(path, about):
    from safetensors.numpy import save_file

    save_file({"w": np.ones(2)}, path, metadata={"hograd": about})
    with pytest.raises(DamagedFileError, match="tree.safetensors"):
        ho.load(path)


def test_pickles_folders_and_devices_are_refused(path, tmp_path):
    import pickle

    path.write_bytes(pickle.dumps({"w": 1}))
    with pytest.raises(DamagedFileError):
        ho.load(path)
    with pytest.raises(FileNotFoundError):
        ho.load(tmp_path / "nowhere")
    with pytest.raises(OSError, match="folder|directory"):
        ho.load(tmp_path)
    if os.path.exists("/dev/null"):
        with pytest.raises(DamagedFileError, match="regular"):
            ho.load("/dev/null")


def test_files_of_other_libraries_are_dicts_of_tensors(path):
    from safetensors.numpy import save_file

    save_file({"layer.weight": np.ones((2, 3), "f4"), "b": np.arange(3)}, path, metadata={"format": "pt"})
    found = ho.load(path)
    same(found["layer.weight"], ho.ones(2, 3, dtype=ho.float32))
    same(found["b"], ho.tensor([0, 1, 2]))
    ho.load(path, like={"layer.weight": ho.zeros(2, 3, dtype=ho.float32), "b": ho.tensor([0, 0, 0])})
    with pytest.raises(StructureError, match="'c'"):
        ho.load(path, like={**found, "c": 1})


def test_other_libraries_read_the_tensors_by_their_paths(path):
    from safetensors.numpy import load_file

    ho.save(path, {"layers": [{"weight": ho.ones(2, 3)}], "step": 3})
    found = load_file(path)
    assert list(found) == ["layers.0.weight"]
    np.testing.assert_array_equal(found["layers.0.weight"], np.ones((2, 3)))


def test_a_file_is_replaced_whole_or_not_at_all(path, monkeypatch):
    ho.save(path, {"a": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        ho.save(path, {"a": 2})
    monkeypatch.undo()
    assert ho.load(path) == {"a": 1}
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_same_tree_gives_the_same_bytes_in_every_process(tmp_path):
    code = (
        "import sys, numpy as np, hograd as ho\n"
        "ho.save(sys.argv[1], {'b': ho.ones(3), 'a': [np.ones(2, 'f4'), 1.5, {'z': 2**70}], 'c': ho.tensor(1j)})"
    )
    for seed in "123":
        command = [sys.executable, "-c", code, str(tmp_path / seed)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
    assert len({(tmp_path / seed).read_bytes() for seed in "123"}) == 1


def test_the_structure_is_strict_json(path):
    ho.save(path, [math.inf, math.nan, 10**400, "\ud800"])
    size = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + size], parse_constant=pytest.fail)
    json.loads(json.loads(header["__metadata__"]["hograd"])["tree"], parse_constant=pytest.fail)


def test_a_missing_library_names_the_extra(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ho.errors.MissingExtraError, match=r"hograd\[experiments\]"):
        ho.save(path, 1)
