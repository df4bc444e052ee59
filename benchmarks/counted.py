"""A Celery app whose jobs note that they began and that they ended, and nodes of it that may be killed at any time."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import redis
from celery import Celery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from producer.fleet.processes import Child, Processes

SETUP = "POOLRACE_COUNTED_SETUP"
QUEUE = "counted"
TASK = "counted.job"
BEGUN = "counted.begun"
ENDED = "counted.ended"
SLOTS = 8
PREFETCH = 32
VISIBILITY_S = 6
"""Messages of a dead node come back after this time; it is longer than a busy machine may stall."""
BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """
    The setup of a node.

    Attributes:
        url: The broker's address.
        notes_url: The server on which jobs note their start and end; another than the broker if that is to fail.
        transport: The value of `broker_transport`; empty for kombu's own.
        late: True if jobs are acknowledged when they end; otherwise when a slot accepts them.
        options: More options for `broker_transport_options`.
    """

    url: str
    notes_url: str
    transport: str
    late: bool = True
    options: dict[str, Any] | None = None


def make_app(setup: Setup) -> Celery:
    """Return the app; a restart restores a dead node's messages after a few seconds instead of an hour."""
    app = Celery("counted", broker=setup.url, set_as_current=False)
    app.conf.update(
        broker_transport=setup.transport or None,
        broker_connection_retry_on_startup=True,
        task_default_queue=QUEUE,
        task_acks_late=setup.late,
        task_ignore_result=True,
        worker_prefetch_multiplier=PREFETCH // SLOTS,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_S, "unacked_restore_interval": 0.1, "unacked_restore_throttle": 1,
            # A node that is killed while it restores leaves kombu's lock behind, for five minutes by default.
            "unacked_mutex_expire": VISIBILITY_S, **(setup.options or {}),
        },
    )  # fmt: skip
    app.task(name=TASK, shared=False)(_noting(redis.Redis.from_url(setup.notes_url)))
    return app


def _noting(client: Any) -> Callable[..., None]:
    def job(number: int, for_s: float = 0.0) -> None:
        client.rpush(BEGUN, number)
        time.sleep(for_s)
        client.rpush(ENDED, number)

    return job


def start_node(processes: Processes, setup: Setup, pool: str, log: Path) -> Child:
    """Start a node in a session of its own, so that a kill reaches its processes too."""
    command = [
        sys.executable, "-m", "celery", "-A", "benchmarks.counted:node_app", "worker", "-P", pool,
        "-c", str(SLOTS), "-l", "WARNING", "--without-gossip", "--without-mingle",
    ]  # fmt: skip
    # A killed node leaves its temporary files: they lie beside its log.
    environment = {**os.environ, SETUP: json.dumps(asdict(setup)), "TMPDIR": str(log.parent)}
    return processes.start(f"node on {pool}", command, log=log, env=environment)


def send(app: Celery, jobs: Iterable[int], for_s: float = 0.0) -> None:
    """Send jobs in batches."""
    producers: Any = app.producer_pool
    with producers.acquire(block=True) as producer, producer.batch(BATCH):
        for job in jobs:
            app.send_task(TASK, args=(job, for_s), producer=producer)


if SETUP in os.environ:  # in a node
    node_app = make_app(Setup(**json.loads(os.environ[SETUP])))
