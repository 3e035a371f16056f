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
    assert report.plots[0].draw().axes


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
