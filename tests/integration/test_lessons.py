"""Lessons on live nodes and bare processes: what they find is what is expected, and nothing is left behind."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from integration.commands import poolrace, until, words_of

from producer.lessons.catalogue import lessons
from producer.lessons.lesson import Verdict

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 300.0
"""All lessons start some twenty nodes, beside other tests that do."""


def tried(tmp_path: Path, *words: str) -> list[dict[str, object]]:
    """Run lessons for a short time, and return what each found."""
    with poolrace(tmp_path, "lessons", *words, "--at-most", "1s", "--json", "--out", str(tmp_path / "runs")) as command:
        code, out, err = command.finish(PATIENCE_S)
        command.assert_nothing_left()
    assert code == 0, err
    (page,) = tmp_path.glob("runs/*-lessons/lessons.html")
    assert "<svg" in page.read_text() or "<pre>" in page.read_text()
    found: list[dict[str, object]] = json.loads(out)["results"]
    return found


def assert_as_expected(found: list[dict[str, object]], names: list[str]) -> None:
    assert [each["lesson"] for each in found] == names
    expected = {entry.name: entry.lesson.expected[0] for entry in lessons()}
    for each in found:
        # Tests run beside it, so a lesson may say that it cannot be shown, but never the opposite.
        assert each["judgement"]["verdict"] in {expected[each["lesson"]], Verdict.NOT_SHOWN}, each


def test_lessons_on_nodes_and_on_bare_python_find_what_is_expected(tmp_path: Path) -> None:
    names = ["private-data", "subclass", "base-class"]
    found = tried(tmp_path, *names)
    assert_as_expected(found, names)
    assert all(each["found"]["measures"] for each in found)


@pytest.mark.heavy
def test_every_lesson_finds_what_is_expected_or_says_that_it_cannot(tmp_path: Path) -> None:
    assert_as_expected(tried(tmp_path, "--all"), [entry.name for entry in lessons()])


@pytest.mark.heavy
def test_interpreters_are_tried_side_by_side(tmp_path: Path) -> None:
    found = tried(tmp_path, "subclass", "--python", sys.executable, "--python", sys.executable)
    assert_as_expected(found, ["subclass", "subclass"])


def test_an_interrupt_ends_the_nodes_and_keeps_what_was_found(tmp_path: Path) -> None:
    words = ("lessons", "subclass", "cluster-lock", "--at-most", "60s", "--out", str(tmp_path / "runs"))
    with poolrace(tmp_path, *words) as command:
        until(lambda: sum("celery" in " ".join(words_of(each)) for each in command.descendants()) >= 3)
        command.process.send_signal(signal.SIGINT)
        code, _, err = command.finish()
        command.assert_nothing_left()
    assert code == 130, err
    (kept,) = tmp_path.glob("runs/*-lessons/lessons.json")
    assert [each["lesson"] for each in json.loads(kept.read_text())["results"]] == ["subclass"]


@pytest.mark.heavy
def test_a_command_that_is_killed_leaves_no_node(tmp_path: Path) -> None:
    with poolrace(tmp_path, "lessons", "convoy", "--at-most", "60s", "--out", str(tmp_path / "runs")) as command:
        until(lambda: sum("celery" in " ".join(words_of(each)) for each in command.descendants()) >= 2)
        command.process.kill()
        command.finish()
        command.assert_nothing_left()


def test_an_app_that_cannot_be_imported_is_told_with_the_reason(tmp_path: Path) -> None:
    words = ("lessons", "gil", "--app", "no_such_app:app", "--out", str(tmp_path / "runs"))
    with poolrace(tmp_path, *words) as command:
        code, out, err = command.finish()
        command.assert_nothing_left()
    assert (code, out) == (2, "")
    assert "--app no_such_app:app cannot be imported" in err
    assert "ModuleNotFoundError: No module named 'no_such_app'" in err
    assert "redirect.py" not in err  # our own code says nothing to a user


def test_an_interpreter_without_celery_has_the_command_that_installs_it(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    with poolrace(tmp_path, "lessons", "subclass", "--python", str(bare), "--out", str(tmp_path / "runs")) as command:
        code, _, err = command.finish()
    assert code == 2
    assert f"{bare} -m pip install 'celery[redis]>=5.7'" in err
    assert not (tmp_path / "runs").exists()
