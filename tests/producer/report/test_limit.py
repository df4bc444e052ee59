"""What a report of a search for the limit says, in sentences and tables."""

import json
from dataclasses import replace

import pytest
from nouns import figures_of, latency_of, limit_lane, percentiles_of, shallow

from producer.analysis.limit import LimitSummary, Probe
from producer.analysis.settle import Settlement
from producer.analysis.summary import summarise
from producer.report.document import document
from producer.report.markdown import as_markdown
from producer.report.parts import Prose, Table
from producer.rundir.reader import read_run
from producer.rundir.trials import Kind

SLO = ["p99(sojourn) < 700ms", "failed == 0"]
SETTINGS = {"kind": "limit", "slo": SLO, "mix": {"sleep": 1.0}, "probe_s": 10.0, "precision": 0.1}


TIMES = percentiles_of(0.1, n=200, p90=0.2, p99=0.3, p99_9=0.4, max=0.5)
LATENCY = latency_of(sojourn=TIMES, publish_lag=replace(TIMES, p99=0.002))


def probe(trial, rate_per_s, *, passed=True, latency=LATENCY, **changes):
    figures = figures_of(
        Settlement(sent=1200, done=1200),
        offered_per_s=rate_per_s,
        sent_per_s=rate_per_s,
        finished_per_s=rate_per_s - 1,
    )
    known = Probe(
        **{**shallow(figures), "latency": latency}, trial=trial, rate_per_s=rate_per_s, passed=passed,
        growth_s=0.02, growing=False, late=False, given_up_s=None, thresholds=(),
    )  # fmt: skip
    return replace(known, **changes)


def lane(key, limit, low, high, *probes, broken_by="p99(sojourn) < 700ms"):
    return limit_lane(key, limit, low, high, probes, broken_by=broken_by if high else None)


@pytest.fixture
def said(run_maker):
    """The parts of the report on some lanes, by the first words of their titles."""
    summary = summarise(read_run(run_maker(settings=SETTINGS)))

    def parts(*lanes):
        return {
            part.title.partition(":")[0]: part for part in document(replace(summary, limit=LimitSummary(lanes=lanes)))
        }

    return parts


def sentence(said, found):
    (line,) = said(found)["What each lane holds"].lines
    return line


def rows(part):
    return [dict(zip(part.columns, row, strict=True)) for row in part.rows]


def test_the_answer_comes_first_then_the_limits_then_every_probe(said):
    assert list(said(lane("threads", 10.2, 10.0, 10.4, probe(1, 10.0))))[1:] == [
        "What each lane holds", "Limit", "Probes", "What a lane costs",
    ]  # fmt: skip


def test_the_heading_says_what_was_probed_and_what_was_asked(said):
    heading = next(iter(said().values()))
    assert heading.title.startswith("Limit of 2023-11-14")
    assert ", probes of 10 s of sleep, p99(sojourn) < 700ms, failed == 0, poisson arrivals" in heading.lines[0]


def test_a_limit_is_told_with_its_interval_and_what_was_kept(said):
    assert sentence(said, lane("threads", 47.57, 46.1, 49.2, probe(1, 47.57), probe(2, 49.2, passed=False))) == (
        "threads holds 47.6/s with p99(sojourn) < 700ms, failed == 0; the limit lies between 46.1 and 49.2/s (90 %)."
    )


def test_an_interval_that_is_wider_than_was_asked_says_so_and_what_narrows_it(said):
    """From 37 to 45 are 22 % of 37, and 10 % was asked."""
    assert sentence(said, lane("threads", 41.0, 37.0, 45.0, probe(1, 40.0), probe(2, 42.0, passed=False))) == (
        "threads holds 41.0/s with p99(sojourn) < 700ms, failed == 0; the limit lies between 37.0 and 45.0/s (90 %). "
        "That is 22 % wide, and 10 % was asked: near the limit probes pass and fail by chance. Use a longer --probe, "
        "or more --probes."
    )


def test_a_lane_that_holds_nothing_is_told_with_the_lowest_rate_that_was_tried_and_what_to_do(said):
    probes = (probe(1, 4.0, passed=False), probe(2, 1.0, passed=False), probe(3, 2.0, passed=False))
    assert sentence(said, lane("threads", None, None, 1.0, *probes)) == (
        "threads: no rate down to 1.00/s keeps p99(sojourn) < 700ms, failed == 0. "
        "Ask for less, give jobs less work, or the lane more slots."
    )


