"""What a simulation is fed with, worked out by hand from a few records."""

from dataclasses import replace

import numpy as np
import pytest
from jobs import BEGAN_AT, a_job, a_run, a_sample, a_trial

from producer.analysis.fleet_inputs import TRIPS, inputs, observations
from producer.plan.lanes import parse_lanes
from producer.plan.run_settings import PlannedPoint
from producer.rundir.manifest import Distance, OthersOnHost
from producer.rundir.trials import Kind

MIB = 2**20


def observed(jobs, *, settings=(), manifest=(), samples=(), **changes):
    """What one trial at a rate shows."""
    trial = a_trial(**{"jobs": len(jobs), "cpu_s": 0.5, **changes})
    (found,) = observations(a_run(trial, jobs, settings=settings, manifest=manifest, samples=samples))
    return found


def backlog(jobs, **changes):
    return observed(jobs, kind=Kind.CAPACITY, rate_per_s=None, **changes)


def test_a_job_waits_and_computes():
    """It holds its slot for 0.125 s, and computes for 0.001 of them."""
    found = observed([a_job(0.0), a_job(1.0, cpu_s=0.005)])
    assert found.work.wait_s.tolist() == pytest.approx([0.124, 0.120])
    assert found.work.cpu_s.tolist() == pytest.approx([0.001, 0.005])
    assert found.alone
    assert found.jobs == 2
    assert (found.rate_per_s, found.sojourn.p50) == (1.0, 0.125)


def test_jobs_that_failed_and_those_of_the_lead_in_are_left_out():
    jobs = [a_job(0.0), a_job(1.0, outcome="failed"), a_job(2.0), a_job(3.0)]
    assert observed(jobs, lead_in_s=1.5).jobs == 2


def test_a_hand_over_is_seen_where_nothing_else_waits():
    """
    Two slots. The first job is handed over in 0.03 s. The second comes while nobody waits, and a slot is free: 0.25 s.
    The third and the fourth find both slots busy.
    """
    jobs = [
        a_job(0.0, broker_s=0.01, wait_s=0.02, service_s=4.0),
        a_job(1.0, broker_s=0.125, wait_s=0.125, service_s=4.0),
        a_job(2.0, broker_s=0.5, wait_s=1.75),
        a_job(2.25, broker_s=0.5, wait_s=2.0),
    ]
    assert observed(jobs).handover_s.tolist() == pytest.approx([0.03, 0.25])


def test_a_job_that_waits_on_the_broker_behind_another_shows_no_hand_over():
    """The second is sent while the first is still on the broker, though both find a free slot."""
    jobs = [a_job(0.0, broker_s=0.5), a_job(0.25, broker_s=0.75)]
    assert observed(jobs).handover_s.tolist() == pytest.approx([0.5])


def test_a_gap_is_from_the_end_of_a_job_to_the_next_that_waited():
    """Slot 7: ends at 0.125, the next one, received at 0.05, starts at 0.25; the last came when the slot was idle."""
    slot = {"thread_id": 7}
    jobs = [a_job(0.0, **slot), a_job(0.05, wait_s=0.2, **slot), a_job(1.0, wait_s=0.2, **slot)]
    assert observed(jobs).gap_s.tolist() == pytest.approx([0.125])


def test_nodes_and_broker_take_cpu_time_for_a_job():
    """Nodes used 0.5 s for two jobs, which computed for 0.001 s each; the broker used 0.02 s."""
    found = observed([a_job(0.0), a_job(1.0)], broker_cpu_s=0.02)
    assert found.node_cpu_s == pytest.approx(0.249)
    assert found.broker_s == pytest.approx(0.01)
    assert observed([a_job(0.0)]).broker_s is None


def test_the_broker_takes_what_it_takes_where_more_jobs_share_what_it_does_anyway():
    run = a_run(
        a_trial(broker_cpu_s=0.4), [a_job(0.0), a_job(1.0)],
        a_trial(trial=1, kind=Kind.CAPACITY, broker_cpu_s=0.1, began_at=BEGAN_AT + 100), [a_job(), a_job()],
    )  # fmt: skip
    (found,) = observations(run)
    assert found.broker_s == pytest.approx(0.05)


def short_jobs(count, every_s):
    """Jobs of 1 ms, all due at once, of which one starts after the other."""
    return [a_job(0.0, wait_s=turn * every_s, service_s=0.001, cpu_s=0.0005) for turn in range(count)]


def test_slots_that_wait_for_their_node_show_what_it_takes_for_a_job():
    """A job every 10 ms on two slots that need 1 ms for it: the node takes 10 ms, of which its job computes 0.5."""
    assert backlog(short_jobs(40, 0.01)).node_s == pytest.approx(0.0095)
    assert observed(short_jobs(40, 0.01)).node_s is None, "at a rate, slots wait for jobs"
    assert backlog([a_job(0.0, wait_s=turn / 16) for turn in range(40)]).node_s is None, "busy slots wait for nothing"


def test_trials_in_which_others_used_the_cores_are_left_out_if_there_are_others():
    """On one core, a quarter of it is where a crowd begins."""
    crowd = (a_trial(others_cores=0.3, trial=1, began_at=BEGAN_AT + 100), [a_job(), a_job(1.0)])
    (alone,) = observations(a_run(*crowd))
    assert (alone.jobs, alone.crowded, alone.free_cores) == (2, True, pytest.approx(0.7))
    (both,) = observations(a_run(a_trial(others_cores=0.2), [a_job()], *crowd))
    assert (both.jobs, both.crowded) == (1, False)
    assert len(inputs([alone, both]).work.wait_s) == 1
    assert len(inputs([alone]).work.wait_s) == 2


