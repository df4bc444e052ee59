"""A race measures where it decides most, starts its nodes twice, and can be taken on. On a simulated world."""

import json
from collections import Counter

import pytest
from world import World

from poolrace.contract import Outcome
from producer.cli._root import main
from producer.rundir.reader import read_run
from producer.rundir.trials import Kind
from producer.rundir.writer import RunWriter, held_alone

SLEEP = ("race", "--workload", "sleep", "--concurrency", "2", "--duration", "2s")
TWO = ("race", "--workload", "sleep", "--workload", "noop", "--concurrency", "2", "--duration", "2s")


def rounds_of(run):
    """Kind, workload, round and start of each trial that counts, in order."""
    kinds = {Kind.CAPACITY, Kind.LATENCY}
    return [(trial.kind.value, trial.workload, trial.round, trial.start) for trial in run.trials if trial.kind in kinds]


def each_once(found):
    return list(dict.fromkeys(found))


def test_three_rounds_of_everything_come_first_capacity_before_latency_on_two_starts(command):
    ended = command(World(), *TWO, "--at-most", "10m")
    assert ended.code == 0
    first_12 = [(kind, workload, start) for kind, workload, _, start in each_once(rounds_of(ended.run))][:12]
    assert first_12 == [
        *[("capacity", "sleep", 1), ("capacity", "noop", 1)] * 2, ("latency", "sleep", 1), ("latency", "noop", 1),
        ("capacity", "sleep", 2), ("capacity", "noop", 2), *[("latency", "sleep", 2), ("latency", "noop", 2)] * 2,
    ]  # fmt: skip


def test_a_race_ends_when_all_is_settled(command):
    """Nothing disturbs this world: a few pairs settle everything, long before the time is up."""
    ended = command(World(), *SLEEP, "--at-most", "10m")
    (workload,) = ended.summary.workloads
    assert {verdict.sure for verdict in workload.verdicts} == {"settled"}
    assert workload.recommendation.lane == "prefork"
    assert 6 <= len(each_once(rounds_of(ended.run))) <= 8
    assert ended.run.manifest.ended_at - ended.run.manifest.began_at < 60


def noisy(world):
    """A lane whose jobs take otherwise in each trial, by up to a third."""
    pool = "threads"
    usual_s = world.service_s[pool]

    def change(number=0):
        world.service_s[pool] = usual_s * (1.0, 1.3, 0.8, 1.1, 0.9)[number % 5]
        world.soon(2.0, lambda: change(number + 1))

    world.at(0.0, change)
    return world


def test_what_is_not_settled_gets_more_rounds_until_the_time_is_up(command):
    world = noisy(World(service_s={"prefork": 1 / 16, "threads": 1 / 16}))
    ended = command(world, *SLEEP, "--at-most", "60s")
    trials = [trial for trial in ended.run.trials if trial.kind in {Kind.CAPACITY, Kind.LATENCY}]
    rounds = Counter(trial.kind for trial in trials)
    assert sum(rounds.values()) > 2 * 6
    assert any(verdict.sure != "settled" for verdict in ended.summary.workloads[0].verdicts)
    # The start of nodes apart, which here takes a second and two proofs of slots a lane.
    assert trials[-1].ended_at - trials[0].began_at < 60 + 5


def test_a_round_that_does_not_fit_any_more_leaves_its_time_to_a_shorter_one(command):
    """A job of cpu takes 1 s on two slots, so a round of its capacity takes 16 s; one of sleep is over in 2 s."""
    world = World(service_s={"worker.cpu": 1.0})
    ended = command(world, "race", "--workload", "cpu", "--workload", "sleep", "--concurrency", "2", "--at-most", "60s")
    rounds = Counter((kind, workload) for kind, workload, *_ in each_once(rounds_of(ended.run)))
    assert rounds["capacity", "cpu"] < rounds["capacity", "sleep"]
    assert rounds["capacity", "sleep"] >= 3


