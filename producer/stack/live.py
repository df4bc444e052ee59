"""
A continuous, gentle load on every lane of a fleet, so that its dashboards show life.

It runs until it is stopped, pauses while a measurement has the lease of the fleet, and can be changed while it runs:
`poolrace live pause`, `resume` and `set` write its settings to a key on the broker that it reads every second.
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from kombu import Producer
from kombu.exceptions import OperationalError

from poolrace.clock import THIS_MACHINE, BrokerClock, broker_offset
from poolrace.contract import RUN_ID_BYTES
from producer.errors import FleetError
from producer.fleet.attached import FoundLane, group
from producer.fleet.control import Control
from producer.fleet.lease import FleetLease
from producer.fleet.queue_depth import dead_letters, depth
from producer.measure.collector import Collector
from producer.measure.order import Order
from producer.measure.sender import JobSender
from producer.plan.arrivals import SEED_BITS, backlog, poisson, seed_for
from producer.stack.live_settings import LiveSettings, LiveSettingsStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from celery import Celery

    from producer.plan.jobs import Jobs
    from producer.stack.metrics import Exporter

ONE_JOB = backlog(1)

WINDOW_S = 1.0
"""How far ahead the load is planned: settings take effect, and a pause is complete, within it."""

LOOK_EVERY_S = 5.0
BACK_OFF_S = 5.0
FIND_S = 1.0
SAMPLE_EVERY_S = 10.0
"""Often enough for metrics; in a race, nodes sample themselves ten times as often."""
MAX_SEQ = 1 << 32


class LiveLoad:
    """
    Sends jobs, window after window, and hands the records that come back to an exporter.

    Three threads: one finds nodes and looks at queues, one collects, and the caller's sends.
    """

    def __init__(self, app: Celery, jobs: Mapping[str, Jobs], default: LiveSettings, exporter: Exporter) -> None:
        self._run_id = secrets.token_hex(RUN_ID_BYTES)
        self._app = app
        self._jobs = jobs
        self._default = default
        self._exporter = exporter
        self._lanes: Mapping[str, FoundLane] = {}
        self._lane_of: dict[str, str] = {}
        self._sent = 0
        self._over = threading.Event()
        self._clock = THIS_MACHINE

    def run(self) -> None:
        """Send until `stop`; report trouble with the broker, wait for its end, and count what was refused."""
        threads = [
            threading.Thread(target=self._keep, args=(work,), name=work.__name__, daemon=True)
            for work in (self._collect, self._look)
        ]
        for thread in threads:
            thread.start()
        try:
            self._keep(self._send)
        finally:
            self.stop()
            for thread in threads:
                thread.join(timeout=2 * WINDOW_S)

    def stop(self) -> None:
        """End after the current window."""
        self._over.set()

    def _keep(self, work: Callable[[], None]) -> None:
        with self._app.connection_for_read() as connection:
            lost: tuple[Any, ...] = (*connection.connection_errors, *connection.channel_errors)
        while not self._over.is_set():
            try:
                work()
            except (FleetError, OperationalError, *lost) as error:
                self._exporter.trouble(error)
                self._over.wait(BACK_OFF_S)

    def _collect(self) -> None:
        with Collector(self._app, self._run_id, lane_of=self._lane_of) as collector:
            while not self._over.is_set():
                collector.poll(WINDOW_S)
                taken = collector.take()
                self._exporter.records(taken.records, taken.samples, list(self._jobs))

    def _look(self) -> None:
        control = Control(self._app)
        try:
            with self._app.connection_for_read() as connection:
                while not self._over.is_set():
                    self._find(control)
                    for lane in self._lanes.values():
                        self._exporter.backlog(lane.queue, depth(connection, lane.queue))
                    self._exporter.dead_letters(dead_letters(connection))
                    self._over.wait(LOOK_EVERY_S if self._lanes else WINDOW_S)
        finally:
            control.close()

    def _find(self, control: Control) -> None:
        hellos = control.hello(self._run_id, (), FIND_S, SAMPLE_EVERY_S)
        if len({hello["pool"] for hello in hellos.values()}) > 1:
            found = {each.lane.key: each for each in group(hellos)}
            self._lane_of.update({node: key for key, each in found.items() for node in each.nodes})
            self._lanes = found
            self._exporter.lanes(found, hellos)

    def _send(self) -> None:
        store, lease = LiveSettingsStore(self._app, self._default), FleetLease(self._app, self._run_id)
        with self._app.connection_for_write() as connection:
            self._clock = BrokerClock(broker_offset(connection).correction_s)
            sender = JobSender(self._app, Producer(connection))
            while not self._over.is_set():
                settings = store.read()
                why = "user" if settings.paused else "measurement" if lease.taken() else None
                self._exporter.settings(settings, why)
                if why or not self._lanes:
                    self._over.wait(WINDOW_S)
                else:
                    self._send_window(settings, sender)

    def _send_window(self, settings: LiveSettings, sender: JobSender) -> None:
        start_at = self._clock.now()
        for due_s, lane, workload in window(settings, tuple(self._lanes), secrets.randbits(SEED_BITS)):
            self._over.wait(max(0.0, start_at + due_s - self._clock.now()))
            if self._over.is_set():
                return
            self._send_job(sender, self._lanes[lane], workload, start_at + due_s)
        self._over.wait(max(0.0, start_at + WINDOW_S - self._clock.now()))

    def _send_job(self, sender: JobSender, found: FoundLane, workload: str, due_at: float) -> None:
        jobs = self._jobs[workload]
        # Records carry the trial's number back: here it stands for the workload.
        order = Order(
            run_id=self._run_id,
            trial=list(self._jobs).index(workload),
            calls=jobs.calls,
            queue=found.queue,
            plan=ONE_JOB,
        )
        try:
            (sent_at,) = sender.send(order, [(self._sent % MAX_SEQ, due_at)], self._clock.now)
        except OperationalError:
            self._exporter.refused(found.lane.key, workload)
            raise
        self._sent += 1
        self._exporter.sent(found.lane.key, workload, sent_at - due_at)


def window(settings: LiveSettings, lanes: Sequence[str], seed: int) -> list[tuple[float, str, str]]:
    """
    Plan the jobs of one window on all lanes: due in seconds from its start, lane and workload.

    Arrivals on each lane are Poisson, each job's workload is drawn by its share of the mix; in order of due.
    """
    dice = np.random.default_rng(seed)
    names, weights = list(settings.mix), np.array(list(settings.mix.values()), dtype=float)
    jobs = []
    for lane in lanes:
        due_s = poisson(settings.rate_per_s, WINDOW_S, seed_for(seed, lane)).due_s
        drawn = dice.choice(len(names), size=len(due_s), p=weights / weights.sum())
        jobs += [(float(at_s), lane, names[number]) for at_s, number in zip(due_s, drawn, strict=True)]
    return sorted(jobs)
