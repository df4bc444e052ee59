"""What pools were seen to do, beside what is said of them."""

from __future__ import annotations

from poolrace.pools import Feature
from producer.analysis.features import Tried, disagreements


def tried(pool: str, feature: str, happens: bool) -> Tried:
    return Tried(pool=pool, feature=feature, happens=happens)


def test_what_is_seen_as_it_is_said_agrees() -> None:
    assert tried("prefork", Feature.HARD_TIME_LIMIT, happens=True).agrees
    assert tried("threads", Feature.HARD_TIME_LIMIT, happens=False).agrees


def test_what_is_seen_otherwise_is_told_both_ways() -> None:
    found = disagreements([
        tried("prefork", Feature.MAX_TASKS, happens=False),
        tried("threads", Feature.MAX_TASKS, happens=True),
        tried("threads", Feature.TERMINATE, happens=False),
    ])  # fmt: skip
    assert found == [
        "max-tasks-per-child on prefork: does not work here, works by poolrace/pools.py",
        "max-tasks-per-child on threads: works here, does not by poolrace/pools.py",
    ]


def test_a_habit_that_no_table_has_agrees_whatever_it_is() -> None:
    found = tried("solo", "answers while every slot is busy", happens=False)
    assert found.said is None
    assert found.agrees
