"""The compose files and the Dockerfile are what the documents promise: pinned, hardened, equal for both pools."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
STACK, WORKERS, TLS = "docker-compose.yml", "compose.worker.yaml", "compose.tls.yaml"
SWARM = "deploy/swarm/stack.yml"
FILES = sorted(path.name for path in [*ROOT.glob("docker-compose*.y*ml"), *ROOT.glob("compose*.y*ml")])
REQUIRED = {"BROKER_NAMES": "first.example", "BROKER_HOST": "first.example"}
HARDENING = ("read_only", "tmpfs", "cap_drop", "security_opt", "user", "init", "pids_limit", "logging")

needs_compose = pytest.mark.skipif(
    shutil.which("docker") is None
    or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0,
    reason="no docker compose on this machine; it needs no engine for this",
)


def read(name: str) -> str:
    return (ROOT / name).read_text()


def code(name: str) -> str:
    """A file without its comments."""
    return "\n".join(line for line in read(name).splitlines() if not line.lstrip().startswith("#"))


def blocks(text: str, indent: str = "") -> dict[str, str]:
    """The mapping at one level of indentation, by key; what stands below each as text."""
    parts = re.split(rf"^{indent}([\w.-]+):", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def services(name: str) -> dict[str, str]:
    return blocks(blocks(code(name))["services"], "  ")


def variables(name: str) -> dict[str, str]:
    """Variables that a compose file takes from its environment, with their defaults; none is an empty one."""
    found = re.findall(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}", code(name).replace("$$", ""))
    return dict(found)


ALL_SERVICES = [(name, service) for name in (STACK, WORKERS, SWARM) for service in services(name)]


@pytest.mark.parametrize("name", [*FILES, SWARM, "Dockerfile"])
def test_every_image_is_pinned(name: str) -> None:
    images = re.findall(r"^(?:\s*image: |FROM |ARG PYTHON_IMAGE=)(\S+)", code(name), re.MULTILINE)
    named = [re.sub(r"\$\{\w+:-(.*)\}", r"\1", image) for image in images if image != "${PYTHON_IMAGE}"]
    assert [image for image in named if not re.search(r":v?\d", image)] == []
    assert ":latest" not in code(name)


@pytest.mark.parametrize("name", [*FILES, SWARM])
def test_every_service_scales(name: str) -> None:
    assert "container_name" not in code(name)


@pytest.mark.parametrize("name", [*FILES, SWARM, "Dockerfile", ".env.example", "deploy/redis-tls.conf"])
def test_no_file_holds_a_password(name: str) -> None:
    values = re.findall(r"\w*(?:PASSWORD|SECRET|TOKEN|AUTH)\w*[:=][ \t]*(\S+)", read(name))
    assert [value for value in values if not value.startswith(("/run/", "$$(cat"))] == []
    assert "requirepass" not in code(name)
    assert re.findall(r"://[^/\s@]*:[^/\s@]+@", code(name)) == []


@pytest.mark.parametrize(("name", "service"), ALL_SERVICES)
def test_every_service_is_hardened_and_takes_nothing_of_it_back(name: str, service: str) -> None:
    text = services(name)[service]
    assert re.search(r"<<: \*(hardened|poolrace|worker)\b", text)
    assert not re.search(r"privileged|cap_add|^    (?:read_only|cap_drop|security_opt|init):", text, re.MULTILINE)
    assert not re.search(r'user: "?(?:0|root)\b', text)


@pytest.mark.parametrize("name", [STACK, WORKERS, SWARM])
def test_the_two_workers_differ_in_the_flags_of_the_pool_alone(name: str) -> None:
    for pool in ("prefork", "threads"):
        lines = [line.strip() for line in services(name)[f"worker-{pool}"].splitlines() if line.strip()]
        assert lines == ["<<: *worker", f"command: [--pool={pool}, --queues={pool}, --hostname={pool}@%h]"]


@pytest.mark.parametrize("anchor", ["x-hardened", "x-poolrace", "x-health", "x-worker"])
def test_workers_of_another_host_are_those_of_the_first(anchor: str) -> None:
    here, there = (blocks(blocks(code(name))[anchor], "  ") for name in (STACK, WORKERS))
    for differs in ("environment", "depends_on"):
        here.pop(differs, None)
        there.pop(differs, None)
    assert {key: text.strip() for key, text in here.items()} == {key: text.strip() for key, text in there.items()}


@pytest.mark.parametrize("name", FILES)
def test_ports_are_for_this_machine_alone_unless_they_speak_tls(name: str) -> None:
    ports = re.findall(r'^\s*ports: \["([^"]*)"\]', code(name), re.MULTILINE)
    assert len(ports) == len(re.findall(r"ports:", code(name)))
    assert [port for port in ports if not port.startswith(("127.0.0.1:", "${BROKER_TLS_BIND"))] == []


def test_nothing_outside_the_stack_reaches_redis_without_tls() -> None:
    assert "ports" not in services(STACK)["redis"]


def test_what_redis_may_lose_and_when_it_refuses_is_written_down() -> None:
    words = re.findall(r"^      - (.*)$", services(STACK)["redis"], re.MULTILINE)
    options = dict(zip(words[1::2], words[2::2], strict=False))
    assert options["--appendonly"] == '"yes"'
    assert options["--appendfsync"] == "everysec"
    assert options["--maxmemory-policy"] == "noeviction"


@pytest.mark.parametrize("service", sorted(set(services(STACK)) - {"secrets"}))
def test_every_service_that_stays_has_a_health_check(service: str) -> None:
    text = services(STACK)[service]
    assert "healthcheck:" in text or "<<: *worker" in text
    assert "inspect ping" not in text


def test_the_example_names_every_variable_with_its_default_and_no_other() -> None:
    taken: dict[str, str] = {}
    for name in FILES:
        taken |= variables(name)
    described = dict(re.findall(r"^#(\w+)=(.*)$", read(".env.example"), re.MULTILINE))
    assert described == taken


def test_a_variable_has_the_same_default_wherever_it_is_taken() -> None:
    defaults: dict[str, set[str]] = {}
    for name in [*FILES, SWARM]:
        for variable, default in variables(name).items():
            defaults.setdefault(variable, set()).add(default)
    assert {variable: values for variable, values in defaults.items() if len(values) > 1} == {}


def test_the_page_of_the_stack_names_every_service() -> None:
    page = read("docs/compose.md")
    assert [service for service in services(STACK) if f"`{service}`" not in page] == []


def test_image_and_label_bear_the_version_of_the_project() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    assert f"ARG VERSION={version}\n" in read("Dockerfile")
    for name in (STACK, WORKERS):
        assert set(re.findall(r"image: poolrace:(\S+)", code(name))) == {version}


def stages() -> list[str]:
    """The instructions of each stage of the Dockerfile."""
    return code("Dockerfile").split("\nFROM ")[1:]


def test_the_image_is_built_in_one_stage_and_runs_from_another() -> None:
    build, final = stages()
    assert "pip --python /opt/poolrace install" in build
    assert "pip install" not in final
    assert "pip uninstall" in final
    assert re.findall(r"apt(?:-get)? |gcc|build-essential", final) == []


def test_the_image_runs_as_nobody_in_particular() -> None:
    final = stages()[-1]
    assert re.findall(r"^USER (.*)$", final, re.MULTILINE) == ["10001:10001"]
    assert final.index("USER 10001") > final.rindex("\nRUN ")


def test_signals_reach_what_runs() -> None:
    for instruction in ("ENTRYPOINT", "CMD"):
        (arguments,) = re.findall(rf"^{instruction} (.*)$", stages()[-1], re.MULTILINE)
        assert isinstance(json.loads(arguments), list)


def test_the_dockerfile_fetches_nothing_by_itself() -> None:
    assert re.findall(r"^ADD |curl|wget|sudo|https?://", code("Dockerfile"), re.MULTILINE) == []


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.*)$", code("Dockerfile"), re.MULTILINE)
        for word in [part for part in line.split() if not part.startswith("--")][:-1]
    }
    rules = [line for line in read(".dockerignore").splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    whole = {path for path in copied if path.partition("/")[0] == path or path.partition("/")[0] not in copied}
    assert {rule[1:] for rule in rules if rule.startswith("!")} == whole
    assert [path for path in copied if not (ROOT / path).exists()] == []


def resolved(*names: str) -> dict[str, Any]:
    """What Compose makes of files, profiles and all."""
    files = [word for name in names for word in ("-f", str(ROOT / name))]
    ended = subprocess.run(
        ["docker", "compose", *files, "--profile", "*", "config", "--format", "json"],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **REQUIRED},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)["services"]
    return found


@needs_compose
@pytest.mark.parametrize("names", [(STACK,), (STACK, TLS), (WORKERS,)])
def test_compose_takes_the_files_and_every_service_comes_out_hardened(names: tuple[str, ...]) -> None:
    for service, found in resolved(*names).items():
        assert [key for key in HARDENING if not found.get(key)] == [], service
        assert found["cap_drop"] == ["ALL"]
        assert found["security_opt"] == ["no-new-privileges:true"]
        assert found["logging"]["options"]["max-size"]


@needs_compose
@pytest.mark.parametrize("names", [(STACK,), (STACK, TLS), (WORKERS,)])
def test_compose_gives_both_workers_the_same_but_for_the_command(names: tuple[str, ...]) -> None:
    found = resolved(*names)
    prefork, threads = found["worker-prefork"], found["worker-threads"]
    assert {key for key in prefork | threads if prefork.get(key) != threads.get(key)} == {"command"}
    assert prefork["cpus"] == threads["cpus"]
    assert prefork["mem_limit"] == threads["mem_limit"]
