"""Where functions run: in this process, in processes of this machine, or on a cluster; all by `concurrent.futures`."""

import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing import get_context
from typing import Any, TypeVar

from experiments.errors import ExperimentError, UsageError
from experiments.execute.interrupts import end_with_parent, mask_interrupts
from experiments.execute.worker import limited

T = TypeVar("T")
R = TypeVar("R")

#: How often a call is taken up again whose worker was killed without getting any further.
REPEATS = 3


class Serial(Executor):
    """Runs each call at once, in the process that asks for it."""

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> "Future[R]":
        future: Future[R] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Processes(Executor):
    """Worker processes, each with a pool of its own, so that one that is killed breaks its own call and no other."""

    def __init__(self, workers: int):
        self._slots = ThreadPoolExecutor(workers, thread_name_prefix="slot", initializer=mask_interrupts)
        self._here = threading.local()
        self._pools: dict[ProcessPoolExecutor, int] = {}
        self._killed = False

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> "Future[R]":
        return self._slots.submit(self._call, fn, args, kwargs)

    def _call(self, fn: Callable[..., R], args: Any, kwargs: Any) -> R:
        pool = getattr(self._here, "pool", None)
        try:
            if pool is None:
                pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_with_parent)
                self._here.pool = pool
                self._pools[pool] = 0
                self._pools[pool] = pool.submit(os.getpid).result()
            if self._killed:
                raise BrokenExecutor("the workers were ended")
            return pool.submit(fn, *args, **kwargs).result()
        except BrokenExecutor:
            self._here.pool = None
            if pool is not None:
                self._pools.pop(pool, None)
            raise

    def kill(self) -> None:
        """End all workers at once; their calls fail."""
        self._killed = True
        for pid in list(self._pools.values()):
            if pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._slots.shutdown(wait, cancel_futures=cancel_futures)
        for pool in list(self._pools):
            pool.shutdown(wait)


@contextmanager
def open_executor(kind: str, workers: int) -> Iterator[Executor]:
    """The executor of a kind.

    Args:
        kind: "serial", "processes", "dask" for a cluster of processes that is started here, or the address of a
            scheduler that runs, such as "tcp://10.0.0.1:8786".
        workers: number of processes that are started here, >= 1.

    Raises:
        UsageError: the kind is unknown, needs an extra that is missing, or no scheduler answers.
    """
    if kind == "serial":
        yield Serial()
    elif kind == "processes":
        executor = Processes(workers)
        try:
            yield executor
        finally:
            executor.shutdown(cancel_futures=True)
    elif kind == "dask" or "://" in kind:
        with _dask(None if kind == "dask" else kind, workers) as executor:
            yield executor
    else:
        raise UsageError(f"executor is {kind!r}, expected serial, processes, dask or {{dask: tcp://HOST:PORT}}")


@contextmanager
def _dask(address: str | None, workers: int) -> Iterator[Executor]:
    try:
        distributed = import_module("distributed")
    except ImportError:
        raise UsageError(
            'the executor dask needs dask.distributed, of the extra `cluster`: pip install "hograd[cluster]"'
        ) from None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        if address is None:
            mask_interrupts()
            try:
                cluster = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                    local_directory=scratch,
                    silence_logs=logging.CRITICAL,
                )
            finally:
                mask_interrupts(False)
            with cluster, distributed.Client(cluster) as client:
                yield client.get_executor(pure=False)
            return
        try:
            client = distributed.Client(address, timeout=10)
        except (OSError, ValueError, TimeoutError) as error:
            raise UsageError(f"no Dask scheduler answers at {address}: {error}") from None
        with client:
            yield client.get_executor(pure=False)


def is_broken(error: BaseException) -> bool:
    """Whether a call failed because its worker was killed, and not by itself."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ in ("KilledWorker", "CancelledError")


def map_tasks(function: Callable[[T], R], items: Iterable[T], executor: Executor, *, threads: int = 1) -> Sequence[R]:
    """Apply a pure function to each item, such as the tasks of a meta-batch; the same bits on every executor.

    Args:
        function: found by its name in a module where the executor has other processes.
        items: what it is called with, one at a time.
        executor: from `open_executor`.
        threads: of BLAS in each call; the last bits of sums depend on it.

    Returns:
        The results in the order of the items. A call whose worker was killed is made again, three times at most.

    Raises:
        ExperimentError: a worker was killed more often than that, at the same item.

    >>> with open_executor("serial", 1) as executor:
    ...     map_tasks(abs, [-1, 2, -3], executor)
    [1, 2, 3]
    """
    items = list(items)
    futures = [executor.submit(_limited_call, function, item, threads) for item in items]
    results = []
    for i, item in enumerate(items):
        for repeat in range(REPEATS + 1):
            try:
                results.append(futures[i].result())
                break
            except Exception as error:
                if not is_broken(error):
                    raise
                if repeat == REPEATS:
                    raise ExperimentError(
                        f"the worker of item {i} was killed {REPEATS + 1} times; it may need more memory than there is"
                    ) from None
                futures[i] = executor.submit(_limited_call, function, item, threads)
    return results


def _limited_call(function: Callable[[T], R], item: T, threads: int) -> R:
    with limited(threads):
        return function(item)
