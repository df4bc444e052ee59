"""What a report of a sweep says, in sentences and tables."""

from dataclasses import replace

import pytest
from nouns import percentiles_of, sweep_lane, sweep_point, verdict
from recorded import LANES as BASE

from producer.analysis.summary import summarise
from producer.analysis.sweep import Crossover, Finding, LaneAtDistance, LaneScaling, SweepSummary
from producer.analysis.usl import Estimate, Law
from producer.report.document import document
from producer.report.markdown import as_markdown
from producer.report.parts import Prose, Table
from producer.rundir.reader import read_run

MIB = 2**20
POINTS = [{"value": "2", "workload": "sleep", "lanes": {"prefork": "prefork", "threads": "threads"}}]
SETTINGS = {"kind": "sweep", "axis": "concurrency", "points": POINTS, "base": BASE, "memory_bytes": None}


def row(lane, *, capacity=20.0, memory_mib=50, n=2000, **others):
    """What a lane did at a value; None is what is not known."""
    times = percentiles_of(0.1, n=n, p90=0.2, p99=0.3, p99_9=0.4, max=0.5)
    known = {"rate_per_s": 14.0, "sojourn": times if n else None, "cpu_s_per_job": 0.0015, **others}
    return sweep_lane(lane, 2, capacity, memory_mib and memory_mib * MIB, **known)


def finding(lane="threads", best="16", knee="8", recommended="8", fits=("1", "8", "16")):
    return Finding(lane=lane, best=best, knee=knee, recommended=recommended, fits=fits)


JUDGED = verdict("prefork", ratio=2.0, low=1.9, high=2.1)


@pytest.fixture
def said(run_maker):
    """The parts of the report on a sweep, by the first words of their titles."""
    summary = summarise(read_run(run_maker(settings=SETTINGS)))

    def parts(points=(), findings=(), axis="concurrency", **changes):
        default = {"memory_bytes": None, "crossover": None, "scaling": None}
        found = SweepSummary(axis=axis, points=tuple(points), findings=tuple(findings), **{**default, **changes})
        return {part.title.partition(":")[0]: part for part in document(replace(summary, sweep=found))}

    return parts


def sentence(said, found, **changes):
    (line,) = said(findings=[found], **changes)["What that means"].lines
    return line


def rows(part):
    return [dict(zip(part.columns, cells, strict=True)) for cells in part.rows]


def test_the_heading_names_the_lanes_that_were_given_and_the_values(said):
    heading = next(iter(said().values()))
    assert heading.title.startswith("Sweep of 2023-11-14")
    assert heading.lines[0].startswith("prefork (2 slots, prefetch 4, acks early) against threads (2 slots")
    assert "sleep jobs over concurrency 2, 3 pairs at each" in heading.lines[0]


def test_without_a_bound_the_best_value_and_the_knee_are_told(said):
    assert sentence(said, finding()) == "threads: the most at concurrency 16, the knee at 8 (95 % of the most)."


def test_what_has_no_slots_has_no_knee(said):
    assert sentence(said, finding(best="4", knee=None, recommended="4"), axis="prefetch") == (
        "threads: the most at prefetch 4."
    )


def test_under_a_bound_what_to_take_is_told_with_all_that_fit(said):
    found = finding(recommended="1", fits=("1", "4"))
    assert sentence(said, found, memory_bytes=512 * MIB) == (
        "threads: the most at concurrency 16, the knee at 8 (95 % of the most); take 1 in 512 MiB, where 1, 4 fit."
    )


def test_where_nothing_fits_nothing_is_to_be_taken(said):
    assert sentence(said, finding(recommended=None, fits=()), memory_bytes=64 * MIB) == (
        "threads: the most at concurrency 16, the knee at 8 (95 % of the most); no value fits into 64.0 MiB."
    )


@pytest.mark.parametrize("memory_bytes", [None, MIB])
def test_a_lane_of_which_nothing_was_measured_to_the_end_says_so(said, memory_bytes):
    found = finding(best=None, knee=None, recommended=None, fits=())
    assert sentence(said, found, memory_bytes=memory_bytes) == "threads: no value was measured to the end."