def test_pairs_that_are_named_are_run_and_no_more(command):
    world = noisy(World(service_s={"prefork": 1 / 16, "threads": 1 / 16}))
    ended = command(world, *SLEEP, "--pairs", "5")
    assert Counter((kind, start) for kind, _, _, start in each_once(rounds_of(ended.run))) == {
        ("capacity", 1): 3, ("latency", 1): 2, ("capacity", 2): 2, ("latency", 2): 3,
    }  # fmt: skip


def test_a_round_with_a_lost_job_is_run_again_and_the_run_is_good(command):
    world, lost = World(), []

    def once(lane, seq):
        if lane.key == "threads" and seq == 20 and not lost:
            lost.append(seq)
            return None
        return Outcome.SUCCEEDED

    world.outcome = once
    ended = command(world, *SLEEP, "--pairs", "3")
    assert (ended.code, ended.summary.valid) == (0, True)
    assert ended.summary.settlement.lost == 1
    assert "1 of 7 rounds were disturbed and do not count: a job was lost (1)." in ended.summary.warnings
    assert [verdict.pairs for verdict in ended.summary.workloads[0].verdicts] == [3, 3]


def test_a_generator_that_is_always_late_makes_the_run_invalid_and_shows_what_there_is(command):
    ended = command(World(send_s=1 / 16, service_s={"prefork": 1 / 64, "threads": 1 / 64}), *SLEEP, "--pairs", "3")
    assert (ended.code, ended.summary.valid) == (4, False)
    (problem,) = ended.summary.problems
    assert problem.startswith("sleep, latency: 0 good rounds of 9, at least 3 are needed: the generator was late (9).")
    assert ended.summary.workloads[0].lanes[0].latency is not None


def test_a_race_until_all_is_settled_ends_where_no_round_can_be_good(command):
    """The generator is late in every round of latency: more of them would go on for ever."""
    late = World(send_s=1 / 16, service_s={"prefork": 1 / 64, "threads": 1 / 64})
    ended = command(late, *SLEEP, "--until-settled")
    assert ended.code == 4
    assert "0 good rounds of 9" in ended.summary.problems[0]


def test_a_round_in_which_the_clock_was_set_is_run_again(command):
    """By 16 ms, in the middle of the third trial that counts."""
    world = World()

    def set_clock():
        world.producer_s += 1 / 64

    world.at(12.0, set_clock)
    ended = command(world, *SLEEP, "--pairs", "3")
    assert (ended.code, ended.summary.valid) == (0, True)
    assert [warning for warning in ended.summary.warnings if "the clock jumped (1)" in warning]
    jumped = [trial.clock_jump_s for trial in ended.run.trials if abs(trial.clock_jump_s) > 0.005]
    assert jumped == pytest.approx([1 / 64])


@pytest.mark.parametrize(
    ("words", "given", "least"),
    [(("--at-most", "5s"), "5s", "11s"), (("--at-most", "15s", "--workload", "io"), "15s", "22s")],
)
def test_a_time_too_short_for_a_round_of_each_lane_is_refused_with_the_least_that_works(capsys, words, given, least):
    with pytest.raises(SystemExit) as ended:
        main([*SLEEP, *words])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert f"--at-most {given}: too short for one round of" in err
    assert f"Give at least {least}" in err


def test_until_settled_and_pairs_contradict_each_other(capsys):
    with pytest.raises(SystemExit) as ended:
        main([*SLEEP, "--until-settled", "--pairs", "3"])
    assert ended.value.code == 2
    assert "--until-settled and --pairs contradict each other" in capsys.readouterr().err


# A race that is taken on.


@pytest.fixture
def first_part(command):
    """A race that was stopped before all was settled."""
    return command(noisy(World(service_s={"prefork": 1 / 16, "threads": 1 / 16})), *SLEEP, "--at-most", "40s")


