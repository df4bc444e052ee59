"""A question about a fleet is of times that are simulated; slots are lists or doubling ranges."""

import pytest

from producer.errors import UsageError
from producer.plan.fleet_question import check_slo, parse_slots
from producer.plan.thresholds import parse_threshold


@pytest.mark.parametrize(
    ("text", "slots"),
    [("8", (8,)), ("16,4,8,8", (4, 8, 16)), ("4..32", (4, 8, 16, 32)), ("3..20", (3, 6, 12, 20)), ("5..5", (5,))],
)
def test_slots_are_a_list_or_double(text, slots):
    assert parse_slots(text, "--slots") == slots


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0", "must be a whole number from 1"),
        ("32..4", "Write 4..32"),
        ("4..", "must be a whole number"),
        ("many", "must be a whole number"),
    ],
)
def test_wrong_slots_are_told(text, says):
    with pytest.raises(UsageError, match=says):
        parse_slots(text, "--slots")


def slo(*texts):
    return [parse_threshold(text) for text in texts]


def test_times_and_memory_can_be_simulated():
    check_slo(slo("p99(sojourn) < 1s", "p50(queue_wait) <= 10ms", "mem_per_slot < 20MiB"))


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (("lost == 0", "p99(sojourn) < 1s"), "a simulation loses no job"),
        (("p99(publish_lag) < 1s",), "publish_lag is not simulated. Allowed in the brackets: sojourn"),
        (("mem_per_slot < 20MiB",), "name at least one time that must not be exceeded"),
        (("p99(sojourn) > 1s",), "name at least one time that must not be exceeded"),
    ],
)
def test_what_is_not_simulated_is_refused(texts, says):
    with pytest.raises(UsageError) as refused:
        check_slo(slo(*texts))
    assert says in str(refused.value)
