"""Waiting asks at once, then at even steps, and ends with the time."""

from producer.deadlines import until


class Clock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds


def waited(answers, timeout_s, every_s):
    """What waiting gave, how often it asked, and how long it took."""
    clock, asked = Clock(), []

    def condition():
        asked.append(clock())
        return answers(clock() - 100.0)

    return until(condition, timeout_s, every_s=every_s, clock=clock, sleep=clock.sleep), len(asked), clock() - 100.0


def test_what_is_true_already_takes_no_time():
    assert waited(lambda _: "yes", 10.0, 1.0) == ("yes", 1, 0.0)


def test_the_first_true_answer_is_the_last():
    assert waited(lambda at_s: at_s >= 3.0 and f"after {at_s:g}", 10.0, 1.0) == ("after 3", 4, 3.0)


def test_the_time_being_over_gives_the_answer_that_was_not_true():
    assert waited(lambda _: 0, 2.0, 1.0) == (0, 3, 2.0)


def test_no_time_at_all_is_time_for_one_question():
    assert waited(lambda _: None, 0.0, 1.0) == (None, 1, 0.0)
