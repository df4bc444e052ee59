"""The distance that is asked for, and where no relay can stand."""

import pytest

from producer.errors import UsageError
from producer.plan.distance import check_distance, parse_address, rtt_of_host, rtt_s
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


@pytest.mark.parametrize(
    ("texts", "host", "seconds"),
    [
        (["5ms"], "second", 0.005),
        (["second=2ms", "third=10ms"], "second", 0.002),
        (["second=2ms", "third=10ms"], "third", 0.01),
        (["second=2ms", "third=10ms"], "first", 0.0),
        (["5ms", "third=10ms"], "first", 0.005),
        (["5ms", "third=0"], "third", 0.0),
    ],
)
def test_a_host_has_the_round_trip_of_its_name_else_that_of_all_else_none(texts, host, seconds):
    assert rtt_of_host(texts, host, "--rtt") == pytest.approx(seconds)


@pytest.mark.parametrize("texts", [["second="], ["251ms"], ["second=-1ms"], ["second"], ["1ms", "second=soon"]])
def test_a_round_trip_of_any_host_that_is_none_is_refused(texts):
    with pytest.raises(UsageError, match=r"--rtt '.*': must be a time from 0s to 0.25s"):
        rtt_of_host(texts, "first", "--rtt")


@pytest.mark.parametrize(
    ("texts", "says"), [(["1ms", "2ms"], "all hosts have"), (["one=1ms", "one=2ms"], "one has a round trip already")]
)
def test_a_host_has_one_round_trip(texts, says):
    with pytest.raises(UsageError, match=says):
        rtt_of_host(texts, "first", "--rtt")


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("redis:6379", "redis", 6379), ("10.0.0.1:1", "10.0.0.1", 1), ("[::1]:65535", "::1", 65535)],
)
def test_an_address_is_a_host_and_a_port(text, host, port):
    assert parse_address(text, "--to") == (host, port)


@pytest.mark.parametrize(
    "text", ["redis", "redis:", ":6379", "redis:0", "redis:65536", "redis://redis:6379", "a@redis:1"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(UsageError, match=r"--to .*: must be HOST:PORT, e\.g\. redis:6379"):
        parse_address(text, "--to")
