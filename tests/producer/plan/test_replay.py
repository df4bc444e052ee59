"""Recorded arrivals become the script of a load: every job when it came, faster or slower."""

import pytest

from producer.errors import UsageError
from producer.plan.replay import LEAST_S, parse_speed, replay
from producer.plan.script import Change

RECORDED = ((5.0, "mail"), (5.5, "report"), (7.0, "mail"), (8.0, "mail"))


def test_every_job_is_due_when_it_came_counted_from_the_first():
    plan = replay(RECORDED, 1.0).plan_jobs(("mail", "report"), "poisson", 1)
    assert plan.due_s.tolist() == [0.0, 0.5, 2.0, 3.0]
    assert plan.parts.tolist() == [0, 1, 0, 0]


def test_twice_as_fast_takes_half_the_time():
    assert replay(RECORDED, 2.0).plan_jobs(("mail", "report"), "poisson", 1).due_s.tolist() == [0.0, 0.25, 1.0, 1.5]


def test_parts_are_numbered_as_the_workloads_of_the_load():
    assert replay(RECORDED, 1.0).plan_jobs(("report", "mail"), "poisson", 1).parts.tolist() == [1, 0, 1, 1]


def test_neither_seed_nor_arrivals_nor_a_change_makes_it_another():
    script = replay(RECORDED, 1.0)
    plans = [
        script.plan_jobs(("mail", "report"), "poisson", 1),
        script.plan_jobs(("mail", "report"), "constant", 2),
        script.plan_jobs(("mail", "report"), "poisson", 1, (Change(at_s=1.0, paused=True),)),
    ]
    assert len({tuple(plan.due_s.tolist()) for plan in plans}) == 1


def test_the_last_job_has_its_time_too():
    # Three gaps in 3 s: the fourth job has one more of 1 s, and four jobs in 4 s are one a second.
    script = replay(RECORDED, 1.0)
    assert script.duration_s == pytest.approx(4.0)
    assert script.mean_per_s == pytest.approx(1.0)
    assert script.plan_jobs(("mail", "report"), "poisson", 1).rate_per_s == pytest.approx(1.0)


def test_the_mix_is_what_was_counted_in_the_order_in_which_it_came():
    (phase,) = replay(RECORDED, 1.0).phases
    assert list(phase.mix.items()) == [("mail", 3.0), ("report", 1.0)]


@pytest.mark.parametrize("recorded", [((3.0, "mail"),), ((3.0, "mail"), (3.0, "mail"))], ids=["one", "at once"])
def test_jobs_at_one_moment_take_the_least_time_there_is(recorded):
    script = replay(recorded, 1.0)
    assert script.duration_s == LEAST_S
    assert script.plan_jobs(("mail",), "poisson", 1).due_s.tolist() == [0.0] * len(recorded)


@pytest.mark.parametrize(
    ("text", "speed"), [("1x", 1.0), ("10x", 10.0), ("0.5", 0.5), (" 2.5x ", 2.5), ("0.01x", 0.01), ("1000", 1000.0)]
)
def test_a_speed_is_a_number_with_an_x_or_without(text, speed):
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "x", "fast", "-1x", "0x", "0.009x", "1001x", "1e3", "2xx", "1,5x", "½x"])
def test_what_is_no_speed_is_told_with_those_that_are(text):
    with pytest.raises(UsageError) as refused:
        parse_speed(text)
    assert str(refused.value) == f"--replay {text!r}: must be a speed from 0.01x to 1000x, e.g. 1x or 10x."
