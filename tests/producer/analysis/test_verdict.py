"""Verdicts: ratio, interval and words by hand, and no winner where there is none."""

import json
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from producer.analysis.pairs import PairedValues, pair
from producer.analysis.percentiles import Percentiles
from producer.analysis.results import TrialResult
from producer.analysis.settle import Settlement
from producer.analysis.stats import holm
from producer.analysis.verdict import judge
from producer.rundir.trials import Kind


def paired(values, measure="capacity", a="prefork", b="threads", **more):
    return PairedValues(measure=measure, workload="cpu", a=a, b=b, values=values, **more)


def from_logs(*logs, **more):
    """Pairs whose ratio has the given natural logarithms."""
    return paired([(100 * math.exp(log), 100.0) for log in logs], **more)


def verdict_on(*comparisons, margin=0.05):
    """The verdict on the first of a race's comparisons."""
    return judge(comparisons, margin)[0]


# Logarithms 0.19, 0.20, 0.21: mean 0.2, deviation 0.01, standard error 0.01 / sqrt(3) = 0.0057735.
# t for 95 % and 2 degrees of freedom is 4.302653, so the half width is 0.0248414.
CLEAR = (0.19, 0.20, 0.21)
# With 2 degrees of freedom p = 1 - t / sqrt(t^2 + 2); t = 0.2 / 0.0057735 = 34.6410, t^2 = 1200.
CLEAR_P = 1 - math.sqrt(1200 / 1202)
# Logarithms 0.1, 0.2, 0.3: ten times the deviation, half width 0.248414, t^2 = 12.
VAGUE = (0.1, 0.2, 0.3)
VAGUE_P = 1 - math.sqrt(12 / 14)


def test_the_interval_is_the_t_interval_of_the_logarithms():
    verdict = verdict_on(from_logs(*CLEAR))
    assert verdict.ratio == pytest.approx(math.exp(0.2))  # 1.2214
    assert verdict.low == pytest.approx(math.exp(0.2 - 0.0248414), rel=1e-6)  # 1.1914
    assert verdict.high == pytest.approx(math.exp(0.2 + 0.0248414), rel=1e-6)  # 1.2521
    assert verdict.p_adjusted == pytest.approx(CLEAR_P)  # 0.00083; one comparison, nothing to adjust
    assert verdict.pairs == 3


def test_the_ratio_is_a_geometric_mean():
    """Twice as much and half as much cancel out; an arithmetic mean would say 1.25."""
    assert verdict_on(paired([(2.0, 1.0), (1.0, 2.0)])).ratio == pytest.approx(1.0)


def test_the_lane_with_the_higher_capacity_wins():
    verdict = verdict_on(from_logs(*CLEAR))
    assert verdict.word == verdict.winner == "prefork"
    assert verdict.reason == (
        "prefork finishes 1.22 times as many jobs as threads (95 % interval 1.19 to 1.25, 3 pairs)"
    )
    assert verdict.advice is None


def test_a_winner_named_second_is_told_by_its_own_advantage():
    verdict = verdict_on(from_logs(*(-log for log in CLEAR)))
    assert verdict.word == "threads"
    assert verdict.ratio == pytest.approx(math.exp(-0.2))
    assert verdict.reason == (
        "threads finishes 1.22 times as many jobs as prefork (95 % interval 1.19 to 1.25, 3 pairs)"
    )


def test_the_lane_with_the_lower_latency_wins():
    verdict = verdict_on(from_logs(*CLEAR, measure="latency", percentile="p99.9"))
    assert verdict.word == "threads"
    assert verdict.reason == (
        "at p99.9 jobs take 1.22 times as long on prefork as on threads (95 % interval 1.19 to 1.25, 3 pairs)"
    )


def test_lanes_are_equal_when_the_whole_interval_lies_within_the_margin():
    # Logarithms -0.01, 0, 0.01: half width 0.0248414, so 0.975 to 1.025; the margin is 0.952 to 1.05.
    verdict = verdict_on(from_logs(-0.01, 0.0, 0.01))
    assert verdict.word == "no difference"
    assert verdict.winner is None
    assert verdict.reason == (
        "prefork / threads is 1.00 (95 % interval 0.98 to 1.03, 3 pairs): the lanes differ by less than 5 %"
    )
    assert verdict.advice is None


