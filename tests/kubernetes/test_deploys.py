"""A deploy, a scale-in and a drained machine lose no job: probes, time to end, budgets and what selects what."""

import importlib.util
import re
import shutil

import pytest
from click.testing import CliRunner
from kubernetes.compose import amount, cores, health_check
from kubernetes.manifests import (
    OVERLAYS,
    POOLS,
    ROOT,
    Manifest,
    command_line,
    container,
    environment,
    every_workload,
    of_kind,
    pod,
    probes,
    selects,
    workload,
)

from poolrace.health import STALE_S
from producer.cli._root import main
from worker.settings import CONNECTION_RETRIES, HEALTH_DIR
from worker.upstream import DELAY_LIMIT_US

LONGEST_JOB_S = DELAY_LIMIT_US / 1e6
LAST_WORDS_S = 10
"""What a node needs beside its longest job: to give back what it had only fetched, and to leave."""


page = (ROOT / "docs/kubernetes.md").read_text


def workers(overlay: str) -> list[Manifest]:
    return [each for each in of_kind(overlay, "Deployment") if each["metadata"]["name"].startswith("worker-")]


def test_a_race_sends_no_job_that_is_longer_than_the_longest() -> None:
    refused = CliRunner().invoke(main, ["race", "--job-duration", f"{LONGEST_JOB_S + 1:.0f}s"])
    assert refused.exit_code == 2
    assert f"to {LONGEST_JOB_S:.0f}" in refused.output


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_worker_has_time_for_the_longest_job_that_a_race_sends(overlay: str) -> None:
    for each in workers(overlay):
        assert pod(each)["spec"]["terminationGracePeriodSeconds"] >= LONGEST_JOB_S + LAST_WORDS_S


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_takes_from_the_time_that_a_worker_has_to_end(overlay: str) -> None:
    for each in workers(overlay):
        assert "lifecycle" not in container(each)
        assert container(each)["command"][0] == "celery"


def test_a_soft_shutdown_of_celery_has_no_time_of_its_own() -> None:
    """It begins after a second signal, or after the first with REMAP_SIGTERM, and would have to end in time as well."""
    from worker.app import app

    assert app.conf.worker_soft_shutdown_timeout == 0
    assert "REMAP_SIGTERM" not in environment("two-pool", workload("two-pool", "worker-prefork"))


def test_what_a_pod_does_before_it_ends_leaves_time_to_end() -> None:
    before_end = container(workload("two-pool", "upstream"))["lifecycle"]["preStop"]["exec"]["command"]
    assert before_end[0] == "sleep"
    assert int(before_end[1]) < pod(workload("two-pool", "upstream"))["spec"]["terminationGracePeriodSeconds"]


