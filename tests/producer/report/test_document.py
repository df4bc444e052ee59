"""What a report says of a small run whose every figure is worked out by hand."""

import json
from dataclasses import replace

import pytest
from nouns import percentiles_of, verdict, with_results

from producer.analysis.compare import compare_runs
from producer.analysis.results import PingTimes
from producer.analysis.summary import summarise
from producer.plan.lanes import parse_lanes
from producer.report.comparison import comparison
from producer.report.document import document
from producer.report.parts import Prose, Table
from producer.rundir.reader import read_run


def parts(summary):
    return document(summary)


def table(summary, title):
    (found,) = [part for part in parts(summary) if isinstance(part, Table) and part.title.startswith(title)]
    return found


def prose(summary, title):
    (found,) = [part for part in parts(summary) if isinstance(part, Prose) and part.title.startswith(title)]
    return found


def rows(summary, title):
    """The rows of a table as dictionaries by column."""
    found = table(summary, title)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


@pytest.fixture
def summary(run_maker):
    """Prefork does twice as many jobs as threads."""
    return summarise(read_run(run_maker(speeds={"prefork": 2.0})))


def test_the_answer_comes_first_then_all_figures(summary):
    titles = [part.title.partition(":")[0] for part in parts(summary)]
    assert titles == [
        "Race of 2023-11-14 22",
        "What to run",
        "",
        "What you give up with prefork",
        "Capacity",
        "Latency",
        "Where the p90 comes from, each stage on its own, in ms",
        "What a lane costs",
        "CPU per job, in ms",
        "Verdict",
    ]


def test_the_heading_says_what_was_raced_on_what(summary):
    lines = prose(summary, "Race of").lines
    assert lines[0] == (
        "prefork (2 slots, prefetch 4, acks early) against threads (2 slots, prefetch 4, acks early), "
        "3 pairs of trials a workload, poisson arrivals, seed 1."
    )
    assert " cores, " in lines[1]
    assert "celery 5." in lines[1]
    # 2 kinds x 3 rounds x 2 lanes x 12 jobs.
    assert lines[2] == "144 jobs sent: 144 done."


def test_a_quick_race_says_so(run_maker):
    summary = summarise(read_run(run_maker(settings={"quick": True})))
    assert any(line.startswith("Quick: fewer workloads") for line in prose(summary, "Race of").lines)


def test_a_lane_with_an_interpreter_of_its_own_names_it(run_maker):
    summary = summarise(read_run(run_maker()))
    prefork, threads = summary.settings.lanes
    lanes = (prefork, replace(threads, python="/path/to/python3.14t"))
    summary = replace(summary, settings=replace(summary.settings, lanes=lanes))
    assert "threads (2 slots, prefetch 4, acks early, python3.14t)" in prose(summary, "Race of").lines[0]


def test_capacity_is_shown_side_by_side_with_ratio_and_verdict(summary):
    # 2 slots, 0.1 s a job: 20 a second, and twice that on the faster lane; the middle round lasts 0.1 % longer.
    assert rows(summary, "Capacity") == [
        {
            "workload": "sleep",
            "prefork": "40.0",
            "threads": "20.0",
            "prefork / threads": "2.00  [2.00, 2.00]",
            "verdict": "prefork, settled",
        }
    ]
    # Two comparisons: the surer of them has half of 1.5 %, the other all of it.
    assert table(summary, "Capacity").note == (
        "Ratio, and the interval that its verdict rests on. It holds with 95 % confidence however often one looks; "
        "that of a settled winner with 99 to 99.5 %, which allows for all comparisons of the race."
    )


def test_latency_has_a_row_a_lane_and_an_interval_for_each_percentile(summary):
    prefork, threads = rows(summary, "Latency")
    # 3 trials of 12 jobs in 6 rounds of 2, at 50 ms a round: p50 is the 18th of 36, in the third round. The 36 are off
    # by 1.96 x sqrt(0.5 x 0.5 / 36) x 36 = 5.9 from chance alone: the 12th and the 25th, in the second and fifth.
    assert prefork["p50"] == "150 [100, 250]"
    assert threads["p50"] == "301 [200, 500]"
    # The 33rd is of the second trial. Up to it there are 12, 12 and 10 jobs of the three, which is 4.3 x sqrt(3 / 2 x
    # 2.67) = 8.6 from how trials differ: the 23rd, in the fourth round, and one beyond the last.
    assert prefork["p90"] == "300 [200, -]"
    assert threads["jobs"] == "36"
    assert threads["rate/s"] == "14.0"


