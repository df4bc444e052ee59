"""Outcomes of two runs are compared test by test: what differs is known with its reason, or is told."""

import pytest

from peers.outcomes import Expected, compare, read_outcomes

JUNIT = """<testsuites><testsuite>
<testcase classname="t.integration.test_redis.test_Redis" name="test_publish"/>
<testcase classname="t.integration.test_redis.test_Redis" name="test_wait[BRPOP]"><failure message="no"/></testcase>
<testcase classname="t.integration.test_redis" name="test_skipped"><skipped message="no Redis"/></testcase>
<testcase classname="t.integration.test_redis" name="test_broken"><error message="fixture"/></testcase>
<testcase classname="t.integration.test_redis" name="test_parts"><failure message="a subtest"/></testcase>
<testcase classname="t.integration.test_redis" name="test_parts"/>
</testsuite></testsuites>"""

BY_DESIGN = Expected(tests=r".*\[BRPOP\]", atomic="failed", reason="no BRPOP is ever in flight")


def test_a_file_of_pytest_is_read_by_name(tmp_path):
    junit = tmp_path / "junit.xml"
    junit.write_text(JUNIT)
    assert read_outcomes(junit) == {
        "test_redis.test_Redis::test_publish": "passed",
        "test_redis.test_Redis::test_wait[BRPOP]": "failed",
        "test_redis::test_skipped": "skipped",
        "test_redis::test_broken": "failed",
        "test_redis::test_parts": "failed",
    }


def test_what_comes_to_the_same_is_no_difference_even_a_failure():
    found = compare({"a": "passed", "b": "failed"}, {"a": "passed", "b": "failed"}, [])
    assert (found.known, found.unknown, found.idle) == ({}, {}, [])
    assert (found.stock, found.atomic) == ({"passed": 1, "failed": 1}, {"passed": 1, "failed": 1})


def test_a_difference_is_known_by_its_reason_or_told_with_both_outcomes():
    stock = {"x[BRPOP]": "passed", "y": "passed", "z": "failed"}
    found = compare(stock, {"x[BRPOP]": "failed", "y": "failed", "z": "passed"}, [BY_DESIGN])
    assert found.known == {"no BRPOP is ever in flight": ["x[BRPOP]"]}
    assert found.unknown == {"y": ("passed", "failed"), "z": ("failed", "passed")}


def test_a_test_that_did_not_run_on_one_of_them_differs():
    found = compare({"a": "passed"}, {"b": "passed"}, [])
    assert found.unknown == {"a": ("passed", "absent"), "b": ("absent", "passed")}


@pytest.mark.parametrize("atomic", ["passed", "skipped"])
def test_an_expectation_that_no_test_meets_is_told(atomic):
    found = compare({"x[BRPOP]": "passed"}, {"x[BRPOP]": atomic}, [BY_DESIGN])
    assert found.idle == [BY_DESIGN]
