"""
Carries records from the slots to the records queue, in batches, off the hot path.

A slot in the node's own process (threads, solo) appends to a queue in memory, and leaves the packing to the thread
that ships: many at a time take a fraction of what each takes alone. A slot in a child process (prefork) writes a row
to a pipe that it inherited, where it outlives the child that wrote it. A thread in the node's main process empties
both a few times a second and publishes what it found: at once where nothing more comes, and several times as much at a
time where records keep coming.
"""

from __future__ import annotations

import fcntl
import os
import select
import termios
import threading
import time
from array import array
from collections import deque
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger
from kombu import Connection, Producer, Queue

from poolrace.clock import broker_offset
from poolrace.contract import (
    END_FIELDS,
    NO_OFFSET,
    ROW,
    RUN_ID_BYTES,
    ClockOffset,
    NodeSample,
    Shipment,
    WireError,
    pack_end,
    pack_stamp,
    records_queue,
)
from poolrace.sampling import Sampler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celery import Celery

    from poolrace.contract import End

logger = get_logger(__name__)

LOOK_S = 0.05
"""How long after a record the node looks whether more have come; twice as long from the second look on."""

HOLD_S = 1.0
"""How long a record may wait in the node while more keep coming: a message costs the node about two milliseconds of
the time in which its threads could work, however many records it holds."""

RETRY_S = 0.5
IDLE_S = 5.0
"""How long the node sleeps where nothing comes: to look even ten times a second costs 0.3 % of a core."""

SAMPLE_EVERY_S = 1.0
MEMORY_EVERY = 2
"""Every which sample reads the memory: a millisecond a process, and so the one part that costs prefork more."""

CLOCK_EVERY_S = 10.0
PIPE_BYTES = 1 << 20
DEFAULT_PIPE_BYTES = 1 << 16
ROWS_A_MESSAGE = 2000
QUEUE_EXPIRES_S = 120.0
"""The broker forgets a records queue that nobody has read or written for this long, whatever became of its reader."""

WATCH_S = 60.0
"""How long after the last sign of a run its samples are still sent."""


