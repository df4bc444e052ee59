"""What a sweep is asked to do: words of the command line become settings, and wrong ones are told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from producer.cli.sweep import sweep, sweep_settings
from producer.errors import UsageError
from producer.measure.sweep import SweepSettings
from producer.plan.axis import parse_axis
from producer.plan.lanes import parse_lanes

OVER = ("--over", "concurrency=1,2")


def asked(*words):
    """The settings that words on the command line become."""
    context = sweep.make_context("sweep", list(words))
    del context.params["as_json"], context.params["junit"], context.params["live"]
    return sweep_settings(**context.params)


def refusal(*words):
    with pytest.raises(UsageError) as refused:
        asked(*words)
    return str(refused.value)


def test_no_words_but_what_is_varied_mean_the_defaults():
    base = parse_lanes(["prefork", "threads"], concurrency=8, prefetch=4, acks="early")
    axis = parse_axis("payload=0,4KiB")
    assert asked("--over", "payload=0,4KiB") == SweepSettings(
        lanes=base, base=base, axis=axis, workloads=("io",), pairs=3
    )  # fmt: skip


def test_every_word_arrives_where_it_belongs():
    found = asked(
        "--over", "prefetch=1,4,16", "--workload", "noop", "--memory", "512MiB", "--pairs", "7", "--duration", "2s",
        "--utilisation", "0.6", "--margin", "0.1", "--lane", "threads:3:acks=late", "--job-duration", "30ms",
        "--arrivals", "constant", "--seed", "5", "--out", "elsewhere",
    )  # fmt: skip
    assert (found.axis.name, found.axis.values, found.workload) == ("prefetch", (1, 4, 16), "noop")
    assert (found.memory_bytes, found.pairs, found.trial_s) == (512 * 2**20, 7, 2.0)
    assert (found.utilisation, found.margin, found.job_s) == (0.6, 0.1, 0.03)
    assert (found.arrivals, found.seed, found.out) == ("constant", 5, Path("elsewhere"))
    assert [(lane.key, lane.slots, lane.prefetch, lane.acks) for lane in found.base] == [("threads", 3, 4, "late")]


def test_what_is_of_the_lanes_has_lanes_for_every_value_that_run_only_while_it_is_measured():
    found = asked(*OVER, "--lane", "prefork", "--lane", "threads:6")
    assert [(lane.key, lane.slots) for lane in found.lanes] == [
        ("prefork-c1", 1), ("threads-c1", 1), ("prefork-c2", 2), ("threads-c2", 2),
    ]  # fmt: skip
    assert [(lane.key, lane.slots) for lane in found.base] == [("prefork", 8), ("threads", 6)]
    assert not found.starts_all


@pytest.mark.parametrize("over", ["cpu-share=0,1", "payload=0,4KiB"])
def test_what_is_of_the_jobs_leaves_the_lanes_as_they_are_and_running(over):
    found = asked("--over", over, "--concurrency", "3")
    assert found.lanes == found.base
    assert [(lane.key, lane.slots) for lane in found.lanes] == [("prefork", 3), ("threads", 3)]
    assert found.starts_all


@pytest.mark.parametrize(
    ("words", "workload"),
    [
        (["--over", "concurrency=1,2"], "io"),
        (["--over", "payload=0,4KiB", "--workload", "cpu"], "cpu"),
        (["--over", "cpu-share=0..1"], "mixed"),
        (["--over", "cpu-share=0..1", "--workload", "mixed"], "mixed"),
    ],
)
def test_jobs_that_are_not_named_are_those_that_what_is_varied_is_of(words, workload):
    assert asked(*words).workloads == (workload,)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--over", "slots=1,2"], "--over 'slots=1,2': unknown 'slots'. Allowed: concurrency, nodes, prefetch, acks"),
        (["--over", "cpu-share=0,1", "--workload", "io"], "--workload 'io': only mixed jobs have a CPU share"),
        ([*OVER, "--workload", "slep"], "--workload 'slep': unknown. Allowed: cpu, disk, io"),
        ([*OVER, "--memory", "much"], "--memory 'much': must be a size"),
        ([*OVER, "--memory", "-1"], "--memory '-1': must be a size"),
        ([*OVER, "--pairs", "0"], "--pairs '0': must be a whole number from 1 to 1000"),
        ([*OVER, "--duration", "0.01s"], "--duration '0.01s': must be a time from 0.1s to 3600s"),
        ([*OVER, "--utilisation", "1"], "--utilisation '1': must be a number from 0.05 to 0.95"),
        ([*OVER, "--margin", "0"], "--margin '0': must be a number from 0.001 to 0.5"),
    ],
)
def test_a_wrong_word_is_told_with_its_option_and_what_is_right(words, said):
    assert said in refusal(*words)


@pytest.mark.parametrize("over", ["concurrency=1,2", "prefetch=1,4", "acks=early,late"])
def test_nodes_that_run_already_cannot_be_changed(over):
    words = ("--over", over, "--broker", "redis://host")
    assert f"--over {over.partition('=')[0]}: nodes that run already are raced as they are" in refusal(*words)
    assert asked(*words, "--start-nodes").broker_url == "redis://host"


@pytest.mark.parametrize("over", ["cpu-share=0,1", "payload=0,4KiB"])
def test_nodes_that_run_already_can_be_given_other_jobs(over):
    assert asked("--over", over, "--broker", "redis://host").attached


def test_what_is_written_down_names_every_point_with_its_jobs_and_its_lanes():
    found = asked(*OVER, "--workload", "sleep", "--memory", "1GiB", "--broker", "redis://:geheim@host", "--start-nodes")
    plain = json.loads(json.dumps(found.to_dict()))
    assert (plain["kind"], plain["sweep"]["axis"], plain["sweep"]["memory_bytes"]) == ("sweep", "concurrency", 2**30)
    assert plain["sweep"]["points"] == [
        {
            "value": "1",
            "workload": "sleep concurrency=1",
            "lanes": {"prefork-c1": "prefork", "threads-c1": "threads"},
        },
        {
            "value": "2",
            "workload": "sleep concurrency=2",
            "lanes": {"prefork-c2": "prefork", "threads-c2": "threads"},
        },
    ]
    assert [lane["key"] for lane in plain["sweep"]["base"]] == ["prefork", "threads"]
    assert [lane["key"] for lane in plain["lanes"]] == ["prefork-c1", "threads-c1", "prefork-c2", "threads-c2"]
    assert "geheim" not in str(plain)


def test_values_are_written_down_as_they_were_given():
    points = asked("--over", "payload=0,1.5KiB", "--workload", "noop").run_settings().sweep.points
    assert [(point.value, point.workload) for point in points] == [
        ("0", "noop payload=0"), ("1.5KiB", "noop payload=1.5KiB"),
    ]  # fmt: skip
    assert [point.lanes for point in points] == [{"prefork": "prefork", "threads": "threads"}] * 2


def test_lanes_of_nodes_that_run_already_are_written_down_by_the_names_under_which_they_were_found():
    found = asked("--over", "payload=0,4KiB", "--broker", "redis://host", "--queue", "fast", "--queue", "slow")
    lanes = tuple(replace(lane, key=key) for lane, key in zip(found.lanes, ("fast", "slow"), strict=True))
    sweep = replace(found, lanes=lanes).run_settings().sweep
    assert [point.lanes for point in sweep.points] == [{"fast": "fast", "slow": "slow"}] * 2
    assert [lane.key for lane in sweep.base] == ["fast", "slow"]


@pytest.mark.parametrize(("words", "least"), [((), 2), (("--queue", "fast"), 1)])
def test_one_node_is_enough_only_where_a_queue_is_named(words, least):
    on_nodes = ("--over", "payload=0,4KiB", "--broker", "redis://host", *words)
    assert asked(*on_nodes, "--expect-nodes", str(least)).expect_nodes == least
    assert f"whole number from {least}" in refusal(*on_nodes, "--expect-nodes", str(least - 1))
