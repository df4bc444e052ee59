"""Pods reach what they need, and nothing else: every pair of pods is asked about every port."""

import pytest
from kubernetes.manifests import OVERLAYS, Manifest, container, every_workload, of_kind, selects
from kubernetes.network import DNS, KEDA, OTHERS, Peer, ours, reaches

REDIS, UPSTREAM, FLOWER, METRICS, SIGNAL, NAMES, OTHER = 6379, 8081, 5555, 9808, 9810, 53, 443
PORTS = (REDIS, UPSTREAM, FLOWER, METRICS, SIGNAL, NAMES, OTHER)
CLIENTS = ("flower", "producer", "scaler", "worker-prefork", "worker-threads")


def expected(overlay: str) -> set[tuple[str, str, int]]:
    names = {each.name for each in ours(overlay)}
    clients = names & set(CLIENTS)
    workers = {name for name in clients if name.startswith("worker-")}
    asked = {("keda", "scaler", SIGNAL)} if overlay == "autoscaled" else set()
    return {
        *((client, "redis", REDIS) for client in clients),
        *((client, "dns", NAMES) for client in clients),
        *((worker, "upstream", UPSTREAM) for worker in workers),
        *asked,
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_reaches_what_it_needs_and_nothing_else(overlay: str) -> None:
    pods = ours(overlay)
    pairs = [(a, b) for a in [*pods, *OTHERS] for b in [*pods, *OTHERS] if a in pods or b in pods]
    found = {(a.name, b.name, port) for a, b in pairs for port in PORTS if reaches(overlay, a, b, port)}
    assert found == expected(overlay)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_names_are_asked_over_udp_too(overlay: str) -> None:
    asking = {each.name for each in ours(overlay) if reaches(overlay, each, DNS, NAMES, "UDP")}
    assert asking == {each.name for each in ours(overlay)} & set(CLIENTS)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_of_ours_that_nobody_has_thought_of_reaches_nothing(overlay: str) -> None:
    new = Peer("new", "poolrace", {"app": "new"})
    for each in (*ours(overlay), *OTHERS):
        assert [port for port in PORTS if reaches(overlay, new, each, port)] == []
        assert [port for port in PORTS if reaches(overlay, each, new, port)] == []


def test_only_the_overlay_with_an_autoscaler_lets_it_in() -> None:
    for overlay in OVERLAYS:
        let_in = [each.name for each in ours(overlay) if any(reaches(overlay, KEDA, each, port) for port in PORTS)]
        assert let_in == (["scaler"] if overlay == "autoscaled" else [])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_service_leads_to_the_pods_of_its_name_by_a_port_that_they_have(overlay: str) -> None:
    for service in of_kind(overlay, "Service"):
        chosen = [each for each in ours(overlay) if selects({"matchLabels": service["spec"]["selector"]}, each.labels)]
        assert [each.name for each in chosen] == [service["metadata"]["name"]]
        (port,) = service["spec"]["ports"]
        ports = {each["name"]: each["containerPort"] for each in container(_workload(overlay, chosen[0].name))["ports"]}
        assert ports[port["targetPort"]] == port["port"]


def _workload(overlay: str, name: str) -> Manifest:
    (found,) = [each for each in of_kind(overlay, "Deployment", "StatefulSet") if each["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize(("overlay", "found"), every_workload())
def test_a_pod_is_asked_for_names_only_if_it_uses_one(overlay: str, found: Manifest) -> None:
    """What names a Service in its variables has to be let out to DNS."""
    (peer,) = [each for each in ours(overlay) if each.name == found["metadata"]["name"]]
    uses = bool(container(found).get("envFrom"))
    assert reaches(overlay, peer, DNS, NAMES) == uses
