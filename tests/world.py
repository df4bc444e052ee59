"""
A simulated broker, fleet, nodes and publishers with a clock of their own: whole runs in milliseconds.

Everything of the producer is the real thing but its processes and its waiting: `TrialRunner`, `Collector`, `RunWriter`,
the plans, and `send_when_due`. The world's clock moves when the runner polls, by as much as it would have waited, and
on the way the publisher sends what is due, slots work, nodes ship records, and whatever a test has planned happens.

    world = World(service_s={"threads": 1 / 32})
    world.at(3.0, fails_with(FleetError("The node threads@host ended.")))
    world.take_over(monkeypatch)
    path, error = measure_run(settings, Silent())
"""

import math
import threading
import time
from bisect import insort
from contextlib import contextmanager
from functools import cached_property
from itertools import count
from types import SimpleNamespace

from celery import Celery

from poolrace.clock import BrokerClock, measure_offset
from poolrace.contract import (
    HOLD_TASK,
    ClockOffset,
    JobRecord,
    NodeSample,
    Outcome,
    Shipment,
    join_rows,
    records_queue,
)
from producer.measure import session, sizing
from producer.measure.collector import Collector
from producer.measure.pinger import NoPinger
from producer.measure.schedule import OrderRevisions, send_when_due
from producer.measure.trial import TrialRunner
from producer.rundir.manifest import NodeFacts

BEGIN = 1_700_000_000.0
SEND_S = 1 / 1024
"""What handing a job to the broker takes."""

WAY_S = 1 / 64
"""From the broker to a node."""

READY_S = 1.0
SERVICE_S = {"prefork": 1 / 32, "threads": 1 / 16}
"""By pool, how long a job holds a slot. Exact in binary, as all instants here: clocks can be shifted exactly."""


def fails_with(error):
    """Something that happens in a world: an error that ends the run."""

    def happen():
        raise error

    return happen


