"""Reads what the nodes ship, moves it to the broker's clock, and knows when a trial is complete."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from kombu import Consumer, Queue

from poolrace.contract import (
    FLAG_CHILD,
    FLAG_GIL,
    FLAG_REDELIVERED,
    ROW_FIELDS,
    Outcome,
    Shipment,
    WireError,
    records_queue,
)
from poolrace.pools import has_children
from poolrace.records_sender import QUEUE_EXPIRES_S
from producer.errors import FleetError
from producer.fleet.broker_errors import needing_broker
from producer.rundir.events import NULL_LOG, EventKind, EventLog, children_text
from producer.rundir.schema import PROCESS_SCHEMA, RECORD_SCHEMA, SAMPLE_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from celery import Celery

    from poolrace.contract import ClockOffset

ROW_DTYPE = np.dtype([(name, kind) for name, kind in ROW_FIELDS])

_OUTCOMES = {outcome.value: outcome.label for outcome in Outcome}
_AS_THEY_ARE = ("trial", "seq", "pid", "thread_id", "attempt", "cpu_s", "due_at", "sent_at")
"""Columns that nodes ship as they got them; publishers stamp on the broker's clock."""

_NODE_INSTANTS = ("received_at", "started_at", "finished_at")


@dataclass(frozen=True, slots=True)
class _Part:
    """
    The records of one shipment, as they came: to make a table of each costs more than all else that is done with it.

    Attributes:
        rows: As `ROW_DTYPE`, on the node's clock.
        lane: The lane of the node.
        node: The node's name.
        pool: The node's pool.
        correction_s: Seconds that move the node's clock to the broker's.
    """

    rows: npt.NDArray[Any]
    lane: str
    node: str
    pool: str
    correction_s: float


class Taken(NamedTuple):
    """
    What came since the last time.

    Attributes:
        records: As `RECORD_SCHEMA`.
        samples: Of nodes, as `SAMPLE_SCHEMA`.
        processes: What single processes of nodes held, as `PROCESS_SCHEMA`.
    """

    records: pl.DataFrame
    samples: pl.DataFrame
    processes: pl.DataFrame


