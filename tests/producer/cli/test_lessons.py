"""A wrong word about lessons has one line that says what is right, and nothing is started."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from producer import interrupts
from producer.cli._root import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    monkeypatch.chdir(tmp_path)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["two-thread"], "LESSON 'two-thread': there is none. Do you mean two-threads?"),
        (["99"], "LESSON '99': there is none."),
        (["subclass", "--guess"], "--guess: asks on a terminal"),
        (["subclass", "--app", "shop:app"], "--app: is for the lesson gil"),
        (["subclass", "--python", "/no/such/python"], "/no/such/python: cannot be run: No such file or directory"),
        (["subclass", "--at-most", "soon"], "--at-most 'soon'"),
    ],
)
def test_a_wrong_word_has_one_line_that_says_what_is_right(tmp_path: Path, words: list[str], said: str) -> None:
    answer = CliRunner().invoke(main, ["lessons", *words])
    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert answer.stderr.startswith("poolrace: ")
    assert said in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_a_lesson_all_of_them_are_listed() -> None:
    answer = CliRunner().invoke(main, ["lessons"])
    assert answer.exit_code == 0
    assert "two-threads" in answer.stdout
    assert "poolrace lessons --all" in answer.stdout
