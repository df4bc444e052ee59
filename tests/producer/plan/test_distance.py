"""The distance that is asked for, and where no relay can stand."""

import pytest

from producer.errors import UsageError
from producer.plan.distance import check_distance, rtt_s
from producer.plan.lanes import parse_lane


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ("threads", None),
        ("threads:rtt=0", 0.0),
        ("threads:rtt=0ms", 0.0),
        ("threads:rtt=500us", 0.0005),
        ("prefork:rtt=2.5ms", 0.0025),
        ("prefork:rtt=0.25", 0.25),
        ("prefork:rtt=10us", 0.00001),
    ],
)
def test_a_lane_has_the_round_trip_of_its_settings(spec, seconds):
    assert rtt_s(parse_lane(spec).settings) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["-1ms", "251ms", "0.9us", "0.05us", "2 miles", "nan", ""])
def test_a_round_trip_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="--lane"):
        parse_lane(f"threads:rtt={text}")


def test_a_round_trip_is_in_the_lanes_name_and_on_no_command_line():
    lane = parse_lane("threads:8:rtt=500us")
    assert lane.label == "threads (8 slots, rtt 0.5ms)"
    assert lane.worker_flags() == parse_lane("threads:8").worker_flags()


@pytest.mark.parametrize(
    "url", [None, "redis://127.0.0.1:6379/0", "redis://:secret@redis/1", "amqp://guest@rabbit//", "redis://[::1/0"]
)
def test_a_relay_can_stand_before_one_plain_address(url):
    check_distance(url, "--rtt")


@pytest.mark.parametrize(
    "url",
    [
        "rediss://:secret@redis:6380/0",
        "sentinel://:secret@one:26379",
        "redis+socket:///run/redis.sock",
        "redis://:secret@one;redis://:secret@two",
        "sqs://",
        "valkey://v:1/0",
    ],
)
def test_elsewhere_it_is_refused_with_the_reason_and_without_the_password(url):
    with pytest.raises(UsageError, match="lead past it") as refused:
        check_distance(url, "--rtt")
    assert "secret" not in str(refused.value)
    assert str(refused.value).startswith("--rtt: ")