def test_an_interval_that_leaves_the_margin_on_either_side_is_not_equality():
    # Half width 0.0248414 about +-0.03 ends at 0.0548 > log(1.05) = 0.0488.
    for centre in (0.03, -0.03):
        assert verdict_on(from_logs(centre - 0.01, centre, centre + 0.01)).word == "no verdict"
    # About +-0.02 it ends at 0.0448.
    for centre in (0.02, -0.02):
        assert verdict_on(from_logs(centre - 0.01, centre, centre + 0.01)).word == "no difference"


def test_a_sure_but_small_difference_names_no_winner():
    """3 % more in every pair is beyond chance and within the margin: nobody need care."""
    verdict = verdict_on(from_logs(0.0299, 0.03, 0.0301))
    assert verdict.p_adjusted < 0.001
    assert verdict.word == "no difference"


def test_a_margin_of_its_own_changes_what_counts_as_equal():
    assert verdict_on(from_logs(*CLEAR), margin=0.3).word == "no difference"
    assert verdict_on(from_logs(-0.01, 0.0, 0.01), margin=0.01).word == "no verdict"


def test_a_large_ratio_that_chance_may_give_has_no_winner():
    verdict = verdict_on(from_logs(*VAGUE))
    assert verdict.word == "no verdict"
    # exp(0.2 -+ 0.248414) = 0.95 and 1.57; p = 1 - sqrt(12 / 14) = 0.074.
    assert verdict.reason == (
        "prefork / threads is 1.22 (95 % interval 0.95 to 1.57, 3 pairs): "
        "equal lanes may show as much by chance, p = 0.074 after adjusting for 1 comparison"
    )


def test_holm_multiplies_the_smallest_by_all_and_the_largest_by_one():
    # In order: 0.005 x 4 = 0.02, 0.01 x 3 = 0.03, 0.03 x 2 = 0.06, 0.04 x 1 = 0.04 but not below 0.06.
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
    """The clear case has p = 0.00083: times 60 is 0.04995 and times 61 is 0.0508."""
    null = from_logs(-0.1, 0.0, 0.1)
    assert verdict_on(from_logs(*CLEAR), *[null] * 59).word == "prefork"
    assert verdict_on(from_logs(*CLEAR), *[null] * 60).word == "no verdict"
    assert verdict_on(from_logs(*CLEAR), *[null] * 60).p_adjusted == pytest.approx(61 * CLEAR_P)


def test_comparisons_that_cannot_be_judged_count_among_the_comparisons():
    """Otherwise a race could be made to name winners by breaking its other comparisons."""
    verdicts = judge([from_logs(*CLEAR), paired([]), from_logs(*CLEAR, failed_share_a=0.5)])
    assert verdicts[0].p_adjusted == pytest.approx(3 * CLEAR_P)
    assert [verdict.p_adjusted for verdict in verdicts[1:]] == [None, None]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], "0 pairs to judge by, at least 3 are needed"),
        ([(2.0, 1.0)], "1 pair to judge by, at least 3 are needed"),
        ([(2.0, 1.0), (2.0, 1.0)], "2 pairs to judge by, at least 3 are needed"),
    ],
)
def test_fewer_than_three_pairs_give_no_verdict(values, reason):
    verdict = verdict_on(paired(values))
    assert (verdict.word, verdict.reason) == ("no verdict", reason)
    assert verdict.advice == "Race at least 5 pairs"


def test_a_ratio_without_pairs_is_unknown_not_one():
    verdict = verdict_on(paired([(None, 1.0)]))
    assert (verdict.ratio, verdict.low, verdict.high, verdict.p_adjusted) == (None, None, None, None)


def test_one_pair_has_a_ratio_and_no_interval():
    verdict = verdict_on(paired([(3.0, 2.0)]))
    assert (verdict.ratio, verdict.low, verdict.high) == (pytest.approx(1.5), None, None)


