"""The percentile distribution: HdrHistogram's levels and its layout, from the raw values."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_run import make_run

from producer.errors import UsageError
from producer.plan.stages import STAGES
from producer.report.export.hgrm import distribution, hgrm, stage_s, steps
from producer.report.export.rows import Choice
from producer.rundir.reader import read_run
from producer.rundir.trials import Kind

ONE = Choice(lane="prefork", kind=Kind.LATENCY)


@pytest.fixture
def race(tmp_path):
    return read_run(make_run(tmp_path, pairs=1))


def lines_of(values):
    return "".join(distribution(np.sort(np.array(values, dtype=float)))).splitlines()


def test_of_one_to_a_thousand_every_level_has_the_value_of_its_rank():
    found = list(steps(np.arange(1.0, 1001.0)))
    assert found[:11] == [
        (0.0, 1.0, 1), (0.1, 100.0, 100), (0.2, 200.0, 200), (0.3, 300.0, 300), (0.4, 400.0, 400),
        (0.5, 500.0, 500), (0.55, 550.0, 550), (0.6, 600.0, 600), (0.65, 650.0, 650), (0.7, 700.0, 700),
        (0.75, 750.0, 750),
    ]  # fmt: skip
    # 0.8875 of 1,000 is 887.5, which the 888th is the first to reach.
    assert (0.8875, 888.0, 888) in found
    # The first level above 0.999 is 1 - 10/10240; only the largest reaches it, and after it comes 1.
    assert found[-2:] == [(1 - 10 / 10240, 1000.0, 1000), (1.0, 1000.0, 1000)]


def test_the_lines_have_the_layout_of_hdrhistogram():
    lines = lines_of(range(1, 1001))
    assert lines[0] == "       Value     Percentile TotalCount 1/(1-Percentile)"
    assert lines[1] == ""
    assert lines[2] == "       1.000 0.000000000000          1           1.00"
    assert lines[7] == "     500.000 0.500000000000        500           2.00"
    assert lines[-4] == "    1000.000 1.000000000000       1000"
    # The mean is 1001 / 2, the deviation the root of (1000² - 1) / 12.
    assert lines[-3] == "#[Mean    =      500.500, StdDeviation   =      288.675]"
    assert lines[-2] == "#[Max     =     1000.000, Total count    =         1000]"
    assert lines[-1] == "#[Buckets =         1000, SubBuckets     =            1]"


def test_equal_values_count_together():
    assert list(steps(np.array([1.0, 1.0, 1.0, 5.0]))) == [
        (0.0, 1.0, 3), (0.1, 1.0, 3), (0.2, 1.0, 3), (0.3, 1.0, 3), (0.4, 1.0, 3), (0.5, 1.0, 3), (0.55, 1.0, 3),
        (0.6, 1.0, 3), (0.65, 1.0, 3), (0.7, 1.0, 3), (0.75, 1.0, 3), (0.775, 5.0, 4), (1.0, 5.0, 4),
    ]  # fmt: skip


def test_one_value_is_the_least_and_the_most():
    assert list(steps(np.array([7.0]))) == [(0.0, 7.0, 1), (1.0, 7.0, 1)]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300))
def test_values_ascend_and_the_last_line_counts_them_all(values):
    found = list(steps(np.sort(np.array(values))))
    levels, reached, counts = zip(*found, strict=True)
    assert list(levels) == sorted(set(levels))
    assert list(reached) == sorted(reached)
    assert list(counts) == sorted(counts)
    assert found[-1] == (1.0, max(values), len(values))


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=100))
def test_every_level_has_the_smallest_value_that_reaches_it(values):
    ranked = np.sort(np.array(values))
    for level, value, reached in steps(ranked):
        assert reached == (ranked <= value).sum()
        assert reached >= level * len(ranked) - 1e-9
        assert (ranked < value).sum() < max(level * len(ranked), 1e-9) + 1e-9 or value == ranked[0]


def test_every_line_is_one_that_plotters_read():
    data = [line for line in lines_of([0.0004, 12.5, 99999.25])[2:] if not line.startswith("#")]
    assert all(re.fullmatch(r" *\d+\.\d{3} [01]\.\d{12} +\d+( +\d+\.\d\d)?", line) for line in data)


def test_a_stage_is_that_of_the_report_in_ms(race):
    # Two slots and 100 ms jobs that are all due at once: two end after each 100 ms.
    text = "".join(hgrm(race, ONE, "sojourn"))
    assert "\n     100.000 0.000000000000          2           1.00\n" in text
    assert "\n     600.000 1.000000000000         12\n" in text
    assert stage_s(race, ONE, "queue_wait") == pytest.approx(np.repeat([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], 2), abs=1e-6)


@pytest.mark.parametrize("what", STAGES)
def test_every_stage_counts_every_job(race, what):
    assert len(stage_s(race, ONE, what)) == 12


def test_several_lanes_or_kinds_are_refused_with_how_to_choose(race):
    with pytest.raises(UsageError) as refused:
        hgrm(race, Choice(), "sojourn")
    assert str(refused.value).endswith("Choose: --lane prefork|threads, --kind capacity|latency.")


def test_a_stage_that_no_job_has_is_refused(race):
    nobody = race.records.with_columns(outcome=race.records["outcome"].str.replace("succeeded", "failed"))
    failed = type(race)(**{**{name: getattr(race, name) for name in type(race).__slots__}, "records": nobody})
    with pytest.raises(UsageError, match="no job of the choice has it"):
        hgrm(failed, ONE, "sojourn")
    assert len(stage_s(failed, ONE, "publish_lag")) == 12  # they were sent


@pytest.mark.parametrize("what", ["sojourn", "publish_lag"])
def test_jobs_of_a_lead_in_are_in_no_distribution_unless_asked_for(race, what):
    """All jobs are due as their trial begins, so with a lead-in none is left."""
    led_in = replace(race, trials=[replace(trial, lead_in_s=0.5) for trial in race.trials])
    with pytest.raises(UsageError, match="no job of the choice has it"):
        hgrm(led_in, ONE, what)
    assert len(stage_s(led_in, replace(ONE, warm_up=True), what)) == 12