@pytest.fixture
def go_on(monkeypatch, capsys):
    """Take a race on, on a world; the exit code and what was said."""

    def run(path, *words):
        noisy(World(service_s={"prefork": 1 / 16, "threads": 1 / 16})).take_over(monkeypatch)
        with pytest.raises(SystemExit) as ended:
            main(["race", "--continue", str(path), "--json", *words])
        return ended.value.code, capsys.readouterr().err

    return run


def test_a_race_is_taken_on_with_its_settings_behind_its_trials(first_part, go_on):
    before = first_part.run
    assert go_on(first_part.path, "--at-most", "20s")[0] == 0
    after = read_run(first_part.path)
    assert after.trials[: len(before.trials)] == before.trials
    added = after.trials[len(before.trials) :]
    assert added
    assert min(trial.trial for trial in added) == 1 + max(trial.trial for trial in before.trials)
    assert {trial.workload for trial in added if trial.kind is not Kind.WARM_UP} == {"sleep"}
    assert {trial.start for trial in added if trial.kind is not Kind.WARM_UP} == {3}
    assert (after.manifest.status, after.manifest.run_id) == ("complete", before.manifest.run_id)
    assert after.manifest.began_at == before.manifest.began_at
    assert after.sent.height > before.sent.height
    assert len(after.manifest.nodes) == 6


@pytest.mark.parametrize(
    ("words", "difference"),
    [
        (("--workload", "io"), "--workload sleep there, io here"),
        (("--concurrency", "3"), "lanes "),
        (("--duration", "1s"), "--duration 2.0 there, 1.0 here"),
        (("--seed", "2"), "--seed 1 there, 2 here"),
        (("--margin", "0.1"), "--margin 0.05 there, 0.1 here"),
    ],
)
def test_other_settings_are_refused_with_the_difference_and_nothing_is_lost(first_part, go_on, words, difference):
    code, err = go_on(first_part.path, *words)
    assert code == 2
    assert difference in err
    assert "Its parts must share machine and settings" in err
    assert read_run(first_part.path).manifest == first_part.run.manifest


def test_the_same_settings_named_again_are_no_difference(first_part, go_on):
    assert go_on(first_part.path, *SLEEP[1:], "--at-most", "20s")[0] == 0


def test_another_machine_is_refused_with_the_difference(first_part, go_on):
    file = first_part.path / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["machine"]["cores_available"] = 96
    manifest["machine"]["versions"]["celery"] = "4.0.0"
    file.write_text(json.dumps(manifest))
    code, err = go_on(first_part.path)
    assert code == 2
    assert "cores_available 96 there" in err
    assert "celery 4.0.0 there" in err
    assert "kombu" not in err  # which is the same


def test_a_race_that_was_killed_is_taken_on_without_what_it_left_half_written(first_part, go_on):
    path, trials = first_part.path, first_part.run.trials
    RunWriter.reopen(path)  # its process ended without a word
    with (path / "trials.jsonl").open("a") as file:
        file.write('{"trial": 99, "kind": "capa')
    orphan = path / "records" / "00099-000.parquet"
    orphan.write_bytes((path / "records" / "00005-000.parquet").read_bytes())
    assert go_on(path, "--at-most", "20s")[0] == 0
    after = read_run(path)
    assert after.trials[: len(trials)] == trials
    assert after.manifest.status == "complete"
    assert not orphan.exists()


def test_a_race_that_is_being_measured_is_left_alone(first_part, go_on):
    with held_alone(first_part.path):
        code, err = go_on(first_part.path)
    assert code == 2
    assert "is being measured right now. Wait until that has ended." in err
    assert read_run(first_part.path).manifest == first_part.run.manifest


def test_only_a_race_is_taken_on(command, go_on):
    load = command(World(), "load", "--rate", "5/s", "--duration", "5s", "--mix", "sleep", "--concurrency", "2")
    code, err = go_on(load.path)
    assert code == 2
    assert "a load cannot be taken on, only a race" in err
