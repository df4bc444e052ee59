"""A search for the limit and sweeps on real nodes: every probe and value is in the summary, and nothing is left."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integration.commands import is_of_the_machine, poolrace

from producer.rundir.reader import read_run
from producer.rundir.run import Run
from producer.rundir.trials import Kind

SMALL = ("--concurrency", "2", "--job-duration", "20ms", "--json")


def ran(folder: Path, *words: str) -> tuple[int, dict[str, Any], Run]:
    with poolrace(folder, *words, *SMALL, "--out", str(folder / "runs")) as command:
        code, out, err = command.finish()
        command.assert_nothing_left()
    assert "Traceback" not in err
    (run,) = (folder / "runs").iterdir()
    return code, json.loads(out), read_run(run)


def assert_good(code: int, summary: dict[str, Any]) -> None:
    """Nothing was wrong but what a busy machine makes of the generator, which is told and no fault of the program."""
    assert [problem for problem in summary["problems"] if not is_of_the_machine(problem)] == []
    assert code == (4 if summary["problems"] else 0)


@pytest.mark.heavy
def test_the_limit_of_a_lane_that_sleeps_is_what_its_slots_can_do(tmp_path: Path) -> None:
    words = ("--lane", "threads:2", "--mix", "sleep", "--probe", "1s", "--precision", "0.5", "--arrivals", "constant")
    code, summary, run = ran(tmp_path, "limit", "--slo", "p99(sojourn) < 2s", *words)
    assert_good(code, summary)
    (lane,) = summary["limit"]["lanes"]
    # Two slots of 20 ms do a hundred a second, and no machine makes that more; even a very busy one does some.
    assert 5 < lane["limit_per_s"] < 115
    assert lane["low_per_s"] < lane["limit_per_s"] < lane["high_per_s"]
    probes = [trial for trial in run.trials if trial.kind is Kind.PROBE]
    assert [each["trial"] for each in lane["probes"]] == [trial.trial for trial in probes]
    for trial in probes:
        gaps_s = np.diff(run.sent.filter(trial=trial.trial)["due_at"].to_numpy())
        assert gaps_s == pytest.approx(1 / trial.rate_per_s, abs=1e-5)


@pytest.mark.heavy
def test_nodes_of_one_value_are_gone_while_the_next_is_measured(tmp_path: Path) -> None:
    words = ("--workload", "sleep", "--pairs", "1", "--duration", "1s", "--memory", "10GiB")
    code, summary, run = ran(tmp_path, "sweep", "--over", "concurrency=1,4", *words)
    assert_good(code, summary)
    assert [node.lane for node in run.manifest.nodes] == ["prefork-c1", "threads-c1", "prefork-c4", "threads-c4"]
    first = {trial.lane for trial in run.trials[: len(run.trials) // 2]}
    assert first == {"prefork-c1", "threads-c1"}
    begins_at = min(trial.began_at for trial in run.trials if trial.lane.endswith("c4"))
    old = run.samples.filter(run.samples["lane"].str.ends_with("c1") & (run.samples["at"] > begins_at + 1))
    assert old.height == 0
    one, four = summary["sweep"]["points"]
    for before, after in zip(one["lanes"], four["lanes"], strict=True):
        assert (before["slots"], after["slots"]) == (1, 4)
        assert before["capacity_per_s"]["median"] > 0
        assert after["memory_bytes"] > 10 * 2**20
    used = {lane: records.select("pid", "thread_id").n_unique() for (lane,), records in run.records.group_by("lane")}
    assert used == {"prefork-c1": 1, "threads-c1": 1, "prefork-c4": 4, "threads-c4": 4}
    assert all(found["fits"] == ["1", "4"] for found in summary["sweep"]["findings"])


@pytest.mark.heavy
@pytest.mark.parametrize(("pool", "most"), [("threads", 3), ("prefork", 2)])
def test_each_number_of_nodes_is_raced_and_all_of_them_work(tmp_path: Path, pool: str, most: int) -> None:
    counts = range(1, most + 1)
    words = ("--lane", pool, "--workload", "sleep", "--pairs", "1", "--duration", "0.3s")
    code, summary, run = ran(tmp_path, "sweep", "--over", f"nodes={','.join(map(str, counts))}", *words)
    assert_good(code, summary)
    host = run.manifest.nodes[0].node.partition("@")[2]
    names = [sorted(node.node for node in run.manifest.nodes if node.lane == f"{pool}-n{count}") for count in counts]
    several = [[f"{pool}-n{count}-n{number}@{host}" for number in range(1, count + 1)] for count in counts[1:]]
    assert names == [[f"{pool}-n1@{host}"], *several]
    used = run.records.filter(run.records["lane"] == f"{pool}-n{most}")
    assert set(used["node"]) == set(names[-1])
    assert used.select("node", "pid", "thread_id").n_unique() == most * 2
    assert [[row["slots"] for row in point["lanes"]] for point in summary["sweep"]["points"]] == [
        [2 * count] for count in counts
    ]
    (found,) = summary["sweep"]["scaling"]
    if most < 3:
        assert found["law"] is None
    else:
        assert (found["law"]["largest"], found["law"]["one_node_per_s"] > 0) == (most, True)
        assert found["law"]["contention"]["low"] is None


VARIED = [
    ("transport=stock,atomic", "sleep", ["stock", "atomic"]),
    ("prefetch=1,3", "sleep", ["1", "3"]),
    ("cpu-share=0,1", "mixed", ["0", "1"]),
    ("payload=0,64KiB", "noop", ["0", "64KiB"]),
    ("acks=early,late", "sleep", ["early", "late"]),
]


@pytest.fixture(scope="module")
def sweeps(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[Any]]]:
    """The sweeps by what is varied; two at the same time, since most of it is waiting for nodes."""
    with ThreadPoolExecutor(2) as together:
        yield {
            over: together.submit(
                ran, tmp_path_factory.mktemp("sweep"), "sweep", "--over", over, "--workload", workload, "--pairs", "1",
                "--duration", "0.2s",
            )
            for over, workload, _ in VARIED
        }  # fmt: skip


@pytest.mark.heavy
@pytest.mark.parametrize(("over", "workload", "values"), VARIED)
def test_other_things_are_varied_as_well(
    sweeps: dict[str, Future[Any]], over: str, workload: str, values: list[str]
) -> None:
    code, summary, run = sweeps[over].result()
    assert_good(code, summary)
    for lane in run.manifest.settings.lanes:
        told = [node.hello for node in run.manifest.nodes if node.lane == lane.key]
        assert [(hello["prefetch_multiplier"], hello["acks"], hello["transport"]) for hello in told] == [
            (lane.prefetch, lane.acks, lane.transport)
        ]
    assert [point["value"] for point in summary["sweep"]["points"]] == values
    assert all(row["settlement"]["done"] for point in summary["sweep"]["points"] for row in point["lanes"])
    assert (summary["sweep"]["crossover"] is None) == (workload != "mixed")


@pytest.mark.heavy
def test_nodes_at_a_distance_do_what_fits_into_its_round_trips(tmp_path: Path) -> None:
    words = ("--workload", "noop", "--lane", "threads:2", "--lane", "threads:2:transport=atomic", "--pairs", "1")
    code, summary, run = ran(tmp_path, "sweep", "--over", "rtt=0,20ms", *words, "--duration", "1s")
    assert_good(code, summary)
    asked = {each.lane: each for each in run.manifest.distances}
    assert {lane: each.rtt_s for lane, each in asked.items()} == {
        "threads-r0": 0.0, "threads-atomic-r0": 0.0, "threads-r20ms": 0.02, "threads-atomic-r20ms": 0.02,
    }  # fmt: skip
    assert all(each.ping_s >= each.rtt_s for each in asked.values())
    assert all(bool(each.chunks) == bool(each.rtt_s) for each in asked.values())
    kept = {each["lane"]: each for each in summary["sweep"]["distance"]}
    # A stock node asks for each job by itself: no more than one fits into a round trip.
    assert kept["threads"]["far_per_s"] < 1 / 0.02
    assert kept["threads-atomic"]["far_per_s"] > kept["threads"]["far_per_s"]
    used = {lane: records.height for (lane,), records in run.records.group_by("lane")}
    assert set(used) == set(asked)


def test_a_distance_is_refused_where_it_cannot_be(tmp_path: Path) -> None:
    for words, message in {
        ("race", "--rtt", "2ms", "--broker", "redis://127.0.0.1:1/0"): "--start-nodes",
        ("race", "--rtt", "2ms", "--start-nodes", "--broker", "rediss://h:1/0"): "lead past it",
        ("sweep", "--over", "rtt=0,2ms", "--start-nodes", "--broker", "sentinel://h:1/0"): "lead past it",
        ("race", "--rtt", "2 miles"): "--rtt '2 miles': must be a time",
    }.items():
        with poolrace(tmp_path, *words) as command:
            code, _, err = command.finish()
        assert (code, message in err) == (2, True), err
