"""N-way K-shot tasks: what is drawn, from unequal and memory-mapped classes, the same for ever."""

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError
from optim.meta.tasks import Episodes
from optim.meta.tasks.episodes import distinct

COUNTS = {"a": 4, "b": 7, "c": 5, "d": 30}
Y = np.concatenate([[label] * count for label, count in COUNTS.items()])
ORDER = np.random.default_rng(0).permutation(len(Y))
Y = Y[ORDER]
#: An example tells which row it is.
X = np.arange(len(Y), dtype=float)[:, None]


def made(**options):
    return Episodes(X, Y, **({"ways": 3, "shots": 1, "queries": 3} | options))


def test_examples_are_of_their_classes_and_none_comes_twice():
    tasks = made()
    for index in range(50):
        task, labels = tasks[index], tasks.labels(index)
        assert len(set(labels)) == 3
        rows = np.concatenate([task.support.x, task.query.x])[:, 0].astype(int)
        assert len(set(rows)) == len(rows) == 12
        assert [labels[i] for i in np.concatenate([task.support.y, task.query.y])] == Y[rows].tolist()
        assert np.bincount(task.support.y).tolist() == [1, 1, 1]
        assert np.bincount(task.query.y).tolist() == [3, 3, 3]


def test_a_task_depends_on_seed_and_number_alone():
    batch = made().batch(10, 5)
    for i in range(5):
        for whole, one in zip(ho.tree.leaves(batch), ho.tree.leaves(made()[10 + i]), strict=True):
            np.testing.assert_array_equal(whole[i], one)
    assert not np.array_equal(batch.query.x, made(seed=1).batch(10, 5).query.x)
    assert made()[7].support.x[:, 0].tolist() == [12.0, 26.0, 44.0]


def test_every_class_and_every_example_is_drawn_equally_often():
    batch = made(ways=2, shots=1, queries=1).batch(0, 20_000)
    rows = np.concatenate([batch.support.x, batch.query.x], 1)[..., 0].astype(int).ravel()
    found = np.bincount(rows, minlength=len(Y)) / 20_000
    # Each class is in half of all tasks, and 2 of its examples are.
    expected = np.array([0.5 * 2 / COUNTS[label] for label in Y])
    np.testing.assert_allclose(found, expected, atol=6 * np.sqrt(expected.max() / 20_000))
    first = np.array([Y[row] for row in batch.support.x[:, 0, 0].astype(int)])
    assert abs((first == "a").mean() - 0.25) < 0.02


@pytest.mark.parametrize(("whole", "k"), [(5, 5), (5, 3), (1, 1)])
def test_every_order_of_distinct_numbers_is_equally_likely(whole, k):
    drawn = distinct(np.random.default_rng(1).random((60_000, 2 * k)), np.full(60_000, whole))
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    orders = np.prod(np.arange(whole - k + 1, whole + 1))
    assert len(counts) == orders
    # The sum of squares of so many standard numbers.
    distance = ((counts - 60_000 / orders) ** 2 / (60_000 / orders)).sum()
    assert distance < orders + 6 * np.sqrt(2 * orders)


def test_memory_mapped_images_are_read_and_scaled(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 3, 3), np.uint8)
    np.save(tmp_path / "x.npy", images)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    tasks = Episodes(mapped, np.arange(20) % 4, ways=2, shots=1, queries=2)
    task = tasks[0]
    assert task.support.x.dtype == np.float32
    assert task.support.x.shape == (2, 1, 3, 3)
    whole = images.astype(np.float32) / 255
    assert all((whole == x).all((1, 2, 3)).any() for x in task.support.x)
    assert tasks.shape == (1, 3, 3)
    assert tasks.outputs == 2


def test_turned_images_are_classes_of_their_own():
    image = np.arange(9.0).reshape(1, 1, 3, 3)
    x = np.concatenate([image + 10 * i for i in range(6)])
    tasks = Episodes(x, np.repeat(["one", "two"], 3), ways=8, shots=1, queries=1, rotations=True, dtype="float64")
    task = tasks[3]
    found = set()
    for label, seen, asked in zip(tasks.labels(3), task.support.x, task.query.x, strict=True):
        turns = [k for k in range(4) if np.array_equal(seen % 10, np.rot90(image[0], k, (1, 2)))]
        assert np.array_equal(asked % 10, seen % 10)
        found.add((label, turns[0]))
    assert len(found) == 8


def test_halves_of_a_split_share_no_class():
    labels = np.repeat(np.arange(50), 4)
    tasks = Episodes(np.zeros((200, 1)), labels, ways=5, shots=1, queries=1)
    train, test = tasks.split(0.6)
    assert len(train.classes) == 30
    assert set(train.classes) | set(test.classes) == set(range(50))
    assert not set(train.classes) & set(test.classes)
    assert set(test.labels(5)) <= set(test.classes)
    again, _ = tasks.split(0.6)
    assert again.classes == train.classes
    other, _ = Episodes(np.zeros((200, 1)), labels, ways=5, shots=1, queries=1, seed=1).split(0.6)
    assert other.classes != train.classes


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"queries": 5},
            r"2 of 4 classes have fewer than 6 examples, shots \+ queries = 1 \+ 5: 'a' has 4, 'c' has 5\.",
        ),
        ({"ways": 5}, "there are 4 classes, but ways is 5"),
        ({"classes": ["a", "z"]}, "1 of the classes have no example at all: 'z'"),
        ({"classes": ["b", "d"], "ways": 3}, "there are 2 classes, but ways is 3"),
        ({"shots": 0}, "Episodes: shots is 0"),
        ({"rotations": True}, "rotations need square images"),
        ({"y": Y[:3]}, r"y has shape \(3,\), expected \(46,\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options, expected):
    with pytest.raises(ArgumentError, match=expected):
        Episodes(**({"x": X, "y": Y, "ways": 3, "shots": 1, "queries": 3} | options))
