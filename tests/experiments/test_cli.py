"""The command: what it prints and leaves, its exit codes, and its words for mistakes."""

import json
import os
import subprocess
import sys

import pytest
import yaml

import hograd as ho
from experiments.cli import main


def test_run_leaves_a_complete_folder_and_prints_its_table(hograd, workplace):
    result = hograd("run", "small.yaml", "--output", "runs/a", "--quiet")
    assert result.code == 0, result.err
    assert result.err == ""
    folder = workplace / "runs" / "a"
    names = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "environment.json", "metrics.jsonl", "results.json", "status.json", "table.txt",
            "report.html", "plots", "tasks"} <= names  # fmt: skip
    assert "Read it: runs/a/report.html" in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    assert (folder / "table.txt").read_text().strip() in result.out
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert len([line for line in lines if line["task"] == "seed3-learned"]) == 4
    assert json.loads((folder / "status.json").read_text())["status"] == "finished"


def test_the_resolved_config_repeats_the_run_to_the_bit(hograd, workplace):
    assert hograd("run", "small.yaml", "outer.steps=2", "--output", "first", "--quiet").code == 0
    assert hograd("run", "first/config.yaml", "--output", "second", "--quiet").code == 0
    for name in ("metrics.jsonl", "results.json", "tasks/seed3-learned/result.safetensors"):
        assert (workplace / "first" / name).read_bytes() == (workplace / "second" / name).read_bytes()


def test_components_are_exchanged_on_the_command_line(hograd, workplace):
    changes = ["inner.optimizer.name=Adam", "model.name=mlp", "model.hidden=[4]", "outer.method.name=Forward"]
    result = hograd("run", "small.yaml", *changes, "seeds=[0]", "baselines=[]", "--output", "a")
    assert result.code == 0, result.err
    notes = [line for line in result.err.splitlines() if line.startswith("hograd: note: ")]
    assert any("inner.optimizer.momentum (small.yaml:6:" in note for note in notes)
    config = yaml.safe_load((workplace / "a" / "config.yaml").read_text())
    assert config["inner"]["optimizer"]["betas"] == [0.9, 0.999]
    assert config["model"] == {"name": "mlp", "hidden": [4], "activation": "relu", "bias": True, "norm": "none"}


def test_an_exchanged_optimizer_learns_and_searches_what_it_has(hograd, workplace):
    (workplace / "both.yaml").write_text(
        (workplace / "small.yaml").read_text().split("learn:")[0]
        + "outer: {steps: 0}\n"
        + "learn: {optimizer.lr: {}, optimizer.momentum: {}}\n"
        + "baselines: [{name: grid, over: {optimizer.lr: {values: [0.1]}, optimizer.momentum: {values: [0.5]}}}]\n"
    )
    result = hograd("run", "both.yaml", "inner.optimizer.name=Adam", "model.name=mlp", "seeds=[0]", "--output", "a")
    assert result.code == 0, result.err
    assert result.err.count("is left out: Adam has no such hyperparameter") == 2
    config = yaml.safe_load((workplace / "a" / "config.yaml").read_text())
    assert list(config["learn"]) == ["optimizer.lr"]
    assert list(config["baselines"][0]["over"]) == ["optimizer.lr"]
    refused = hograd("run", "both.yaml", "learn[optimizer.momentun]={}", "inner.optimizer.name=Adam")
    assert refused.code == 2
    assert "Adam has no such hyperparameter; it has lr, betas" in refused.err


def test_default_folder_and_latest(hograd, workplace):
    assert hograd("run", "small.yaml", "seeds=[0]", "outer.steps=0", "baselines=[]", "--quiet").code == 0
    latest = workplace / "runs" / "small" / "latest"
    assert (latest / "report.html").is_file()
    before = (latest / "report.html").read_text()
    (latest / "report.html").unlink()
    result = hograd("report", "runs/small/latest")
    assert result.code == 0
    assert (latest / "report.html").read_text() == before
    assert hograd("resume", "runs/small/latest", "--quiet").code == 0


