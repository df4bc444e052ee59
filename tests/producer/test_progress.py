"""Progress suits where it goes: nothing, plain lines, or a bar."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from producer.report.progress import Bar, Lines, Silent, progress_for


class Clock:
    """Stands still until told."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def test_lines_say_every_stage_at_once(clock):
    stream = io.StringIO()
    lines = Lines(stream, clock)
    lines.stage("Starting the broker")
    lines.begin(4)
    assert stream.getvalue() == "Starting the broker\nMeasuring: 4 trials\n"


def test_lines_say_how_far_it_is_once_in_a_while(clock):
    stream = io.StringIO()
    lines = Lines(stream, clock)
    lines.begin(8)
    for passed_s in (2.0, 2.0, 2.0, 2.0):
        clock.now_s += passed_s
        lines.trial("sleep capacity threads: 40 jobs, 40/s")
    # Said at 6 s, the first time after 5: three trials in 6 s, so five more take about 10.
    assert stream.getvalue().splitlines()[1:] == ["3/8 trials, about 10 s left; sleep capacity threads: 40 jobs, 40/s"]


def test_the_last_trial_is_always_said(clock):
    stream = io.StringIO()
    lines = Lines(stream, clock)
    lines.begin(2)
    lines.trial("first")
    lines.trial("second")
    assert stream.getvalue().splitlines()[1:] == ["2/2 trials, about 0 s left; second"]


def test_silence_says_nothing(capsys):
    with progress_for(quiet=True) as progress:
        assert isinstance(progress, Silent)
        progress.stage("a")
        progress.begin(1)
        progress.trial("b")
    assert capsys.readouterr() == ("", "")


def test_off_a_terminal_lines_go_to_standard_error(capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("TTY_COMPATIBLE", raising=False)
    with progress_for(quiet=False) as progress:
        progress.stage("Sizing jobs")
    assert capsys.readouterr() == ("", "Sizing jobs\n")


def test_a_bar_moves_from_no_total_to_all():
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with Progress(console=console) as progress:
        bar = Bar(progress)
        (task,) = progress.tasks
        bar.stage("Starting the broker")
        assert (task.description, task.total) == ("Starting the broker", None)
        bar.begin(2)
        bar.trial("one")
        assert (task.completed, task.total) == (1, 2)
        bar.trial("two")
        assert task.finished
