"""A sweep in a simulated world: the order of its races, which nodes run meanwhile, and what comes of it."""

from itertools import groupby

import numpy as np
import pytest
from world import World, fails_with

from producer.errors import FleetError
from producer.measure.sweep import there_and_back
from producer.report.progress.display import Silent
from producer.rundir.trials import Kind

WORDS = ("sweep", "--concurrency", "2", "--pairs", "1", "--duration", "2s")


@pytest.fixture
def sweep(command):
    """Sweep over something on a world."""

    def run(world, *words):
        return command(world, *WORDS, *words)

    return run


def test_nodes_of_one_value_are_gone_while_the_next_is_measured(sweep):
    world = World()
    ended = sweep(world, "--over", "concurrency=1,4", "--workload", "sleep", "--memory", "10GiB")
    assert (ended.code, ended.summary.problems) == (0, ())
    points = [{"prefork-c1", "threads-c1"}, {"prefork-c4", "threads-c4"}]
    for trial in ended.run.trials:
        point = next(keys for keys in points if trial.lane in keys)
        # While slots are proven, the second lane has not been started.
        assert world.at_work[trial.trial] in ({trial.lane}, point)
    measured = [trial for trial in ended.run.trials if trial.kind in {Kind.CAPACITY, Kind.LATENCY}]
    assert all(len(world.at_work[trial.trial]) == 2 for trial in measured)
    assert world.running == set()
    assert [node.lane for node in ended.run.manifest.nodes] == [
        "prefork-c1", "threads-c1", "prefork-c4", "threads-c4",
    ]  # fmt: skip


def visits(run):
    """Values in the order in which the sweep came to them."""
    return [value for value, _ in groupby(trial.lane.rpartition("-")[2] for trial in run.trials)]


def test_the_values_take_turns_and_every_other_round_goes_back(sweep):
    world = World()
    ended = sweep(world, "--over", "concurrency=1,2,4", "--workload", "sleep", "--pairs", "3")
    assert ended.code == 0
    # c4 ends a round and begins the next, each time with nodes of its own.
    assert visits(ended.run) == ["c1", "c2", "c4", "c2", "c1", "c2", "c4", "c1"]
    assert [node.lane for node in ended.run.manifest.nodes if node.lane.startswith("threads")] == [
        "threads-c1", "threads-c2", "threads-c4", "threads-c4", "threads-c2", "threads-c1", "threads-c2", "threads-c4",
        "threads-c1",
    ]  # fmt: skip
    assert world.running == set()


def test_each_round_has_a_trial_of_each_kind_of_each_lane_at_each_value_and_the_lanes_take_turns(sweep):
    ended = sweep(World(), "--over", "concurrency=1,4", "--workload", "sleep", "--pairs", "2")
    measured = [trial for trial in ended.run.trials if trial.kind in {Kind.CAPACITY, Kind.LATENCY}]
    c4 = [(trial.kind.value, trial.round, trial.lane) for trial in measured if trial.lane.endswith("c4")]
    first, second = ["prefork-c4", "threads-c4"], ["threads-c4", "prefork-c4"]
    assert c4 == [
        (kind, round_, lane)
        for round_, lanes in ((0, first), (1, second))
        for kind in ("capacity", "latency")
        for lane in lanes
    ]
    assert all(verdict.pairs == 2 for point in ended.summary.sweep.points for verdict in point.verdicts)


def test_the_rate_of_a_value_is_the_same_in_every_round(sweep):
    world = World()
    ended = sweep(world, "--lane", "threads", "--over", "concurrency=1,4", "--workload", "sleep", "--pairs", "3")
    for lane, slots in (("threads-c1", 1), ("threads-c4", 4)):
        trials = [trial for trial in ended.run.trials if trial.lane == lane]
        (rate,) = {trial.rate_per_s for trial in trials if trial.kind is Kind.LATENCY}
        # A slot does 16 jobs a second here, of which 70 % are held.
        assert rate == pytest.approx(0.7 * 16 * slots, rel=0.05)
        due = [tuple(world.sent[each.trial].plan.due_s) for each in trials if each.kind is Kind.LATENCY]
        assert len(set(due)) == 3


def test_jobs_that_are_varied_take_turns_too_on_the_same_nodes(sweep):
    ended = sweep(World(), "--over", "payload=0,64KiB", "--workload", "noop", "--pairs", "2")
    turns = [value for value, _ in groupby(trial.workload for trial in ended.run.trials if trial.workload != "hold")]
    assert turns == ["noop payload=0", "noop payload=64KiB", "noop payload=0"]
    warm_ups = [trial.workload for trial in ended.run.trials if trial.kind is Kind.WARM_UP and trial.workload != "hold"]
    assert sorted(warm_ups) == ["noop payload=0"] * 2 + ["noop payload=64KiB"] * 2
    assert len(ended.run.manifest.nodes) == 2


@pytest.mark.parametrize(
    ("over", "workload", "trials"), [("concurrency=1,4", "sleep", 24), ("payload=0,1", "noop", 20)]
)
def test_progress_is_told_of_every_trial(sweep, monkeypatch, over, workload, trials):
    """Two lanes at two values, two rounds of two kinds; and a warm-up for each time that nodes are started."""
    begun = []
    monkeypatch.setattr(Silent, "begin", lambda _, trials: begun.append(trials))
    ended = sweep(World(), "--over", over, "--workload", workload, "--pairs", "2")
    assert begun == [trials]
    assert len([trial for trial in ended.run.trials if trial.workload != "hold"]) == trials


