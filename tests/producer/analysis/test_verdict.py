"""Verdicts: ratio, interval and words by hand, and no winner where there is none."""

import json
import math

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nouns import from_logs, paired
from scipy import stats

from producer.analysis.sequential import bound, interval
from producer.analysis.stats import holm
from producer.analysis.verdict import LIKELY, OUTSIDE_ALIKE, WRONG_WINNERS, estimate, judge
from producer.analysis.verdict_words import NO_DIFFERENCE

LOG_MARGIN = math.log(1.05)


def verdict_on(*comparisons, margin=0.05):
    """The verdict on the first of a race's comparisons."""
    return judge(comparisons, margin)[0]


def t_of(p):
    """The t of a two-sided p-value with 2 degrees of freedom, for which p = 1 - t / sqrt(t^2 + 2)."""
    return (1 - p) * math.sqrt(2 / (1 - (1 - p) ** 2))


def triple(mean, deviation, **more):
    """Three pairs of this mean and deviation of the logarithms; the standard error is deviation / sqrt(3)."""
    return from_logs(mean - deviation, mean, mean + deviation, **more)


# Logarithms 0.19, 0.20, 0.21: standard error 0.01 / sqrt(3) = 0.0057735, t = 34.64, p = 1 - sqrt(1200 / 1202) =
# 0.00083. After 3 pairs the bound is sqrt(3 / 8) as high as after 8, so that is a height of 0.00136, which 0.71 % of
# equal lanes reach at some look: less than 1 %, so a winner is settled.
CLEAR = (0.19, 0.20, 0.21)
# Deviation 0.1: t^2 = 12, p = 1 - sqrt(12 / 14) = 0.0742, so prefork is better with 1 - 0.0371.
VAGUE = (0.1, 0.2, 0.3)


def test_a_settled_winner_has_the_interval_that_its_word_rests_on():
    verdict = verdict_on(from_logs(*CLEAR))
    half = t_of(0.0019967 * math.sqrt(3 / 8)) * 0.0057735  # 28.57 x 0.0057735 = 0.16496
    assert verdict.ratio == pytest.approx(math.exp(0.2))  # 1.2214
    assert (verdict.low, verdict.high) == (pytest.approx(1.0357, abs=1e-4), pytest.approx(1.4405, abs=1e-4))
    assert verdict.low == pytest.approx(math.exp(0.2 - half), rel=1e-5)
    assert (verdict.confidence, verdict.pairs) == (pytest.approx(0.99), 3)
    assert verdict.p_adjusted == pytest.approx(0.0071, abs=1e-4)  # one comparison, nothing to adjust


def test_what_is_not_settled_has_an_interval_of_95_percent():
    verdict = verdict_on(from_logs(*VAGUE))
    half = t_of(0.012624 * math.sqrt(3 / 8)) * 0.0577350  # 11.3 x 0.0577 = 0.653
    assert verdict.low == pytest.approx(math.exp(0.2 - half), rel=1e-3)
    assert verdict.high == pytest.approx(math.exp(0.2 + half), rel=1e-3)
    assert verdict.confidence == 0.95


def test_the_ratio_is_a_geometric_mean():
    """Twice as much and half as much cancel out; an arithmetic mean would say 1.25."""
    assert verdict_on(paired([2.0, 0.5])).ratio == pytest.approx(1.0)


def test_the_lane_with_the_higher_capacity_wins():
    verdict = verdict_on(from_logs(*CLEAR))
    assert verdict.word == verdict.winner == "prefork"
    assert (verdict.sure, verdict.settled, verdict.probability) == ("settled", True, None)
    assert verdict.reason == "prefork does 1.04 to 1.44 times as many as threads, by 3 pairs"
    assert verdict.advice is None


def test_a_winner_named_second_is_told_by_its_own_advantage():
    verdict = verdict_on(from_logs(*(-log for log in CLEAR)))
    assert verdict.word == "threads"
    assert verdict.ratio == pytest.approx(math.exp(-0.2))
    assert verdict.reason == "threads does 1.04 to 1.44 times as many as prefork, by 3 pairs"


def test_the_lane_with_the_lower_latency_wins():
    verdict = verdict_on(from_logs(*CLEAR, measure="latency"))
    assert verdict.word == "threads"
    assert verdict.reason == "jobs take 1.04 to 1.44 times as long on prefork as on threads, by 3 pairs"


def test_lanes_are_equal_when_the_whole_interval_lies_within_the_margin():
    # The 90 % interval: half width 4.276 x 0.005 = 0.0214, and exp(0.0214) = 1.022.
    verdict = verdict_on(triple(0.0, 0.005))
    assert (verdict.word, verdict.sure, verdict.winner) == ("no difference", "settled", None)
    assert verdict.reason == "the lanes differ by at most 2.2 %, by 3 pairs"
    assert verdict.confidence == pytest.approx(0.9)


