"""Workers are replaced under load by such at a distance: nothing is lost, and each host is as far as was asked."""

import json
from collections.abc import Iterator

import pytest
from swarm.fates import nothing_was_lost
from swarm.hosts import HOSTS, LANES, NOTED, Swarm, until
from swarm.load import Load, told

from producer.analysis.drill import Toll

RTT_S = {"node2": 0.01, "node3": 0.05}
"""Far apart, so that a busy machine does not make the nearer host seem the farther one."""


@pytest.fixture(scope="module")
def updated(swarm: Swarm) -> Iterator[Toll]:
    """An update, under load, to workers at a distance; what became of the jobs."""
    before = swarm.all_workers()
    rtts = " ".join(f"{host}={rtt_s}" for host, rtt_s in RTT_S.items())
    with Load(swarm) as load:
        with load.strikes("rolling update"):
            swarm.script("up", SWARM_FILES=f"{NOTED} deploy/swarm/distance.yml", POOLRACE_RELAY_RTT=rtts)
            until(lambda: not before & swarm.all_workers())
        load.goes_on()
    told("rolling update", load.toll)
    yield load.toll
    swarm.script("up", AT_ONCE=str(len(HOSTS)))


def test_a_rolling_update_under_load_loses_nothing(updated: Toll, swarm: Swarm) -> None:
    nothing_was_lost(updated)
    assert swarm.spread()


@pytest.mark.usefixtures("updated")
def test_each_host_is_as_far_from_redis_as_was_asked_and_the_nearer_one_is_nearer(swarm: Swarm) -> None:
    words = ("load", "--expect-nodes", "6", "--rate", "20/s", "--duration", "2s", "--mix", "sleep", "--json")
    summary = json.loads(swarm.poolrace(*words, check=False))
    assert summary["settlement"]["done"] == summary["settlement"]["sent"] > 30
    trips_s: dict[str, list[float]] = {}
    for clock in summary["clocks"]:
        trips_s.setdefault(clock["host"].rpartition("-")[0], []).append(clock["round_trip_s"])
    assert {host: len(found) for host, found in sorted(trips_s.items())} == dict.fromkeys(HOSTS, len(LANES))
    for host, rtt_s in RTT_S.items():
        assert min(trips_s[host]) >= rtt_s
    assert min(trips_s["node1"]) < min(trips_s["node2"]) < min(trips_s["node3"])