class Collector:
    """
    A reader of a run's records queue.

    Use as a context manager; leaving it removes the queue.

    Attributes:
        clocks: The offset of each node to the broker's clock: the one that was measured first, and the last one.
    """

    def __init__(
        self,
        app: Celery,
        run_id: str,
        *,
        lane_of: Mapping[str, str],
        events: EventLog = NULL_LOG,
    ) -> None:
        self.clocks: dict[str, tuple[ClockOffset, ClockOffset]] = {}
        self._app = app
        self._run_id = run_id
        self._lane_of = lane_of
        self._records: list[_Part] = []
        self._samples: list[dict[str, Any]] = []
        self._processes: list[dict[str, Any]] = []
        self._children: list[_Part] = []
        self._looked = (0, 0, 0)
        self._events = events
        self._joined: set[str] = set()
        self._offspring: dict[str, set[int]] = {}
        self._trial = -1
        self._lane = ""
        self._unended_children = 0
        self._ended = np.zeros(0, dtype=bool)

    def __enter__(self) -> Self:
        self._connection = self._app.connection_for_read()
        with needing_broker():
            channel = self._connection.default_channel
            name = records_queue(self._run_id)
            self._queue = Queue(name, exchange="", expires=QUEUE_EXPIRES_S, durable=False)(channel)
            self._queue.declare()
            self._consumer = Consumer(channel, [self._queue], callbacks=[self._take], no_ack=True, accept=["json"])
            self._consumer.consume()
        return self

    def expect(self, trial: int, jobs: int, lane: str = "") -> None:
        """Begin to count the ends of a trial's jobs, which run on a lane."""
        self._trial = trial
        self._lane = lane
        self._ended = np.zeros(jobs, dtype=bool)
        self._unended_children = 0

    def replan(self, jobs: int) -> None:
        """Change the number of jobs of the expected trial; those that have ended stay so."""
        ended = np.zeros(jobs, dtype=bool)
        kept = min(jobs, len(self._ended))
        ended[:kept] = self._ended[:kept]
        self._ended = ended

    @property
    def rows(self) -> int:
        """The number of records that `take` would return."""
        return sum(len(part.rows) for part in self._records)

    @property
    def missing(self) -> int:
        """The number of jobs of the expected trial without a record of their end."""
        return int(len(self._ended) - np.count_nonzero(self._ended))

    @property
    def missing_children(self) -> int:
        """The number of jobs that those of the expected trial started, without a record of their end."""
        return max(0, self._unended_children)

    def poll(self, timeout_s: float) -> None:
        """
        Take the shipments that have arrived, or wait for the next one.

        Raises:
            FleetError: If the broker is gone.
        """
        with needing_broker(), suppress(TimeoutError):
            self._connection.drain_events(timeout=timeout_s)

    def take(self) -> Taken:
        """Return the records and samples since the last call."""
        records, self._records = self._records, []
        samples, self._samples = self._samples, []
        processes, self._processes = self._processes, []
        self._looked = (0, self._looked[1], 0)
        return Taken(
            records=_table(records),
            samples=pl.DataFrame(samples, schema=SAMPLE_SCHEMA),
            processes=pl.DataFrame(processes, schema=PROCESS_SCHEMA),
        )

    def take_children(self) -> pl.DataFrame:
        """Return the records since the last call of jobs that others started, under the number of the job sent."""
        children, self._children = self._children, []
        self._looked = (self._looked[0], 0, self._looked[2])
        return _table(children)

    def fresh(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """
        Return the records, records of children, and node samples that came since the last call.

        `take` and `take_children` still return them, and count as a call of this.
        """
        records, children, samples = self._looked
        self._looked = len(self._records), len(self._children), len(self._samples)
        return (
            _table(self._records[records:]),
            _table(self._children[children:]),
            pl.DataFrame(self._samples[samples:], schema=SAMPLE_SCHEMA),
        )

    def _take(self, body: Any, _message: Any) -> None:
        try:
            shipment = Shipment.decode(bytes(body))
        except WireError as error:
            raise FleetError(f"A node ships what this poolrace cannot read: {error}") from error
        lane = self._lane_of.get(shipment.node, shipment.node)
        clock = shipment.clock
        first, _ = self.clocks.get(shipment.node, (clock, clock))
        self.clocks[shipment.node] = first, clock
        self._note(shipment, lane)
        rows = np.frombuffer(shipment.rows, dtype=ROW_DTYPE)
        if len(rows):
            self._count(rows)
            is_child = (rows["flags"] & FLAG_CHILD) > 0
            for kind, parts in ((rows[~is_child], self._records), (rows[is_child], self._children)):
                if len(kind):
                    parts.append(_Part(kind, lane, shipment.node, shipment.pool, clock.correction_s))
        for sample in shipment.samples:
            told = {**sample.to_dict(), "lane": lane, "node": shipment.node, "at": sample.at + clock.correction_s}
            self._samples.append({name: told[name] for name in SAMPLE_SCHEMA})  # the children are in events
            for place, part in enumerate(told["parts"]):
                of = {name: told[name] for name in ("lane", "node", "at")}
                self._processes.append({**of, "root": not place, **part})

    def _note(self, shipment: Shipment, lane: str) -> None:
        """Note a node that joined, and child processes that were replaced."""
        if self._lane_of and shipment.node not in self._lane_of and shipment.node not in self._joined:
            self._joined.add(shipment.node)
            self._events.note(EventKind.JOINED, lane=self._lane, node=shipment.node)
        for sample in shipment.samples if has_children(shipment.pool) else ():
            now = set(sample.children)
            before = self._offspring.setdefault(shipment.node, now)
            self._offspring[shipment.node] = now
            if told := children_text(before - now, now - before):
                at = sample.at + shipment.clock.correction_s
                self._events.note(EventKind.CHILDREN, lane=lane, node=shipment.node, detail=told, at=at)

    def _count(self, rows: npt.NDArray[Any]) -> None:
        ours = rows[(rows["trial"] == self._trial) & (rows["seq"] < len(self._ended))]
        is_child = (ours["flags"] & FLAG_CHILD) > 0
        is_end = ours["outcome"] != Outcome.RETRIED
        self._ended[ours["seq"][is_end & ~is_child]] = True
        # The end of a child may arrive before that of the job that started it.
        self._unended_children += int(ours["started"].sum()) - int(np.count_nonzero(is_end & is_child))

    def __exit__(self, *_: object) -> None:
        try:
            self._consumer.cancel()
            self._queue.delete()
        except self._connection.connection_errors:
            pass  # the broker is gone, and the queue with it
        self._connection.release()


def _table(parts: Sequence[_Part]) -> pl.DataFrame:
    """Make one table of records, as `RECORD_SCHEMA`, on the broker's clock."""
    if not parts:
        return pl.DataFrame(schema=RECORD_SCHEMA)
    rows = np.concatenate([part.rows for part in parts])
    of = np.repeat(np.arange(len(parts)), [len(part.rows) for part in parts])
    corrections_s = np.array([part.correction_s for part in parts])[of]
    columns: dict[str, Any] = {name: rows[name] for name in _AS_THEY_ARE}
    columns |= {name: rows[name] + corrections_s for name in _NODE_INSTANTS}
    columns["redelivered"] = (rows["flags"] & FLAG_REDELIVERED) > 0
    columns["gil"] = (rows["flags"] & FLAG_GIL) > 0
    columns["outcome"] = [_OUTCOMES.get(code, f"unknown {code}") for code in rows["outcome"].tolist()]
    columns["exception"] = [name.decode() or None for name in rows["exception"].tolist()]
    columns |= {name: pl.Series([getattr(part, name) for part in parts])[of] for name in ("lane", "node", "pool")}
    return pl.DataFrame(columns).select(
        pl.col(name).cast(kind).fill_nan(None) if kind == pl.Float64 else pl.col(name).cast(kind)
        for name, kind in RECORD_SCHEMA.items()
    )


def clock_facts(first: ClockOffset, last: ClockOffset) -> dict[str, float | None]:
    """Return what the manifest says of a node's clock: how far it is off, and how that changed over the run."""
    known = first != last and math.isfinite(first.bound_s + last.bound_s)
    return {
        "offset_s": last.offset_s,
        "bound_s": finite(last.bound_s),
        "drift_s": last.offset_s - first.offset_s if known else None,
        "drift_bound_s": first.bound_s + last.bound_s if known else None,
    }


def finite(bound_s: float) -> float | None:
    """Return a bound for JSON, which has no infinity: None for an infinite one."""
    return bound_s if math.isfinite(bound_s) else None
