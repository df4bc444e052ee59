"""A load in a simulated world: what is offered, steered and given up, from the command line to the exit code."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest
from world import World, fails_with

from poolrace.contract import Outcome
from producer.errors import FleetError, UsageError
from producer.measure.load import counted_phases
from producer.measure.steering import write_order
from producer.plan.profile import parse_profile
from producer.plan.script import Phase, Script
from producer.rundir.events import EventKind
from producer.rundir.trials import Kind

WORDS = ("--concurrency", "2", "--mix", "sleep=3,noop=1", "--arrivals", "constant")
LANES = ("prefork", "threads")


@pytest.fixture
def load(command):
    """Hold a load on a world."""

    def run(world, *words):
        return command(world, "load", *WORDS, *words)

    return run


def loads(run):
    return [trial for trial in run.trials if trial.kind is Kind.LOAD]


def due_s(run, trial):
    """When each job of a trial was due, from its beginning on."""
    return (run.sent.filter(trial=trial.trial).sort("seq")["due_at"] - trial.began_at).to_list()


def parts(run, trial):
    return run.sent.filter(trial=trial.trial).sort("seq")["part"].to_list()


def steered(world, tmp_path, at_s, **order):
    """Have an order given so many seconds after the first load of a run has begun."""

    def give():
        (path,) = (tmp_path / "runs").iterdir()
        write_order(path, order)

    def wait_for_load():
        begun = [trial for trial, order in world.sent.items() if order.open_s]
        if begun:
            world.soon(at_s, give)
        else:
            world.soon(1 / 16, wait_for_load)

    world.soon(0.0, wait_for_load)


def test_every_lane_gets_the_very_same_jobs_and_does_them_all(load):
    ended = load(World(), "--rate", "variable 20:4s,10:4s", "--threshold", "lost == 0")
    assert (ended.code, ended.summary.problems) == (0, ())
    assert [trial.lane for trial in loads(ended.run)] == list(LANES)
    first, second = loads(ended.run)
    assert due_s(ended.run, first) == pytest.approx(due_s(ended.run, second), abs=1e-6)
    assert due_s(ended.run, first) == pytest.approx([*np.arange(80) / 20, *(4 + np.arange(40) / 10)], abs=1e-6)
    assert parts(ended.run, first) == parts(ended.run, second)
    for lane in ended.summary.load.lanes:
        assert lane.settlement.done == lane.settlement.sent == 120


def test_each_job_of_a_mix_is_what_the_plan_says(load):
    """Sleeps hold a slot for 1/16 s here, and those that do nothing for 1/512 s."""
    ended = load(
        World(service_s={"worker.sleep": 1 / 16, "worker.noop": 1 / 512}), "--rate", "16/s", "--duration", "8s"
    )
    for trial in loads(ended.run):
        records = ended.run.records.filter(trial=trial.trial).sort("seq")
        took_s = (records["finished_at"] - records["started_at"]).to_numpy()
        assert took_s == pytest.approx([(1 / 16, 1 / 512)[part] for part in parts(ended.run, trial)], abs=1e-6)
        assert sorted(np.bincount(parts(ended.run, trial)).tolist()) == pytest.approx([32, 96], abs=12)


def test_what_is_steered_on_the_first_lane_holds_on_the_second_at_the_very_same_moments(load, tmp_path):
    world = World()
    steered(world, tmp_path, 2.0, paused=True)
    steered(world, tmp_path, 5.0, paused=False, rate_per_s=30.0)
    ended = load(world, "--rate", "20/s", "--duration", "12s")
    assert ended.code == 0
    paused, resumed = ended.summary.load.changes["prefork"]
    assert ended.summary.load.changes["threads"] == (paused, resumed)
    assert (paused.paused, paused.rate_per_s) == (True, None)
    assert (resumed.paused, resumed.rate_per_s) == (False, 30.0)
    # An order takes effect within two seconds, as `poolrace steer` promises.
    assert 2.0 < paused.at_s <= 4.0
    assert 5.0 < resumed.at_s <= 7.0
    before = np.arange(np.ceil(paused.at_s * 20)) / 20
    after = resumed.at_s + np.arange(np.ceil((12 - resumed.at_s) * 30)) / 30
    for trial in loads(ended.run):
        assert due_s(ended.run, trial) == pytest.approx([*before, *after], abs=1e-5)
    changed = [(each.lane, each.detail) for each in ended.run.events if each.kind == EventKind.CHANGED]
    assert changed == [(lane, detail) for lane in LANES for detail in ("paused", "30/s")]
    with pytest.raises(UsageError, match=r"this load is over \(complete\)"):
        write_order(ended.path, {"paused": True})


def test_a_change_on_the_second_lane_is_of_that_lane_alone(load, tmp_path):
    """The first has been measured without it, which the summary says."""
    world = World()
    steered(world, tmp_path, 10.0, rate_per_s=40.0)
    ended = load(world, "--rate", "20/s", "--duration", "6s")
    assert ended.summary.load.changes["prefork"] == ()
    (change,) = ended.summary.load.changes["threads"]
    assert change.rate_per_s == 40.0
    assert [each.lane for each in ended.run.events if each.kind == EventKind.CHANGED] == ["threads"]
    first, second = loads(ended.run)
    assert first.jobs == 120
    assert second.jobs == np.ceil(20 * change.at_s) + np.ceil(40 * (6 - change.at_s))


def test_a_broken_threshold_is_named_with_when_it_broke(load):
    ended = load(World(), "--rate", "20/s", "--duration", "4s", "--threshold", "p50(sojourn) < 1us",
                 "--threshold", "lost == 0")  # fmt: skip
    assert (ended.code, ended.summary.valid) == (99, True)
    for lane in ended.summary.load.lanes:
        broken, kept = lane.thresholds
        assert (broken.kept, broken.since_s, kept.kept) == (False, 0.0, True)
        assert broken.measured > broken.limit


def test_a_load_ends_early_when_a_threshold_is_broken_and_the_lanes_after_it_are_not_loaded(load, tmp_path):
    junit = tmp_path / "load.xml"
    ended = load(
        World(), "--rate", "20/s", "--duration", "60s", "--threshold", "lost == 0",
        "--threshold", "p50(sojourn) < 1us", "--abort-on-fail", "3s", "--junit", str(junit),
    )  # fmt: skip
    (trial,) = loads(ended.run)
    aborted = ended.summary.load.aborted
    assert (ended.code, aborted.lane, aborted.why) == (99, "prefork", "p50(sojourn) < 1us")
    # It is looked at once a second, and goes on for 0.3 s, so that every publisher knows.
    assert 3.0 <= aborted.at_s == trial.given_up_s <= 3.0 + 1.2 + 0.3
    assert trial.jobs == ended.run.sent.filter(trial=trial.trial).height == pytest.approx(20 * aborted.at_s, abs=1)
    (lane,) = ended.summary.load.lanes
    assert lane.given_up_s == trial.given_up_s
    assert lane.settlement.done == trial.jobs
    assert [(event.lane, event.kind) for event in ended.run.events] == [("prefork", EventKind.GIVEN_UP)]
    suite = ET.parse(junit).getroot()
    assert [case.get("name") for case in suite if case.find("failure") is not None] == [
        "the load goes on to its end", "p50(sojourn) < 1us",
    ]  # fmt: skip
    assert [case.get("classname") for case in suite][1:] == ["poolrace.load.prefork"] * 3
    assert suite.get("errors") == "0"


def test_a_load_whose_thresholds_hold_is_not_ended_early(load):
    ended = load(World(), "--rate", "20/s", "--duration", "5s", "--threshold", "p99(sojourn) < 1s",
                 "--abort-on-fail", "1s")  # fmt: skip
    assert (ended.code, ended.summary.load.aborted) == (0, None)
    assert [lane.settlement.done for lane in ended.summary.load.lanes] == [100, 100]


def test_a_generator_that_is_late_makes_the_run_invalid_whatever_the_thresholds(load):
    # Handing a job over takes 1/8 s: 8 a second, of 20 that are due.
    ended = load(World(send_s=1 / 8), "--rate", "20/s", "--duration", "4s", "--threshold", "p50(sojourn) < 1us")
    assert ended.code == 4
    assert any(problem.startswith("The generator was late") for problem in ended.summary.problems)


def test_jobs_that_are_lost_make_the_run_invalid_and_what_was_measured_is_kept(load):
    """The runner gives up once every job should long have ended; the lanes after it are not loaded."""
    world = World(outcome=lambda _, seq: None if seq == 17 else Outcome.SUCCEEDED)
    ended = load(world, "--rate", "20/s", "--duration", "4s")
    assert ended.code == 4
    assert "1 of 80 sleep=3,noop=1 jobs on lane prefork did not end in time" in ended.err
    assert ended.summary.status == "invalid"
    assert ended.summary.settlement.lost == 1
    assert [trial.lane for trial in loads(ended.run)] == ["prefork"]


def test_a_node_that_dies_under_load_is_noted_as_what_cut_the_trial_short(load):
    world = World()
    died = FleetError("The node threads@host ended with signal SIGKILL. The end of its log: …")

    def die():
        world.check = fails_with(died)

    # The first lane was loaded for twelve seconds, after a few of starting and warming up.
    world.at(20.0, die)
    ended = load(world, "--rate", "20/s", "--duration", "12s")
    assert ended.code == 3
    (cut,) = [each for each in ended.run.events if each.kind == EventKind.CUT_SHORT]
    assert cut.lane == "threads"
    assert cut.detail.endswith("The node threads@host ended with signal SIGKILL")
    assert ended.summary.status == "incomplete"
    assert [trial.lane for trial in loads(ended.run)] == ["prefork"]


def test_a_load_is_like_the_one_that_was_asked_for_in_payload_and_priority(load):
    world = World()
    load(world, "--rate", "20/s", "--duration", "1s", "--payload", "64KiB", "--priority", "3")
    orders = [order for order in world.sent.values() if order.open_s]
    assert [(order.priority, {call.payload_bytes for call in order.calls}) for order in orders] == [(3, {65_536})] * 2


def test_offsets_in_phases_that_do_not_count_are_told_apart():
    phases = [
        Phase(name="warm", profile=parse_profile("10/s", 2.0), mix={"sleep": 1.0}, counts=False),
        Phase(name="held", profile=parse_profile("10/s", 3.0), mix={"sleep": 1.0}),
        Phase(name="rest", profile=parse_profile("10/s", 1.0), mix={"sleep": 1.0}, counts=False),
    ]
    counts = counted_phases(Script(phases=tuple(phases)))
    assert counts(np.array([0.0, 1.99, 2.0, 4.99, 5.0, 5.9])).tolist() == [False, False, True, True, False, False]


def test_the_manifest_has_the_script_as_it_was_asked_for(load):
    ended = load(World(), "--rate", "20/s", "--duration", "3s", "--threshold", "lost == 0")
    options = ended.run.manifest.settings.load
    assert (options.profile, options.duration_s, options.offered_per_s) == ("20/s", 3.0, 20.0)
    assert (options.thresholds, options.replay) == (("lost == 0",), False)
