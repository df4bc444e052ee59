"""What runs on Kubernetes is what runs under Compose: images, commands, settings, limits, users, files and times."""

import re
import tomllib
from pathlib import Path

import pytest
from kubernetes import compose
from kubernetes.manifests import (
    POOLS,
    ROOT,
    Manifest,
    command_line,
    container,
    environment,
    every_workload,
    mounted_secrets,
    named,
    of_kind,
    pod,
    probes,
    workload,
)

RACED = "two-pool"
SERVICES = ("redis", "upstream", "flower", "producer", "worker-prefork", "worker-threads")
WITHOUT_THEIR_OWN = {"secrets", "prometheus", "grafana"}


def test_every_service_of_the_stack_is_here_or_named_as_missing() -> None:
    assert set(compose.services()) - WITHOUT_THEIR_OWN == set(SERVICES)
    assert {each["metadata"]["name"] for each in of_kind(RACED, "Deployment", "StatefulSet")} == set(SERVICES)
    page = (ROOT / "docs/kubernetes.md").read_text()
    assert [service for service in WITHOUT_THEIR_OWN - {"secrets"} if service.capitalize() not in page] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_the_image_of_its_service(service: str) -> None:
    assert container(workload(RACED, service))["image"] == compose.services()[service]["image"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_runs_the_words_of_its_service(service: str) -> None:
    assert command_line(RACED, workload(RACED, service)) == compose.command_line(service)


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_keeps_its_entrypoint_where_compose_keeps_it(service: str) -> None:
    found, there = container(workload(RACED, service)), compose.services()[service]
    assert ("command" in found) == ("entrypoint" in there)
    assert command_line(RACED, {"spec": {"template": {"spec": {"containers": [{**found, "args": []}]}}}}) == there.get(
        "entrypoint", []
    )


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_the_variables_of_its_service(service: str) -> None:
    own = {"WORKER_LOGLEVEL", "POOLRACE_CONCURRENCY", "POOLRACE_PREFETCH"}
    found = environment(RACED, workload(RACED, service))
    assert {name: value for name, value in found.items() if name not in own} == compose.environment(service)


def test_the_settings_of_the_example_are_those_of_the_workers() -> None:
    described = dict(re.findall(r"^#(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    settings = named(RACED, "ConfigMap", "worker")["data"]
    assert len(settings) == 7
    assert settings == {name: described[name] for name in settings}


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_the_limits_of_its_service(service: str) -> None:
    limits, there = container(workload(RACED, service))["resources"]["limits"], compose.services()[service]
    assert compose.amount(limits["memory"]) == compose.amount(there["mem_limit"])
    assert ("cpu" in limits) == ("cpus" in there)
    assert compose.cores(limits.get("cpu", 0)) == there.get("cpus", 0)


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_runs_as_the_user_of_its_service(service: str) -> None:
    found = pod(workload(RACED, service))["spec"]["securityContext"]
    assert f"{found['runAsUser']}:{found['runAsGroup']}" == compose.services()[service]["user"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_the_memory_of_tmp_that_its_service_has(service: str) -> None:
    (tmp,) = [each for each in pod(workload(RACED, service))["spec"]["volumes"] if each["name"] == "tmp"]
    (there,) = compose.services()[service]["tmpfs"]
    assert tmp["emptyDir"]["medium"] == "Memory"
    assert compose.amount(tmp["emptyDir"]["sizeLimit"]) == compose.amount(there.removeprefix("/tmp:size="))
    assert {"name": "tmp", "mountPath": "/tmp"} in container(workload(RACED, service))["volumeMounts"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_probe_of_a_container_is_the_health_check_of_its_service(service: str) -> None:
    for probe in probes(workload(RACED, service)).values():
        assert probe["exec"]["command"] == compose.health_check(service)


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_the_folders_of_its_service(service: str) -> None:
    def target(volume: str | Manifest) -> str:
        return volume.split(":")[1] if isinstance(volume, str) else volume["target"]

    mounts = {mount["mountPath"] for mount in container(workload(RACED, service))["volumeMounts"]}
    assert mounts - {"/tmp"} == {target(each) for each in compose.services()[service].get("volumes", [])}


@pytest.mark.parametrize("service", ["redis", *(f"worker-{pool}" for pool in POOLS)])
def test_a_pod_has_the_time_to_end_that_its_service_has(service: str) -> None:
    given_s = pod(workload(RACED, service))["spec"]["terminationGracePeriodSeconds"]
    assert given_s == compose.seconds(compose.services()[service]["stop_grace_period"])


def test_what_names_no_time_to_end_has_the_ten_seconds_that_compose_gives() -> None:
    for service in ("upstream", "flower", "producer"):
        assert "stop_grace_period" not in compose.services()[service]
        assert pod(workload(RACED, service))["spec"]["terminationGracePeriodSeconds"] == 10


def test_the_two_workers_differ_in_the_flags_of_the_pool_alone() -> None:
    texts = []
    for pool in POOLS:
        found = workload(RACED, f"worker-{pool}")
        assert container(found)["args"] == [f"--pool={pool}", f"--queues={pool}", f"--hostname={pool}@%h"]
        texts.append(str(found).replace(pool, "POOL"))
    assert texts[0] == texts[1]


@pytest.mark.parametrize(("overlay", "found"), every_workload())
def test_every_file_that_a_variable_names_is_mounted(overlay: str, found: Manifest) -> None:
    files = {value for name, value in environment(overlay, found).items() if name.endswith("_FILE")}
    assert files <= set(mounted_secrets(overlay, found))


@pytest.mark.parametrize(("overlay", "found"), every_workload())
def test_the_version_of_our_image_is_that_of_the_project(overlay: str, found: Manifest) -> None:
    version = tomllib.loads(Path(ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert container(found)["image"] in (f"poolrace:{version}", "redis:8")
