"""
Carries records from the slots to the records queue, in batches, off the hot path.

A slot in the node's own process (threads, solo) appends to a queue in memory, and leaves the packing to the thread
that ships: many at a time take a fraction of what each takes alone. A slot in a child process (prefork) writes a row
to a pipe that it inherited, where it outlives the child that wrote it. A thread in the node's main process empties
both a few times a second and publishes what it found: at once if nothing more comes, and in larger batches while
records keep coming.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger
from celery.worker.state import reserved_requests

from poolrace.contract import ROW, RUN_ID_BYTES, NodeSample, Shipment, WireError, pack_record
from poolrace.row_pipe import RowPipe
from poolrace.sampling import Sampler
from poolrace.watchers import Watchers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from poolrace.contract import End
    from poolrace.records_sender import RecordsSender

logger = get_logger(__name__)

LOOK_S = 0.05
"""The pause after a record before the node looks for more; twice as long from the second look on, half as long if the
node has no job."""

HOLD_RECORDS_S = 1.0
"""The longest time that a record waits in the node while more keep coming: a message costs the node about two
milliseconds in which its threads could work, however many records it holds."""

RETRY_S = 0.5
IDLE_S = 5.0
"""The longest sleep of the node while nothing comes: to look even ten times a second costs 0.3 % of a core."""

SAMPLE_EVERY_S = 1.0
MEMORY_EVERY = 2
"""The memory is read by every second sample: it takes a millisecond a process, and so costs a prefork node more."""

ROWS_PER_MESSAGE = 2000
WAKEUPS_AT_ONCE = 1 << 16


class Shipper:
    """
    Gathers rows and samples in a node's main process and publishes them.

    Args:
        sender: Publishes to the records queues.
        node: Celery's name of the node.
        pool: The name of its pool; may be set later.
        monotonic: A clock that nobody can set, in seconds.
        idle_s: The longest sleep of the thread while nothing comes.
        idle: Returns whether the node has no job: then hardly one will end soon, and records wait less long for more.

    Attributes:
        pid: The process whose slots may append directly; all others go through the pipe.
    """

    def __init__(
        self,
        sender: RecordsSender,
        *,
        node: str,
        pool: str = "",
        monotonic: Callable[[], float] = time.monotonic,
        idle_s: float = IDLE_S,
        idle: Callable[[], bool] = lambda: not reserved_requests,
    ) -> None:
        self.pid = os.getpid()
        self.node = node
        self.pool = pool
        self._sender = sender
        self._monotonic = monotonic
        self._idle_s = idle_s
        self._idle = idle
        self._pipe = RowPipe()
        self._ends: deque[tuple[Any, ...]] = deque()
        self._rows: deque[bytes] = deque()
        self._watchers = Watchers(monotonic)
        self._samples: dict[str, list[NodeSample]] = {}
        self._samples_taken = 0
        self._sampler: Sampler | None = None
        self._wakeup, self._waker = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(self._waker, False)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, header: Any, end: End) -> None:
        """
        Take a record from a slot, in whichever process the slot is.

        Args:
            header: The job's stamp, as it came. Somebody else's header of the same name leaves no record.
            end: The node's part of the record.
        """
        if not isinstance(header, list):
            return
        # One flat tuple of plain values: the garbage collector forgets it, where it would look again and again through
        # all that wait, and before long through the node's whole heap.
        record = (*header, *end)
        if os.getpid() == self.pid:
            # An append does not let go of the GIL, as a write would: on a busy threads pool the slot would have to
            # wait for it behind all others.
            self._ends.append(record)
            if len(self._ends) == 1:
                self._wake()
        elif row := _packed(record):
            self._pipe.write(row)

    def watch(self, run_id: str, every_s: float = SAMPLE_EVERY_S) -> None:
        """
        Send node samples to a run, from now until nothing has been heard of it for a while.

        Args:
            run_id: The run whose records queue they go to.
            every_s: The time between two samples. A run gets more while another one wants more.
        """
        self._watchers.add(run_id, every_s)
        self._wake()

    def forget(self, run_id: str) -> None:
        """Send no more samples to a run. Those that are on their way may still arrive."""
        self._watchers.remove(run_id)

    def sample(self, *, memory: bool = False) -> NodeSample:
        """Take a sample of the node's process tree now, and return it."""
        if self._sampler is None:
            self._sampler = Sampler(self.pid)
        return self._sampler.sample(memory=memory)

    def start(self) -> None:
        """Begin to ship, in a thread of this process."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="poolrace-shipper", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ship what is left and end the thread."""
        if self._thread is not None:
            self._stopping.set()
            self._wake()
            self._thread.join(timeout=5)
            self._thread = None
        self._sender.close()

    def close(self) -> None:
        """Stop, and close the pipes in this process."""
        self.stop()
        self._pipe.close()
        os.close(self._wakeup)
        os.close(self._waker)

    def ship(self) -> None:
        """Take a sample if one is due, and publish everything that waits; keep it if the broker is away."""
        try:
            self._take_sample()
            self._publish_rows()
            for run_id in tuple(self._samples):
                self._publish(run_id, b"")
        except Exception as error:
            logger.warning("Records wait in the node: %s: %s", type(error).__name__, error)
            self._sender.close()

    def patience_s(self) -> float:
        """Return how long there is nothing to do if nothing comes."""
        if self._rows:
            return RETRY_S
        due_in_s = self._watchers.due_in_s()
        return self._idle_s if due_in_s is None else due_in_s

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # full of calls already
            os.write(self._waker, b"!")

    def _run(self) -> None:
        news = select.poll()
        news.register(self._pipe.reader, select.POLLIN)
        news.register(self._wakeup, select.POLLIN)
        while not self._stopping.is_set():
            news.poll(1000 * self.patience_s())
            with suppress(BlockingIOError):
                os.read(self._wakeup, WAKEUPS_AT_ONCE)
            self._let_gather()
            self.ship()
        self.ship()

    def _let_gather(self) -> None:
        due_s = self._monotonic() + min(HOLD_RECORDS_S, self.patience_s())
        seen, room = 0, self._pipe.capacity // 2
        while seen < (waiting := len(self._ends) + self._pipe.waiting()) < room and self._monotonic() < due_s:
            self._stopping.wait(LOOK_S * (1 if not seen else 0.5 if self._idle() else 2))
            seen = waiting

    def _take_sample(self) -> None:
        if runs := self._watchers.take_due():
            sample = self.sample(memory=self._samples_taken % MEMORY_EVERY == 0)
            self._samples_taken += 1
            for run_id in runs:
                self._samples.setdefault(run_id, []).append(sample)

    def _publish_rows(self) -> None:
        self._rows.extend(_split(self._pipe.read()))
        while self._ends:
            if row := _packed(self._ends.popleft()):
                self._rows.append(row)
        while self._rows:
            batch = [self._rows[i] for i in range(min(len(self._rows), ROWS_PER_MESSAGE))]
            for run, rows in groupby(sorted(batch, key=_run_of), key=_run_of):
                self._publish(run.hex(), b"".join(rows))
                self._watchers.renew(run.hex())
            for _ in batch:
                self._rows.popleft()

    def _publish(self, run_id: str, rows: bytes) -> None:
        """Send rows to a run, and the samples that wait for it."""
        samples = tuple(self._samples.get(run_id, ()))
        clock = self._sender.clock()
        shipment = Shipment(node=self.node, pool=self.pool, clock=clock, rows=rows, samples=samples)
        self._sender.send(run_id, shipment.encode())
        self._samples.pop(run_id, None)


def _packed(record: tuple[Any, ...]) -> bytes | None:
    """Return a row; None if the job's header was somebody else's."""
    try:
        return pack_record(*record)
    except (WireError, TypeError):  # another value, or another number of them
        return None


def _split(rows: bytes) -> Iterator[bytes]:
    return (rows[start : start + ROW.size] for start in range(0, len(rows), ROW.size))


def _run_of(row: bytes) -> bytes:
    return row[:RUN_ID_BYTES]
