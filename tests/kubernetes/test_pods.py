"""The pods of an overlay work as hardened as they are: real containers of the manifests, by Podman, on one machine."""

import json
import os
import re
from collections.abc import Iterator

import pytest
from kubernetes.compose import amount, cores
from kubernetes.manifests import POOLS, WORKLOADS, container, of_kind
from kubernetes.podman import READY_S, Pods, missing

from producer.deadlines import until

OVERLAY = "autoscaled"
NAMES = sorted(each["metadata"]["name"] for each in of_kind(OVERLAY, *WORKLOADS))
IMAGES = sorted({container(each)["image"] for each in of_kind(OVERLAY, *WORKLOADS)})

METRICS = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9808/metrics').read().decode())"
SEND = """
import os, sys
from celery import Celery
from poolrace.credentials import broker_url
app = Celery(broker=broker_url(os.environ))
app.send_task("worker.sleep", args=[int(sys.argv[2])], queue=sys.argv[1])
"""
SIGNAL = """
import sys, urllib.request as u
print(u.urlopen('http://127.0.0.1:9810/scaler/' + sys.argv[1]).read().decode())
"""
DEPTH = """
import json, os, sys
from celery import Celery
from poolrace.credentials import broker_url
from producer.fleet.queue_depth import depth
with Celery(broker=broker_url(os.environ)).connection_for_read() as connection:
    found = depth(connection, sys.argv[1])
print(json.dumps([found.ready, found.unacked]))
"""
JOB_US = 4_000_000

if reason := missing(IMAGES):
    if os.environ.get("POOLRACE_PODMAN") == "required":
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    folder = tmp_path_factory.mktemp("pods")
    with Pods(OVERLAY, folder) as running:
        yield running


@pytest.mark.parametrize("name", NAMES)
def test_every_probe_of_a_pod_passes(pods: Pods, name: str) -> None:
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert until(lambda kind=kind: pods.probe(name, kind) is None, READY_S), pods.logs(name)


@pytest.mark.parametrize("pool", POOLS)
def test_the_scaler_sees_the_slots_and_the_work_of_each_pool(pods: Pods, pool: str) -> None:
    def seen() -> bool:
        found = json.loads(pods.execute("scaler", "python", "-c", SIGNAL, pool))
        assert found["work"] == found["ready"] + found["unacked"] + found["running"]
        return bool(found["slots"] == 8 and found["nodes"] == 1)

    assert until(lambda: pods.probe("scaler", "startupProbe") is None and seen(), READY_S), pods.logs("scaler")


@pytest.mark.parametrize("pool", POOLS)
def test_jobs_come_to_their_end_on_both_pools(pods: Pods, pool: str) -> None:
    ended = re.compile(rf'^poolrace_jobs_total{{.*outcome="succeeded",pool="{pool}".*}} [1-9]', re.MULTILINE)
    assert until(lambda: ended.search(pods.execute("producer", "python", "-c", METRICS)), READY_S), pods.logs(
        "producer"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_container_has_no_right_that_it_does_not_need(pods: Pods, name: str) -> None:
    status = dict(re.findall(r"^(\w+):\s*(.*)$", pods.execute(name, "cat", "/proc/self/status"), re.MULTILINE))
    assert status["Uid"].split() == ["10001"] * 4
    assert status["Gid"].split() == ["10001"] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    refused = pods.execute(name, "sh", "-c", "touch /usr/here 2>&1; touch /tmp/here && echo written", check=False)
    assert "Read-only file system" in refused
    assert "written" in refused


@pytest.mark.parametrize("name", NAMES)
def test_a_container_has_its_limits(pods: Pods, name: str) -> None:
    wanted, found = container(pods.workloads[name])["resources"]["limits"], pods.inspect(name)["HostConfig"]
    assert found["Memory"] == amount(wanted["memory"])
    if "cpu" in wanted:
        assert found["CpuQuota"] / found["CpuPeriod"] == cores(wanted["cpu"])


@pytest.mark.parametrize("name", NAMES)
def test_no_process_of_a_pod_is_the_first_of_its_kind(pods: Pods, name: str) -> None:
    """The first process of a namespace ignores signals for which it has no handler, and has to reap all orphans."""
    first = pods.execute(name, "cat", "/proc/1/comm").strip()
    assert first not in ("celery", "python", "redis-server", "poolrace")


@pytest.mark.parametrize("pool", POOLS)
def test_a_node_that_is_asked_to_end_ends_its_job_first(pods: Pods, pool: str) -> None:
    """With late acknowledgement, a job that was cut off would still be among the unacked."""
    pods.execute("producer", "poolrace", "live", "pause")

    def depth() -> list[int]:
        found: list[int] = json.loads(pods.execute("producer", "python", "-c", DEPTH, pool))
        return found

    assert until(lambda: depth() == [0, 0], READY_S)
    pods.execute("producer", "python", "-c", SEND, pool, str(JOB_US))
    assert until(lambda: depth() == [0, 1], READY_S)
    assert pods.stop(f"worker-{pool}") == 0
    assert depth() == [0, 0]
