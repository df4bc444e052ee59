"""Records the jobs of a live system from task events, from queues, or from both."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from celery import Celery

from producer.fleet.broker_errors import needing_broker
from producer.ownapp.event_listener import EVENTS, NO_LITERAL, QUEUE, EventListener, RecordedJob
from producer.ownapp.jobfile import writable
from producer.ownapp.queue_reader import READ_EVERY_S, QueueReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence, Set

COUNT_EVERY_S = 1.0
LISTEN_S = 0.25
SUBSCRIBE_S = 0.05
"""Time for the broker to answer a subscription."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """
    The jobs that came during a recording.

    Attributes:
        jobs: The jobs that can be sent again, in the order in which they came.
        children: The number of jobs that other jobs started; a replay of those starts them again.
        unreadable: The number of jobs whose arguments cannot be read, by task and reason.
        before: The number of jobs that were in the queues already, or were retried; when they came is not known.
        events_only: The number of the queues' jobs that only events had; None unless both sources were recorded.
        elsewhere: The number of jobs that only events had, of other queues or of one that events do not name.
    """

    jobs: Sequence[RecordedJob]
    children: int = 0
    unreadable: Mapping[str, Mapping[str, int]]
    before: int = 0
    events_only: int | None = None
    elsewhere: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON has them."""
        return {
            "jobs": len(self.jobs),
            "tasks": dict(Counter(job.task for job in self.jobs)),
            "children": self.children,
            "unreadable": {task: dict(reasons) for task, reasons in self.unreadable.items()},
            "before": self.before,
            "events_only": self.events_only,
            "elsewhere": self.elsewhere,
        }


def record_jobs(
    broker_url: str,
    settings: Mapping[str, Any],
    *,
    queues: Sequence[str],
    ways: Set[str],
    duration_s: float,
    on_count: Callable[[Mapping[str, int]], None],
) -> Recording:
    """
    Record the jobs that come to a broker; Ctrl-C ends it early, and the jobs until then are kept.

    Args:
        broker_url: The live broker.
        settings: Celery's settings that say how it is reached, and where its events are.
        queues: The queues to read in place.
        ways: Some of `event_listener.WAYS`.
        duration_s: The time to record.
        on_count: Called with the number of jobs of each task: with none at the beginning, and then once a second.

    Raises:
        FleetError: If the broker is gone.
        UsageError: If its queues cannot be read in place.
    """
    app = Celery("recorder", broker=broker_url, set_as_current=False)
    app.conf.update(settings)
    listener, reader = EventListener(), None
    with needing_broker(), app.connection_for_read() as connection, suppress(KeyboardInterrupt), ExitStack() as stack:
        reader = QueueReader(connection, queues) if QUEUE in ways else None
        listen = stack.enter_context(_listening(app, connection, listener)) if EVENTS in ways else time.sleep
        _repeat(reader, listener, listen, duration_s, on_count)
    return merged(listener, reader, queues)


def _repeat(
    reader: QueueReader | None,
    listener: EventListener,
    listen: Callable[[float], None],
    duration_s: float,
    on_count: Callable[[Mapping[str, int]], None],
) -> None:
    if reader is not None:
        reader.read()  # jobs that were queued before the recording are not part of it
    on_count({})
    begun = counted = time.monotonic()
    while (now := time.monotonic()) - begun < duration_s:
        if reader is not None:
            reader.read()
        next_s = now + (LISTEN_S if reader is None else READ_EVERY_S)
        while (left_s := next_s - time.monotonic()) > 0:
            listen(left_s)
        if now - counted >= COUNT_EVERY_S:
            counted = now
            known = {**listener.jobs, **(reader.jobs if reader is not None else {})}
            on_count(Counter(job.task for job in known.values()))


@contextmanager
def _listening(app: Celery, connection: Any, listener: EventListener) -> Iterator[Callable[[float], None]]:
    receiver: Any = app.events.Receiver(connection, handlers={"*": listener.on_event})
    with receiver.consumer_context() as (own_connection, _channel, _consumers):

        def listen(for_s: float) -> None:
            with suppress(TimeoutError):
                own_connection.drain_events(timeout=for_s)

        # On Redis kombu subscribes with the first look, and what was sent before would not be heard.
        listen(SUBSCRIBE_S)
        yield listen


def merged(listener: EventListener, reader: QueueReader | None, queues: Sequence[str]) -> Recording:
    """Merge the jobs of both sources, each once: the queue has the arguments, and events may have an earlier time."""
    if reader is None:
        return split_replayable(listener.jobs)
    both = {
        task_id: replace(job, at=min(job.at, listener.jobs[task_id].at))
        if task_id in listener.jobs and not job.later
        else job
        for task_id, job in reader.jobs.items()
    }
    alone = {
        task_id: job for task_id, job in listener.jobs.items() if task_id not in both and task_id not in reader.before
    }
    ours = {task_id: job for task_id, job in alone.items() if job.queue in queues}
    return replace(
        split_replayable({**both, **ours}),
        before=len(reader.before),
        events_only=len(ours) if listener.jobs else None,
        elsewhere=len(alone) - len(ours),
    )


def split_replayable(jobs: Mapping[str, RecordedJob]) -> Recording:
    """Split jobs into those that can be sent again and the rest, which is counted."""
    every = sorted(jobs.values(), key=lambda job: job.at)
    own = [job for job in every if not job.child]
    good = [job for job in own if job.replayable and writable(job)]
    kept = {id(job) for job in good}
    unreadable: dict[str, Counter[str]] = {}
    for job in own:
        if id(job) not in kept:
            unreadable.setdefault(job.task, Counter())[job.reason or NO_LITERAL] += 1
    return Recording(jobs=good, children=len(every) - len(own), unreadable=unreadable)