def with_sojourn(summary, sojourn):
    return with_results(summary, lambda result: replace(result, latency=replace(result.latency, sojourn=sojourn)))


def test_a_percentile_that_would_be_the_maximum_again_is_not_shown(summary):
    """Of 36 jobs none lies beyond p99, so it has no column."""
    found = rows(summary, "Latency")[0]
    assert ("p90" in found, "p99" in found, "p99.9" in found) == (True, False, False)


@pytest.mark.parametrize(("n", "shown"), [(99, None), (100, "500 [-, -]"), (999, "500 [-, -]")])
def test_a_percentile_is_shown_from_one_job_beyond_it_on(summary, n, shown):
    found = rows(with_sojourn(summary, percentiles_of(0.5, n=n)), "Latency")[0]
    assert (found.get("p99"), found.get("p99.9")) == (shown, None)


def test_a_lane_that_cannot_tell_a_percentile_has_none_beside_one_that_can(summary):
    summary = with_results(
        summary,
        lambda result: replace(
            result,
            latency=replace(
                result.latency, sojourn=percentiles_of(0.5, n=200 if result.lane == "prefork" else 99, p99_low=0.4)
            ),
        ),
    )
    assert [row["p99"] for row in rows(summary, "Latency")] == ["500 [400, -]", "-"]


def test_the_stretches_of_the_highest_percentile_are_apart(summary):
    prefork, threads = rows(summary, "Where the p90")  # of 36 jobs none lies beyond p99
    assert (prefork["runs"], threads["runs"]) == ("50.0", "100")
    assert (prefork["publish lag"], prefork["in broker"]) == ("0", "0")


def test_what_a_lane_costs_is_told_lane_by_lane(summary):
    assert rows(summary, "What a lane costs")[0] == {
        "lane": "prefork",
        "memory per slot (PSS)": "25.0 MiB",
        "start to ready": "1.25 s",
        "GIL in slots": "on",
        "ping p50": "5.00",
        "ping max": "5.00",
        "no answer": "0",
    }


def test_what_is_not_known_is_a_dash(run_maker):
    summary = summarise(read_run(run_maker(nodes=[])))
    lanes = [replace(lane, memory_per_slot_bytes=None, gil_in_slots=None) for lane in summary.lanes]
    unknown = dict.fromkeys(["ping", "latency", "capacity_per_s", "backlog", "rate_per_s"])
    summary = with_results(replace(summary, lanes=lanes), lambda result: replace(result, **unknown))
    assert set(rows(summary, "What a lane costs")[0].values()) == {"prefork", "-"}
    assert set(rows(summary, "Latency")[0].values()) == {"sleep", "prefork", "-"}
    assert set(rows(summary, "Where the p99")[0].values()) == {"sleep", "prefork", "-"}
    assert rows(summary, "Capacity")[0]["prefork"] == "-"
    assert rows(summary, "CPU per job")[0]["the job itself"] == "-"


def test_pings_without_an_answer_are_counted(summary):
    ping = PingTimes(sent=4, answered=1, p50_s=0.02, max_s=0.05)
    summary = with_results(summary, lambda result: replace(result, ping=ping) if result.lane == "threads" else result)
    threads = rows(summary, "What a lane costs")[1]
    assert (threads["ping p50"], threads["ping max"], threads["no answer"]) == ("20.0", "50.0", "3")


def test_cpu_per_job_is_that_of_the_job_and_that_of_the_node(summary):
    # 12 jobs in 12 ms of the node's CPU.
    assert rows(summary, "CPU per job")[0] == {
        "workload": "sleep",
        "lane": "prefork",
        "the job itself": "1.00",
        "whole node, backlog": "1.00",
        "whole node, held rate": "1.00",
    }


