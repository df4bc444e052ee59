"""A recording is replayed as it came, at another speed if that is wanted."""

import pytest

from producer.errors import UsageError
from producer.recording.replay import parse_speed, replay

RECORDED = [(5.0, "mail"), (6.0, "page"), (6.0, "mail"), (9.0, "page")]


def test_every_job_is_due_when_it_came_after_the_first():
    plan = replay(RECORDED, 1.0).plan(("mail", "page"), "poisson", 7)
    assert plan.due_s.tolist() == [0.0, 1.0, 1.0, 4.0]
    assert plan.parts.tolist() == [0, 1, 0, 1]


def test_the_parts_go_by_the_order_of_the_workloads_that_are_asked_for():
    assert replay(RECORDED, 1.0).plan(("page", "mail"), "constant", 1).parts.tolist() == [1, 0, 1, 0]


def test_twice_as_fast_is_half_the_time():
    script = replay(RECORDED, 2.0)
    assert script.plan(("mail", "page"), "poisson", 1).due_s.tolist() == [0.0, 0.5, 0.5, 2.0]
    assert script.text == "replay 2x"


def test_the_last_job_has_its_time_too():
    # 3 gaps took 4 s, so 4 jobs take 4 / 3 * 4 s.
    script = replay(RECORDED, 1.0)
    assert script.duration_s == pytest.approx(16 / 3)
    assert script.jobs == pytest.approx(4)


def test_a_single_job_can_be_replayed():
    assert replay([(3.0, "mail")], 1.0).plan(("mail",), "poisson", 1).due_s.tolist() == [0.0]


@pytest.mark.parametrize(("text", "speed"), [("1x", 1.0), ("10x", 10.0), ("0.5", 0.5), (" 2x ", 2.0)])
def test_a_speed_is_a_number_with_or_without_an_x(text, speed):
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "fast", "-1x", "0x", "1001x", "2xx", "nan"])
def test_what_is_no_speed_is_told_with_what_is(text):
    with pytest.raises(UsageError, match=r"must be a speed from 0\.01x to 1000x"):
        parse_speed(text)
