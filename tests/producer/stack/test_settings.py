"""Settings of the stack: from variables and from `.env` as Compose reads it, each with the default of its container."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from poolrace.pools import DEFAULT_POOLS
from producer.errors import UsageError
from producer.stack.parts import worker_command
from producer.stack.settings import VARIABLES, StackSettings, read_settings, with_dotenv

ROOT = Path(__file__).parents[3]


@pytest.fixture
def dotenv(tmp_path):
    """What a file `.env` adds to an environment."""

    def read(text, **environ):
        (tmp_path / ".env").write_text(text)
        return with_dotenv(environ, tmp_path / ".env")

    return read


def test_without_variables_there_are_the_defaults():
    assert read_settings({}) == read_settings({"POOLRACE_CONCURRENCY": ""}) == StackSettings()


def test_each_setting_has_a_variable_of_its_own():
    assert list(VARIABLES) == [field.name for field in fields(StackSettings)]
    assert len(set(VARIABLES.values())) == len(VARIABLES)


def test_every_default_is_that_of_the_compose_stack():
    compose = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "docker-compose.yml").read_text()))
    mine = {variable: str(getattr(StackSettings(), name)) for name, variable in VARIABLES.items()}
    assert {name: value for name, value in mine.items() if name in compose} == {
        name: compose[name] for name in mine if name in compose
    }
    assert set(mine) - set(compose) == {"POOLRACE_METRICS_PORT"}  # a container has all ports to itself


def test_a_value_is_read_by_its_kind():
    given = {
        "POOLRACE_CONCURRENCY": "3", "POOLRACE_ACKS": "late", "POOLRACE_LIVE_RATE": "30/m",
        "POOLRACE_LIVE_MIX": "io=1", "FLOWER_PORT": "5556", "REDIS_MAXMEMORY": "1gb",
    }  # fmt: skip
    assert read_settings(given) == StackSettings(
        concurrency=3, acks="late", live_rate="30/m", live_mix="io=1", flower_port=5556, maxmemory="1gb"
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [("POOLRACE_CONCURRENCY", "0"), ("POOLRACE_PREFETCH", "many"), ("POOLRACE_ACKS", "never"),
     ("POOLRACE_TRANSPORT", "redis"), ("POOLRACE_VISIBILITY_TIMEOUT_S", "1h"), ("WORKER_LOGLEVEL", "LOUD"),
     ("FLOWER_PORT", "65536"), ("FLOWER_MAX_TASKS", "-1"), ("REDIS_MAXMEMORY", "much"),
     ("POOLRACE_LIVE_RATE", "fast"), ("POOLRACE_LIVE_MIX", "gpu=1"), ("FLOWER_READ_ONLY", "yes")],
)  # fmt: skip
def test_a_value_that_is_not_allowed_is_reported_with_its_variable(variable, value):
    with pytest.raises(UsageError, match=rf"^{variable} '{value}': "):
        read_settings({variable: value})


def test_two_stacks_differ_in_the_variables_of_their_settings():
    assert StackSettings(concurrency=3, acks="late").differing(StackSettings(concurrency=3, maxmemory="1gb")) == [
        "POOLRACE_ACKS", "REDIS_MAXMEMORY",
    ]  # fmt: skip
    assert StackSettings().differing(StackSettings()) == []


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=3", "3"),
        ("export A=3", "3"),
        ("A = 3", "3"),
        ("A=3  # of each", "3"),
        ("A=a#b", "a#b"),
        ("A='late # not a comment'", "late # not a comment"),
        ('A="cpu=1,io=3"', "cpu=1,io=3"),
        ('A="first\\nsecond"', "first\nsecond"),
        ("A='first\nsecond'", "first\nsecond"),
        ("B=2\nA=${B}0", "20"),
        ("A=${NOT_SET_ANYWHERE:-7}", "7"),
        ("A=", ""),
    ],
)
def test_a_line_means_what_it_means_to_compose(dotenv, line, value):
    assert dotenv(f"# a comment\n\n{line}\n")["A"] == value


def test_the_environment_comes_before_the_file(dotenv):
    found = dotenv("FLOWER_PORT=1\nPOOLRACE_CONCURRENCY=3\n", FLOWER_PORT="5556", POOLRACE_LIVE_RATE="")
    assert read_settings(found) == StackSettings(concurrency=3, flower_port=5556)


def test_a_name_without_a_value_is_left_out(dotenv):
    assert dotenv("A\nB=1\n") == {"B": "1"}


def test_without_a_file_there_is_the_environment(tmp_path):
    assert with_dotenv({"A": "1"}, tmp_path / ".env") == {"A": "1"}


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_reported(tmp_path, content):
    path = tmp_path / ".env"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(UsageError, match=r"\.env: cannot be read"):
        with_dotenv({}, path)


@pytest.mark.parametrize("pool", DEFAULT_POOLS)
def test_a_worker_has_every_flag_of_its_container_and_no_other(pool):
    text = (ROOT / "docker-compose.yml").read_text()
    shared = re.findall(r"^    - (--\S+)$", text.split("x-worker:")[1].split("environment:")[0], re.MULTILINE)
    own = re.search(rf"worker-{pool}:\n    <<: \*worker\n    command: \[(.*)\]", text)[1].split(", ")
    flags = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", flag) for flag in [*shared, *own]]
    assert sorted(word for word in worker_command(StackSettings(), pool) if word.startswith("--")) == sorted(flags)
