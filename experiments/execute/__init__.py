"""Runs the tasks of an experiment, wherever there are processors, until all are done or the end is asked for."""

from experiments.execute.executors import map_tasks, open_executor
from experiments.execute.run import Ended, resume, run
from experiments.execute.worker import rebuild

__all__ = ["Ended", "map_tasks", "open_executor", "rebuild", "resume", "run"]