@pytest.mark.parametrize("bad", [(None, 9.0), (9.0, None), (None, None), (0.0, 9.0), (9.0, 0.0), (math.nan, 9.0)])
def test_a_pair_with_a_missing_value_is_left_out_whole(bad):
    clear = from_logs(*CLEAR)
    verdict = verdict_on(paired([*clear.values, bad]))
    assert (verdict.pairs, verdict.left_out) == (3, 1)
    assert verdict.ratio == pytest.approx(math.exp(0.2))
    assert verdict.reason.endswith(
        "3 pairs); 1 pair left out: a job failed, was lost or ran twice, or a value is missing"
    )


def test_pairs_left_out_do_not_help_to_reach_three():
    verdict = verdict_on(paired([(2.0, 1.0), (2.0, 1.0), (None, 1.0), (2.0, None)]))
    assert verdict.word == "no verdict"
    assert verdict.reason.startswith("2 pairs to judge by, at least 3 are needed; 2 pairs left out")
    assert verdict.advice == "Race at least 5 pairs and see why pairs were left out"


def test_a_lane_that_fails_is_not_ranked_however_fast_it_is():
    verdict = verdict_on(from_logs(*CLEAR, failed_share_a=0.032))
    assert verdict.word == "no verdict"
    assert verdict.reason == "prefork failed 3.2 % of its jobs: a lane that fails is not ranked"
    assert verdict.advice == "See what the jobs raised, make them pass on both lanes, and race again"


def test_both_failing_lanes_are_named():
    verdict = verdict_on(from_logs(*CLEAR, failed_share_a=0.02, failed_share_b=1.0))
    assert verdict.reason == (
        "prefork failed 2 % of its jobs and threads failed 100 % of its jobs: a lane that fails is not ranked"
    )


def test_one_failure_in_a_hundred_is_borne():
    assert verdict_on(from_logs(*CLEAR, failed_share_a=0.01, failed_share_b=0.01)).word == "prefork"


def test_pairs_that_all_agree_have_a_point_for_an_interval():
    same = verdict_on(paired([(7.0, 7.0)] * 5))
    assert (same.word, same.low, same.ratio, same.high, same.p_adjusted) == ("no difference", 1.0, 1.0, 1.0, 1.0)
    double = verdict_on(paired([(14.0, 7.0)] * 5))
    assert (double.word, double.p_adjusted) == ("prefork", 0.0)
    assert double.low == double.ratio == double.high == pytest.approx(2.0)


def test_advice_names_the_pairs_that_would_likely_settle_it():
    # Mean 0.2, deviation 0.1 (VAGUE). n pairs suffice when (t(0.975) + t(0.8)) x 0.1 / sqrt(n) <= 0.2.
    # n = 4: (3.1824 + 0.9785) x 0.0500 = 0.2080, not enough. n = 5: (2.7764 + 0.9410) x 0.0447 = 0.1662, enough.
    verdict = verdict_on(from_logs(*VAGUE))
    # Noise: exp(0.1) - 1 = 10.5 %.
    assert verdict.advice == (
        "About 5 pairs would likely settle it, fewer on a quieter machine: pairs vary by 10.5 % now"
    )


def test_advice_for_lanes_that_look_equal_asks_for_an_interval_within_the_margin():
    # Mean 0, deviation 0.05. n pairs suffice when (t(0.975) + t(0.8)) x 0.05 / sqrt(n) <= log(1.05) = 0.04879.
    # n = 10: (2.2622 + 0.8834) x 0.01581 = 0.04974, not enough. n = 11: (2.2281 + 0.8791) x 0.01508 = 0.04684, enough.
    verdict = verdict_on(from_logs(-0.05, 0.0, 0.05))
    assert verdict.advice.startswith("About 11 pairs would likely settle it")
    assert verdict.reason == (
        "prefork / threads is 1.00 (95 % interval 0.88 to 1.13, 3 pairs): the lanes may differ by more than 5 %, or not"
    )


def test_advice_takes_all_comparisons_into_account():
    """With 8 comparisons a winner needs p below 0.05 / 8, so 5 pairs no longer suffice."""
    # Two-sided, so t(1 - 0.05 / 16). n = 6: (4.5257 + 0.9195) x 0.1 / sqrt(6) = 0.2223, not enough.
    # n = 7: (4.1152 + 0.9057) x 0.1 / sqrt(7) = 0.1898, enough.
    advice = verdict_on(from_logs(*VAGUE), *[from_logs(-0.1, 0.0, 0.1)] * 7).advice
    assert advice.startswith("About 7 pairs")


