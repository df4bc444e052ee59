"""Scripts: phases follow each other, and a change leaves alone what is due before it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.errors import UsageError
from producer.plan.profile import Profile, Segment, parse_profile
from producer.plan.run_settings import PlannedPhase
from producer.plan.script import Change, Phase, Script

WORKLOADS = ("noop", "sleep", "cpu")
NOOP, SLEEP, CPU = range(3)


def phase(rate, duration_s, mix="noop", *, counts=True):
    mixed = mix if isinstance(mix, dict) else {mix: 1.0}
    return Phase(name="a phase", profile=parse_profile(rate, duration_s), mix=mixed, counts=counts)


def script(*phases):
    return Script(phases=phases)


def planned(found, *changes, arrivals="constant", seed=1):
    return found.plan_jobs(WORKLOADS, arrivals, seed, changes)


def due_s(found, *changes):
    return planned(found, *changes).due_s.tolist()


def test_phases_follow_each_other_each_at_its_own_rate():
    found = script(phase("2/s", 2.0), phase("4/s", 1.0))
    assert due_s(found) == [0, 0.5, 1, 1.5, 2, 2.25, 2.5, 2.75]
    assert (found.jobs, found.duration_s, found.begins_s) == (8, 3, (0, 2, 3))
    assert planned(found).rate_per_s == pytest.approx(8 / 3)


def test_each_phase_draws_from_its_own_mix():
    found = script(phase("2/s", 2.0, "sleep"), phase("3/s", 1.0, "cpu"), phase("1/s", 1.0, "noop"))
    assert planned(found).parts.tolist() == [SLEEP] * 4 + [CPU] * 3 + [NOOP]
    assert found.workloads == ("sleep", "cpu", "noop")


def test_a_workload_without_a_share_is_known_but_never_drawn():
    found = script(phase("50/s", 10.0, {"noop": 1.0, "cpu": 0.0}))
    assert found.workloads == ("noop", "cpu")
    assert set(planned(found).parts.tolist()) == {NOOP}


def test_shares_of_a_mix_are_exact_over_a_phase():
    found = script(phase("50/s", 2.0, {"noop": 1.0, "sleep": 3.0}), phase("60/s", 2.0, {"noop": 1.0, "sleep": 1.0}))
    parts = planned(found).parts.tolist()
    assert [parts[:100].count(NOOP), parts[100:].count(NOOP)] == [25, 60]
    assert set(parts) == {NOOP, SLEEP}


def test_a_phase_without_a_rate_sends_nothing_and_takes_its_time():
    found = script(phase("1/s", 2.0), phase("0/s", 3.0), phase("1/s", 2.0))
    assert due_s(found) == [0, 1, 5, 6]
    assert found.duration_s == 7


def test_what_ends_with_a_phase_without_a_rate_lasts_longer_than_its_last_job():
    found = script(phase("1/s", 2.0), phase("0/s", 3.0))
    assert (planned(found).duration_s, found.duration_s) == (1, 5)


def test_two_phases_alike_do_not_draw_alike():
    found = script(*[phase("20/s", 5.0, {"noop": 1.0, "sleep": 1.0})] * 2)
    drawn = planned(found, arrivals="poisson")
    first, second = drawn.due_s[drawn.due_s < 5], drawn.due_s[drawn.due_s >= 5] - 5
    assert first[:10] != pytest.approx(second[:10])


def test_the_same_seed_gives_the_same_jobs_and_another_does_not():
    found = script(phase("50/s", 2.0, {"noop": 1.0, "sleep": 1.0}))
    first, again, other = (planned(found, arrivals="poisson", seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.due_s, again.due_s)
    assert np.array_equal(first.parts, again.parts)
    assert not np.array_equal(first.due_s, other.due_s)


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ([phase("0/s", 10.0)], "--rate '0/s': 0.0 jobs in all; must be 1 to 100,000,000"),
        ([phase("0.01/s", 10.0), phase("0/s", 5.0)], "--rate '0.01/s', '0/s': 0.1 jobs in all"),
        ([phase("1000000/s", 101.0)], "101,000,000.0 jobs in all"),
    ],
)
def test_a_script_that_sends_nothing_or_too_much_is_refused(phases, said):
    with pytest.raises(UsageError, match="--rate") as refused:
        script(*phases)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "phases",
    [[phase("5/s", 10.0, counts=False)], [phase("5/s", 10.0, counts=False), phase("0/s", 5.0)]],
)
def test_a_script_that_counts_nothing_is_refused(phases):
    with pytest.raises(UsageError, match=r"no phase that counts and sends jobs\. Leave one without `counts = false`"):
        script(*phases)


def test_a_script_is_told_in_a_line():
    assert script(phase("5/s", 10.0)).text == "5/s"
    both = script(
        replace(phase("5/s", 10.0, {"cpu": 1.0, "io": 9.0}), name="steady"), replace(phase("0/s", 2.0), name="drain")
    )
    assert both.text == "steady 5/s; drain 0/s"
    assert both.mixes == "cpu=1,io=9; noop"


def test_a_phase_is_recorded_as_it_was_planned():
    assert replace(phase("5/s", 10.0, counts=False), name="warm-up").planned() == PlannedPhase(
        name="warm-up", rate="5/s", duration_s=10.0, mix={"noop": 1.0}, counts=False
    )


HELD = script(phase("2/s", 4.0))
"""Jobs 0 to 7 are due at 0, 0.5, 1, … 3.5."""


def test_while_it_is_paused_nothing_is_sent():
    assert due_s(HELD, Change(at_s=1.0, paused=True)) == [0, 0.5]
    assert due_s(HELD, Change(at_s=1.0, paused=True), Change(at_s=2.5)) == [0, 0.5, 2.5, 3, 3.5]


def test_a_pause_wins_over_a_rate_that_was_asked_for_too():
    assert due_s(HELD, Change(at_s=1.0, paused=True, rate_per_s=50.0, mix={"cpu": 1.0})) == [0, 0.5]


def test_a_rate_that_was_asked_for_holds_to_the_end():
    assert due_s(HELD, Change(at_s=3.0, rate_per_s=4.0)) == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.25, 3.5, 3.75]
    assert due_s(HELD, Change(at_s=1.0, rate_per_s=1.0)) == [0, 0.5, 1, 2, 3]
    assert due_s(script(phase("1/s", 60.0)), Change(at_s=10.0, rate_per_s=0.1)) == [*range(10), 10, 20, 30, 40, 50]


def test_a_rate_that_was_asked_for_holds_across_phases_and_each_keeps_its_mix():
    found = script(phase("2/s", 2.0, "sleep"), phase("0/s", 1.0, "noop"), phase("9/s", 1.0, "cpu"))
    drawn = planned(found, Change(at_s=1.0, rate_per_s=2.0))
    assert drawn.due_s.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]
    assert drawn.parts.tolist() == [SLEEP] * 4 + [NOOP] * 2 + [CPU] * 2


def test_a_mix_that_was_asked_for_draws_only_its_workloads_and_keeps_the_rate():
    changed = planned(HELD, Change(at_s=1.5, mix={"cpu": 1.0, "sleep": 0.0}))
    assert changed.due_s.tolist() == due_s(HELD)
    assert changed.parts.tolist() == [NOOP] * 3 + [CPU] * 5


def test_rate_and_mix_can_be_changed_together():
    changed = planned(HELD, Change(at_s=3.0, rate_per_s=4.0, mix={"sleep": 1.0}))
    assert changed.due_s.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.25, 3.5, 3.75]
    assert changed.parts.tolist() == [NOOP] * 6 + [SLEEP] * 4


def test_back_to_the_script_its_own_jobs_are_sent_again():
    faster, back = Change(at_s=1.0, rate_per_s=4.0, mix={"cpu": 1.0}), Change(at_s=2.0)
    changed = planned(HELD, faster, back)
    assert changed.due_s.tolist() == [0, 0.5, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5]
    assert changed.parts.tolist() == [NOOP] * 2 + [CPU] * 4 + [NOOP] * 4


def test_a_change_at_the_very_start_leaves_nothing_of_the_script():
    assert due_s(HELD, Change(at_s=0.0, rate_per_s=1.0)) == [0, 1, 2, 3]
    assert due_s(HELD, Change(at_s=0.0, paused=True)) == []


def test_a_change_after_the_end_changes_nothing():
    assert due_s(HELD, Change(at_s=4.0, rate_per_s=50.0)) == due_s(HELD)
    assert due_s(HELD, Change(at_s=9.0, paused=True)) == due_s(HELD)


def test_of_two_changes_at_the_same_moment_the_later_one_holds():
    assert due_s(HELD, Change(at_s=1.0, paused=True), Change(at_s=1.0, rate_per_s=1.0)) == [0, 0.5, 1, 2, 3]


MIXES = st.dictionaries(st.sampled_from(WORKLOADS), st.integers(1, 9).map(float), min_size=1)
RATES = st.integers(0, 60).map(float)
PROFILES = st.lists(
    st.builds(Segment, begin_per_s=RATES, end_per_s=RATES, duration_s=st.integers(1, 30).map(lambda n: n / 10)),
    min_size=1,
    max_size=3,
).map(lambda segments: Profile(text="any", segments=tuple(segments)))
PHASES = st.lists(st.builds(Phase, name=st.just("any"), profile=PROFILES, mix=MIXES), min_size=1, max_size=4)
SCRIPTS = PHASES.filter(lambda phases: sum(each.profile.jobs for each in phases) >= 1).map(lambda each: script(*each))
CHANGES = st.builds(
    Change,
    at_s=st.floats(0, 20),
    rate_per_s=st.none() | st.floats(0.1, 60),
    mix=st.none() | MIXES,
    paused=st.sampled_from([False, False, True]),
)
STEERED = st.lists(CHANGES, max_size=5).map(lambda changes: sorted(changes, key=lambda change: change.at_s))
ARRIVALS = st.sampled_from(["constant", "poisson"])


@given(SCRIPTS, STEERED, CHANGES, ARRIVALS, st.integers(0, 1000))
def test_one_more_change_leaves_every_job_that_is_due_before_it_as_it_was(found, changes, change, arrivals, seed):
    """What is sent cannot be taken back: a job's number, moment and workload must not depend on what comes later."""
    until_then = [each for each in changes if each.at_s <= change.at_s]
    before = planned(found, *changes, arrivals=arrivals, seed=seed)
    after = planned(found, *until_then, change, arrivals=arrivals, seed=seed)
    sent = int(np.searchsorted(before.due_s, change.at_s))
    assert after.due_s[:sent].tolist() == before.due_s[:sent].tolist()
    assert after.parts[:sent].tolist() == before.parts[:sent].tolist()
    assert (after.due_s[sent:] >= change.at_s).all()


