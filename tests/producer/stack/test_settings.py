"""The stack's settings and its workers' flags are those of the compose stack, and what cannot be is refused."""

import re
from pathlib import Path

import pytest

from producer.errors import UsageError
from producer.stack.parts import worker_command
from producer.stack.settings import VARIABLES, StackSettings, read_settings, with_dotenv

ROOT = Path(__file__).parents[3]
LANES = ("prefork", "threads")


def test_every_default_is_that_of_the_compose_stack():
    compose = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "docker-compose.yml").read_text()))
    mine = {variable: str(getattr(StackSettings(), name)) for name, variable in VARIABLES.items()}
    assert {name: value for name, value in mine.items() if name in compose} == {
        name: compose[name] for name in mine if name in compose
    }
    assert set(mine) - set(compose) == {"POOLRACE_METRICS_PORT"}  # a container has all ports to itself


@pytest.mark.parametrize("pool", LANES)
def test_a_worker_has_every_flag_of_its_container_and_no_other(pool):
    text = (ROOT / "docker-compose.yml").read_text()
    shared = re.findall(r"^    - (--\S+)$", text.split("x-worker:")[1].split("environment:")[0], re.MULTILINE)
    own = re.search(rf"worker-{pool}:\n    <<: \*worker\n    command: \[(.*)\]", text)[1].split(", ")
    flags = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", flag) for flag in [*shared, *own]]
    assert sorted(word for word in worker_command(StackSettings(), pool) if word.startswith("--")) == sorted(flags)


def test_settings_come_from_the_file_that_compose_reads_unless_the_environment_says_otherwise(tmp_path):
    (tmp_path / ".env").write_text("# slots\nPOOLRACE_SLOTS=3  # of each\nPOOLRACE_ACKS='late'\n\nFLOWER_PORT=1\n")
    settings = read_settings(with_dotenv({"FLOWER_PORT": "5556", "POOLRACE_LIVE_RATE": ""}, tmp_path / ".env"))
    assert settings == StackSettings(slots=3, acks="late", flower_port=5556)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("POOLRACE_SLOTS", "0"), ("POOLRACE_ACKS", "never"), ("POOLRACE_TRANSPORT", "redis"),
     ("FLOWER_PORT", "65536"), ("REDIS_MAXMEMORY", "much"),
     ("POOLRACE_LIVE_RATE", "fast"), ("POOLRACE_LIVE_MIX", "gpu=1"), ("FLOWER_READ_ONLY", "yes")],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_told_with_its_name_and_value(variable, value):
    with pytest.raises(UsageError, match=rf"^{variable}:? '{value}'"):
        read_settings({variable: value})
