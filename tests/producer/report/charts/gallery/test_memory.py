"""The picture of memory: private and shared, of all nodes of a lane, by slots where they vary, and the limit."""

import dataclasses

import polars as pl

from producer.report.charts.gallery.memory import memory

MIB = 2**20


def point(slots, **taken):
    """A value of a sweep over concurrency: MiB by lane."""
    lanes = [
        {"lane": lane, "slots": slots, "memory_bytes": size and size * MIB, "memory_per_slot_bytes": None}
        for lane, size in taken.items()
    ]
    return {"value": str(slots), "workload": f"sleep concurrency={slots}", "lanes": lanes, "verdicts": []}


def of_points(run, **private):
    """The samples of a run with a trial at 1 and at 8 slots, of lanes of their own; private MiB at both by lane."""
    first = run.trials[0]
    trials = [
        dataclasses.replace(first, trial=turn, lane=f"{lane}-{slots}", workload=f"sleep concurrency={slots}")
        for turn, slots in enumerate((1, 8))
        for lane in private
    ]
    samples = [
        run.samples[:1].with_columns(
            lane=pl.lit(f"{lane}-{slots}"), at=pl.lit(first.began_at), private_bytes=pl.lit(size * MIB, dtype=pl.UInt64)
        )
        for lane, sizes in private.items()
        for slots, size in zip((1, 8), sizes, strict=True)
    ]
    return dataclasses.replace(run, trials=trials, samples=pl.concat(samples))


def swept(summary, *points, limit=None, axis="concurrency"):
    found = {
        "axis": axis,
        "memory_bytes": limit,
        "points": list(points),
        "findings": [],
        "crossover": None,
        "scaling": None,
    }
    asked = [
        {**each, "lanes": {f"{lane['lane']}-{each['value']}": lane["lane"] for lane in each["lanes"]}}
        for each in points
    ]
    lanes = [{**summary["lanes"][0], "key": key, "nodes": 1} for each in asked for key in each["lanes"]]
    return {**summary, "lanes": lanes, "sweep": found, "settings": {**summary["settings"], "points": asked}}


def without_private(samples):
    """As on a system that does not report it."""
    return samples.with_columns(private_bytes=pl.lit(None, dtype=pl.UInt64))


def limited(summary, size):
    return {**summary, "machine": {**summary["machine"], "limits": {"memory_bytes": size, "cpu_quota": None}}}


def test_a_lane_is_a_bar_of_its_nodes(sample):
    summary, run = sample
    second = run.samples.with_columns(
        node=pl.lit("second@host"),
        pss_bytes=pl.lit(30 * MIB, dtype=pl.UInt64),
        private_bytes=pl.lit(12 * MIB, dtype=pl.UInt64),
    )
    both = pl.concat([run.samples, second.filter(pl.col("lane") == "threads")])
    found = memory(summary, dataclasses.replace(run, samples=both))
    assert [(trace.x[0], trace.name, trace.y[0]) for trace in found.figure.data] == [
        ("prefork", "prefork@host private", 40.0), ("prefork", "prefork@host shared", 10.0),
        ("threads", "second@host private", 12.0), ("threads", "second@host shared", 18.0),
        ("threads", "threads@host private", 40.0), ("threads", "threads@host shared", 10.0),
    ]  # fmt: skip
    assert found.figure.data[0].text == "prefork@host: 40.0 MiB private"
    assert found.figure.layout.barmode == "stack"
    assert (
        "prefork 50.0 MiB for 2 slots, 40.0 MiB of it private; threads 80.0 MiB for 2 slots on 2 nodes" in found.shows
    )
    assert "a slot takes 25.0 MiB on prefork, 40.0 MiB on threads" in found.reads
    assert [list(row) for row in found.table.rows] == [
        ["prefork", "2", "1", "50.0 MiB", "40.0 MiB", "10.0 MiB", "25.0 MiB", "-"],
        ["threads", "2", "2", "80.0 MiB", "52.0 MiB", "28.0 MiB", "40.0 MiB", "-"],
    ]  # fmt: skip


def test_a_run_that_knows_no_private_memory_shows_the_whole_and_says_so(sample):
    summary, run = sample
    found = memory(summary, dataclasses.replace(run, samples=without_private(run.samples)))
    assert [(trace.name, trace.y[0]) for trace in found.figure.data] == [("prefork@host", 50.0), ("threads@host", 50.0)]
    assert [row[4:6] for row in found.table.rows] == [["-", "-"], ["-", "-"]]
    assert "is not known of prefork, threads:" in found.table.note
    assert "private" not in found.shows + found.reads


