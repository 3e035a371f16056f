"""The recipe `meta`: pure tasks, any algorithm on any tasks, reports, and refusals before any work."""

import numpy as np
import pytest

import hograd as ho
from experiments.components.registry import components
from experiments.configuration import load
from experiments.errors import ConfigError, DivergedError
from experiments.experiment import Outcome

BASE = {
    "experiment": "meta",
    "tasks": {"name": "Sinusoids", "shots": 5, "queries": 5, "dtype": "float32"},
    "model": {"name": "mlp", "hidden": [8]},
    "algorithm": {"name": "MAML", "steps": 1, "inner": {"name": "SGD", "lr": 0.01}},
    "outer": {"iterations": 25, "tasks_per_iteration": 3},
    "evaluation": {"tasks": 10, "steps": [0, 1, 3]},
    "iterations_per_step": 10,
}

ONLY_CLASSES = ("PrototypicalNetwork", "MatchingNetwork", "LogisticHead", "MetaOptNet")
CLASSES = {"tasks": {"name": "Blobs", "ways": 3, "queries": 2}, "algorithm": {"name": "ANIL"}}


def experiment(**changes):
    """A small experiment with some keys changed."""
    return load.experiment_from(BASE | changes)


def run(task, stop=None):
    """All steps of a task, or some of them, with the state passed on as the store would."""
    task.prepare()
    state, metrics = task.start(), []
    while not task.done(state) and (stop is None or len(metrics) < stop):
        state, line = task.step(state)
        metrics.append(line)
    return Outcome(task.name, task.labels, "finished", task.result(state), metrics, 1.0), state


