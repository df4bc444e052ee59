"""How jobs of a lane are drawn: shades lose no CPU time, and a close-up loses no job."""

from base64 import b64decode

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.report.charts.slot_bars import close_up, shades

PACKED = {"fetched": "<f4", "started": "<f4", "finished": "<f4", "row": "u1", "share": "u1", "workload": "u1"}
"""What a close-up holds, and how each number is written."""


def test_a_shade_is_how_much_of_its_stretch_was_on_a_core():
    # A job from 0 to 2 s with half its time on a core, and one from 2.5 to 3 s with all of it.
    begin, end, cpu_s = np.array([0.0, 2.5]), np.array([2.0, 3.0]), np.array([1.0, 0.5])
    assert shades(begin, end, cpu_s, np.array([0.0, 1.0, 2.0, 3.0])) == pytest.approx([0.5, 0.5, 0.5])
    assert shades(begin, end, cpu_s, np.array([2.0, 2.5, 3.0])) == pytest.approx([0.0, 1.0])


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0.01, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_no_cpu_time_is_lost_in_shades(jobs):
    starts = np.array([start for start, _, _ in jobs])
    ends = starts + np.array([length for _, length, _ in jobs])
    cpu_s = np.array([length * share for _, length, share in jobs]) / len(jobs)
    edges = np.linspace(0, 10, 41)
    assert (shades(starts, ends, cpu_s, edges) * 0.25).sum() == pytest.approx(cpu_s.sum(), abs=1e-9)


def test_a_close_up_holds_every_job_by_its_start_in_few_bytes():
    jobs = pl.DataFrame(
        {
            "row": [1, 0], "workload": ["io", "cpu"], "fetched_s": [1.5, 0.25], "started_s": [2.0, 0.5],
            "finished_s": [3.0, 1.5], "cpu_s": [0.25, 2.0],
        }
    )  # fmt: skip
    packed = close_up(jobs, ["cpu", "io"], place=2)
    assert (packed["xaxis"], packed["yaxis"]) == ("xaxis2", "yaxis2")
    read = {name: np.frombuffer(b64decode(packed[name]), kind) for name, kind in PACKED.items()}
    assert {name: values.tolist() for name, values in read.items()} == {
        "fetched": [0.25, 1.5], "started": [0.5, 2.0], "finished": [1.5, 3.0],
        # Two seconds of CPU time in one of service is full; a quarter of 255 is 64.
        "row": [0, 1], "share": [255, 64], "workload": [0, 1],
    }  # fmt: skip


def test_the_first_chart_has_axes_without_a_number():
    jobs = pl.DataFrame({name: [0.0] for name in ("fetched_s", "started_s", "finished_s", "cpu_s")})
    packed = close_up(jobs.with_columns(row=pl.lit(0), workload=pl.lit("cpu")), ["cpu"], place=1)
    assert (packed["xaxis"], packed["yaxis"]) == ("xaxis", "yaxis")
