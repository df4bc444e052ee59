"""Trials that stand side by side are of one kind and one workload, one a lane."""

from jobs import a_trial

from producer.report.charts.last_trials import last_of_each_lane
from producer.rundir.trials import Kind

KINDS = (Kind.LOAD, Kind.LATENCY)


def trial(number, kind, lane, workload="cpu"):
    return a_trial(trial=number, kind=kind, lane=lane, workload=workload)


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
