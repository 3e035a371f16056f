"""Metrics for MLflow: one run a task, at whatever server MLFLOW_TRACKING_URI names."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from experiments.errors import UsageError
from experiments.store.files import read_json, write_json
from experiments.store.tasks import Listed


class Tracker:
    """A run that is resumed goes on in the same runs of MLflow, after the last step that they have."""

    def __init__(self, folder: Path):
        self._client = library().tracking.MlflowClient()
        self._folder = folder
        self._known: dict[str, dict[str, Any]] = read_json(folder / "mlflow.json", {})

    def add(self, task: Listed, line: Mapping[str, Any]) -> None:
        known = self._known.get(task.name)
        if known is None:
            known = self._known[task.name] = {"run": self._begin(task), "step": 0}
            write_json(self._folder / "mlflow.json", self._known)
        if line["step"] <= known["step"]:
            return
        for key, value in line.items():
            if key != "step" and isinstance(value, int | float):
                self._client.log_metric(known["run"], key, value, step=line["step"])
        known["step"] = line["step"]

    def close(self) -> None:
        write_json(self._folder / "mlflow.json", self._known)
        for known in self._known.values():
            self._client.set_terminated(known["run"])

    def _begin(self, task: Listed) -> str:
        name = self._folder.parent.name or "hograd"
        experiment = self._client.get_experiment_by_name(name)
        identity = experiment.experiment_id if experiment else self._client.create_experiment(name)
        run = self._client.create_run(identity, tags={"mlflow.runName": f"{self._folder.name}/{task.name}"})
        for key, value in task.labels.items():
            self._client.log_param(run.info.run_id, key, value)
        return run.info.run_id


def library() -> Any:
    """The library, or the extra that brings it."""
    try:
        import_module("mlflow.tracking")
    except ImportError:
        raise UsageError('logs: mlflow needs MLflow, of the extra `mlflow`: pip install "hograd[mlflow]"') from None
    return import_module("mlflow")