@pytest.mark.parametrize(("overlay", "found"), every_workload())
def test_a_probe_runs_what_exists(overlay: str, found: Manifest) -> None:
    for probe in probes(found).values():
        words = probe["exec"]["command"]
        assert set(probe) == {"exec", "periodSeconds", "timeoutSeconds", "failureThreshold"}
        if words[0] == "python":
            assert words[:2] == ["python", "-m"]
            assert importlib.util.find_spec(words[2]) is not None
        else:
            assert words == health_check("redis")
            assert shutil.which(words[0])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_probe_of_a_worker_looks_where_its_node_writes(overlay: str) -> None:
    for each in workers(overlay):
        assert probes(each)["livenessProbe"]["exec"]["command"][-1] == environment(overlay, each)[HEALTH_DIR]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_service_is_asked_at_the_port_that_it_has(overlay: str) -> None:
    for name in ("upstream", "flower", "producer"):
        found = container(workload(overlay, name))
        (port,) = found["ports"]
        assert f":{port['containerPort']}/" in found["livenessProbe"]["exec"]["command"][-1]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_worker_that_waits_for_its_broker_is_not_killed_before_it_gives_up_by_itself(overlay: str) -> None:
    waits_s = sum(2 * attempt for attempt in range(1, CONNECTION_RETRIES + 1)) + STALE_S
    for each in workers(overlay):
        probe = probes(each)["livenessProbe"]
        assert probe["periodSeconds"] * (probe["failureThreshold"] - 1) > waits_s


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_worker_that_ends_in_order_is_not_killed_by_its_probe(overlay: str) -> None:
    """It is not ready from then on, which counts where somebody else than Kubernetes has asked it to end."""
    for each in workers(overlay):
        probe = probes(each)["livenessProbe"]
        given_s = pod(each)["spec"]["terminationGracePeriodSeconds"]
        assert probe["periodSeconds"] * (probe["failureThreshold"] - 1) > given_s


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_deploy_replaces_one_node_at_a_time_and_waits_until_it_is_ready(overlay: str) -> None:
    for each in workers(overlay):
        rolling = each["spec"]["strategy"]["rollingUpdate"]
        assert sorted(rolling.values()) == [0, 1]
        assert each["spec"]["minReadySeconds"] > 0
        given_s = pod(each)["spec"]["terminationGracePeriodSeconds"]
        startup = probes(each)["startupProbe"]
        assert (
            each["spec"]["progressDeadlineSeconds"] > given_s + startup["periodSeconds"] * startup["failureThreshold"]
        )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_apply_takes_back_no_node_that_was_added(overlay: str) -> None:
    assert [each for each in workers(overlay) if "replicas" in each["spec"]] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_has_a_volume_of_its_own_is_never_there_twice(overlay: str) -> None:
    redis, producer = workload(overlay, "redis"), workload(overlay, "producer")
    assert (redis["kind"], redis["spec"]["replicas"]) == ("StatefulSet", 1)
    assert producer["spec"]["strategy"] == {"type": "Recreate"}
    claimed = [each["persistentVolumeClaim"]["claimName"] for each in pod(producer)["spec"]["volumes"]
               if "persistentVolumeClaim" in each]  # fmt: skip
    assert claimed == [each["metadata"]["name"] for each in of_kind(overlay, "PersistentVolumeClaim")]


@pytest.mark.parametrize(("overlay", "found"), every_workload())
def test_a_workload_selects_its_own_pods_and_no_others(overlay: str, found: Manifest) -> None:
    selected = [
        each["metadata"]["name"]
        for each in of_kind(overlay, "Deployment", "StatefulSet")
        if selects(found["spec"]["selector"], pod(each)["metadata"]["labels"])
    ]
    assert selected == [found["metadata"]["name"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_pool_has_a_budget_of_its_own_and_is_spread_over_machines(overlay: str) -> None:
    budgets = of_kind(overlay, "PodDisruptionBudget")
    assert {each["metadata"]["name"] for each in budgets} == {each["metadata"]["name"] for each in workers(overlay)}
    for budget in budgets:
        worker = workload(overlay, budget["metadata"]["name"])
        (spread,) = pod(worker)["spec"]["topologySpreadConstraints"]
        for selector in (budget["spec"]["selector"], spread["labelSelector"]):
            chosen = [each for each in of_kind(overlay, "Deployment", "StatefulSet")
                      if selects(selector, pod(each)["metadata"]["labels"])]  # fmt: skip
            assert chosen == [worker]
        assert budget["spec"]["maxUnavailable"] == 1


def test_a_small_fleet_has_one_pool_and_little() -> None:
    (small,) = workers("small")
    (there,) = [each for each in workers("two-pool") if each["metadata"]["name"] == small["metadata"]["name"]]
    assert "--concurrency=4" in command_line("small", small)
    assert container(small)["resources"] != container(there)["resources"]
    assert small["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert {f"worker-{pool}" for pool in POOLS} == {each["metadata"]["name"] for each in workers("two-pool")}


def test_the_page_says_what_a_deploy_needs() -> None:
    given_s = pod(workload("two-pool", "worker-prefork"))["spec"]["terminationGracePeriodSeconds"]
    assert f"{given_s} s" in page()
    assert f"{LONGEST_JOB_S:.0f} s" in page()


@pytest.mark.parametrize("overlay", ["small", "two-pool"])
def test_the_page_says_what_an_overlay_requests(overlay: str) -> None:
    requests = [container(each)["resources"]["requests"] for each in of_kind(overlay, "Deployment", "StatefulSet")]
    total_cores, total_bytes = (
        sum(cores(each["cpu"]) for each in requests),
        sum(amount(each["memory"]) for each in requests),
    )
    row = re.search(rf"^\| `deploy/kubernetes/overlays/{overlay}` .* \| (.*) \|$", page(), re.MULTILINE)
    assert row is not None
    assert row[1] == f"{total_cores:.2g} cores, {total_bytes / 2**30:.2g} GiB"
