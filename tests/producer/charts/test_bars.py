"""How jobs of a lane are drawn: shades lose no CPU time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.charts.bars import shades


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