def test_a_lane_that_holds_the_highest_rate_has_its_limit_above(said):
    assert sentence(said, lane("threads", None, 20_000.0, None, probe(1, 20_000.0))) == (
        "threads holds 20,000/s with p99(sojourn) < 700ms, failed == 0, the most that was probed; its limit lies above."
    )


def test_the_limits_stand_side_by_side(said):
    parts = said(
        lane("prefork", 10.2, 10.0, 10.4, probe(0, 10.0), probe(2, 10.4, passed=False)),
        lane("threads", None, None, 1.0, probe(1, 1.0, passed=False), broken_by="failed == 0"),
        lane("threads-2", None, 20_000.0, None, probe(3, 20_000.0)),
    )
    assert rows(parts["Limit"]) == [
        {
            "lane": "prefork", "limit": "10.2", "from": "10.0", "to": "10.4", "probes": "2", "passed": "1",
            "broken by": "p99(sojourn) < 700ms",
        },
        {
            "lane": "threads", "limit": "-", "from": "-", "to": "1.00", "probes": "1", "passed": "0",
            "broken by": "failed == 0",
        },
        {
            "lane": "threads-2", "limit": "-", "from": "20,000", "to": "-", "probes": "1", "passed": "1",
            "broken by": "-",
        },
    ]  # fmt: skip
    assert len(parts["What each lane holds"].lines) == 3


def test_every_probe_is_a_row_in_the_order_in_which_they_were_made(said):
    parts = said(
        lane("prefork", 14.0, 10.0, 20.0, probe(1, 10.0), probe(3, 20.0, passed=False, given_up_s=7.4)),
        lane("threads", None, 10.0, None, probe(2, 10.0, late=True), probe(4, 10.0)),
    )
    found = rows(parts["Probes"])
    assert [(row["lane"], row["rate/s"], row["came"], row["given up"]) for row in found] == [
        ("prefork", "10.0", "passed", "-"),
        ("threads", "10.0", "passed", "-"),
        ("prefork", "20.0", "FAILED", "7 s"),
        ("threads", "10.0", "passed", "-"),
    ]
    assert [row["lag p99"] for row in found] == ["2.00", "2.00 late", "2.00", "2.00"]
    assert {name: found[0][name] for name in ("finished/s", "p50", "p99", "max", "wait grew", "jobs")} == {
        "finished/s": "9.00", "p50": "100", "p99": "300", "max": "500", "wait grew": "20.0", "jobs": "1,200",
    }  # fmt: skip


def test_what_is_not_known_of_a_probe_is_a_dash(said):
    nothing = probe(1, 1.0, passed=False, growth_s=None, latency=latency_of())
    (row,) = rows(said(lane("threads", None, None, 1.0, nothing))["Probes"])
    assert {row[name] for name in ("p50", "p99", "max", "wait grew", "lag p99", "given up")} == {"-"}


def test_every_table_has_as_many_cells_as_columns_and_all_of_it_is_text(said):
    parts = said(
        lane("prefork", 14.0, 10.0, 20.0, probe(1, 10.0), probe(2, 20.0, passed=False, growth_s=None, given_up_s=3.0)),
        lane("threads", None, None, 1.0, probe(3, 1.0, latency=latency_of())),
    ).values()
    tables = [part for part in parts if isinstance(part, Table)]
    assert [table.title.split(":")[0] for table in tables] == ["Limit", "Probes", "What a lane costs"]
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}
        assert all(isinstance(cell, str) for row in table.rows for cell in row)
    assert all(isinstance(line, str) for part in parts if isinstance(part, Prose) for line in part.lines)


def test_a_run_directory_of_a_search_is_reported_from_its_trials(run_maker):
    """Twelve jobs due at once in two slots of 100 ms: the last ends after 600 ms, which is kept at 14/s."""
    path = run_maker(settings=SETTINGS, pairs=1)
    lines = [json.loads(line) for line in (path / "trials.jsonl").read_text().splitlines()]
    kinds = {Kind.LATENCY.value: Kind.PROBE.value}
    changed = [{**line, "kind": kinds.get(line["kind"], line["kind"])} for line in lines]
    (path / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in changed))
    summary = summarise(read_run(path))
    assert [(found.lane, found.low_per_s, found.limit_per_s) for found in summary.limit.lanes] == [
        ("prefork", 14.0, None), ("threads", 14.0, None),
    ]  # fmt: skip
    assert "failed == 0, the most that was probed; its limit lies above." in as_markdown(document(summary))
    assert summary.workloads[0].recommendation.why == "a limit recommends no lane"
