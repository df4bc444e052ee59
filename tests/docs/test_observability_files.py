"""What Prometheus and Grafana are given fits together: datasources, paths, metrics, ports, and the page about them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from producer.cli.live import live
from producer.stack.metrics import Exporter
from producer.stack.passwords import GRAFANA_PASSWORD

ROOT = Path(__file__).parents[2]
GRAFANA, PROMETHEUS = ROOT / "deploy/grafana", ROOT / "deploy/prometheus"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
PROVISIONING = sorted((GRAFANA / "provisioning").glob("*/*.yml"))
COMPOSE = (ROOT / "docker-compose.yml").read_text()
RULE_TESTS = (PROMETHEUS / "alerts_test.yml").read_text()
PAGE = (ROOT / "docs/observability.md").read_text()
UNITS = {"short", "s", "bytes", "bool_yes_no"}
"""Of Grafana's own; others are of the form `suffix: …`."""
WIDTH = 24
"""Columns of a dashboard."""

PANELS = [panel for path in DASHBOARDS for panel in json.loads(path.read_text())["panels"]]
RULES = (PROMETHEUS / "alerts.yml").read_text()
ALERTS = dict(re.findall(r"^      - alert: (\w+)\n(.*?)(?=^      - alert|\Z)", RULES, re.MULTILINE | re.DOTALL))

each_panel = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])


def value(text: str, key: str) -> str:
    """The one value of a key in YAML."""
    (found,) = re.findall(rf"^[\s-]*{key}: (.+)$", text, re.MULTILINE)
    return str(found)


def service(name: str) -> str:
    (text,) = re.findall(rf"^  {name}:\n(.*?)(?=^  [\w#]|^\S)", COMPOSE, re.MULTILINE | re.DOTALL)
    return str(text)


def mounts(name: str) -> dict[str, Path]:
    """What a service gets from the repository: a folder of ours by the path in the container."""
    found = re.findall(r"^      - \./(\S+?):(\S+?):ro$", service(name), re.MULTILINE)
    return {target: ROOT / source for source, target in found}


def expressions() -> list[str]:
    asked = [target["expr"] for panel in PANELS for target in panel["targets"]]
    return [*asked, *ALERTS.values()]


@pytest.mark.parametrize("path", PROVISIONING, ids=lambda path: path.parent.name)
def test_provisioning_files_are_of_the_version_and_shape_that_grafana_reads(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert lines[0] == "apiVersion: 1"
    assert lines[1] == {"datasources": "datasources:", "dashboards": "providers:"}[path.parent.name]
    assert lines[2].startswith("  - name: ")
    assert [line for line in lines[3:] if not re.fullmatch(r" {4,6}\w+:( \S+)?", line)] == []


def test_the_datasource_is_prometheus_of_the_stack_asked_through_grafana() -> None:
    text = (GRAFANA / "provisioning/datasources/prometheus.yml").read_text()
    ((host, port),) = re.findall(r"^http://(\w+):(\d+)$", value(text, "url"))
    assert f':{port}"]' in service(host)
    assert (value(text, "type"), value(text, "access")) == ("prometheus", "proxy")
    assert value(text, "timeInterval") == value((PROMETHEUS / "prometheus.yml").read_text(), "scrape_interval")


def test_dashboards_lie_where_grafana_is_told_to_look() -> None:
    folder = value((GRAFANA / "provisioning/dashboards/poolrace.yml").read_text(), "path")
    assert sorted(mounts("grafana")[folder].glob("*.json")) == DASHBOARDS != []
    home = Path(value(service("grafana"), "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"))
    assert (mounts("grafana")[str(home.parent)] / home.name).is_file()


def test_every_file_for_grafana_and_prometheus_is_mounted_where_it_is_read() -> None:
    for kind in ("datasources", "dashboards"):
        assert mounts("grafana")[f"/etc/grafana/provisioning/{kind}"] == GRAFANA / "provisioning" / kind
    assert [path.parent for path in mounts("grafana").values() if not any(path.iterdir())] == []
    (configuration,) = re.findall(r"--config.file=(\S+)", service("prometheus"))
    rules = value((PROMETHEUS / "prometheus.yml").read_text(), "rule_files").strip("[]")
    for named in (configuration, rules):
        assert (mounts("prometheus")[str(Path(named).parent)] / Path(named).name).is_file(), named


def test_prometheus_asks_the_port_that_the_producer_serves() -> None:
    target = value((PROMETHEUS / "prometheus.yml").read_text(), "targets")
    (port,) = [option.default for option in live.commands["run"].params if option.name == "metrics_port"]
    assert target == f'["producer:{port}"]'
    assert "command: [live, run]" in service("producer")


def test_grafana_reads_its_password_from_the_file_that_secrets_makes() -> None:
    assert value(service("grafana"), "GF_SECURITY_ADMIN_PASSWORD__FILE") == f"/run/poolrace/{GRAFANA_PASSWORD}"
    assert "- secrets:/run/poolrace:ro" in service("grafana")


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_both_start_with_the_profile_alone(name: str) -> None:
    assert "    profiles: [observability]\n" in service(name)


@each_panel
def test_every_panel_has_a_query_a_title_a_unit_and_a_sentence_that_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    assert all(target["expr"] and target["legendFormat"] for target in panel["targets"])
    assert re.fullmatch(r"[A-Z].*[a-z0-9)]", panel["title"])
    assert re.fullmatch(r"[A-Z][^.]*(\.md[^.]*)?\.", panel["description"])
    unit = panel["fieldConfig"]["defaults"]["unit"]
    assert unit in UNITS or re.fullmatch(r"suffix: \w+(/s)?", unit)
    assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= WIDTH


@each_panel
def test_every_panel_and_query_asks_a_datasource_that_is_provisioned(panel: dict[str, Any]) -> None:
    text = (GRAFANA / "provisioning/datasources/prometheus.yml").read_text()
    there = {"type": value(text, "type"), "uid": value(text, "uid")}
    assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [
        there for _ in range(1 + len(panel["targets"]))
    ]


def test_panels_have_ids_of_their_own_and_none_covers_another() -> None:
    for path in DASHBOARDS:
        panels = json.loads(path.read_text())["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        cells = [
            (x, y)
            for at in (panel["gridPos"] for panel in panels)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        ]
        assert len(set(cells)) == len(cells)


def test_every_metric_that_is_asked_for_is_one_that_the_producer_serves() -> None:
    served = {
        metric.name + ending
        for metric in Exporter().registry.collect()
        for ending in ({"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(metric.type, ("",)))
    }
    asked = {name for text in expressions() for name in re.findall(r"\bpoolrace_\w+", text)}
    assert len(asked) > 8
    assert asked - served == set()


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_what_to_do_is_tested_and_is_on_the_page(name: str) -> None:
    assert value(ALERTS[name], "summary")
    assert len(ALERTS[name].split("description: >-\n")[1].split(".")) > 2  # more than one sentence
    assert re.search(r"severity: (warning|critical)\}", ALERTS[name])
    assert f'alertname="{name}"' in RULE_TESTS or f"alertname: {name}" in RULE_TESTS
    assert f"| `{name}` |" in PAGE


@each_panel
def test_every_panel_is_on_the_page(panel: dict[str, Any]) -> None:
    assert f"| {panel['title']} |" in PAGE