class RowPipe:
    """
    Rows from child processes to the node's main process. Created before the pool forks.

    Attributes:
        capacity: How many rows it holds.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self.capacity = _enlarge(self._writer) // ROW.size
        self._unwritten: deque[bytes] = deque()
        self._partial = b""

    def write(self, row: bytes) -> None:
        """Hand over a row. Never blocks; a row that finds the pipe full goes with the next one."""
        self._unwritten.append(row)
        while self._unwritten:
            try:
                # A row is shorter than PIPE_BUF, so it arrives whole or not at all.
                os.write(self._writer, self._unwritten[0])
            except BlockingIOError:
                return
            self._unwritten.popleft()

    def waiting(self) -> int:
        """How many rows have arrived and were not read yet."""
        unread = array("i", [0])
        fcntl.ioctl(self._reader, termios.FIONREAD, unread)
        return unread[0] // ROW.size

    def fileno(self) -> int:
        """What to poll for rows."""
        return self._reader

    def read(self) -> bytes:
        """Whole rows that have arrived since the last call."""
        chunks = [self._partial, *self._chunks()]
        data = b"".join(chunks)
        whole = len(data) - len(data) % ROW.size
        self._partial = data[whole:]
        return data[:whole]

    def _chunks(self) -> Iterator[bytes]:
        while True:
            try:
                yield os.read(self._reader, PIPE_BYTES)
            except BlockingIOError:
                return

    def close(self) -> None:
        """Close both ends in this process."""
        os.close(self._reader)
        os.close(self._writer)


def _enlarge(pipe: int) -> int:
    """Have a pipe hold more, where the system grants it. Returns how many bytes it holds."""
    if not hasattr(fcntl, "F_SETPIPE_SZ"):
        return DEFAULT_PIPE_BYTES
    try:
        return fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        logger.debug("The pipe keeps its default size: the user's limit on pipe memory is reached.")
        return DEFAULT_PIPE_BYTES


class Shipper:
    """
    Gathers rows and samples in a node's main process and publishes them.

    Attributes:
        pid: The process whose slots may append directly; all others go through the pipe.
    """

    def __init__(self, app: Celery, *, node: str, pool: str = "") -> None:
        self.pid = os.getpid()
        self.node = node
        self.pool = pool
        self._app = app
        self._pipe = RowPipe()
        self._ends: deque[tuple[Any, ...]] = deque()
        self._rows: deque[bytes] = deque()
        self._samples: dict[str, list[NodeSample]] = {}
        self._watchers: dict[str, tuple[float, float]] = {}
        self._sampler: Sampler | None = None
        self._connection: Connection | None = None
        self._producer: Any = None
        self._declared: set[str] = set()
        self._clock: ClockOffset = NO_OFFSET
        self._clock_due_s = 0.0
        self._sample_due_s = 0.0
        self._samples_taken = 0
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
            end: What the node adds to it.
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
            run_id: Whose records queue they go to.
            every_s: How far apart, in seconds. A run gets more while another one wants more.
        """
        self._watchers[run_id] = time.monotonic() + WATCH_S, every_s
        self._sample_due_s = min(self._sample_due_s, time.monotonic() + every_s)
        self._wake()

    def forget(self, run_id: str) -> None:
        """Send no more samples to a run. What is on its way may still arrive."""
        self._watchers.pop(run_id, None)

    def sample(self, *, memory: bool = False) -> NodeSample:
        """The node's process tree, now."""
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
        if self._connection is not None:
            self._connection.release()

    def close(self) -> None:
        """Stop, and close the pipes in this process."""
        self.stop()
        self._pipe.close()
        os.close(self._wakeup)
        os.close(self._waker)

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # full of calls already
            os.write(self._waker, b"!")

    def _run(self) -> None:
        news = select.poll()
        news.register(self._pipe, select.POLLIN)
        news.register(self._wakeup, select.POLLIN)
        while not self._stopping.is_set():
            news.poll(1000 * self._patience_s())
            with suppress(BlockingIOError):
                os.read(self._wakeup, PIPE_BYTES)
            self._let_gather()
            self._tick()
        self._tick()

    def _patience_s(self) -> float:
        """How long there is nothing to do, if nothing comes."""
        if self._rows:
            return RETRY_S
        return max(0.0, self._sample_due_s - time.monotonic()) if self._watchers else IDLE_S

    def _let_gather(self) -> None:
        due_s = time.monotonic() + min(HOLD_S, self._patience_s())
        seen, room = 0, self._pipe.capacity // 2
        while seen < (waiting := len(self._ends) + self._pipe.waiting()) < room and time.monotonic() < due_s:
            self._stopping.wait(2 * LOOK_S if seen else LOOK_S)
            seen = waiting

    def _tick(self) -> None:
        try:
            self._take_sample()
            self._ship()
        except Exception as error:
            logger.warning("Records wait in the node: %s: %s", type(error).__name__, error)
            self._disconnect()

    def _take_sample(self) -> None:
        now = time.monotonic()
        for run_id in [run for run, (until, _) in tuple(self._watchers.items()) if until < now]:
            self._watchers.pop(run_id, None)
        if self._watchers and now >= self._sample_due_s:
            self._sample_due_s = now + min(every_s for _, every_s in tuple(self._watchers.values()))
            sample = self.sample(memory=self._samples_taken % MEMORY_EVERY == 0)
            self._samples_taken += 1
            for run_id in tuple(self._watchers):
                self._samples.setdefault(run_id, []).append(sample)

    def _ship(self) -> None:
        self._rows.extend(_split(self._pipe.read()))
        while self._ends:
            if row := _packed(self._ends.popleft()):
                self._rows.append(row)
        while self._rows:
            batch = [self._rows[i] for i in range(min(len(self._rows), ROWS_A_MESSAGE))]
            for run, rows in groupby(sorted(batch, key=_run_of), key=_run_of):
                self._publish(run.hex(), b"".join(rows))
                self._renew(run.hex())
            for _ in batch:
                self._rows.popleft()
        for run_id in tuple(self._samples):
            self._publish(run_id, b"")

    def _renew(self, run_id: str) -> None:
        if run_id in self._watchers:
            _, every_s = self._watchers[run_id]
            self._watchers[run_id] = time.monotonic() + WATCH_S, every_s

    def _publish(self, run_id: str, rows: bytes) -> None:
        """Send rows to a run, and the samples that wait for it."""
        producer = self._connected()
        queue = records_queue(run_id)
        if queue not in self._declared:
            Queue(queue, exchange="", expires=QUEUE_EXPIRES_S, durable=False)(producer.channel).declare()
            self._declared.add(queue)
        samples = tuple(self._samples.get(run_id, ()))
        shipment = Shipment(node=self.node, pool=self.pool, clock=self._clock, rows=rows, samples=samples)
        producer.publish(
            shipment.encode(),
            exchange="",
            routing_key=queue,
            content_type="application/data",
            content_encoding="binary",
            delivery_mode=1,
        )
        self._samples.pop(run_id, None)

    def _connected(self) -> Any:
        if self._producer is None:
            self._connection = self._app.connection_for_write()
            self._producer = Producer(self._connection)
            self._declared.clear()
        if time.monotonic() >= self._clock_due_s:
            self._clock_due_s = time.monotonic() + CLOCK_EVERY_S
            self._clock = broker_offset(self._producer.connection)
        return self._producer

    def _disconnect(self) -> None:
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            connection.release()


def _packed(record: tuple[Any, ...]) -> bytes | None:
    """A row; None if the job's header was somebody else's."""
    try:
        return pack_stamp(record[:-END_FIELDS]) + pack_end(*record[-END_FIELDS:])
    except WireError:
        return None


def _split(rows: bytes) -> Iterator[bytes]:
    return (rows[start : start + ROW.size] for start in range(0, len(rows), ROW.size))


def _run_of(row: bytes) -> bytes:
    return row[:RUN_ID_BYTES]
