"""A Celery app whose jobs do next to nothing, and nodes of it on either transport."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Any

import redis
from celery import Celery

if TYPE_CHECKING:
    from collections.abc import Callable

ATOMIC = "poolrace.transport:Transport"
TRANSPORTS = {"stock": "", "atomic": ATOMIC}
BROKER_URL = "POOLRACE_BUSY_BROKER_URL"
TRANSPORT = "POOLRACE_BUSY_TRANSPORT"
QUEUE = "busy"
DONE = "busy.done"
SLOTS = 8
PREFETCH = 32
BATCH = 500


def make_app(url: str, transport: str = "") -> Celery:
    """The app; a restart finds what a dead node held after three seconds instead of an hour."""
    app = Celery("busy", broker=url, set_as_current=False)
    app.conf.update(
        broker_transport=transport or None,
        task_default_queue=QUEUE,
        task_acks_late=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=PREFETCH // SLOTS,
        broker_transport_options={
            "visibility_timeout": 3, "unacked_restore_interval": 1, "unacked_restore_throttle": 1,
        },
    )  # fmt: skip
    app.task(name="busy.noop", shared=False)(_noop)
    app.task(name="busy.tick", shared=False)(_counting(url))
    return app


def _noop() -> None:
    """Do nothing."""


def _counting(url: str) -> Callable[[int], None]:
    """A job that counts itself as done where a kill of its node changes nothing."""
    client = redis.Redis.from_url(url)

    def tick(job: int) -> None:
        client.hincrby(DONE, str(job), 1)

    return tick


def start_node(url: str, pool: str, transport: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """A node in a session of its own, so that a kill reaches its processes too."""
    return subprocess.Popen(
        [
            sys.executable, "-m", "celery", "-A", "benchmarks.busy:node_app", "worker", "-P", pool, "-c", str(SLOTS),
            "-l", "ERROR", "--without-gossip", "--without-mingle",
        ],
        env={**os.environ, BROKER_URL: url, TRANSPORT: TRANSPORTS[transport]},
        stdout=log,
        stderr=log,
        start_new_session=True,
    )  # fmt: skip


def send(app: Celery, name: str, jobs: range, *, with_number: bool = False) -> None:
    """Send jobs in batches."""
    producers: Any = app.producer_pool
    with producers.acquire(block=True) as producer, producer.batch(BATCH):
        for job in jobs:
            app.send_task(name, args=(job,) if with_number else (), producer=producer)


if BROKER_URL in os.environ:  # in a node
    node_app = make_app(os.environ[BROKER_URL], os.environ[TRANSPORT])
