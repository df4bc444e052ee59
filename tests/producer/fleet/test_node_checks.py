"""A node is what its lane says, or the run stops: the figures would be those of something else."""

from __future__ import annotations

import pytest

from producer.errors import FleetError
from producer.fleet.node_checks import check_cpus, check_node
from producer.plan.lanes import parse_lane

HELLO = {
    "pool": "prefork", "prefetch_multiplier": 4, "acks": "early", "events": False, "results": "on",
    "start_method": "fork", "autoscale": [], "celery": "5.7.0",
}  # fmt: skip


@pytest.mark.parametrize("spec", ["prefork:2", "prefork:2:events=off", "prefork:2:results=on"])
def test_a_node_that_is_what_its_lane_says_is_taken(spec: str) -> None:
    check_node(parse_lane(spec), "prefork@host", HELLO)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("threads:2", "has pool prefork, and its lane threads"),
        ("prefork:2:prefetch=1", "has prefetch multiplier 4, and its lane 1"),
        ("prefork:2:acks=late", "has acks early, and its lane late"),
        ("prefork:2:events=on", "has events False, and its lane True"),
        ("prefork:2:results=off", "has results on, and its lane off"),
        ("prefork:2:results=gathered", "has results on, and its lane gathered"),
        ("prefork:2:start=spawn", r"has start method fork, and its lane spawn.* Celery \(5\.7\.0\) is too old"),
        ("prefork:4:autoscale=2", r"has autoscale \[\], and its lane \[4, 2\]"),
    ],
)
def test_a_node_that_is_something_else_stops_the_run(spec: str, said: str) -> None:
    with pytest.raises(FleetError, match=said):
        check_node(parse_lane(spec), "prefork@host", HELLO)


def test_a_node_of_an_older_version_that_does_not_say_is_taken() -> None:
    check_node(parse_lane("prefork:2:events=on"), "prefork@host", {})


def finds(quota: float | None) -> dict[str, object]:
    return {"limits": {"cpu_quota": quota, "memory_bytes": None}}


@pytest.mark.parametrize(("spec", "quota"), [("threads:2:cpus=0.25", 0.25), ("threads:2", None), ("threads:2", 2.0)])
def test_a_node_that_finds_the_limit_of_its_lane_on_itself_is_taken(spec: str, quota: float | None) -> None:
    check_cpus(parse_lane(spec), "threads@host", finds(quota))


@pytest.mark.parametrize(
    ("quota", "said"),
    [
        (None, r"The quota of threads@host, cpus 0\.5, was not applied: its process finds none on itself"),
        (2.0, r"was not applied: its process finds one of 2 on itself\. Something has moved it"),
        (0.25, r"may use 0\.25 cores, and its lane says cpus 0\.5: what runs this command may use no more"),
    ],
)
def test_a_node_that_finds_another_limit_stops_the_run(quota: float | None, said: str) -> None:
    with pytest.raises(FleetError, match=said):
        check_cpus(parse_lane("threads:2:cpus=0.5"), "threads@host", finds(quota))
