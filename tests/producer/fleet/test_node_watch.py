"""What is seen of nodes that somebody else runs: they go, come back, and are started again."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from producer.fleet.node_watch import BACK, CAME, RESTARTED, WENT, NodeWatch


def hello(life: str, queue: str = "mail") -> dict[str, Any]:
    return {"life": life, "pid": 7, "queues": [queue]}


def seen(*answers: dict[str, dict[str, Any]], before: dict[str, dict[str, Any]] | None = None) -> NodeWatch:
    """What a watch has after these answers, one a second."""
    watch = NodeWatch(lambda _: {}, {"a": hello("1"), "b": hello("1")} if before is None else before)
    for at, answer in enumerate(answers, 1):
        watch.heard(answer, float(at))
    return watch


def changes(watch: NodeWatch) -> list[tuple[str, str, float]]:
    return [(each.node, each.what, each.at) for each in watch.changes]


ALL = {"a": hello("1"), "b": hello("1")}
A_ALONE = {"a": hello("1")}


def test_nodes_that_answer_are_no_news() -> None:
    assert changes(seen(ALL, ALL)) == []


def test_a_node_that_misses_one_question_has_not_gone() -> None:
    assert changes(seen(A_ALONE, ALL, A_ALONE)) == []


def test_a_node_that_misses_two_has_gone_once_and_comes_back() -> None:
    watch = seen(A_ALONE, A_ALONE, A_ALONE)
    assert changes(watch) == [("b", WENT, 2.0)]
    assert watch.living("mail") == ["a"]
    watch.heard(ALL, 4.0)
    assert changes(watch)[1:] == [("b", BACK, 4.0)]
    assert watch.living("mail") == ["a", "b"]


def test_another_life_under_the_same_name_and_process_id_was_started_again() -> None:
    assert changes(seen({"a": hello("1"), "b": hello("2")})) == [("b", RESTARTED, 1.0)]


def test_one_that_went_and_was_started_again_is_not_also_back() -> None:
    again = {"a": hello("1"), "b": hello("2")}
    assert changes(seen(A_ALONE, A_ALONE, again, again)) == [("b", WENT, 2.0), ("b", RESTARTED, 3.0)]


def test_a_poolrace_that_tells_no_life_is_told_by_its_process() -> None:
    old = {"a": {"pid": 7, "queues": ["mail"]}}
    assert changes(seen({"a": {"pid": 8, "queues": ["mail"]}}, before=old)) == [("a", RESTARTED, 1.0)]


def test_a_node_that_is_new_came_and_is_of_its_queue() -> None:
    watch = seen({**ALL, "c": hello("1", "sound")})
    assert changes(watch) == [("c", CAME, 1.0)]
    assert (watch.living("sound"), watch.known("mail")) == (["c"], {"a", "b"})


def test_while_the_broker_is_away_nothing_is_known_of_nodes() -> None:
    asked = threading.Event()

    def ask(_: float) -> dict[str, Any]:
        asked.set()
        raise ConnectionError("the broker is away")

    with NodeWatch(ask, ALL) as watch:
        assert asked.wait(10)
    assert watch.changes == []


@pytest.mark.parametrize("answers", [1, 3])
def test_nodes_are_asked_until_the_watch_is_left(answers: int) -> None:
    enough, count = threading.Event(), []

    def ask(_: float) -> dict[str, Any]:
        count.append(1)
        if len(count) >= answers:
            enough.set()
        return ALL

    with NodeWatch(ask, ALL):
        assert enough.wait(10)
    asked = len(count)
    assert not any(thread.name == "node watch" for thread in threading.enumerate())
    assert len(count) == asked
