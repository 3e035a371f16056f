"""What a run leaves for people: tables, plots and the page, made of what is stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.configuration import load
from experiments.configuration.load import Config
from experiments.errors import UsageError
from experiments.experiment import Outcome, Report
from experiments.paths import path_of
from experiments.report.page import page
from experiments.report.plots import svg
from experiments.report.tables import text
from experiments.store import files
from experiments.store.folder import is_run, locate
from experiments.store.tasks import outcomes

#: Files of a run that are read again.
CONFIG, STATUS, ENVIRONMENT, RESULTS = "config.yaml", "status.json", "environment.json", "results.json"
HEAD = "# The resolved config of a run. Repeat it: hograd run THIS_FILE\n"


def config_of(run: str | Path, *, trust: bool) -> tuple[Path, Config]:
    """The folder of a run and its config."""
    folder = locate(path_of(run))
    if not is_run(folder):
        raise UsageError(f"{folder} is not the folder of a run; such a folder has a {CONFIG} and a {ENVIRONMENT}")
    return folder, load.load(folder / CONFIG, trust=trust)


def shown(path: Path) -> str:
    """A path from the current folder, where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def write(folder: Path, config: Config, found: Sequence[Outcome] | None = None) -> Report:
    """Write results.json, table.txt, the plots and report.html into a run folder."""
    found = outcomes(folder) if found is None else found
    report = config.made().report(found)
    status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
    figures = [{"labels": dict(labels), "figures": dict(values)} for labels, values in report.figures]
    files.write_json(folder / RESULTS, {"findings": list(report.findings), "figures": figures})
    files.write(folder / "table.txt", text(report) + "\n")
    with files.writing(folder / "plots"):
        (folder / "plots").mkdir(exist_ok=True)
    for plot in report.plots:
        files.write(folder / "plots" / f"{plot.name}.svg", _alone(svg(plot.draw(), plot.name)))
    html = page(
        report,
        name=shown(folder),
        description=config.settings.description,
        status=status["status"],
        seconds=status.get("seconds") or 0.0,
        error=status.get("error"),
        config=config.values,
        differing=load.differing(config),
        environment=json.loads((folder / ENVIRONMENT).read_text(encoding="utf-8")),
    )
    files.write(folder / "report.html", html)
    return report


def stored(folder: Path) -> dict[str, Any]:
    """Findings and figures of a run, as its last report left them."""
    path = folder / RESULTS
    if not path.is_file():
        raise UsageError(f"{shown(folder)} has no {RESULTS} yet; make it with: hograd report {shown(folder)}")
    return json.loads(path.read_text(encoding="utf-8"))


def _alone(drawn: str) -> str:
    """A figure as a file of its own: black, on white."""
    return drawn.replace("<svg ", '<svg color="black" style="background: white" ', 1)
