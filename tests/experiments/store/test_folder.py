"""Who may have a run folder, and what becomes of the run that was there."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from experiments.errors import OutputError, StorageError, UsageError
from experiments.store import folder as folders
from experiments.store.files import plain, write
from experiments.store.folder import claim, is_current, locate, reopen

pytest.importorskip("filelock")
FILES = {"config.yaml": "a: 1\n", "environment.json": "{}\n"}


def content(folder="run"):
    return {p.name: p.read_text() for p in Path(folder).iterdir() if p.is_file() and p.name != ".session"}


def test_a_folder_is_complete_from_its_first_moment_on_and_held():
    held = claim(Path("a/b/run"), "x", FILES)
    assert content("a/b/run") == FILES
    assert is_current(held.path, held.session)
    with pytest.raises(OutputError):
        claim(Path("a/b/run"), "x", FILES)
    with pytest.raises(UsageError, match="another process works in"):
        reopen(Path("a/b/run"))
    with pytest.raises(OutputError, match="another process works in"):
        claim(Path("a/b/run"), "x", FILES, overwrite=True)
    held.close()
    assert not is_current(held.path, held.session)
    again = reopen(Path("a/b/run"))
    assert again.session != held.session
    again.close()


def test_overwriting_replaces_the_old_run_whole():
    claim(Path("run"), "x", {**FILES, "old": "old"}).close()
    with pytest.raises(OutputError, match="exists already"):
        claim(Path("run"), "x", FILES)
    assert "old" in content()
    claim(Path("run"), "x", {**FILES, "new": "new"}, overwrite=True).close()
    assert content() == {**FILES, "new": "new"}
    assert sorted(os.listdir()) == [".run.lock", "run"]


@pytest.mark.parametrize("moment", range(1, 8))
def test_the_old_run_is_there_until_the_new_one_has_begun(monkeypatch, moment):
    """Whatever call of the file system fails, one of both runs is there, whole."""
    claim(Path("run"), "x", {**FILES, "old": "old"}).close()
    calls = [0]

    def failing(original):
        def call(*arguments, **options):
            calls[0] += 1
            if calls[0] == moment:
                raise OSError(28, "No space left on device")
            return original(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(folders, "write", failing(folders.write))
        patch.setattr(Path, "rename", failing(Path.rename))
        patch.setattr(Path, "mkdir", failing(Path.mkdir))
        try:
            claim(Path("run"), "x", {**FILES, "new": "new"}, overwrite=True).close()
        except OutputError as error:
            assert "No space left on device" in str(error)  # noqa: PT017  (later calls do not come)
    assert content() in ({**FILES, "old": "old"}, {**FILES, "new": "new"})
    reopen(Path("run")).close()
    assert sorted(os.listdir()) == [".run.lock", "run"]


def test_what_a_killed_claim_leaves_is_cleared_up():
    claim(Path("run"), "x", {**FILES, "old": "old"}).close()
    Path(".run.draft").mkdir()
    Path("run").rename(".run.replaced")
    held = reopen(Path("run"))  # killed between the two renames: the old run comes back
    assert "old" in content()
    held.close()
    Path(".run.replaced").mkdir()
    reopen(Path("run")).close()  # killed while it removed the old one
    assert sorted(os.listdir()) == [".run.lock", "run"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_run_folder_is_never_touched(overwrite):
    Path("full").mkdir()
    Path("full/thesis.tex").write_text("all of it")
    Path("file").write_text("text")
    Path("link").symlink_to("full")
    for name in ("full", "file", "link", "full/thesis.tex/run"):
        with pytest.raises(OutputError) as raised:
            claim(Path(name), "x", FILES, overwrite=overwrite)
        assert "\n" not in str(raised.value)
    assert Path("full/thesis.tex").read_text() == "all of it"
    assert sorted(os.listdir()) == ["file", "full", "link"]
    Path("empty").mkdir()
    claim(Path("empty"), "x", FILES).close()


def test_resuming_what_is_no_run_is_refused():
    Path("full").mkdir()
    Path("full/thesis.tex").write_text("all of it")
    with pytest.raises(UsageError, match="not the folder of a run"):
        reopen(Path("full"))
    for name in ("nowhere", "full/thesis.tex/run", "a\0b"):
        with pytest.raises(UsageError):
            reopen(Path(name))


def test_runs_of_one_second_get_folders_of_their_own(monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda form: "2026-01-02-030405")
    held = [claim(None, "x", FILES) for _ in range(3)]
    assert [h.path.name for h in held] == ["2026-01-02-030405", "2026-01-02-030405-2", "2026-01-02-030405-3"]
    assert locate(Path("runs/x/latest")) == held[-1].path.resolve()
    for h in held:
        h.close()


def test_latest_is_a_text_where_links_are_impossible(monkeypatch):
    def impossible(self, target):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", impossible)
    held = claim(None, "x", FILES)
    assert Path("runs/x/latest").read_text().strip() == held.path.name
    held.close()
    again = reopen(Path("runs/x/latest"))
    assert again.path == held.path.resolve()
    again.close()


def test_a_deleted_folder_of_a_live_run_is_not_given_to_another():
    held = claim(Path("run"), "x", FILES)
    for path in Path("run").iterdir():
        path.unlink()
    Path("run").rmdir()
    assert not is_current(held.path, held.session)
    with pytest.raises(OutputError, match="another process works in"):
        claim(Path("run"), "x", FILES)
    held.close()


def race(name, barrier, results, overwrite):
    """Claim one folder after the other at the same moment as another process does."""
    for i in range(20):
        barrier.wait(60)
        try:
            held = claim(Path(f"run-{i}"), "x", {**FILES, "owner": name}, overwrite=overwrite)
        except OutputError:
            results.put((i, name, "refused"))
            barrier.wait(60)
            continue
        write(held.path / f"of-{name}", name)
        results.put((i, name, "won"))
        barrier.wait(60)
        held.close()


@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "overwrite"])
def test_of_two_processes_one_wins_and_one_is_refused(overwrite, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    from test_folder import race  # by a name that other processes find

    if overwrite:
        for i in range(20):
            claim(Path(f"run-{i}"), "x", {**FILES, "of-nobody": ""}).close()
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=race, args=(name, barrier, results, overwrite)) for name in ("one", "two")]
    for process in processes:
        process.start()
    found = [results.get(timeout=120) for _ in range(40)]
    for process in processes:
        process.join(60)
    for i in range(20):
        (winner,) = (name for j, name, how in found if j == i and how == "won")
        assert sorted(path for path in content(f"run-{i}")) == [
            "config.yaml",
            "environment.json",
            f"of-{winner}",
            "owner",
        ]
        assert Path(f"run-{i}/owner").read_text() == winner
    results.close()
    results.join_thread()


def test_errors_of_the_file_system_name_the_file():
    with pytest.raises(StorageError, match="nowhere/a.json cannot be written: No such file or directory"):
        write(Path("nowhere/a.json"), "text")


def test_values_become_strict_json():
    import numpy as np

    import hograd as ho

    nested = {1: ho.tensor([1.0, float("nan")]), "a": (np.int64(3), np.float32("inf"), True), "z": 1 + 2j}
    assert plain(nested) == {"1": [1.0, None], "a": [3, None, True], "z": [1.0, 2.0]}
