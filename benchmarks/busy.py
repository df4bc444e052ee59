"""A Celery app whose jobs do next to nothing, and nodes of it on either transport."""

from __future__ import annotations

import os
import subprocess
import sys
import time
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
WAITS = "busy.waits"
SLOTS = 8
PREFETCH = 32
BATCH = 500


def make_app(url: str, transport: str = "") -> Celery:
    """Return the app; its other settings are Celery's defaults."""
    app = Celery("busy", broker=url, set_as_current=False)
    app.conf.update(
        broker_transport=transport or None,
        task_default_queue=QUEUE,
        task_acks_late=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=PREFETCH // SLOTS,
    )
    app.task(name="busy.noop", shared=False)(_noop)
    client = redis.Redis.from_url(url, socket_timeout=None)
    app.task(name="busy.punctual", shared=False)(_timing(client))
    app.task(name="busy.until", shared=False)(_waiting(client))
    app.task(name="busy.until_early", shared=False, acks_late=False)(_waiting(client))
    return app


def _noop() -> None:
    """Do nothing."""


def _timing(client: Any) -> Callable[[float], None]:
    """Return a job that reports the time from sending it to its start."""

    def punctual(sent_at: float) -> None:
        client.rpush(WAITS, repr(time.time() - sent_at))

    return punctual


def _waiting(client: Any) -> Callable[[str], None]:
    """Return a job that reports its start, and runs until something is pushed to a list."""

    def until(key: str) -> None:
        client.rpush(f"{key}.begun", 1)
        client.blpop(key)

    return until


def command(pool: str) -> list[str]:
    """Return the command that starts a node."""
    return [
        sys.executable, "-m", "celery", "-A", "benchmarks.busy:node_app", "worker", "-P", pool, "-c", str(SLOTS),
        "-l", "ERROR", "--without-gossip", "--without-mingle",
    ]  # fmt: skip


def environment(url: str, transport: str) -> dict[str, str]:
    """Return the environment of a node, with its broker and its transport."""
    return {**os.environ, BROKER_URL: url, TRANSPORT: TRANSPORTS[transport]}


def start_node(url: str, pool: str, transport: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a node in a session of its own, so that a kill reaches its processes too."""
    return subprocess.Popen(
        command(pool),
        env=environment(url, transport),
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def send(app: Celery, name: str, jobs: range) -> None:
    """Send jobs in batches."""
    producers: Any = app.producer_pool
    with producers.acquire(block=True) as producer, producer.batch(BATCH):
        for _ in jobs:
            app.send_task(name, producer=producer)


if BROKER_URL in os.environ:  # in a node
    node_app = make_app(os.environ[BROKER_URL], os.environ[TRANSPORT])