@given(SCRIPTS, STEERED, ARRIVALS)
def test_whatever_is_changed_jobs_stay_inside_the_script_and_in_order(found, changes, arrivals):
    drawn = planned(found, *changes, arrivals=arrivals)
    assert (np.diff(drawn.due_s) >= 0).all()
    assert drawn.duration_s <= found.duration_s * (1 + 1e-9)
    assert len(drawn.parts) == drawn.jobs


@given(SCRIPTS, STEERED, ARRIVALS)
def test_whatever_is_changed_nothing_is_due_while_it_is_paused_and_only_what_is_mixed_is_drawn(
    found, changes, arrivals
):
    drawn = planned(found, *changes, arrivals=arrivals)
    ends_s = [change.at_s for change in changes[1:]] + [np.inf] if changes else []
    for change, end_s in zip(changes, ends_s, strict=True):
        here = (drawn.due_s >= change.at_s) & (drawn.due_s < end_s)
        if change.paused:
            assert not here.any()
        elif change.mix is not None:
            assert {WORKLOADS[part] for part in drawn.parts[here]} <= set(change.mix)


@given(SCRIPTS, ARRIVALS)
def test_without_a_change_the_workloads_of_each_phase_are_those_of_its_mix(found, arrivals):
    drawn = planned(found, arrivals=arrivals)
    for each, begin_s, end_s in zip(found.phases, found.begins_s[:-1], found.begins_s[1:], strict=True):
        # Without its edges: a job at the border of two phases is of either.
        here = (drawn.due_s > begin_s + 1e-6) & (drawn.due_s < end_s - 1e-6)
        assert {WORKLOADS[part] for part in drawn.parts[here]} <= set(each.mix)
