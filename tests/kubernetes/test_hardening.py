"""Every pod has no right that it does not need: as much as Kubernetes' own strictest standard asks for, and more."""

import re

import pytest
from kubernetes.manifests import OVERLAYS, WORKLOADS, Manifest, container, every_workload, named, of_kind, pod

RESTRICTED_VOLUMES = {"projected", "emptyDir", "persistentVolumeClaim"}
"""Those that are used here, of those that the standard `restricted` allows."""


@pytest.mark.parametrize(("overlay", "found"), every_workload())
def test_a_pod_is_nobody_in_particular_and_has_no_account(overlay: str, found: Manifest) -> None:
    spec = pod(found)["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers", "serviceAccountName"} & set(spec)


@pytest.mark.parametrize(("overlay", "found"), every_workload())
def test_a_container_can_write_nowhere_and_gain_nothing(overlay: str, found: Manifest) -> None:
    assert container(found)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(("overlay", "found"), every_workload())
def test_a_pod_mounts_only_what_the_strictest_standard_allows(overlay: str, found: Manifest) -> None:
    claims = [each["metadata"]["name"] for each in found["spec"].get("volumeClaimTemplates", [])]
    kinds = {key for volume in pod(found)["spec"]["volumes"] for key in volume if key != "name"}
    assert kinds <= RESTRICTED_VOLUMES
    names = {volume["name"] for volume in pod(found)["spec"]["volumes"]} | set(claims)
    assert {mount["name"] for mount in container(found)["volumeMounts"]} == names


@pytest.mark.parametrize(("overlay", "found"), every_workload())
def test_what_is_kept_in_a_pod_has_a_limit(overlay: str, found: Manifest) -> None:
    kept = [volume["emptyDir"] for volume in pod(found)["spec"]["volumes"] if "emptyDir" in volume]
    assert kept
    assert all(each["sizeLimit"] for each in kept)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_cluster_refuses_pods_that_are_less_hardened(overlay: str) -> None:
    labels = named(overlay, "Namespace", "poolrace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {each["metadata"]["namespace"] for each in of_kind(overlay, *WORKLOADS)} == {"poolrace"}


@pytest.mark.parametrize(("overlay", "found"), every_workload())
def test_no_service_becomes_a_variable_of_a_pod(overlay: str, found: Manifest) -> None:
    """A Service named flower would set FLOWER_PORT to tcp://…, which Flower takes for its own option."""
    assert pod(found)["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize(("overlay", "found"), every_workload())
def test_an_orphan_of_a_job_is_reaped_as_by_the_init_of_compose(overlay: str, found: Manifest) -> None:
    assert pod(found)["spec"]["shareProcessNamespace"] is True


@pytest.mark.parametrize(("overlay", "found"), every_workload())
def test_every_container_has_requests_and_a_limit_of_memory_and_no_image_moves(overlay: str, found: Manifest) -> None:
    resources = container(found)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert re.search(r":v?\d", container(found)["image"])
    assert container(found)["imagePullPolicy"] == "IfNotPresent"


def test_in_a_race_a_worker_has_the_cores_that_it_may_use() -> None:
    for found in of_kind("two-pool", "Deployment"):
        if found["metadata"]["name"].startswith("worker-"):
            assert container(found)["resources"]["requests"] == container(found)["resources"]["limits"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_is_served_outside_the_cluster(overlay: str) -> None:
    services = of_kind(overlay, "Service")
    scaler = {"scaler"} if overlay == "autoscaled" else set()
    assert {each["metadata"]["name"] for each in services} == {"redis", "upstream", "flower", "producer"} | scaler
    assert [each["spec"].get("type", "ClusterIP") for each in services] == ["ClusterIP"] * len(services)
    assert of_kind(overlay, "Ingress") == []
