"""metrics.csv: one row a step, with the labels of its task and a column for every metric of any task."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.store.files import write
from experiments.store.tasks import Listed


class Table:
    """Written whole at the end, since only then all columns are known."""

    def __init__(self, path: Path, tasks: Sequence[Listed]):
        self.path = path
        self._rows: dict[str, list[dict[str, Any]]] = {task.name: [] for task in tasks}

    def add(self, task: Listed, line: Mapping[str, Any]) -> None:
        self._rows[task.name].append({"task": task.name, **task.labels, **line})

    def close(self) -> None:
        rows = [row for rows in self._rows.values() for row in rows]
        columns = list(dict.fromkeys(key for row in rows for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write(self.path, text.getvalue())
