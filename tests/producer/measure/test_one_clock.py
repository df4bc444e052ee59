"""
Every instant behind the run directory is the broker's, whatever the clocks of the producer and of the nodes say.

Whole runs are measured in a simulated world with a clock of its own, the broker's. The producer and the nodes read it
through clocks that are seconds off. All shifts are exact in binary, so a run with shifted clocks must be equal to a run
without, to the last digit: summary, report, page and every export.
"""

import itertools
import shutil

import pytest
from celery import Celery

from poolrace.clock import BrokerClock, measure_offset
from poolrace.contract import ClockOffset, JobRecord, NodeSample, Shipment, join_rows, records_queue
from producer.analysis.summary import summarise
from producer.fleet.machine import describe
from producer.measure.collector import Collector
from producer.measure.load import LoadSettings, hold
from producer.measure.race import race_all
from producer.measure.schedule import send_when_due
from producer.measure.session import Session, start_nodes
from producer.measure.trial import TrialRunner
from producer.plan.jobs import Jobs
from producer.plan.lanes import parse_lanes
from producer.plan.profile import parse_profile
from producer.plan.script import Phase, Script
from producer.plan.settings import RaceSettings
from producer.plan.thresholds import parse_threshold
from producer.report.charts.page import page
from producer.report.export.hgrm import hgrm
from producer.report.export.openmetrics import openmetrics
from producer.report.export.rows import Choice, csv, jsonl
from producer.report.export.trace import trace
from producer.report.markdown import as_markdown
from producer.report.progress.display import Silent
from producer.rundir.events import EventKind
from producer.rundir.reader import read_run
from producer.rundir.writer import RunWriter

RUN_ID = "00112233445566ff"
MACHINE = describe(read=lambda _: None).to_dict()
BEGIN = 1_700_000_000.0
SERVICE_S = {"prefork": 1 / 32, "threads": 1 / 16}
LANES = parse_lanes(["prefork:2", "threads:2"], concurrency=2, prefetch=4, acks="early")
JOBS = {"sleep": Jobs.of("sleep", "worker.sleep", (50_000,), expected_s=1 / 16)}
SHIFTS = {"producer 2 s ahead": (2.0, 0.0), "nodes 3 s behind": (0.0, -3.0), "both, and far": (-64.0, 128.0)}


