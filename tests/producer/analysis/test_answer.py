"""The answer for an app: each figure by hand once, and none where nothing was measured."""

from dataclasses import fields, replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nouns import facts_of, lane_result, latency_of, percentiles_of, recommendation, spread, verdict
from recorded import manifest_of, recorded

from producer.analysis.answer import (
    Answer,
    answers,
    compose_service,
    cpu_share,
    nodes_for,
    started_per_job,
)
from producer.analysis.recommendation import Recommendation
from producer.analysis.summary import summarise
from producer.analysis.workload import WorkloadSummary
from producer.plan.lanes import Lane
from producer.rundir.reader import read_run
from producer.rundir.run import Run
from producer.rundir.schema import RECORD_SCHEMA, SAMPLE_SCHEMA, SENT_SCHEMA
from producer.rundir.trials import Kind, Trial

MIB = 2**20
APP = {
    "app": "shop.celery:app",
    "folder": "shop",
    "facts": {
        "inert": {}, "hazards": {}, "globals": [], "broker_scheme": "redis", "backend_scheme": "", "queues": [],
    },
    "shares": {"sleep": 1.0},
    "timeout_s": 60.0,
    "backend": "none, as in the app's settings",
}  # fmt: skip
LANES = [
    facts_of(Lane(key="prefork", pool="prefork", slots=4, prefetch=1), memory_per_slot_bytes=50 * MIB),
    facts_of(
        Lane(key="threads", pool="threads", slots=8, prefetch=2, transport="atomic"), memory_per_slot_bytes=10 * MIB
    ),
]
COMMAND = "celery -A shop.celery:app worker -P threads -c 8 --prefetch-multiplier 2 -n threads@%h"


def trial_of(trial, kind=Kind.LATENCY, workload="resize", lane="threads"):
    return Trial(
        trial=trial, kind=kind, workload=workload, lane=lane, round=0, jobs=1, rate_per_s=None, slots=2, began_at=0.0,
        ended_at=9.0,
    )  # fmt: skip


def ran(trial, seq, held_s=1.0, cpu_s=0.5, *, outcome="succeeded", started=10.0):
    """A record of a job that held its slot for so long; None if it never had one."""
    return {
        "trial": trial, "seq": seq, "outcome": outcome, "cpu_s": cpu_s,
        "started_at": None if held_s is None else started, "finished_at": held_s and started + held_s,
    }  # fmt: skip


def run_of(trials=(), records=(), sent=(), children=(), **settings):
    return Run(
        path=Path("run"),
        manifest=manifest_of(recorded(**{"app": APP, **settings})),
        trials=trials,
        records=pl.DataFrame(list(records), RECORD_SCHEMA),
        sent=pl.DataFrame([{"trial": trial, "seq": seq} for trial, seq in sent], SENT_SCHEMA),
        samples=pl.DataFrame(schema=SAMPLE_SCHEMA),
        children=pl.DataFrame(list(children), RECORD_SCHEMA),
        pings=[],
    )


def workload(name="resize", lane="threads", latency=True, capacity=True, verdicts=()):
    measured = lane_result(
        workload=name,
        capacity_per_s=spread(100.0) if capacity else None,
        rate_per_s=71.0,
        latency=latency_of(sojourn=percentiles_of(0.25)) if latency else None,
    )
    other = replace(measured, lane="prefork", rate_per_s=7.0, capacity_per_s=spread(1.0))
    chosen = recommendation(lane, why="at worst 2 % slower", command=COMMAND)
    unknown = recommendation(None, why="too few good pairs to judge by", advice="Give the race more time")
    return WorkloadSummary(
        workload=name,
        size=None,
        lanes=(other, measured),
        verdicts=tuple(verdicts),
        recommendation=chosen if lane else unknown,
    )


def test_the_share_of_the_cpu_is_that_of_the_time_in_which_a_slot_was_held():
    # 0.5 + 0.1 s of CPU in 1 + 3 s: 15 %, not the mean of 50 % and 3 %.
    run = run_of([trial_of(0), trial_of(1)], [ran(0, 0, 1.0, 0.5), ran(1, 0, 3.0, 0.1)])
    assert cpu_share(run, "resize", "threads") == pytest.approx(0.15)


def test_only_trials_of_the_task_on_the_lane_at_a_held_rate_count():
    trials = [
        trial_of(0),
        trial_of(1, kind=Kind.CAPACITY),
        trial_of(2, kind=Kind.WARM_UP),
        trial_of(3, workload="mix"),
        trial_of(4, lane="prefork"),
    ]
    run = run_of(trials, [ran(0, 0, 1.0, 0.25), *(ran(trial, 0, 1.0, 1.0) for trial in (1, 2, 3, 4))])
    assert cpu_share(run, "resize", "threads") == pytest.approx(0.25)
    assert cpu_share(run, "resize", "prefork") == pytest.approx(1.0)


def test_all_deliveries_that_ended_count_however_they_ended():
    records = [ran(0, 0, 1.0, 0.0), ran(0, 1, 1.0, 0.5, outcome="failed"), ran(0, 1, 2.0, 1.5, outcome="retried")]
    assert cpu_share(run_of([trial_of(0)], records), "resize", "threads") == pytest.approx(0.5)


