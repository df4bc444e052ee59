"""What follows from a sweep: the knee, what fits, and where threads stop winning."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import polars as pl
import pytest
from nouns import sweep_lane, sweep_point, verdict
from recorded import LANES as LANES_OF_TWO
from recorded import recorded

from producer.analysis.analyse import analyse
from producer.analysis.pairs import pair
from producer.analysis.summary import summarise
from producer.analysis.sweep import Crossover, Finding, _crossover, _distance, _finding, _scaling, sweep_summary
from producer.analysis.verdict import judge
from producer.rundir.reader import read_run

MIB = 2**20


def crossed(**shares):
    return Crossover(**shares, one_core=("threads",), many_cores=("prefork",))


def point(value, *rows):
    """Rows as (lane, slots, capacity, memory in MiB)."""
    lanes = [sweep_lane(lane, slots, capacity, memory and memory * MIB) for lane, slots, capacity, memory in rows]
    return sweep_point(value, lanes)


def asked(axis="concurrency", memory_bytes=None, **others):
    return recorded(kind="sweep", axis=axis, memory_bytes=memory_bytes, **others).sweep


POINTS = [
    point("1", ("threads", 1, 20.0, 50)),
    point("4", ("threads", 4, 80.0, 55)),
    point("8", ("threads", 8, 96.0, 60)),
    point("16", ("threads", 16, 100.0, 80)),
    point("32", ("threads", 32, None, 120)),
]


def found(axis="concurrency", memory_bytes=None):
    return _finding("threads", POINTS, asked(axis, memory_bytes))


def test_the_knee_is_the_fewest_slots_that_give_95_percent_of_the_most():
    assert (found().best, found().knee, found().recommended) == ("16", "8", "8")


def test_under_a_bound_the_knee_is_that_of_what_fits():
    bounded = found(memory_bytes=57 * MIB)
    assert (bounded.fits, bounded.recommended, bounded.knee) == (("1", "4"), "4", "8")


def test_where_nothing_fits_nothing_is_recommended():
    assert (found(memory_bytes=MIB).fits, found(memory_bytes=MIB).recommended) == ((), None)


def test_what_is_not_of_slots_has_no_knee_but_a_best_value():
    assert (found("prefetch").knee, found("prefetch").recommended) == (None, "16")


def test_a_lane_that_was_never_measured_has_no_best_value():
    assert _finding("prefork", POINTS, asked()).best is None


POOLS = {"prefork": "prefork", "prefork-2": "prefork", "threads": "threads", "threads-2": "threads"}


def judged(**words):
    return [
        sweep_point(share, verdicts=[verdict(word), verdict("prefork", measure="latency")])
        for share, word in words.items()
    ]


@pytest.mark.parametrize(
    ("words", "held", "lost"),
    [
        ({"0": "no difference", "0.25": "threads", "0.5": "open", "0.75": "prefork", "1": "prefork"}, 0.25, 0.75),
        ({"0": "no difference", "1": "no difference"}, 1.0, None),
        ({"0": "prefork", "1": "prefork"}, None, 0.0),
        ({"1": "prefork", "0": "threads"}, 0.0, 1.0),
        ({"0": "prefork", "0.5": "no difference", "1": "prefork"}, None, 0.0),
    ],
)
def test_threads_hold_up_to_a_share_and_prefork_wins_from_another(words, held, lost):
    assert _crossover(judged(**words), POOLS) == crossed(threads_hold_to=held, prefork_wins_from=lost)


def test_shares_at_which_nothing_could_be_said_decide_nothing():
    assert _crossover(judged(**{"0": "open", "1": "open"}), POOLS) == crossed(
        threads_hold_to=None, prefork_wins_from=None
    )


def test_what_threads_hold_to_lies_below_what_they_lose_from():
    words = {"0": "threads", "0.25": "prefork", "0.5": "no difference", "0.75": "prefork"}
    assert _crossover(judged(**words), POOLS) == crossed(threads_hold_to=0.0, prefork_wins_from=0.25)


def test_a_second_lane_of_a_pool_counts_as_the_pool():
    assert _crossover(judged(**{"0": "threads-2", "1": "prefork-2"}), POOLS) == crossed(
        threads_hold_to=0.0, prefork_wins_from=1.0
    )


def test_lanes_of_one_pool_against_each_other_say_nothing_of_the_pools():
    points = [sweep_point("0.5", verdicts=[verdict("prefork-2", b="prefork-2"), verdict("no difference")])]
    assert _crossover(points, POOLS) == crossed(threads_hold_to=0.5, prefork_wins_from=None)


def test_another_pool_of_one_core_stands_for_threads_under_its_own_name():
    points = [sweep_point("0.5", verdicts=[verdict("prefork", b="solo")])]
    found = _crossover(points, {"prefork": "prefork", "solo": "solo"})
    assert (found.prefork_wins_from, found.one_core, found.many_cores) == (0.5, ("solo",), ("prefork",))


def test_lanes_that_are_named_by_their_queue_are_known_by_their_pool():
    points = [sweep_point("0.5", verdicts=[verdict("fast", a="fast", b="slow")])]
    found = _crossover(points, {"fast": "prefork", "slow": "threads"})
    assert found == crossed(threads_hold_to=None, prefork_wins_from=0.5)


def test_the_knee_is_that_with_the_fewest_slots_in_whatever_order_values_were_measured():
    turned = _finding("threads", POINTS[::-1], asked())
    assert (turned.best, turned.knee) == ("16", "8")


@pytest.mark.parametrize(("capacity", "knee"), [(94.9, "2"), (95.0, "1"), (100.0, "1")])
def test_95_percent_of_the_most_are_enough(capacity, knee):
    points = [point("1", ("threads", 1, capacity, 50)), point("2", ("threads", 2, 100.0, 50))]
    assert _finding("threads", points, asked()).knee == knee


@pytest.mark.parametrize(("memory_mib", "fits"), [(54, ("1",)), (55, ("1", "4")), (80, ("1", "4", "8", "16"))])
def test_a_node_fits_where_all_of_it_takes_no_more_than_the_bound(memory_mib, fits):
    """32 slots were never measured to the end, so they do not count among what fits."""
    assert found(memory_bytes=memory_mib * MIB).fits == fits


def test_a_node_whose_memory_is_not_known_fits_only_where_there_is_no_bound():
    points = [point("1", ("threads", 1, 20.0, None)), point("2", ("threads", 2, 10.0, 50))]
    bounded = _finding("threads", points, asked(memory_bytes=60 * MIB))
    assert (bounded.fits, bounded.recommended, bounded.best) == (("2",), "2", "1")
    assert _finding("threads", points, asked()).fits == ("1", "2")


def test_each_lane_has_findings_of_its_own():
    points = [
        point("1", ("prefork", 1, 50.0, 90), ("threads", 1, 20.0, 50)),
        point("2", ("prefork", 2, 51.0, 150), ("threads", 2, 40.0, 51)),
    ]
    settings = asked(memory_bytes=100 * MIB)
    assert _finding("prefork", points, settings) == Finding(
        lane="prefork", best="2", knee="1", recommended="1", fits=("1",)
    )
    assert _finding("threads", points, settings).recommended == "2"


BASE = LANES_OF_TWO


def swept(make, *, axis="concurrency", memory_bytes=None, workload="sleep", **what):
    """A sweep of which one value was measured, on lanes of its own, and another was not come to."""
    points = [
        {"value": "2", "workload": workload, "lanes": {lane.key: lane.key for lane in LANES_OF_TWO}},
        {"value": "4", "workload": "nap", "lanes": {"prefork-c4": "prefork", "threads-c4": "threads"}},
    ]
    settings = {"kind": "sweep", "axis": axis, "points": points, "base": BASE, "memory_bytes": memory_bytes}
    return make(settings=settings, **what)


def figures(path):
    run = read_run(path)
    analysis = analyse(run.trials, run.sent, run.records)
    return sweep_summary(run, analysis, judge(pair(analysis.trials), 0.05))


def test_a_sweep_over_nodes_has_a_law_for_each_lane_from_all_its_trials():
    lanes = [{"value": str(n), "workload": f"sleep {n}", "lanes": {f"threads-n{n}": "threads"}} for n in (1, 2, 4)]
    settings = asked("nodes", points=lanes, base=LANES_OF_TWO[1:])
    trials = [
        SimpleNamespace(lane=f"threads-n{n}", workload=f"sleep {n}", capacity_per_s=per_s)
        for n in (1, 2, 4)
        for per_s in (100.0 * n, 100.0 * n, None)
    ]
    (found,) = _scaling(SimpleNamespace(trials=trials), settings)
    assert found.lane == "threads"
    assert found.law.one_node_per_s == pytest.approx(100, rel=1e-3)
    assert (found.law.contention.value, found.law.largest) == (0, 4)


def test_a_sweep_over_anything_else_has_no_law(run_maker):
    assert figures(swept(run_maker)).scaling is None


def test_a_value_has_what_each_lane_did_at_it(run_maker):
    """
    Twelve sleeps in two slots: ten end in the 0.5 s after the first two, and prefork is twice as fast. Each round is
    0.1 % slower than the one before it, so the median of three is that of the second.
    """
    (point_,) = figures(swept(run_maker, speeds={"prefork": 2.0})).points
    assert (point_.value, point_.workload) == ("2", "sleep")
    prefork, threads = point_.lanes
    assert (threads.lane, threads.slots, threads.rate_per_s) == ("threads", 2, 14.0)
    assert threads.capacity_per_s.median == pytest.approx(20 / 1.001)
    assert prefork.capacity_per_s.median == pytest.approx(40 / 1.001)
    assert (threads.sojourn.n, threads.sojourn.max) == (36, pytest.approx(0.6012, abs=1e-6))
    assert (threads.memory_bytes, threads.memory_per_slot_bytes) == (50 * MIB, 25 * MIB)
    assert threads.cpu_s_per_job == pytest.approx(0.001)
    assert threads.settlement.done == 72
    words = {verdict.measure: verdict.word for verdict in point_.verdicts}
    assert words == {"capacity": "prefork", "latency": "prefork"}


def test_memory_is_that_of_the_lane_between_its_first_and_its_last_turn(run_maker):
    """A turn may be too short for a sample of its own; what was seen before the first is none of it."""
    path = swept(run_maker)
    run = read_run(path)
    begins_at = min(trial.began_at for trial in run.trials if trial.lane == "threads")
    between = run.samples.filter(lane="threads").head(1)
    during = between.with_columns(at=pl.lit(begins_at + 2), pss_bytes=pl.lit(70 * MIB, pl.Int64))
    before = between.with_columns(at=pl.lit(begins_at - 2), pss_bytes=pl.lit(900 * MIB, pl.Int64))
    samples = pl.concat([during, before])
    analysis = analyse(run.trials, run.sent, run.records)
    (point_,) = sweep_summary(replace(run, samples=samples), analysis, []).points
    assert [row.memory_bytes for row in point_.lanes] == [None, 70 * MIB]


def test_memory_between_two_visits_of_a_value_is_none_of_it(run_maker):
    """Nodes are started again for each visit, and are small at first; meanwhile others are at work."""
    path = swept(run_maker)
    run = read_run(path)
    away = run.trials[4:8]
    trials = [replace(trial, workload="nap") if trial in away else trial for trial in run.trials]
    sample = run.samples.filter(lane="threads").head(1)
    visited = (run.trials[0].began_at + 5, run.trials[-1].ended_at - 1)
    seen = [(at, 70 * MIB) for at in visited] + [(away[1].began_at + part, MIB) for part in (0.0, 0.1, 0.2)]
    samples = pl.concat([sample.with_columns(at=pl.lit(at), pss_bytes=pl.lit(pss, pl.Int64)) for at, pss in seen])
    analysis = analyse(trials, run.sent, run.records)
    found = sweep_summary(replace(run, samples=samples, trials=trials), analysis, [])
    assert found.points[0].lanes[1].memory_bytes == 70 * MIB


def test_lanes_of_a_value_go_by_the_names_that_were_given(run_maker):
    lanes = [replace(lane, key=f"{lane.key}-c4", slots=4) for lane in LANES_OF_TWO]
    found = figures(swept(run_maker, workload="other", lanes=lanes))
    assert found.points == ()
    settings = {"kind": "sweep", "axis": "concurrency", "base": BASE, "memory_bytes": None}
    points = [{"value": "4", "workload": "sleep", "lanes": {"prefork-c4": "prefork", "threads-c4": "threads"}}]
    found = figures(run_maker("again", settings={**settings, "points": points}, lanes=lanes))
    assert [(row.lane, row.slots) for row in found.points[0].lanes] == [("prefork", 4), ("threads", 4)]
    assert [(each.lane, each.best) for each in found.findings] == [("prefork", "4"), ("threads", "4")]


def test_a_sweep_that_was_cut_short_before_its_first_value_finds_nothing(run_maker):
    found = figures(swept(run_maker, pairs=0))
    assert (found.points, found.findings, found.crossover) == ((), (), None)


def test_only_a_sweep_over_cpu_share_has_a_crossover(run_maker):
    assert figures(swept(run_maker, speeds={"prefork": 2.0})).crossover is None
    path = swept(partial(run_maker, "again"), axis="cpu-share", speeds={"prefork": 2.0})
    assert figures(path).crossover == crossed(threads_hold_to=None, prefork_wins_from=2.0)


def test_a_race_is_no_sweep_and_the_summary_of_a_sweep_has_it(run_maker):
    assert summarise(read_run(run_maker())).sweep is None
    path = swept(partial(run_maker, "again"), memory_bytes=60 * MIB)
    assert summarise(read_run(path)).sweep == figures(path)
    assert [each.recommended for each in figures(path).findings] == ["2", "2"]


def at_distances(**per_s):
    """Points of threads by the milliseconds of a PING."""
    return [
        sweep_point(
            name, [sweep_lane("threads", 8, value, ping_s=float(name.removeprefix("ms").replace("_", ".")) / 1000)]
        )
        for name, value in per_s.items()
    ]


def test_what_a_lane_keeps_is_its_capacity_where_a_ping_takes_longest_by_that_where_it_takes_least():
    (found,) = _distance(at_distances(ms10=30.0, ms0_1=1200.0, ms2=180.0), asked("rtt"))
    assert (found.lane, found.near_per_s, found.far_per_s) == ("threads", 1200.0, 30.0)
    assert (found.near_ping_s, found.far_ping_s) == pytest.approx((0.0001, 0.01))
    assert found.kept == pytest.approx(1 / 40)
    assert found.jobs_a_round_trip == pytest.approx(0.3)


def test_a_lane_that_was_measured_at_one_distance_keeps_nothing_that_is_known():
    assert _distance(at_distances(ms10=30.0, ms2=None), asked("rtt")) == ()
