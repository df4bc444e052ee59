"""The stack on three hosts: no job is lost by what is done to it or breaks, and what is wrong is told."""

import json
import os
import time
from typing import Any

from swarm.fates import nothing_was_lost
from swarm.hosts import HOSTS, LANES, LOCAL_SWARM, PREFETCH, SLOTS, Swarm, until
from swarm.load import Load, told

AWAY_S = 14.0
"""Longer than the visibility timeout: what the host that is away had taken goes to others meanwhile."""


def test_a_second_up_changes_nothing(swarm: Swarm) -> None:
    before = {lane: swarm.tasks(lane) for lane in LANES}
    ended = swarm.script("up")
    assert "all services are up" in ended.stderr
    assert {lane: swarm.tasks(lane) for lane in LANES} == before


def test_secrets_of_other_contents_are_refused_before_anything_changes(swarm: Swarm, tmp_path: Any) -> None:
    ended = swarm.script("up", check=False, POOLRACE_SECRETS_DIR=str(tmp_path / "others"))
    assert ended.returncode == 3
    assert "has a secret poolrace_broker-password already, with other contents than" in ended.stderr
    assert "deploying" not in ended.stderr


def test_a_scale_from_three_to_one_under_load_loses_nothing(swarm: Swarm) -> None:
    with Load(swarm) as load:
        with load.strikes("scale to one"):
            swarm.scale(1)
            until(lambda: sum(len(swarm.workers(host)) for host in HOSTS) == len(LANES))
        load.goes_on()
    swarm.scale(len(HOSTS))
    told("scale 3 to 1", load.toll)
    nothing_was_lost(load.toll)


def test_a_host_that_is_killed_loses_nothing_and_works_again_once_it_is_back(swarm: Swarm) -> None:
    swarm.spread_again()
    with Load(swarm, with_long=True) as load:
        load.long_begins("node3")
        with load.strikes("host killed"):
            swarm.fault("kill", "node3")
        load.goes_on()
        until(lambda: swarm.status("node3") == "down")
        swarm.fault("start", "node3")
        until(lambda: swarm.status("node3") == "ready")
        load.goes_on()
    told("host killed", load.toll)
    nothing_was_lost(load.toll)
    assert load.toll.repeated > 0
    swarm.spread_again()
    assert works(swarm, "node3")


def test_a_host_that_is_cut_off_and_healed_loses_nothing(swarm: Swarm) -> None:
    swarm.spread_again()
    with Load(swarm) as load:
        with load.strikes("host cut off"):
            swarm.fault("cut", "node3")
        began = time.monotonic()
        load.goes_on()
        until(lambda: time.monotonic() - began > AWAY_S)
        with load.strikes("host healed"):
            swarm.fault("heal", "node3")
            until(lambda: swarm.status("node3") == "ready")
            load.goes_on()
    told("host cut off", load.toll)
    nothing_was_lost(load.toll)
    swarm.spread_again()
    assert works(swarm, "node3")


def test_a_drill_has_a_host_killed_by_one_command_and_tells_which_of_its_nodes_went_and_what_that_cost(
    swarm: Swarm,
) -> None:
    swarm.spread_again()
    kill = f"{os.environ[LOCAL_SWARM]} kill node3"
    busy = ("--job-duration", "0.5s", "--rate", f"{2 * SLOTS * len(HOSTS)}/s")
    words = ("--expect-nodes", str(len(HOSTS) * len(LANES)), *busy, "--fault-command", kill, "--json")
    ended = swarm.script("poolrace", "drill", *words, check=False)
    swarm.fault("start", "node3")
    until(lambda: swarm.status("node3") == "ready")
    results = json.loads(ended.stdout)["results"]
    assert (ended.returncode, [each["short"] for each in results]) == (0, [[], []]), ended.stderr
    for each in results:
        toll = each["toll"]
        assert toll["sent"] == toll["done"] > 30
        assert 0 < toll["repeated"] <= len(HOSTS) * SLOTS * (1 + PREFETCH)
        assert toll["unexplained"] == 0
        (went,) = {seen["node"] for seen in each["seen"] if seen["what"] == "went"}
        assert went.partition("@")[2].startswith("node3-")
        assert f"{went} went" in {job["explained_by"] for job in each["told"]}
    swarm.spread_again()


def works(swarm: Swarm, host: str) -> bool:
    """Whether a host begins jobs that are sent now."""
    with Load(swarm) as load:
        return bool(until(lambda: any(note.job.startswith(load.name) for note in swarm.ledger(host).notes())))


def test_a_host_without_the_image_is_named_and_the_workers_stay_as_they_were(swarm: Swarm) -> None:
    name, before = "poolrace:elsewhere", swarm.images()
    swarm.docker("build", "-q", "-t", name, "-", given="FROM poolrace:0.1.0\nLABEL elsewhere=true\n")
    ended = swarm.script("up", check=False, POOLRACE_IMAGE=name, DOCKER_HOST=swarm.engine("node1"))
    assert ended.returncode == 3
    assert f"there is no image {name} on node" in ended.stderr
    assert "on node1" not in ended.stderr
    until(lambda: swarm.images() == before)
    until(swarm.spread)


def test_down_on_a_manager_removes_all_that_up_has_made_on_all_hosts(swarm: Swarm) -> None:
    others = " ".join(swarm.engine(host) for host in HOSTS[1:])
    swarm.script("down", DOCKER_HOST=swarm.engine("node1"), SWARM_ENGINES=others)
    for host in HOSTS:
        for words in (("ps", "-aq"), ("volume", "ls", "-q"), ("network", "ls", "-q")):
            assert swarm.docker(*words, "--filter", "label=com.docker.stack.namespace=poolrace", host=host) == ""
    assert swarm.docker("service", "ls", "-q") == ""
    assert swarm.docker("secret", "ls", "-q") == ""
    assert swarm.docker("node", "ls", "-q", "--filter", "node.label=poolrace.broker=true") == ""
    assert not swarm.secrets.exists()