def test_a_job_of_which_the_cpu_time_is_unknown_does_not_count():
    records = [ran(0, 0, 1.0, 0.5), ran(0, 1, 9.0, None), ran(0, 2, None, None, outcome="revoked")]
    assert cpu_share(run_of([trial_of(0)], records), "resize", "threads") == pytest.approx(0.5)


@pytest.mark.parametrize("records", [[], [ran(0, 0, 1.0, None)], [ran(0, 0, 0.0, 0.0)], [ran(7, 0)]])
def test_where_no_job_held_a_slot_there_is_no_share(records):
    assert cpu_share(run_of([trial_of(0)], records), "resize", "threads") is None
    assert cpu_share(run_of([], records), "resize", "threads") is None


def test_a_share_is_at_most_all_whatever_the_clocks_say():
    assert cpu_share(run_of([trial_of(0)], [ran(0, 0, 1.0, 1.001)]), "resize", "threads") == 1.0


def test_what_a_job_starts_is_counted_with_what_that_starts():
    # 4 jobs were sent; of the first come 2, of the second 1: 0.75 a job.
    run = run_of(
        [trial_of(0), trial_of(1, kind=Kind.CAPACITY)],
        sent=[(0, 0), (0, 1), (1, 0), (1, 1)],
        children=[ran(0, 0), ran(0, 0), ran(1, 1, outcome="failed")],
    )
    assert started_per_job(run, "resize") == 0.75


def test_a_child_that_was_tried_again_is_one_child():
    children = [ran(0, 0, outcome="retried"), ran(0, 0, outcome="retried"), ran(0, 0)]
    assert started_per_job(run_of([trial_of(0)], sent=[(0, 0)], children=children), "resize") == 1.0


def test_children_of_other_tasks_and_of_jobs_that_nobody_sent_do_not_count():
    run = run_of(
        [trial_of(0), trial_of(1, workload="mix")],
        sent=[(0, 0), (1, 0)],
        children=[ran(0, 0), ran(0, 9), ran(1, 0), ran(1, 0), ran(5, 0)],
    )
    assert started_per_job(run, "resize") == 1.0
    assert started_per_job(run, "mix") == 2.0


def test_a_task_that_starts_none_or_was_never_sent_starts_nothing():
    assert started_per_job(run_of([trial_of(0)], sent=[(0, 0)]), "resize") == 0.0
    assert started_per_job(run_of(), "resize") == 0.0


@pytest.mark.parametrize(
    ("rate_per_s", "capacity_per_s", "nodes"),
    [(70, 100, 1), (71, 100, 2), (140, 100, 2), (141, 100, 3), (0.1, 100, 1), (1000, 1, 1429)],
)
def test_a_node_is_counted_on_for_seven_tenths_of_its_capacity(rate_per_s, capacity_per_s, nodes):
    assert nodes_for(rate_per_s, capacity_per_s) == nodes


@pytest.mark.parametrize(("rate_per_s", "capacity_per_s"), [(None, 100), (70, None), (0, 100), (70, 0)])
def test_without_a_rate_or_a_capacity_there_is_no_number_of_nodes(rate_per_s, capacity_per_s):
    assert nodes_for(rate_per_s, capacity_per_s) is None


@given(rate_per_s=st.floats(0.01, 1e5), capacity_per_s=st.floats(0.1, 1e5))
def test_so_many_nodes_are_enough_and_one_fewer_are_not(rate_per_s, capacity_per_s):
    nodes = nodes_for(rate_per_s, capacity_per_s)
    assert nodes * 0.7 * capacity_per_s >= rate_per_s * (1 - 1e-9)
    assert (nodes - 1) * 0.7 * capacity_per_s < rate_per_s * (1 + 1e-9)


def test_a_service_is_limited_to_half_as_much_memory_again():
    # 80 MiB x 1.5 = 120 MiB.
    assert compose_service("celery -A shop worker", "threads", 80 * MIB) == (
        "worker-threads:\n  image: YOUR_IMAGE\n  command: celery -A shop worker\n  stop_grace_period: 60s\n"
        "  mem_limit: 120m"
    )


@pytest.mark.parametrize(("memory_bytes", "limit"), [(2 * MIB, "3m"), (2 * MIB + 1, "4m"), (MIB, "2m"), (1, "1m")])
def test_a_limit_is_rounded_up_to_whole_mebibytes(memory_bytes, limit):
    assert compose_service("c", "prefork", memory_bytes).endswith(f"  mem_limit: {limit}")


def test_a_service_of_unknown_memory_has_no_limit():
    assert compose_service("c", "prefork", None).splitlines()[-1] == "  stop_grace_period: 60s"


VERDICT = verdict("threads", ratio=0.5, low=0.4444, high=0.6, reason="it does more")


