"""A report on the terminal: nothing is cut, commands can be copied, colour only where it can be shown."""

import io

import pytest

from producer.analysis.compare import compare_runs
from producer.analysis.summary import summarise
from producer.report.comparison import comparison
from producer.report.document import document
from producer.report.parts import Prose, Table
from producer.report.terminal import PLAIN_WIDTH, console_for, show, show_parts
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
    show(document(summarise(read_run(path))), path.name, stream)
    text = stream.getvalue()
    assert "prefork finishes 2.00 times as many jobs as threads" in text
    assert path.name in text.splitlines()[-1]


def test_off_a_terminal_there_is_no_colour_and_lines_have_a_width(run_maker):
    stream = io.StringIO()
    show(document(summarise(read_run(run_maker()))), "run", stream)
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
