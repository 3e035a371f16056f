"""Random indices of every kind, and random equations of einsum, against NumPy: values, derivatives, and vmap."""

from __future__ import annotations

import numpy as np
import pytest

import hograd as ho
from hograd import func
from hograd.check import gradcheck

from .samples import assert_equal


def random_index(random, shape):
    """Ints, slices, None, an Ellipsis, and integer arrays that broadcast against each other."""
    count = random.integers(0, len(shape) + 1)
    ellipsis_at = random.integers(0, count + 1) if random.random() < 0.4 else -1
    common = [(), (2,), (3, 1), (3, 2), (1,)][random.integers(0, 5)]
    index, axis = [], 0
    for k in range(count):
        if k == ellipsis_at:
            index.append(...)
            axis = len(shape) - (count - k)
        if random.random() < 0.2:
            index.append(None)
        length = shape[axis]
        match random.integers(0, 5):
            case 0:
                index.append(int(random.integers(-length, length)))
            case 1:
                index.append(slice(*sorted(random.integers(0, length + 1, 2).tolist())))
            case 2:
                index.append(slice(None, None, -1))
            case _:
                index.append(random.integers(-length, length, common if random.random() < 0.7 else ()))
        axis += 1
    if ellipsis_at == count:
        index.append(...)
    return tuple(index)


def numpy_added(x, index, value):
    out = x.copy()
    np.add.at(out, index, value)
    return out


def numpy_set(x, index, value):
    out = x.copy()
    out[index] = value
    return out


@pytest.mark.parametrize("seed", range(150))
def test_random_indices_mean_what_they_mean_to_numpy(seed):
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 4, random.integers(1, 4)).tolist())
    x, index = random.normal(size=shape), random_index(random, shape)
    value = random.normal(size=x[index].shape)
    t, v = ho.tensor(x), ho.tensor(value)
    assert_equal(t[index], x[index])
    assert_equal(func.vjp(lambda t: t[index], t)[1](v)[0], numpy_added(np.zeros(shape), index, value))
    assert_equal(t.at[index].add(v), numpy_added(x, index, value))
    assert_equal(t.at[index].set(v), numpy_set(x, index, value))

    arrays = [k for k, entry in enumerate(index) if isinstance(entry, np.ndarray)]
    mapped = [bool(random.integers(0, 2)) for _ in range(1 + len(arrays))]
    if not any(mapped):
        mapped[0] = True
    xs = random.normal(size=(3, *shape))
    values = random.normal(size=(3, *value.shape))
    shuffled = [
        np.stack([random.permutation(index[k].ravel()).reshape(index[k].shape) for _ in range(3)]) for k in arrays
    ]

    def at(entries):
        whole = list(index)
        for k, entry in zip(arrays, entries, strict=True):
            whole[k] = entry
        return tuple(whole)

    def everything(t, v, *entries):
        i = at(entries)
        return t[i], func.vjp(lambda t: t[i], t)[1](v)[0], t.at[i].add(v), t.at[i].set(v)

    args = [xs, *shuffled]
    in_dims = [0 if m else None for m in mapped]
    given = [ho.tensor(a if m else a[0]) for a, m in zip(args, mapped, strict=True)]
    found = func.vmap(everything, in_dims=(in_dims[0], 0, *in_dims[1:]))(given[0], ho.tensor(values), *given[1:])
    for b in range(3):
        one, *entries = (a[b if m else 0] for a, m in zip(args, mapped, strict=True))
        i = at(entries)
        assert_equal(found[0][b], one[i])
        assert_equal(found[1][b], numpy_added(np.zeros(shape), i, values[b]))
        assert_equal(found[2][b], numpy_added(one, i, values[b]))
        assert_equal(found[3][b], numpy_set(one, i, values[b]))


def test_a_value_is_broadcast_to_the_index():
    x, zeros = ho.zeros(3, 4), np.zeros((3, 4))
    row, column = [1.0, 2.0, 3.0, 4.0], [[1.0], [2.0], [3.0]]
    assert_equal(x.at[1:].set(ho.tensor(row)), numpy_set(zeros, slice(1, None), row))
    assert_equal(x.at[:, [0, 0]].add(ho.tensor(column)), numpy_added(zeros, (slice(None), [0, 0]), column))
    assert_equal(x.at[0].set(ho.ones(1, 1, 4)), numpy_set(zeros, 0, 1.0))


def test_the_derivative_of_a_replaced_element_is_that_of_the_value():
    x, v = ho.tensor([1.0, 2.0, 3.0]), ho.tensor([5.0, 7.0, 9.0])
    by_x, by_v = func.grad(lambda x, v: (x.at[[0, 2, 0]].set(v) ** 2).sum(), argnums=(0, 1))(x, v)
    # The last of two values for one place counts.
    assert by_x.tolist() == [0.0, 4.0, 0.0]
    assert by_v.tolist() == [0.0, 14.0, 18.0]


def random_equation(random):
    sizes = {c: int(random.integers(1, 4)) for c in "abcd"}
    spread = random.integers(1, 3, random.integers(0, 3)).tolist() if random.random() < 0.3 else None
    terms, arrays = [], []
    for _ in range(random.integers(1, 4)):
        term = "".join(random.choice(list("abcd"), random.integers(0, 4)))
        shape = [sizes[c] for c in term]
        if spread is not None and random.random() < 0.7:
            place, count = random.integers(0, len(term) + 1), random.integers(0, len(spread) + 1)
            leading = [1 if random.random() < 0.2 else n for n in spread[len(spread) - count :]]
            shape[place:place] = leading
            term = f"{term[:place]}...{term[place:]}"
        terms.append(term)
        arrays.append(random.normal(size=shape))
    equation = ",".join(terms)
    if random.random() < 0.75:
        used = sorted(set(equation) - set(".,"))
        kept = "".join(random.permutation(used)[: random.integers(0, len(used) + 1)]) if used else ""
        equation += "->" + ("..." if "." in equation else "") + kept
    return equation, arrays


@pytest.mark.parametrize("seed", range(150))
def test_random_equations_mean_what_they_mean_to_numpy(seed):
    equation, arrays = random_equation(np.random.default_rng(seed))
    expected = np.einsum(equation, *arrays)
    tensors = tuple(ho.tensor(a) for a in arrays)
    assert_equal(ho.einsum(equation, *tensors), expected, 1e-11)
    batches = [ho.stack([t, 2 * t]) for t in tensors]
    mapped = func.vmap(lambda *xs: ho.einsum(equation, *xs))(*batches)
    assert_equal(mapped[1], expected * 2 ** len(arrays), 1e-11)
    if seed % 5 == 0:
        assert gradcheck(lambda *xs: ho.einsum(equation, *xs), tensors, 2, directions=2)


def test_the_extremum_of_two_tensors():
    a, b = ho.tensor([1, 5]), ho.tensor([2, 3])
    assert ho.max(a, b).tolist() == [2, 5]
    assert ho.min(a, b).tolist() == [1, 3]
    assert ho.max(ho.tensor([1.0, 5.0]), ho.tensor([2.0, 3.0])).tolist() == [2.0, 5.0]
