"""Lanes of every kind on real nodes: each proves its slots, does its jobs, and is what it says."""

import importlib.util
import secrets

import pytest
from msgspec import to_builtins
from recorded import recorded

from producer.analysis.settle import settle, tally
from producer.fleet.local import LocalFleet
from producer.measure.collector import Collector
from producer.measure.publishers import Publishers
from producer.measure.trial import TrialRunner
from producer.measure.trial_spec import TrialSpec
from producer.plan.arrivals import backlog
from producer.plan.jobs import Jobs
from producer.plan.lanes import parse_lanes
from producer.rundir.reader import read_run
from producer.rundir.trials import Kind
from producer.rundir.writer import RunWriter

NEEDS_GEVENT = pytest.mark.skipif(
    importlib.util.find_spec("gevent") is None, reason="gevent is not installed; `make test-servers` brings it"
)
SPECS = [
    "prefork:2:start=spawn",
    "prefork:2:autoscale=1",
    "solo",
    "solo:nodes=2",
    pytest.param("gevent:4", marks=NEEDS_GEVENT),
    pytest.param("gevent:4:autoscale=1", marks=NEEDS_GEVENT),
]
JOBS = 40

pytestmark = pytest.mark.heavy


@pytest.fixture
def measured(tmp_path):
    """Measures a lane: returns the run of its slot proof and of a backlog of jobs that wait, and what its node says."""

    def measure(spec):
        run_id = secrets.token_hex(8)
        (lane,) = parse_lanes([spec], concurrency=2, least=1)
        writer = RunWriter.create(tmp_path, "run", {"run_id": run_id, "settings": to_builtins(recorded())})
        with (
            LocalFleet(
                run_id, [lane], logs=tmp_path, broker_url=None, needs_upstream=False, ready_s=60.0
            ) as fleet,
            Publishers(fleet.broker.url) as publishers,
            Collector(fleet.app, run_id, lane_of=dict.fromkeys(fleet.nodes(lane), lane.key)) as collector,
        ):  # fmt: skip
            nodes = fleet.start(lane)
            runner = TrialRunner(run_id, fleet, writer, publishers, collector)
            try:
                runner.prove_slots(lane)
                sleep = Jobs.of("sleep", "worker.sleep", (20_000,), expected_s=0.02)
                runner.measure(TrialSpec(kind=Kind.CAPACITY, jobs=sleep, lane=lane, plan=backlog(JOBS)))
            finally:
                runner.close()
        return read_run(writer.path), nodes[0].hello

    return measure


@pytest.mark.parametrize("spec", SPECS)
def test_a_lane_of_every_kind_proves_its_slots_and_does_its_jobs(measured, spec):
    run, hello = measured(spec)
    capacity = next(trial for trial in run.trials if trial.kind is Kind.CAPACITY)
    assert tally(settle(run.sent, run.records, run.trials)).complete
    done = run.records.filter(run.records["trial"] == capacity.trial)
    assert done.height == JOBS
    assert set(done["pool"]) == {hello["pool"]} == {spec.partition(":")[0]}


def test_children_that_are_spawned_run_the_jobs_of_the_demonstration(measured):
    run, hello = measured("prefork:2:start=spawn")
    assert hello["start_method"] == "spawn"
    assert run.records["pid"].n_unique() == 2
    assert hello["pid"] not in set(run.records["pid"])


@NEEDS_GEVENT
def test_the_cpu_time_of_a_job_on_gevent_is_not_known_since_others_share_its_thread(measured):
    run, _hello = measured("gevent:4")
    assert run.records["thread_id"].n_unique() == 1
    assert run.records["cpu_s"].drop_nans().drop_nulls().is_empty()
