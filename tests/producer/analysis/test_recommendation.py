"""What to run: the lane whose worst case, by the intervals, is least; and what it gives up."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs import a_run, a_sample, a_trial
from nouns import from_logs, lane_result, verdict
from recorded import LANES

from producer.analysis.recommendation import (
    WORST_SHARE,
    memory_text,
    no_recommendation,
    only_lane_that_runs,
    recommend,
    worst_shares,
)
from producer.analysis.settle import Settlement
from producer.analysis.verdict import judge
from producer.plan.lanes import parse_lanes

THREE = parse_lanes(["prefork:2", "threads:2", "threads:2:prefetch=1"], concurrency=2, prefetch=4, acks="early")


def run_with(lanes=LANES, **pss_bytes):
    """A run in which each lane's node needs so much memory, by its key; the same if it is not given."""
    trials = [a_trial(trial=place, lane=lane.key) for place, lane in enumerate(lanes)]
    samples = [a_sample(trial, 1.0, pss_bytes=pss_bytes.get(trial.lane, 50 << 20)) for trial in trials]
    pairs = [part for trial in trials for part in (trial, [])]
    return a_run(*pairs, samples=samples, settings={"kind": "race", "lanes": lanes})


SAME_MEMORY = run_with()


def between(low, high, word="open", a="prefork", b="threads", **others):
    """A verdict with this interval of a over b, as wide as a worst case needs."""
    return verdict(word, a=a, b=b, ratio=math.sqrt(low * high), low=low, high=high, **{"confidence": 0.98, **others})


def chosen(*verdicts, run=SAME_MEMORY, lanes=LANES):
    """What is recommended."""
    return recommend(run, lanes, verdicts)


def test_worst_shares_by_hand():
    """Between 0.8 and 1.6 times as many: prefork may do 20 % less, threads 1 - 1 / 1.6 = 37.5 %."""
    assert worst_shares([between(0.8, 1.6)]) == {"prefork": pytest.approx(0.2), "threads": pytest.approx(0.375)}


def test_a_worst_case_is_the_end_of_a_wider_interval_than_that_of_the_verdict():
    """After 5 pairs t(4) is 4.6067 at the bound of 5 %, and 5.4470 at that of 3 %: 1.1824 times as wide."""
    worst = worst_shares([between(0.8, 1.25, confidence=0.95)])
    assert worst["prefork"] == pytest.approx(1 - 0.8**1.1824, rel=1e-3)


def test_a_lane_that_is_faster_by_all_of_its_interval_loses_nothing():
    assert worst_shares([between(1.1, 1.6)]) == {"prefork": 0.0, "threads": pytest.approx(0.375)}


def test_of_several_lanes_the_fastest_other_one_counts():
    found = worst_shares([between(0.8, 1.6, a="a", b="b"), between(0.5, 1.0, a="a", b="c")])
    assert found == {"a": pytest.approx(0.5), "b": pytest.approx(0.375), "c": 0.0}


@pytest.mark.parametrize("others", [{"low": None, "high": None}, {"advice": "See what the jobs raised"}])
def test_lanes_that_cannot_be_ranked_have_no_worst_case(others):
    assert worst_shares([replace(between(0.8, 1.6), **others)]) == {}


def test_a_winner_is_recommended_with_its_gain():
    found = chosen(between(1.3, 2.6, "prefork"))
    assert (found.lane, found.sure, found.worst_share) == ("prefork", "settled", 0.0)
    assert found.why == "1.30 to 2.60 times as many as threads"


def test_the_gain_of_the_lane_that_is_named_second_is_told_upright():
    """Prefork does 0.4 to 0.8 times as many, so threads do 1.25 to 2.5 times as many as prefork."""
    found = chosen(between(0.4, 0.8, "threads"))
    assert (found.lane, found.why) == ("threads", "1.25 to 2.50 times as many as prefork")


def test_a_lane_that_is_not_slower_by_more_than_the_margin_is_recommended_though_nothing_is_proven():
    """Prefork does 0.944 to 1.01 times as many: that threads are faster is open, that they lose little is not."""
    found = chosen(between(0.944, 1.01))
    assert (found.lane, found.sure) == ("threads", "settled")
    assert found.worst_share == pytest.approx(1 - 1 / 1.01)
    assert found.why == "at worst 1 % slower"


