"""A report on the terminal: nothing is cut, commands can be copied, colour only where it can be shown."""

import io
import re

import pytest

from producer.analysis.compare import compare_runs
from producer.analysis.summary import summarise
from producer.report.comparison import comparison
from producer.report.document import document
from producer.report.first_screen import closing
from producer.report.parts import Prose, Table
from producer.report.terminal import PLAIN_WIDTH, SCREEN_LINES, SCREEN_WIDTH, console_for, show, show_first, show_parts
from producer.rundir.reader import read_run


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def shown(*parts, stream=None):
    stream = stream or io.StringIO()
    show_parts(parts, console_for(stream))
    return stream.getvalue()


def test_a_run_is_shown_with_where_it_lies(run_maker):
    path = run_maker(speeds={"prefork": 2.0})
    stream = io.StringIO()
    summary = summarise(read_run(path))
    show([*document(summary), closing(summary, path, whole=True)], stream)
    text = stream.getvalue()
    assert "prefork does 2.00 to 2.00 times as many as threads" in text
    assert "Run directory:" in text
    assert path.name in text.splitlines()[-2]


def test_off_a_terminal_there_is_no_colour_and_lines_have_a_width(run_maker):
    stream = io.StringIO()
    show(document(summarise(read_run(run_maker()))), stream)
    assert "\x1b" not in stream.getvalue()
    assert max(map(len, stream.getvalue().splitlines())) <= PLAIN_WIDTH


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def test_a_terminal_has_bold_titles(terminal):
    assert "\x1b[1m" in shown(Prose(title="Verdict", lines=["cpu: prefork."]), stream=terminal)


def test_no_color_is_respected(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[36m" not in shown(Prose(title="", lines=[], commands=["celery worker"]), stream=terminal)


def test_a_command_is_on_one_line_however_long(terminal):
    command = "celery -A YOUR_APP worker " + "--option value " * 20
    assert command.strip() in shown(Prose(title="", lines=[], commands=[command])).replace("\n", "")
    assert f"    {command}" in shown(Prose(title="", lines=[], commands=[command]))


def test_words_in_brackets_are_words_and_not_styles():
    text = shown(
        Prose(title="[bold]Title[/bold]", lines=["offset [red] of [/] it"]),
        Table(title="t", columns=["lane"], rows=[["1.00  [0.95, 1.05]"]], note="[dim]note"),
    )
    for words in ("[bold]Title[/bold]", "offset [red] of [/] it", "1.00  [0.95, 1.05]", "[dim]note"):
        assert words in text


def test_a_column_heading_in_brackets_is_shown_too():
    assert "p99 [ms]" in shown(Table(title="t", columns=["lane", "p99 [ms]"], rows=[["a", "1"]]))


def test_nothing_of_a_cell_is_left_out_where_there_is_little_room():
    text = shown(Table(title="t", columns=["lane", "n"], rows=[["w" * 300, "1"]]))
    assert text.count("w") == 300
    assert "…" not in text


def test_numbers_are_aligned_to_the_right():
    lines = shown(Table(title="t", columns=["lane", "rate"], rows=[["a", "1,000"], ["b", "9"]])).splitlines()
    assert lines[3].rstrip().endswith("1,000")
    assert lines[4].rstrip().endswith("    9")
    assert lines[3].rstrip().index("1,000") + 5 == len(lines[4].rstrip())


def test_a_comparison_is_shown(run_maker):
    before, after = read_run(run_maker("before")), read_run(run_maker("after", speeds={"threads": 1.5}))
    text = shown(*comparison(compare_runs(before, after)))
    assert "Second run over first" in text
    assert "faster" in text


@pytest.mark.parametrize("kind", ["race", "load", "limit", "sweep"])
def test_no_line_ends_in_spaces(run_maker, kind):
    stream = io.StringIO()
    show(document(summarise(read_run(run_maker(settings={"kind": kind})))), stream)
    assert [line for line in stream.getvalue().splitlines() if line != line.rstrip()] == []


def test_no_line_of_a_coloured_table_ends_in_spaces_either(terminal):
    table = Table(title="t", columns=["lane", "why"], rows=[["a", "long words"], ["b", "few"]], words=["why"])
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown(table, stream=terminal))
    assert [line for line in plain.splitlines() if line != line.rstrip()] == []


def test_columns_of_words_are_aligned_to_the_left():
    rows = [["a", "long words", "1"], ["b", "few", "10"]]
    lines = shown(Table(title="t", columns=["lane", "why", "n"], rows=rows, words=["why"])).splitlines()
    assert lines[3].index("long") == lines[4].index("few")
    assert lines[3].index("1") == lines[4].index("10") + 1


def screens(*sizes):
    """A first screen that has so many lines at each cut, from the most room on."""
    return iter(Prose(title="", lines=[f"{number}"] * lines) for number, lines in enumerate(sizes))


def test_a_first_screen_is_cut_until_it_fits():
    found = screens(SCREEN_LINES + 1, SCREEN_LINES, 1)
    stream = io.StringIO()
    show_first(lambda _: [next(found)], stream)
    assert stream.getvalue().splitlines() == ["  1"] * SCREEN_LINES


def test_a_first_screen_that_never_fits_is_shown_as_short_as_it_gets():
    stream, cuts = io.StringIO(), []
    show_first(lambda cut: cuts.append(cut) or [Prose(title="", lines=["x"] * 99)], stream)
    assert len(stream.getvalue().splitlines()) == 99
    assert [cut.rows for cut in cuts] == sorted((cut.rows for cut in cuts), reverse=True)


def test_lines_that_a_terminal_would_wrap_count_as_often():
    command = "c" * (SCREEN_WIDTH * 2)  # with its indent on three lines
    cuts = []
    show_first(lambda cut: cuts.append(cut) or [Prose(title="", lines=[], commands=[command] * 9)], io.StringIO())
    assert len(cuts) == 1
    show_first(lambda cut: cuts.append(cut) or [Prose(title="", lines=[], commands=[command] * 10)], io.StringIO())
    assert len(cuts) > 2


def test_a_first_screen_knows_the_width_of_its_terminal(terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "77")
    cuts = []
    show_first(lambda cut: cuts.append(cut) or [], terminal)
    show_first(lambda cut: cuts.append(cut) or [], io.StringIO())
    assert [cut.columns for cut in cuts] == [77, SCREEN_WIDTH]
