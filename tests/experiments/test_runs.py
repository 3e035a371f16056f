"""Small runs of both experiments, end to end through the command line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from experiments.problems import digits_learning_rates, maml_sinusoid

WRITTEN = {
    "digits": [
        "learning_rates.png",
        "validation_loss.png",
        "learned/seed3.yaml",
        "learned/seed5.safetensors",
    ],
    "sinusoid": ["adapted_sinusoids.png", "adaptation.png", "learned/seed2.safetensors"],
}
ALWAYS = ["config.yaml", "environment.json", "metrics.jsonl", "summary.json", "table.txt"]


def records(folder: Path, kind: str | None = None) -> list[dict]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if kind in (None, line["kind"])]


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def check_complete(folder: Path, experiment: str) -> None:
    for name in [*ALWAYS, *WRITTEN[experiment]]:
        assert (folder / name).stat().st_size > 0, name
    for image in folder.glob("*.png"):
        assert image.read_bytes().startswith(b"\x89PNG")
    assert not [path for path in folder.rglob("*") if "partial" in path.name]
    assert not [path for path in folder.parent.iterdir() if "partial" in path.name]


def test_digits_from_start_to_end(hograd, workplace):
    result = hograd("run", "digits.yaml")
    assert result.code == 0
    folder = workplace / "runs/digits"
    check_complete(folder, "digits")
    assert (folder / "table.txt").read_text().strip() in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    assert "runs/digits" in result.out
    assert "validation loss" in result.err

    learning, grid = records(folder, "learning"), records(folder, "grid")
    assert [(line["seed"], line["outer_step"]) for line in learning] == [(s, k) for s in (3, 5) for k in range(5)]
    assert len(grid) == 2 * 6
    found = summary(folder)
    assert found["status"] == "finished"
    for seed in (3, 5):
        results = found["results"][str(seed)]
        losses = [line["validation_loss"] for line in learning if line["seed"] == seed]
        assert results["learned"]["validation_loss"] == min(losses) < losses[0]
        assert results["learned"]["last_validation_loss"] == losses[-1]
        assert results["learned"]["inner_trainings"] == 5
        assert results["grid"]["inner_trainings"] == 6
        assert results["grid"]["validation_loss"] == min(p["validation_loss"] for p in grid if p["seed"] == seed)
        passed = [count for count, loss in enumerate(losses, 1) if loss < results["grid"]["validation_loss"]]
        assert results["learned"]["inner_trainings_to_pass_grid"] == (passed[0] if passed else None)

        exact = load_file(folder / f"learned/seed{seed}.safetensors")
        readable = yaml.safe_load((folder / f"learned/seed{seed}.yaml").read_text())
        assert exact["learning_rates"].shape == (5,)
        assert np.all(exact["learning_rates"] > 0)
        assert 0 < exact["momentum"] < 1
        for name, value in exact.items():
            np.testing.assert_allclose(readable[name], value, rtol=1e-5)
            assert np.all(value != {"learning_rates": 0.5, "momentum": 0.9, "l2": 1e-4}[name])


def test_a_grid_point_is_what_plain_numpy_gives(hograd, workplace):
    """The grid and step 0 of learning, against softmax regression written out by hand."""
    from experiments.data.digits import load_split

    hograd("run", "digits.yaml", "seeds=[3]", "initial={lr: 0.1, momentum: 0.5, l2: 0.01}", "outer_steps=1")
    split = load_split(0.1, 0.25, 3)
    target = np.eye(10)[split.train.digits]
    weight, bias = np.zeros((64, 10)), np.zeros(10)
    weight_velocity, bias_velocity = np.zeros((64, 10)), np.zeros(10)
    for _ in range(5):
        scores = np.exp(split.train.pixels @ weight + bias)
        error = (scores / scores.sum(1, keepdims=True) - target) / len(target)
        weight_velocity = 0.5 * weight_velocity + split.train.pixels.T @ error + 0.01 * weight
        bias_velocity = 0.5 * bias_velocity + error.sum(0) + 0.01 * bias
        weight, bias = weight - 0.1 * weight_velocity, bias - 0.1 * bias_velocity
    scores = split.validation.pixels @ weight + bias
    chosen = scores[np.arange(len(scores)), split.validation.digits]
    expected = np.mean(np.log(np.exp(scores).sum(1)) - chosen)
    folder = workplace / "runs/digits"
    assert records(folder, "learning")[0]["validation_loss"] == pytest.approx(expected, rel=1e-10)
    point = records(folder, "grid")[0]
    assert (point["lr"], point["momentum"]) == (pytest.approx(0.1), 0.5)
    assert point["validation_loss"] == pytest.approx(expected, rel=1e-10)
    scores = split.test.pixels @ weight + bias
    assert point["test_accuracy"] == np.mean(scores.argmax(1) == split.test.digits)


def test_the_schedule_beats_the_grid_on_the_digits(hograd, workplace):
    """The claim of the main job, at a quarter of its size."""
    (workplace / "claim.yaml").write_text("experiment: digits_learning_rates\nseeds: [0]\n")
    small = ["inner_steps=25", "outer_steps=60", "outer_lr=0.1", "grid.learning_rates.count=6"]
    assert hograd("run", "claim.yaml", *small).code == 0
    results = summary(workplace / "runs/claim")["results"]["0"]
    assert results["learned"]["validation_loss"] < results["grid"]["validation_loss"]
    assert results["learned"]["inner_trainings_to_pass_grid"] <= 61


def test_the_best_hyperparameters_are_kept_when_the_outer_loop_overshoots(hograd, workplace):
    assert hograd("run", "digits.yaml", "seeds=[3]", "outer_lr=1.5").code == 0
    folder = workplace / "runs/digits"
    learning = records(folder, "learning")
    best = min(learning, key=lambda line: line["validation_loss"])
    assert 0 < best["outer_step"] < learning[-1]["outer_step"]
    results = summary(folder)["results"]["3"]["learned"]
    assert results["outer_step"] == best["outer_step"]
    learned = load_file(folder / "learned/seed3.safetensors")
    assert float(learned["momentum"]) == results["momentum"] == best["momentum"] != learning[-1]["momentum"]
    assert float(learned["l2"]) == results["l2"] == best["l2"]
    assert learned["learning_rates"].mean() == best["mean_learning_rate"]


def test_sinusoid_from_start_to_end(hograd, workplace):
    result = hograd("run", "sinusoid.yaml", "seeds=[2, 4]")
    assert result.code == 0
    folder = workplace / "runs/sinusoid"
    check_complete(folder, "sinusoid")
    assert (folder / "table.txt").read_text().strip() in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    assert [line["outer_step"] for line in records(folder, "learning")] == [*range(6), *range(6)]
    found = summary(folder)
    assert found["status"] == "finished"
    for seed in ("2", "4"):
        after = found["results"][seed]["after_steps"]
        assert list(after) == ["0", "1", "3"]
        assert all(point["mean_squared_error"] > 0 and point["half_width_95"] > 0 for point in after.values())
        assert after["0"]["mean_squared_error"] > after["1"]["mean_squared_error"] > after["3"]["mean_squared_error"]
    arrays = load_file(folder / "learned/seed2.safetensors")
    assert {name: array.shape for name, array in arrays.items()} == {
        "layers.0.weight": (1, 8),
        "layers.0.bias": (8,),
        "layers.1.weight": (8, 8),
        "layers.1.bias": (8,),
        "layers.2.weight": (8, 1),
        "layers.2.bias": (1,),
    }
    assert {array.dtype for array in arrays.values()} == {np.dtype("float32")}


def test_the_first_maml_losses_are_what_plain_numpy_gives(hograd, workplace):
    """Adaptation by one gradient step, its derivative and Adam, against central differences and a loop."""
    from experiments.data.sinusoids import sample_tasks

    sizes = ["seeds=[2]", "hidden=[3]", "iterations=3", "dtype=float64", "support_points=4", "query_points=5"]
    hograd("run", "sinusoid.yaml", *sizes, "outer_lr=0.1", "inner_lr=0.1")
    training, _, weights = map(np.random.default_rng, np.random.SeedSequence(2).spawn(3))
    shapes = [(1, 3), (3,), (3, 1), (1,)]
    flat = np.concatenate(
        [weights.uniform(-b, b, np.prod(s)) for s, b in zip(shapes, [1, 1, 3**-0.5, 3**-0.5], strict=True)]
    )

    def error(flat, points):
        first, first_bias, second, second_bias = np.split(flat, np.cumsum([3, 3, 3]))
        hidden = np.maximum(points[0] * first + first_bias, 0)
        return np.mean((hidden @ second + second_bias - points[1][:, 0]) ** 2)

    def gradient(function, flat, step):
        moves = step * np.eye(len(flat))
        return np.array([(function(flat + move) - function(flat - move)) / (2 * step) for move in moves])

    def meta_loss(flat, tasks):
        losses = []
        for support, query in zip(zip(*tasks.support, strict=True), zip(*tasks.query, strict=True), strict=True):
            adapted = flat - 0.1 * gradient(lambda flat, s=support: error(flat, s), flat, 1e-6)
            losses.append(error(adapted, query))
        return np.mean(losses)

    expected, mean, square = [], 0.0, 0.0
    for step in (1, 2, 3):
        tasks = sample_tasks(training, 4, 4, 5)
        expected.append(meta_loss(flat, tasks))
        slope = gradient(lambda flat, tasks=tasks: meta_loss(flat, tasks), flat, 1e-5)
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        flat = flat - 0.1 * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    found = [line["adapted_loss"] for line in records(workplace / "runs/sinusoid", "learning")]
    assert found == pytest.approx(expected, rel=1e-5)
    hograd("run", "sinusoid.yaml", *sizes, "outer_lr=0.1", "inner_lr=0.1", "order=1", "--overwrite")
    first_order = [line["adapted_loss"] for line in records(workplace / "runs/sinusoid", "learning")]
    assert first_order[0] == found[0]
    assert first_order[2] != pytest.approx(found[2], rel=1e-3)


@pytest.mark.parametrize("experiment", ["digits", "sinusoid"])
def test_two_runs_of_one_config_give_the_same_metrics(experiment, hograd, workplace):
    hograd("run", f"{experiment}.yaml", "--output", "first")
    hograd("run", "first/config.yaml", "--output", "second")

    def timeless(folder):
        return [{key: value for key, value in line.items() if key != "seconds"} for line in records(workplace / folder)]

    assert timeless("first") == timeless("second")
    assert len(timeless("first")) > 5
    for name in (path.name for path in (workplace / "first/learned").iterdir()):
        assert (workplace / "first/learned" / name).read_bytes() == (workplace / "second/learned" / name).read_bytes()


@pytest.mark.parametrize("experiment", ["digits", "sinusoid"])
def test_environment_and_config_are_recorded(experiment, hograd, workplace):
    hograd("run", f"{experiment}.yaml", "seeds=[9]", "output=here", "--quiet")
    environment = json.loads((workplace / "here/environment.json").read_text())
    assert environment["seeds"] == [9]
    assert environment["versions"]["numpy"] == np.__version__
    assert {"python", "hograd", "scipy", "optree", "scikit-learn"} <= set(environment["versions"])
    resolved = yaml.safe_load((workplace / "here/config.yaml").read_text())
    assert resolved["seeds"] == [9]
    assert resolved["output"] == "here"
    assert resolved["outer_lr"] > 0


def test_quiet_prints_the_table_alone(hograd, workplace):
    result = hograd("run", "digits.yaml", "--quiet")
    assert result.err == ""
    assert (workplace / "runs/digits/table.txt").read_text().strip() in result.out


INTERRUPTIONS = {
    "digits": (digits_learning_rates, "hypergradient", 3),
    "sinusoid": (maml_sinusoid, "sample_tasks", 1 + 3),  # the first call draws the held-out tasks
}


@pytest.mark.parametrize("experiment", INTERRUPTIONS)
def test_an_interrupted_run_leaves_a_complete_folder(experiment, hograd, workplace, monkeypatch):
    module, name, last = INTERRUPTIONS[experiment]
    original, calls = getattr(module, name), []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) > last:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(module, name, interrupted)
    result = hograd("run", f"{experiment}.yaml", "seeds=[3]" if experiment == "digits" else "seeds=[2]")
    assert result.code == 130
    assert "Interrupted" in result.out
    folder = workplace / "runs" / experiment
    monkeypatch.setitem(WRITTEN, "digits", [name.replace("5", "3") for name in WRITTEN["digits"]])
    check_complete(folder, experiment)
    assert [line["outer_step"] for line in records(folder, "learning")] == [0, 1, 2]
    assert summary(folder)["status"] == "interrupted"
    assert summary(folder)["results"]


def test_an_interrupt_before_anything_was_learned_leaves_a_folder_too(hograd, workplace, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(digits_learning_rates, "load_split", interrupted)
    result = hograd("run", "digits.yaml")
    assert result.code == 130
    assert summary(workplace / "runs/digits")["status"] == "interrupted"
    for name in ALWAYS:
        assert (workplace / "runs/digits" / name).exists()


@pytest.mark.skipif(os.name != "posix", reason="signals to another process")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_run_in_good_order(number, code, workplace):
    # A shell's background job ignores SIGINT, and what it starts does too: the command is started as from a terminal.
    code_of_command = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from experiments.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code_of_command, "run", "sinusoid.yaml", "iterations=1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        metrics = workplace / "runs/sinusoid/metrics.jsonl"
        deadline = time.monotonic() + 60
        while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Interrupted" in out
    assert "Traceback" not in err
    check_complete(workplace / "runs/sinusoid", "sinusoid")
    assert summary(workplace / "runs/sinusoid")["status"] == "interrupted"


NOT_FINITE = {
    "L2 at the start": (["initial.l2=1e80"], 0, r"l2 = 1e\+80 .*with l2 = 0 it is finite.*initial\.l2"),
    "a leap of the outer step": (["outer_lr=1e4"], 1, r"(learning_rates\[\d\]|l2) = .*outer_lr"),
}


@pytest.mark.parametrize(("overrides", "step", "pattern"), NOT_FINITE.values(), ids=NOT_FINITE)
def test_a_loss_that_is_not_finite_names_the_hyperparameter(overrides, step, pattern, hograd, workplace):
    result = hograd("run", "digits.yaml", "seeds=[3]", *overrides)
    assert result.code == 1
    assert f"seed 3, outer step {step}: " in result.err
    assert re.search(pattern, result.err)
    assert "Traceback" not in result.err
    folder = workplace / "runs/digits"
    assert len(records(folder, "learning")) == step
    found = summary(folder)
    assert found["status"] == "failed"
    assert f"outer step {step}: " in found["error"]
    for name in ALWAYS:
        assert (folder / name).exists()


@pytest.mark.parametrize(
    ("overrides", "culprit"),
    [(["inner_lr=1e30"], "inner_lr = 1e+30"), (["outer_lr=1e30"], "outer_lr = 1e+30")],
)
def test_a_meta_loss_that_is_not_finite_names_the_learning_rate(overrides, culprit, hograd, workplace):
    result = hograd("run", "sinusoid.yaml", *overrides)
    assert result.code == 1
    assert culprit in result.err
    assert "outer step" in result.err
    assert summary(workplace / "runs/sinusoid")["status"] == "failed"
    json.loads((workplace / "runs/sinusoid/summary.json").read_text(), parse_constant=pytest.fail)


def test_a_defect_keeps_what_was_written_and_shows_its_traceback(hograd, workplace, monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(digits_learning_rates, "hypergradient", broken)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        hograd("run", "digits.yaml")
    assert summary(workplace / "runs/digits")["status"] == "failed"
    assert "a defect" in summary(workplace / "runs/digits")["error"]


def test_an_existing_run_is_only_replaced_on_request(hograd, workplace, files):
    quick = ["run", "digits.yaml", "seeds=[3]", "outer_steps=1", "--quiet"]
    assert hograd(*quick).code == 0
    before = files()
    result = hograd(*quick)
    assert result.code == 2
    for part in ("runs/digits", "exists already", "--output", "--overwrite"):
        assert part in result.err
    assert files() == before
    (workplace / "runs/digits/learned/stale.yaml").touch()
    assert hograd(*quick, "--overwrite").code == 0
    assert not (workplace / "runs/digits/learned/stale.yaml").exists()
    assert set(ALWAYS) <= {path.name for path in (workplace / "runs/digits").iterdir()}


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]], ids=["plain", "overwrite"])
@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("photos", "not of a run"),
        ("digits.yaml", "not a folder"),
        ("digits.yaml/run", "cannot be written"),
        ("/proc/nowhere/run", "cannot be written"),
        ("x" * 300, "cannot be written"),
        (".", "not of a run"),
    ],
)
def test_a_folder_that_is_not_ours_is_left_alone(place, expected, overwrite, hograd, workplace, files):
    (workplace / "photos").mkdir()
    (workplace / "photos/holiday.jpg").touch()
    before = files()
    result = hograd("run", "digits.yaml", "--output", place, *overwrite)
    assert result.code == 2
    assert expected in result.err
    assert place in result.err
    assert "Traceback" not in result.err
    assert files() == before


def test_an_empty_folder_is_used(hograd, workplace):
    (workplace / "here").mkdir()
    assert hograd("run", "digits.yaml", "--output", "here", "outer_steps=1", "seeds=[3]", "--quiet").code == 0
    assert set(ALWAYS) <= {path.name for path in (workplace / "here").iterdir()}
