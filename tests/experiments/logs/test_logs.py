"""Where metrics go besides metrics.jsonl, and what a person sees meanwhile."""

import csv
import io
import json
import sys
import types
from pathlib import Path

import pytest

from experiments.errors import UsageError
from experiments.logs import Tail, open_logs
from experiments.logs.progress import Progress
from experiments.store.tasks import Listed, TaskFolder

TASKS = [Listed("a", {"seed": 0}, 10), Listed("b", {"seed": 1}, 10)]


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for task in TASKS:
        TaskFolder(Path(), task.name).path.mkdir(parents=True)


def grow(name, first, last, **metrics):
    with open(f"tasks/{name}/metrics.jsonl", "a") as file:
        for step in range(first, last):
            file.write(json.dumps({"task": name, "step": step, "loss": 1 / step, **metrics}) + "\n")


def fill(logs):
    """Two tasks' lines in pieces, one of them half-written for a while."""
    tail = Tail(Path(), TASKS, logs)
    grow("a", 1, 3)
    tail.read()
    with open("tasks/b/metrics.jsonl", "a") as file:
        file.write('{"task": "b", "step"')
        file.flush()
        tail.read()
        file.write(': 1, "loss": 1.0, "note": "x"}\n')
    grow("a", 3, 5)
    tail.read()
    tail.read()
    for log in logs:
        log.close()


def test_csv_has_a_column_for_every_label_and_metric():
    fill(open_logs(["csv"], Path(), TASKS))
    rows = list(csv.DictReader(io.StringIO(Path("metrics.csv").read_text())))
    assert [(row["task"], row["seed"], row["step"]) for row in rows] == [
        ("a", "0", "1"), ("a", "0", "2"), ("a", "0", "3"), ("a", "0", "4"), ("b", "1", "1"),
    ]  # fmt: skip
    assert rows[1]["loss"] == "0.5"
    assert [row["note"] for row in rows] == ["", "", "", "", "x"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_gets_a_curve_a_metric():
    pytest.importorskip("tensorboardX", reason="tensorboardX, of the extra `tensorboard`, is not installed")
    for _ in range(2):  # the second time as a run that is resumed
        fill(open_logs(["tensorboard"], Path(), TASKS))
        for name in "ab":
            Path(f"tasks/{name}/metrics.jsonl").unlink()
    from tensorboardX.proto.event_pb2 import Event

    (path,) = Path("tensorboard/a").iterdir()
    content, found = path.read_bytes(), []
    while content:
        size = int.from_bytes(content[:8], "little")
        event = Event.FromString(content[12 : 12 + size])
        found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
        content = content[16 + size :]
    assert [(step, tag) for step, tag, _ in found] == [(1, "loss"), (2, "loss"), (3, "loss"), (4, "loss")]
    assert found[1][2] == 0.5


class Client:
    """As much of MLflow's client as is used."""

    runs: dict = {}  # noqa: RUF012  (shared, as a server is)

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name):
        return "1"

    def create_run(self, experiment, tags):
        name = tags["mlflow.runName"]
        self.runs[name] = {"metrics": [], "params": {}}
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=name))

    def log_param(self, run, key, value):
        self.runs[run]["params"][key] = value

    def log_metric(self, run, key, value, step):
        self.runs[run]["metrics"].append((key, value, step))

    def set_terminated(self, run):
        self.runs[run]["ended"] = True


def test_mlflow_gets_a_run_a_task_which_a_resumed_run_goes_on_with(monkeypatch):
    tracking = types.SimpleNamespace(MlflowClient=Client)
    monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace(tracking=tracking))
    monkeypatch.setitem(sys.modules, "mlflow.tracking", tracking)
    monkeypatch.setattr(Client, "runs", {})
    fill(open_logs(["mlflow"], Path().absolute(), TASKS))
    Tail(Path(), TASKS, logs := open_logs(["mlflow"], Path().absolute(), TASKS)).read()
    grow("a", 5, 6)
    Tail(Path(), TASKS, logs).read()
    first = Client.runs[f"{Path().absolute().name}/a"]
    assert [step for _, _, step in first["metrics"]] == [1, 2, 3, 4, 5]
    assert first["params"] == {"seed": 0}
    assert first["ended"]


@pytest.mark.parametrize(
    ("name", "module", "extra"), [("tensorboard", "tensorboardX", "tensorboard"), ("mlflow", "mlflow", "mlflow")]
)
def test_a_missing_library_names_its_extra(monkeypatch, name, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"hograd\[{extra}\]"):
        open_logs([name], None, [])


def test_an_unknown_log_is_refused():
    with pytest.raises(UsageError, match="'excel', expected csv, tensorboard, mlflow"):
        open_logs(["excel"], None, [])


def watch(stream, monkeypatch, quiet=False):
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(Path(), TASKS, [], quiet=quiet) as progress:
        for step in range(1, 11):
            TaskFolder(Path(), "a").show_progress(step, f"loss {1 / step:.2f}")
            progress._try(progress._show)


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


def test_plain_lines_where_there_is_no_terminal(monkeypatch):
    stream = Stream(False)
    watch(stream, monkeypatch)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("2/20 steps, 0/2 tasks, ")
    assert lines[-1].startswith("10/20 steps, 1/2 tasks, ")
    assert lines[-1].endswith("a: loss 0.10")
    assert "steps/s" in lines[-1]
    assert "\r" not in stream.getvalue()


def test_bars_on_a_terminal(monkeypatch):
    stream = Stream(True)
    watch(stream, monkeypatch)
    assert "loss 0.11" in stream.getvalue()
    assert "/s" in stream.getvalue()


def test_nothing_when_quiet(monkeypatch):
    stream = Stream(True)
    watch(stream, monkeypatch, quiet=True)
    assert stream.getvalue() == ""


class Full(Stream):
    def write(self, text):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "stream",
    [None, Full(False), Full(True), io.TextIOWrapper(io.BytesIO(), "ascii")],
    ids=["none", "full", "full terminal", "ascii"],
)
def test_a_stream_that_takes_nothing_does_not_end_the_run(monkeypatch, stream):
    watch(stream, monkeypatch)


def test_a_closed_stream_does_not_end_the_run(monkeypatch):
    stream = io.StringIO()
    stream.close()
    watch(stream, monkeypatch)
