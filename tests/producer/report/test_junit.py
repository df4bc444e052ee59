"""JUnit XML: a test for the run being valid, and one for each threshold on each lane."""

from xml.etree import ElementTree as ET

from producer.report.junit import as_junit

KEPT = {"threshold": "lost == 0", "measured": 0, "limit": 0.0, "kept": True, "unit": "jobs", "since_s": None}
BROKEN = {
    "threshold": "p99(sojourn) < 500ms", "measured": 0.75, "limit": 0.5, "kept": False, "unit": "s", "since_s": 12.0,
}  # fmt: skip
UNKNOWN = {
    "threshold": "mem_per_slot < 1MiB", "measured": None, "limit": 2.0**20, "kept": False, "unit": "bytes",
    "since_s": None,
}  # fmt: skip


def summary(*lanes, problems=(), **changes):
    """A load's summary, as far as it is read here."""
    return {
        "run": {"began_at": 1_769_860_800.0},
        "settings": {"kind": "load"},
        "problems": list(problems),
        "load": [{"lane": lane, "thresholds": list(thresholds)} for lane, thresholds in lanes],
        "limit": [],
        "aborted": None,
        **changes,
    }


def suite_of(*lanes, **changes):
    return ET.fromstring(as_junit(summary(*lanes, **changes)))


def cases(suite):
    """Class, name, and what is wrong, of each test."""
    return [(case.get("classname"), case.get("name"), next(iter([child.tag for child in case]), "")) for case in suite]


def counts(suite):
    return {name: suite.get(name) for name in ("tests", "failures", "errors")}


def test_a_good_run_is_a_test_for_being_valid_and_one_for_each_threshold_on_each_lane():
    suite = suite_of(("prefork", [KEPT]), ("threads", [KEPT]))
    assert suite.tag == "testsuite"
    assert cases(suite) == [
        ("poolrace.load", "the run is valid", ""),
        ("poolrace.load.prefork", "lost == 0", ""),
        ("poolrace.load.threads", "lost == 0", ""),
    ]
    assert counts(suite) == {"tests": "3", "failures": "0", "errors": "0"}


def test_it_says_what_ran_when():
    suite = suite_of()
    assert suite.get("name") == "poolrace load"
    assert suite.get("timestamp") == "2026-01-31T12:00:00+00:00"


def test_a_broken_threshold_is_a_failure_that_says_by_how_much_and_since_when():
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


def test_a_run_that_is_not_valid_is_an_error_that_says_why():
    suite = suite_of(("threads", [KEPT]), problems=["The generator was late.", "Of 5 jobs not all came to one end."])
    assert cases(suite)[0] == ("poolrace.load", "the run is valid", "error")
    assert counts(suite) == {"tests": "2", "failures": "0", "errors": "1"}
    (error,) = suite.iter("error")
    assert error.text == "The generator was late.\nOf 5 jobs not all came to one end."


def test_a_run_without_thresholds_is_one_test():
    assert cases(suite_of(settings={})) == [("poolrace.race", "the run is valid", "")]


def test_it_is_a_document_that_any_reader_of_xml_takes():
    written = as_junit(summary(("threads", [{**BROKEN, "threshold": 'p99(sojourn) < 1s & "more" ü'}])))
    assert written.startswith(b"<?xml version='1.0' encoding='utf-8'?>\n")
    assert written.endswith(b"\n")
    assert cases(ET.fromstring(written))[1][1] == 'p99(sojourn) < 1s & "more" ü'


def test_a_load_that_was_ended_early_is_a_failure_even_if_its_threshold_is_kept_in_the_end():
    suite = suite_of(("threads", [KEPT]), aborted={"lane": "threads", "at_s": 12.4, "why": "lost == 0"})
    assert cases(suite)[1] == ("poolrace.load.threads", "the load goes on to its end", "failure")
    assert counts(suite) == {"tests": "3", "failures": "1", "errors": "0"}


def test_a_limit_that_was_not_confirmed_is_a_failure():
    lanes = [
        {"lane": "prefork", "held_per_s": 80.0, "broke_per_s": 83.0, "confirmed": True},
        {"lane": "threads", "held_per_s": None, "broke_per_s": 1.0, "confirmed": False},
    ]
    suite = suite_of(settings={"kind": "limit"}, limit=lanes)
    assert cases(suite)[1:] == [
        ("poolrace.limit.prefork", "its limit is found and confirmed", ""),
        ("poolrace.limit.threads", "its limit is found and confirmed", "failure"),
    ]
