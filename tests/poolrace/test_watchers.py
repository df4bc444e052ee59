"""A node's samples go to the runs that want them, as often as the most eager one wants."""

import pytest

from poolrace.watchers import MOST_KNOWN, WATCH_S, Watchers


@pytest.fixture
def watchers(clock):
    return Watchers(clock)


def test_without_a_run_nothing_is_ever_due(watchers):
    assert watchers.due_in_s() is None
    assert watchers.take_due() == []


def test_the_first_sample_of_the_first_run_is_due_at_once_and_the_next_later(watchers, clock):
    watchers.add("a", 2.0)
    assert watchers.take_due() == ["a"]
    assert (watchers.take_due(), watchers.due_in_s()) == ([], 2.0)
    clock.now_s += 2
    assert watchers.take_due() == ["a"]


def test_the_most_eager_run_decides_how_often_all_get_samples(watchers, clock):
    watchers.add("slow", 30.0)
    assert watchers.take_due() == ["slow"]
    watchers.add("eager", 2.0)
    assert watchers.due_in_s() == 2.0
    clock.now_s += 2
    assert watchers.take_due() == ["slow", "eager"]
    watchers.remove("eager")
    clock.now_s += 2
    assert watchers.take_due() == ["slow"]
    assert watchers.due_in_s() == 30.0


def test_a_sample_that_is_late_is_due_now_and_not_in_the_past(watchers, clock):
    watchers.add("a", 1.0)
    watchers.take_due()
    clock.now_s += 5
    assert watchers.due_in_s() == 0


def test_a_run_that_has_been_silent_for_long_is_not_watched_for_any_more(watchers, clock):
    watchers.add("silent", 1.0)
    watchers.add("alive", 1.0)
    clock.now_s += WATCH_S
    watchers.renew("alive")
    clock.now_s += 1
    assert watchers.take_due() == ["alive"]
    assert watchers.due_in_s() == 1.0


def test_a_sign_of_life_of_a_run_that_does_not_watch_changes_nothing(watchers):
    watchers.renew("a")
    assert watchers.take_due() == []


def test_a_run_that_was_silent_for_long_is_watched_for_again_once_it_gives_a_sign_of_life(watchers, clock):
    """A lane is idle for minutes while the others of a load or a soak have their turn."""
    watchers.add("a", 2.0)
    watchers.take_due()
    clock.now_s += WATCH_S + 1
    assert watchers.take_due() == []
    assert watchers.due_in_s() is None
    watchers.renew("a")
    assert watchers.take_due() == ["a"]
    assert watchers.due_in_s() == 2.0


def test_a_run_that_has_said_goodbye_is_not_watched_for_again(watchers, clock):
    watchers.add("a", 2.0)
    clock.now_s += WATCH_S + 1
    watchers.take_due()
    watchers.remove("a")
    watchers.renew("a")
    assert watchers.take_due() == []


def test_a_few_runs_are_remembered_and_not_all_that_there_ever_were(watchers, clock):
    for number in range(MOST_KNOWN + 1):
        watchers.add(f"run {number}", 2.0)
    clock.now_s += WATCH_S + 1
    watchers.take_due()
    for number in range(MOST_KNOWN + 1):
        watchers.renew(f"run {number}")
    assert watchers.take_due() == [f"run {number}" for number in range(1, MOST_KNOWN + 1)]
