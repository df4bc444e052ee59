"""
The wire format between a publisher, a node and the collector.

Pure and standard library only, so that it can be imported into any Celery process. Every key, layout and name that
two processes must agree on is spelled here and nowhere else.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

VERSION = 5
"""The version of the wire format. A collector refuses messages of another one."""

HEADER = "poolrace"
"""The message header that carries a `Stamp`. Jobs without it are left alone."""

CHILD_HEADER = "poolrace_child"
"""The header of a job that a stamped job started: the `Stamp` of that job, with the child's own time of sending."""

RECEIVED = "poolrace_received_at"
"""The key under which a node notes, in the request it hands to a slot, when the message arrived."""

STARTED = "poolrace_started"
"""The key under which a slot counts, in the request of the job that it runs, the jobs that this job sends."""

HOLD_TASK = "poolrace.hold"
"""A task that every stamped app has: it holds a slot for a given time, which proves that the slot is there."""

WAIT_TASK = "poolrace.wait"
"""A task that every stamped app has: it waits, and notes its effects in the list of a drill (`effects_queue`)."""

HELLO_COMMAND = "poolrace_hello"
"""The remote control command for a node's description; from then on the node sends samples to a run."""

GOODBYE_COMMAND = "poolrace_goodbye"
"""The remote control command to send no more samples to a run."""

SAMPLE_COMMAND = "poolrace_sample"
"""The remote control command for CPU time and context switches of the node's process tree, now."""

THROTTLING = "throttling"
"""The key in the answer to `SAMPLE_COMMAND` that stands beside the sample: a `poolrace.cgroup.Throttling`, or None."""

MACHINE = "machine"
"""Another such key: a `poolrace.machine_use.MachineUse`."""

RUN_ID_BYTES = 8
EXCEPTION_BYTES = 40


class WireError(ValueError):
    """A message that is not Poolrace's, is cut short, or is of another version."""


class Outcome(IntEnum):
    """The end of one delivery of a job."""

    SUCCEEDED = 0
    FAILED = 1
    RETRIED = 2
    REVOKED = 3
    IGNORED = 4
    REJECTED = 5

    @property
    def label(self) -> str:
        """The name used in records and reports."""
        return self.name.lower()


