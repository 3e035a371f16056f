"""The page of a run: one HTML file that needs nothing else, for phones, paper, light and dark."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.experiment import Report
from experiments.extras import require
from experiments.report.plots import svg


def page(
    report: Report,
    *,
    name: str,
    description: str,
    status: str,
    seconds: float,
    error: str | None,
    config: Mapping[str, Any],
    differing: set[tuple],
    environment: Mapping[str, Any],
) -> str:
    """The page of one run.

    Args:
        report: what was found.
        name: of the run.
        description: of the config.
        status: how the run ended.
        seconds: how long it took, over all of its parts.
        error: why it failed, or None.
        config: the resolved config.
        differing: paths of its keys that are not at their defaults.
        environment: what environment.json holds.
    """
    changed = {path[0] for path in differing}
    return _template("page.html").render(
        name=name,
        description=description,
        status=status,
        seconds=seconds,
        error=error,
        report=report,
        tables=[_columns(table.header, table.rows) for table in report.tables],
        plots=[
            {"caption": plot.caption, "svg": svg(plot.draw(), plot.name), "name": plot.name} for plot in report.plots
        ],
        config=tree({key: config[key] for key in config if key in changed}, differing),
        usual=tree({key: config[key] for key in config if key not in changed}, differing),
        environment=environment,
        command=_command(environment, name),
    )


def comparison(runs: Sequence[Mapping[str, Any]], table: Any, keys: Any) -> str:
    """The page that puts several runs side by side.

    Args:
        runs: of each its name, status, seconds, and findings.
        table: of their figures: a header and rows.
        keys: of the keys in which their configs differ: a header and rows.
    """
    return _template("compare.html").render(runs=runs, table=_columns(*table), keys=_columns(*keys))


def tree(values: Any, differing: set[tuple], path: tuple = ()) -> list[dict[str, Any]]:
    """A config as nested entries: key, text or entries below, and whether it differs from its default."""
    items = values.items() if isinstance(values, Mapping) else enumerate(values)
    entries = []
    for key, value in items:
        here = (*path, key)
        entry: dict[str, Any] = {"key": key if isinstance(key, str) else f"[{key}]", "changed": here in differing}
        if isinstance(value, Mapping) and value:
            # The name of a component stands beside its key.
            below = {k: v for k, v in value.items() if k != "name"}
            entry["changed"] = (*here, "name") in differing
            if "name" in value:
                entry["text"] = value["name"]
            entry["below"] = tree(below, differing, here)
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            entry["below"] = tree(value, differing, here)
        elif value == {} and (*here, "name") in differing:
            entry["changed"] = True
        else:
            entry["text"] = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
        entries.append(entry)
    return entries


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    """A table for the template: columns of numbers to the right."""
    from experiments.report.tables import numeric

    right = [bool(rows) and all(numeric(row[index]) for row in rows) for index in range(len(header))]
    return {
        "header": [head.strip().replace("-\n", "").replace("\n", " ") for head in header],
        "rows": rows,
        "right": right,
    }


def _command(environment: Mapping[str, Any], name: str) -> str:
    version = environment.get("versions", {}).get("hograd", "")
    return f'pip install "hograd[experiments]=={version}"\nhograd run {shlex.quote(f"{name}/config.yaml")}'


def _template(name: str) -> Any:
    jinja2 = require("jinja2", "experiments")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("experiments.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(name)
