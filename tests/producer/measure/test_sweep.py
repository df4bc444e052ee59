"""A sweep in a simulated world: the order of its races, which nodes run meanwhile, and what comes of it."""

import pytest
from world import World, fails_with

from producer.errors import FleetError
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


def test_the_values_are_raced_one_after_the_other_and_the_figures_are_those_of_each(sweep):
    ended = sweep(World(), "--over", "concurrency=1,4", "--workload", "sleep", "--memory", "10GiB")
    order = [trial.lane.rpartition("-")[2] for trial in ended.run.trials]
    assert order == sorted(order)
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
