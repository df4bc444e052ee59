"""
The speed of one sending process: the publisher's batches against `apply_async` in a loop, on the same broker.

Both send the same task to a queue that no node reads, in turns, from this process and over open connections.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from celery import Celery
from kombu import Producer

from benchmarks.figures import Figure, Promise, jobs_per_s
from producer.fleet.embedded import start_embedded
from producer.fleet.processes import Processes
from producer.measure.order import Order
from producer.measure.schedule import send_when_due
from producer.measure.sender import JobSender
from producer.plan.arrivals import backlog
from producer.plan.jobs import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROMISE = Promise(least=10)
RUN_ID = "00" * 8
QUEUE = "sent"
TASK = "worker.noop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Senders:
    """
    The two ways to send a number of jobs, on one broker.

    Attributes:
        batches: Sends in batches, as a publisher of a race does.
        loop: Calls `task.apply_async(ignore_result=True)`, one job at a time.
        forget: Removes the sent messages.
    """

    batches: Callable[[int], object]
    loop: Callable[[int], object]
    forget: Callable[[], object]


def measure(*, rounds: int = 7, batch_jobs: int = 12_000, loop_jobs: int = 1_200) -> list[Figure]:
    """Alternate the two ways, and divide the jobs per second of one by those of the other."""
    with senders() as ways:
        for send in (ways.batches, ways.loop):  # first connections and imports count for nothing
            send(loop_jobs // 10)
            ways.forget()
        rates = [_round(ways, batch_jobs, loop_jobs, turn) for turn in range(rounds)]
    return [Figure.of("sent in batches / by apply_async in a loop", rates, jobs_per_s, PROMISE)]


def _round(ways: Senders, batch_jobs: int, loop_jobs: int, turn: int) -> tuple[float, float]:
    """Return the jobs per second of the batches and of the loop; which goes first alternates between rounds."""
    arms = [(ways.batches, batch_jobs), (ways.loop, loop_jobs)]
    rates = {}
    for send, jobs in arms[:: -1 if turn % 2 else 1]:
        began_s = time.perf_counter()
        send(jobs)
        rates[send] = jobs / (time.perf_counter() - began_s)
        ways.forget()
    return rates[ways.batches], rates[ways.loop]


@contextmanager
def senders() -> Iterator[Senders]:
    """Open a broker of its own, and both ways to send to it."""
    with Processes() as processes:
        broker = start_embedded(processes, processes.folder())
        with (
            Celery("benchmark", broker=broker.url, set_as_current=False) as app,
            app.connection_for_write() as connection,
        ):
            app.conf.task_default_queue = QUEUE
            task = app.task(name=TASK, ignore_result=True, shared=False)(_noop)
            sender = JobSender(app, Producer(connection))
            channel: Any = connection.default_channel
            yield Senders(
                batches=lambda jobs: _send_batches(sender, jobs),
                loop=lambda jobs: _send_loop(task, jobs),
                forget=lambda: channel.queue_purge(QUEUE),
            )


def _noop() -> None:
    """Do nothing; it never runs, since no node reads the queue."""


def _send_batches(sender: JobSender, jobs: int) -> None:
    order = Order(run_id=RUN_ID, trial=0, calls=(Call(TASK, ()),), queue=QUEUE, plan=backlog(jobs))
    send_when_due(order, start_at=time.time(), part=(0, 1), send=sender.send)


def _send_loop(task: Any, jobs: int) -> None:
    for _ in range(jobs):
        task.apply_async(ignore_result=True)
