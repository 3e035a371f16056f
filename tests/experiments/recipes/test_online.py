"""The recipe `online`: hypergradient descent beside the same training without."""

import numpy as np
import pytest

from experiments.configuration import load
from experiments.errors import ConfigError
from experiments.experiment import Outcome

BASE = {
    "experiment": "online",
    "data": {"name": "digits", "train": 200, "validation": 100, "standardize": True, "dtype": "float32"},
    "optimizer": {"name": "SGD", "lr": 1e-3},
    "by": {"name": "SGD", "lr": 3e-2},
    "epochs": 2,
    "batch": 16,
}


def run(task):
    """All epochs of a task."""
    task.prepare()
    state, metrics = task.start(), []
    while not task.done(state):
        state, line = task.step(state)
        metrics.append(line)
    return Outcome(task.name, task.labels, "finished", task.result(state), metrics, 1.0)


def test_a_learned_rate_lowers_the_loss_of_the_first_epoch():
    made = load.experiment_from(BASE)
    plain, learned = (run(task) for task in made.tasks([0]))
    assert plain.metrics[0]["running_loss"] > 1.2 * learned.metrics[0]["running_loss"]
    assert learned.result["lr"] > 2e-3
    report = made.report([plain, learned])
    assert [row[2] for row in report.tables[0].rows] == ["plain", "learned"]
    assert report.findings[0].startswith("SGD: with learning, the mean loss of the first epoch is 0.")
    assert len(report.plots) == 3
    assert all(plot.draw().axes for plot in report.plots)


def test_means_over_seeds_stand_before_each_of_them():
    made = load.experiment_from(BASE | {"seeds": [0, 1], "epochs": 1})
    outcomes = [run(task) for task in made.tasks([0, 1])]
    means, each = made.report(outcomes).tables
    assert [row[1] for row in means.rows] == ["plain", "learned"]
    first = [one.metrics[0]["running_loss"] for one in outcomes if one.labels["method"] == "learned"]
    assert float(means.rows[1][2]) == pytest.approx(sum(first) / 2, rel=1e-3)
    assert "±" in means.rows[0][4]
    assert each.detail
    assert len(each.rows) == 4


def test_a_tower_of_optimizers_and_variants():
    tower = {"name": "Online", "optimizer": {"name": "SGD", "lr": 1e-3}, "by": {"name": "SGD", "lr": 1e-6}}
    variants = {"one": {}, "tower": {"by": tower}, "adam": {"optimizer": {"name": "Adam", "lr": 1e-3}, "by.lr": 1e-7}}
    made = load.experiment_from(BASE | {"variants": variants, "epochs": 1})
    tasks = made.tasks([0])
    assert [task.name for task in tasks][:3] == ["one-seed0-plain", "one-seed0-learned", "tower-seed0-plain"]
    outcomes = [run(task) for task in tasks]
    assert all(np.isfinite(one.metrics[-1]["training_loss"]) for one in outcomes)
    rates = {one.labels["variant"]: one.result["lr"] for one in outcomes if one.labels["method"] == "learned"}
    assert rates["one"] != rates["tower"]
    assert {row[0] for row in made.report(outcomes).tables[0].rows} == {"one", "tower", "adam"}


def test_a_hyperparameter_that_there_is_not_is_refused(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(load.dump(BASE | {"learn": ["rate"]}))
    with pytest.raises(ConfigError, match="learn: SGD has no 'rate'; it has lr, momentum"):
        load.load(path).build()
