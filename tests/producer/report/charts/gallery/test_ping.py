"""The picture of control round trips: by workload and lane, beside the share of CPU time of the jobs."""

import dataclasses

from sweeps import planned, with_plan

from producer.report.charts.gallery.ping import ping
from producer.rundir.trials import Kind

TRIALS = {"prefork": 0, "threads": 1}


def pinged(run, **trips):
    """The run with these round trips, in seconds, of trials by lane."""
    pings = [
        {"trial": TRIALS[lane], "rtt_s": trip_s, "timeout_s": 2.0} for lane, found in trips.items() for trip_s in found
    ]
    kinds = dict.fromkeys(TRIALS.values(), Kind.PING)
    trials = [dataclasses.replace(trial, kind=kinds.get(trial.trial, trial.kind)) for trial in run.trials]
    return dataclasses.replace(run, pings=pings, trials=trials)


def test_pings_of_a_run_from_before_they_had_trials_of_their_own_are_drawn_too(sample):
    summary, run = sample
    assert ping(summary, dataclasses.replace(pinged(run, prefork=[0.001], threads=[0.1]), trials=run.trials))


def test_each_lane_is_a_box_of_its_round_trips_in_milliseconds(sample):
    summary, run = sample
    found = ping(summary, pinged(run, prefork=[0.001, 0.002, 0.004], threads=[0.01, 0.03, 0.05]))
    assert [(trace.name, tuple(trace.y)) for trace in found.figure.data] == [
        ("prefork", (1.0, 2.0, 4.0)), ("threads", (10.0, 30.0, 50.0)),
    ]  # fmt: skip
    # 1 ms of 50 ms on threads, where a job waits least: 2 %.
    assert set(found.figure.data[0].x) == {"sleep (2 %)"}
    assert len({trace.marker.symbol for trace in found.figure.data}) == 2
    assert found.figure.layout.yaxis.type == "log"


def test_the_sentences_and_the_table_have_the_percentiles(sample):
    summary, run = sample
    found = ping(summary, pinged(run, prefork=[0.001, 0.002, 0.004], threads=[0.01, 0.03, 0.05]))
    assert found.shows == (
        "Round trips of control pings, p50 and max: sleep on prefork 2.00 and 4.00 ms; sleep on threads 30.0 and "
        "50.0 ms; every ping was answered."
    )
    assert "by the p50 at sleep (2 % CPU), a node of threads takes 15.0 times as long as one of prefork" in found.reads
    assert list(found.table.rows[0]) == ["sleep", "2 %", "prefork", "2.00 [-, -]", "-", "4.00", "3", "0"]


def test_workloads_stand_by_their_share_of_cpu_time(sample):
    summary, run = sample
    (sleep,) = summary.workloads
    means = {"cpu": 0.09, "service": 0.1}
    taken = {name: dataclasses.replace(sleep.lanes[0].backlog.stage(name), mean=mean) for name, mean in means.items()}
    heavy = tuple(dataclasses.replace(lane, backlog=dataclasses.replace(lane.backlog, **taken)) for lane in sleep.lanes)
    cpu = dataclasses.replace(sleep, workload="cpu", lanes=heavy)
    both = dataclasses.replace(summary, workloads=(cpu, sleep))
    trials = [dataclasses.replace(trial, workload="cpu") if trial.trial == 1 else trial for trial in run.trials]
    found = ping(both, dataclasses.replace(pinged(run, prefork=[0.001], threads=[0.1]), trials=trials))
    assert tuple(found.figure.layout.xaxis.categoryarray) == ("sleep (2 %)", "cpu (90 %)")
    assert [row[0] for row in found.table.rows] == ["sleep", "cpu"]


def test_a_ping_without_an_answer_is_marked_where_it_was_given_up(sample):
    summary, run = sample
    found = ping(summary, pinged(run, prefork=[0.001, None, None], threads=[None]))
    silent = found.figure.data[-1]
    assert (silent.name, tuple(silent.y)) == ("no answer in 2 s", (2000.0, 2000.0))
    assert "sleep on threads none was answered; 3 of 4 pings had no answer in 2 s" in found.shows
    assert [row[-1] for row in found.table.rows] == ["2", "1"]
    assert "times as long" not in found.reads


def test_many_pings_are_a_box_with_those_outside_it(sample):
    summary, run = sample
    found = ping(summary, pinged(run, prefork=[0.001] * 2001, threads=[0.001] * 2000))
    assert [trace.boxpoints for trace in found.figure.data] == ["outliers", "all"]


def test_a_run_without_pings_says_what_sends_them(sample):
    summary, run = sample
    found = ping(summary, pinged(run))
    assert (found.figure, found.table) == (None, None)
    assert "poolrace race" in found.missing


def test_a_workload_that_looks_like_a_tag_is_words(sample):
    summary, run = sample
    (sleep,) = summary.workloads
    named = dataclasses.replace(summary, workloads=(dataclasses.replace(sleep, workload="<script>"),))
    trials = [dataclasses.replace(trial, workload="<script>") for trial in run.trials]
    found = ping(named, dataclasses.replace(pinged(run, prefork=[0.1]), trials=trials))
    assert found.figure.data[0].x[0] == "&lt;script&gt; (2 %)"


def test_lanes_of_a_sweep_that_differ_at_each_value_look_like_those_that_it_varies(sample):
    summary, run = sample
    found = ping(with_plan(summary, planned("2", prefork="a", threads="b")), run)
    assert [trace.name for trace in found.figure.data] == ["a", "b"]