def test_every_verdict_is_a_sentence(summary):
    capacity, latency = prose(summary, "Verdict").lines
    assert capacity == (
        "sleep, capacity: prefork, settled: prefork does 2.00 to 2.00 times as many as threads, by 3 pairs."
    )
    assert latency == (
        "sleep, latency: prefork, settled: jobs take 2.00 to 2.00 times as long on threads as on prefork, by 3 pairs."
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"word": "threads", "sure": "likely", "probability": 0.9349}, "threads, likely (93 %): it is so."),
        ({"word": "threads", "sure": "likely", "probability": 0.9999}, "threads, likely (99 %): it is so."),
        ({"word": "no difference"}, "no difference, settled: it is so."),
        ({"word": "open", "advice": "Race again"}, "open: it is so. Race again."),
    ],
)
def test_a_verdict_says_how_sure_it_is_in_one_of_three_words(summary, changes, words):
    summary = with_verdicts(summary, verdict(reason="it is so", **changes))
    assert prose(summary, "Verdict").lines == [f"sleep, capacity: {words}"]
    assert rows(summary, "Capacity")[0]["verdict"] == words.partition(": ")[0]


def with_verdicts(summary, *verdicts):
    (sleep,) = summary.workloads
    return replace(summary, workloads=(replace(sleep, verdicts=verdicts),))


def test_where_no_winner_is_settled_the_note_tells_of_one_confidence(summary):
    note = table(with_verdicts(summary, verdict("prefork", sure="likely", probability=0.95)), "Capacity").note
    assert note.endswith("It holds with 95 % confidence however often one looks.")


def test_the_note_tells_of_the_confidence_of_a_settled_no_difference_where_there_is_one(summary):
    note = table(with_verdicts(summary, verdict("no difference", sure="settled")), "Capacity").note
    assert note.endswith(
        "It holds with 95 % confidence however often one looks, that of a settled no difference with 90 %."
    )


def test_several_winners_are_sure_from_so_much_to_so_much(summary):
    found = [verdict("prefork", confidence=each) for each in (0.998, 0.9999, 0.985)]
    assert "settled winner with 98.5 to 99.9 %, which" in table(with_verdicts(summary, *found), "Capacity").note


def commands(summary):
    (found,) = [part for part in parts(summary) if isinstance(part, Prose) and part.commands]
    return found.commands


def test_what_to_run_is_a_row_a_workload_and_a_line_to_copy(summary):
    assert rows(summary, "What to run") == [
        {
            "workload": "sleep", "run": "prefork", "slots": "2", "sure": "settled",
            "why": "2.00 to 2.00 times as many as threads",
        }
    ]  # fmt: skip
    assert commands(summary) == ["celery -A YOUR_APP worker -P prefork -c 2 --prefetch-multiplier 4 -n prefork@%h"]


def test_a_lane_with_the_atomic_transport_says_so_and_its_command_switches_it_on(run_maker):
    lanes = parse_lanes(["prefork:2:transport=atomic", "threads:2"], concurrency=2, prefetch=4, acks="early")
    summary = summarise(read_run(run_maker(lanes=lanes, speeds={"prefork": 2.0})))
    assert "prefork (2 slots, prefetch 4, acks early, atomic transport) against" in prose(summary, "Race of").lines[0]
    assert rows(summary, "What to run")[0]["run"] == "prefork, atomic"
    flags = "-P prefork -c 2 --prefetch-multiplier 4 broker_transport=poolrace.transport:Transport"
    assert commands(summary) == [f"celery -A YOUR_APP worker {flags} -n prefork@%h"]


def test_lanes_of_one_pool_are_told_apart_and_nodes_are_counted(run_maker):
    lanes = parse_lanes(["threads:2", "threads:1:nodes=2"], concurrency=2, prefetch=4, acks="early")
    summary = summarise(read_run(run_maker(lanes=lanes, speeds={"threads-2": 2.0})))
    (row,) = rows(summary, "What to run")
    assert (row["run"], row["slots"]) == ("threads-2", "2 x 1")