def records_queue(run_id: str) -> str:
    """Return the name of the queue to which nodes ship the records of a run."""
    return f"poolrace.records.{run_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """
    The header that a publisher writes into every job.

    Attributes:
        run_id: 16 hexadecimal digits.
        trial: The trial's number within the run, from 0.
        seq: The job's number within the trial, from 0.
        due_at: When the plan wanted the job sent, in seconds since the epoch on the publisher's clock.
        sent_at: Just before the publisher called the broker, on the same clock.
    """

    run_id: str
    trial: int
    seq: int
    due_at: float
    sent_at: float

    def to_header(self) -> list[Any]:
        """Return the header's value: a short list, since every broker message carries one."""
        return [self.run_id, self.trial, self.seq, self.due_at, self.sent_at]

    @classmethod
    def from_header(cls, value: Sequence[Any]) -> Self:
        """
        Read a header's value.

        Raises:
            WireError: If it is no stamp, but for example another program's header of the same name.
        """
        try:
            run_id, trial, seq, due_at, sent_at = value
        except (TypeError, ValueError) as error:
            raise WireError(f"header {HEADER!r}: {value!r} is no stamp") from error
        pack_record(run_id, trial, seq, due_at, sent_at, *_NO_END)
        return cls(run_id=run_id, trial=trial, seq=seq, due_at=due_at, sent_at=sent_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """
    The life of one delivery of a job.

    Instants are seconds since the epoch on the clock of the process that took them: due and sent on the publisher's,
    the others on the node's. NaN stands for an instant that never came (a revoked job never starts). A collector moves
    them to the broker's clock.

    Attributes:
        run_id: 16 hexadecimal digits.
        trial: The trial's number within the run.
        seq: The job's number within the trial.
        due_at: When the plan wanted the job sent.
        sent_at: Just before the publisher called the broker.
        received_at: When the node took the message from the broker.
        started_at: When a slot began running it.
        finished_at: When the task returned or raised.
        cpu_s: CPU time of the slot's thread between started and finished.
        pid: The process that ran it.
        thread_id: The native identifier of the thread that ran it.
        attempt: 1 at first, one more with each retry.
        redelivered: Whether the broker handed it out before.
        gil: Whether the interpreter's global lock was on, seen from inside the slot.
        child: Whether it was sent not by the publisher but by the job of that number, or by a child of it.
        outcome: Its end.
        started: The number of jobs that this delivery sent, without its own retry.
        exception: The class name of the exception that it raised, at most 40 bytes; empty if it raised none.
    """

    run_id: str
    trial: int
    seq: int
    due_at: float
    sent_at: float
    received_at: float
    started_at: float = math.nan
    finished_at: float = math.nan
    cpu_s: float = math.nan
    pid: int = 0
    thread_id: int = 0
    attempt: int = 1
    redelivered: bool = False
    gil: bool = True
    child: bool = False
    outcome: Outcome = Outcome.SUCCEEDED
    started: int = 0
    exception: str = ""


ROW = struct.Struct(f"<{RUN_ID_BYTES}sII6dIIHBBH{EXCEPTION_BYTES}s")
"""
A record on the wire, little-endian, of fixed width so that it can be read as a table without a loop: first the job's
stamp, then the part that a node adds at the end of a delivery.
"""

ROW_FIELDS = (
    ("run_id", f"S{RUN_ID_BYTES}"),
    ("trial", "<u4"),
    ("seq", "<u4"),
    ("due_at", "<f8"),
    ("sent_at", "<f8"),
    ("received_at", "<f8"),
    ("started_at", "<f8"),
    ("finished_at", "<f8"),
    ("cpu_s", "<f8"),
    ("pid", "<u4"),
    ("thread_id", "<u4"),
    ("attempt", "<u2"),
    ("flags", "u1"),
    ("outcome", "u1"),
    ("started", "<u2"),
    ("exception", f"S{EXCEPTION_BYTES}"),
)
"""The same layout as a numpy dtype description."""

FLAG_REDELIVERED = 1
FLAG_GIL = 2
FLAG_CHILD = 4

MAX_STARTED = 2**16 - 1

End = tuple[float, float, float, float, int, int, int, int, int, int, str]
"""The node's part of a record, taken at the end of a delivery: the last arguments of `pack_record`."""

_NO_END: End = (math.nan, math.nan, math.nan, math.nan, 0, 0, 1, 0, 0, 0, "")


def pack_row(record: JobRecord) -> bytes:
    """Pack a record into a row of `ROW.size` bytes."""
    return pack_record(
        record.run_id,
        record.trial,
        record.seq,
        record.due_at,
        record.sent_at,
        record.received_at,
        record.started_at,
        record.finished_at,
        record.cpu_s,
        record.pid,
        record.thread_id,
        record.attempt,
        record.redelivered * FLAG_REDELIVERED + record.gil * FLAG_GIL + record.child * FLAG_CHILD,
        record.outcome,
        record.started,
        record.exception,
    )


def pack_record(
    run_id: Any,
    trial: Any,
    seq: Any,
    due_at: Any,
    sent_at: Any,
    received_at: float,
    started_at: float,
    finished_at: float,
    cpu_s: float,
    pid: int,
    thread_id: int,
    attempt: int,
    flags: int,
    outcome: int,
    started: int,
    exception: str,
) -> bytes:
    """
    Pack a row: the header of a message as it came, then an `End`. The hot path of a node: it builds nothing else.

    Raises:
        WireError: If the header is no stamp, but for example another program's of the same name.
    """
    try:
        run = bytes.fromhex(run_id)
        row = ROW.pack(
            run,
            trial,
            seq,
            due_at,
            sent_at,
            received_at,
            started_at,
            finished_at,
            cpu_s,
            pid,
            thread_id,
            attempt,
            flags,
            outcome,
            min(started, MAX_STARTED),
            clip_exception(exception) if exception else b"",
        )
    except (TypeError, ValueError, OverflowError, struct.error) as error:
        raise WireError(f"header {HEADER!r}: {(run_id, trial, seq, due_at, sent_at)!r} is no stamp") from error
    # `fromhex` overlooks spaces, and `pack` fills up what is too short.
    if len(run) != RUN_ID_BYTES or len(run_id) != 2 * RUN_ID_BYTES:
        raise WireError(f"header {HEADER!r}: {run_id!r} is no run id of {2 * RUN_ID_BYTES} hexadecimal digits")
    return row


def clip_exception(name: str) -> bytes:
    """Cut a class name to at most 40 bytes of UTF-8, never inside a character."""
    return name.encode()[:EXCEPTION_BYTES].decode(errors="ignore").encode()


def unpack_rows(rows: bytes) -> Iterator[JobRecord]:
    """
    Read any number of rows.

    Raises:
        WireError: If a row is cut short or has an unknown outcome.
    """
    if len(rows) % ROW.size:
        raise WireError(f"{len(rows)} bytes of records: not a multiple of {ROW.size}")
    for (
        run,
        trial,
        seq,
        *instants_and_cpu,
        pid,
        thread_id,
        attempt,
        flags,
        outcome,
        started,
        exception,
    ) in ROW.iter_unpack(rows):
        due_at, sent_at, received_at, started_at, finished_at, cpu_s = instants_and_cpu
        try:
            known = Outcome(outcome)
        except ValueError as error:
            raise WireError(f"outcome {outcome}: not one of {[o.value for o in Outcome]}") from error
        yield JobRecord(
            run_id=run.hex(),
            trial=trial,
            seq=seq,
            due_at=due_at,
            sent_at=sent_at,
            received_at=received_at,
            started_at=started_at,
            finished_at=finished_at,
            cpu_s=cpu_s,
            pid=pid,
            thread_id=thread_id,
            attempt=attempt,
            redelivered=bool(flags & FLAG_REDELIVERED),
            gil=bool(flags & FLAG_GIL),
            child=bool(flags & FLAG_CHILD),
            outcome=known,
            started=started,
            exception=exception.rstrip(b"\0").decode(errors="replace"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockOffset:
    """
    The offset of a clock to the broker's.

    Attributes:
        offset_s: Broker's clock minus this clock, in seconds.
        bound_s: The offset is right to within this; half the best round trip of a TIME command.
    """

    offset_s: float
    bound_s: float

    @property
    def correction_s(self) -> float:
        """The seconds to add to an instant. An offset smaller than its own bound is noise and is not applied."""
        return self.offset_s if abs(self.offset_s) > self.bound_s else 0.0


NO_OFFSET = ClockOffset(offset_s=0.0, bound_s=math.inf)
"""The offset to a broker without a clock: nothing is applied, and the bound says that nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSample:
    """
    What one process of a node holds.

    Attributes:
        pid: Its id.
        rss_bytes: Its memory, pages that it shares with others included; None where the system does not report it.
            What is shared is no longer when one of both writes to it, and its process then has more to itself, but no
            more than before.
        open_files: Its open descriptors, sockets included; None where this is not allowed or not known.
        sockets: How many of them are sockets; None where the system does not tell them apart.
    """

    pid: int
    rss_bytes: int | None
    open_files: int | None
    sockets: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSample:
    """
    The resources that a node's process tree had used until an instant.

    Attributes:
        at: Seconds since the epoch on the node's clock.
        cpu_s: CPU seconds, user and system, of the tree since it started, children that ended included.
        pss_bytes: Proportional set size of the tree; None where the system does not report it.
        private_bytes: What of it each process has to itself; the rest is the tree's part of pages that are shared, with
            each other or with other programs. None with `pss_bytes`.
        voluntary_switches: Context switches because a thread waited.
        involuntary_switches: Context switches because a thread's time was up.
        processes: Processes in the tree.
        threads: Threads in the tree.
        children: Ids of the processes right below the root; on prefork those are the slots.
        drift_s: Wall clock minus monotonic clock; a jump between samples means that the clock was set.
        parts: What each process of the tree holds, the root first; empty if the memory was not read.
    """

    at: float
    cpu_s: float
    pss_bytes: int | None
    private_bytes: int | None
    voluntary_switches: int
    involuntary_switches: int
    processes: int
    threads: int
    children: tuple[int, ...]
    drift_s: float
    parts: tuple[ProcessSample, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the sample as a dictionary for JSON."""
        return {**asdict(self), "children": list(self.children), "parts": list(map(asdict, self.parts))}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read a dictionary made by `to_dict`."""
        parts = tuple(ProcessSample(**part) for part in value["parts"])
        return cls(**{**value, "children": tuple(value["children"]), "parts": parts})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """
    One message on the records queue: everything that a node noted since the last one.

    Attributes:
        node: Celery's node name, e.g. `threads@host`.
        pool: The name of its pool.
        clock: The node's clock against the broker's.
        rows: Records, packed.
        samples: Node samples, oldest first.
    """

    node: str
    pool: str
    clock: ClockOffset
    rows: bytes
    samples: Sequence[NodeSample] = ()

    def encode(self) -> bytes:
        """Return the message: a line of JSON, a line break, then the rows."""
        head = {
            "poolrace": VERSION,
            "node": self.node,
            "pool": self.pool,
            "offset_s": self.clock.offset_s,
            "bound_s": self.clock.bound_s if math.isfinite(self.clock.bound_s) else None,
            "samples": [sample.to_dict() for sample in self.samples],
            "rows": len(self.rows) // ROW.size,
        }
        return json.dumps(head, separators=(",", ":")).encode() + b"\n" + self.rows

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """
        Read a message.

        Raises:
            WireError: If it is not a shipment, or of another version.
        """
        line, _, rows = message.partition(b"\n")
        try:
            head = json.loads(line)
            version = head["poolrace"]
        except (ValueError, KeyError, TypeError) as error:
            raise WireError(f"not a shipment of records: {message[:60]!r}") from error
        if version != VERSION:
            raise WireError(f"records of wire version {version!r}; this is version {VERSION}. Use one poolrace on all.")
        try:
            return cls._from_head(head, rows)
        except (KeyError, TypeError) as error:
            raise WireError(f"not a shipment of records: {line[:60]!r}") from error

    @classmethod
    def _from_head(cls, head: Mapping[str, Any], rows: bytes) -> Self:
        if len(rows) != head["rows"] * ROW.size:
            raise WireError(f"a shipment cut short: {len(rows)} bytes are not {head['rows']} records")
        bound_s = head["bound_s"]
        return cls(
            node=head["node"],
            pool=head["pool"],
            clock=ClockOffset(offset_s=head["offset_s"], bound_s=math.inf if bound_s is None else bound_s),
            rows=rows,
            samples=tuple(map(NodeSample.from_dict, head["samples"])),
        )


def join_rows(records: Iterable[JobRecord]) -> bytes:
    """Pack several records into rows."""
    return b"".join(map(pack_row, records))
