"""`hograd sweep`: runs of one config at many values, chosen by Optuna."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.commands import results
from experiments.commands.shipped import located
from experiments.configuration import load
from experiments.configuration.load import Config
from experiments.errors import UsageError
from experiments.execute.interrupts import listening
from experiments.execute.run import environment, resume, run
from experiments.execute.settings import Settings
from experiments.experiment import Plot, Report, Table
from experiments.paths import path_of
from experiments.report.page import page
from experiments.report.plots import COLOURS, figure, legend_below
from experiments.report.tables import number, text
from experiments.store import files
from experiments.store.folder import is_run
from experiments.sweep import Sampler, Study, space, written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: What a sweep is, so that who joins it works on the same.
SWEEP = "sweep.json"


def sweep(
    path: str,
    overrides: Sequence[str],
    *,
    output: str | None,
    trials: int,
    sampler: Sampler,
    minimize: str,
    quiet: bool,
    trust: bool,
) -> int:
    """Begin a sweep, or join one that is there; the exit code."""
    source = located(path)
    config = load.load(source, overrides, trust=trust)
    ranges = space(config.settings.sweep)
    if trials < 1:
        raise UsageError(f"--trials is {trials}, expected at least 1")
    # A value that cannot be is found now, and not in the middle of the night.
    for key, one in ranges.items():
        for value in one.grid()[:: max(len(one.grid()) - 1, 1)]:
            load.load(source, [*_other(overrides, key), f"{key}={value}"], trust=trust)
    config.build()
    folder = _folder(source.stem, output, config, sampler, minimize)
    study = Study(folder, ranges, sampler, trials)
    seconds = 0.0
    code = 0
    with listening(last=True) as stop:
        while True:
            with study.next() as found:
                if found is None or stop.number is not None:
                    break
                trial, values = found
                _tell(quiet, f"trial {trial + 1} of {study.trials}: {_shown(values)}")
                given = [*_without(overrides, values), *(f"{key}={written_as(value)}" for key, value in values.items())]
                code, value, spent = _trial(source, given, folder / "trials" / f"{trial:04d}", minimize, trust)
                seconds += spent
                if code not in (0, 1):
                    break
                study.tell(trial, value)
                _tell(quiet, f"trial {trial + 1}: {minimize} {'failed' if value is None else number(value)}")
        report = made(study, list(ranges), minimize)
        _write(folder, report, config, seconds)
        print(f"{text(report)}\n\nEverything is in {results.shown(folder)}")
        print(f"Read it: {results.shown(folder / 'report.html')}", flush=True)
        return 0 if found is None else code if stop.number is None else 128 + stop.number


def _trial(
    source: Path, overrides: Sequence[str], folder: Path, minimize: str, trust: bool
) -> tuple[int, float | None, float]:
    """Run one trial, or go on with it: the exit code, what it found, and the seconds that it took."""
    config = load.load(source, overrides, trust=trust)
    if is_run(folder):
        ended = resume(folder, values=config.values, quiet=True)
    else:
        head = results.HEAD + load.dump(config.values)
        ended = run(config.build(), config.values, name=source.stem, folder=folder, quiet=True, text=head)
    report = results.write(ended.folder, config, ended.outcomes)
    value = None
    if ended.exit_code == 0:
        value = judged(report, minimize)
    return ended.exit_code, value, ended.seconds


def judged(report: Report, figure: str) -> float:
    """The mean of a figure over the seeds of what was learned.

    Raises:
        UsageError: the experiment has no such figure; the message says which it has.
    """
    entries = [(labels, values) for labels, values in report.figures if labels.get("method", "learned") == "learned"]
    entries = entries or list(report.figures)
    found = [values[figure] for _, values in entries if figure in values]
    if not found:
        known = dict.fromkeys(name for _, values in entries for name in values)
        raise UsageError(f"--minimize is {figure}, which the experiment does not report; it has {', '.join(known)}")
    return sum(found) / len(found)


def made(study: Study, keys: Sequence[str], minimize: str) -> Report:
    """The report of all trials so far."""
    rows = []
    done: list[tuple[int, float]] = []
    for trial, values, value, state in study.results():
        shown = [_cell(values.get(key)) for key in keys]
        rows.append([str(trial + 1), *shown, "-" if value is None else number(value), state])
        if value is not None:
            done.append((trial, value))
    findings = []
    if done:
        best = study.results()[0]
        findings.append(f"Best of {len(done)} trials: {_shown(best[1])}, {minimize} {number(done[0][1])}.")
    title = minimize.replace("_", " ")
    return Report(
        question=f"Which values of {', '.join(keys)} give the smallest {title}?",
        findings=findings,
        tables=[Table("Trials, the best first", ["trial", *keys, title.replace(" ", "\n"), "state"], rows)],
        plots=[Plot("trials", f"The {title} of each trial, and the best so far.", lambda: _plot(done, title))]
        if done
        else [],
    )


def _plot(done: Sequence[tuple[int, float]], title: str) -> Figure:
    chart, (axes,) = figure()
    ordered = sorted(done)
    best, lowest = [], float("inf")
    for _, value in ordered:
        lowest = min(lowest, value)
        best.append(lowest)
    numbers = [trial + 1 for trial, _ in ordered]
    axes.plot(numbers, [value for _, value in ordered], "o", color=COLOURS[0], label="trial")
    axes.step(numbers, best, where="post", color=COLOURS[1], label="best so far")
    axes.set(xlabel="trial", ylabel=title)
    axes.locator_params(axis="x", integer=True)
    legend_below(chart, axes, columns=2)
    return chart


def _folder(name: str, output: str | None, config: Config, sampler: str, minimize: str) -> Path:
    """The sweep's folder, made or joined."""
    import time

    if output == "":
        raise UsageError("--output is empty; expected a folder, as in --output runs/mine")
    folder = path_of(output) if output else Path("runs") / name / time.strftime("sweep-%Y-%m-%d-%H%M%S")
    folder = Path.cwd() / folder
    what = json.dumps({"config": config.values, "sampler": sampler, "minimize": minimize}, indent=1)
    try:
        if folder.is_dir() and any(folder.iterdir()) and not (folder / SWEEP).exists():
            raise UsageError(
                f"the folder {folder} holds files that are not of a sweep; choose another: --output FOLDER"
            )
        (folder / "trials").mkdir(parents=True, exist_ok=True)
        (folder / SWEEP).open("x", encoding="utf-8").close()
        files.write(folder / SWEEP, what)
    except FileExistsError:
        if not _settled(folder / SWEEP, what):
            raise UsageError(
                f"{results.shown(folder)} holds another sweep (its config, sampler or figure differ); choose another "
                "folder: --output FOLDER"
            ) from None
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from None
    return folder


def _settled(path: Path, what: str) -> bool:
    """Whether the sweep that is there is this one; whoever makes it may be writing still."""
    import time

    for _ in range(50):
        there = path.read_text(encoding="utf-8")
        if there:
            return there == what
        time.sleep(0.1)
    return False


def _write(folder: Path, report: Report, config: Config, seconds: float) -> None:
    files.write(folder / "table.txt", text(report) + "\n")
    html = page(
        report, name=results.shown(folder), description=config.settings.description, status="finished", seconds=seconds,
        error=None, config=config.values, differing=load.differing(config),
        environment=environment(Settings.of(config.values)),
    )  # fmt: skip
    files.write(folder / "report.html", html)


def _other(overrides: Sequence[str], key: str) -> list[str]:
    return [one for one in overrides if one.partition("=")[0] != key]


def _without(overrides: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    return [one for one in overrides if one.partition("=")[0] not in values]


def written_as(value: Any) -> str:
    """A value of a trial as it stands behind `key=`."""
    return value if isinstance(value, str) else written(value)


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _shown(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {_cell(value)}" for key, value in values.items())


def _tell(quiet: bool, line: str) -> None:
    if not quiet:
        print(line, file=sys.stderr, flush=True)
