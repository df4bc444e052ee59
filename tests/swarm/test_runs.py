"""Runs of each kind take the nodes of all three hosts, settle every job, and are sent from one host or from all."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from swarm.hosts import HOSTS, LANES, SLOTS, Swarm

SENT_PER_S, SENT_S = 30, 4


def run(swarm: Swarm, kind: str, *words: str) -> Any:
    """The summary of a run on all nodes."""
    summary = json.loads(swarm.poolrace(kind, "--expect-nodes", str(2 * len(HOSTS)), *words, "--json", check=False))
    assert summary["status"] == "complete", summary["problems"]
    assert [(lane["pool"], lane["nodes"], lane["slots"]) for lane in summary["lanes"]] == [
        (pool, len(HOSTS), len(HOSTS) * SLOTS) for pool in LANES
    ]
    assert summary["settlement"]["done"] == summary["settlement"]["sent"]
    return summary


def test_a_race_finds_the_nodes_of_all_hosts_and_settles_every_job(swarm: Swarm) -> None:
    assert swarm.spread()
    summary = run(swarm, "race", "--workload", "sleep", "--pairs", "2", "--duration", "0.5s")
    assert summary["settlement"]["sent"] > 100
    assert {lane["transport"] for lane in summary["lanes"]} == {"atomic"}


def test_a_limit_probes_the_nodes_of_all_hosts_and_settles_every_job(swarm: Swarm) -> None:
    words = ("--slo", "p99(sojourn) < 5s", "--mix", "sleep", "--probe", "1s", "--probes", "2", "--from", "20/s")
    found = run(swarm, "limit", *words)["limit"]
    assert [len(lane["probes"]) for lane in found["lanes"]] == [2, 2]
    assert all(lane["probes"][0]["rate_per_s"] == 20 for lane in found["lanes"])


def test_a_sweep_varies_the_jobs_on_the_nodes_of_all_hosts_and_settles_every_job(swarm: Swarm) -> None:
    words = ("--over", "payload=0,64KiB", "--workload", "sleep", "--pairs", "1", "--duration", "0.5s")
    found = run(swarm, "sweep", *words)["sweep"]
    assert [point["value"] for point in found["points"]] == ["0", "64KiB"]


def test_a_sweep_over_what_nodes_have_is_refused_with_what_can_be_varied(swarm: Swarm) -> None:
    ended = swarm.script("poolrace", "sweep", "--over", "nodes=1,2", check=False)
    assert ended.returncode == 2
    assert "nodes that run already are raced as they are" in ended.stderr


@pytest.fixture
def publishers(swarm: Swarm) -> Iterator[None]:
    """A publisher on each host."""
    swarm.scale_publishers(len(HOSTS))
    yield
    swarm.scale_publishers(0)


@pytest.mark.usefixtures("publishers")
def test_a_load_that_three_hosts_send_is_one_load_and_settles_every_job(swarm: Swarm) -> None:
    words = ("--rate", f"{SENT_PER_S}/s", "--arrivals", "constant", "--duration", f"{SENT_S}s", "--mix", "sleep")
    summary = run(swarm, "load", "--expect-publishers", str(len(HOSTS)), *words)
    for lane in summary["load"]["lanes"]:
        assert lane["offered_per_s"] == SENT_PER_S
        assert lane["settlement"]["sent"] == lane["settlement"]["done"] == SENT_PER_S * SENT_S
    clocks = swarm.manifest(summary["run"]["directory"])["publisher_clocks"]
    assert sorted(name.rpartition("-")[0] for name in clocks) == list(HOSTS)
    assert all(clock["bound_s"] > 0 for clock in clocks.values())
    shares = swarm.shares(summary["run"]["id"])
    assert set(shares) == set(clocks)
    assert sorted(map(sorted, shares.values())) == [["1 of 3"], ["2 of 3"], ["3 of 3"]]
