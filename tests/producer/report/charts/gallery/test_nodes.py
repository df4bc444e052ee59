"""The picture of the nodes: each one's share of its lane's jobs."""

import dataclasses

import polars as pl

from producer.report.charts.gallery.nodes import nodes
from producer.rundir.manifest import NodeFacts
from producer.rundir.trials import Kind


def on_nodes(run, every, node="a@host"):
    """The run with every n-th job of threads on another node."""
    moved = (pl.col("lane") == "threads") & (pl.col("seq") % every == 0)
    return dataclasses.replace(
        run, records=run.records.with_columns(node=pl.when(moved).then(pl.lit(node)).otherwise("node"))
    )


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
    there = (*run.manifest.nodes, NodeFacts(node="idle@host", lane="threads", ready_s=None))
    found = nodes(summary, dataclasses.replace(run, manifest=dataclasses.replace(run.manifest, nodes=there)))
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
    assert "poolrace race --lane prefork:4:nodes=2 --lane threads:4:nodes=2;" in found.missing
    assert "--expect-nodes" in found.missing


def test_lanes_that_a_sweep_made_of_one_look_alike(sample):
    summary, run = sample
    moved = on_nodes(run, 4)
    same = [{"value": "1", "lanes": {"prefork": "pool"}}, {"value": "2", "lanes": {"threads": "pool"}}]
    summary = {**summary, "settings": {**summary["settings"], "points": same}}
    assert len({trace.marker.color for trace in nodes(summary, moved).figure.data}) == 1
    assert len({trace.marker.color for trace in nodes(sample[0], moved).figure.data}) == 2


def test_without_a_job_that_ended_no_node_was_measured(sample):
    summary, run = sample
    found = nodes(summary, dataclasses.replace(run, records=run.records.clear()))
    assert found.missing.startswith("No node ended a job")


def test_a_node_that_looks_like_a_tag_is_words(sample):
    summary, run = sample
    found = nodes(summary, on_nodes(run, 4, node="<b>x</b>"))
    assert "&lt;b&gt;x&lt;/b&gt;" in [trace.name for trace in found.figure.data]
    assert "<b>" not in str(found.figure.to_dict())
