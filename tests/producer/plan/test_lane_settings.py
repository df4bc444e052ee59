"""Settings of a lane as data: each is read, put on the command line, named, and varied by a sweep."""

from __future__ import annotations

import pytest

from producer.errors import UsageError
from producer.plan.axis import parse_axis
from producer.plan.lane_settings import LANE_SETTINGS, cpus_of, environment_of
from producer.plan.lanes import Lane, parse_lane

WORDS = {
    "events=on": ["-E"],
    "events=off": ["worker_send_task_events=false"],
    "results=off": ["task_ignore_result=true"],
    "results=gathered": ["-I", "poolrace.results.installed", "task_ignore_result=false"],
    "max-tasks=100": ["--max-tasks-per-child", "100"],
    "max-memory=200MiB": ["--max-memory-per-child", "204800"],
    "start=spawn": ["worker_pool_start_method=spawn"],
    "autoscale=1": ["--autoscale", "2,1"],
    "rtt=2ms": [],
    "cpus=0.5": [],
}


@pytest.mark.parametrize(("setting", "words"), WORDS.items())
def test_a_setting_is_on_the_command_line_of_the_nodes_and_in_the_name_of_the_lane(
    setting: str, words: list[str]
) -> None:
    lane = parse_lane(f"prefork:2:{setting}")
    assert lane.worker_flags() == ["-P", "prefork", "-c", "2", "--prefetch-multiplier", "4", *words]
    assert lane.label == f"prefork (2 slots, {setting.replace('=', ' ')})"


@pytest.mark.parametrize(("text", "cpus"), [("0.5", 0.5), ("500m", 0.5), ("2", 2.0), ("1.50", 1.5), ("10m", 0.01)])
def test_a_cpu_limit_is_written_as_docker_or_kubernetes_writes_it(text: str, cpus: float) -> None:
    settings = parse_lane(f"threads:2:cpus={text}").settings
    assert cpus_of(settings) == cpus
    assert settings == (("cpus", f"{cpus:g}"),)


def test_a_lane_without_a_cpu_limit_has_none() -> None:
    assert cpus_of(parse_lane("threads:2:events=on").settings) is None


@pytest.mark.parametrize("text", ["0", "0.001", "2000", "half", "-1", "5%", "1e-1", "nan"])
def test_a_cpu_limit_that_the_kernel_cannot_keep_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"cpus .*: must be a number of cores from 0\.01 to 1024, e\.g\. 0\.5"):
        parse_lane(f"threads:2:cpus={text}")


def test_every_setting_is_tried_here() -> None:
    assert {setting.partition("=")[0] for setting in WORDS} == set(LANE_SETTINGS)


def test_flags_come_before_assignments_which_celery_takes_last() -> None:
    lane = parse_lane("prefork:2:results=off:max-tasks=9:transport=atomic:events=on")
    assert lane.worker_flags()[6:] == [
        "--max-tasks-per-child",
        "9",
        "-E",
        "task_ignore_result=true",
        "broker_transport=poolrace.transport:Transport",
    ]


def test_a_variable_is_in_the_environment_of_the_nodes() -> None:
    lane = parse_lane("prefork:2:env.OMP_NUM_THREADS=1:env.MALLOC_ARENA_MAX=2")
    assert environment_of(dict(lane.settings)) == {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    assert lane.worker_flags() == parse_lane("prefork:2").worker_flags()
    assert "env.OMP_NUM_THREADS 1" in lane.label


def test_the_last_of_two_values_counts() -> None:
    assert parse_lane("prefork:2:events=on:events=off").settings == (("events", "off"),)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("threads:2:max-tasks=9", "max-tasks does not work on threads. The option is stored .* It is for prefork."),
        ("threads:2:max-memory=1MiB", "max-memory does not work on threads. .* It is for prefork."),
        ("threads:2:start=spawn", "start does not work on threads. No process is started, .* It is for prefork."),
        ("threads:4:autoscale=2", "autoscale does not work on threads. .* stops .* It is for prefork and gevent."),
        ("prefork:2:autoscale=3", "autoscale 3 is above the most, which is the concurrency: 2"),
        ("prefork:10:autoscale=10,3", "autoscale '10,3': give the least alone; .* e.g. :10:autoscale=3"),
    ],
)
def test_a_setting_that_its_pool_has_no_use_for_is_refused_with_what_happens_instead(spec: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_lane(spec)


def test_a_sweep_refuses_it_too_before_anything_is_started() -> None:
    with pytest.raises(UsageError, match="--over max-tasks=10: max-tasks does not work on threads"):
        parse_axis("max-tasks=10,20").lanes("10", [parse_lane("threads:2")])


def test_an_autoscaled_lane_has_as_many_slots_as_it_may_grow_to() -> None:
    assert parse_lane("prefork:8:autoscale=2").slots == 8


@pytest.mark.parametrize(
    "setting",
    ["events=maybe", "max-tasks=0", "max-memory=much", "env.1=2", "env.=2", "start=thread", "autoscale=0"],
)
def test_a_value_that_cannot_be_is_refused(setting: str) -> None:
    with pytest.raises(UsageError, match="--lane"):
        parse_lane(f"prefork:2:{setting}")


@pytest.mark.parametrize("key", LANE_SETTINGS)
def test_a_sweep_varies_each_of_them(key: str) -> None:
    axis = parse_axis(f"{key}={LANE_SETTINGS[key].example}")
    found = [lane for value in axis.values for lane in axis.lanes(value, [parse_lane("prefork:4")])]
    assert [dict(lane.settings)[key] for lane in found] == list(axis.values)
    assert len({lane.key for lane in found}) == len(axis.values)


def test_a_lane_is_the_same_after_it_was_written_and_read() -> None:
    lane = parse_lane("prefork:2:events=on:env.A=b")
    assert Lane.from_dict(lane.to_dict()) == lane