def test_a_command_for_several_workloads_is_given_once(summary):
    (sleep,) = summary.workloads
    summary = replace(summary, workloads=[sleep, replace(sleep, workload="nap")])
    assert len(commands(summary)) == 1
    assert [row["workload"] for row in rows(summary, "What to run")] == ["sleep", "nap"]


def test_no_recommendation_says_why_and_what_would_help(run_maker):
    summary = summarise(read_run(run_maker(pairs=2)))
    assert rows(summary, "What to run") == [
        {
            "workload": "sleep", "run": "none", "slots": "-", "sure": "open",
            "why": "too few good pairs to judge by",
        }
    ]  # fmt: skip
    assert table(summary, "What to run").note == "sleep: Give the race more time."
    assert [part for part in parts(summary) if isinstance(part, Prose) and part.commands] == []


def test_of_a_run_that_is_not_valid_nothing_follows(run_maker):
    summary = summarise(read_run(run_maker(status="incomplete", reason="The broker is gone.")))
    assert prose(summary, "What to run").lines == ["The figures may be looked at, but nothing follows from them."]


def test_a_pool_that_takes_more_memory_says_how_much(summary):
    def lines(ratio):
        (sleep,) = summary.workloads
        heavy = replace(sleep, recommendation=replace(sleep.recommendation, memory_ratio=ratio))
        return prose(replace(summary, workloads=(heavy,)), "What you give up").lines

    assert lines(5.01)[0] == (
        "memory: every slot is a process with a heap of its own; 5.0 times as much as on the lightest lane"
    )
    assert lines(1.01)[0] == lines(None)[0] == "memory: every slot is a process with a heap of its own"
    assert len(lines(5.01)) == len(lines(1.01))


def test_what_is_given_up_is_told_of_the_recommended_pool_alone(summary):
    titles = [part.title for part in parts(summary)]
    assert "What you give up with prefork" in titles
    assert "What you give up with threads" not in titles


def test_a_run_that_is_not_valid_says_so_before_any_figure(run_maker):
    summary = summarise(read_run(run_maker(status="incomplete", reason="The broker is gone.")))
    assert [part.title for part in parts(summary)][1] == "This run is not valid"
    assert prose(summary, "This run is not valid").lines == ("The run is incomplete: The broker is gone.",)


def test_a_run_in_which_nothing_was_measured_has_a_heading_and_nothing_else(run_maker):
    summary = summarise(read_run(run_maker(pairs=0, machine=None, began_at=None)))
    assert [part.title for part in parts(summary)] == ["Race of -"]


def test_three_lanes_have_their_ratios_in_the_verdicts_alone(summary):
    summary = replace(summary, lanes=[*summary.lanes, replace(summary.lanes[1], key="threads-2")])
    assert table(summary, "Capacity").columns == ["workload", "prefork", "threads", "threads-2"]
    assert rows(summary, "Capacity")[0]["threads-2"] == "-"


def test_all_of_it_is_text(summary):
    for part in parts(summary):
        json.dumps(part.title)
        cells = [cell for row in part.rows for cell in row] if isinstance(part, Table) else part.lines
        assert all(isinstance(cell, str) for cell in cells)
        if isinstance(part, Table):
            assert {len(row) for row in part.rows} == {len(part.columns)}


def test_a_comparison_says_what_differs_and_what_changed(run_maker):
    before = run_maker("before")
    after = run_maker("after", speeds={"prefork": 1.5}, settings={"utilisation": 0.5})
    head, changes = comparison(compare_runs(read_run(before), read_run(after)))
    assert head.title == f"{after.name} against {before.name}"
    assert head.lines == ["utilisation: 0.7 before, 0.5 after"]
    assert changes.rows[0][:3] == ["sleep", "prefork", "capacity"]
    assert changes.rows[0][3].startswith("1.50  [")
    assert changes.rows[0][4] == "faster"
    assert {row[4] for row in changes.rows if row[1] == "threads"} == {"no difference"}


def test_a_comparison_of_like_with_like_says_so(run_maker):
    head, _ = comparison(compare_runs(read_run(run_maker("before")), read_run(run_maker("after"))))
    assert head.lines == ["The two runs were asked for the same, on the same machine and software."]