def test_iterations_are_those_of_the_library():
    from optim import SGD, Adam
    from optim.meta import MAML, train
    from optim.meta.tasks import Sinusoids

    outcome, state = run(experiment().tasks([4])[0])
    assert [line["iteration"] for line in outcome.metrics] == [10, 20, 25]
    tasks, _ = Sinusoids(shots=5, queries=5, seed=4, dtype="float32").split()
    algorithm = MAML(ho.nn.mlp([1, 8, 1]), ho.mse, SGD(lr=0.01), steps=1)
    learned, history = train(algorithm, tasks, Adam(lr=1e-3), 25, 3, seed=4, dtype="float32", compile="numpy")
    assert outcome.metrics[0]["loss"] == pytest.approx(np.mean([line["loss"] for line in history[:10]]))
    for ours, theirs in zip(ho.tree.leaves(state["learned"]), ho.tree.leaves(learned), strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_a_run_that_goes_on_elsewhere_ends_with_the_same_bits():
    whole, state = run(experiment().tasks([0])[0])
    _, half = run(experiment().tasks([0])[0], stop=1)
    other = experiment().tasks([0])[0]
    other.prepare()
    while not other.done(half):
        half, _ = other.step(half)
    assert all(
        (a == b).all() for a, b in zip(ho.tree.leaves(half["learned"]), ho.tree.leaves(state["learned"]), strict=True)
    )
    assert other.result(half)["evaluations"] == whole.result["evaluations"]


@pytest.mark.filterwarnings("ignore::hograd.errors.ConvergenceWarning")
@pytest.mark.parametrize("name", components("algorithm"))
@pytest.mark.parametrize("tasks", ["Sinusoids", "LinearRegressions", "Blobs", "Quadratics"])
def test_every_algorithm_learns_from_every_family(name, tasks):
    if tasks != "Blobs" and name in ONLY_CLASSES:
        pytest.skip("it tells classes apart")
    made = experiment(
        algorithm={"name": name},
        tasks={"name": tasks, "dtype": "float32"},
        outer={"iterations": 2, "tasks_per_iteration": 2},
        evaluation={"tasks": 3, "steps": [1]},
        compile=None,
    )
    made.check()
    assert made.memory() > 0
    outcome, _ = run(made.tasks([1])[0])
    assert ("accuracy" in outcome.metrics[0]) == (tasks == "Blobs")
    report = made.report([outcome])
    assert report.tables[0].rows[0][:2] == [name, "1"]
    assert np.isfinite(list(report.figures[0][1].values())).all()


def test_the_report_has_a_row_for_each_setting_and_a_column_for_each_step():
    made = experiment(evaluation={"tasks": 10, "steps": [0, 1, 3], "shots": [2, 20]})
    outcomes = [run(task)[0] for task in made.tasks([0, 1])]
    report = made.report(outcomes)
    means, table = report.tables
    assert table.detail
    assert table.header[2:] == ["tasks with", "after\n0 steps", "after\n1 step", "after\n3 steps"]
    assert [row[2] for row in table.rows] == ["as in training", "2 shots", "20 shots"] * 2
    (mean, half), (other, _) = (one.result["evaluations"][0]["loss"][1] for one in outcomes)
    assert table.rows[0][4] == f"{mean:.3f} ± {half:.3f}"
    assert means.header[:2] == ["algorithm", "tasks with"]
    # Student's t of two seeds.
    assert means.rows[0][3] == f"{(mean + other) / 2:.3f} ± {12.7062 * abs(mean - other) / 2:.3f}"
    assert set(report.figures[0][1]) >= {"loss_after_1", "loss_shots20_after_3"}
    assert [plot.name for plot in report.plots] == ["training", "adaptation", "curves"]
    for plot in report.plots:
        assert plot.draw().axes


def test_accuracies_of_classes_are_shares_of_a_hundred():
    made = experiment(**CLASSES)
    outcome, _ = run(made.tasks([0])[0])
    mean, half = outcome.result["evaluations"][0]["accuracy"][0]
    report = made.report([outcome])
    assert report.tables[0].rows[0][2] == f"{100 * mean:.1f} ± {100 * half:.1f} %"
    assert [plot.name for plot in report.plots] == ["training", "adaptation"]
    for plot in report.plots:
        assert plot.draw().axes


def test_what_is_learned_of_the_inner_optimizer_is_said_in_the_config():
    algorithm = {
        "name": "MAML",
        "steps": 2,
        "inner": {"name": "SGD", "lr": 0.1, "momentum": 0.5},
        "learn": {"lr": {"per": "layer", "per_step": True, "within": "Positive"}, "momentum": {}},
    }
    outcome, _ = run(experiment(algorithm=algorithm).tasks([0])[0])
    inner = outcome.result["learned"]["inner"]
    assert inner["lr"]["layer1"].shape == (2,)
    assert inner["momentum"].shape == ()
    assert abs(np.exp(inner["lr"]["head"]) - 0.1).max() > 1e-4


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"algorithm": {"name": "ANIL", "adapted": "tail"}}, "ANIL: adapted names 'tail', but the parameters are head"),
        ({"algorithm": {"name": "MAML", "learn": ["rate"]}}, "SGD has the hyperparameters lr, momentum"),
        ({"algorithm": {"name": "MAML", "steps": -1}}, "MAML: steps is -1"),
        ({"algorithm": {"name": "MAML", "order": 3}}, "algorithm.order"),
        ({"tasks": {"name": "Sinusoids", "shots": 0}}, "Sinusoids: shots is 0"),
        ({"tasks": {"name": "Quadratics", "rows": 2}}, "Quadratics: rows is 2, expected at least 4"),
        ({"evaluation": {"ways": [5]}}, "Sinusoids has no ways"),
        ({"model": {"name": "conv4"}}, "conv4"),
        ({"algorithm": {"name": "MetaOptNet"}}, "MetaOptNet: targets have dtype float32, expected classes"),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(tmp_path, changes, expected):
    path = tmp_path / "config.yaml"
    path.write_text(load.dump(BASE | changes))
    with pytest.raises(ConfigError) as raised:
        load.load(path).build()
    assert expected in str(raised.value)
    assert str(raised.value).startswith(str(path))


def test_a_loss_that_is_not_finite_names_the_rates():
    algorithm = BASE["algorithm"] | {"inner": {"name": "SGD", "lr": 1e38}}
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="iteration 0: the loss on query examples is"):
        run(experiment(algorithm=algorithm).tasks([0])[0])


def test_images_have_a_sheet_of_tasks_and_a_baseline(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="images are read by Pillow")
    for number in range(8):
        (tmp_path / str(number)).mkdir()
        for index in range(4):
            image.new("L", (16, 16), 30 * number + index).save(tmp_path / str(number) / f"{index}.png")
    made = experiment(
        tasks={"name": "images", "folder": str(tmp_path), "side": 16, "ways": 2, "queries": 3, "train": 0.5},
        model={"name": "conv4", "filters": 2, "norm": "none"},
        algorithm={"name": "PrototypicalNetwork"},
        outer={"iterations": 1, "tasks_per_iteration": 1},
    )
    made.check()
    outcome, _ = run(made.tasks([0])[0])
    # The mean of an image says which class it is of.
    assert outcome.result["evaluations"][0]["baseline"][0] == 1.0
    report = made.report([outcome])
    assert report.tables[0].header[-2:] == ["adapted", "nearest mean\nof inputs"]
    assert report.tables[0].rows[0][-1] == "100.0 ± 0.0 %"
    assert [plot.name for plot in report.plots] == ["training", "sheet"]
    for plot in report.plots:
        assert plot.draw().axes
