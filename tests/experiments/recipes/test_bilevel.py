"""The recipe `bilevel`: every outer variable has the derivative that differences have; tasks are pure; pairs that make
no sense are refused."""

import numpy as np
import pytest

import hograd as ho
from experiments.configuration import load
from experiments.errors import ConfigError
from experiments.experiment import Outcome

BASE = {
    "experiment": "bilevel",
    "data": {"name": "digits", "train": 40, "validation": 30},
    "model": {"name": "mlp", "hidden": [4], "activation": "tanh"},
    "inner": {"steps": 3, "optimizer": {"name": "SGD", "lr": 0.3, "momentum": 0.5}},
    "outer": {"steps": 2},
}

LEARN = {
    "rate per run": {"optimizer.lr": {}},
    "rate per step": {"optimizer.lr": {"per": "step"}},
    "rate per parameter": {"optimizer.lr": {"per": "parameter"}},
    "rate per element": {"optimizer.lr": {"per": "element"}},
    "momentum and decay": {"optimizer.momentum": {}, "optimizer.weight_decay": {"within": {"name": "Free"}}},
    "penalty per run": {"penalty": {"start": 0.1}},
    "penalty per layer": {"penalty": {"start": 0.1, "per": "layer"}},
    "penalty per feature": {"penalty": {"start": 0.1, "per": "feature"}},
    "penalty per weight": {"penalty": {"start": 0.1, "per": "weight"}},
    "weights of examples": {"example_weights": {}},
    "labels": {"labels": {}},
    "inputs": {"inputs": {}},
    "augmentation": {"augmentation": {}},
    "first parameters": {"init": {}},
    "mixture": {"mixture": {}},
}


def experiment(**changes):
    """A small experiment with some keys changed."""
    return load.experiment_from(BASE | changes)


def run(task):
    """All steps of a task: its result and metrics."""
    task.prepare()
    state, metrics = task.start(), []
    while not task.done(state):
        state, line = task.step(state)
        metrics.append(line)
    return Outcome(task.name, task.labels, "finished", task.result(state), metrics, 1.0)


@pytest.mark.parametrize("learn", LEARN.values(), ids=LEARN)
@pytest.mark.parametrize("batch", [None, 8], ids=["all", "batches"])
def test_hypergradient_of_every_outer_variable_is_that_of_differences(learn, batch):
    model = {"name": "mixed_mlp", "hidden": [4]} if "mixture" in learn else BASE["model"]
    task = experiment(learn=learn, model=model, inner=BASE["inner"] | {"batch": batch}).tasks([3])[0]
    task.prepare()
    state = task.start()
    random = np.random.default_rng(0)
    # Away from the start: at equal weights a wrong sum over examples would not be seen.
    free = ho.tree.map(lambda leaf: leaf + 0.1 * ho.tensor(random.standard_normal(leaf.shape)), state["free"])
    direction = ho.tree.map(lambda leaf: ho.tensor(random.standard_normal(leaf.shape)), free)
    rows = task.parts.batches()

    def value(step):
        moved = ho.tree.map(lambda x, d: x + step * d, free, direction)
        return task.evaluate(moved, state["params"], rows)[0].item()

    _, slope, _ = task.evaluate(free, state["params"], rows)
    products = ho.tree.map(lambda g, d: (g * d).sum(), slope, direction)
    exact = sum(leaf.item() for leaf in ho.tree.leaves(products))
    expected = (8 * (value(1e-4) - value(-1e-4)) - (value(2e-4) - value(-2e-4))) / 12e-4
    assert exact == pytest.approx(expected, rel=2e-6, abs=1e-10)
    assert abs(expected) > 1e-8


@pytest.mark.parametrize(
    "model", [{"name": "mlp", "hidden": [4]}, {"name": "mixed_mlp", "hidden": [4]}, "linear"], ids=str
)
def test_penalties_per_feature_are_those_of_the_first_layer_and_per_layer_in_their_order(model):
    """The head of a network comes before `layer1` among the keys of its parameters."""
    name = "head" if model == "linear" else "layer1"
    for per, count in (("feature", 64), ("layer", 1 if model == "linear" else 2)):
        task = experiment(learn={"penalty": {"per": per}}, model=model).tasks([0])[0]
        task.prepare()
        training, params = task.parts.training, task.parts.training.params
        first = params[name]["weight"]
        strengths = np.zeros(count)
        strengths[0] = 2.0
        added = task.parts.trained_with({"penalty": ho.tensor(strengths)}).objective(params) - training.objective(
            params
        )
        expected = (first[:, 0] if per == "feature" else first).numpy()
        assert added.item() == pytest.approx(np.sum(expected**2), rel=1e-9)


