"""Progress suits where it goes: nothing, plain lines, or a bar."""

import io
from dataclasses import replace

import pytest
from clocks import Clock
from rich.console import Console
from rich.progress import Progress

from producer.errors import UsageError
from producer.measure.progress import LimitSoFar, Score
from producer.measure.snapshot import LaneSnapshot
from producer.report.progress.display import Bar, Lines, Silent, _WithLanes, line, progress_for
from producer.rundir.trials import Kind


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


PROBE = LimitSoFar(
    lane="threads", probes=5, rate_per_s=41.26, passed=True, low_per_s=37.0, high_per_s=45.0, over=False
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "threads probe 5 at 41.3/s: passed; the limit lies between 37.0 and 45.0/s (90 %)"),
        ({"over": True}, "threads probe 5 at 41.3/s: passed; the limit lies between 37.0 and 45.0/s (90 %), done"),
        ({"passed": False, "low_per_s": None, "high_per_s": None}, "threads probe 5 at 41.3/s: FAILED"),
    ],
)
def test_a_probe_is_told_with_where_the_limit_lies_by_then(clock, changes, told):
    stream = io.StringIO()
    Lines(stream, clock).probe(replace(PROBE, **changes))
    assert stream.getvalue() == f"{told}\n"


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


NOW = LaneSnapshot(
    lane="threads", at_s=12.4, of_s=60.0, offered_per_s=50.4, accepted_per_s=49.6, started_per_s=48.0,
    finished_per_s=47.5, backlog=1234, behind=1300, failed=0, queue_wait_p50_s=0.0125, queue_wait_p99_s=1.5,
)  # fmt: skip


def test_a_line_says_how_a_lane_does():
    assert line(NOW, 700, 3000) == (
        "threads   12/60 s: offered 50/s, accepted 50/s, started 48/s, finished 48/s, backlog 1,234, "
        "queue wait p50 12.5 p99 1,500 ms, 700 of 3,000"
    )


def test_a_line_says_what_is_unknown_what_failed_and_that_it_is_paused():
    unknown = replace(NOW, started_per_s=None, backlog=None, queue_wait_p50_s=None, queue_wait_p99_s=None)
    said = line(replace(unknown, failed=3, paused=True), 0, 3000)
    assert "started -/s" in said
    assert "backlog -, queue wait p50 - p99 - ms, 0 of 3,000, 3 failed, paused" in said
    assert "failed" not in line(NOW, 0, 1)
    assert "paused" not in line(NOW, 0, 1)


def test_lines_say_every_moment_of_a_lane_at_once(clock):
    stream = io.StringIO()
    lines = Lines(stream, clock)
    lines.begin(2)
    lines.lane(NOW, 700, 3000)
    lines.lane(replace(NOW, lane="prefork"), 800, 3000)
    assert stream.getvalue().splitlines()[1:] == [
        line(NOW, 700, 3000), line(replace(NOW, lane="prefork"), 800, 3000),
    ]  # fmt: skip


def test_silence_says_nothing_of_lanes(capsys):
    with progress_for(quiet=True) as progress:
        progress.lane(NOW, 1, 2)
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def screen():
    """A bar on a terminal that is wide enough, which writes when it is asked to."""
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    return _WithLanes(console=console, auto_refresh=False)


def written(screen):
    """What stands on it."""
    return "".join(segment.text for part in screen.get_renderables() for segment in screen.console.render(part))


def test_a_bar_shows_no_lanes_until_one_is_under_load(screen):
    bar = Bar(screen)
    bar.begin(2)
    assert "threads" not in written(screen)
    bar.lane(NOW, 700, 3000)
    assert "threads  12 of 60 s" in written(screen)


def test_lanes_are_shown_as_they_are_now_and_those_before_as_they_were_last(screen):
    bar = Bar(screen)
    bar.lane(NOW, 700, 3000)
    bar.lane(replace(NOW, at_s=60.0), 3000, 3000)
    bar.lane(replace(NOW, lane="prefork", at_s=1.0), 5, 3000)
    assert "threads  60 of 60 s" in written(screen)
    assert "prefork  1 of 60 s" in written(screen)


SCORE = Score(lane="threads", workload="cpu", kind=Kind.CAPACITY, value=30.0)


def test_what_trials_of_a_race_gave_is_shown_where_it_is_wanted(screen):
    Bar(screen).score(SCORE)
    assert "jobs/s" not in written(screen)
    Bar(screen, scores=True).score(SCORE)
    assert "cpu jobs/s" in written(screen)


@pytest.mark.parametrize(("live", "wanted"), [(None, False), (True, True)])
def test_a_race_shows_a_bar_alone_unless_more_is_wanted(monkeypatch, live, wanted):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    monkeypatch.setattr("producer.report.progress.display.Console", lambda **_: console)
    with progress_for(quiet=False, live=live) as progress:
        progress.score(SCORE)
        assert bool(progress._progress.race) is wanted


def test_lines_and_silence_leave_what_trials_gave_to_the_lines(clock):
    stream = io.StringIO()
    Lines(stream, clock).score(SCORE)
    Silent().score(SCORE)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("live", "kind"), [(None, Bar), (True, Bar), (False, Lines)])
def test_on_a_terminal_what_moves_is_shown_unless_lines_are_wanted(monkeypatch, live, kind):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    monkeypatch.setattr("producer.report.progress.display.Console", lambda **_: console)
    with progress_for(quiet=False, live=live) as progress:
        assert type(progress) is kind


def test_what_moves_is_refused_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setattr("producer.report.progress.display.Console", lambda **_: Console(file=io.StringIO()))
    with pytest.raises(UsageError, match="no terminal"), progress_for(quiet=False, live=True):
        pass


def test_a_bar_says_how_many_jobs_have_ended_and_that_it_is_paused(screen):
    bar = Bar(screen)
    (task,) = screen.tasks
    bar.lane(NOW, 1700, 3000)
    assert task.description == "threads: 1,700 of 3,000 jobs ended"
    bar.lane(replace(NOW, paused=True), 1700, 3000)
    assert task.description == "threads: 1,700 of 3,000 jobs ended, paused"
