"""The profile `observability` on the running stack: every query of the dashboard and of the alerts finds its data."""

import json
import math
import os
import re
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compose.waiting import until

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/poolrace.json").read_text())
RATE_INTERVAL = "1m"
"""What Grafana puts in the place of $__rate_interval is at least four scrapes."""
POOLS = {"prefork", "threads"}
NOT_BY_POOL = {"Alerts firing", "Paused"}
"""Panels about the stack or the load as a whole."""


class Prometheus:
    """The running one, asked over HTTP; and promtool, from its image."""

    def __init__(self, stack: Any) -> None:
        self.stack = stack
        address = stack.compose("port", "prometheus", "9090").stdout.strip()
        self._url = f"http://{address}/api/v1"

    def get(self, path: str, **arguments: str) -> Any:
        with urllib.request.urlopen(f"{self._url}/{path}?{urllib.parse.urlencode(arguments)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression gives now; without NaN, which is a division by nothing."""
        filled = expression.replace("$__rate_interval", RATE_INTERVAL)
        found = self.get("query", query=filled)["result"]
        return [sample for sample in found if sample["value"][1] != "NaN"]

    def alerts(self) -> dict[str, dict[str, Any]]:
        """Rules as Prometheus read them, by name."""
        return {rule["name"]: rule for group in self.get("rules")["groups"] for rule in group["rules"]}

    def promtool(self, *words: str) -> str:
        return str(self.stack.compose("exec", "-T", "-w", "/etc/prometheus", "prometheus", "promtool", *words).stdout)


def image_missing(stack: Any) -> bool:
    image = stack.compose("--profile", "observability", "config", "--images").stdout
    (named,) = re.findall(r"^\S*prometheus\S*$", image, re.MULTILINE)
    there = subprocess.run(["docker", "image", "inspect", named], capture_output=True, check=False).returncode == 0
    return not there and stack.compose("pull", "prometheus", check=False).returncode != 0


@pytest.fixture(scope="module")
def prometheus(stack: Any) -> Iterator[Prometheus]:
    """Prometheus beside the stack, up and healthy."""
    stack.set(PROMETHEUS_PORT="0")
    if os.environ.get("POOLRACE_DOCKER") != "required" and image_missing(stack):
        pytest.skip("the image of Prometheus cannot be had here")
    stack.compose("up", "--detach", "--wait", "prometheus")
    yield Prometheus(stack)
    stack.compose("rm", "--stop", "--force", "prometheus")


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
def test_every_query_of_the_dashboard_finds_data_and_tells_the_pools_apart(
    prometheus: Prometheus, panel: dict[str, Any]
) -> None:
    for target in panel["targets"]:
        if panel["title"] in NOT_BY_POOL:
            found = until(lambda: prometheus.query(target["expr"]))  # noqa: B023 - waited for at once
            assert all(math.isfinite(float(sample["value"][1])) for sample in found)
        else:
            expected = {pool for pool in POOLS if pool in panel["title"]} or POOLS
            until(lambda: pools_of(prometheus, target["expr"]) >= expected)  # noqa: B023 - waited for at once
            assert pools_of(prometheus, target["expr"]) == expected


def pools_of(prometheus: Prometheus, expression: str) -> set[str]:
    """The pools that a query finds something of; a lane bears the name of its pool."""
    matched = set(re.findall(r'pool="(\w+)"', expression))
    found = prometheus.query(expression)
    return {sample["metric"].get("lane") for sample in found} - {None} or (matched if found else set())


def test_both_pools_finish_jobs_on_slots_that_are_there(prometheus: Prometheus) -> None:
    for pool in POOLS:
        done = f'sum(rate(poolrace_jobs_total{{pool="{pool}", outcome="succeeded"}}[1m])) > 0'
        until(lambda: prometheus.query(done))  # noqa: B023 - waited for at once
        (slots,) = prometheus.query(f'sum(poolrace_slots{{pool="{pool}"}})')
        assert slots["value"][1] == "4"
        (memory,) = prometheus.query(f'sum(poolrace_node_pss_bytes{{pool="{pool}"}})')
        assert float(memory["value"][1]) > 10e6


def test_every_alert_is_read_without_error_and_finds_the_series_that_it_looks_at(prometheus: Prometheus) -> None:
    until(lambda: "unknown" not in {rule["health"] for rule in prometheus.alerts().values()})
    rules = prometheus.alerts()
    assert {name for name, rule in rules.items() if rule["health"] != "ok"} == set()
    assert len(rules) == (ROOT / "deploy/prometheus/alerts.yml").read_text().count("- alert:")
    for rule in rules.values():
        # What goes wrong is not there on a stack that does well: a matcher of what a label is not is left out.
        expression = re.sub(r'\{\w+!="\w+"\}', "", rule["query"])
        selectors = re.findall(r"\b(?:poolrace_\w+|up)(?:\{[^}]*\})?", expression)
        assert selectors, rule["name"]
        for selector in selectors:
            found = until(lambda: prometheus.query(selector))  # noqa: B023 - waited for at once
            assert {sample["metric"]["__name__"] for sample in found} == {selector.partition("{")[0]}


@pytest.mark.parametrize(
    "words",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")],
)
def test_promtool_is_content(prometheus: Prometheus, words: tuple[str, ...]) -> None:
    assert "SUCCESS" in prometheus.promtool(*words)


def test_prometheus_runs_as_nobody_special_on_a_read_only_disk(prometheus: Prometheus) -> None:
    run = prometheus.stack.compose
    assert run("exec", "-T", "prometheus", "id", "-u").stdout.strip() == "65534"
    assert run("exec", "-T", "prometheus", "touch", "/etc/prometheus/file", check=False).returncode != 0
    capabilities = run("exec", "-T", "prometheus", "grep", "CapEff", "/proc/self/status").stdout
    assert int(capabilities.split()[1], 16) == 0


def test_a_producer_that_stops_is_noticed_and_one_that_comes_back_too(prometheus: Prometheus) -> None:
    prometheus.stack.compose("stop", "producer")
    try:
        until(lambda: prometheus.alerts()["PoolraceExporterDown"]["state"] in {"pending", "firing"})
    finally:
        prometheus.stack.compose("up", "--detach", "--wait", "--no-recreate", "producer")
    until(lambda: prometheus.alerts()["PoolraceExporterDown"]["state"] == "inactive")


def test_grafana_s_password_is_made_with_the_others_and_is_no_constant(stack: Any) -> None:
    shown = stack.compose("run", "--rm", "-T", "--entrypoint", "cat", "secrets", "/run/poolrace/grafana-password")
    assert re.fullmatch(r"[\w-]{32}", shown.stdout)