def test_steps_are_pure_and_compiled_ones_agree():
    changes = {"learn": {"optimizer.lr": {"per": "step"}, "penalty": {"per": "layer"}}}
    eager, again = (run(experiment(**changes).tasks([1])[0]) for _ in range(2))
    compiled = run(experiment(**changes, compile="numpy").tasks([1])[0])
    assert eager.metrics == again.metrics
    assert eager.result["learned"]["optimizer.lr"].tobytes() == again.result["learned"]["optimizer.lr"].tobytes()
    losses = [[line["validation_loss"] for line in outcome.metrics] for outcome in (eager, compiled)]
    np.testing.assert_allclose(*losses, rtol=1e-10)


def test_the_losses_that_grazzi_et_al_print():
    changes = {
        "data": {"name": "random_logistic"},
        "model": {"name": "linear", "start": "zero", "bias": False},
        "inner": {"loss": "binary_cross_entropy", "steps": 100, "optimizer": {"name": "SGD", "lr": 0.1}},
        "learn": {"penalty": {"per": "feature", "start": 1.0, "keep": "projection"}},
        "outer": {
            "optimizer": {"name": "SGD", "lr": 1.0, "momentum": 0.9},
            "steps": 10,
            "method": {"name": "Truncated", "last": 10},
        },
        "published": {"source": "Grazzi et al.", "losses": {"0": 0.5743989944, "10": 0.5337678790}},
    }
    made = experiment(**changes)
    outcome = run(made.tasks([1])[0])
    assert outcome.metrics[0]["validation_loss"] == pytest.approx(0.5743989944, abs=2e-6)
    assert outcome.metrics[10]["validation_loss"] == pytest.approx(0.5337678790, abs=2e-6)
    table = made.report([outcome]).tables[1]
    assert [row[1] for row in table.rows] == ["0", "10"]
    assert table.rows[1][3] == "0.5337678790"


def test_a_wrong_label_is_found_by_the_weights_of_examples():
    changes = {
        "data": {"name": "digits", "train": 200, "validation": 100, "wrong_labels": 0.5, "dtype": "float32"},
        "model": {"name": "linear", "start": "zero"},
        "inner": {"l2": 1e-2},
        "learn": {"example_weights": {"share": 0.5}},
        "outer": {
            "optimizer": {"name": "Adam", "lr": 0.05},
            "steps": 20,
            "warm_start": True,
            "method": {
                "name": "Implicit",
                "solver": {"name": "CG", "steps": 10},
                "solve": {"name": "LBFGS", "tolerance": 1e-4},
            },
        },
    }
    result = run(experiment(**changes).tasks([0])[0]).result
    assert result["f1"] > 0.85
    weights = result["learned"]["example_weights"]
    assert weights.min() >= 0
    assert weights.sum() <= 100 * (1 + 1e-5)


def test_searches_are_beside_what_is_learned_and_trained_alike():
    baselines = [
        {"name": "grid", "over": {"optimizer.lr": {"low": 0.1, "high": 1.0, "count": 2}}},
        {"name": "random", "over": {"optimizer.lr": {"low": 0.1, "high": 1.0}}},
        "start",
    ]
    made = experiment(learn={"optimizer.lr": {"per": "step"}}, baselines=baselines)
    outcomes = [run(task) for task in made.tasks([0])]
    grid, random, start, learned = outcomes
    assert grid.result["trainings"] == 2
    assert random.result["trainings"] == learned.result["trainings"] == 3
    # Where learning starts is where its first hypergradient is taken.
    assert start.metrics[0]["validation_loss"] == pytest.approx(learned.metrics[0]["validation_loss"], rel=1e-12)
    report = made.report(outcomes)
    table = report.tables[0]
    assert [row[1] for row in table.rows] == ["best of the grid", "random search", "the start", "learned"]
    assert {"test_loss", "validation_loss"} <= set(report.figures[0][1])
    for plot in report.plots:
        assert plot.draw().axes