def test_hopeless_noise_is_answered_with_a_quieter_machine():
    verdict = verdict_on(from_logs(-1.0, 0.0, 1.0))
    assert verdict.advice == (
        "Even 100 pairs would hardly settle it, since pairs vary by 171.8 % and the margin is 5 %: "
        "use a quieter machine or longer trials"
    )


@pytest.mark.parametrize("noise", [0.03, 0.10])
def test_a_race_of_equal_lanes_seldom_names_a_winner(noise):
    """
    1,000 races of 8 comparisons with 5 pairs each: fewer than one in twenty may name any winner at all.

    At 3 % noise the margin keeps it near 1 %. At 10 % Holm's method alone holds it, at 1 - (1 - 0.05 / 8)^8 = 4.9 %.
    """
    rng = np.random.default_rng(20240)
    values = np.exp(noise * rng.standard_normal((1_000, 8, 5, 2)))
    fooled = sum(any(v.winner for v in judge([paired(pairs.tolist()) for pairs in race])) for race in values)
    assert fooled < 50


def test_without_adjusting_the_same_races_would_be_fooled_often():
    """The simulation above can tell: raw p-values below 0.05 appear in 1 - 0.95^8 = 34 % of races."""
    rng = np.random.default_rng(20240)
    logs = rng.standard_normal((1_000, 8, 5))
    fooled = (stats.ttest_1samp(logs, 0, axis=2).pvalue < 0.05).any(axis=1).sum()
    assert 250 < fooled < 430


def test_a_real_difference_is_found_nearly_always():
    """A fifth more at 3 % noise, 5 pairs, 8 comparisons."""
    rng = np.random.default_rng(7)
    values = np.exp(0.03 * rng.standard_normal((100, 8, 5, 2))) * [1.2, 1.0]
    words = [v.word for race in values for v in judge([paired(pairs.tolist()) for pairs in race])]
    assert words.count("prefork") > 0.95 * len(words)
    assert words.count("threads") == 0


POSITIVE = st.floats(min_value=1e-3, max_value=1e6)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.none() | POSITIVE, st.none() | POSITIVE), max_size=8),
    st.sampled_from(["capacity", "latency"]),
)
def test_naming_the_lanes_the_other_way_round_changes_nothing(values, measure):
    one = verdict_on(paired(values, measure))
    other = verdict_on(paired([(b, a) for a, b in values], measure, a="threads", b="prefork"))
    assert one.word == other.word
    if one.ratio is not None:
        assert one.ratio == pytest.approx(1 / other.ratio)
    if one.low is not None:
        assert one.low <= one.ratio * (1 + 1e-9)
        assert one.low == pytest.approx(1 / other.high)


@pytest.mark.parametrize("margin", [0, -0.05, 1, math.nan])
def test_a_margin_out_of_range_is_refused(margin):
    with pytest.raises(ValueError, match=r"must be above 0 and below 1"):
        judge([], margin)


def test_an_unknown_measure_is_refused():
    with pytest.raises(ValueError, match="measure 'speed': must be one of capacity, latency"):
        paired([], measure="speed")


def test_a_lane_is_not_compared_with_itself():
    with pytest.raises(ValueError, match="lane 'threads' against itself"):
        paired([], a="threads")


def test_a_verdict_is_plain_json():
    for verdict in judge([from_logs(*CLEAR), paired([])]):
        plain = msgspec.to_builtins(verdict)
        assert json.loads(json.dumps(plain)) == plain


def result_of(lane, turn, kind=Kind.CAPACITY, workload="cpu", value=None, n=100, **fates):
    """A trial of n jobs, all done unless fates say otherwise, whose capacity or sojourn percentiles are all `value`."""
    settlement = Settlement(sent=n, done=n - sum(fates.values()), **fates)
    spread = Percentiles(n=n, p50=value, p90=value, p99=value, p99_9=value, max=value, mean=value) if value else None
    return TrialResult(
        trial=0,
        kind=kind,
        workload=workload,
        lane=lane,
        round=turn,
        settlement=settlement,
        rate_per_s=None,
        capacity_per_s=value if kind is Kind.CAPACITY else None,
        achieved_per_s=None,
        sojourn=spread,
        publish_lag=None,
        cpu_s_per_job=None,
        negative=0,
    )


