"""
Every instant behind the run directory is the broker's, whatever the clocks of the producer and of the nodes say.

Whole runs are measured in a simulated world with a clock of its own, the broker's. The producer and the nodes read it
through clocks that are seconds off. All shifts are exact in binary, so a run with shifted clocks must be equal to a run
without, to the last digit: summary, report, page and every export.
"""

import itertools
import shutil

import pytest
from msgspec import to_builtins
from pages import page_of
from world import BEGIN, World, WorldsCollector

from producer.analysis.summary import summarise
from producer.fleet.machine import describe
from producer.measure.load import LoadSettings, measure_load
from producer.measure.race import measure_race
from producer.measure.session import NOTHING_BEFORE, Session, start_nodes
from producer.plan.jobs import Jobs
from producer.plan.lanes import parse_lanes
from producer.plan.profile import parse_profile
from producer.plan.script import Phase, Script
from producer.plan.settings import RaceSettings
from producer.plan.thresholds import parse_threshold
from producer.report.document import document
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
MACHINE = to_builtins(describe(read=lambda _: None))
LANES = parse_lanes(["prefork:2", "threads:2"], concurrency=2, prefetch=4, acks="early")
JOBS = {"sleep": Jobs.of("sleep", "worker.sleep", (50_000,), expected_s=1 / 16)}
SHIFTS = {"producer 2 s ahead": (2.0, 0.0), "nodes 3 s behind": (0.0, -3.0), "both, and far": (-64.0, 128.0)}


def world_of(producer_s, nodes_s):
    """A world with clocks that are off, whose prefork nodes replace a child every second."""
    return World(
        lanes=LANES, producer_s=producer_s, nodes_s=nodes_s, children=lambda at_s: (100 + int(at_s), 200 + int(at_s))
    )  # fmt: skip


def measure(folder, kind, producer_s, nodes_s):
    """Measure a whole run in a world; return it as it was written."""
    world = world_of(producer_s, nodes_s)
    settings, do = KINDS[kind]
    plain = {"run_id": RUN_ID, "settings": to_builtins(settings.run_settings()), "began_at": world.producers_clock()}
    writer = RunWriter.create(folder, kind, {**plain, "machine": MACHINE})
    writer.move_to(world.clock)
    lane_of = {world.nodes(lane)[0]: lane.key for lane in LANES}
    with WorldsCollector(world, RUN_ID, lane_of=lane_of, events=writer.events) as collector:
        runner = world.runner(RUN_ID, writer, collector)
        session = Session(
            runner=runner,
            jobs=JOBS,
            writer=writer,
            progress=Silent(),
            fleet=world,
            before=NOTHING_BEFORE,
        )
        nodes = [fact for lane in LANES for fact in start_nodes(world, lane, runner)]
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
    "race": (RaceSettings(lanes=LANES, workloads=("sleep",), pairs=2, trial_s=0.5), measure_race),
    "load": (
        LoadSettings(lanes=LANES, workloads=("sleep",), script=Script(phases=PHASES), thresholds=THRESHOLDS),
        measure_load,
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
    assert (shifted.manifest.began_at, shifted.manifest.ended_at) == (BEGIN, true.manifest.ended_at)


def test_the_summary_is_the_same_and_has_every_figure_that_subtracts_instants(honest, shifted):
    kind, true = honest
    summary = summarise(true)
    assert summarise(shifted) == summary
    assert [lane.memory_per_slot_bytes for lane in summary.lanes] == [2**25, 2**25]
    if kind == "load":
        assert {judged.kept for lane in summary.load.lanes for judged in lane.thresholds} == {False}
        assert all(judged.since_s is not None for lane in summary.load.lanes for judged in lane.thresholds)


@pytest.fixture(scope="module")
def honest_words(honest):
    """What is made of the run whose clocks agree."""
    return words(honest[1])


def words(run):
    """Report, page and exports of a run."""
    summary = summarise(run)
    return as_markdown(document(summary)), page_of(summary, run), exports(run)


def test_report_page_and_exports_are_the_same(honest_words, shifted):
    assert words(shifted) == honest_words


def test_the_world_is_one_in_which_clocks_matter():
    """The shifts are seen by the code under test: without their correction the instants differ."""
    worlds = [world_of(*shift) for shift in ((0.0, 0.0), *SHIFTS.values())]
    assert len({world.producers_clock() for world in worlds}) == 3
    assert all(a.clock.now() == b.clock.now() for a, b in itertools.pairwise(worlds))
