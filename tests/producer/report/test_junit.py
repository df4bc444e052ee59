"""JUnit XML: a test for the run being valid, and one for each threshold on each lane."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from nouns import limit_lane, load_lane

from producer.analysis.limit import LimitSummary
from producer.analysis.load import JudgedThreshold
from producer.analysis.summary import summarise
from producer.report.junit import as_junit
from producer.rundir.manifest import Aborted
from producer.rundir.reader import read_run

KEPT = JudgedThreshold(threshold="lost == 0", measured=0, limit=0.0, kept=True, unit="jobs", since_s=None)
BROKEN = JudgedThreshold(threshold="p99(sojourn) < 500ms", measured=0.75, limit=0.5, kept=False, unit="s", since_s=12.0)
UNKNOWN = JudgedThreshold(
    threshold="mem_per_slot < 1MiB", measured=None, limit=2.0**20, kept=False, unit="bytes", since_s=None
)


@pytest.fixture
def summary(run_maker):
    """A load's summary, or that of another kind, with some lanes and thresholds."""

    def made(*lanes, kind="load", problems=(), aborted=None, **changes):
        found = summarise(read_run(run_maker(kind, settings={"kind": kind}, began_at=1_769_860_800.0)))
        if found.load:
            loaded = tuple(load_lane(lane, thresholds=tuple(thresholds)) for lane, thresholds in lanes)
            changes = {**changes, "load": replace(found.load, lanes=loaded, aborted=aborted)}
        return replace(found, problems=tuple(problems), **changes)

    return made


@pytest.fixture
def suite_of(summary):
    return lambda *lanes, **changes: ET.fromstring(as_junit(summary(*lanes, **changes)))


def cases(suite):
    """Class, name, and what is wrong, of each test."""
    return [(case.get("classname"), case.get("name"), next(iter([child.tag for child in case]), "")) for case in suite]


def counts(suite):
    return {name: suite.get(name) for name in ("tests", "failures", "errors")}


def test_a_good_run_is_a_test_for_being_valid_and_one_for_each_threshold_on_each_lane(suite_of):
    suite = suite_of(("prefork", [KEPT]), ("threads", [KEPT]))
    assert suite.tag == "testsuite"
    assert cases(suite) == [
        ("poolrace.load", "the run is valid", ""),
        ("poolrace.load.prefork", "lost == 0", ""),
        ("poolrace.load.threads", "lost == 0", ""),
    ]
    assert counts(suite) == {"tests": "3", "failures": "0", "errors": "0"}


def test_it_says_what_ran_when(suite_of):
    suite = suite_of()
    assert suite.get("name") == "poolrace load"
    assert suite.get("timestamp") == "2026-01-31T12:00:00+00:00"


def test_a_broken_threshold_is_a_failure_that_says_by_how_much_and_since_when(suite_of):
    suite = suite_of(("prefork", [KEPT, BROKEN]), ("threads", [UNKNOWN]))
    assert cases(suite)[2:] == [
        ("poolrace.load.prefork", "p99(sojourn) < 500ms", "failure"),
        ("poolrace.load.threads", "mem_per_slot < 1MiB", "failure"),
    ]
    assert counts(suite) == {"tests": "4", "failures": "2", "errors": "0"}
    first, second = suite.iter("failure")
    assert first.get("message") == "p99(sojourn) < 500ms: BROKEN, 0.75 against 0.5 s; since second 12."
    assert first.text == first.get("message")
    assert second.get("message") == "mem_per_slot < 1MiB: BROKEN, unknown against 1.049e+06 bytes."


def test_a_run_that_is_not_valid_is_an_error_that_says_why(suite_of):
    suite = suite_of(("threads", [KEPT]), problems=["The generator was late.", "Of 5 jobs not all came to one end."])
    assert cases(suite)[0] == ("poolrace.load", "the run is valid", "error")
    assert counts(suite) == {"tests": "2", "failures": "0", "errors": "1"}
    (error,) = suite.iter("error")
    assert error.text == "The generator was late.\nOf 5 jobs not all came to one end."


def test_a_run_without_thresholds_is_one_test(suite_of):
    assert cases(suite_of(kind="race")) == [("poolrace.race", "the run is valid", "")]


def test_it_is_a_document_that_any_reader_of_xml_takes(summary):
    written = as_junit(summary(("threads", [replace(BROKEN, threshold='p99(sojourn) < 1s & "more" ü')])))
    assert written.startswith(b"<?xml version='1.0' encoding='utf-8'?>\n")
    assert written.endswith(b"\n")
    assert cases(ET.fromstring(written))[1][1] == 'p99(sojourn) < 1s & "more" ü'


def test_a_load_that_was_ended_early_is_a_failure_even_if_its_threshold_is_kept_in_the_end(suite_of):
    suite = suite_of(("threads", [KEPT]), aborted=Aborted(lane="threads", at_s=12.4, why="lost == 0"))
    assert cases(suite)[1] == ("poolrace.load.threads", "the load goes on to its end", "failure")
    assert counts(suite) == {"tests": "3", "failures": "1", "errors": "0"}


def test_a_lane_that_holds_no_rate_is_a_failure(suite_of):
    lanes = (limit_lane("prefork", 81.0, 80.0, 83.0), limit_lane("threads", None, None, 1.0))
    suite = suite_of(kind="limit", limit=LimitSummary(lanes=lanes))
    assert cases(suite)[1:] == [
        ("poolrace.limit.prefork", "it holds a rate with the SLO", ""),
        ("poolrace.limit.threads", "it holds a rate with the SLO", "failure"),
    ]
