"""Runs from start to end, resumed, failing, and refused; the same bits on every executor."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import hograd as ho
from experiments.errors import OutputError, UsageError
from experiments.execute import map_tasks, open_executor
from experiments.execute.settings import Settings
from experiments.store import tasks as stored

pytest.importorskip("filelock")
pytest.importorskip("threadpoolctl")

COUNTER = {"kind": "counter", "steps": 10, "seeds": [0, 1], "executor": "serial", "checkpoint": {"every_steps": 3}}
TRAINING = {"kind": "training", "steps": 60, "seeds": [3, 5], "count": 2, "checkpoint": {"every_steps": 7, "keep": 2}}


def checkpoints(name="seed-0-0", folder="run"):
    return sorted(int(p.stem.split("-")[1]) for p in Path(folder, "tasks", name, "checkpoints").iterdir())


def test_a_run_leaves_all_that_a_report_needs(run_here):
    reported = []
    ended = run_here(COUNTER, report=lambda folder, outcomes: reported.append((folder, outcomes)))
    assert (ended.status, ended.exit_code, ended.errors) == ("finished", 0, ())
    assert reported == [(Path("run").absolute(), ended.outcomes)]
    assert [outcome.name for outcome in ended.outcomes] == ["seed-0-0", "seed-1-0"]
    first = ended.outcomes[0]
    assert first.labels == {"seed": 0, "number": 0}
    assert first.status == "finished"
    assert first.result["n"] == 10
    np.testing.assert_array_equal(first.result["squares"], np.arange(10) ** 2)
    assert first.metrics[3] == {"task": "seed-0-0", "step": 4, "square": 9.0, "odd": "yes"}
    joined = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert joined == [*ended.outcomes[0].metrics, *ended.outcomes[1].metrics]
    results = json.loads(Path("run/results.json").read_text())
    assert [entry["result"]["n"] for entry in results] == [10, 10]
    assert json.loads(Path("run/status.json").read_text())["status"] == "finished"
    assert not list(Path("run").rglob("*.partial"))
    assert not list(Path("run").rglob("progress.json"))
    assert [o.metrics for o in stored.outcomes(Path("run"))] == [o.metrics for o in ended.outcomes]


def test_the_last_checkpoints_and_the_best_are_kept(run_here):
    # Scores are smallest at step 4; of the steps that are saved, at step 3.
    run_here({**COUNTER, "checkpoint": {"every_steps": 3, "keep": 2}})
    assert checkpoints() == [3, 9, 10]
    run_here({**COUNTER, "checkpoint": {"every_steps": 1, "keep": 1}}, "other")
    assert checkpoints(folder="other") == [4, 10]
    run_here({**COUNTER, "checkpoint": {"every_seconds": 1e-9, "keep": 3}}, "clock")
    assert checkpoints(folder="clock") == [10]


@pytest.mark.parametrize("kind", ["counter", "training", "noise"])
def test_processes_give_the_bits_of_serial(run_here, kept, kind):
    values = {**TRAINING, "kind": kind}
    for executor in ("serial", "processes"):
        ended = run_here({**values, "executor": executor, "workers": 2}, executor)
        assert ended.exit_code == 0, ended.errors
    assert kept("serial") == kept("processes")


def test_a_dask_cluster_of_processes_gives_the_bits_of_serial(run_here, start, kept):
    pytest.importorskip("distributed", reason="dask.distributed, of the extra `cluster`, is not installed")
    run_here({**TRAINING, "executor": "serial"}, "serial")
    process = start("run", {**TRAINING, "executor": "dask", "workers": 2}, "dask")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert kept("dask") == kept("serial"), out


def test_a_running_dask_cluster_is_used_by_its_address(run_here, start, kept, tmp_path):
    distributed = pytest.importorskip(
        "distributed", reason="dask.distributed, of the extra `cluster`, is not installed"
    )
    assert distributed
    import subprocess

    run_here({**TRAINING, "executor": "serial"}, "serial")
    code = (
        "import sys\nfrom distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:\n"
        "        print(cluster.scheduler_address, flush=True)\n"
        "        sys.stdin.read()\n"
    )
    (tmp_path / "cluster.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent / "programs")}
    with subprocess.Popen(
        [sys.executable, "cluster.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as cluster:
        try:
            address = cluster.stdout.readline().strip()
            process = start("run", {**TRAINING, "executor": {"dask": address}}, "dask")
            _, err = process.communicate(timeout=120)
        finally:
            cluster.stdin.close()
            cluster.wait(60)
    assert process.returncode == 0, err
    assert kept("dask") == kept("serial")


def test_no_scheduler_at_an_address_is_one_line(run_here, monkeypatch):
    distributed = pytest.importorskip(
        "distributed", reason="dask.distributed, of the extra `cluster`, is not installed"
    )

    def refuse(address, timeout):
        raise OSError(f"Timed out trying to connect to {address}")

    monkeypatch.setattr(distributed, "Client", refuse)
    with pytest.raises(UsageError, match="no Dask scheduler answers at tcp://127.0.0.1:9"):
        run_here({**COUNTER, "executor": {"dask": "tcp://127.0.0.1:9"}})
    assert not Path("run").exists()


def test_the_missing_extra_of_an_executor_is_named(run_here, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"hograd\[cluster\]"):
        run_here({**COUNTER, "executor": "dask"})
    assert not Path("run").exists()


def test_an_executor_of_another_name_is_refused(run_here):
    with pytest.raises(UsageError, match="'threads', expected serial, processes, dask"):
        run_here({**COUNTER, "executor": "threads"})


@pytest.mark.parametrize("executor", ["processes", "dask"])
def test_a_worker_that_is_killed_loses_nothing(run_here, start, kept, executor):
    if executor == "dask":
        pytest.importorskip("distributed", reason="dask.distributed, of the extra `cluster`, is not installed")
    values = {**TRAINING, "executor": executor, "workers": 2}
    run_here({**values, "executor": "serial"}, "serial")
    marker = str(Path("marker").absolute())
    process = start("run", {**values, "accident": "kill", "at": 40, "times": 2, "marker": marker})
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert len(set(Path(marker).read_text().split())) >= 3
    assert kept() == kept("serial")


def test_a_task_that_kills_every_worker_is_given_up(run_here, kept):
    marker = str(Path("marker").absolute())
    values = {**COUNTER, "executor": "processes", "workers": 1, "marker": marker}
    ended = run_here({**values, "seeds": [0], "accident": "kill", "at": 5, "times": 99})
    assert (ended.status, ended.exit_code) == ("failed", 1)
    assert "its worker was killed 4 times after step 3" in ended.errors[0]
    assert len(Path(marker).read_text().split()) == 4
    assert [outcome.status for outcome in ended.outcomes] == ["failed"]


def test_a_task_that_fails_leaves_the_others_and_can_be_taken_up(run_here, resume_here, kept):
    run_here(COUNTER, "whole")
    marker = str(Path("marker").absolute())
    values = {**COUNTER, "accident": "diverge", "at": 5, "marker": marker}
    ended = run_here(values)
    assert (ended.status, ended.exit_code) == ("failed", 1)
    assert ended.errors == ("task seed-0-0: the loss is nan at step 3",)
    assert [outcome.status for outcome in ended.outcomes] == ["failed", "finished"]
    assert ended.outcomes[0].error == "the loss is nan at step 3"
    assert len(ended.outcomes[0].metrics) == 4
    assert resume_here().exit_code == 0
    assert kept() == kept("whole")


def test_a_mistake_in_an_experiment_is_a_line_and_a_traceback_in_a_file(run_here):
    ended = run_here({**COUNTER, "accident": "mistake", "at": 5})
    assert ended.exit_code == 1
    assert len(ended.errors) == 2
    assert "ZeroDivisionError: a mistake in an experiment" in ended.errors[0]
    assert "\n" not in ended.errors[0]
    assert "in accident" in Path("run/tasks/seed-0-0/error.txt").read_text()


def test_a_finished_run_stays_as_it_is_when_it_is_resumed(run_here, resume_here, kept):
    run_here(COUNTER)
    before = {path: path.read_bytes() for path in Path("run/tasks").rglob("*") if path.is_file()}
    assert resume_here().exit_code == 0
    assert before == {path: path.read_bytes() for path in Path("run/tasks").rglob("*") if path.is_file()}


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "bit": lambda path: path.write_bytes(
        bytes([*path.read_bytes()[:-3], path.read_bytes()[-3] ^ 4, *path.read_bytes()[-2:]])
    ),
    "empty": lambda path: path.write_bytes(b""),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "other": lambda path: ho.save(path, {"something": "else"}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_by_name_and_the_one_before_used(run_here, resume_here, kept, capsys, damage):
    values = {**TRAINING, "seeds": [3], "count": 1, "executor": "serial"}
    run_here(values, "whole")
    run_here({**values, "accident": "mistake", "at": 50})
    last = Path("run/tasks/seed-3-0/checkpoints/step-000049.safetensors")
    DAMAGES[damage](last)
    assert resume_here(values=values).exit_code == 0
    err = capsys.readouterr().err
    assert f"checkpoint {last.absolute()} is refused" in err
    assert "the one before is used" in err
    assert len(err.splitlines()) == 1
    found = kept()
    assert [name for name in found if "damaged" in name] or damage == "folder"
    assert {name: content for name, content in found.items() if "damaged" not in name} == kept("whole")


def test_when_all_checkpoints_are_damaged_the_task_begins_anew(run_here, resume_here, kept, capsys):
    values = {**TRAINING, "seeds": [3], "count": 1, "executor": "serial"}
    run_here(values, "whole")
    run_here({**values, "accident": "mistake", "at": 50})
    for path in Path("run/tasks/seed-3-0/checkpoints").iterdir():
        path.write_bytes(b"nothing")
    assert resume_here(values=values).exit_code == 0
    assert "the task begins anew" in capsys.readouterr().err
    found = kept()
    assert {name: content for name, content in found.items() if "damaged" not in name} == kept("whole")


def test_lost_metrics_and_results_are_made_again(run_here, resume_here, kept, capsys):
    run_here(COUNTER, "whole")
    run_here(COUNTER)
    task = Path("run/tasks/seed-0-0")
    (task / "metrics.jsonl").write_bytes((task / "metrics.jsonl").read_bytes()[:200])
    (task / "result.safetensors").write_bytes(b"")
    assert resume_here().exit_code == 0
    assert "its metrics are lost" in capsys.readouterr().err
    found = kept()
    assert {name: content for name, content in found.items() if "damaged" not in name} == kept("whole")


def test_a_state_that_cannot_be_stored_is_named_at_the_first_step(run_here, monkeypatch):
    import fakes

    monkeypatch.setattr(fakes.Counter, "start", lambda self: {"n": 0, "inside": [ho.tree]})
    ended = run_here(COUNTER)
    assert "holds a builtins.module at state['inside'][0]" in ended.errors[0]


@pytest.mark.parametrize(("name", "reason"), [("a/b", "other characters"), ("..", "other characters"), ("", "other")])
def test_names_of_tasks_are_names_of_folders(run_here, monkeypatch, name, reason):
    import fakes

    monkeypatch.setattr(fakes.Counter, "name", property(lambda self: name, lambda self, value: None), raising=False)
    with pytest.raises(UsageError, match=reason):
        run_here(COUNTER)
    assert not Path("run").exists()


def test_two_tasks_of_one_name_are_refused(run_here):
    with pytest.raises(UsageError, match="several tasks have the name 'seed-4-0'"):
        run_here({**COUNTER, "seeds": [4, 4]})
    assert list(Path().iterdir()) == []


def test_what_cannot_fit_into_memory_is_refused_with_the_forecast(run_here):
    with pytest.raises(UsageError, match=r"needs about 9\.31e\+05 GiB of memory"):
        run_here({**COUNTER, "memory": 10**15})
    assert list(Path().iterdir()) == []


def test_workers_follow_cores_tasks_and_memory(monkeypatch):
    from experiments.execute import settings

    monkeypatch.setattr(settings, "free_cores", lambda: 8)
    monkeypatch.setattr("experiments.memory.available", lambda: 10**9)
    assert Settings().place(20, 10**6) == ("processes", 8)
    assert Settings().place(3, 10**6) == ("processes", 3)
    assert Settings().place(1, 10**6) == ("serial", 1)
    assert Settings().place(20, 3 * 10**8) == ("processes", 3)
    assert Settings().place(20, 9 * 10**8) == ("serial", 1)
    assert Settings(workers=2, executor="dask").place(20, 0) == ("dask", 2)


def test_the_default_folder_and_its_latest(run_here, resume_here):
    first = run_here(COUNTER, folder=None)
    second = run_here(COUNTER, folder=None)
    assert first.folder.parent == second.folder.parent == Path("runs/fake").absolute()
    assert first.folder != second.folder
    assert Path("runs/fake/latest").resolve() == second.folder
    assert resume_here("runs/fake/latest").folder == second.folder


def test_a_folder_that_is_taken_is_refused_and_replaced_only_on_demand(run_here):
    run_here({**COUNTER, "seeds": [7]})
    with pytest.raises(OutputError, match="exists already; nothing in it was touched"):
        run_here(COUNTER)
    assert Path("run/tasks/seed-7-0").is_dir()
    assert run_here(COUNTER, overwrite=True).exit_code == 0
    assert not Path("run/tasks/seed-7-0").exists()
    assert sorted(path.name for path in Path().iterdir()) == [".run.lock", "run"]


def test_a_full_disk_ends_the_run_with_one_line_and_leaves_what_was_written(run_here, resume_here, kept, monkeypatch):
    run_here(COUNTER, "whole")
    written = os.fsync
    left = [12]

    def fill(descriptor):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        written(descriptor)

    monkeypatch.setattr(os, "fsync", fill)
    ended = run_here(COUNTER)
    monkeypatch.undo()
    assert (ended.status, ended.exit_code) == ("failed", 1)
    assert "No space left on device" in ended.errors[0]
    assert "\n" not in ended.errors[0]
    assert len(ended.errors) <= 2
    assert not list(Path(ended.folder).rglob("*.partial"))
    for path in Path(ended.folder).rglob("step-*.safetensors"):
        ho.load(path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_metrics_on_a_full_device_end_the_run_with_one_line(run_here, monkeypatch):
    import fakes

    step = fakes.Counter.step

    def full(self, state):
        if state["n"] == 4:
            os.dup2(os.open("/dev/full", os.O_WRONLY), opened[-1])
        return step(self, state)

    opened = []
    original = stored.MetricsFile.__init__

    def watched(self, *arguments):
        original(self, *arguments)
        opened.append(self._file.fileno())

    monkeypatch.setattr(stored.MetricsFile, "__init__", watched)
    monkeypatch.setattr(fakes.Counter, "step", full)
    ended = run_here({**COUNTER, "seeds": [0]})
    assert ended.exit_code == 1
    assert any("metrics.jsonl cannot be written: No space left on device" in error for error in ended.errors)


@pytest.mark.parametrize("executor", ["serial", "processes"])
@pytest.mark.parametrize("again", [False, True], ids=["gone", "replaced"])
def test_a_run_whose_folder_is_deleted_ends_with_one_line(start, executor, again):
    values = {**COUNTER, "steps": 10**6, "sleep": 0.01, "executor": executor, "workers": 2}
    process = start("run", values)
    while process.poll() is None and not list(Path().glob("run/tasks/*/checkpoints/step-*")):
        time.sleep(0.01)
    os.rename("run", "gone")
    if again:
        shutil.copytree("gone", "run", ignore=shutil.ignore_patterns(".session"))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, (out, err)
    assert "was deleted, or taken, while the run worked in it" in err
    assert "Traceback" not in err
    assert Path("run").exists() == again
    if again:
        assert json.loads(Path("run/status.json").read_text()) == {"status": "running"}


def test_a_task_whose_worker_alone_is_told_to_end_goes_on(run_here, start, kept):
    values = {**COUNTER, "steps": 200, "sleep": 0.005, "executor": "processes", "workers": 2, "marker": "marker"}
    run_here({**values, "executor": "serial", "sleep": 0}, "whole")
    process = start("run", {**values, "accident": "end", "at": 50})
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert kept() == kept("whole")


@pytest.mark.parametrize("where", ["/dev/full", "/dev/null/run", "/proc/run"])
def test_a_place_where_nothing_can_be_written_is_refused(run_here, where):
    if not os.path.exists(os.path.dirname(where)):
        pytest.skip(f"there is no {where} here")
    with pytest.raises(OutputError) as raised:
        run_here(COUNTER, where)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2


def test_map_tasks_gives_the_same_bits_everywhere():
    items = [np.random.default_rng(i).normal(size=(20, 20)) for i in range(5)]
    found = {}
    for kind in ("serial", "processes"):
        with open_executor(kind, 2) as executor:
            found[kind] = map_tasks(np.linalg.inv, items, executor)
    for ours, theirs in zip(found["serial"], found["processes"], strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_map_tasks_raises_the_error_of_a_function():
    with open_executor("serial", 1) as executor, pytest.raises(np.linalg.LinAlgError):
        map_tasks(np.linalg.inv, [np.zeros((2, 2))], executor)
