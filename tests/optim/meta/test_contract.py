"""What holds for every algorithm: purity, vmap, compilation, derivatives, predictions."""

import numpy as np
import pytest

import hograd as ho
from hograd.errors import ArgumentError
from optim import Adam
from optim.meta import Task, base, train, training
from tests.optim.meta.members import MEMBERS, TASKS, moved

#: The derivative of their loss is not that of its value, on purpose.
SURROGATES = ("FOMAML", "Reptile")


def batch(count=3):
    return ho.tree.map(ho.tensor, TASKS.batch(0, count))


def close(ours, theirs, rtol=1e-10, atol=1e-12):
    for path, a, b in zip(ho.tree.paths(ours), ho.tree.leaves(ours), ho.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=rtol, atol=atol, err_msg=path)


@pytest.fixture(params=MEMBERS, ids=lambda name: name.replace(" ", "-"))
def member(request):
    return MEMBERS[request.param]


@pytest.fixture
def learned(member):
    return moved(member.init(3))


def test_equal_seeds_give_equal_first_values(member):
    close(member.init(5), member.init(5), 0, 0)
    assert {leaf.dtype for leaf in ho.tree.leaves(member.init(5, dtype=ho.float32))} == {np.dtype("float32")}


def test_single_precision_stays(member):
    task = ho.tree.map(lambda leaf: ho.tensor(leaf, dtype=ho.float32 if leaf.dtype.kind == "f" else None), TASKS[0])
    grads, told = ho.func.grad(member.loss, has_aux=True)(member.init(5, dtype=ho.float32), task)
    assert {leaf.dtype for leaf in ho.tree.leaves((grads, told))} == {np.dtype("float32")}


def test_loss_and_adaptation_are_pure(member, learned):
    before = ho.tree.map(lambda leaf: leaf.clone(), learned)
    task = TASKS[0]
    kept = ho.tree.map(np.copy, task)
    for _ in range(2):
        first = member.loss(learned, task)
        predict = member.adapt(learned, task.support)
        outputs = predict(task.query.x)
    close(member.loss(learned, task), first, 0, 0)
    close(member.adapt(learned, task.support)(task.query.x), outputs, 0, 0)
    close(learned, before, 0, 0)
    assert all((a == b).all() for a, b in zip(ho.tree.leaves(task), ho.tree.leaves(kept), strict=True))


def test_vmap_over_tasks_is_a_loop(member, learned):
    tasks = batch()
    grads, told = ho.func.vmap(ho.func.grad(member.loss, has_aux=True), in_dims=(None, 0))(learned, tasks)
    for i in range(3):
        expected = ho.func.grad(member.loss, has_aux=True)(learned, ho.tree.map(lambda leaf, i=i: leaf[i], tasks))
        close(ho.tree.map(lambda leaf, i=i: leaf[i], (grads, told)), expected)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_compiled_is_eager(member, learned, backend):
    if backend == "native":
        pytest.importorskip("llvmlite", reason="machine code needs llvmlite")
    eager = training.gradient(member, learned, batch())
    compiled = ho.compile(lambda learned, tasks: training.gradient(member, learned, tasks), backend=backend)
    close(compiled(learned, batch()), eager, 1e-8, 1e-10)


@pytest.mark.parametrize("at_once", [1, 2])
def test_chunks_and_single_tasks_are_all_at_once(member, learned, at_once):
    tasks = batch(5)
    close(training.gradient(member, learned, tasks, at_once), training.gradient(member, learned, tasks, 5))


def test_gradient_is_that_of_differences(member, learned, request):
    if type(member).__name__ in SURROGATES:
        pytest.skip("its gradient is another one than that of its value; the naive loop checks it")
    random = np.random.default_rng(1)
    direction = ho.tree.map(lambda leaf: ho.tensor(random.standard_normal(leaf.shape)), learned)
    task = TASKS[1]
    grads, _ = ho.func.grad(member.loss, has_aux=True)(learned, task)
    exact = sum((g * d).sum().item() for g, d in zip(ho.tree.leaves(grads), ho.tree.leaves(direction), strict=True))

    def value(step):
        return member.loss(ho.tree.map(lambda x, d: x + step * d, learned, direction), task)[0].item()

    expected = (8 * (value(1e-4) - value(-1e-4)) - (value(2e-4) - value(-2e-4))) / 12e-4
    assert exact == pytest.approx(expected, rel=1e-7, abs=1e-10)


def test_loss_tells_what_predictions_after_adaptation_give(member, learned):
    task = TASKS[2]
    _, told = member.loss(learned, task)
    predicted = member.adapt(learned, task.support)(task.query.x)
    expected = base.judged(member.criterion, predicted, task.query.y)[1]
    close({name: told[name] for name in expected}, expected)


def test_training_makes_the_loss_small(member):
    learned = member.init(0)
    judged = batch(20)
    before = training.gradient(member, learned, judged)[1]["loss"]
    learned, history = train(member, TASKS, Adam(lr=0.03), 20, 8, compile="numpy", learned=learned)
    assert len(history) == 20
    assert (training.gradient(member, learned, judged)[1]["loss"] < before).item()


@pytest.mark.parametrize("steps", [-1, 1.5, True])
def test_steps_that_are_none_are_refused(member, learned, steps):
    if not hasattr(member, "steps"):
        pytest.skip("it takes no steps")
    with pytest.raises(ArgumentError, match="expected a whole number of at least 0"):
        member.adapt(learned, TASKS[0].support, steps)


def test_a_task_of_lists_and_arrays_is_as_good_as_one_of_tensors(member, learned):
    task = TASKS[0]
    of_tensors = Task(*(base.tensors(part) for part in task))
    close(member.loss(learned, task), member.loss(learned, of_tensors), 0, 0)