@pytest.mark.parametrize(("others_cores", "crowded"), [(1.0, False), (1.1, True)])
def test_a_run_is_crowded_if_others_used_much_of_a_machine_of_nodes_that_ran_already(others_cores, crowded):
    hosts = (OthersOnHost(nodes=("a@one",), cores=4, others_cores=others_cores),)
    run = a_run(a_trial(), [a_job()])
    (found,) = observations(replace(run, manifest=replace(run.manifest, hosts=hosts)))
    assert found.crowded is crowded


def test_memory_is_that_of_a_node():
    trial = a_trial()
    assert observed([a_job()], samples=[a_sample(trial, 1.0)]).memory_bytes == 50 * MIB
    assert observed([a_job()]).memory_bytes is None


def test_a_distance_is_that_of_its_ping():
    far = Distance(lane="threads", rtt_s=0.002, ping_s=0.0023, direct_s=0.0001)
    assert observed([a_job()], manifest={"distances": (far,)}).ping_s == 0.0023


def test_the_points_of_a_sweep_over_nodes_are_one_kind_of_lane_and_one_workload():
    lanes = [replace(lane, key=f"{lane.key}-n2") for lane in parse_lanes(["threads:2:nodes=2"], least=1)]
    point = PlannedPoint(value="2", workload="sleep nodes=2", lanes={"threads-n2": "threads"})
    found = observed(
        [a_job()], lane="threads-n2", workload="sleep nodes=2", slots=4,
        settings={"kind": "sweep", "lanes": lanes, "axis": "nodes", "points": [point]},
    )  # fmt: skip
    assert (found.name, found.workload, found.lane.nodes, found.lane.concurrency) == ("threads", "sleep", 2, 2)
    assert found.kind == observed([a_job()]).kind


def test_only_the_highest_rate_that_was_held_is_looked_at():
    run = a_run(
        a_trial(kind=Kind.PROBE, rate_per_s=1.0), [a_job()],
        a_trial(kind=Kind.PROBE, trial=1, rate_per_s=2.0, began_at=BEGAN_AT + 100), [a_job(), a_job(1.0)],
        a_trial(kind=Kind.PROBE, trial=2, rate_per_s=4.0, began_at=BEGAN_AT + 200, given_up_s=1.0), [a_job()],
    )  # fmt: skip
    (found,) = observations(run)
    assert (found.rate_per_s, found.jobs) == (2.0, 2)


def test_jobs_that_compute_are_those_that_had_a_core():
    """Sixty jobs alone take 0.125 s; six pairs of which each met the other take twice that and are left out."""
    alone = [a_job(float(turn), cpu_s=0.125) for turn in range(60)]
    pairs = [a_job(100.0 + turn // 2, cpu_s=0.125, service_s=0.25) for turn in range(12)]
    found = observed([*alone, *pairs])
    assert found.alone
    assert found.work.mean_s == pytest.approx(0.125)
    assert not observed(pairs).alone


def known(**changes):
    return inputs(
        [replace(observed([a_job(0.0, broker_s=0.1), a_job(1.0, broker_s=0.1)], broker_cpu_s=0.02), **changes)]
    )


def model(found, **changes):
    return found.model(**{"nodes": 3, "slots": 2, "cores": 2.0, "rate_per_s": 1.0, "rtt_s": None, **changes})


def test_inputs_become_a_model():
    """The hand-over of 0.1 s has the broker's 0.01 s and half of the node's 0.04 s in it."""
    found = model(known(node_cpu_s=0.04))
    assert (found.nodes, found.slots, found.window, found.acks_late) == (3, 2, 8, False)
    assert (found.broker_s, found.take_s) == (pytest.approx(0.01), 0.04)
    assert found.handover_s.tolist() == pytest.approx([0.07, 0.07])
    assert found.one_interpreter
    assert found.cores is None, "nobody competes for cores at this rate"
    assert model(known(node_cpu_s=0.04), rate_per_s=30.0).cores == 2.0


def test_a_distance_costs_round_trips():
    near = known(node_cpu_s=0.04)
    assert model(near, rtt_s=0.01).trip_s == pytest.approx(TRIPS * 0.01)
    assert model(near).trip_s == 0.0
    atomic = replace(near, lane=replace(near.lane, transport="atomic"))
    assert model(atomic, rtt_s=0.01).trip_s == pytest.approx(TRIPS * 0.01 / 8), "one step takes as many as have room"


def test_several_observations_are_put_together():
    """What was seen of a node that was the bottleneck comes before its CPU time, whatever its jobs did."""
    one = observed([a_job(0.0), a_job(1.0)], broker_cpu_s=0.02)
    other = backlog(short_jobs(40, 0.01), workload="noop", broker_cpu_s=0.04)
    found = inputs([one, one], beside=[other])
    assert len(found.work.wait_s) == 4
    assert (found.node_s, found.node_measured) == (other.node_s, True)
    assert found.broker_s == pytest.approx(0.001)
    assert not inputs([one]).node_measured


@pytest.mark.parametrize(("pool", "mib"), [("prefork", 200), ("threads", 100)])
def test_memory_grows_with_slots_that_are_processes(pool, mib):
    found = known(memory_bytes=100.0 * MIB)
    found = replace(found, lane=replace(found.lane, pool=pool))
    assert found.memory_of(2) == 100 * MIB
    assert found.memory_of(4) == mib * MIB
    assert known().memory_of(2) is None


def test_work_is_drawn_as_it_was_seen():
    found = known()
    assert isinstance(found.work.wait_s, np.ndarray)
    assert found.measured == ((1, 2),)
