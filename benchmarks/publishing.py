"""
The speed of one sending process: batches of a publisher, and `apply_async` in steps, against `apply_async` as it is.
Groups of 1,000 in steps, and those of which the call waits, against groups as they are.

All send the same task to a queue that no node reads, in turns, from this process and over open connections.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from celery import Celery, group
from kombu import Producer

from benchmarks.figures import Figure, Promise, jobs_per_s
from poolrace import publishing
from producer.fleet.embedded import start_embedded
from producer.fleet.processes import Processes
from producer.measure.order import Order
from producer.measure.schedule import send_when_due
from producer.measure.sender import JobSender
from producer.plan.arrivals import backlog
from producer.plan.jobs import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

BATCHES, STEPS, CONFIRMED, GROUPS = Promise(least=10), Promise(least=8), Promise(least=1.5), Promise(least=2)
AS_IT_IS, AS_THEY_ARE = "by apply_async as it is", "in groups as they are"
GROUP = 1_000
RUN_ID = "00" * 8
QUEUE = "sent"
TASK = "worker.noop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Senders:
    """
    The ways to send a number of jobs, on one broker.

    Attributes:
        batches: Sends in batches, as a publisher of a race does.
        steps: Calls `apply_async` of an app that sends in steps, until all is with the broker.
        confirmed: The same, where each call waits for its message.
        loop: Calls `apply_async` as it is.
        groups: Applies groups in steps, until all is with the broker.
        confirmed_groups: The same, where the call waits for all messages of a group.
        group_loop: Applies groups as they are.
        forget: Removes the sent messages.
    """

    batches: Callable[[int], object]
    steps: Callable[[int], object]
    confirmed: Callable[[int], object]
    loop: Callable[[int], object]
    groups: Callable[[int], object]
    confirmed_groups: Callable[[int], object]
    group_loop: Callable[[int], object]
    forget: Callable[[], object]


def measure(
    *, rounds: int = 7, batch_jobs: int = 12_000, loop_jobs: int = 1_200, group_jobs: int = 2 * GROUP
) -> list[Figure]:
    """Take turns, and divide the jobs per second of each way by those of Celery's own."""
    with senders() as ways:
        arms = {ways.batches: batch_jobs, ways.steps: batch_jobs, ways.confirmed: loop_jobs, ways.loop: loop_jobs}
        arms |= dict.fromkeys((ways.groups, ways.confirmed_groups, ways.group_loop), group_jobs)
        for send in arms:  # first connections and imports count for nothing
            send(loop_jobs // 10)
            ways.forget()
        rates = [_round(ways, arms, turn) for turn in range(rounds)]
    return [
        Figure.of(
            f"{name} / {AS_THEY_ARE if own is ways.group_loop else AS_IT_IS}",
            [(each[way], each[own]) for each in rates],
            jobs_per_s,
            least,
        )
        for name, way, own, least in (
            ("sent in batches", ways.batches, ways.loop, BATCHES),
            ("by apply_async in steps", ways.steps, ways.loop, STEPS),
            ("by apply_async in steps, each confirmed", ways.confirmed, ways.loop, CONFIRMED),
            (f"in groups of {GROUP:,} in steps", ways.groups, ways.group_loop, GROUPS),
            (f"in groups of {GROUP:,} in steps, confirmed", ways.confirmed_groups, ways.group_loop, GROUPS),
        )
    ]


def _round(
    ways: Senders, arms: Mapping[Callable[[int], object], int], turn: int
) -> dict[Callable[[int], object], float]:
    """Return the jobs per second of each way; the order is turned round between rounds."""
    rates = {}
    for send, jobs in list(arms.items())[:: -1 if turn % 2 else 1]:
        began_s = time.perf_counter()
        send(jobs)
        rates[send] = jobs / (time.perf_counter() - began_s)
        ways.forget()
    return rates


@contextmanager
def senders() -> Iterator[Senders]:
    """Open a broker of its own, and all ways to send to it."""
    with Processes() as processes, ExitStack() as ending:
        broker = start_embedded(processes, processes.folder())
        apps = [ending.enter_context(_app(broker.url)) for _ in range(3)]
        loop, steps, confirmed = apps
        connection = ending.enter_context(loop.connection_for_write())
        publishing.install(steps)
        publishing.install(confirmed, confirmed=True)
        for app in (steps, confirmed):
            ending.callback(publishing.uninstall, app)
        sender = JobSender(loop, Producer(connection))
        channel: Any = connection.default_channel
        yield Senders(
            batches=lambda jobs: _send_batches(sender, jobs),
            steps=lambda jobs: _send_steps(steps, jobs),
            confirmed=lambda jobs: _send_loop(confirmed, jobs),
            loop=lambda jobs: _send_loop(loop, jobs),
            groups=lambda jobs: _send_groups_in_steps(steps, jobs),
            confirmed_groups=lambda jobs: _send_groups(confirmed, jobs),
            group_loop=lambda jobs: _send_groups(loop, jobs),
            forget=lambda: channel.queue_purge(QUEUE),
        )


def _app(broker_url: str) -> Celery:
    app = Celery("benchmark", broker=broker_url, set_as_current=False)
    app.conf.task_default_queue = QUEUE
    app.task(name=TASK, ignore_result=True, shared=False)(_noop)
    return app


def _noop() -> None:
    """Do nothing; it never runs, since no node reads the queue."""


def _send_batches(sender: JobSender, jobs: int) -> None:
    order = Order(run_id=RUN_ID, trial=0, calls=(Call(TASK, ()),), queue=QUEUE, plan=backlog(jobs))
    send_when_due(order, start_at=time.time(), part=(0, 1), send=sender.send)


def _send_loop(app: Celery, jobs: int) -> None:
    task = app.tasks[TASK]
    for _ in range(jobs):
        task.apply_async()


def _send_steps(app: Celery, jobs: int) -> None:
    _send_loop(app, jobs)
    publishing.flush(app)


def _send_groups(app: Celery, jobs: int) -> None:
    task = app.tasks[TASK]
    for begin in range(0, jobs, GROUP):
        group([task.s() for _ in range(min(GROUP, jobs - begin))]).apply_async()


def _send_groups_in_steps(app: Celery, jobs: int) -> None:
    _send_groups(app, jobs)
    publishing.flush(app)
