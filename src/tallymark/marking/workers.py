"""Processes beside the server for what computes long, so that no stroke waits for it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Protocol, TypeVar, runtime_checkable

T = TypeVar("T")

_MOST = 4
_NICE = 19


def cores() -> int:
    """How many cores this process may use.

    Example:
        >>> cores() >= 1
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@runtime_checkable
class Runner(Protocol):
    """Runs functions somewhere."""

    def run(self, function: Callable[..., T], /, *arguments: object) -> T:
        """What a function gives."""

    def close(self) -> None:
        """Run no more."""


class Here:
    """Runs functions at once, where they are asked for.

    Example:
        >>> Here().run(divmod, 7, 2)
        (3, 1)
    """

    def run(self, function: Callable[..., T], /, *arguments: object) -> T:
        """What a function gives."""
        return function(*arguments)

    def close(self) -> None:
        """Nothing is left behind."""


class Workers:
    """Processes that run functions one after the other, less urgently than the server. They start with the first one.

    Args:
        count: how many; None: one less than there are cores, at least one and at most four.

    Example:
        >>> workers = Workers(1)
        >>> workers.run(divmod, 7, 2)
        (3, 1)
        >>> workers.close()
    """

    def __init__(self, count: int | None = None) -> None:
        self._count = count or max(1, min(_MOST, cores() - 1))
        self._guard = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def run(self, function: Callable[..., T], /, *arguments: object) -> T:
        """What a function gives in one of the processes.

        Args:
            function: of a module, so that the process finds it; what it raises is raised here.
            arguments: that can be pickled.
        """
        try:
            return self._submit(function, arguments).result()
        except BrokenProcessPool:  # the system killed one, perhaps for its memory; all of them end then
            return self._submit(function, arguments).result()

    def start(self, function: Callable[[], object]) -> None:
        """Start the processes now, without waiting for them.

        Args:
            function: is run in each of them; what its module imports is loaded then.
        """
        for _ in range(self._count):
            self._submit(function, ())

    def close(self) -> None:
        """End the processes; what waits is given up."""
        with self._guard:
            if self._pool is not None:
                self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, function: Callable[..., T], arguments: tuple[object, ...]) -> Future[T]:
        with self._guard:
            if self._pool is not None:
                with suppress(BrokenProcessPool):
                    return self._pool.submit(function, *arguments)
            context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
            self._pool = ProcessPoolExecutor(self._count, mp_context=context, initializer=_begin)
            return self._pool.submit(function, *arguments)


def _begin() -> None:
    """In a new process: stand back behind the server, and end when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the server, which ends its processes itself
    if hasattr(os, "nice"):
        os.nice(_NICE)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
