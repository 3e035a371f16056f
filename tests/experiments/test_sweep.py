"""Sweeps: values chosen by Optuna, shared by processes, taken up again where they were broken off."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("optuna")

SWEEP = "sweep={outer.optimizer.lr: [0.01, 0.1], inner.steps: {low: 2, high: 4}}"
SHORT = ["seeds=[0]", "outer.steps=1", "baselines=[]"]


def rows(text):
    """The cells of the first table."""
    lines = text.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("---"))
    end = next(index for index, line in enumerate(lines) if index > start and not line)
    return [line.split() for line in lines[start + 1 : end]]


def test_a_grid_runs_every_combination_and_names_the_best(hograd, workplace):
    result = hograd("sweep", "small.yaml", *SHORT, SWEEP, "--sampler", "grid", "--output", "s", "--quiet")
    assert result.code == 0, result.err
    assert "Best of 6 trials: " in result.out
    values = {(row[1], row[2]) for row in rows(result.out)}
    assert values == {(rate, steps) for rate in ("0.01", "0.1") for steps in ("2", "3", "4")}
    assert (workplace / "s" / "report.html").is_file()
    best = rows(result.out)[0]
    figures = json.loads((workplace / "s" / "trials" / f"{int(best[0]) - 1:04d}" / "results.json").read_text())
    assert float(best[3]) == pytest.approx(figures["figures"][0]["figures"]["validation_loss"], rel=1e-3)


def test_more_trials_go_on_with_the_same_study_and_another_config_is_refused(hograd, workplace):
    options = ["--sampler", "random", "--output", "s", "--quiet"]
    assert hograd("sweep", "small.yaml", *SHORT, SWEEP, "--trials", "2", *options).code == 0
    result = hograd("sweep", "small.yaml", *SHORT, SWEEP, "--trials", "3", *options)
    assert "Best of 3 trials: " in result.out
    refused = hograd("sweep", "small.yaml", *SHORT, SWEEP, "outer.steps=2", "--trials", "3", *options)
    assert refused.code == 2


def test_two_processes_share_a_sweep(workplace):
    command = [sys.executable, "-c", "import sys; from experiments.cli import main; sys.exit(main())"]
    arguments = ["sweep", "small.yaml", *SHORT, SWEEP, "--sampler", "grid", "--output", "s", "--quiet"]
    both = [
        subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True, cwd=workplace) for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert any("Best of 6 trials: " in output for output in outputs)
    assert len(list((workplace / "s" / "trials").glob("0*/results.json"))) == 6


def test_a_trial_that_was_broken_off_is_taken_up_again(hograd, workplace):
    from experiments.sweep import Study, space

    ranges = space({"outer.optimizer.lr": [0.01, 0.1], "inner.steps": {"low": 2, "high": 4}})
    assert hograd("sweep", "small.yaml", *SHORT, SWEEP, "--sampler", "grid", "--trials", "1", "--output", "s",
                  "--quiet").code == 0  # fmt: skip
    other = workplace / "t"
    (other / "trials").mkdir(parents=True)
    study = Study(other, ranges, "random", 2)
    with study.next() as found:
        number, values = found
    with study.next() as again:
        assert again == (number, values)
        study.tell(number, 0.5)
    with study.next() as fresh:
        assert fresh[0] != number


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "the config has no key 'sweep'"),
        (["sweep={outer.lr: [0.1]}"], "unknown key 'outer.lr'"),
        (["sweep={inner.steps: [5, 0]}"], "inner.steps: found 0"),
        (["sweep={inner.steps: {low: 0, high: 4, log: true}}"], "low > 0 with log"),
        (["sweep={inner.steps: []}"], "sweep[inner.steps]: found an empty list"),
        (["sweep={inner.steps: [2]}", "--trials", "0"], "--trials is 0, expected at least 1"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_anything_is_written(hograd, files, arguments, expected):
    before = files()
    result = hograd("sweep", "small.yaml", *SHORT, *arguments)
    assert result.code == 2
    assert expected in result.err
    assert files() == before