@pytest.mark.parametrize(("centre", "sure"), [(0.028, "likely"), (0.03, "likely"), (0.027, "settled")])
def test_an_interval_that_leaves_the_margin_on_either_side_settles_no_equality(centre, sure):
    """Half width 0.0214 about 0.027 ends at 0.0484, within log(1.05) = 0.0488; about 0.028 at 0.0494."""
    for side in (centre, -centre):
        verdict = verdict_on(triple(side, 0.005))
        assert (verdict.word, verdict.sure) == ("no difference", sure)


def test_no_difference_is_likely_where_the_pairs_by_themselves_say_so():
    # 0.04879 / 0.0072169 = 6.7606 errors to the margin on either side: 1 - p = 6.7606 / sqrt(6.7606^2 + 2) = 0.9788.
    verdict = verdict_on(triple(0.0, 0.0125))
    assert (verdict.word, verdict.sure) == ("no difference", "likely")
    assert verdict.probability == pytest.approx(0.9788, abs=1e-4)


def test_a_sure_but_small_difference_names_no_winner():
    """3 % more in every pair is beyond chance and within the margin: nobody need care."""
    verdict = verdict_on(triple(0.03, 0.0001))
    assert verdict.p_adjusted < 0.001
    assert (verdict.word, verdict.sure) == ("no difference", "settled")


def test_a_margin_of_its_own_changes_what_counts_as_equal():
    assert verdict_on(triple(0.2, 0.005), margin=0.3).word == "no difference"
    assert verdict_on(triple(0.0, 0.005), margin=0.01).sure != "settled"


def test_a_large_ratio_that_chance_may_give_is_likely():
    verdict = verdict_on(from_logs(*VAGUE))
    assert (verdict.word, verdict.sure, verdict.winner) == ("prefork", "likely", None)
    # Better by more than the margin: t = (0.2 - 0.04879) / 0.057735 = 2.619; 1 - (1 - t / sqrt(t^2 + 2)) / 2 = 0.94.
    assert verdict.probability == pytest.approx(0.9400, abs=1e-4)
    assert verdict.reason == "prefork does 0.64 to 2.35 times as many as threads, by 3 pairs"


def test_pairs_that_say_little_leave_it_open():
    # t = (0.05 - 0.04879) / 0.0577 = 0.021, so prefork is better by more than the margin with 0.51. Half width 0.653.
    verdict = verdict_on(triple(0.05, 0.1))
    assert (verdict.word, verdict.sure, verdict.probability) == ("open", "open", None)
    assert verdict.reason == "prefork does 0.55 to 2.02 times as many as threads, by 3 pairs; the margin is 5 %"
    assert verdict.advice is None


def test_an_open_latency_is_told_as_time():
    assert verdict_on(triple(0.05, 0.1, measure="latency")).reason == (
        "jobs take 0.55 to 2.02 times as long on prefork as on threads, by 3 pairs; the margin is 5 %"
    )


def test_holm_by_hand():
    # 0.005 x 4 = 0.02; 0.01 x 3 = 0.03; 0.03 x 2 = 0.06; 0.04 x 1 = 0.04 but not below 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@settings(deadline=None)
@given(st.lists(st.floats(min_value=0, max_value=1), max_size=12))
def test_adjusting_never_makes_a_p_value_smaller_or_reorders(p_values):
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    assert [adjusted[i] for i in np.argsort(p_values, kind="stable")] == sorted(adjusted)


def test_more_comparisons_demand_more_of_each():
    """Equal lanes reach the clear case in 0.71 % of races: once that is below 1 %, twice not."""
    null = triple(0.0, 0.1)
    assert verdict_on(from_logs(*CLEAR)).sure == "settled"
    doubtful = verdict_on(from_logs(*CLEAR), null)
    assert (doubtful.word, doubtful.sure) == ("prefork", "likely")
    assert doubtful.p_adjusted == pytest.approx(2 * verdict_on(from_logs(*CLEAR)).p_adjusted)


def test_comparisons_that_cannot_be_judged_count_among_the_comparisons():
    """Otherwise a race could be made to name winners by breaking its other comparisons."""
    alone = verdict_on(from_logs(*CLEAR))
    verdicts = judge([from_logs(*CLEAR), paired([]), from_logs(*CLEAR, failed_share_a=0.5)])
    assert verdicts[0].p_adjusted == pytest.approx(3 * alone.p_adjusted)
    assert [verdict.p_adjusted for verdict in verdicts[1:]] == [None, None]


def level_of(level, **more):
    """Three pairs of mean 1 that equal lanes show as often as this, at some look."""
    return triple(1.0, math.sqrt(3) / t_of(bound(level, 3)), **more)


