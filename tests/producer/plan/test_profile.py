"""Load profiles: what is written is what is sent, to the job."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from producer.errors import UsageError
from producer.plan.profile import Profile, Segment, parse_profile, plan_arrivals, times_of

RATES = st.floats(0.0, 500.0)
STRETCHES = st.lists(
    st.builds(Segment, begin_per_s=RATES, end_per_s=RATES, duration_s=st.floats(0.5, 20.0)), min_size=1, max_size=5
).filter(lambda found: sum(stretch.jobs for stretch in found) >= 1)


def segments(text, duration_s=None):
    return [(s.begin_per_s, s.end_per_s, s.duration_s) for s in parse_profile(text, duration_s).segments]


@pytest.mark.parametrize(
    ("text", "duration_s", "expected"),
    [
        ("200/s", 60.0, [(200, 200, 60)]),
        ("0.5", 10.0, [(0.5, 0.5, 10)]),
        ("ramp 0->500/s over 60s", None, [(0, 500, 60)]),
        ("steps 100/s..300/s by 100/s every 10s", None, [(100, 100, 10), (200, 200, 10), (300, 300, 10)]),
        ("steps 30..10 by 10 every 1m", None, [(30, 30, 60), (20, 20, 60), (10, 10, 60)]),
        ("spike 100/s to 1000/s for 5s at 20s", 60.0, [(100, 100, 20), (1000, 1000, 5), (100, 100, 35)]),
        ("spike 10 to 20 for 5s at 5s", 10.0, [(10, 10, 5), (20, 20, 5)]),
        ("variable 100:30s,400:10s", None, [(100, 100, 30), (400, 400, 10)]),
    ],
)
def test_every_form_says_which_rate_holds_when(text, duration_s, expected):
    assert segments(text, duration_s) == expected


@pytest.mark.parametrize(
    ("text", "duration_s", "said"),
    [
        ("fast", 10.0, "not a load profile"),
        ("-5/s", 10.0, "not a load profile"),
        ("200/s", None, "--duration 60s"),
        ("ramp 0->5/s over 60s", 10.0, "Leave --duration out"),
        ("steps 1..5 by 0 every 1s", None, "steps; must be"),
        ("spike 1 to 5 for 5s at 8s", 10.0, "longer --duration"),
        ("2000000/s", 10.0, "must be at most"),
        ("variable 100:0s", None, "must be a time"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_what_can(text, duration_s, said):
    with pytest.raises(UsageError, match="--") as refused:
        parse_profile(text, duration_s)
    assert said in str(refused.value)


def test_constant_arrivals_on_a_ramp_come_when_the_area_below_it_reaches_the_next_job():
    """From 0 to 2/s over 4 s: the area is t * t / 4, so jobs 0 to 3 are due at 0, 2, sqrt(8) and sqrt(12)."""
    due_s = plan_arrivals(parse_profile("ramp 0->2/s over 4s", None), "constant", 1).due_s
    assert due_s == pytest.approx([0, 2, 8**0.5, 12**0.5])


def test_a_held_rate_is_evenly_spaced():
    assert plan_arrivals(parse_profile("4/s", 1.0), "constant", 1).due_s == pytest.approx([0, 0.25, 0.5, 0.75])


@given(STRETCHES)
def test_constant_arrivals_are_as_many_as_the_area_and_inside_the_profile(found):
    profile = Profile(text="any", segments=tuple(found))
    sent = plan_arrivals(profile, "constant", 1)
    assert abs(sent.jobs - profile.jobs) <= 1
    assert sent.duration_s <= profile.duration_s * (1 + 1e-9)


@given(STRETCHES, st.integers(0, 1000))
def test_where_the_area_reaches_a_value_the_area_has_that_value(found, seed):
    total = sum(stretch.jobs for stretch in found)
    expected = np.sort(np.random.default_rng(seed).random(50) * total)
    starts = np.cumsum([0.0, *(stretch.duration_s for stretch in found)])
    for at_s, value in zip(times_of(found, expected), expected, strict=True):
        area = 0.0
        for stretch, start_s in zip(found, starts, strict=False):
            into_s = min(max(at_s - start_s, 0.0), stretch.duration_s)
            slope = (stretch.end_per_s - stretch.begin_per_s) / stretch.duration_s
            area += stretch.begin_per_s * into_s + slope * into_s**2 / 2
        assert area == pytest.approx(value, rel=1e-6, abs=1e-3)


def test_poisson_arrivals_follow_the_profile():
    """Mapped back through the profile's area they are uniform: a Kolmogorov-Smirnov test does not object."""
    profile = parse_profile("ramp 0->400/s over 50s", None)
    due_s = plan_arrivals(profile, "poisson", 7).due_s
    assert stats.kstest((due_s / 50.0) ** 2, "uniform").pvalue > 0.01
    assert abs(len(due_s) - 10_000) < 500


def test_poisson_arrivals_at_a_held_rate_have_exponential_gaps():
    due_s = plan_arrivals(parse_profile("200/s", 50.0), "poisson", 11).due_s
    assert stats.kstest(np.diff(due_s) * 200.0, "expon").pvalue > 0.01


def test_the_same_seed_gives_the_same_plan_and_another_does_not():
    profile = parse_profile("variable 50:2s,10:2s", None)
    first, again, other = (plan_arrivals(profile, "poisson", seed).due_s for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
