"""Gathers results into steps, which a thread of its own stores, in order."""

from __future__ import annotations

from collections import deque
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any
from weakref import ref

from kombu.log import get_logger

from poolrace.results.storing import Result, store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

logger = get_logger(__name__)

LINGER_S = 0.001
"""How long a result waits for others before its step is stored."""

STEP_RESULTS, STEP_BYTES = 256, 1 << 18
"""The most results in a step, and their length; one that has so much is stored at once."""

MOST_RESULTS, MOST_BYTES = 8192, 1 << 24
"""So many results wait for a server that is slow or gone; who would add more waits with them."""

IDLE_S = 10.0
"""After so long without a result the thread ends, and its connection is closed."""


class ResultGatherer:
    """
    Stores the results of one app on one server, of all slots of this process.

    No slot sends for another: what interrupts a job, such as a time limit, reaches no result but its own.

    Args:
        backend: One of those whose results it stores; it makes another of the kind, with a connection of its own.
    """

    def __init__(self, backend: Any) -> None:
        self._app = ref(backend.app)
        self._kind, self._url = type(backend), backend.url
        self.after_fork()

    def after_fork(self) -> None:
        """Begin anew in a child: what was gathered before, the parent stores."""
        self._changed = Condition()  # whose lock a signal handler may take again
        self._waiting: deque[Result] = deque()
        self._waiting_bytes = 0
        self._added = self._settled = 0
        self._is_hurried = False
        self._thread: Thread | None = None

    def add(self, result: Result) -> None:
        """Store a result with others, soon; wait only if too many do."""
        with self._changed:
            self._changed.wait_for(self._has_room)
            self._waiting.append(result)
            self._waiting_bytes += len(result.text)
            self._added += 1
            self._wake()

    def _has_room(self) -> bool:
        return len(self._waiting) < MOST_RESULTS and self._waiting_bytes < MOST_BYTES

    def _is_full(self) -> bool:
        return len(self._waiting) >= STEP_RESULTS or self._waiting_bytes >= STEP_BYTES

    def _wake(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            thread = Thread(target=self._run, name="poolrace-results", daemon=True)
            thread.start()
            self._thread = thread
        elif len(self._waiting) == 1 or self._is_full():
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all that was added before is stored, or could not be."""
        if self._settled == self._added:
            return
        with self._changed:
            upto = self._added
            self._is_hurried = True
            self._wake()  # also a thread that could not be started before
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._settled >= upto)

    def _run(self) -> None:
        """Store one step after the other, until there is none for a while."""
        backend: Any = None
        try:
            while step := self._next():
                failed: Mapping[int, BaseException]
                try:
                    backend = backend or self._kind(app=self._app(), url=self._url)
                    failed = store(backend, step)
                except Exception as error:  # of the server, after all its tries
                    failed = dict.fromkeys(range(len(step)), error)
                self._settle(step, failed)
        finally:
            if backend is not None:
                backend.client.connection_pool.disconnect()

    def _next(self) -> Sequence[Result]:
        """Return the next step, once it is full, old enough or hurried; nothing if the thread is to end."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting, IDLE_S):
                self._thread = None
                return ()
            self._changed.wait_for(lambda: self._is_hurried or self._is_full(), LINGER_S)
            step: list[Result] = []
            size = 0
            while self._waiting and len(step) < STEP_RESULTS and size < STEP_BYTES:
                step.append(self._waiting.popleft())
                size += len(step[-1].text)
            self._waiting_bytes -= size
            return step

    def _settle(self, step: Sequence[Result], failed: Mapping[int, BaseException]) -> None:
        try:
            if failed:
                named = ", ".join(str(step[place].task_id) for place in failed)
                why = next(iter(failed.values()))
                logger.error("%d results could not be stored (%s): %s", len(failed), why, named)
        finally:
            with self._changed:
                self._settled += len(step)
                self._is_hurried = self._is_hurried and self._settled < self._added
                self._changed.notify_all()
