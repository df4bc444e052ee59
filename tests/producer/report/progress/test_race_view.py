"""A race that is watched: a row for each thing measured, at the same height on all lanes, its rounds at one scale."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from producer.measure.progress import Score
from producer.report.progress.race_view import ROWS_KEPT, RaceView
from producer.rundir.trials import Kind


def capacity(lane, value, workload="cpu"):
    return Score(lane=lane, workload=workload, kind=Kind.CAPACITY, value=value)


def wait(lane, value, workload="cpu"):
    return Score(lane=lane, workload=workload, kind=Kind.LATENCY, value=value)


def seen(*scores, width=100, encoding="utf-8"):
    """The lines of a terminal so wide."""
    view = RaceView()
    for score in scores:
        view.add(score)
    console = Console(file=io.TextIOWrapper(io.BytesIO(), encoding=encoding), width=width, height=50)
    with console.capture() as capture:
        console.print(view)
    return capture.get().splitlines()


def test_lanes_stand_side_by_side_and_a_rate_has_the_same_height_on_both():
    lines = seen(capacity("prefork", 60.0), capacity("threads", 15.0), capacity("threads", 30.0))
    assert ("prefork" in lines[0], "threads" in lines[0]) == (True, True)
    left, right = lines[1].split("cpu jobs/s")[1:]
    assert "60.0 █" in left
    assert "30.0 ▃▅" in right


def test_a_held_rate_tells_the_wait_in_milliseconds():
    (line,) = [line for line in seen(wait("prefork", 0.0125)) if "wait ms" in line]
    assert "12.5 █" in line


def test_a_lane_that_has_not_had_its_turn_keeps_the_row():
    lines = seen(capacity("prefork", 60.0), capacity("threads", 30.0), capacity("prefork", 9.0, "io"))
    row = next(line for line in lines if "io jobs/s" in line)
    assert row.count("io jobs/s") == 2
    assert row.split("io jobs/s")[2].split()[0] == "-"


def test_a_trial_of_which_no_job_ended_leaves_a_gap():
    (line,) = [line for line in seen(wait("a", 0.01), wait("a", None), wait("a", 0.02)) if "wait" in line]
    assert "20.0 ▅ █" in line


def test_only_the_latest_rows_are_shown():
    many = [capacity("prefork", 1.0, f"io concurrency={slots}") for slots in range(20)]
    shown = [line for line in seen(*many) if "jobs/s" in line or "concurrency" in line]
    assert len(shown) == ROWS_KEPT
    assert "concurrency=19"[:12] in shown[-1]


def test_a_row_that_has_its_turn_again_is_shown_again_at_the_place_that_it_had():
    """Values of a sweep take turns: the first of many has long been out of sight when the next round comes to it."""
    many = [capacity("prefork", float(slots), f"c{slots:02}") for slots in range(20)]
    shown = [line.split("jobs/s")[0].strip(" │") for line in seen(*many, capacity("prefork", 7.0, "c00"))]
    assert [row for row in shown if row.startswith("c")] == ["c00", *(f"c{slots}" for slots in range(13, 20))]
    assert seen(*many, capacity("prefork", 7.0, "c00"), width=33) == ["prefork 7.00 c00 jobs/s"]


@pytest.mark.parametrize("width", [10, 20, 34, 60, 79, 300])
def test_whatever_the_width_no_line_is_longer(width):
    scores = [capacity("prefork", 60.0), capacity("a-lane-with-a-long-name", 30.0), wait("prefork", 0.1)]
    assert all(cell_len(line) <= width for line in seen(*scores, width=width))


def test_with_hardly_any_room_each_lane_has_a_line():
    assert seen(capacity("prefork", 60.0), capacity("threads", 30.0), width=33) == [
        "prefork 60.0 cpu jobs/s",
        "threads 30.0 cpu jobs/s",
    ]


def test_a_terminal_that_knows_no_blocks_gets_plain_marks():
    text = "\n".join(seen(capacity("prefork", 60.0), encoding="ascii"))
    assert "60.0 @" in text


def test_before_the_first_trial_there_is_nothing():
    assert not RaceView()
