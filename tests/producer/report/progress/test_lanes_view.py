"""Lanes under load fit the terminal, stand side by side if they can, and show their past at one scale."""

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from producer.measure.snapshot import LaneSnapshot
from producer.report.progress.lanes_view import BLOCKS, KEPT, PLAIN, LanesView, sparkline

NOW = LaneSnapshot(
    lane="threads", at_s=12.0, of_s=60.0, offered_per_s=50.0, accepted_per_s=50.0, started_per_s=40.0,
    finished_per_s=25.0, backlog=1234, behind=1300, failed=0, queue_wait_p50_s=0.0125, queue_wait_p99_s=1.5,
)  # fmt: skip


def seen(*moments, width=100, encoding="utf-8"):
    """The lines of a terminal so wide."""
    view = LanesView()
    for moment in moments:
        view.add(moment)
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, height=50)
    with console.capture() as capture:
        console.print(view)
    return capture.get().splitlines()


def line_of(label, lines):
    return next(line for line in lines if label in line)


def test_a_sparkline_rises_with_its_values_and_leaves_out_what_is_not_known():
    assert sparkline([0.0, 50.0, None, 99.0, 100.0], 100.0) == "▁▅ ██"
    assert sparkline([0.0, 0.0], 0.0) == "▁▁"
    assert sparkline([0.0, 8.0], 8.0, PLAIN) == ".@"


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=40))
def test_a_higher_value_never_has_a_lower_mark(values):
    marks = sparkline(values, max(values))
    ordered = [mark for _, mark in sorted(zip(values, marks, strict=True))]
    assert [BLOCKS.index(mark) for mark in ordered] == sorted(BLOCKS.index(mark) for mark in marks)


def test_two_lanes_stand_side_by_side_and_a_rate_has_the_same_height_on_both():
    lines = seen(NOW, replace(NOW, lane="prefork", finished_per_s=50.0))
    assert "threads  12 of 60 s" in lines[0]
    assert "prefork  12 of 60 s" in lines[0]
    left, right = line_of("finished/s", lines).split("finished/s")[1:]
    assert ("25.0 ▅" in left, "50.0 █" in right) == (True, True)


def test_with_less_room_they_stand_one_above_the_other():
    lines = seen(NOW, replace(NOW, lane="prefork"), width=60)
    assert [("threads" in line, "prefork" in line) for line in lines if " of 60 s" in line] == [
        (True, False), (False, True),
    ]  # fmt: skip


def test_with_hardly_any_each_has_a_line():
    assert seen(NOW, replace(NOW, lane="prefork"), width=30) == [
        "threads 25.0/s, 1,300 behind",
        "prefork 25.0/s, 1,300 behind",
    ]


@pytest.mark.parametrize("width", [1, 8, 20, 33, 34, 40, 67, 68, 80, 240])
def test_no_line_is_wider_than_the_terminal(width):
    moments = [replace(NOW, at_s=float(at_s)) for at_s in range(KEPT + 5)]
    lines = seen(*moments, replace(NOW, lane="prefork:16:prefetch=1"), width=width)
    assert max(map(cell_len, lines)) <= width


def test_what_failed_and_a_pause_are_said():
    lines = seen(replace(NOW, failed=1200, paused=True))
    assert "1,200 failed, paused" in lines[-1]


def test_what_is_not_known_has_a_dash():
    lines = seen(replace(NOW, started_per_s=None, backlog=None, queue_wait_p50_s=None))
    assert [line_of(label, lines).split()[-2] for label in ("started/s", "backlog", "p50 ms")] == ["-"] * 3


def test_a_terminal_that_knows_no_blocks_has_plain_marks():
    text = "\n".join(seen(NOW, encoding="ascii"))
    assert text.isascii()
    assert "@" in line_of("offered/s", text.splitlines())


def test_a_lane_called_like_markup_is_text():
    assert "[red]x[/]" in seen(replace(NOW, lane="[red]x[/]"))[0]
