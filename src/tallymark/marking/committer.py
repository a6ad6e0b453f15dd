"""One thread writes for all: whoever waits while the disk is busy goes into the next transaction together."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from tallymark.data.mark_tables import Held
from tallymark.data.marks import MarkStore

T = TypeVar("T")
_Job = tuple[Callable[[], Any], Future[Any]]

_MOST = 64


class Committer:
    """Runs jobs that write into a store, and answers when what they wrote is on the disk.

    A transaction costs the same few milliseconds however much is in it: many annotators wait no longer than one.

    Args:
        store: what the jobs write into.
    """

    def __init__(self, store: MarkStore) -> None:
        self._store = store
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)
        self._thread.start()

    def run(self, job: Callable[[], T]) -> T:
        """Run a job in a transaction and wait until it is committed.

        Args:
            job: writes into the store, in the thread of the committer. What it raises is raised here.

        Raises:
            StorageError: the file cannot be written; nothing of the job is stored.
        """
        future: Future[T] = Future()
        self._jobs.put((job, future))
        return future.result()

    def close(self) -> None:
        """Finish what was asked for, and stop."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        held: Held | None = None
        while (waiting := self._gathered()) is not None:
            self._commit(waiting)
            held = held or self._store.tables.hold()
        if held is not None:
            held.close()

    def _gathered(self) -> list[_Job] | None:
        """The jobs that wait, at least one; None at the end."""
        first = self._jobs.get()
        if first is None:
            return None
        waiting = [first]
        while len(waiting) < _MOST and not self._jobs.empty():
            following = self._jobs.get()
            if following is None:
                self._jobs.put(None)  # for the next turn
                break
            waiting.append(following)
        return waiting

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            with self._store.batch():
                answers = [job() for job, _ in jobs]
        except BaseException as error:
            if len(jobs) == 1:
                jobs[0][1].set_exception(error)
                return
            for job in jobs:  # nobody pays for the fault of another
                self._commit([job])
            return
        for (_, future), answer in zip(jobs, answers, strict=True):
            future.set_result(answer)