def test_a_taken_folder_is_refused_and_left_alone(hograd, files):
    arguments = ["small.yaml", "seeds=[0]", "outer.steps=0", "baselines=[]", "--output", "a", "--quiet"]
    assert hograd("run", *arguments).code == 0
    before = files()
    result = hograd("run", *arguments)
    assert result.code == 2
    assert "--overwrite" in result.err
    assert files() == before
    assert hograd("run", *arguments, "--overwrite").code == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "gone.yaml"], "gone.yaml: cannot be read: No such file or directory"),
        (["run", "smal.yaml"], "did you mean small.yaml?"),
        (["run", "small.yaml", "outer.stepz=3"], "unknown key 'outer.stepz'; did you mean 'steps'?"),
        (["run", "small.yaml", "outer.method=Implicit"], "its derivative by optimizer.lr is 0"),
        (["run", "small.yaml", "--output", ""], "--output is empty; expected a folder"),
        (["run", "small.yaml", "experiment=meta_"], "'experiment=meta_': unknown experiment 'meta_'"),
        (["run", "small.yaml", "data.train=5000"], "data.train: 5000 of 1,797 examples"),
        (["run", "small.yaml", "model={name: mlp, hidden: [1000000000000]}"], "memory"),
        (["run", "small.yaml", "inner.steps=1000000000"], "memory"),
        (["run", "."], ".: cannot be read: it is a folder, expected a file"),
        (["validate", "small.yaml", "seeds=[0,0]"], "seeds: 0 stands twice"),
        (["resume", "nothing"], "nothing"),
        (["report", "."], "is not the folder of a run"),
        (["compare", "."], "compare needs two runs or more"),
        (["list", "optimisers"], "'optimisers' is no kind of component; did you mean 'optimizers'"),
        (["copy", "digits"], "no config named 'digits' comes with hograd; did you mean"),
        (["run", "small.yaml", "--quite"], "unknown argument --quite; did you mean --quiet?"),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2_and_writes_nothing(hograd, files, arguments, expected):
    before = files()
    result = hograd(*arguments)
    assert result.code == 2, result.err
    assert expected in result.err
    assert "Traceback" not in result.err
    assert files() == before


def test_compare_puts_runs_side_by_side(hograd, workplace):
    for name, steps in (("a", 1), ("b", 2)):
        arguments = [f"outer.steps={steps}", "seeds=[0]", "baselines=[]", "--quiet", "--output", name]
        assert hograd("run", "small.yaml", *arguments).code == 0
    result = hograd("compare", "a", "b")
    assert result.code == 0, result.err
    assert max(map(len, result.out.splitlines())) <= 80
    words = " ".join(result.out.split())
    assert "learned trainings 2.000 3.000" in words
    assert "outer.steps 1 2" in words
    assert "outer.steps" in (workplace / "comparison.html").read_text()


def test_validate_prints_every_default_and_writes_nothing(hograd, files):
    before = files()
    result = hograd("validate", "small.yaml")
    assert result.code == 0
    assert yaml.safe_load(result.out)["outer"]["optimizer"]["betas"] == [0.9, 0.999]
    assert files() == before


def test_own_components_need_trust(hograd, workplace):
    (workplace / "mine.py").write_text(
        "from experiments.components import register\n"
        "from optim import SGD\n"
        "register('optimizer', 'tests_cli')(type('Mine', (SGD,), {'__doc__': 'My own.'}))\n"
    )
    arguments = ["small.yaml", "module=mine.py", "inner.optimizer.name=tests_cli", "seeds=[0]", "outer.steps=0"]
    refused = hograd("run", *arguments)
    assert refused.code == 2
    assert "would be run as Python code" in refused.err
    assert "--trust" in refused.err
    result = hograd("run", *arguments, "--trust", "--quiet", "--output", "a", "executor=processes", "workers=2")
    assert result.code == 0, result.err
    assert hograd("report", "a").code == 2
    assert hograd("report", "a", "--trust").code == 0


def test_schema_lists_and_copies(hograd, workplace):
    schema = hograd("schema")
    assert schema.code == 0
    assert "bilevel" in json.loads(schema.out)["properties"]["experiment"]["enum"]
    listed = hograd("list")
    assert "digits_learning_rates" in listed.out
    assert max(map(len, listed.out.splitlines())) <= 80
    assert hograd("copy", "penalised_logistic").code == 0
    again = hograd("copy", "penalised_logistic")
    assert again.code == 2
    assert "exists already" in again.err
    assert hograd("validate", "penalised_logistic.yaml").code == 0


def test_help_of_every_command_fits_a_terminal(hograd):
    for command in ("run", "resume", "sweep", "report", "compare", "validate", "schema", "list", "copy"):
        result = hograd(command, "--help")
        assert result.code == 0
        assert max(map(len, result.out.splitlines())) <= 80
    assert hograd("--version").out == f"hograd {ho.__version__}\n"
    assert hograd().code == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_streams_that_cannot_be_written_are_no_tracebacks(workplace):
    command = [sys.executable, "-c", "import sys; from experiments.cli import main; sys.exit(main())"]
    with open("/dev/full", "w") as full:
        ended = subprocess.run([*command, "list"], stdout=full, stderr=subprocess.PIPE, text=True, cwd=workplace)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "MPLBACKEND": "nonsense"}
    options = ["seeds=[0]", "outer.steps=0", "baselines=[]", "--output", "ü", "--quiet"]
    ended = subprocess.run(
        [*command, "run", "small.yaml", *options], capture_output=True, cwd=workplace, env=ascii_only
    )
    assert b"Traceback" not in ended.stderr
    assert ended.returncode == 0, ended.stderr


def test_interrupts_are_exit_codes(monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.commands.listing.overview", interrupted)
    assert main(["list"]) == 130
