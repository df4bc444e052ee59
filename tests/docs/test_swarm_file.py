"""The stack file for Swarm is the compose file, but for what Swarm does otherwise; its scripts say what is wrong."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from docs.test_compose_files import STACK, SWARM, blocks, code, needs_compose, read, resolved, services, variables

ROOT = Path(__file__).parents[2]
COMPOSE_ALONE = {"secrets", "prometheus", "grafana"}
SWARM_ALONE = {"redis-data", "publisher"}
"""One gives a volume its owner, as `secrets` does it for Compose; publishers of one host are `--publishers`."""

DISTANCE = "deploy/swarm/distance.yml"

BOTH = sorted(set(services(SWARM)) - SWARM_ALONE)
OTHERWISE = {
    "depends_on",  # what comes too early ends, and is started again
    "security_opt",  # an engine's daemon.json
    "restart", "pull_policy", "cpus", "mem_limit", "pids_limit",  # deploy
    "hostname",  # told by the host, of which Compose has one
    "tmpfs", "volumes", "ports", "secrets",  # the long forms, and secrets instead of a volume
    "deploy", "<<",
}  # fmt: skip
"""What Swarm has in another place or form, or not at all."""


def same(block: str) -> dict[str, str]:
    """The settings of a block that both files write alike."""
    return {key: text.strip() for key, text in block_of(block).items() if key not in OTHERWISE}


def block_of(block: str) -> dict[str, str]:
    indent = re.match(r"[^\n]*\n( *)", block)
    return blocks(block.replace("<<:", "merged:"), indent[1] if indent else "")


def anchor(name: str, key: str) -> str:
    return blocks(code(name))[key]


def limits(name: str, service: str) -> dict[str, str]:
    """The limits of a service, with those that its anchors give it."""
    text = services(name)[service]
    for key in ("worker", "poolrace", "hardened"):
        text += anchor(name, f"x-{key}") if f"*{key}" in text else ""
    found = dict(re.findall(r'\b(cpus|mem_limit|pids_limit|memory|pids): "?(\$\{[^}]*\}|[\w.]+)', text))
    return {{"mem_limit": "memory", "pids_limit": "pids"}.get(key, key): value for key, value in found.items()}


@pytest.mark.parametrize("key", ["x-hardened", "x-poolrace", "x-health", "x-broker", "x-worker"])
def test_each_anchor_is_that_of_the_compose_file(key: str) -> None:
    here, there = same(anchor(SWARM, key)), same(anchor(STACK, key))
    if key == "x-poolrace":
        assert re.fullmatch(r"\$\{POOLRACE_IMAGE:-(.*)\}", here["image"])[1] == there["image"]  # type: ignore[index]
        here.pop("image"), there.pop("image")
    assert here == there


def test_both_files_have_the_same_services_but_for_those_that_are_named() -> None:
    assert set(services(STACK)) - set(services(SWARM)) == COMPOSE_ALONE
    assert set(services(SWARM)) - set(services(STACK)) == SWARM_ALONE


@pytest.mark.parametrize("service", BOTH)
def test_each_service_is_that_of_the_compose_file(service: str) -> None:
    here, there = same(services(SWARM)[service]), same(services(STACK)[service])
    assert here
    assert here == there


@pytest.mark.parametrize("service", BOTH)
def test_each_service_has_the_limits_of_the_compose_file(service: str) -> None:
    here, there = limits(SWARM, service), limits(STACK, service)
    assert {"memory", "pids"} <= set(here)
    assert here == there


@pytest.mark.parametrize("service", BOTH)
def test_each_service_says_what_an_update_does_first_and_takes_a_bad_one_back(service: str) -> None:
    text = services(SWARM)[service] + (anchor(SWARM, "x-worker") if "*worker" in services(SWARM)[service] else "")
    order = re.search(r"update_config: \*(start|stop)-first", text)
    assert order
    assert "failure_action: rollback" in anchor(SWARM, f"x-{order[1]}-first")
    assert f"rollback_config: {{order: {order[1]}-first}}" in text
    assert ("start" if service == "upstream" else "stop") == order[1]


def test_a_publisher_differs_from_the_other_services_in_what_it_is_alone() -> None:
    here, producer = services(SWARM)["publisher"], services(SWARM)["producer"]
    assert limits(SWARM, "publisher").keys() == limits(SWARM, "producer").keys()
    assert "update_config: *stop-first" in here
    assert "rollback_config: {order: stop-first}" in here
    for line in ("<<: *poolrace", "<<: *broker", "secrets: [*broker-password]", "endpoint_mode: *names"):
        assert line in here
        assert line in producer
    assert "placement" not in here


def test_workers_at_a_distance_run_what_workers_run_behind_a_relay() -> None:
    def words(block: str) -> list[str]:
        found = re.search(r"entrypoint:\n((?:    - .*\n)+)", block)
        return re.findall(r"- (.*)", found[1]) if found else []

    assert words(anchor(DISTANCE, "x-distant")) == ["poolrace", "relay", "--", *words(anchor(SWARM, "x-worker"))]
    assert set(services(DISTANCE)) == {name for name, text in services(SWARM).items() if "*worker" in text}
    assert {text.strip() for text in services(DISTANCE).values()} == {"*distant"}


def test_workers_at_a_distance_find_redis_where_their_relay_listens_and_it_leads_there() -> None:
    here, there = (
        dict(re.findall(r"(POOLRACE_\w+): (\S+)", anchor(name, key)))
        for name, key in ((DISTANCE, "x-distant"), (SWARM, "x-broker"))
    )
    address = here["POOLRACE_RELAY_TO"]
    assert address in there["POOLRACE_BROKER_URL"]
    expected = there["POOLRACE_BROKER_URL"].replace(address, f"127.0.0.1:{address.partition(':')[2]}")
    assert here["POOLRACE_BROKER_URL"] == expected
    assert here["POOLRACE_RELAY_HOST"] == '"{{.Node.Hostname}}"'


@needs_compose
def test_workers_at_a_distance_are_otherwise_those_of_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POOLRACE_RELAY_RTT", "node2=2ms node3=10ms")
    near, far = resolved(SWARM), resolved(SWARM, DISTANCE)
    assert {name for name in near if near[name] != far[name]} == set(services(DISTANCE))
    for name in services(DISTANCE):
        differs = {key for key in near[name] | far[name] if near[name].get(key) != far[name].get(key)}
        assert differs == {"entrypoint", "environment"}
        assert far[name]["environment"]["POOLRACE_RELAY_RTT"] == "node2=2ms node3=10ms"


def test_what_has_a_volume_that_cannot_move_stays_on_one_host() -> None:
    for service, text in services(SWARM).items():
        if re.search(r"redis-data|runs:", text):
            assert "placement: *broker-host" in text, service


def test_memory_for_tmp_is_as_much_as_in_the_compose_file() -> None:
    assert "size: 67108864" in anchor(SWARM, "x-tmp")
    assert f"size={67108864 >> 20}m" in anchor(STACK, "x-hardened")


def test_the_page_of_the_swarm_names_every_setting_that_the_compose_file_has_not() -> None:
    page = read("docs/swarm.md")
    used = {
        *variables(SWARM),
        *variables(DISTANCE),
        *re.findall(r"\$\{(\w+):?-", read("deploy/swarm/up") + read("deploy/swarm/engines.sh")),
    }
    own = {name for name in used - set(variables(STACK)) if name.isupper()}
    internal = {"REDIS_USERS_NAME", "LOCAL_SWARM"}
    assert [name for name in sorted(own - internal) if f"`{name}" not in page] == []


@needs_compose
def test_every_service_of_the_swarm_comes_out_hardened() -> None:
    for service, found in resolved(SWARM).items():
        assert found["read_only"] is True, service
        assert found["cap_drop"] == ["ALL"]
        assert found["user"] == "10001:10001"
        assert found["init"] is True
        assert found["deploy"]["resources"]["limits"]["pids"] == 1024
        assert found["deploy"]["resources"]["limits"]["memory"]
        assert found["logging"]["options"]["max-size"]


def said(script: str, folder: Path, *, info: str | None, uid: int = 0, **environ: str) -> tuple[int, str]:
    """What a script says where `docker info` says `info`; None for an engine that does not answer."""
    fakes = {
        "docker": "echo 'Cannot connect' >&2; exit 1" if info is None else f'[ "$1" = info ] && echo "{info}"',
        "id": f"echo {uid}",
    }
    for name, does in fakes.items():
        (folder / name).write_text(f"#!/bin/sh\n{does}\n")
        (folder / name).chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if name not in {"LOCAL_SWARM", "DOCKER_HOST"}}
    ended = subprocess.run(
        [ROOT / "deploy/swarm" / script], env={**clean, "PATH": f"{folder}:{os.environ['PATH']}", **environ},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("script", ["up", "down", "poolrace"])
@pytest.mark.parametrize(
    ("info", "says"),
    [
        (None, "no Docker engine answers here"),
        ("false inactive", "this engine is in no swarm. Make one with `docker swarm init`"),
        ("false active", "this engine is a worker of its swarm. Run this on a manager"),
    ],
)
def test_without_a_swarm_to_speak_to_it_says_so_in_one_line(tmp_path: Path, script: str, info: str, says: str) -> None:
    code_, text = said(script, tmp_path, info=info)
    assert code_ == 3
    assert text.startswith(f"swarm: {says}")
    assert text.count("\n") == 1


def test_to_make_a_swarm_on_this_machine_takes_root(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\nexit 1\n")
    tool.chmod(0o755)
    code_, text = said("up", tmp_path, info="false inactive", uid=1000, LOCAL_SWARM=str(tool))
    assert code_ == 3
    assert "takes root" in text
    assert text.count("\n") == 1


DRILLED = """
case "$1" in
  info) echo "true active" ;;
  ps) echo c0ffee ;;
  exec)
    shift
    echo "words $*"
    echo "some progress" >&2
    echo "Strike now: do it, and press Enter." >&2
    read -r line
    echo "told $line"
    exit 99 ;;
esac
"""


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("touch $HERE/struck", "touch $HERE/struck"),
        ("touch $HERE/struck; exit 4", "! exit code 4 of the fault's command: touch $HERE/struck; exit 4"),
    ],
)
def test_the_command_of_a_fault_is_run_on_this_host_and_the_drill_in_the_stack_is_told_that_it_is_over(
    tmp_path: Path, fault: str, told: str
) -> None:
    (tmp_path / "docker").write_text(f"#!/bin/sh\n{DRILLED}")
    (tmp_path / "docker").chmod(0o755)
    ended = subprocess.run(
        [ROOT / "deploy/swarm/poolrace", "drill", "--fault-command", fault, "--queue", "a b"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HERE": str(tmp_path), "TMPDIR": str(tmp_path)},
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 99, ended.stderr
    assert ended.stdout == f"words -i c0ffee poolrace drill --fault-by-hand --queue a b\ntold {told}\n"
    assert "some progress\nStrike now" in ended.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"docker", "struck"}
