"""The answer for all lanes of some runs; and runs that cannot answer are refused with the reason."""

from dataclasses import replace

import pytest

from producer.analysis.fleet_answer import answer_fleet
from producer.errors import UsageError
from producer.plan.fleet_question import FleetQuestion
from producer.plan.thresholds import parse_threshold
from producer.rundir.manifest import Size
from producer.rundir.reader import read_run

SLO = (parse_threshold("p99(sojourn) < 2s"),)

pytestmark = pytest.mark.usefixtures("short_simulations")


@pytest.fixture(scope="module")
def race(tmp_path_factory):
    """A race of two lanes with two slots each and jobs of 100 ms."""
    from sample_run import make_run

    return read_run(make_run(tmp_path_factory.mktemp("runs")))


def asked(**changes):
    return FleetQuestion(**{"rate_per_s": 100.0, "slo": SLO, **changes})


def with_size(run, target_s):
    return replace(run, manifest=replace(run.manifest, sizes={"sleep": Size(amount=(1,), target_s=target_s)}))


def test_every_lane_of_the_runs_is_answered_for(race):
    """100 jobs/s of 100 ms keep ten slots busy, and nodes have two: at 90 % that is six nodes at least."""
    found = answer_fleet([race], asked())
    assert [(lane.lane, lane.best.slots, lane.best.brokers) for lane in found.lanes] == [
        ("prefork", 2, 1),
        ("threads", 2, 1),
    ]
    assert all(lane.best.least_nodes >= 6 for lane in found.lanes)
    assert (found.workload, found.runs, found.met) == ("sleep", (race.path.name,), True)
    assert found.lanes[0].facts.job_s == pytest.approx(0.1)


def test_what_an_answer_rests_on_is_said(race):
    said = answer_fleet([race], asked()).warnings
    assert any("times as many nodes as were measured" in each for each in said)
    assert any("how far its p99 is off is not known" in each for each in said)
    assert any("the broker's CPU time was not stored" in each for each in said)
    assert any("poolrace race --workload noop" in each for each in said)


def test_slots_that_were_not_measured_and_a_distance_are_told(race):
    said = answer_fleet([race], asked(slots=(4,), rtt_s=0.001)).warnings
    assert any("nodes with 4 slots were not measured" in each for each in said)
    assert any("no distance was measured; 1 ms" in each for each in said)


def test_a_cpu_limit_of_nodes_is_told_since_it_is_not_simulated(race):
    lanes = tuple(lane.with_setting("cpus", "0.5") for lane in race.manifest.settings.lanes)
    limited = replace(race.manifest, settings=replace(race.manifest.settings, lanes=lanes))
    said = answer_fleet([replace(race, manifest=limited)], asked()).warnings
    assert any("Nodes had a CPU limit (prefork 0.5 cores, threads 0.5 cores)." in each for each in said)


def test_runs_of_different_machines_are_taken_together_and_told(race):
    machine = replace(race.manifest.machine, cpu_model="Another CPU")
    other = replace(race, manifest=replace(race.manifest, machine=machine))
    said = answer_fleet([race, other], asked()).warnings
    assert any("different machines" in each and "Another CPU" in each for each in said)


def test_only_lanes_that_are_asked_for(race):
    assert [lane.lane for lane in answer_fleet([race], asked(lanes=("threads",))).lanes] == ["threads"]


def test_an_slo_that_cannot_be_kept_is_no_answer(race):
    found = answer_fleet([race], asked(slo=(parse_threshold("p99(sojourn) < 90ms"),)))
    assert not found.met


def refusal(runs, **changes):
    with pytest.raises(UsageError) as refused:
        answer_fleet(runs, asked(**changes))
    return str(refused.value)


def test_a_lane_that_is_not_in_the_runs_is_refused(race):
    assert refusal([race], lanes=("thread",)).startswith(
        "--lane 'thread': not in these runs. They have prefork, threads"
    )


def test_a_workload_without_records_is_refused(race):
    said = refusal([race], workload="io")
    assert said.startswith("--workload 'io': the runs have no records of it. They have sleep")


def test_one_of_several_workloads_has_to_be_named(race):
    other = replace(race, trials=[replace(trial, workload="nap") for trial in race.trials])
    assert refusal([race, other]) == "--workload: the runs have several. Name one: sleep, nap."


def test_runs_of_jobs_that_differ_in_length_are_refused(race):
    said = refusal([with_size(race, 0.1), with_size(race, 0.2)])
    assert "jobs of 100 ms" in said
    assert "of 200 ms" in said


def test_an_invalid_run_is_refused(race):
    broken = replace(race, manifest=replace(race.manifest, status="invalid", reason="The generator was late."))
    said = refusal([broken])
    assert "the run is not valid" in said
    assert "The generator was late." in said


def test_a_run_without_records_is_refused(race):
    assert refusal([replace(race, trials=[])]).startswith("--from: no run has records")


def test_a_crowded_run_is_told(race):
    crowd = replace(race, trials=[replace(trial, others_cores=64.0) for trial in race.trials])
    found = answer_fleet([crowd], asked())
    assert any("Other programs used more than 25 % of the cores" in each for each in found.warnings)
    assert all(each.crowded for lane in found.lanes for each in lane.held_out)
