"""Trials on a real fleet: what is measured is written down, and a trial whose jobs do not all end is no trial."""

import secrets
from contextlib import contextmanager

import pytest
from clocks import two_seconds_ahead
from msgspec import to_builtins
from recorded import recorded

from poolrace.clock import THIS_MACHINE, BrokerClock
from producer.analysis.settle import settle, tally
from producer.errors import FleetError, InvalidRunError
from producer.fleet.local import LocalFleet
from producer.measure.collector import Collector
from producer.measure.publishers import Publishers
from producer.measure.trial import TrialRunner
from producer.measure.trial_spec import TrialSpec
from producer.plan.arrivals import backlog, constant
from producer.plan.jobs import Jobs
from producer.plan.lanes import parse_lanes
from producer.rundir.reader import read_run
from producer.rundir.schema import KEY
from producer.rundir.trials import Kind
from producer.rundir.writer import RunWriter

SLOTS = 2
SLEEP = Jobs.of("sleep", "worker.sleep", (20_000,), expected_s=0.02)


class Site:
    """One fleet of two lanes, of which the first has its node, and publishers: what several runs share."""

    def __init__(self, fleet, publishers):
        self.fleet = fleet
        self.publishers = publishers
        self.lane = fleet.lanes[0]

    @contextmanager
    def runner(self, folder, grace_s=0.5, publishers=None, clock=THIS_MACHINE):
        """A runner with a run of its own."""
        run_id = secrets.token_hex(8)
        writer = RunWriter.create(folder, "run", {"run_id": run_id, "settings": to_builtins(recorded())})
        node = self.fleet.nodes(self.lane)[0]
        with Collector(self.fleet.app, run_id, lane_of={node: self.lane.key}) as collector:
            runner = TrialRunner(
                run_id, self.fleet, writer, publishers or self.publishers, collector, clock=clock, grace_s=grace_s
            )
            try:
                yield runner, writer.path
            finally:
                runner.close()


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    lanes = parse_lanes(["threads", "prefork"], concurrency=SLOTS, prefetch=1, acks="early")
    with (
        LocalFleet(
            secrets.token_hex(8),
            lanes,
            logs=tmp_path_factory.mktemp("logs"),
            broker_url=None,
            needs_upstream=False,
            ready_s=60.0,
        ) as fleet,
        Publishers(fleet.broker.url) as publishers,
    ):
        fleet.start(lanes[0])
        yield Site(fleet, publishers)


def settlement(run):
    return tally(settle(run.sent, run.records, run.trials))


def test_every_slot_is_proven_and_the_last_began_after_its_node_was_started(session, tmp_path):
    with session.runner(tmp_path) as (runner, path):
        assert runner.prove_slots(session.lane) > session.fleet.started_at(session.lane)
    run = read_run(path)
    assert run.records["thread_id"].n_unique() == SLOTS
    assert {trial.kind for trial in run.trials} == {Kind.WARM_UP}
    assert settlement(run).complete


def test_a_backlog_is_measured_with_pings_beside_it(session, tmp_path):
    with session.runner(tmp_path) as (runner, path):
        returned = runner.measure(
            TrialSpec(kind=Kind.CAPACITY, jobs=SLEEP, lane=session.lane, round=3, plan=backlog(80), ping=True)
        )
    run = read_run(path)
    (trial,) = run.trials
    assert trial == returned
    assert (trial.kind, trial.workload, trial.lane, trial.round) == (Kind.CAPACITY, "sleep", "threads", 3)
    assert (trial.jobs, trial.rate_per_s, trial.slots, trial.queued) == (80, None, SLOTS, ())
    assert trial.began_at <= run.records["finished_at"].max() <= trial.ended_at
    assert trial.cpu_s > 0
    assert trial.broker_cpu_s > 0
    assert settlement(run).done == 80
    assert {(ping["trial"], ping["lane"], ping["node"]) for ping in run.pings} == {
        (trial.trial, "threads", session.fleet.nodes(session.lane)[0])
    }


def test_trials_at_a_held_rate_are_numbered_and_kept_apart(session, tmp_path):
    with session.runner(tmp_path) as (runner, path):
        for turn in range(2):
            runner.measure(
                TrialSpec(kind=Kind.LATENCY, jobs=SLEEP, lane=session.lane, round=turn, plan=constant(40.0, 0.25))
            )
    run = read_run(path)
    assert [(trial.trial, trial.round, trial.rate_per_s, trial.jobs) for trial in run.trials] == [
        (0, 0, 40.0, 10),
        (1, 1, 40.0, 10),
    ]
    assert run.pings == []
    assert sorted(run.records.select("trial", "seq").rows()) == [(t, seq) for t in range(2) for seq in range(10)]
    assert sorted(path.glob("records/*")) == [
        path / "records" / "00000-000.parquet",
        path / "records" / "00001-000.parquet",
    ]


def test_jobs_that_fail_have_come_to_an_end(session, tmp_path):
    fail = Jobs.of("fail", "worker.fail", (), expected_s=0.0)
    with session.runner(tmp_path) as (runner, path):
        runner.measure(TrialSpec(kind=Kind.CAPACITY, jobs=fail, lane=session.lane, round=0, plan=backlog(3)))
    run = read_run(path)
    assert settlement(run).failed == 3
    assert set(run.records["exception"]) == {"ValueError"}