@pytest.mark.parametrize(
    ("held", "lost", "line"),
    [
        (0.25, 0.5, "threads: keeps up to a CPU share of 0.25; from a CPU share of 0.5 on prefork does more."),
        (0.0, 0.5, "threads: keeps up to a CPU share of 0; from a CPU share of 0.5 on prefork does more."),
        (None, 0.0, "threads: keeps up at no lower share that was tried; from a CPU share of 0 on prefork does more."),
        (1.0, None, "threads: keeps up to a CPU share of 1; at none that was tried does prefork do more."),
        (None, None, "No share that was tried has a verdict on capacity between the pools. Use more --pairs."),
    ],
)
def test_the_crossover_comes_before_what_each_lane_did(said, held, lost, line):
    crossover = Crossover(threads_hold_to=held, prefork_wins_from=lost, one_core=("threads",), many_cores=("prefork",))
    parts = said(findings=[finding(best="0", knee=None)], axis="cpu-share", crossover=crossover)
    assert parts["What that means"].lines == [line, "threads: the most at cpu-share 0."]


def test_the_crossover_names_the_pools_that_were_measured(said):
    crossover = Crossover(
        threads_hold_to=0.25, prefork_wins_from=0.5, one_core=("gevent", "solo"), many_cores=("prefork",)
    )
    parts = said(findings=[finding(best="0", knee=None)], axis="cpu-share", crossover=crossover)
    line = "gevent and solo: keeps up to a CPU share of 0.25; from a CPU share of 0.5 on prefork does more."
    assert parts["What that means"].lines[0] == line


POINT = sweep_point("2", [row("prefork", capacity=40.0), row("threads")], [JUDGED])
BARE = sweep_point(
    "4",
    [row("prefork"), row("threads", capacity=None, memory_mib=None, n=0, cpu_s_per_job=None)],
    [replace(JUDGED, ratio=None, low=None, high=None, word="open"), replace(JUDGED, low=None, high=None)],
)


def test_each_lane_has_its_values_one_below_the_other(said):
    found = rows(said([POINT, BARE])["Over concurrency"])
    assert [(cells["lane"], cells["concurrency"], cells["capacity/s"]) for cells in found] == [
        ("prefork", "2", "40.0"), ("prefork", "4", "20.0"), ("threads", "2", "20.0"), ("threads", "4", "-"),
    ]  # fmt: skip
    assert {name: found[0][name] for name in ("rate/s", "p50", "p99", "memory", "CPU ms a job")} == {
        "rate/s": "14.0", "p50": "100 [-, -]", "p99": "300 [-, -]", "memory": "50.0 MiB", "CPU ms a job": "1.50",
    }  # fmt: skip
    assert {found[3][name] for name in ("p50", "p99", "memory", "CPU ms a job")} == {"-"}


def test_a_percentile_that_would_be_the_maximum_again_is_not_shown(said):
    """Of 99 jobs none lies beyond p99."""
    (found,) = rows(said([replace(POINT, lanes=(row("threads", n=99),))])["Over concurrency"])
    assert (found["p50"], found["p99"]) == ("100 [-, -]", "-")


def test_lanes_are_held_against_each_other_at_each_value(said):
    found = rows(said([POINT, BARE])["Lane against lane at each value"])
    assert [tuple(cells.values()) for cells in found] == [
        ("2", "capacity", "prefork / threads", "2.00  [1.90, 2.10]", "prefork, settled"),
        ("4", "capacity", "prefork / threads", "-", "open"),
        ("4", "capacity", "prefork / threads", "2.00", "prefork, settled"),
    ]


def test_one_lane_is_held_against_none(said):
    parts = said([replace(POINT, lanes=(row("threads"),), verdicts=())])
    assert list(parts)[1:] == ["Over concurrency", "What that means"]


def test_every_table_has_as_many_cells_as_columns_and_all_of_it_is_text(said):
    parts = said([POINT, BARE], [finding(), finding("prefork", None, None, None, ())], memory_bytes=MIB).values()
    tables = [part for part in parts if isinstance(part, Table)]
    assert len(tables) == 2
    for table in tables:
        assert {len(cells) for cells in table.rows} == {len(table.columns)}
        assert all(isinstance(cell, str) for cells in table.rows for cell in cells)
    assert all(isinstance(line, str) for part in parts if isinstance(part, Prose) for line in part.lines)


def test_a_run_directory_of_a_sweep_is_reported_from_its_trials(run_maker):
    path = run_maker(settings={**SETTINGS, "memory_bytes": 60 * MIB}, speeds={"prefork": 2.0})
    summary = summarise(read_run(path))
    text = as_markdown(document(summary))
    assert "prefork: the most at concurrency 2, the knee at 2 (95 % of the most); take 2 in 60.0 MiB" in text
    assert summary.workloads[0].recommendation.why == "a sweep recommends no lane"


