"""`hograd compare`: figures of several runs side by side, and where their configs differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.commands import results
from experiments.configuration.check import plain
from experiments.configuration.source import dotted
from experiments.errors import UsageError
from experiments.paths import path_of
from experiments.report.page import comparison
from experiments.report.tables import number, table
from experiments.store import files

#: Of a terminal.
WIDTH = 80


def compare(runs: Sequence[str], *, output: str | None, trust: bool) -> int:
    """Print a table of the figures of runs, and write it as a page."""
    if len(runs) < 2:
        raise UsageError("compare needs two runs or more: hograd compare RUN RUN ...")
    found = [results.config_of(run, trust=trust) for run in runs]
    names = [results.shown(folder) for folder, _ in found]
    stored = [results.stored(folder) for folder, _ in found]
    figures = _figures(names, stored)
    keys = _keys(names, [config.values for _, config in found])
    letters = [chr(ord("A") + index) if index < 26 else f"#{index + 1}" for index in range(len(names))]
    print("\n".join(f"{letter} = {name}" for letter, name in zip(letters, names, strict=True)))
    print(f"\n{_narrow(*figures, letters)}")
    print(f"\nWhere the configs differ:\n\n{_narrow(*keys, letters)}" if keys[1] else "\nThe configs are the same.")
    summaries = []
    for (folder, _), name, one in zip(found, names, stored, strict=True):
        status = json.loads((folder / results.STATUS).read_text(encoding="utf-8"))
        summaries.append({"name": name, "findings": one["findings"], **_ended(status)})
    target = path_of(output or "comparison.html")
    files.write(target, comparison(summaries, figures, keys))
    print(f"\nThe page is {results.shown(target.resolve())}", flush=True)
    return 0


def _narrow(header: list[str], rows: list[list[str]], letters: Sequence[str]) -> str:
    """A table for a terminal: letters for the runs, and long cells cut short."""
    fixed = len(header) - len(letters)
    used = sum(max(map(len, (row[index] for row in rows)), default=0) + 2 for index in range(fixed))
    room = max((WIDTH - used) // len(letters) - 2, 8)
    cut = [
        [*row[:fixed], *(cell if len(cell) <= room else f"{cell[: room - 1]}…" for cell in row[fixed:])] for row in rows
    ]
    return table([*header[:fixed], *letters], cut)


def _ended(status: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": status["status"], "seconds": status.get("seconds") or 0.0}


def _figures(names: Sequence[str], stored: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """A line for each group of labels and figure; the mean over seeds where there are several."""
    rows: dict[tuple[tuple[str, Any], ...], dict[str, dict[str, list[float]]]] = {}
    for name, one in zip(names, stored, strict=True):
        for entry in one["figures"]:
            labels = tuple((key, value) for key, value in entry["labels"].items() if key != "seed")
            for figure, value in entry["figures"].items():
                if value is not None:
                    rows.setdefault(labels, {}).setdefault(figure, {}).setdefault(name, []).append(value)
    keys = list(dict.fromkeys(key for labels in rows for key, _ in labels))
    lines = []
    for labels, by_figure in rows.items():
        for figure, by_run in by_figure.items():
            known = dict(labels)
            cells = [_mean(by_run.get(name)) for name in names]
            lines.append([*(str(known.get(key, "-")) for key in keys), figure.replace("_", " "), *cells])
    return [*keys, "figure", *names], lines


def _mean(values: Sequence[float] | None) -> str:
    """The mean of the seeds, and the half of their range."""
    if not values:
        return "-"
    mean = sum(values) / len(values)
    return number(mean) if len(values) == 1 else f"{number(mean)} ± {number((max(values) - min(values)) / 2)}"


def _keys(names: Sequence[str], configs: Sequence[Any]) -> tuple[list[str], list[list[str]]]:
    flat = [dict(_flat(plain(config), ())) for config in configs]
    paths = list(dict.fromkeys(path for one in flat for path in one))
    rows = []
    for path in paths:
        values = [json.dumps(one[path], ensure_ascii=False) if path in one else "-" for one in flat]
        if len(set(values)) > 1:
            rows.append([dotted(path), *values])
    return ["key", *names], rows


def _flat(value: Any, path: tuple) -> Any:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, (*path, key))
    else:
        yield path, value
