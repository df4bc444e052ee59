"""The next round goes where it decides most: to what has no recommendation, then to what is soonest settled."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nouns import from_logs, paired

from producer.analysis.allocation import AHEAD_PAIRS, pairs_to_settle, standing
from producer.analysis.sequential import half_width
from producer.analysis.stats import LogRatio

LOG_MARGIN = math.log(1.05)
LEVEL = 0.01


def triple(mean, deviation, workload="cpu", **others):
    """Three pairs of this mean and deviation."""
    return from_logs(mean - deviation, mean, mean + deviation, workload=workload, **others)


def next_of(*comparisons, **round_s):
    """The workload, or the measure and workload, of the next round; rounds take a second unless they are given."""
    seconds = {(each.measure, each.workload): round_s.get(each.workload, 1.0) for each in comparisons}
    return standing(comparisons, 0.05, seconds).next


SETTLED = (0.7, 0.001)
NEAR = (0.3, 0.05)
FAR = (0.1, 0.08)
HELPLESS = (0.3, 0.3)
"""Half the interval is 6.53 x 0.3 = 1.96: either lane may do a fifth of the other."""


def test_a_race_that_is_settled_needs_no_round():
    now = standing([triple(*SETTLED), triple(*SETTLED, "io")], 0.05, {})
    assert (now.next, now.settled) == (None, 2)


def test_a_comparison_that_is_settled_gets_no_round():
    assert next_of(triple(*SETTLED), triple(*FAR, "io")) == ("capacity", "io")


def test_what_is_sooner_settled_is_first():
    assert next_of(triple(*FAR), triple(*NEAR, "io")) == ("capacity", "io")


def test_a_round_that_takes_longer_is_worth_less():
    assert next_of(triple(*FAR), triple(*NEAR, "io"), cpu=1.0, io=1_000.0) == ("capacity", "cpu")


def test_a_workload_without_a_recommendation_is_first_though_it_takes_longest():
    comparisons = [triple(*NEAR), triple(*HELPLESS, "io")]
    assert next_of(*comparisons, io=1_000.0) == ("capacity", "io")


def test_of_a_workload_without_a_recommendation_it_is_capacity_that_comes_first():
    assert next_of(triple(*HELPLESS), triple(*NEAR, measure="latency")) == ("capacity", "cpu")


def test_latency_recommends_nothing_and_so_does_not_come_first():
    comparisons = [triple(*NEAR), triple(*SETTLED, "io"), triple(*HELPLESS, "io", measure="latency")]
    assert next_of(*comparisons) == ("capacity", "cpu")


def test_of_equally_far_ones_that_with_fewer_pairs_is_next():
    """Neither would be settled by any number that is looked for, so they take turns."""
    longer, shorter = ([LOG_MARGIN + 2.0, LOG_MARGIN - 2.0] * times for times in (3, 2))
    found = next_of(
        from_logs(*longer, workload="cpu", measure="latency"), from_logs(*shorter, workload="io", measure="latency")
    )
    assert found == ("latency", "io")


def test_lanes_that_cannot_be_ranked_get_no_round():
    assert next_of(triple(*FAR, failed_share_a=0.5), triple(*FAR, "io")) == ("capacity", "io")
    assert next_of(triple(*FAR, failed_share_a=0.5)) is None


def test_a_comparison_that_is_always_disturbed_comes_last():
    """It has too few pairs though all were tried equally often; it would otherwise take all of the time."""
    assert next_of(paired([2.0], workload="cpu"), triple(*FAR, "io")) == ("capacity", "io")
    assert next_of(paired([], workload="cpu"), triple(*SETTLED, "io")) == ("capacity", "cpu")


def test_pairs_that_do_not_count_take_their_time():
    """Every other pair is left out, so settling it takes twice the rounds."""
    halves = paired([x for ratio in triple(*NEAR).ratios for x in (ratio, None)], workload="cpu")
    assert next_of(halves, triple(*NEAR, "io")) == ("capacity", "io")


def test_a_winner_that_is_settled_leaves_more_of_the_level_to_the_others():
    """With half of it cpu takes 3 rounds, with a ninth 4; io takes 3 of 1.1 s in any case."""
    winners = [triple(*SETTLED, str(place)) for place in range(7)]
    assert next_of(*winners, triple(0.2, 0.06), triple(0.0, 0.035, "io"), io=1.1) == ("capacity", "cpu")
    ratio = LogRatio(pairs=3, mean=0.2, sd=0.06)
    assert [pairs_to_settle(ratio, LOG_MARGIN, LEVEL / share) for share in (2, 9)] == [3, 4]


def test_pairs_to_settle_a_winner_by_hand():
    """3 pairs of mean 0.3 and deviation 0.02: half the interval after 3 + n pairs, until it is below 0.3."""
    # At 1 %, after 3 pairs: t = 28.57, half width 28.57 x 0.02 / sqrt(3) = 0.330; after 4: 11.5 x 0.02 / 2 = 0.115.
    assert half_width(LEVEL, 3, 0.02) == pytest.approx(0.330, abs=1e-3)
    assert half_width(LEVEL, 4, 0.02) == pytest.approx(0.115, abs=1e-3)
    assert pairs_to_settle(LogRatio(pairs=3, mean=0.3, sd=0.02), LOG_MARGIN, LEVEL) == 1


def test_pairs_to_settle_that_lanes_do_not_differ_take_the_interval_of_90_percent():
    ratio = LogRatio(pairs=3, mean=0.0, sd=0.02)
    ahead = pairs_to_settle(ratio, LOG_MARGIN, LEVEL)
    assert half_width(0.1, 3 + ahead, 0.02) <= LOG_MARGIN < half_width(0.1, 3 + ahead - 1, 0.02)


def test_what_no_number_of_pairs_would_settle_is_farthest():
    assert pairs_to_settle(LogRatio(pairs=3, mean=LOG_MARGIN, sd=1.0), LOG_MARGIN, LEVEL) == 10 * AHEAD_PAIRS[-1]


@pytest.mark.parametrize(("pairs", "rest"), [(0, 3), (1, 2)])
def test_without_two_pairs_three_are_needed_first(pairs, rest):
    assert pairs_to_settle(LogRatio(pairs=pairs, mean=0.0, sd=0.0), LOG_MARGIN, LEVEL) == rest


LOGS = st.lists(st.floats(min_value=-1, max_value=1), min_size=0, max_size=8)


@settings(deadline=None)
@given(st.lists(LOGS, min_size=1, max_size=6))
def test_a_round_always_goes_to_something_that_is_not_settled(race):
    comparisons = [from_logs(*logs, workload=str(place)) for place, logs in enumerate(race)]
    now = standing(comparisons, 0.05, {})
    still = {(each.measure, each.workload) for each in now.verdicts if not each.settled}
    assert now.next in still if still else now.next is None
    assert now.settled == len(comparisons) - len(still)