class World:
    """The broker, its clock, and nodes that do what is sent to them in no time at all but the world's."""

    def __init__(self, producer_s, nodes_s):
        self.now_s = BEGIN
        self.producer_s, self.nodes_s = producer_s, nodes_s
        self.app = Celery("world", broker="memory://", set_as_current=False)
        self.broker = type("Broker", (), {"shown": "redis://127.0.0.1:6379/0"})()
        self.lanes = LANES
        offset = measure_offset(lambda: self.now_s, now=self.producers_clock)
        self.clock = BrokerClock(offset.correction_s, host=self.producers_clock)
        self._ledger, self._accepted = None, 0

    def producers_clock(self):
        return self.now_s + self.producer_s

    def sleep(self, for_s):
        self.now_s += for_s

    # The publishers.

    def begin(self, order):
        start_at = self.clock.now() + 1 / 32
        self._accepted = 0
        self._ledger = send_when_due(
            order, start_at=start_at, part=(0, 1), send=self._send, now=self.clock.now, sleep=self.sleep
        )
        self._work(order)
        return start_at

    def progress(self):
        return self._accepted, 0

    def ledger(self):
        return self._ledger

    def _send(self, _order, jobs, now):
        sent = []
        for _ in jobs:
            sent.append(now())
            self.now_s += 1 / 1024
        self._accepted += len(jobs)
        return sent

    def _work(self, order):
        lane = next(lane for lane in LANES if self.queue(lane) == order.queue)
        free_at = [0.0] * lane.slots
        records = []
        for seq, due_at, sent_at in self._ledger.select("seq", "due_at", "sent_at").iter_rows():
            slot = free_at.index(min(free_at))
            started_at = max(sent_at + 1 / 64, free_at[slot])
            free_at[slot] = started_at + SERVICE_S[lane.pool]
            instants = {
                "received_at": sent_at + 1 / 64 + self.nodes_s,
                "started_at": started_at + self.nodes_s,
                "finished_at": free_at[slot] + self.nodes_s,
            }
            records.append(
                JobRecord(
                    run_id=RUN_ID,
                    trial=order.trial,
                    seq=seq,
                    due_at=due_at,
                    sent_at=sent_at,
                    cpu_s=1 / 256,
                    pid=100,
                    thread_id=slot,
                    **instants,
                )
            )
        self.now_s = max(self.now_s, *free_at) + 1 / 8
        self._ship(lane, records)

    def _ship(self, lane, records):
        began_at = min(record.started_at for record in records)
        samples = [
            NodeSample(
                at=began_at + step / 16,
                cpu_s=step / 64,
                pss_bytes=2**26,
                private_bytes=2**25,
                voluntary_switches=step,
                involuntary_switches=0,
                processes=1,
                threads=2,
                children=(100 + step // 4,),
                drift_s=0.0,
            )
            for step in range(12)
        ]
        shipment = Shipment(
            node=self.nodes(lane)[0],
            pool=lane.pool,
            clock=ClockOffset(offset_s=-self.nodes_s, bound_s=0.0),
            rows=join_rows(records),
            samples=tuple(samples),
        )
        with self.app.connection_for_write() as connection:
            connection.Producer().publish(
                shipment.encode(),
                exchange="",
                routing_key=records_queue(RUN_ID),
                content_type="application/data",
                content_encoding="binary",
            )

    # The fleet.

    def queue(self, lane):
        return f"queue-{lane.key}"

    def queues(self, lane):
        return [self.queue(lane)]

    def nodes(self, lane):
        return [f"{lane.key}@host"]

    def start(self, _lane):
        return []

    def started_at(self, _lane):
        return self.producers_clock() - 1.0

    def check(self):
        pass

    # Remote control.

    def samples(self, _nodes):
        return {}

    def close(self):
        pass


def measure(folder, kind, producer_s, nodes_s):
    """Measure a whole run in a world; return it as it was written."""
    world = World(producer_s, nodes_s)
    settings, do = KINDS[kind]
    plain = {"run_id": RUN_ID, "settings": settings.to_dict(), "began_at": world.producers_clock()}
    writer = RunWriter.create(folder, kind, {**plain, "machine": MACHINE})
    writer.move_to(world.clock)
    lane_of = {world.nodes(lane)[0]: lane.key for lane in LANES}
    with Collector(world.app, RUN_ID, lane_of=lane_of, events=writer.events) as collector:
        runner = TrialRunner(RUN_ID, world, writer, world, collector, clock=world.clock, control=world)
        session = Session(runner=runner, jobs=JOBS, writer=writer, progress=Silent(), fleet=world)
        nodes = [fact.to_dict() for lane in LANES for fact in start_nodes(world, lane, runner)]
        do(settings, session)
        writer.events.note(EventKind.JOINED, lane="threads", node="other@host")
        clocks = {node: {"offset_s": 0.0, "bound_s": 0.0} for node in collector.clocks}
        writer.update_manifest(
            nodes=nodes, clocks=clocks, publisher_clock={"offset_s": 0.0, "bound_s": 0.0},
            status="complete", ended_at=writer.events.now(),
        )  # fmt: skip
        runner.close()
    there = writer.path.with_name("run")
    shutil.move(writer.path, there)
    return read_run(there)


PHASES = (
    Phase(name="warm", profile=parse_profile("40/s", 1.0), mix={"sleep": 1.0}, counts=False),
    Phase(name="held", profile=parse_profile("24/s", 2.0), mix={"sleep": 1.0}),
)
THRESHOLDS = tuple(map(parse_threshold, ["p99(sojourn) < 1ms", "rate(finished) > 100/s", "mem_per_slot < 1MiB"]))
KINDS = {
    "race": (RaceSettings(lanes=LANES, workloads=("sleep",), pairs=2, trial_s=0.5), race_all),
    "load": (
        LoadSettings(lanes=LANES, workloads=("sleep",), script=Script(phases=PHASES), thresholds=THRESHOLDS),
        hold,
    ),
}


@pytest.fixture(scope="module", params=list(KINDS))
def honest(request, tmp_path_factory):
    """A run in a world whose clocks all agree."""
    return request.param, measure(tmp_path_factory.mktemp("honest"), request.param, 0.0, 0.0)


@pytest.fixture(scope="module", params=list(SHIFTS))
def shifted(request, honest, tmp_path_factory):
    """The same run in a world whose clocks do not."""
    return measure(tmp_path_factory.mktemp("shifted"), honest[0], *SHIFTS[request.param])


def exports(run):
    """Every export of a run, by its format."""
    found = {each.__name__: "".join(each(run, Choice(warm_up=True))) for each in (csv, jsonl, trace, openmetrics)}
    held = Choice(lane="threads", kind=run.trials[-1].kind)
    return {**found, **{what: "".join(hgrm(run, held, what)) for what in ("sojourn", "queue_wait", "publish_lag")}}


def test_the_run_directory_is_the_same(honest, shifted):
    _, true = honest
    assert shifted.trials == true.trials
    assert shifted.events == true.events
    for table in ("sent", "records", "samples", "children"):
        assert getattr(shifted, table).equals(getattr(true, table)), table
    assert [shifted.manifest[key] for key in ("began_at", "ended_at")] == [BEGIN, true.manifest["ended_at"]]


def test_the_summary_is_the_same_and_has_every_figure_that_subtracts_instants(honest, shifted):
    kind, true = honest
    summary = summarise(true)
    assert summarise(shifted) == summary
    assert [lane["memory_per_slot_bytes"] for lane in summary["lanes"]] == [2**25, 2**25]
    if kind == "load":
        assert {judged["kept"] for lane in summary["load"] for judged in lane["thresholds"]} == {False}
        assert all(judged["since_s"] is not None for lane in summary["load"] for judged in lane["thresholds"])


def test_report_page_and_exports_are_the_same(honest, shifted):
    _, true = honest
    summary = summarise(true)
    assert as_markdown(summarise(shifted)) == as_markdown(summary)
    assert page(summarise(shifted), shifted) == page(summary, true)
    assert exports(shifted) == exports(true)


def test_the_world_is_one_in_which_clocks_matter():
    """The shifts are seen by the code under test: without their correction the instants differ."""
    worlds = [World(*shift) for shift in ((0.0, 0.0), *SHIFTS.values())]
    assert len({world.producers_clock() for world in worlds}) == 3
    assert all(a.clock.now() == b.clock.now() for a, b in itertools.pairwise(worlds))