@pytest.mark.parametrize(("high", "sure"), [(1.0499, "settled"), (1.0501, "open")])
def test_the_margin_is_the_same_in_both_directions(high, sure):
    """1 / 1.05 as many is 4.76 % less, and still as good as equal."""
    assert chosen(between(0.5, high)).sure == sure


def test_if_both_may_be_taken_the_lighter_one_is():
    may = between(0.97, 1.03)
    for heavy, light in (("prefork", "threads"), ("threads", "prefork")):
        found = chosen(may, run=run_with(**{heavy: 100 << 20, light: 20 << 20}))
        assert (found.lane, found.memory_ratio) == (light, pytest.approx(0.2))
        assert found.why.endswith("slower, a fifth of the memory")


def test_if_both_may_be_taken_a_settled_latency_goes_before_the_memory():
    latency = between(0.5, 0.8, "prefork", measure="latency")
    heavy = run_with(prefork=100 << 20)
    assert chosen(between(0.97, 1.03), latency, run=heavy).lane == "prefork"
    assert chosen(between(0.97, 1.03), replace(latency, sure="likely"), run=heavy).lane == "threads"


def test_latency_does_not_take_a_lane_that_loses_capacity():
    assert chosen(between(0.5, 0.8, "threads"), between(0.5, 0.8, "prefork", measure="latency")).lane == "threads"


def test_memory_does_not_take_a_lane_that_loses_capacity():
    assert chosen(between(1.2, 1.6, "prefork"), run=run_with(threads=1 << 20)).lane == "prefork"


def test_if_no_lane_may_be_taken_the_smaller_worst_case_is_said():
    found = chosen(between(0.8, 1.6), run=run_with(threads=1 << 20))
    assert (found.lane, found.sure, found.worst_share) == ("prefork", "open", pytest.approx(0.2))
    assert found.why == "at worst 20 % slower"


@pytest.mark.parametrize(
    ("word", "sure"), [("prefork", "likely"), ("no difference", "likely"), ("threads", "open"), ("open", "open")]
)
def test_it_is_as_sure_as_what_the_verdict_says_of_that_lane(word, sure):
    found = chosen(between(0.9, 1.6, word, sure="open" if word == "open" else "likely"))
    assert (found.lane, found.sure) == ("prefork", sure)


@pytest.mark.parametrize(("low", "lane"), [(0.26, "prefork"), (0.24, None)])
def test_a_lane_that_may_be_four_times_slower_is_not_recommended(low, lane):
    assert chosen(between(low, 9.0)).lane == lane


def test_where_none_is_recommended_it_says_how_bad_it_may_be_and_what_to_do():
    found = chosen(between(0.2, 5.0))
    assert (found.lane, found.command, found.worst_share) == (None, None, pytest.approx(0.8))
    assert found.why == "any lane may do 80 % less than the other"
    assert found.advice == "Take the race on, or use a quieter machine"


def test_without_an_interval_there_is_no_recommendation():
    few = verdict("open", low=None, high=None, advice="Give the race more time")
    assert (chosen(few).lane, chosen(few).why) == (None, "too few good pairs to judge by")
    assert chosen(few).advice == "Give the race more time"
    assert chosen().lane is None


def test_memory_that_is_not_known_decides_nothing_and_is_not_told():
    unknown = replace(SAME_MEMORY, samples=SAME_MEMORY.samples.clear())
    found = chosen(between(0.96, 1.02), run=unknown)
    assert (found.lane, found.memory_ratio) == ("threads", None)
    assert found.why == "at worst 2 % slower"


def test_of_three_lanes_the_one_that_loses_to_neither_is_recommended():
    keys = [lane.key for lane in THREE]
    verdicts = [
        between(1.2, 1.5, keys[0], a=keys[0], b=keys[1]),
        between(0.7, 0.8, keys[2], a=keys[0], b=keys[2]),
        between(0.5, 0.6, keys[2], a=keys[1], b=keys[2]),
    ]
    assert chosen(*verdicts, run=run_with(THREE), lanes=THREE).lane == keys[2]


