"""KEDA scales each pool by the jobs that are in it, and takes no node from under a job."""

import json

import pytest
from kubernetes.manifests import (
    OVERLAYS,
    POOLS,
    ROOT,
    Manifest,
    container,
    environment,
    named,
    of_kind,
    pod,
    probes,
    workload,
)

from producer.cli.scaler import PORT
from producer.fleet.queue_work import QueueWork
from producer.stack.scaler import Signal, application
from worker.settings import Acks, load

BUSY = 0.75
"""The work per slot that is wanted; below 1 it is the part of the slots that are busy."""


def scaled_object(pool: str) -> Manifest:
    spec: Manifest = named("autoscaled", "ScaledObject", f"worker-{pool}")["spec"]
    return spec


def trigger(pool: str) -> Manifest:
    (found,) = scaled_object(pool)["triggers"]
    assert isinstance(found, dict)
    return found


def behaviour(pool: str) -> Manifest:
    found: Manifest = scaled_object(pool)["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    return found


@pytest.mark.parametrize("pool", POOLS)
def test_a_scaled_object_scales_the_worker_of_its_pool(pool: str) -> None:
    target = scaled_object(pool)["scaleTargetRef"]
    assert workload("autoscaled", target["name"])["kind"] == "Deployment"
    assert f"--pool={pool}" in container(workload("autoscaled", target["name"]))["args"]


@pytest.mark.parametrize("pool", POOLS)
def test_the_signal_is_that_of_the_scaler_by_its_whole_name(pool: str) -> None:
    service = named("autoscaled", "Service", "scaler")
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    (port,) = service["spec"]["ports"]
    assert trigger(pool)["type"] == "metrics-api"
    assert trigger(pool)["metadata"]["url"] == f"http://{host}:{port['port']}/scaler/{pool}"
    assert f"--queue={pool}" in container(workload("autoscaled", "scaler"))["args"]
    assert f"--queues={pool}" in container(workload("autoscaled", f"worker-{pool}"))["args"]


@pytest.mark.parametrize("pool", POOLS)
def test_the_value_is_where_the_scaler_has_it(pool: str) -> None:
    found = QueueWork(ready=12, unacked=6, running=2, later=3, slots=16, nodes=2)
    signal = Signal([pool], every_s=5.0)
    signal.seen({pool: found})
    (answer,) = application(signal)({"PATH_INFO": f"/scaler/{pool}"}, lambda *_: None)
    assert json.loads(answer)[trigger(pool)["metadata"]["valueLocation"]] == found.work


def test_the_scaler_listens_where_its_service_leads() -> None:
    (port,) = container(workload("autoscaled", "scaler"))["ports"]
    assert port["containerPort"] == PORT


@pytest.mark.parametrize("pool", POOLS)
def test_a_node_is_wanted_for_as_many_jobs_as_keep_three_quarters_of_its_slots_busy(pool: str) -> None:
    slots = int(environment("autoscaled", workload("autoscaled", f"worker-{pool}"))["POOLRACE_CONCURRENCY"])
    assert trigger(pool)["metricType"] == "AverageValue"
    assert float(trigger(pool)["metadata"]["targetValue"]) == slots * BUSY


def test_nodes_that_are_taken_away_give_back_what_they_held() -> None:
    for overlay in OVERLAYS:
        for each in of_kind(overlay, "Deployment"):
            if each["metadata"]["name"].startswith("worker-"):
                variables = environment(overlay, each) | {"POOLRACE_BROKER_PASSWORD_FILE": ""}
                late = load(variables).acks is Acks.LATE
                assert late == (overlay == "autoscaled"), overlay


def test_the_broker_keeps_what_the_safe_profile_wants_kept() -> None:
    words = container(workload("autoscaled", "redis"))["args"]
    assert words[words.index("--appendonly") + 1] == "yes"


@pytest.mark.parametrize("pool", POOLS)
def test_a_pool_always_has_a_node_since_it_is_found_by_them(pool: str) -> None:
    spec = scaled_object(pool)
    assert 1 <= spec["minReplicaCount"] < spec["fallback"]["replicas"] < spec["maxReplicaCount"]


@pytest.mark.parametrize("pool", POOLS)
def test_nodes_go_one_at_a_time_and_the_next_when_the_one_before_has_surely_ended(pool: str) -> None:
    given_s = pod(workload("autoscaled", f"worker-{pool}"))["spec"]["terminationGracePeriodSeconds"]
    down = behaviour(pool)["scaleDown"]
    assert [(each["type"], each["value"]) for each in down["policies"]] == [("Pods", 1)]
    assert down["policies"][0]["periodSeconds"] > given_s
    assert down["stabilizationWindowSeconds"] > given_s


@pytest.mark.parametrize("pool", POOLS)
def test_nodes_come_at_once_and_not_faster_than_they_start(pool: str) -> None:
    up = behaviour(pool)["scaleUp"]
    assert up["stabilizationWindowSeconds"] == 0
    startup = probes(workload("autoscaled", f"worker-{pool}"))["startupProbe"]
    for policy in up["policies"]:
        assert 0 < policy["periodSeconds"] <= startup["periodSeconds"] * startup["failureThreshold"]


def test_what_is_scaled_is_two_pool_and_nothing_else_of_it_is_changed() -> None:
    def plain(overlay: str) -> dict[str, Manifest]:
        found = of_kind(overlay, "Deployment", "StatefulSet")
        return {each["metadata"]["name"]: each for each in found if each["metadata"]["name"] != "scaler"}

    config = named("autoscaled", "ConfigMap", "worker")["metadata"]["name"]
    before = named("two-pool", "ConfigMap", "worker")["metadata"]["name"]
    assert config != before
    assert str(plain("autoscaled")).replace(config, before) == str(plain("two-pool"))


def test_the_page_explains_the_numbers() -> None:
    page = (ROOT / "docs/kubernetes.md").read_text()
    spec, down = scaled_object(POOLS[0]), behaviour(POOLS[0])["scaleDown"]
    target = trigger(POOLS[0])["metadata"]["targetValue"]
    wanted = (
        f"work / {target}",
        f"{spec['minReplicaCount']} to {spec['maxReplicaCount']}",
        f"{down['stabilizationWindowSeconds']} s",
        f"{down['policies'][0]['periodSeconds']} s",
        f"{spec['pollingInterval'] * spec['fallback']['failureThreshold']} s",
    )
    assert [each for each in wanted if each not in page] == []
