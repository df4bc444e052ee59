"""A trial does not count if something else than its lane was at work, whatever it shows of the lane."""

import pytest
from jobs import a_trial
from nouns import latency_of, percentiles_of, trial_result

from producer.analysis.disturbance import clock_jump, crowded, lateness, losses, with_crowds
from producer.analysis.settle import Settlement
from producer.rundir.trials import Kind


@pytest.mark.parametrize(
    ("lag_s", "sojourn_s", "found"),
    [
        (0.0101, 0.1, "the generator was late"),  # more than 10 % of 100 ms
        (0.0099, 0.1, ""),
        (0.0049, 0.004, ""),  # more than 10 %, but not 5 ms
        (0.0051, 0.004, "the generator was late"),
    ],
)
def test_a_generator_was_late_if_it_can_be_seen_in_what_is_compared(lag_s, sojourn_s, found):
    times = latency_of(publish_lag=percentiles_of(lag_s), sojourn=percentiles_of(sojourn_s))
    assert lateness(times) == found


def test_a_generator_is_late_by_the_mean_not_by_its_worst_jobs():
    """One job in a hundred that is late by 50 ms moves the mean of the others' ratios by nothing that counts."""
    lag = percentiles_of(0.0, p99=0.05, max=0.05, mean=0.0005)
    assert not lateness(latency_of(publish_lag=lag, sojourn=percentiles_of(0.1)))


def test_a_trial_without_jobs_was_not_late():
    assert not lateness(latency_of())


@pytest.mark.parametrize(
    ("fates", "found"),
    [
        ({"done": 3}, ""),
        ({"done": 2, "failed": 1}, ""),
        ({"done": 2, "lost": 1}, "a job was lost"),
        ({"done": 2, "queued": 1}, "a job was lost"),
        ({"done": 2, "duplicated": 1}, "a job ran twice"),
        ({"done": 1, "duplicated": 1, "lost": 1}, "a job was lost"),
    ],
)
def test_a_job_that_was_lost_or_ran_twice_disturbs_and_one_that_failed_does_not(fates, found):
    assert losses(Settlement(sent=3, **fates)) == found


@pytest.mark.parametrize(("jump_s", "found"), [(0.004, ""), (0.006, "the clock jumped"), (-0.006, "the clock jumped")])
def test_a_clock_that_was_set_disturbs_in_either_direction(jump_s, found):
    assert clock_jump(a_trial(clock_jump_s=jump_s)) == found


def used(*others_cores, first=0, **changes):
    """Trials of a lane while other programs used so many cores."""
    return [
        a_trial(**{"trial": first + place, "kind": Kind.CAPACITY, "others_cores": cores, **changes})
        for place, cores in enumerate(others_cores)
    ]


def test_a_trial_in_which_others_used_more_of_the_cores_than_usual_is_crowded():
    # The median is 0.2: more than 0.5 is too much.
    assert dict(crowded(used(0.1, 0.2, 0.49, 0.2, 0.51))) == {4: "others used the cores"}


def test_a_machine_that_is_always_as_crowded_disturbs_no_trial():
    """Lanes compare well enough on a busy machine; a report warns of it as a whole."""
    assert not crowded(used(1.5, 1.6, 1.4, 1.5))


def test_lanes_and_kinds_are_crowded_by_themselves():
    """What counts as others' work may be our own publishers', of which a lane or a kind has more than another."""
    trials = [*used(0.1, 0.1, 0.1), *used(0.9, 0.9, 0.9, first=3, lane="prefork")]
    trials += used(0.9, first=6, kind=Kind.LATENCY) + used(0.9, first=7, workload="io")
    assert not crowded(trials)


def test_what_is_unknown_and_what_warms_up_is_not_crowded():
    assert not crowded([*used(None, 0.1, 0.1), *used(0.0, 9.0, first=3, kind=Kind.WARM_UP)])


def test_a_reason_that_a_trial_has_by_itself_stays():
    trials = used(0.1, 0.1, 9.0, 9.0, 0.1)
    results = [trial_result(trial=0), trial_result(trial=2), trial_result(trial=3, disturbed="a job was lost")]
    assert [each.disturbed for each in with_crowds(results, trials)] == ["", "others used the cores", "a job was lost"]