def test_one_node_of_which_private_memory_is_unknown_leaves_its_lane_undivided(sample):
    summary, run = sample
    one = run.samples.filter(pl.col("lane") == "threads").with_columns(node=pl.lit("second@host"))
    both = pl.concat([run.samples, without_private(one)])
    found = memory(summary, dataclasses.replace(run, samples=both))
    assert [row[4:6] for row in found.table.rows] == [["40.0 MiB", "10.0 MiB"], ["-", "-"]]
    assert "is not known of threads:" in found.table.note


def test_lanes_differ_without_colour(sample):
    shapes = [trace.marker.pattern.shape for trace in memory(*sample).figure.data]
    assert len(set(shapes)) == 2


def test_a_limit_that_is_near_is_a_line(sample):
    summary, run = sample
    found = memory(limited(summary, 100 * MIB), run)
    assert [shape.y0 for shape in found.figure.layout.shapes] == [100.0]
    assert "The limit is 100 MiB (the container), the dashed line." in found.shows
    assert [row[-1] for row in found.table.rows] == ["50 %", "50 %"]


def test_a_limit_far_above_is_told_and_does_not_flatten_the_bars(sample):
    summary, run = sample
    found = memory(limited(summary, 512 * MIB), run)
    assert not found.figure.layout.shapes
    assert "The limit is 512 MiB (the container), too far above to be drawn." in found.shows


def test_a_sweep_over_concurrency_is_a_chart_a_lane_against_slots_with_the_limit_as_a_rule(sample):
    summary, run = sample
    points = [point(1, prefork=60, threads=50), point(8, prefork=200, threads=57)]
    found = memory(swept(summary, *points, limit=180 * MIB), of_points(run, prefork=(20, 150), threads=(30, 36)))
    assert [(trace.name, tuple(trace.x), tuple(trace.y), trace.xaxis) for trace in found.figure.data] == [
        ("prefork private", (1, 8), (20.0, 150.0), "x"),
        ("prefork private and shared", (1, 8), (60.0, 200.0), "x"),
        ("threads private", (1, 8), (30.0, 36.0), "x2"),
        ("threads private and shared", (1, 8), (50.0, 57.0), "x2"),
    ]
    assert [trace.fill for trace in found.figure.data] == ["tozeroy", "tonexty"] * 2
    assert {shape.y0 for shape in found.figure.layout.shapes} == {180.0}
    assert len({trace.fillpattern.shape for trace in found.figure.data}) == 2
    assert "prefork 60.0 MiB to 200 MiB from 1 to 8 slots, 150 MiB of it private" in found.shows
    # (200 - 60) / 7 and (57 - 50) / 7
    assert "20.0 MiB on prefork, 1.00 MiB on threads" in found.reads
    assert found.reads.endswith("beyond the limit is prefork with 8 slots.")
    assert [row[4:6] for row in found.table.rows][:2] == [["20.0 MiB", "40.0 MiB"], ["30.0 MiB", "20.0 MiB"]]


def test_a_sweep_that_knows_no_private_memory_is_a_line_a_lane(sample):
    summary, run = sample
    points = [point(1, prefork=60, threads=50), point(8, prefork=200, threads=57)]
    found = memory(swept(summary, *points), run)
    assert [(trace.name, tuple(trace.y), trace.fill) for trace in found.figure.data] == [
        ("prefork", (60.0, 200.0), None), ("threads", (50.0, 57.0), None),
    ]  # fmt: skip
    assert len({trace.marker.symbol for trace in found.figure.data}) == 2
    assert len({trace.line.dash for trace in found.figure.data}) == 2
    assert "is not known of prefork, threads:" in found.table.note


def test_a_lane_that_was_not_sampled_is_left_out_and_without_any_it_says_so(sample):
    summary, run = sample
    some = run.samples.filter(pl.col("lane") == "threads")
    assert [row[0] for row in memory(summary, dataclasses.replace(run, samples=some)).table.rows] == ["threads"]
    none = memory(summary, dataclasses.replace(run, samples=run.samples.clear()))
    assert (none.figure, none.table) == (None, None)
    assert "run longer there" in none.missing
    assert memory(swept(summary, point(1, prefork=None)), run).figure is None


def test_a_sweep_over_nodes_is_against_the_slots_that_they_bring_and_says_how_many_they_are(sample):
    summary, run = sample
    asked = swept(summary, point(1, threads=50), point(8, threads=120), axis="nodes")
    lanes = [{**summary["lanes"][1], "key": f"threads-{slots}", "slots": slots, "nodes": slots} for slots in (1, 8)]
    found = memory({**asked, "lanes": lanes}, of_points(run, threads=(40, 90)))
    assert [trace.x for trace in found.figure.data] == [(1, 8), (1, 8)]
    assert [row[:5] for row in found.table.rows] == [
        ["threads", "1", "1", "50.0 MiB", "40.0 MiB"], ["threads", "8", "8", "120 MiB", "90.0 MiB"],
    ]  # fmt: skip
