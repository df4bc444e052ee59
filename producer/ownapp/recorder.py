"""Listens for a while, in either way or both."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from celery import Celery

from producer.fleet.broker_errors import needing_broker
from producer.ownapp.event_listener import EVENTS, NO_LITERAL, QUEUE, EventListener, RecordedJob
from producer.ownapp.queue_reader import LOOK_EVERY_S, QueueReader
from producer.ownapp.recorded_jobfile import writable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence, Set

TELL_EVERY_S = 1.0
LISTEN_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """
    What came while it was listened.

    Attributes:
        jobs: Those that can be sent again, in the order they came.
        children: How many jobs were started by others; who replays those starts them again.
        unreadable: Jobs whose arguments cannot be told: how many, by task and reason.
        before: How many jobs lay in the queues already, or were tried again; when they came is not known.
        events_only: How many jobs of the queues were in events and not in the queue; None unless both were listened to.
        elsewhere: How many jobs were in events alone, of other queues or of one that events do not name.
    """

    jobs: Sequence[RecordedJob]
    children: int = 0
    unreadable: Mapping[str, Mapping[str, int]]
    before: int = 0
    events_only: int | None = None
    elsewhere: int = 0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "jobs": len(self.jobs),
            "tasks": dict(Counter(job.task for job in self.jobs)),
            "children": self.children,
            "unreadable": {task: dict(reasons) for task, reasons in self.unreadable.items()},
            "before": self.before,
            "events_only": self.events_only,
            "elsewhere": self.elsewhere,
        }


def record(
    broker_url: str,
    *,
    queues: Sequence[str],
    ways: Set[str],
    duration_s: float,
    tell: Callable[[Mapping[str, int]], None],
) -> Recording:
    """
    Listen to a broker; Ctrl-C ends it early, and what came until then is kept.

    Args:
        broker_url: The live broker.
        queues: Looked at in place.
        ways: Some of `events.WAYS`.
        duration_s: For how long.
        tell: Is told how many jobs of each task came: none once it listens, and then once a second.

    Raises:
        FleetError: If the broker is gone.
        UsageError: If its queues cannot be looked at.
    """
    app = Celery("recorder", broker=broker_url, set_as_current=False)
    ear, tap = EventListener(), None
    with needing_broker(), app.connection_for_read() as connection, suppress(KeyboardInterrupt), ExitStack() as stack:
        tap = QueueReader(connection, queues) if QUEUE in ways else None
        listen = stack.enter_context(_listening(app, connection, ear)) if EVENTS in ways else time.sleep
        _repeat(tap, ear, listen, duration_s, tell)
    return merged(ear, tap, queues)


def _repeat(
    tap: QueueReader | None,
    ear: EventListener,
    listen: Callable[[float], None],
    duration_s: float,
    tell: Callable[[Mapping[str, int]], None],
) -> None:
    if tap is not None:
        tap.look()  # what lies there already is not what comes
    tell({})
    begun = told = time.monotonic()
    while (now := time.monotonic()) - begun < duration_s:
        if tap is not None:
            tap.look()
        next_s = now + (LISTEN_S if tap is None else LOOK_EVERY_S)
        while (left_s := next_s - time.monotonic()) > 0:
            listen(left_s)
        if now - told >= TELL_EVERY_S:
            told = now
            known = {**ear.jobs, **(tap.jobs if tap is not None else {})}
            tell(Counter(job.task for job in known.values()))


@contextmanager
def _listening(app: Celery, connection: Any, ear: EventListener) -> Iterator[Callable[[float], None]]:
    receiver: Any = app.events.Receiver(connection, handlers={"*": ear.hear})
    with receiver.consumer_context() as (own_connection, _channel, _consumers):

        def listen(for_s: float) -> None:
            with suppress(TimeoutError):
                own_connection.drain_events(timeout=for_s)

        yield listen


def merged(ear: EventListener, tap: QueueReader | None, queues: Sequence[str]) -> Recording:
    """What both ways came to know, each job once: the queue knows arguments, and events may know earlier of a job."""
    if tap is None:
        return split_replayable(ear.jobs)
    both = {
        task_id: replace(job, at=min(job.at, ear.jobs[task_id].at)) if task_id in ear.jobs else job
        for task_id, job in tap.jobs.items()
    }
    alone = {task_id: job for task_id, job in ear.jobs.items() if task_id not in both and task_id not in tap.before}
    ours = {task_id: job for task_id, job in alone.items() if job.queue in queues}
    return replace(
        split_replayable({**both, **ours}),
        before=len(tap.before),
        events_only=len(ours) if ear.jobs else None,
        elsewhere=len(alone) - len(ours),
    )


def split_replayable(heard: Mapping[str, RecordedJob]) -> Recording:
    """What can be sent again, and what cannot."""
    every = sorted(heard.values(), key=lambda job: job.at)
    own = [job for job in every if not job.child]
    good = [job for job in own if job.replayable and writable(job)]
    kept = {id(job) for job in good}
    unreadable: dict[str, Counter[str]] = {}
    for job in own:
        if id(job) not in kept:
            unreadable.setdefault(job.task, Counter())[job.reason or NO_LITERAL] += 1
    return Recording(jobs=good, children=len(every) - len(own), unreadable=unreadable)
