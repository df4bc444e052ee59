"""What lessons found: the answer first, with figures, picture and advice; on a terminal, as JSON, and on a page."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from producer.analysis.lessons import LessonResult, found_in
from producer.lessons.catalogue import find, lessons
from producer.lessons.lesson import Judgement, Python, Seen, Verdict, not_shown
from producer.report.lessons import contents, from_json, guessed, lesson, overview, run_of, sentence, to_json
from producer.report.lessons_page import lessons_page, write_lessons
from producer.report.terminal import console_for, show_parts

GIL = Python(version="3.13.1", free_threaded=False, gil=True, cores=2)
FREE = Python(version="3.14.7", free_threaded=True, gil=False, cores=2)
FOLDER = Path("2026-01-31T12-00-00Z-lessons")


def result(python: Python, count: float, verdict: Verdict, because: str) -> LessonResult:
    figures = {"count": count, "hash": 1.9, "wait": 1.95}
    return LessonResult(
        lesson="two-threads",
        python=python,
        judgement=Judgement(verdict, because),
        found=found_in(python, [Seen(figures=figures)] * 6, [1.95] * 6),
        took_s=3.0,
    )


BOTH = [
    result(GIL, 0.99, Verdict.ONLY_IF, "the build has a GIL."),
    result(FREE, 1.85, Verdict.FALSE, "two jobs used 1.85 cores."),
]
UNTRIED = LessonResult(lesson="gil", python=None, judgement=not_shown("no <Redis>."), found=None, took_s=0.5)


def shown(parts: list[object]) -> str:
    stream = StringIO()
    show_parts(parts, console_for(stream))
    return stream.getvalue()


def two_threads() -> object:
    return find("two-threads")


def test_the_contents_name_every_lesson() -> None:
    text = shown(contents())
    assert all(entry.name in text for entry in lessons())


def test_a_verdict_goes_on_with_its_reason() -> None:
    assert sentence(BOTH[0]) == "true only if the build has a GIL."
    assert sentence(BOTH[1]) == "false: two jobs used 1.85 cores."


def test_a_lesson_begins_with_the_statement_in_both_languages_and_the_judgement() -> None:
    lines = shown(lesson(two_threads(), BOTH)).splitlines()
    assert lines[0] == "7. Two threads cannot run code at the same time in one Python program."
    assert "không thể thực thi code đồng thời" in lines[1]
    assert lines[2] == "  Python 3.13.1: true only if the build has a GIL."
    assert lines[3] == "  Python 3.14.7t: false: two jobs used 1.85 cores."


def test_interpreters_stand_side_by_side_with_the_cores_that_were_free() -> None:
    text = shown(lesson(two_threads(), BOTH))
    assert re.search(r"Python 3\.13\.1 +Python 3\.14\.7t", text)
    assert re.search(r"two jobs count in Python +0\.99 cores +1\.85 cores", text)
    assert re.search(r"cores free for it, of 2 +1\.95 +1\.95", text)
    assert "At once on two threads, Python 3.14.7t" in text
    assert "In Celery" in text


def test_a_lesson_that_could_not_be_tried_has_no_figures() -> None:
    text = shown(lesson(find("gil"), [UNTRIED]))
    assert "cannot be shown now: no <Redis>." in text
    assert "Seen" not in text


def test_the_overview_has_a_row_a_lesson_and_a_column_an_interpreter() -> None:
    run = run_of([*BOTH, UNTRIED], FOLDER, 6.0)
    (table,) = overview(run)
    assert table.columns == ["", "statement", "Python 3.13.1", "Python 3.14.7t", "-"]
    assert table.rows[0][2:] == ["true only if", "false", "-"]
    assert table.rows[1][2:] == ["-", "-", "cannot be shown now"]
    assert table.note.startswith("2026-01-31, ")


def test_a_run_is_the_same_after_it_was_written_and_read() -> None:
    run = run_of([*BOTH, UNTRIED], FOLDER, 6.0)
    assert to_json(from_json(to_json(run))) == to_json(run)


@pytest.mark.parametrize(
    ("guess", "text"),
    [(2.0, "You said 2 cores; it was 0.99 cores in Python 3.13.1.")],
)
def test_a_guess_stands_beside_what_was_found(guess: float, text: str) -> None:
    assert guessed(two_threads(), BOTH[0], guess) == text


def test_a_guess_of_a_share_is_in_per_cent() -> None:
    entry = find("lost-update")
    figures = {"plain": 0, "call": 0, "wait": 0.48, "locked": 0}
    found = found_in(GIL, [Seen(figures=figures)], [1.9])
    one = LessonResult(lesson=entry.name, python=GIL, judgement=Judgement(Verdict.TRUE, ""), found=found, took_s=1.0)
    assert guessed(entry, one, 30) == "You said 30 %; it was 48 % in Python 3.13.1."


def test_a_page_has_statements_pictures_figures_and_code_and_needs_no_network(tmp_path: Path) -> None:
    write_lessons(run_of([*BOTH, UNTRIED], FOLDER, 6.0), tmp_path)
    page = (tmp_path / "lessons.html").read_text()
    assert page.count("<svg") == 2
    assert "không thể thực thi code đồng thời" in page
    assert "def observe(bench: Bench)" in page
    assert "no &lt;Redis&gt;." in page
    assert "<script" not in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert from_json((tmp_path / "lessons.json").read_text()).results[0].judgement == BOTH[0].judgement


def test_the_page_shows_the_textbooks_program_where_it_is_run_as_it_is_printed() -> None:
    one, other = (replace(UNTRIED, lesson=name) for name in ("as-printed", "lost-update"))
    assert "class FirstThread(threading.Thread):" in lessons_page(run_of([one], FOLDER, 6.0))
    assert "textbook&#39;s program" not in lessons_page(run_of([other], FOLDER, 6.0)).replace("'", "&#39;")


def test_a_page_without_figures_is_a_page() -> None:
    assert "cannot be shown now" in lessons_page(run_of([UNTRIED], FOLDER, 6.0))
