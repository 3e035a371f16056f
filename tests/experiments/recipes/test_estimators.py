"""The recipe `estimators`: exact ones have no error, and the others the one that they should."""

import pytest

from experiments.configuration import load
from experiments.experiment import Outcome

VALUES = {
    "experiment": "estimators",
    "data": {"name": "random_logistic", "features": 5, "examples": 60},
    "model": {"name": "linear", "start": "zero", "bias": False},
    "inner": {"loss": "binary_cross_entropy", "steps": 20, "optimizer": {"name": "SGD", "lr": 0.5, "momentum": 0.9}},
    "learn": {"penalty": {"per": "feature", "start": 0.1}},
    "methods": [
        "Reverse",
        {"name": "Reverse", "checkpoint": "sqrt"},
        "Forward",
        "Reversible",
        {"name": "Truncated", "last": 3},
        {"name": "ZeroOrder", "samples": 2},
        {"name": "Implicit", "solver": {"name": "FixedPoint", "steps": 3}},
    ],
    "repeats": 2,
}


def test_errors_and_costs_of_estimators():
    made = load.experiment_from(VALUES)
    outcomes = []
    for task in made.tasks([0]):
        task.prepare()
        state, metrics = task.start(), []
        while not task.done(state):
            state, line = task.step(state)
            metrics.append(line)
        outcomes.append(Outcome(task.name, task.labels, "finished", task.result(state), metrics, 1.0))
    errors = [outcome.result["error"] for outcome in outcomes]
    assert errors[:4] == pytest.approx([0.0] * 4, abs=1e-9)
    assert errors[4] > 0.01
    assert outcomes[5].result["spread"] > 0.01
    assert outcomes[1].result["gradients"] > outcomes[0].result["gradients"] == 20
    report = made.report(outcomes)
    assert len(report.tables[0].rows) == 7
    assert report.findings[0].startswith("The cheapest within 0.1 % is Reverse none")
    assert report.plots[0].draw().axes


def test_what_has_one_name_is_told_apart_by_what_differs():
    names = [task.labels["method"] for task in load.experiment_from(VALUES | {"methods": [
        "Reverse", {"name": "Reverse", "checkpoint": "sqrt"}, "Forward", {"name": "Truncated", "last": 3},
        {"name": "Truncated", "last": 4}, {"name": "Implicit", "solver": "Dense"}, "Forward",
    ]}).tasks([0])]  # fmt: skip
    assert names == ["Reverse none", "Reverse sqrt", "Forward (3)", "Truncated last=3", "Truncated last=4",
                     "Implicit, Dense", "Forward (7)"]  # fmt: skip