class World:
    """
    The broker and all around it.

    Attributes:
        now_s: The broker's clock.
        app: A Celery app on a broker in memory, which carries what nodes ship.
        lanes: Those of the fleet; sessions take those of the settings.
        service_s: By pool or by task, how long a job holds a slot.
        send_s: What handing a job to the broker takes.
        outcome: How a job ends, by its lane and number; None for one that is lost.
        children: Processes of a prefork node at an instant, in seconds since the world began.
        running: Keys of the lanes whose nodes run.
        at_work: By trial, those that ran when it began.
        sent: By trial, its order as it stands.
        free_at: By lane, when each of its slots is free, on this clock.
    """

    def __init__(
        self,
        *,
        lanes=(),
        begin=BEGIN,
        producer_s=0.0,
        nodes_s=0.0,
        service_s=SERVICE_S,
        send_s=SEND_S,
        outcome=lambda _lane, _seq: Outcome.SUCCEEDED,
        children=lambda _at_s: (),
    ):
        self.far = []
        self.now_s = self._began_s = begin
        self.producer_s, self.nodes_s = producer_s, nodes_s
        self.app = Celery("world", broker="memory://", set_as_current=False)
        self.broker = type("Broker", (), {"shown": "redis://127.0.0.1:6379/0", "url": "memory://"})()
        self.lanes = lanes
        self.service_s = {**SERVICE_S, **service_s}
        self.send_s, self.outcome, self.children = send_s, outcome, children
        offset = measure_offset(lambda: self.now_s, now=self.producers_clock)
        self.clock = BrokerClock(offset.correction_s, host=self.producers_clock)
        self.running, self.at_work, self.sent = set(), {}, {}
        self._planned, self._order_of_plans = [], count()
        self._publisher, self._revisions, self._counts = None, None, [0, 0]
        self.free_at, self._done, self._sampled_at = {}, [], {}
        self._run_id = ""
        self.shipped = 0

    # Its time.

    def producers_clock(self):
        """The clock of the producer's machine."""
        return self.now_s + self.producer_s

    @property
    def elapsed_s(self):
        """Seconds since it began."""
        return self.now_s - self._began_s

    def at(self, elapsed_s, happens):
        """Have something happen, so many seconds after the world began; it may raise what ends the run."""
        insort(self._planned, (elapsed_s, next(self._order_of_plans), happens))

    def soon(self, in_s, happens):
        """Have something happen so many seconds from now."""
        self.at(self.elapsed_s + in_s, happens)

    def advance(self, for_s):
        """Let time pass, and all that happens in it."""
        until_s = self.now_s + for_s
        while (next_s := min(self._next_plan_s(), self._next_send_s())) <= until_s:
            self.now_s = max(self.now_s, next_s)
            if self._next_plan_s() <= self.now_s:
                self._planned.pop(0)[2]()
            else:
                self._publisher.turn()
        self.now_s = max(self.now_s, until_s)
        self._ship()

    def _next_plan_s(self):
        return self._began_s + self._planned[0][0] if self._planned else math.inf

    def _next_send_s(self):
        return self._publisher.wakes_at if self._publisher else math.inf

    # The publishers, as `TrialRunner` sees them.

    def begin(self, order):
        """Begin to send; returns the plan's zero."""
        self._end_publisher()
        self._counts = [0, 0]
        self._revisions = revisions = OrderRevisions(self._counts)
        self._run_id = order.run_id
        self.sent[order.trial] = order
        self.at_work[order.trial] = frozenset(self.running)
        start_at = self.clock.now() + 1 / 32

        def send_all(sleep):
            return send_when_due(
                order,
                start_at=start_at,
                part=(0, 1),
                send=self._send,
                now=self.clock.now,
                sleep=sleep,
                revisions=revisions,
            )

        self._publisher = _Turns(send_all, lambda: self.now_s)
        return start_at

    def revise(self, order):
        """Have an order take the place of the one before."""
        self.sent[order.trial] = order
        self._revisions.revise(order)

    def progress(self):
        """Jobs that were accepted, and refused."""
        return tuple(self._counts)

    def ledger(self):
        """What became of each job, once all are sent."""
        while not self._publisher.over:
            self.now_s = max(self.now_s, self._publisher.wakes_at)
            self._publisher.turn()
        return self._publisher.result

    def _send(self, order, jobs, now):
        sent = []
        for seq, due_at in jobs:
            sent.append(now())
            self._work(order, seq, due_at, sent[-1])
            self.now_s += self.send_s
        return sent

    def _end_publisher(self):
        if self._publisher:
            self._publisher.end()
            self._publisher = None

    # The nodes: a job goes to the slot that is free first.

    def _work(self, order, seq, due_at, sent_at):
        lane = next(lane for lane in self.lanes if self.queue(lane) == order.queue)
        outcome = self.outcome(lane, seq)
        if outcome is None or lane.key not in self.running:
            return
        free_at = self.free_at.setdefault(lane.key, [0.0] * lane.slots)
        slot = free_at.index(min(free_at))
        started_at = max(self.now_s + WAY_S, free_at[slot])
        call = order.calls[order.plan.parts[seq] if order.plan.parts is not None else 0]
        free_at[slot] = started_at + self._service_s(lane, call)
        forked = lane.pool == "prefork"
        record = JobRecord(
            run_id=order.run_id,
            trial=order.trial,
            seq=seq,
            due_at=due_at,
            sent_at=sent_at,
            received_at=self.now_s + WAY_S + self.nodes_s,
            started_at=started_at + self.nodes_s,
            finished_at=free_at[slot] + self.nodes_s,
            cpu_s=1 / 256,
            pid=100 + slot if forked else 100,
            thread_id=0 if forked else slot,
            outcome=outcome,
            exception="" if outcome is Outcome.SUCCEEDED else "ValueError",
        )
        self._done.append((free_at[slot], lane, self.nodes(lane)[slot // lane.concurrency], record))

    def _service_s(self, lane, call):
        if call.task == HOLD_TASK:
            return 1 / 8
        return self.service_s.get(call.task, self.service_s[lane.pool])

    def _ship(self):
        """Nodes ship what has ended by now, and a sample each four times a second."""
        ended = [each for each in self._done if each[0] <= self.now_s]
        self._done = [each for each in self._done if each[0] > self.now_s]
        for lane in self.lanes:
            for node in self.nodes(lane) if lane.key in self.running and self._run_id else ():
                records = [record for *_, of, record in ended if of == node]
                samples = self._samples(lane, node)
                if records or samples:
                    self._publish(node, lane, records, samples)

    def _samples(self, lane, node):
        if self.now_s - self._sampled_at.get(node, -math.inf) < 1 / 4:
            return ()
        self._sampled_at[node] = self.now_s
        sample = NodeSample(
            at=self.now_s + self.nodes_s,
            cpu_s=self.elapsed_s / 4,
            pss_bytes=2**26,
            private_bytes=2**25,
            voluntary_switches=round(self.elapsed_s * 4),
            involuntary_switches=0,
            processes=1,
            threads=2,
            children=self.children(self.elapsed_s) if lane.pool == "prefork" else (),
            drift_s=0.0,
        )
        return (sample,)

    def _publish(self, node, lane, records, samples):
        shipment = Shipment(
            node=node,
            pool=lane.pool,
            clock=ClockOffset(offset_s=-self.nodes_s, bound_s=0.0),
            rows=join_rows(records),
            samples=samples,
        )
        self._shipping.publish(
            shipment.encode(),
            exchange="",
            routing_key=records_queue(self._run_id),
            content_type="application/data",
            content_encoding="binary",
        )
        self.shipped += 1

    @cached_property
    def _shipping(self):
        return self.app.connection_for_write().Producer()

    # The fleet, as a session sees it.

    def queue(self, lane):
        """Where the jobs of a lane go."""
        return f"queue-{lane.key}"

    def queues(self, lane):
        """All queues of a lane."""
        return [self.queue(lane)]

    def nodes(self, lane):
        """Names of the nodes of a lane."""
        names = [lane.key] if lane.nodes == 1 else [f"{lane.key}-n{number + 1}" for number in range(lane.nodes)]
        return [f"{name}@host" for name in names]

    def start(self, lane):
        """Start the nodes of a lane."""
        self.running.add(lane.key)
        self._started_s = self.now_s
        self.advance(READY_S)
        hello = {"concurrency": lane.concurrency, "pool": lane.pool}
        return [NodeFacts(node=node, lane=lane.key, ready_s=None, hello=hello) for node in self.nodes(lane)]

    def stop(self, lane):
        """End the nodes of a lane."""
        self.running.remove(lane.key)

    def started_at(self, _lane):
        """When the nodes that were started last were started, on the producer's clock."""
        return self._started_s + self.producer_s

    def distances(self):
        """How far lanes are, as it was set."""
        return self.far

    def check(self):
        """All is well, until something that is planned says otherwise."""

    # Remote control.

    def uses(self, _nodes):
        """No node answers."""
        return {}

    def close(self):
        """Give back what a run had."""
        self._end_publisher()

    # Whole runs.

    def runner(self, run_id, writer, collector):
        """Return the real thing on this world."""
        return TrialRunner(
            run_id,
            self,
            writer,
            self,
            collector,
            clock=self.clock,
            control=self,
            monotonic=lambda: self.now_s,
            pinger=NoPinger,  # pings take the time of this machine, not the world's
            first=writer.next_trial,
        )

    @contextmanager
    def open_fleet(self, _run_id, settings, _writer):
        """Stand in for `session.open_fleet`."""
        self.lanes = settings.lanes
        yield self

    @contextmanager
    def open_runner(self, run_id, _settings, _fleet, writer):
        """Stand in for `session.open_runner`."""
        writer.update_manifest(publisher_clock={"offset_s": 0.0, "bound_s": 0.0})
        writer.move_to(self.clock)
        lane_of = {node: lane.key for lane in self.lanes for node in self.nodes(lane)}
        with WorldsCollector(self, run_id, lane_of=lane_of, events=writer.events) as collector:
            runner = self.runner(run_id, writer, collector)
            try:
                yield runner, collector
            finally:
                runner.close()

    def take_over(self, monkeypatch):
        """Have every run of this process be on this world: fleet, publishers, and what is measured of the machine."""
        monkeypatch.setattr(session, "open_fleet", self.open_fleet)
        monkeypatch.setattr(session, "open_runner", self.open_runner)
        monkeypatch.setattr(session, "OthersMeter", _NoOthers)
        # A run begins by the producer's clock, which is the world's here: the machine's may be held up meanwhile.
        monkeypatch.setattr(session, "time", SimpleNamespace(time=self.producers_clock))
        monkeypatch.setattr(sizing, "calibrate", _sizes)
        self.now_s = self._began_s = float(math.floor(time.time()))


class WorldsCollector(Collector):
    """A collector that does not wait for shipments, but has the world's time pass."""

    def __init__(self, world, *arguments, **options):
        super().__init__(world.app, *arguments, **options)
        self._world = world

    def poll(self, timeout_s):
        """Take what has been shipped by the time that the real one would have waited for."""
        self._world.advance(timeout_s)
        while self._world.shipped:
            self._world.shipped -= 1
            super().poll(1.0)


class _Turns:
    """
    Runs a function that sleeps, in a thread that is never at work at the same time as the one that started it.

    Attributes:
        wakes_at: Until when it sleeps; infinite once it is over.
        over: It has returned.
        result: What it returned.
    """

    def __init__(self, function, now):
        self.wakes_at = -math.inf
        self.over, self.result = False, None
        self._function, self._now, self._error = function, now, None
        self._ending = False
        self._its_turn, self._our_turn = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._main, name="a world's publisher", daemon=True)
        self._thread.start()

    def turn(self):
        """Let it go on until it sleeps again."""
        self._its_turn.release()
        self._our_turn.acquire()
        if self._error:
            raise self._error

    def end(self):
        """End it where it sleeps."""
        self._ending = True
        self._its_turn.release()
        self._thread.join()

    def _main(self):
        self._its_turn.acquire()
        if not self._ending:
            try:
                self.result = self._function(self._sleep)
            except _Ended:
                return
            except BaseException as error:
                self._error = error
        self.over, self.wakes_at = True, math.inf
        self._our_turn.release()

    def _sleep(self, for_s):
        self.wakes_at = self._now() + for_s
        self._our_turn.release()
        self._its_turn.acquire()
        if self._ending:
            raise _Ended


class _Ended(BaseException):
    """Ends a publisher that sleeps."""


class _NoOthers:
    """Nothing else runs."""

    def cores(self):
        return 0.0


def _sizes(workloads, *, job_s, cpu_share):
    """Sizes that calibrating might have found; what jobs take is the world's to say."""
    del cpu_share
    return {name: {"amount": [1], "target_s": job_s or 1 / 16, "measured_s": None} for name in workloads}