def test_a_recommendation_says_how_to_start_it_and_what_its_pool_gives_up():
    found = chosen(between(0.5, 0.8, "threads"))
    assert found.command == "celery -A YOUR_APP worker -P threads -c 2 --prefetch-multiplier 4 -n threads@%h"
    assert (found.pool, found.concurrency, found.nodes) == ("threads", 2, 1)
    assert any("time limit" in line for line in found.gives_up)


def test_a_lane_of_another_interpreter_is_started_by_that_interpreter():
    free = parse_lanes(["threads:2", "threads:2:python=/opt/py/python3.14t"], concurrency=2, prefetch=4, acks="early")
    a, b = (lane.key for lane in free)
    found = chosen(between(0.5, 0.8, b, a=a, b=b), run=run_with(free), lanes=free)
    assert found.command.startswith("/opt/py/python3.14t -m celery -A YOUR_APP worker -P threads -c 2 ")


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.5, "half"), (0.21, "a fifth"), (0.26, "a quarter"), (0.7, "70 %"), (0.095, "a tenth")]
)
def test_a_part_of_the_memory_is_said_as_a_reader_says_it(ratio, text):
    assert memory_text(ratio) == text


def test_a_kind_of_run_that_compares_no_lanes_says_which_one_does():
    found = no_recommendation("load")
    assert (found.lane, found.why, found.advice) == (None, "a load recommends no lane", "Race them: poolrace race")


LOGS = st.lists(st.floats(min_value=-1, max_value=1), min_size=3, max_size=6)


@settings(deadline=None)
@given(LOGS, st.floats(min_value=0.001, max_value=1), st.sampled_from([10, 50, 90]))
def test_the_recommended_lane_has_the_smaller_worst_case_unless_both_may_be_taken(logs, narrow, mib):
    verdicts = judge([from_logs(*(narrow * log for log in logs))])
    worst = worst_shares(verdicts)
    found = chosen(*verdicts, run=run_with(prefork=mib << 20))
    if found.lane is None:
        assert min(worst.values()) > WORST_SHARE
    elif max(worst.values()) > 0.05 / 1.05:
        assert worst[found.lane] == min(worst.values())
    assert found.worst_share == (worst[found.lane] if found.lane else min(worst.values()))


@settings(deadline=None)
@given(LOGS, st.floats(min_value=0.001, max_value=0.5))
def test_a_loser_that_is_settled_is_never_recommended(logs, narrow):
    (found,) = judge([from_logs(*(0.2 + narrow * log for log in logs))])
    if found.winner:
        assert chosen(found).lane == found.winner


def test_the_memory_is_that_of_a_slot():
    """Twice the memory on twice the slots is the same."""
    lanes = parse_lanes(["prefork:2", "threads:4"], concurrency=2, prefetch=4, acks="early")
    run = run_with(lanes, prefork=50 << 20, threads=100 << 20)
    assert chosen(between(0.97, 1.03), run=run, lanes=lanes).memory_ratio == pytest.approx(1.0)


def settled(lane, done=0, failed=0, lost=0, **failures):
    """A lane whose jobs ended so."""
    settlement = Settlement(sent=done + failed + lost, done=done, failed=failed, lost=lost)
    return lane_result(lane, settlement=settlement, failures=failures)


def test_a_task_that_one_pool_alone_can_run_is_an_answer_and_no_failure():
    found = only_lane_that_runs(
        SAME_MEMORY, LANES, [settled("prefork", done=132), settled("threads", failed=132, RuntimeError=132)]
    )
    assert (found.lane, found.pool, found.sure) == ("prefork", "prefork", "settled")
    assert found.why == "threads cannot run it, all 132 jobs raised RuntimeError"
    assert found.command.startswith("celery -A YOUR_APP worker -P prefork")


@pytest.mark.parametrize(
    ("prefork", "threads"),
    [
        ({"done": 132}, {"done": 131, "failed": 1, "ValueError": 1}),
        ({"failed": 9, "ValueError": 9}, {"failed": 9, "ValueError": 9}),
        ({"done": 132}, {"done": 132}),
        ({"done": 132}, {"failed": 1, "lost": 131, "ValueError": 1}),
    ],
    ids=["one job failed", "all fail on both", "none fails", "one failed and the others were lost"],
)
def test_other_failures_are_none(prefork, threads):
    assert (
        only_lane_that_runs(SAME_MEMORY, LANES, [settled("prefork", **prefork), settled("threads", **threads)]) is None
    )
