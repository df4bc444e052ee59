"""Nodes at a distance are given a relay's address; the distance is measured and told with what the relay costs."""

from dataclasses import replace

import pytest
import redis

from producer.deadlines import until
from producer.errors import FleetError
from producer.fleet import distance
from producer.fleet.distance import Distances, round_trip_s
from producer.fleet.embedded import start_embedded
from producer.fleet.processes import Processes
from producer.plan.lanes import parse_lane


@pytest.fixture(scope="module")
def site():
    """A broker, and distances to it with their processes and the folder of their logs."""
    with Processes() as processes:
        folder = processes.folder()
        broker = start_embedded(processes, folder)
        yield processes, folder, broker, Distances(processes, folder, broker.url)


def lane(key, rtt):
    return replace(parse_lane(f"threads:2:rtt={rtt}" if rtt else "threads:2"), key=key)


def test_a_lane_that_asks_for_no_distance_has_the_brokers_own_address(site):
    _, _, broker, distances = site
    assert distances.url(lane("near", None)) == broker.url
    assert "near" not in {each.lane for each in distances.found()}


def test_a_distance_of_0_is_measured_without_a_relay(site):
    _, _, broker, distances = site
    assert distances.url(lane("zero", "0")) == broker.url
    (found,) = [each for each in distances.found() if each.lane == "zero"]
    assert found.ping_s == found.direct_s > 0
    assert found.chunks is None


def test_a_relay_has_the_login_and_the_database_of_the_broker_and_is_started_once(site):
    _, _, broker, distances = site
    far = lane("far", "20ms")
    url = distances.url(far)
    assert url != broker.url
    assert url == distances.url(far)
    with redis.Redis.from_url(url) as client:
        assert client.ping()
    assert round_trip_s(url) >= 0.02


def test_what_was_measured_is_told_with_the_cost_of_the_relay(site):
    _, _, _, distances = site
    distances.url(lane("far", "20ms"))

    def told():
        return [each for each in distances.found() if each.lane == "far" and each.chunks]

    (found,) = until(told, 10)
    assert found.rtt_s == 0.02
    assert found.direct_s < 0.02 <= found.ping_s
    assert found.cpu_s > 0


def test_a_relay_that_cannot_start_is_told_with_the_end_of_its_log(site, tmp_path, monkeypatch):
    processes, _, broker, _ = site
    monkeypatch.setattr(distance, "RELAY", "producer.fleet.no_such_module")
    with pytest.raises(FleetError, match="The relay of far ended with exit code 1") as failed:
        Distances(processes, tmp_path, broker.url).url(lane("far", "20ms"))
    assert "no_such_module" in str(failed.value)


def test_a_relay_of_an_earlier_part_of_the_run_in_the_same_log_is_not_taken_for_this_one(site, tmp_path):
    processes, _, broker, _ = site
    (tmp_path / "relay-far.log").write_text('listening on 1\n{"chunks": 7, "cpu_s": 9.0}\n')
    distances = Distances(processes, tmp_path, broker.url)
    assert round_trip_s(distances.url(lane("far", "20ms"))) >= 0.02
    (found,) = distances.found()
    assert found.cpu_s != 9.0


def test_what_a_relay_says_besides_is_no_cost(site, tmp_path):
    processes, _, broker, _ = site
    distances = Distances(processes, tmp_path, broker.url)
    distances.url(lane("far", "20ms"))
    (before,) = until(lambda: [each for each in distances.found() if each.chunks], 10)
    with (tmp_path / "relay-far.log").open("a") as log:
        log.write("Traceback (most recent call last):\n")
    (after,) = distances.found()
    assert after == before


def test_a_broker_that_does_not_answer_is_told(tmp_path):
    with Processes() as processes:
        distances = Distances(processes, tmp_path, "redis://127.0.0.1:1/0")
        with pytest.raises(FleetError, match=r"(?i)broker"):
            distances.url(lane("far", "20ms"))