def test_jobs_that_a_node_throws_away_are_lost_and_end_the_race_but_the_trial_is_kept(session, tmp_path):
    """No node knows this task, so the message is discarded without a word."""
    nobodys = Jobs.of("nobodys", "nobodys.task", (), expected_s=0.0)
    with session.runner(tmp_path) as (runner, path):
        with pytest.raises(InvalidRunError, match=r"3 of 3 nobodys jobs .* 0 still on the broker, 3 lost or still"):
            runner.measure(TrialSpec(kind=Kind.CAPACITY, jobs=nobodys, lane=session.lane, round=0, plan=backlog(3)))
    run = read_run(path)
    assert run.trials[0].queued == ()
    assert settlement(run).lost == 3


def test_jobs_that_nobody_takes_are_told_as_still_on_the_broker(session, tmp_path):
    """The second lane has a queue but no node."""
    empty = session.fleet.lanes[1]
    with session.runner(tmp_path) as (runner, path):
        with pytest.raises(
            InvalidRunError, match=r"5 of 5 sleep jobs on lane prefork .* 5 still on the broker, 0 lost"
        ):
            runner.measure(TrialSpec(kind=Kind.CAPACITY, jobs=SLEEP, lane=empty, round=0, plan=backlog(5)))
    run = read_run(path)
    assert run.trials[0].queued == (0, 1, 2, 3, 4)
    assert run.trials[0].cpu_s is None
    assert settlement(run).queued == 5


def test_a_lane_whose_slots_do_not_all_work_is_told(session, tmp_path):
    """A lane that should have one slot more than its node has."""
    greedy = parse_lanes(["threads", "prefork"], concurrency=SLOTS + 1, prefetch=1, acks="early")[0]
    with session.runner(tmp_path) as (runner, _):
        with pytest.raises(FleetError, match=f"Lane threads: only {SLOTS} of {SLOTS + 1} slots took a job"):
            runner.prove_slots(greedy)


def test_a_lane_without_a_node_is_told_by_the_jobs_that_wait_for_it(session, tmp_path):
    with session.runner(tmp_path) as (runner, _):
        with pytest.raises(InvalidRunError, match=rf"{2 * SLOTS} still on the broker"):
            runner.prove_slots(session.fleet.lanes[1])


def test_a_long_trial_writes_its_records_in_parts_and_loses_none(session, tmp_path, monkeypatch):
    monkeypatch.setattr("producer.measure.trial.ROWS_A_PART", 10)
    with session.runner(tmp_path) as (runner, path):
        runner.measure(TrialSpec(kind=Kind.LATENCY, jobs=SLEEP, lane=session.lane, plan=constant(20.0, 3.5)))
    assert len(list(path.glob("records/*"))) > 1
    assert sorted(read_run(path).records["seq"]) == list(range(70))


def test_a_trial_that_may_still_be_changed_is_not_given_up_while_nothing_comes(session, tmp_path):
    """All jobs of its plan have ended at once, as in a pause; its time goes on, far beyond the grace of the tests."""
    seen = []
    with session.runner(tmp_path) as (runner, _):
        trial = runner.measure(
            TrialSpec(
                kind=Kind.LOAD,
                jobs=SLEEP,
                lane=session.lane,
                plan=backlog(2),
                planned_s=3.2,
                on_tick=lambda moment, _: seen.append((moment.ended, moment.waiting.ready)),
            )
        )
    assert trial.ended_at - trial.began_at >= 3.2
    assert seen[-1] == (2, 0)


def test_a_trial_that_is_given_up_sends_no_more_and_waits_for_what_was_sent(session, tmp_path):
    with session.runner(tmp_path) as (runner, path):
        trial = runner.measure(
            TrialSpec(
                kind=Kind.LOAD,
                jobs=SLEEP,
                lane=session.lane,
                plan=constant(10.0, 60.0),
                planned_s=60.0,
                on_tick=lambda moment, steering: steering.give_up(moment.at_s) if moment.of == 600 else None,
            )
        )
    assert trial.given_up_s == trial.planned_s < 60
    assert 5 < trial.jobs < 600
    assert settlement(read_run(path)).complete


def test_a_producer_whose_clock_is_wrong_writes_instants_of_the_brokers_clock(session, tmp_path):
    """The node has the broker's clock, so nothing can be received before it was sent, nor finished after the end."""
    clock = BrokerClock(correction_s=-2.0, host=two_seconds_ahead)
    spec = TrialSpec(kind=Kind.LATENCY, jobs=SLEEP, lane=session.lane, plan=constant(40.0, 1.0))
    with (
        Publishers(session.fleet.broker.url, clock=clock) as publishers,
        session.runner(tmp_path, publishers=publishers, clock=clock) as (runner, path),
    ):
        trial = runner.measure(spec)
    run = read_run(path)
    both = run.sent.join(run.records, on=KEY, suffix="_stamped")
    assert both.height == 40
    assert both["due_at"].equals(both["due_at_stamped"], check_names=False)
    assert both["sent_at"].equals(both["sent_at_stamped"], check_names=False)
    assert (both["sent_at"] <= both["received_at"]).all()
    assert trial.began_at <= both["sent_at"].min()
    assert both["finished_at"].max() <= trial.ended_at
