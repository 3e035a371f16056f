"""The comparison of estimators at small sizes: its claims hold, and its tables, figures and plots are written."""

import dataclasses
import json
import math

import numpy as np
import pytest

import hograd as ho
from benchmarks.hypergradient import convergence, errors, memory, problems, published, tasks
from benchmarks.hypergradient import run as command
from benchmarks.table import WIDTH
from optim.hyper import CG, Implicit, Reverse, hypergradient


def test_quadratic_closed_form_is_the_derivative():
    problem = problems.quadratic(6, condition=5.0)
    shift = np.random.default_rng(1).normal(size=6)

    def value(outer):
        found = hypergradient(problem.bilevel, ho.tensor(outer), Reverse(steps=300))
        return float(found.value)

    outer, h = problem.outer.numpy(), 1e-5
    slope = (value(outer + h * shift) - value(outer - h * shift)) / (2 * h)
    assert slope == pytest.approx(problem.exact @ shift, rel=1e-7)


def test_conjugate_gradients_need_the_fewest_products_and_reverse_mode_gets_there():
    problem = errors.at_solution(problems.quadratic(12, condition=10.0))
    points = errors.sweep(problem, errors.from_solution(problem), (2, 20), patience=10.0)
    best = {name: min(p.row.error for p in own) for name, own in errors.by_estimator(points).items()}
    assert best["CG"] < 1e-12
    assert best["GMRES"] < 1e-12
    assert best["Dense"] < 1e-12
    assert 1e-12 < best["Truncated"] < best["Identity"]
    assert best["Truncated"] == pytest.approx(best["FixedPoint"], rel=1e-6)
    cheapest = errors.first_below(errors.by_estimator(points)["CG"], 1e-6, lambda p: p.row.hessian_products)
    assert cheapest <= 14


def test_sweep_ends_at_a_failure_and_where_patience_does():
    problem = problems.quadratic(4, condition=2.0)
    points = errors.sweep(problem, {"Reverse": Reverse}, (2, 4, 8), patience=0.0)
    assert [p.budget for p in points] == [2]
    concave = dataclasses.replace(problem.bilevel, inner_loss=lambda w, outer: (w * outer).sum() - (w * w).sum())
    points = errors.sweep(
        dataclasses.replace(problem, bilevel=concave), {"CG": lambda k: Implicit(CG(steps=k), steps=0)}, (4, 8), 9.0
    )
    assert len(points) == 1
    assert "curvature" in points[0].row.failure
    assert "curvature" in errors.table("one", points, lambda p: p.evaluations, "evaluations")


def test_memory_grows_as_documented():
    bilevel, outer = memory.penalties(60)
    names = ("Reverse", 'Reverse, "sqrt"', "Truncated, last 10", "Forward", "Implicit, CG(20)", "PES, 10 pairs")
    peaks = memory.measure(bilevel, outer, (20, 80), names)
    power = {name: memory.growth([p for p in peaks if p.estimator == name]) for name in names}
    assert 0.85 < power["Reverse"] < 1.05
    assert 0.2 < power['Reverse, "sqrt"'] < 0.6
    assert all(power[name] < 0.35 for name in names[2:])


@pytest.mark.parametrize("make", [tasks.penalties, tasks.hypercleaning])
def test_value_of_a_place_is_that_of_the_exact_inner_solution(make):
    task = make(40)
    outer = np.random.default_rng(0).normal(size=task.outer.shape) * 0.02
    problem = dataclasses.replace(task.bilevel, batches=None)
    before = task.counter.examples
    found = hypergradient(problem, ho.tensor(outer), Implicit(steps=1500))
    assert task.counter.examples > before
    assert task.judge(outer) == pytest.approx(float(found.value), abs=1e-6)
    assert task.left(task.first) == 1
    assert task.left(task.goal) == 0


def test_batches_go_through_all_rows_in_every_epoch():
    batch = tasks.rows(10, 5, seed=0)
    first, second, third = (batch(number).numpy() for number in range(3))
    assert sorted([*first, *second]) == list(range(10))
    assert not np.array_equal(first, third)
    assert np.array_equal(first, tasks.rows(10, 5, seed=0)(0).numpy())


def test_curves_are_judged_by_what_they_reach():
    slow = convergence.Curve("slow", 1.0, 9, [1.0, 2.0], [1.0, 2.0], [0.4, 0.05])
    fast = convergence.Curve("fast", 1.0, 9, [0.5, 1.0], [1.0, 2.0], [0.3, 0.05])
    stuck = convergence.Curve("stuck", 1.0, 9, [0.1, 1.0], [1.0, 2.0], [0.3, 0.2])
    astray = convergence.Curve("astray", 1.0)
    assert sorted([astray, stuck, slow, fast], key=convergence.Curve.merit) == [fast, slow, stuck, astray]
    assert slow.cost(0.1, slow.epochs) == 2.0
    assert stuck.cost(0.1, stuck.epochs) is None


def test_published_numbers_are_met():
    found = published.figures(problems.quadratic(20, 50.0), problems.logistic())
    printed = [figure for figure in found if figure.source.endswith("notebook")]
    assert len(printed) == 9
    assert all(figure.ours == pytest.approx(figure.theirs, abs=2e-6) for figure in printed)
    rates = [figure for figure in found if figure.what.startswith("logistic: error of") and "factor" in figure.what]
    assert all(figure.ours == pytest.approx(0.885, abs=0.007) for figure in rates)
    bounds = [figure for figure in found if figure.source.endswith("theorem")]
    assert all(figure.ours < figure.theirs for figure in bounds)


def test_command_writes_tables_figures_and_plots(tmp_path, capsys):
    few = ["--only", "CG", "--only", "Reverse", "--only", "SOBA", "--quick", f"--output={tmp_path}"]
    assert command(["error", "memory", "convergence", *few]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert all(len(line) <= WIDTH for line in shown)
    assert any(line.startswith("SOBA") for line in shown)
    written = json.loads((tmp_path / "hypergradient.json").read_text())["results"]["parts"]
    assert set(written) == {"error", "memory", "convergence"}
    rows = written["error"]["logistic"]["inner solution given"]
    assert all(math.isfinite(row["error"]) for row in rows)
    for name in written:
        assert (tmp_path / f"hypergradient-{name}.png").read_bytes().startswith(b"\x89PNG")


def test_unknown_parts_are_answered_with_the_known_ones():
    with pytest.raises(SystemExit, match="There is no part 'errors': choose from error, memory, convergence, publ"):
        command(["errors"])
