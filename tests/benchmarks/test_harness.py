"""The harness on a workload of its own: what agrees is timed, what does not is left out, and its row says why."""

import json
import sys

import pytest

from benchmarks import __main__ as command
from benchmarks import eager, plot, registry, start
from benchmarks.growth import SWEEPS, points, text
from benchmarks.registry import NAMES, YARDSTICK, workload
from benchmarks.runner import Row, difference, measure
from benchmarks.start import Cost
from benchmarks.table import WIDTH, table

SQUARES = """
import os
import sys

from benchmarks.registry import YARDSTICK, Refused, Workload

workload = Workload("squares_of_a_test.it", "squares", {"only": {"power": 2}}, lambda s: {"x": [1.0, 2.0, 3.0]})


@workload.version(YARDSTICK)
def numpy(data, settings):
    return lambda: [data["x"] ** settings["power"]]


@workload.version("right")
def right(data, settings):
    print("a library that prints")
    return lambda: [data["x"] * data["x"]]


@workload.version("wrong")
def wrong(data, settings):
    return lambda: [data["x"] * data["x"] * (1 + 1e-6)]


@workload.version("known to be wrong", note="it takes cubes")
def cubes(data, settings):
    return lambda: [data["x"] ** 3]


@workload.version("not a number")
def not_a_number(data, settings):
    return lambda: [data["x"] * float("nan")]


@workload.version("raises")
def raises(data, settings):
    raise ValueError("no such thing\\nand more lines")


@workload.version("refuses")
def refuses(data, settings):
    raise Refused("needs a license")


@workload.version("dies")
def dies(data, settings):
    print("last words", file=sys.stderr, flush=True)
    return lambda: os._exit(3)


@workload.version("absent", "no_such_library")
def absent(data, settings):
    return lambda: []


workload.cannot("cannot", why="has no squares")
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The rows of the workload above, by version."""
    folder = tmp_path_factory.mktemp("modules") / "squares_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "it.py").write_text(SQUARES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder.parent))
        patch.syspath_prepend(str(folder.parent))
        squares = workload("squares_of_a_test.it")
        found = measure(squares, squares.cases["only"], squares.of_case("only"), rounds=2, threads=1)
        sys.modules.pop("squares_of_a_test.it")
    return {row.version: row for row in found}


def test_versions_that_agree_are_timed_in_every_round(rows):
    for name in (YARDSTICK, "right"):
        assert len(rows[name].seconds) == 2
        assert rows[name].first > 0
        assert not rows[name].why
    assert rows[YARDSTICK].ratio == 1


@pytest.mark.parametrize(
    ("name", "why", "unexpected"),
    [
        ("wrong", "result 0 is off by 1e-06 of its size", True),
        ("not a number", "result 0 is off by nan of its size", True),
        ("known to be wrong", "result 0 is off by 2 of its size: it takes cubes", False),
        ("raises", "ValueError: no such thing", False),
        ("refuses", "needs a license", False),
        ("dies", "the process ended with status 3: last words", False),
        ("absent", "no_such_library is not installed", False),
        ("cannot", "has no squares", False),
    ],
)
def test_others_are_left_out_and_say_why(rows, name, why, unexpected):
    assert rows[name].seconds == []
    assert rows[name].ratio is None
    assert rows[name].why == why
    assert rows[name].unexpected == unexpected


def test_table_ranks_what_was_timed_and_names_the_rest(rows):
    lines = table("squares", list(rows.values())).splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    ranked = [line[:24].strip() for line in lines[3:5]]
    assert sorted(ranked) == sorted([YARDSTICK, "right"])
    assert sum("left out: " in line for line in lines) == 8


def test_results_of_other_shapes_or_numbers_differ():
    assert difference([[1.0]], [[1.0], [2.0]], 1e-8) == "1 results, expected 2"
    assert difference([[1.0]], [[1.0, 2.0]], 1e-8) == "result 0 has shape (1,), expected (2,)"
    assert difference([1.0 + 1e-9, [0.0]], [1.0, [0.0]], 1e-8) == ""
    assert difference([0.0], [1e-12], 1e-8)


def test_plots_are_written(tmp_path):
    some = [Row(YARDSTICK, seconds=[1.0], ratio=1.0, growth=5000), Row("hograd eager", seconds=[2.0], ratio=2.0)]
    plot.ratios({"a/b": some, "a/c": [Row("absent", why="is not installed")]}, tmp_path / "ratios.png", "a machine")
    assert (tmp_path / "ratios.png").read_bytes().startswith(b"\x89PNG")
    found = {10: some, 20: some}
    lines = points(SWEEPS["tasks"], found, lambda row: row.growth)
    assert lines == {YARDSTICK: [(10, 5000), (20, 5000)]}
    plot.growth([("tasks", "bytes", lines)], tmp_path / "growth.png", "tasks", "a machine")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    assert all(len(line) <= WIDTH for line in text(SWEEPS["tasks"], found).splitlines())


def test_command_measures_what_is_named(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(
        sys, "argv", ["benchmarks", "mlp/hvp", "--only", "nothing", "--rounds=1", f"--output={tmp_path}"]
    )
    assert command.main() == 0
    assert "mlp/hvp: " in capsys.readouterr().out
    written = json.loads((tmp_path / "workloads.json").read_text())
    assert [row["version"] for row in written["results"]["cases"]["mlp/hvp"]] == [YARDSTICK]
    assert written["machine"]["cores"] >= 1
    assert (tmp_path / "workloads.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["mampl"],
            "There is no workload 'mampl': choose from chain, mlp, maml, .* start, growth, hypergradient; see --help.",
        ),
        (["maml/7"], "maml has no case '7': choose from maml/1, maml/5."),
        (["growth", "depth"], "There is no sweep 'depth': choose from steps, .*"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(monkeypatch, arguments, message):
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    with pytest.raises(SystemExit, match=message):
        command.main()


def test_help_names_every_workload_and_case(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--help"])
    with pytest.raises(SystemExit):
        command.main()
    shown = capsys.readouterr().out
    for name in NAMES:
        assert all(case in shown for case in (name, *registry.workload(name).cases))


def test_start_is_drawn_without_what_was_left_out(tmp_path):
    costs = [Cost(YARDSTICK, 0.1, 0.2, 10**8), Cost("absent", why="is not installed"), Cost("hograd eager", 1.0, 2.0)]
    plot.beginning(costs, tmp_path / "start.png", "a machine")
    assert (tmp_path / "start.png").read_bytes().startswith(b"\x89PNG")


def test_eager_compares_the_same_program_on_two_libraries():
    row = eager.compare("chain", "second", registry.TAPE, "hograd eager", 0.7, rounds=2, threads=1)
    assert row.why == ""
    assert row.ratio is not None
    assert 0.01 < row.ratio < 100


def test_eager_names_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(registry.Version, "missing", lambda self: "torch" if "torch" in self.needs else None)
    assert eager.run(["--rounds", "1", "--only", "chain/gradient"]) == 0
    assert "torch is not installed" in capsys.readouterr().out


def test_the_import_costs_little_beside_numpy_and_optree():
    assert 0.9 < start.import_ratio(rounds=3) < 3