def test_a_sweep_that_was_cut_short_before_its_first_value_has_a_heading_and_no_figures(run_maker):
    path = run_maker(settings=SETTINGS, pairs=0, status="incomplete", reason="Interrupted.")
    summary = summarise(read_run(path))
    titles = [part.title.split(" of ")[0] for part in document(summary)]
    assert titles == ["Sweep", "This run is not valid"]


LAW = Law(
    one_node_per_s=100.0,
    contention=Estimate(value=0.25, low=0.2, high=0.3),
    coherency=Estimate(value=0.01, low=0.005, high=0.02),
    largest=16,
    peak=Estimate(value=8.7, low=7.25, high=11.5),
    misfit=None,
)


def test_a_law_of_scaling_is_told_with_its_intervals_and_where_it_peaks(said):
    parts = said([POINT], [finding()], axis="nodes", scaling=(LaneScaling(lane="threads", law=LAW),))
    *_, told, bound = parts["What that means"].lines
    assert told == (
        "threads: one node does 100/s; of the work 0.250 (0.200 to 0.300) is done by one node at a time (contention), "
        "and each pair of nodes costs 0.010 (0.005 to 0.020) more (coherency); throughput peaks at about 8.7 nodes "
        "(7.2 to 11.5)."
    )
    assert bound.startswith("All nodes shared the ")
    assert bound.endswith("that is how it scales, and more machines may scale further.")


def test_a_law_without_an_interval_says_what_gives_one(said):
    law = replace(LAW, contention=Estimate(value=0.25, low=None, high=None))
    lines = said([POINT], [], axis="nodes", scaling=(LaneScaling(lane="threads", law=law),))["What that means"].lines
    assert "0.250 (no interval from so few trials: use more --pairs) is done by one node at a time" in lines[0]


SLIGHT = Estimate(value=0.01, low=0.0, high=0.02)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"peak": replace(LAW.peak, high=None)}, "; throughput peaks at about 8.7 nodes (7.2 or more)."),
        (
            {"peak": None},
            "; throughput peaks beyond the 16 nodes that were measured, and nothing is said of where.",
        ),
        (
            {"peak": None, "coherency": SLIGHT},
            "; no peak is shown by these values, and nothing is said beyond the 16 nodes that were measured.",
        ),
        (
            {"peak": None, "misfit": 0.142},
            (
                "; but these values do not follow the law, which is off by up to 14 %, more than their trials differ: "
                "no peak is named."
            ),
        ),
    ],
)
def test_of_a_peak_no_more_is_said_than_the_values_show(said, changes, told):
    scaling = (LaneScaling(lane="threads", law=replace(LAW, **changes)),)
    assert said([POINT], [], axis="nodes", scaling=scaling)["What that means"].lines[0].endswith(told)


def test_too_few_numbers_of_nodes_have_no_law(said):
    scaling = (LaneScaling(lane="threads", law=LAW), LaneScaling(lane="prefork", law=None))
    lines = said([POINT], [], axis="nodes", scaling=scaling)["What that means"].lines
    assert lines[1] == "prefork: no scaling fit: measure at least 3 node counts, ideally including 1."


def test_a_sweep_over_distances_has_the_measured_ping_and_what_each_lane_keeps(said):
    kept = (
        LaneAtDistance(lane="threads", near_ping_s=0.0001, near_per_s=1000.0, far_ping_s=0.0025, far_per_s=160.0),
        LaneAtDistance(lane="prefork", near_ping_s=0.0001, near_per_s=1000.0, far_ping_s=0.0025, far_per_s=950.0),
    )
    points = [sweep_point("2.5ms", [row("threads", ping_s=0.0025), row("prefork", ping_s=0.00251)])]
    parts = said(points, [finding()], axis="rtt", distance=kept)
    assert [each["PING ms"] for each in rows(parts["Over rtt"])] == ["2.50", "2.51"]
    told = rows(parts["Capacity that is kept at a distance from the broker"])
    assert [(each["lane"], each["kept"], each["jobs a round trip"]) for each in told] == [
        ("threads", "16 %", "0.4"), ("prefork", "95 %", "2.38"),
    ]  # fmt: skip
    assert "What that means" not in parts
    assert "PING ms" not in said(points, [finding()])["Over concurrency"].columns