def test_winners_that_share_the_level_have_intervals_that_exclude_1():
    """
    0.0049 x 2 = 0.0098 is below 0.01, and so is 0.009 x 1: both win, the second at all of the level.

    By the share of the first, which its adjusted level is tied with, its interval would hold 1.
    """
    first, second = judge([level_of(0.0049), level_of(0.009)])
    assert first.p_adjusted == second.p_adjusted == pytest.approx(0.0098)
    assert (first.confidence, second.confidence) == (pytest.approx(0.995), pytest.approx(0.99))
    assert first.low > 1
    assert second.low > 1


@pytest.mark.parametrize(
    ("ratios", "reason"),
    [
        ([], "0 pairs to judge by, at least 3 are needed"),
        ([2.0], "1 pair to judge by, at least 3 are needed"),
        ([2.0, 2.0], "2 pairs to judge by, at least 3 are needed"),
    ],
)
def test_fewer_than_three_pairs_leave_it_open(ratios, reason):
    verdict = verdict_on(paired(ratios))
    assert (verdict.word, verdict.sure, verdict.reason) == ("open", "open", reason)
    assert (verdict.low, verdict.high, verdict.confidence) == (None, None, None)
    assert verdict.advice == "Give the race more time"


def test_a_ratio_without_pairs_is_unknown_not_one():
    verdict = verdict_on(paired([None]))
    assert (verdict.ratio, verdict.low, verdict.high, verdict.p_adjusted) == (None, None, None, None)


@pytest.mark.parametrize("bad", [None, 0.0, math.nan, math.inf])
def test_a_pair_without_a_ratio_is_left_out(bad):
    verdict = verdict_on(paired([*from_logs(*CLEAR).ratios, bad]))
    assert (verdict.pairs, verdict.left_out) == (3, 1)
    assert verdict.ratio == pytest.approx(math.exp(0.2))
    assert verdict.reason.endswith(
        "by 3 pairs; 1 pair left out: a job failed, was lost or ran twice, or a value is missing"
    )


def test_pairs_left_out_do_not_help_to_reach_three():
    verdict = verdict_on(paired([2.0, 2.0, None, None]))
    assert verdict.word == "open"
    assert verdict.reason.startswith("2 pairs to judge by, at least 3 are needed; 2 pairs left out")
    assert verdict.advice == "Give the race more time, and see why pairs were left out"


def test_a_lane_that_fails_is_not_ranked_however_fast_it_is():
    verdict = verdict_on(from_logs(*CLEAR, failed_share_a=0.032))
    assert (verdict.word, verdict.sure) == ("open", "open")
    assert verdict.reason == "prefork failed 3.2 % of its jobs: a lane that fails is not ranked"
    assert verdict.advice == "See what the jobs raised, make them pass on both lanes, and race again"


def test_both_failing_lanes_are_named():
    verdict = verdict_on(from_logs(*CLEAR, failed_share_a=0.02, failed_share_b=1.0))
    assert verdict.reason == (
        "prefork failed 2 % of its jobs and threads failed 100 % of its jobs: a lane that fails is not ranked"
    )


def test_pairs_that_all_agree_have_a_point_for_an_interval():
    same = verdict_on(paired([1.0] * 5))
    assert (same.word, same.low, same.ratio, same.high, same.p_adjusted) == ("no difference", 1.0, 1.0, 1.0, 1.0)
    double = verdict_on(paired([2.0] * 5))
    assert (double.word, double.p_adjusted) == ("prefork", 0.0)
    assert double.low == double.ratio == double.high == pytest.approx(2.0)


def test_equal_lanes_looked_at_after_every_pair_seldom_settle_a_winner():
    """1,000 races of one comparison, from 3 to 20 pairs: at most 10 of 1,000 settle one, however often one looks."""
    logs = 0.4 * np.random.default_rng(1983).standard_normal((1_000, 20))
    ratios = np.exp(logs).tolist()
    fooled = sum(any(verdict_on(paired(race[:pairs])).winner for pairs in range(3, 21)) for race in ratios)
    assert 0 < fooled <= 15  # 10, and what chance makes of it


def test_an_ordinary_test_of_the_same_pairs_would_be_fooled_often():
    """The simulation above can tell: with a p-value below 1 % at some look, several times as many name one."""
    logs = 0.4 * np.random.default_rng(1983).standard_normal((1_000, 20))
    looks = [stats.ttest_1samp(logs[:, :pairs], 0, axis=1).pvalue < WRONG_WINNERS for pairs in range(3, 21)]
    assert np.any(looks, axis=0).sum() > 40


