"""A race sets disturbed rounds aside, and is invalid only if too few are left; another run is, if jobs are missing."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from jobs import a_job, a_run, a_trial

from producer.analysis.summary import summarise
from producer.rundir.manifest import OthersOnHost
from producer.rundir.trials import Kind

LANES = ("prefork", "threads")
LOST = [a_job(0.0), a_job(1.0, outcome=None)]
TWICE_AT_ONCE = [a_job(0.0), a_job(1.0)]


def raced(rounds=3, *, kind=Kind.CAPACITY, disturbed=(), jobs=None, **trial):
    """
    A race of so many rounds on two lanes, two jobs a trial.

    Args:
        rounds: How many.
        kind: Of their trials.
        disturbed: Rounds in which the second lane's trial has these changes and jobs.
        jobs: Of a disturbed trial.
        trial: Changes to it.
    """
    found = []
    for place in range(rounds * len(LANES)):
        turn, lane = divmod(place, len(LANES))
        odd = turn in disturbed and lane == 1
        fields = {"trial": place, "kind": kind, "lane": LANES[lane], "round": turn, "jobs": 2, **(trial if odd else {})}
        found += [a_trial(**{**fields, "began_at": 1024.0 + 16 * place}), jobs if odd and jobs else TWICE_AT_ONCE]
    return a_run(*found, settings={"kind": "race"})


def told(run):
    """The problems and the warnings of a run."""
    summary = summarise(run)
    return list(summary.problems), list(summary.warnings)


def test_a_race_in_which_nothing_was_disturbed_has_nothing_to_tell():
    assert told(raced()) == ([], [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"jobs": LOST}, "a job was lost"),
        ({"clock_jump_s": -0.02}, "the clock jumped"),
        ({"kind": Kind.LATENCY, "jobs": [a_job(0.0, lag_s=0.1), a_job(1.0)]}, "the generator was late"),
    ],
)
def test_a_disturbed_round_is_repeated_and_the_run_is_valid(changes, reason):
    """4 rounds, of which 3 are good."""
    problems, warnings = told(raced(4, disturbed=[2], **changes))
    assert problems == []
    assert warnings == [f"1 of 4 rounds were disturbed and do not count: {reason} (1)."]


def test_what_holds_for_the_whole_run_is_told_before_what_disturbed_a_round():
    run = raced(4, disturbed=[2], clock_jump_s=-0.02)
    crowded = replace(run.manifest, others_cores=1.0, machine=SimpleNamespace(cores_available=2))
    first, second = told(replace(run, manifest=crowded))[1]
    assert first.startswith("Other programs used 1.0 of 2 cores")
    assert second.startswith("1 of 4 rounds were disturbed")


@pytest.mark.parametrize(("others_cores", "told_of"), [(1.0, []), (1.1, ["a@one, b@one"])])
def test_a_machine_of_nodes_that_ran_already_is_crowded_if_others_use_a_quarter_of_it(others_cores, told_of):
    run = raced()
    hosts = (
        OthersOnHost(nodes=("a@one", "b@one"), cores=4, others_cores=others_cores),
        OthersOnHost(nodes=("c@two",), cores=4, others_cores=0.5),
    )
    problems, warnings = told(replace(run, manifest=replace(run.manifest, hosts=hosts)))
    assert problems == []
    assert [warning.partition("machine of ")[2].partition(" while")[0] for warning in warnings] == told_of
    assert all("used 1.1 of 4 cores" in warning for warning in warnings)


def test_a_lag_does_not_disturb_a_backlog_whose_jobs_are_all_sent_at_once():
    assert told(raced(disturbed=[2], jobs=[a_job(0.0, lag_s=0.1), a_job(1.0)]))[1] == []


def test_jobs_of_a_round_that_was_set_aside_are_neither_counted_nor_named():
    """The round is measured again, so what was lost in it is in no figure."""
    run = raced(4, disturbed=[0], jobs=LOST)
    assert summarise(run).valid
    assert [group.fate for group in summarise(run).unsettled] == ["lost"]


def four_rounds(jumps, loses=lambda _turn, _lane: False):
    """Four rounds of capacity on two lanes; in which trials the clock jumps, and which lose a job."""
    trials = []
    for place in range(8):
        turn, lane = divmod(place, 2)
        trial = a_trial(
            trial=place, kind=Kind.CAPACITY, lane=LANES[lane], round=turn, jobs=2, began_at=1024.0 + 16 * place,
            clock_jump_s=1.0 if jumps(turn, lane) else 0.0,
        )  # fmt: skip
        trials += [trial, LOST if loses(turn, lane) else TWICE_AT_ONCE]
    return a_run(*trials, settings={"kind": "race"})


def test_a_round_counts_once_however_many_of_its_trials_were_disturbed():
    assert told(four_rounds(jumps=lambda turn, _lane: turn == 1)) == (
        [],
        ["1 of 4 rounds were disturbed and do not count: the clock jumped (1)."],
    )


def test_a_round_that_two_things_disturbed_counts_once_with_both():
    run = four_rounds(jumps=lambda turn, lane: (turn, lane) == (1, 0), loses=lambda turn, lane: (turn, lane) == (1, 1))
    (warning,) = told(run)[1]
    assert warning == ("1 of 4 rounds were disturbed and do not count: a job was lost (1), the clock jumped (1).")


@pytest.mark.parametrize(("rounds", "good"), [(3, 1), (4, 2)])
def test_too_few_good_rounds_make_a_race_invalid(rounds, good):
    (problem,), _ = told(raced(rounds, disturbed=[0, 1], clock_jump_s=0.02))
    assert problem == (
        f"sleep, capacity: {good} good rounds of {rounds}, at least 3 are needed: the clock jumped (2). Use a quieter "
        "machine, fewer slots or more --publishers, or give it more time: poolrace race --continue RUN."
    )


def test_a_race_of_which_no_round_is_good_is_told_without_figures():
    summary = summarise(raced(disturbed=range(3), clock_jump_s=0.02))
    assert summary.problems[0].startswith("sleep, capacity: 0 good rounds of 3, at least 3 are needed")
    assert not summary.valid


def test_three_good_rounds_are_enough_however_many_were_disturbed():
    problems, warnings = told(raced(9, disturbed=range(6), clock_jump_s=0.02))
    assert problems == []
    assert warnings == ["6 of 9 rounds were disturbed and do not count: the clock jumped (6)."]


def test_a_race_too_short_for_three_rounds_is_valid_if_none_was_disturbed():
    """It leaves everything open, and says so."""
    assert told(raced(2)) == ([], [])


def test_a_race_whose_starts_differ_warns_of_it():
    trials = []
    for place in range(12):
        turn, lane = divmod(place, 2)
        slow_s = 0.25 if lane and turn >= 3 else 0.125
        jobs = [a_job(float(n), service_s=slow_s + 0.001 * (turn % 3)) for n in range(2)]
        trials += [
            a_trial(
                trial=place, kind=Kind.LATENCY, lane=LANES[lane], round=turn, jobs=2, began_at=1024.0 + 16 * place,
                start=1 if turn < 3 else 2,
            ),
            jobs,
        ]  # fmt: skip
    (warning,) = told(a_run(*trials, settings={"kind": "race"}))[1]
    assert warning.startswith("sleep, latency: prefork / threads was 1.00 on start 1 and 0.5")


def test_jobs_without_an_end_make_a_load_invalid():
    jobs = [a_job(0.0), a_job(1.0, outcome="retried"), a_job(2.0), a_job(3.0, outcome=None)]
    problems, _ = told(a_run(a_trial(), jobs))
    assert problems[0] == "Of 4 jobs not all came to one end: 1 retried, 1 lost."
    assert sorted(problem.partition(".")[0] for problem in problems[1:]) == [
        "1 lost with sleep on threads, trial 0: jobs 3",
        "1 retried with sleep on threads, trial 0: jobs 1",
    ]


@pytest.mark.parametrize(("lag_s", "problems"), [(0.051, 1), (0.04, 0)])
def test_a_generator_that_was_late_makes_a_load_invalid(lag_s, problems):
    """Jobs of 125 ms, so the sojourn is 176 and 165 ms: a quarter of it is 44 and 41.25 ms."""
    found, _ = told(a_run(a_trial(), [a_job(float(n), lag_s=lag_s) for n in range(4)]))
    assert len(found) == problems
    for problem in found:
        assert problem.startswith(
            "The generator was late: publish lag p99 51.0 ms with sleep on threads, more than 44.0 ms."
        )
