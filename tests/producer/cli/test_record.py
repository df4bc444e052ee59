"""What a recording stores of arguments: nothing as it is, unless that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from producer.cli._root import main
from producer.cli.record import ARGUMENTS, DROP, KEEP, MASK, in_words, without_arguments
from producer.ownapp.event_listener import EVENTS, RecordedJob
from producer.ownapp.recorder import Recording

JOB = RecordedJob(
    task_id="1",
    at=100.0,
    task="shop.mail",
    args=["Ann"],
    kwargs={"copy": "Bob"},
    options={"priority": 3, "link": [{"task": "shop.log", "args": ["Ann"]}]},
)


@pytest.mark.parametrize("arguments", [[], ["--args", "drop"]])
def test_some_arguments_are_masked_only_where_the_others_are_kept(arguments: list[str], tmp_path: Path) -> None:
    words = ["record", "--broker", "redis://127.0.0.1:9/0", "--jobs", str(tmp_path / "jobs.jsonl"), "--mask", "email"]
    answer = CliRunner().invoke(main, [*words, *arguments])
    assert answer.exit_code == 2
    assert "--mask: goes with --args keep" in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_dropped_are_also_the_arguments_of_what_follows_a_job() -> None:
    dropped = without_arguments(JOB)
    assert (dropped.args, dropped.kwargs) == ([], {})
    assert dropped.options == {"priority": 3, "link": [{"task": "shop.log", "args": [], "kwargs": {}}]}


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_it_is_said_what_became_of_the_arguments(arguments: str) -> None:
    said = in_words(Recording(jobs=[JOB], unreadable={}), Path("jobs.jsonl"), frozenset({EVENTS}), arguments)
    assert {KEEP: "kept as they are", MASK: "masked", DROP: "dropped"}[arguments] in said
    assert ("--args keep" in said) is (arguments != KEEP)