def test_every_round_has_each_value_once_and_every_other_is_the_one_before_it_in_reverse():
    values = list(range(7))
    rounds = [there_and_back(values, round_) for round_ in range(8)]
    assert all(sorted(order) == values for order in rounds)
    assert all(rounds[n + 1] == rounds[n][::-1] for n in range(0, 8, 2))
    assert rounds[0] == values
    assert rounds[2] == [1, 2, 3, 4, 5, 6, 0]


@pytest.mark.parametrize("values", range(2, 12))
@pytest.mark.parametrize("rounds", [2, 3, 4, 5])
def test_a_machine_that_becomes_slower_evenly_looks_little_like_the_effect_of_the_value(values, rounds):
    """By the slope of the mean place over the value: 1 where values follow one another, 0 where nothing is left."""
    places = np.zeros(values)
    for round_ in range(rounds):
        for place, value in enumerate(there_and_back(range(values), round_)):
            places[value] += place / rounds
    slope = np.polyfit(range(values), places, 1)[0]
    assert abs(slope) < (1e-9 if rounds % 2 == 0 else 0.35)


def test_the_figures_are_those_of_each_value(sweep):
    ended = sweep(World(), "--over", "concurrency=1,4", "--workload", "sleep", "--memory", "10GiB")
    # One slot of prefork does 32 a second here, one of threads 16.
    found = [[(row.slots, row.capacity_per_s.median) for row in point.lanes] for point in ended.summary.sweep.points]
    assert found == [
        [(1, pytest.approx(32, rel=0.05)), (1, pytest.approx(16, rel=0.05))],
        [(4, pytest.approx(128, rel=0.05)), (4, pytest.approx(64, rel=0.05))],
    ]
    assert all(found.fits == ("1", "4") for found in ended.summary.sweep.findings)


def test_lanes_that_are_not_varied_run_from_the_beginning_to_the_end(sweep):
    world = World()
    ended = sweep(world, "--over", "payload=0,64KiB", "--workload", "noop")
    assert ended.code == 0
    assert world.running == {"prefork", "threads"}
    # The second lane is started after the slots of the first were proven.
    late = [keys for trial, keys in world.at_work.items() if ended.run.trials[trial].workload != "hold"]
    assert set(late) == {frozenset({"prefork", "threads"})}
    assert [node.lane for node in ended.run.manifest.nodes] == ["prefork", "threads"]
    sizes = {
        trial.workload: {call.payload_bytes for call in world.sent[trial.trial].calls}
        for trial in ended.run.trials
        if trial.workload != "hold"
    }
    assert sizes == {"noop payload=0": {0}, "noop payload=64KiB": {65_536}}


@pytest.mark.parametrize(
    ("over", "workload", "values"),
    [
        ("prefetch=1,3", "sleep", ["1", "3"]),
        ("cpu-share=0,1", "mixed", ["0", "1"]),
        ("payload=0,64KiB", "noop", ["0", "64KiB"]),
        ("acks=early,late", "sleep", ["early", "late"]),
        ("transport=stock,atomic", "sleep", ["stock", "atomic"]),
    ],
)
def test_each_thing_is_varied_and_every_job_done(sweep, over, workload, values):
    ended = sweep(World(), "--over", over, "--workload", workload)
    assert (ended.code, ended.summary.problems) == (0, ())
    points = ended.summary.sweep.points
    assert [point.value for point in points] == values
    assert all(row.settlement.done for point in points for row in point.lanes)
    assert (ended.summary.sweep.crossover is None) == (workload != "mixed")


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_each_number_of_nodes_is_raced_and_all_of_them_work(sweep, pool):
    ended = sweep(World(), "--lane", pool, "--over", "nodes=1,2,3", "--workload", "sleep")
    names = [[f"{pool}-n1@host"], *([f"{pool}-n{n}-n{k}@host" for k in range(1, n + 1)] for n in (2, 3))]
    assert ended.code == 0
    assert [node.node for node in ended.run.manifest.nodes] == [name for point in names for name in point]
    used = ended.run.records.filter(ended.run.records["lane"] == f"{pool}-n3")
    assert set(used["node"]) == set(names[-1])
    assert [[row.slots for row in point.lanes] for point in ended.summary.sweep.points] == [[2], [4], [6]]
    (found,) = ended.summary.sweep.scaling
    # Nothing here gets in the way of anything else: three nodes do three times the work of one.
    one_per_s = {"prefork": 64.0, "threads": 32.0}[pool]
    assert found.law.largest == 3
    assert found.law.one_node_per_s == pytest.approx(one_per_s, rel=0.05)


def test_two_numbers_of_nodes_are_no_law(sweep):
    ended = sweep(World(), "--lane", "threads", "--over", "nodes=1,2", "--workload", "sleep")
    (found,) = ended.summary.sweep.scaling
    assert (ended.code, found.law) == (0, None)


def test_a_node_that_dies_at_one_value_leaves_the_values_before_it(sweep):
    world = World()

    def die():
        world.check = fails_with(FleetError("The node threads-c4@host ended."))

    world.at(40.0, die)
    ended = sweep(world, "--over", "concurrency=1,4", "--workload", "sleep", "--duration", "6s")
    assert (ended.code, ended.summary.status) == (3, "incomplete")
    assert {trial.lane for trial in ended.run.trials if trial.kind is Kind.CAPACITY} >= {"prefork-c1", "threads-c1"}
    assert ended.err.splitlines()[-1] == "poolrace: The node threads-c4@host ended."
