"""Records for a while, and writes the job file."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from celery import Celery

from producer.brokers import needing_broker
from producer.errors import UsageError
from producer.recording.events import Ear, Heard
from producer.recording.tap import LOOK_EVERY_S, Tap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from producer.recording.mask import Mask

TELL_EVERY_S = 1.0
LISTEN_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """
    What came while it was listened.

    Attributes:
        jobs: Those that can be sent again, in the order they came.
        children: How many jobs were started by others; who replays those starts them again.
        unreadable: Jobs whose arguments cannot be told, by task.
    """

    jobs: Sequence[Heard]
    children: int
    unreadable: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "jobs": len(self.jobs),
            "tasks": dict(Counter(job.task for job in self.jobs)),
            "children": self.children,
            "unreadable": dict(self.unreadable),
        }


def record(
    broker_url: str, *, queues: Sequence[str], duration_s: float, tell: Callable[[Mapping[str, int]], None]
) -> Recording:
    """
    Listen to a broker; Ctrl-C ends it early, and what came until then is kept.

    Args:
        broker_url: The live broker.
        queues: Looked at in place; none to listen to the workers' events instead.
        duration_s: For how long.
        tell: Is told once a second how many jobs of each task came.

    Raises:
        FleetError: If the broker is gone.
        UsageError: If its queues cannot be looked at.
    """
    app = Celery("recorder", broker=broker_url, set_as_current=False)
    with needing_broker(), app.connection_for_read() as connection, suppress(KeyboardInterrupt):
        found: dict[str, Heard]
        if queues:
            tap = Tap(connection, queues)
            found = tap.jobs
            _repeat(tap.look, LOOK_EVERY_S, duration_s, found, tell)
        else:
            ear = Ear()
            found = ear.jobs
            with _listening(app, connection, ear) as listen:
                _repeat(listen, 0.0, duration_s, found, tell)
    return sorted_out(found.values())


def _repeat(
    step: Callable[[], None], every_s: float, duration_s: float, found: Mapping[str, Heard],
    tell: Callable[[Mapping[str, int]], None],
) -> None:  # fmt: skip
    begun = told = time.monotonic()
    rest = threading.Event()
    while (now := time.monotonic()) - begun < duration_s:
        step()
        if now - told >= TELL_EVERY_S:
            told = now
            tell(Counter(job.task for job in list(found.values())))
        rest.wait(every_s)


@contextmanager
def _listening(app: Celery, connection: Any, ear: Ear) -> Iterator[Callable[[], None]]:
    receiver: Any = app.events.Receiver(connection, handlers={"*": ear.hear})
    with receiver.consumer_context() as (own_connection, _channel, _consumers):

        def listen() -> None:
            with suppress(TimeoutError):
                own_connection.drain_events(timeout=LISTEN_S)

        yield listen


def sorted_out(heard: Iterable[Heard]) -> Recording:
    """What can be sent again, and what cannot."""
    every = sorted(heard, key=lambda job: job.at)
    own = [job for job in every if not job.child]
    return Recording(
        jobs=[job for job in own if job.replayable],
        children=len(every) - len(own),
        unreadable=Counter(job.task for job in own if not job.replayable),
    )


def write_jobs(path: Path, jobs: Sequence[Heard], mask: Mask, *, force: bool) -> None:
    """
    Write a job file, whole or not at all.

    Raises:
        UsageError: If it cannot be written, or is there already.
    """
    first_at = jobs[0].at if jobs else 0.0
    draft = path.with_name(f"{path.name}.part")
    try:
        draft.write_text("".join(f"{json.dumps(_line(job, first_at, mask))}\n" for job in jobs), encoding="utf-8")
        if path.exists() and not force:
            raise UsageError(f"--jobs {path}: is there already. Name another file, or add --force.")
        draft.replace(path)
    except OSError as error:
        raise UsageError(f"--jobs {path}: cannot be written ({error.strerror}). Name another file.") from error
    finally:
        draft.unlink(missing_ok=True)


def _line(job: Heard, first_at: float, mask: Mask) -> dict[str, Any]:
    line: dict[str, Any] = {"at": round(job.at - first_at, 6), "task": job.task}
    extras = {"args": mask.args(job.args or ()), "kwargs": mask.kwargs(job.kwargs or {}), "queue": job.queue}
    return {**line, **{key: value for key, value in extras.items() if value}}
