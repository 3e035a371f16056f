"""The recipe `single_loop`: without noise the algorithms come to the solution that a linear system gives."""

import pytest

from experiments.configuration import load
from experiments.experiment import Outcome

VALUES = {
    "experiment": "single_loop",
    "inner": 4,
    "outer": 2,
    "condition": 2.0,
    "noise": 0.0,
    "steps": 1500,
    "every": 500,
    "algorithms": [
        {"name": "SOBA", "inner_lr": 0.5, "outer_lr": 0.2},
        {"name": "SABA", "inner_lr": 0.5, "outer_lr": 0.2},
        {"name": "F2SA", "inner_lr": 0.3, "outer_lr": 0.05, "inner_steps": 3},
    ],
}


def run(task):
    task.prepare()
    state, metrics = task.start(), []
    while not task.done(state):
        state, line = task.step(state)
        metrics.append(line)
    return Outcome(task.name, task.labels, "finished", task.result(state), metrics, 1.0)


def test_algorithms_end_at_the_solution_without_noise():
    made = load.experiment_from(VALUES)
    outcomes = [run(task) for task in made.tasks([0])]
    errors = [outcome.metrics[-1]["error"] for outcome in outcomes]
    assert errors[0] == pytest.approx(0, abs=1e-4)
    assert errors[1] == pytest.approx(0, abs=1e-2)
    assert errors[2] < 0.2
    assert outcomes[0].metrics[0]["step"] == 500
    report = made.report(outcomes)
    assert [row[0] for row in report.tables[0].rows] == ["SOBA", "SABA", "F2SA"]
    assert report.plots[0].draw().axes


def test_the_solution_is_that_of_all_batches_together():
    """SABA, whose memory takes the noise of the batches away, comes to it; over all batches their noise is 0."""
    noisy = VALUES | {"noise": 0.3, "steps": 1500}
    outcome = run(load.experiment_from(noisy).tasks([0])[1])
    assert outcome.metrics[-1]["error"] < 0.01


def test_steps_are_pure():
    noisy = VALUES | {"noise": 0.3, "steps": 60, "every": 20}
    first, again = (run(load.experiment_from(noisy).tasks([1])[1]) for _ in range(2))
    assert first.metrics == again.metrics
    assert first.metrics[-1]["error"] > 0
