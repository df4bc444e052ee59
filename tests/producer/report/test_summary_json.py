"""The summary as JSON: what is written is read, a wrong value is named, and the schema is that of the types."""

import json
from pathlib import Path

import pytest

from producer.analysis.compare import compare_runs
from producer.analysis.price import Price
from producer.analysis.summary import SCHEMA, summarise
from producer.errors import UsageError
from producer.report.summary_json import SCHEMA_FILE, from_json, schema, to_json
from producer.rundir.reader import read_run

ROOT = Path(__file__).parents[3]
LATE = {"status": "incomplete", "reason": "Interrupted.", "machine": None, "began_at": None}


@pytest.mark.parametrize("kind", ["race", "load", "limit", "sweep"])
@pytest.mark.parametrize("manifest", [{}, LATE], ids=["whole", "cut short"])
def test_what_is_written_of_each_kind_of_run_is_read(run_maker, kind, manifest):
    summary = summarise(read_run(run_maker(settings={"kind": kind}, **manifest)), Price(core_hour=0.04))
    assert from_json(to_json(summary)) == summary


def test_a_summary_has_a_line_a_key_and_no_number_that_json_does_not_know(run_maker):
    text = to_json(summarise(read_run(run_maker())))
    assert text.startswith(f'{{\n  "schema": {SCHEMA},\n  "run": {{\n')
    assert text.endswith("}\n")
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(Price(core_hour=float("nan")))


def test_a_comparison_is_json_too(run_maker):
    found = json.loads(to_json(compare_runs(read_run(run_maker("first")), read_run(run_maker("second")))))
    assert found["differs_in"] == {}
    assert {change["word"] for change in found["changes"]} == {"no difference"}


def with_value(text, value, *keys):
    """The JSON with another value below some keys."""
    plain = json.loads(text)
    below = plain
    for key in keys[:-1]:
        below = below[key]
    below[keys[-1]] = value
    return json.dumps(plain)


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (("schema",), 1, rf"schema 1 is not {SCHEMA}, the one this poolrace reads"),
        (("valid",), "yes", r"Expected `bool`, got `str` - at `\$\.valid`"),
        (("workloads", 0, "verdicts", 0, "pairs"), None, r"Expected `int`, got `null` - at `\$\.workloads\[0\]"),
        (("settlement", "done"), 7, "the counts must be 0 or more and add up"),
    ],
)
def test_a_summary_that_is_none_is_refused_with_what_is_wrong(run_maker, keys, value, said):
    text = with_value(to_json(summarise(read_run(run_maker()))), value, *keys)
    with pytest.raises(UsageError, match=said):
        from_json(text)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "7"])
def test_what_is_no_json_or_no_summary_is_refused(text):
    with pytest.raises(UsageError, match="poolrace report RUN"):
        from_json(text)


def test_the_schema_beside_the_documents_is_that_of_the_types():
    """After a change of a type: python -m producer.report.summary_json"""
    assert json.loads((ROOT / SCHEMA_FILE).read_text(encoding="utf-8")) == schema()


def test_the_schema_names_every_field_that_a_summary_has(run_maker):
    plain = json.loads(to_json(summarise(read_run(run_maker()))))
    types = schema()["$defs"]
    assert set(plain) == set(types["Summary"]["properties"])
    assert set(plain["workloads"][0]["verdicts"][0]) == set(types["Verdict"]["properties"])
