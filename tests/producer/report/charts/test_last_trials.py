"""Trials that stand side by side are of one kind and one workload, one a lane."""

from producer.report.charts.last_trials import last_of_each_lane
from producer.rundir.trials import Kind, Trial

KINDS = (Kind.LOAD, Kind.LATENCY)


def trial(number, kind, lane, workload="cpu"):
    return Trial(
        trial=number, kind=kind, workload=workload, lane=lane, round=0, jobs=1, rate_per_s=None, slots=1, began_at=0.0,
        ended_at=1.0,
    )  # fmt: skip


def chosen(*trials, lanes=("prefork", "threads"), workload="cpu"):
    return [each.trial for each in last_of_each_lane(trials, KINDS, lambda _: workload, lanes)]


def test_the_most_telling_kind_of_which_there_is_a_trial_is_taken():
    latency, load = trial(0, Kind.LATENCY, "threads"), trial(1, Kind.LOAD, "threads")
    assert chosen(latency, load) == [1]
    assert chosen(latency) == [0]
    assert chosen(trial(0, Kind.CAPACITY, "threads")) == []


def test_each_lane_has_its_last_one_in_the_order_of_the_lanes_and_others_after_them():
    trials = [trial(number, Kind.LOAD, lane) for number, lane in enumerate(["other", "threads", "prefork", "threads"])]
    assert chosen(*trials) == [2, 3, 0]


def test_the_workload_is_chosen_among_those_of_the_kind_alone():
    seen = []

    def workload_of(trials):
        seen.extend(each.trial for each in trials)
        return "io"

    trials = [trial(0, Kind.LATENCY, "threads"), trial(1, Kind.LOAD, "threads"), trial(2, Kind.LOAD, "prefork", "io")]
    assert [each.trial for each in last_of_each_lane(trials, KINDS, workload_of, ())] == [2]
    assert seen == [1, 2]
