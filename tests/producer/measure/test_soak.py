"""A soak in a simulated world: which lanes have which trials, for how long, and what it ends with."""

from collections import Counter
from itertools import pairwise

from world import World, fails_with

from producer.errors import FleetError
from producer.rundir.trials import Kind

WORDS = ("soak", "--concurrency", "2", "--workload", "sleep", "--workload", "noop")
"""Ten trials a round: both lanes and the one that recycles together, and the other workload on both lanes."""


def measured(run):
    """Kinds of trials with their workloads and lanes, and how many there were of each."""
    return Counter((t.kind, t.workload, t.lane) for t in run.trials if t.kind is not Kind.WARM_UP)


def test_all_together_runs_on_every_lane_and_each_task_alone_on_those_that_do_not_recycle(command):
    ended = command(World(), *WORDS, "--for", "150s")
    assert (ended.code, ended.summary.problems) == (0, ())
    found = measured(ended.run)
    every = {"prefork", "threads", "prefork-recycled"}
    assert {lane for kind, workload, lane in found if (kind, workload) == (Kind.CAPACITY, "noop")} == every
    assert {lane for kind, workload, lane in found if (kind, workload) == (Kind.LATENCY, "noop")} == every
    assert {lane for kind, workload, lane in found if workload == "sleep"} == {"prefork", "threads"}
    assert not any(kind is Kind.CAPACITY and workload == "sleep" for kind, workload, _ in found)


def test_nodes_are_started_once_and_work_until_the_time_is_up(command):
    world = World()
    ended = command(world, *WORDS, "--for", "150s")
    assert {trial.start for trial in ended.run.trials} == {1}
    assert [node.lane for node in ended.run.manifest.nodes] == ["prefork", "threads", "prefork-recycled"]
    trials = [trial for trial in ended.run.trials if trial.kind is not Kind.WARM_UP]
    assert 100 < trials[-1].ended_at - trials[0].began_at < 170


def test_lanes_rest_before_and_after_a_task_that_runs_alone(command):
    trials = [t for t in command(World(), *WORDS, "--for", "150s").run.trials if t.kind is not Kind.WARM_UP]
    pauses = {
        (one.workload, after.workload): after.began_at - one.ended_at
        for one, after in pairwise(trials)
        if one.round  # the first of each workload has warm-ups before it
    }
    assert pauses["noop", "sleep"] > 2.5
    assert pauses["sleep", "noop"] > 2.5
    assert pauses["noop", "noop"] < 1


def test_the_lane_that_recycles_is_the_other_with_one_setting_more(command):
    settings = command(World(), *WORDS, "--for", "150s", "--recycle", "7").run.manifest.settings
    (kept, recycled) = [lane for lane in settings.lanes if lane.pool == "prefork"]
    assert recycled.settings == (*kept.settings, ("max-tasks", "7"))
    assert settings.soak.recycled == {"prefork-recycled": "prefork"}


def test_a_soak_that_is_cut_short_keeps_what_it_has(command):
    world = World()
    world.at(40.0, fails_with(FleetError("The node threads@host ended.")))
    ended = command(world, *WORDS, "--for", "150s")
    assert ended.code == FleetError.exit_code
    assert ended.run.manifest.status == "incomplete"
    assert ended.run.trials
