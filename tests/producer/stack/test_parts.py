"""Each part of the stack runs with the flags and variables of its container, and none of the caller's."""

import re
import sys
from pathlib import Path

import pytest

from producer.stack import parts
from producer.stack.parts import (
    END_ORDER,
    FLOWER,
    PARTS,
    PRODUCER,
    START_ORDER,
    UPSTREAM,
    WORKERS,
    Site,
    worker_command,
)
from producer.stack.settings import StackSettings
from producer.stack.state import StateFolder

ROOT = Path(__file__).parents[3]
COMPOSE = (ROOT / "docker-compose.yml").read_text()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A stack with settings of its own, as a caller with variables of all kinds has it."""
    for name in ("CELERY_BROKER_URL", "POOLRACE_BROKER_URL", "POOLRACE_SLOTS", "FLOWER_BASIC_AUTH"):
        monkeypatch.setenv(name, "elsewhere")
    state = StateFolder(tmp_path / "state")
    state.make()
    settings = StackSettings(concurrency=3, transport="atomic", live_rate="5/s", metrics_port=9, flower_port=7)
    return Site(state, settings, {"broker": 6001, "upstream": 6002})


@pytest.mark.parametrize("pool", WORKERS.values())
def test_a_worker_has_every_flag_of_its_container_and_no_other(pool):
    shared = re.findall(r"^    - (--\S+)$", COMPOSE.split("x-worker:")[1].split("environment:")[0], re.MULTILINE)
    own = re.search(rf"worker-{pool}:\n    <<: \*worker\n    command: \[(.*)\]", COMPOSE)[1].split(", ")
    flags = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", flag) for flag in [*shared, *own]]
    assert sorted(word for word in worker_command(StackSettings(), pool) if word.startswith("--")) == sorted(flags)


def test_every_part_is_started_and_ended_once():
    assert sorted(PARTS) == sorted(part for group in END_ORDER for part in group)
    assert len(set(PARTS)) == len(PARTS) == sum(map(len, START_ORDER))


def test_commands_name_what_they_are_for(site):
    assert site.command("worker-threads")[:4] == [sys.executable, "-m", "celery", "--app=worker.app"]
    assert {"--concurrency=3", "--pool=threads", "--queues=threads"} <= set(site.command("worker-threads"))
    assert site.command(UPSTREAM)[1:] == ["-m", "worker.upstream", "--host=127.0.0.1", "--port=6002"]
    assert site.command(FLOWER)[3:] == ["flower", str(site.state.secrets)]
    assert site.command(PRODUCER)[3:] == ["live", "run"]


def test_the_broker_is_configured_as_its_container_with_its_files_in_the_state_folder(site):
    program, config = site.command("broker")
    assert program == parts.server_program()
    lines = dict(line.split(" ", 1) for line in Path(config).read_text().splitlines())
    assert (lines["bind"], lines["port"], lines["appendonly"]) == ("127.0.0.1", "6001", "yes")
    assert (lines["maxmemory"], lines["maxmemory-policy"]) == ("256mb", "noeviction")
    assert lines["aclfile"] == f'"{site.state.secrets / "redis-users.acl"}"'


@pytest.mark.parametrize("part", PARTS)
def test_no_part_sees_a_variable_that_leads_it_elsewhere_or_a_password(site, part):
    environ = site.environment(part)
    assert "elsewhere" not in environ.values()
    assert environ["TMPDIR"] == str(site.state.temporary)
    if part not in {"broker", UPSTREAM}:
        assert environ["POOLRACE_BROKER_URL"] == "redis://poolrace@127.0.0.1:6001/0"
        assert environ["POOLRACE_BROKER_PASSWORD_FILE"] == str(site.state.secrets / "broker-password")


def test_settings_reach_the_parts_as_variables(site):
    worker, flower, producer = (site.environment(part) for part in ("worker-prefork", FLOWER, PRODUCER))
    assert (worker["POOLRACE_TRANSPORT"], worker["POOLRACE_UPSTREAM_URL"]) == ("atomic", "http://127.0.0.1:6002")
    assert worker["POOLRACE_HEALTH_DIR"] == str(site.state.health("worker-prefork"))
    assert (flower["FLOWER_PORT"], flower["FLOWER_READ_ONLY"], flower["FLOWER_ADDRESS"]) == ("7", "true", "127.0.0.1")
    assert (producer["POOLRACE_LIVE_RATE"], producer["POOLRACE_METRICS_PORT"]) == ("5/s", "9")


def test_a_part_says_where_it_is(site):
    assert site.describe("worker-threads") == "queue threads, 3 slots, atomic transport"
    assert site.describe(FLOWER) == "http://127.0.0.1:7"
    assert site.describe(PRODUCER) == "5/s on each lane, metrics at http://127.0.0.1:9/metrics"


def test_a_worker_that_has_not_said_that_it_is_ready_has_a_problem(site):
    assert site.problem("worker-prefork")
