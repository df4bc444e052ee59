"""The picture of the nodes: each one's share of its lane's jobs, and what further nodes add."""

import dataclasses

import polars as pl

from producer.charts.nodes import nodes
from producer.trials import Kind


def on_nodes(run, every, node="a@host"):
    """The run with every n-th job of threads on another node."""
    moved = (pl.col("lane") == "threads") & (pl.col("seq") % every == 0)
    return dataclasses.replace(
        run, records=run.records.with_columns(node=pl.when(moved).then(pl.lit(node)).otherwise("node"))
    )


def swept(summary, axis="nodes", **rates):
    """A sweep over 1, 2 and 4 nodes with these capacities by lane."""
    points = [
        {
            "value": str(count), "workload": "sleep", "verdicts": [],
            "lanes": [
                {"lane": lane, "capacity_per_s": found[place] and {"median": found[place]}}
                for lane, found in rates.items()
            ],
        }
        for place, count in enumerate((1, 2, 4))
    ]  # fmt: skip
    return {**summary, "sweep": {"axis": axis, "points": points, "findings": [], "crossover": None}}


def test_a_lane_is_a_bar_of_its_nodes_shares(sample):
    summary, run = sample
    found = nodes(summary, on_nodes(run, 4))
    # Six trials of 12 jobs on threads: of 72 every fourth, 18, on the other node.
    assert [(trace.y[0], trace.name, trace.x[0]) for trace in found.figure.data] == [
        ("prefork", "prefork@host", 100.0), ("threads", "a@host", 25.0), ("threads", "threads@host", 75.0),
    ]  # fmt: skip
    assert found.shows.endswith(
        "144 jobs that each node did. prefork has one node; threads: from 25.0 % on a@host to 75.0 % on threads@host, "
        "evenly 50.0 %."
    )
    assert "the fullest node of threads did 1.50 times its even part" in found.reads
    assert list(found.table.rows[1]) == ["threads", "a@host", "18", "25.0 %", "0.50"]


def test_nodes_of_a_lane_differ_without_colour(sample):
    summary, run = sample
    shapes = [trace.marker.pattern.shape for trace in nodes(summary, on_nodes(run, 4)).figure.data]
    assert shapes[1] != shapes[2]


def test_a_node_without_a_job_counts_as_one(sample):
    summary, run = sample
    there = [*run.manifest["nodes"], {"node": "idle@host", "lane": "threads"}]
    found = nodes(summary, dataclasses.replace(run, manifest={**run.manifest, "nodes": there}))
    assert "from 0.0 % on idle@host to 100.0 % on threads@host" in found.shows
    assert list(found.table.rows[-1]) == ["threads", "idle@host", "0", "0.0 %", "0.00"]


def test_neither_the_warm_up_nor_a_job_that_failed_counts(sample):
    summary, run = sample
    warm = [dataclasses.replace(t, kind=Kind.WARM_UP) if t.round == 0 else t for t in run.trials]
    failed = pl.when(pl.col("seq") == 0).then(pl.lit("failed")).otherwise("outcome")
    other = dataclasses.replace(on_nodes(run, 4), trials=warm)
    found = nodes(summary, dataclasses.replace(other, records=other.records.with_columns(outcome=failed)))
    # Four trials of eleven jobs, of which seq 4 and 8 are on the other node.
    assert [row[2] for row in found.table.rows] == ["44", "8", "36"]


def test_one_node_a_lane_has_no_balance_and_says_how_to_have_more(sample):
    found = nodes(*sample)
    assert (found.figure, found.table) == (None, None)
    assert found.missing.startswith("One node was measured on each lane")
    assert "--expect-nodes" in found.missing


def test_without_a_job_that_ended_no_node_was_measured(sample):
    summary, run = sample
    found = nodes(summary, dataclasses.replace(run, records=run.records.clear()))
    assert found.missing.startswith("No node ended a job")


def test_a_sweep_over_nodes_has_capacity_against_them_beside_a_straight_line(sample):
    summary, run = sample
    found = nodes(swept(summary, prefork=[10.0, 20.0, 40.0], threads=[10.0, 18.0, 30.0]), run)
    lines = {trace.name: (tuple(trace.x), tuple(trace.y)) for trace in found.figure.data}
    assert lines["threads"] == ((1, 2, 4), (10.0, 18.0, 30.0))
    assert lines["threads, straight"] == ((1, 2, 4), (10.0, 20.0, 40.0))
    assert "threads: 10.0/s with 1 and 30.0/s with 4" in found.shows
    assert "with 4 nodes threads reaches 75.0 % of it" in found.reads
    assert list(found.table.rows[-1]) == ["threads", "4", "30.0", "75.0 %"]


def test_a_value_without_capacity_is_left_out_and_other_sweeps_show_balance(sample):
    summary, run = sample
    found = nodes(swept(summary, threads=[10.0, None, 30.0]), run)
    assert [row[1] for row in found.table.rows] == ["1", "4"]
    assert nodes(swept(summary, axis="concurrency", threads=[1.0, 2.0, 3.0]), run).figure is None


def test_a_node_that_looks_like_a_tag_is_words(sample):
    summary, run = sample
    found = nodes(summary, on_nodes(run, 4, node="<b>x</b>"))
    assert "&lt;b&gt;x&lt;/b&gt;" in [trace.name for trace in found.figure.data]
    assert "<b>" not in str(found.figure.to_dict())