def test_an_answer_says_which_node_at_what_cost():
    asked = {"app": {**APP, "shares": {"resize": 0.25}}, "rate_per_s": 71.0}
    run = run_of([trial_of(0)], [ran(0, 0, 1.0, 0.5)], [(0, 0)], [ran(0, 0)], **asked)
    (found,) = answers(run, [workload(verdicts=[replace(VERDICT, measure="latency"), VERDICT])], LANES)
    # 8 slots x 10 MiB = 80 MiB, with half as much again 120; 71/s takes two nodes of 100/s at 70 %.
    assert found == Answer(
        workload="resize",
        share=0.25,
        cpu_share={"prefork": None, "threads": 0.5},
        started_per_job=1.0,
        lane="threads",
        why="at worst 2 % slower",
        sure="threads, settled: it does more",
        pool="threads",
        concurrency=8,
        prefetch=2,
        transport="atomic",
        memory_bytes=80 * MIB,
        capacity_per_s=100.0,
        rate_per_s=71.0,
        p99_s=0.25,
        nodes=2,
        command=COMMAND,
        compose=(
            f"worker-threads:\n  image: YOUR_IMAGE\n  command: {COMMAND}\n  stop_grace_period: 60s\n  mem_limit: 120m"
        ),
    )


@pytest.mark.parametrize(("jobs", "p99_s"), [(99, None), (100, 0.25)])
def test_a_p99_that_would_be_the_maximum_again_is_not_told(jobs, p99_s):
    found = workload()
    latency = latency_of(sojourn=percentiles_of(0.25, n=jobs))
    found = replace(found, lanes=tuple(replace(lane, latency=latency) for lane in found.lanes))
    assert answers(run_of(), [found], LANES)[0].p99_s == p99_s


def test_nodes_are_not_counted_for_a_rate_that_the_run_chose_itself():
    (found,) = answers(run_of(), [workload()], LANES)
    assert (found.rate_per_s, found.nodes) == (71.0, None)


def test_all_tasks_together_are_no_part_of_anything():
    (found,) = answers(run_of(), [workload("mix")], LANES)
    assert found.share is None
    assert found.sure == "nothing was compared"


def test_what_was_not_measured_is_none_and_the_pool_is_still_told():
    lanes = [replace(lane, memory_per_slot_bytes=None) for lane in LANES]
    (found,) = answers(run_of(), [workload(latency=False, capacity=False)], lanes)
    unknown = {field.name for field in fields(found) if getattr(found, field.name) is None}
    assert unknown == {"share", "advice", "memory_bytes", "capacity_per_s", "p99_s", "nodes"}
    assert found.pool == "threads"
    assert "mem_limit" not in found.compose


def test_without_a_lane_an_answer_says_why_and_what_to_do():
    (found,) = answers(run_of(), [workload(lane=None)], LANES)
    assert (found.lane, found.why, found.advice) == (
        None,
        "too few good pairs to judge by",
        "Give the race more time",
    )
    assert found.cpu_share == {"prefork": None, "threads": None}
    assert (found.pool, found.nodes, found.command, found.compose) == (None,) * 4


def test_there_is_an_answer_for_each_workload_in_their_order():
    found = answers(run_of(), [workload("a"), workload("b", lane=None), workload("mix")], LANES)
    assert [each.workload for each in found] == ["a", "b", "mix"]


def test_only_an_app_has_answers():
    assert answers(run_of(app=None), [workload()], LANES) == ()


@pytest.mark.parametrize("kind", ["load", "limit", "sweep"])
def test_only_a_race_has_answers_and_recommendations(run_maker, kind):
    summary = summarise(read_run(run_maker(settings={"kind": kind, "app": APP})))
    assert summary.answers == ()
    assert {each.recommendation for each in summary.workloads} == {
        Recommendation(lane=None, why=f"a {kind} recommends no lane", advice="Race them: poolrace race")
    }


def test_a_summary_of_the_demonstrations_jobs_has_no_answers(run_maker):
    assert summarise(read_run(run_maker())).answers == ()


def test_a_summary_of_an_app_has_answers_from_its_own_figures(run_maker):
    # Of 100 ms in a slot each job computes for 1 ms, on both lanes; threads is told to be twice as fast.
    summary = summarise(read_run(run_maker(speeds={"threads": 2.0}, settings={"app": APP})))
    (found,) = summary.answers
    chosen = summary.workloads[0].recommendation
    assert found.cpu_share == {"prefork": pytest.approx(0.01), "threads": pytest.approx(0.02)}
    assert (found.workload, found.share, found.lane) == ("sleep", 1.0, chosen.lane)
    assert chosen.command.startswith("celery -A shop.celery:app worker -P threads -c 2 ")


def test_the_line_of_an_app_whose_settings_name_a_pool_gives_the_pool_that_it_names(run_maker):
    app = {**APP, "facts": {**APP["facts"], "worker_pool": "threads"}}
    summary = summarise(read_run(run_maker(speeds={"prefork": 2.0}, settings={"app": app})))
    chosen = summary.workloads[0].recommendation
    assert chosen.pool == "prefork"
    assert chosen.command.startswith("celery -A shop.celery:app worker -P processes -c 2 ")


@pytest.mark.parametrize(("rate", "capacity"), [(63, 90), (119, 170), (126, 180)])
def test_a_rate_that_fills_a_node_just_so_needs_no_other(rate, capacity):
    assert nodes_for(rate, capacity) == 1