def test_a_race_of_equal_lanes_seldom_settles_a_winner_of_all_its_comparisons():
    """150 races of 8 comparisons; without Holm's method 1 in 9 would."""
    logs = 0.4 * np.random.default_rng(1).standard_normal((150, 8, 10))
    fooled = sum(
        any(v.winner for pairs in (3, 4, 6, 10) for v in judge([paired(each[:pairs]) for each in race]))
        for race in np.exp(logs).tolist()
    )
    assert fooled <= 4


def test_a_real_difference_is_found_nearly_always():
    """A fifth more at 3 % noise, 6 pairs, 8 comparisons."""
    logs = 0.18 + 0.03 * np.random.default_rng(7).standard_normal((60, 8, 6))
    words = [v.winner for race in np.exp(logs).tolist() for v in judge([paired(ratios) for ratios in race])]
    assert words.count("prefork") > 0.95 * len(words)
    assert words.count("threads") == 0


LOGS = st.lists(st.floats(min_value=-1, max_value=1), min_size=3, max_size=12)


@settings(deadline=None)
@given(
    st.lists(st.none() | st.floats(min_value=1e-3, max_value=1e3), max_size=8), st.sampled_from(["capacity", "latency"])
)
def test_turning_the_lanes_round_turns_the_words_round(ratios, measure):
    one = verdict_on(paired(ratios, measure=measure))
    turned = [ratio and 1 / ratio for ratio in ratios]
    other = verdict_on(paired(turned, measure=measure, a="threads", b="prefork"))
    assert (one.word, one.sure) == (other.word, other.sure)
    assert one.probability == pytest.approx(other.probability)
    if one.ratio is not None:
        assert one.ratio == pytest.approx(1 / other.ratio)
    if one.low is not None:
        assert one.low <= one.ratio * (1 + 1e-9)
        assert one.low == pytest.approx(1 / other.high, rel=1e-6)


@settings(deadline=None, max_examples=200)
@given(LOGS, st.floats(min_value=0.001, max_value=1))
def test_a_verdict_is_settled_if_its_interval_says_so_and_only_then(logs, narrow):
    """Beyond the margin by an interval that excludes 1, or all of the interval within the margin."""
    comparison = from_logs(*(0.3 + narrow * log for log in logs))
    verdict, ratio = verdict_on(comparison), estimate(comparison)
    low, high = interval(ratio, WRONG_WINNERS)
    wins = abs(ratio.mean) > LOG_MARGIN and (low > 0 or high < 0)
    low, high = interval(ratio, OUTSIDE_ALIKE)
    alike = low >= -LOG_MARGIN and high <= LOG_MARGIN
    assert verdict.settled == (wins or alike)
    assert (verdict.winner is not None) == wins


@settings(deadline=None)
@given(st.lists(LOGS, min_size=1, max_size=6), st.floats(min_value=0.001, max_value=0.2))
@example([[0.0, 0.0, 0.5, 0.25, 0.375, 0.375, 0.375]], 0.125)  # 1.034 [1.0003, 1.069]
def test_no_word_contradicts_the_interval_that_is_printed_with_it(race, narrow):
    for verdict in judge([from_logs(*(narrow * log for log in logs)) for logs in race]):
        if verdict.winner:
            assert verdict.low > 1 or verdict.high < 1
            assert abs(math.log(verdict.ratio)) > LOG_MARGIN
        elif verdict.settled:
            assert math.log(verdict.low) >= -LOG_MARGIN
            assert math.log(verdict.high) <= LOG_MARGIN
        elif verdict.sure == "likely":
            assert verdict.probability >= LIKELY
            if verdict.word == NO_DIFFERENCE:  # none beyond the margin: an interval that excludes 1 may say so, too
                assert abs(math.log(verdict.ratio)) < LOG_MARGIN
            else:  # beside other comparisons the interval may exclude 1, but then on the side of the word
                assert verdict.low < 1 or verdict.word == verdict.a
                assert verdict.high > 1 or verdict.word == verdict.b


@settings(deadline=None)
@given(st.lists(LOGS, min_size=2, max_size=6))
def test_a_comparison_more_settles_no_further_winner(race):
    """Each one more is one more chance to be fooled."""
    comparisons = [from_logs(*logs) for logs in race]
    fewer = {place for place, verdict in enumerate(judge(comparisons[:-1])) if verdict.winner}
    more = {place for place, verdict in enumerate(judge(comparisons)[:-1]) if verdict.winner}
    assert more <= fewer


@pytest.mark.parametrize("margin", [0, -0.05, 1, math.nan])
def test_a_margin_out_of_range_is_refused(margin):
    with pytest.raises(ValueError, match=r"must be above 0 and below 1"):
        judge([], margin)


def test_a_verdict_is_plain_json():
    for verdict in judge([from_logs(*CLEAR), paired([])]):
        plain = msgspec.to_builtins(verdict)
        assert json.loads(json.dumps(plain)) == plain