def test_trials_of_the_same_round_form_a_pair_whatever_their_order():
    results = [result_of("a", 0, value=1.0), result_of("b", 0, value=2.0)]
    results += [result_of("b", 1, value=4.0), result_of("a", 1, value=3.0)]
    (comparison,) = pair(results)
    assert (comparison.measure, comparison.workload, comparison.a, comparison.b) == ("capacity", "cpu", "a", "b")
    assert comparison.values == [(1.0, 2.0), (3.0, 4.0)]
    assert comparison.percentile is None


def test_every_two_lanes_are_compared_on_every_workload_and_measure():
    results = [
        result_of(lane, 0, kind, workload, value=1.0)
        for workload in ("cpu", "io")
        for kind in Kind
        for lane in ("a", "b", "c")
    ]
    found = {(c.measure, c.workload, c.a, c.b) for c in pair(results)}
    lanes = [("a", "b"), ("a", "c"), ("b", "c")]
    assert found == {(m, w, a, b) for m in ("capacity", "latency") for w in ("cpu", "io") for a, b in lanes}
    assert len(pair(results)) == 12


@pytest.mark.parametrize("fate", ["failed", "lost", "duplicated", "queued", "retried", "revoked", "refused"])
def test_a_trial_in_which_a_job_was_not_done_once_has_no_value(fate):
    results = [result_of("a", 0, value=1.0), result_of("b", 0, value=2.0, **{fate: 1})]
    assert pair(results)[0].values == [(1.0, None)]


def test_a_trial_that_did_not_happen_is_a_missing_value():
    results = [result_of("a", 0, value=1.0), result_of("b", 0, value=2.0), result_of("a", 1, value=3.0)]
    assert pair(results)[0].values == [(1.0, 2.0), (3.0, None)]


def test_failures_are_shared_over_all_measured_trials_of_the_workload():
    """6 of 100 and 0 of 200 jobs: 2 %; the warm-up and other workloads do not count."""
    results = [
        result_of("a", 0, value=1.0, failed=6),
        result_of("a", 0, Kind.LATENCY, value=1.0, n=200),
        result_of("a", 0, Kind.WARM_UP, value=1.0, failed=50),
        result_of("a", 0, workload="io", value=1.0, failed=50),
        result_of("b", 0, value=1.0),
    ]
    (comparison,) = pair(results)
    assert (comparison.failed_share_a, comparison.failed_share_b) == (0.02, 0.0)


@pytest.mark.parametrize(("n", "percentile"), [(19, "p50"), (99, "p50"), (100, "p90"), (999, "p90"), (1_000, "p99")])
def test_latency_is_compared_at_a_percentile_that_is_firm_in_every_trial(n, percentile):
    results = [result_of(lane, turn, Kind.LATENCY, value=1.0, n=20_000) for lane in "ab" for turn in range(3)]
    results.append(result_of("b", 3, Kind.LATENCY, value=1.0, n=n))
    assert pair(results)[0].percentile == percentile


def test_the_latency_of_a_trial_is_its_percentile():
    results = [
        result_of("a", 0, Kind.LATENCY, value=0.5, n=1_000),
        result_of("b", 0, Kind.LATENCY, value=0.25, n=1_000),
    ]
    assert pair(results)[0].values == [(0.5, 0.25)]


def test_a_trial_that_does_not_count_does_not_lower_the_percentile():
    results = [result_of(lane, 0, Kind.LATENCY, value=1.0, n=20_000) for lane in "ab"]
    results += [
        result_of("a", 1, Kind.LATENCY, value=1.0, n=5, lost=1),
        result_of("b", 1, Kind.LATENCY, value=1.0, n=20_000),
    ]
    (comparison,) = pair(results)
    assert comparison.percentile == "p99.9"
    assert comparison.values == [(1.0, 1.0), (None, 1.0)]
