"""A wrong word about lessons has one line that says what is right, and nothing is started."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from producer import interrupts
from producer.cli._root import main

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        (["99"], "LESSON '99': there is none. They are 1 to 21."),
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


STORED = Path(__file__).parents[3] / "pictures" / "runs" / "2026-11-30T10-05-58Z-lessons" / "lessons.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of lessons, as a run left it."""
    folder = tmp_path / "2026-01-31T12-00-00Z-lessons"
    folder.mkdir()
    (folder / "lessons.json").write_bytes(STORED.read_bytes())
    return folder


@pytest.mark.parametrize(
    ("words", "said"), [([], "statements, tried in"), (["--full"], "In Celery"), (["--json"], '"results"')]
)
def test_a_folder_of_lessons_is_reported_again_with_its_page(folder: Path, words: list[str], said: str) -> None:
    answer = CliRunner().invoke(main, ["report", *words, str(folder)])
    assert answer.exit_code == 0, answer.stderr
    assert said in answer.stdout
    assert answer.stderr == f"Page: {folder / 'lessons.html'}\n"
    assert "<!doctype html>" in (folder / "lessons.html").read_text().lower()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "lessons.json: cannot be read"),
        (STORED.read_bytes().replace(b'"two-threads"', b'"three-threads"'), "does not know its lesson 'three-threads'"),
    ],
)
def test_a_file_that_is_not_ours_is_left_as_it_is(folder: Path, text: bytes, said: str) -> None:
    (folder / "lessons.json").write_bytes(text)
    answer = CliRunner().invoke(main, ["report", str(folder)])
    assert (answer.exit_code, said in answer.stderr) == (2, True)
    assert [path.name for path in folder.iterdir()] == ["lessons.json"]
    assert (folder / "lessons.json").read_bytes() == text


def test_the_report_of_a_folder_of_lessons_is_markdown_where_that_is_wanted(folder: Path) -> None:
    answer = CliRunner().invoke(main, ["report", "--markdown", str(folder)])
    assert answer.exit_code == 0
    assert answer.stdout.startswith("### ")
    assert "| --- |" in answer.stdout


@pytest.mark.parametrize("words", [("--png", "x"), ("--svg", "x"), ("--core-hour", "0.04")])
def test_what_lessons_do_not_have_is_refused_with_what_they_have(folder: Path, words: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(main, ["report", *words, str(folder)])
    assert answer.exit_code == 2
    assert f"{words[0]}: lessons have none" in answer.stderr
    assert "--markdown" in answer.stderr