def test_means_and_differences_over_seeds_are_those_of_the_results():
    made = experiment(learn={"optimizer.lr": {"per": "step"}}, baselines=["start"], seeds=[0, 1])
    outcomes = [run(task) for task in made.tasks([0, 1])]
    report = made.report(outcomes)
    means, changes, learned, each = report.tables
    assert [row[0] for row in means.rows] == ["the start", "learned"]
    losses = [
        [one.result["test_loss"] for one in outcomes if one.labels["method"] == name]
        for name in ("the start", "learned")
    ]
    assert float(means.rows[1][2]) == pytest.approx(np.mean(losses[1]), abs=1e-3)
    assert changes.rows[0][0] == "the start"
    difference, half = map(float, changes.rows[0][2].split(" ± "))
    each_difference = np.subtract(losses[1], losses[0])
    assert difference == pytest.approx(each_difference.mean(), abs=1e-4)
    # Student's t with one degree of freedom.
    assert half == pytest.approx(12.706 * each_difference.std(ddof=1) / np.sqrt(2), abs=1e-4)
    assert learned.rows[0][:2] == ["optimizer.lr", "3"]
    assert each.detail
    assert len(each.rows) == 4
    assert "Learned against the start: validation loss -" in report.findings[0]
    assert "which learning rates serve" in report.question.lower()


def test_what_was_learned_is_drawn_as_what_it_is():
    for learn, changes in (
        ({"mixture": {}}, {"model": {"name": "mixed_mlp", "hidden": [4, 4]}}),
        ({"penalty": {"per": "feature"}}, {}),
        ({"penalty": {"per": "weight"}}, {}),
        ({"optimizer.lr": {"per": "parameter"}, "optimizer.momentum": {}}, {}),
        ({"inputs": {}}, {}),
        ({"inputs": {"start": "examples"}}, {"data": BASE["data"] | {"train": 200}}),
        ({"example_weights": {}}, {"data": BASE["data"] | {"wrong_labels": 0.5}}),
    ):
        made = experiment(learn=learn, outer={"steps": 1}, **changes)
        report = made.report([run(task) for task in made.tasks([0])])
        assert len(report.plots) == 2
        assert all(plot.draw().axes for plot in report.plots)


def test_optuna_proposes_by_what_was_tried_alone():
    pytest.importorskip("optuna")
    baselines = [{"name": "optuna", "over": {"optimizer.lr": {"low": 0.01, "high": 1.0}}, "trainings": 12}]
    one, two = (run(experiment(learn={"optimizer.lr": {}}, baselines=baselines).tasks([0])[0]) for _ in range(2))
    assert one.metrics == two.metrics
    assert len({line["optimizer.lr"] for line in one.metrics}) == 12


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"outer": {"method": "Implicit"}, "learn": {"optimizer.lr": {}}}, "its derivative by optimizer.lr is 0"),
        ({"outer": {"method": "Reversible"}, "inner": {"optimizer": "Adam"}}, "Reversible runs SGD with momentum"),
        ({"learn": {}}, "there is nothing to learn"),
        ({"learn": {"optimizer.rate": {}}}, "SGD has no such hyperparameter; it has lr, momentum"),
        ({"learn": {"mixture": {}}}, "choose model.name=mixed_mlp"),
        (
            {"learn": {"optimizer.momentum": {}}, "inner": {"optimizer": "SGD"}},
            "its first value is outside of its range",
        ),
        ({"learn": {"inputs": {"start": "examples", "per_class": 30}}}, "found 30, and of class 0 there are"),
        ({"inner": {"batch": 99}}, "inner.batch: found 99, and there are 40 training examples"),
        ({"outer": {"warm_start": True}, "learn": {"init": {}}}, "training has to begin at them"),
        ({"data": {"name": "digits", "train": 1797}}, "data.train"),
        ({"baselines": [{"name": "grid", "over": {"lr": {"values": [1.0]}}}]}, "unknown hyperparameter 'lr'"),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(tmp_path, changes, expected):
    values = BASE | {"learn": {"optimizer.lr": {}}} | changes
    path = tmp_path / "config.yaml"
    path.write_text(load.dump(values))
    with pytest.raises(ConfigError) as raised:
        load.load(path).build()
    assert expected in str(raised.value)
    assert str(raised.value).startswith(str(path))
