"""
Settings of a lane that are one value each, most of them on the command line of its nodes, as data. Pure.

An entry is a key of `--lane` and an axis of `sweep --over`; its nodes, its name in reports and the printed
`celery worker` line follow from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from poolrace.pools import POOLS, Feature
from producer.errors import UsageError
from producer.plan.units import parse_choice, parse_duration_s, parse_size_bytes, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ON, OFF = SWITCH = ("on", "off")
GATHERED = "gathered"
"""Of results: they are stored in steps, by `poolrace.results`."""

RESULT_WAYS = (*SWITCH, GATHERED)
START_METHODS = ("fork", "spawn")
MOST_TASKS = 10**9
MAX_AUTOSCALE = 1024
MAX_MEMORY_BYTES = 2**50
MAX_RTT_S = 0.25
"""Farther than any broker that is used; control commands and samples still come in time at this distance."""

LEAST_CPUS, MAX_CPUS = 0.01, 1024
"""The least is what the kernel can give: a millisecond of every tenth of a second."""

LEAST_RTT_S = 1e-6
"""Less than a relay can hold anything for."""

EVENTS, RESULTS, START, AUTOSCALE = "events", "results", "start", "autoscale"
MAX_MEMORY, MAX_TASKS = "max-memory", "max-tasks"
RTT, CPUS = "rtt", "cpus"
ENVIRONMENT = "env."
"""What a key begins with that is a variable of the nodes' environment: `env.NAME=value`."""

_CPUS = re.compile(r"(\d+(?:\.\d+)?)(m?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSetting:
    """
    A setting that is one value.

    Attributes:
        key: Its key in a lane's specification, e.g. `events`.
        example: Values for the help, as a sweep takes them.
        read: Reads a value from its text and the name for errors; returns it as it is written.
        words: The words of `celery worker` that set it, from its value and the concurrency of a node; none for what
            lies outside the node.
        needs: The feature of a pool without which it has no effect, or ends the node; None if it works on each.
    """

    key: str
    example: str
    read: Callable[[str, str], str]
    words: Callable[[str, int], Sequence[str]]
    needs: Feature | None = None


def _bytes(text: str, name: str) -> str:
    parse_size_bytes(text, name, MAX_MEMORY_BYTES)
    return text


def _rtt(text: str, name: str) -> str:
    value_s = parse_duration_s(text, name, 0.0, MAX_RTT_S)
    if 0 < value_s < LEAST_RTT_S:
        raise UsageError(f"{name} {text!r}: must be 0, for none, or a time from {LEAST_RTT_S * 1e6:g}us on, e.g. 2ms.")
    return f"{value_s * 1000:g}ms" if value_s else "0"


def _cpus(text: str, name: str) -> str:
    match = _CPUS.fullmatch(text)
    value = float(match[1]) / (1000 if match[2] else 1) if match else 0.0
    if not LEAST_CPUS <= value <= MAX_CPUS:
        raise UsageError(
            f"{name} {text!r}: must be a number of cores from {LEAST_CPUS:g} to {MAX_CPUS}, e.g. 0.5, or 500m as "
            "Kubernetes writes it."
        )
    return f"{value:g}"


def _least(text: str, name: str) -> str:
    most, comma, least = text.partition(",")
    if comma:
        raise UsageError(
            f"{name} {text!r}: give the least alone; the most is the concurrency, e.g. :{most}:autoscale={least}."
        )
    return str(whole_number(text, name, 1, MAX_AUTOSCALE))


_ALL = (
    LaneSetting(
        key=EVENTS,
        example="on,off",
        read=lambda text, name: parse_choice(text, name, SWITCH),
        words=lambda value, _: ["-E"] if value == ON else ["worker_send_task_events=false"],
    ),
    LaneSetting(
        key=RESULTS,
        example="on,off,gathered",
        read=lambda text, name: parse_choice(text, name, RESULT_WAYS),
        words=lambda value, _: [
            *(["-I", "poolrace.results.installed"] if value == GATHERED else []),
            f"task_ignore_result={'true' if value == OFF else 'false'}",
        ],
    ),
    LaneSetting(
        key=MAX_TASKS,
        example="10,1000",
        read=lambda text, name: str(whole_number(text, name, 1, MOST_TASKS)),
        words=lambda value, _: ["--max-tasks-per-child", value],
        needs=Feature.MAX_TASKS,
    ),
    LaneSetting(
        key=MAX_MEMORY,
        example="100MiB,400MiB",
        read=_bytes,
        # Celery counts in KiB.
        words=lambda value, _: ["--max-memory-per-child", str(parse_size_bytes(value, "", MAX_MEMORY_BYTES) // 1024)],
        needs=Feature.MAX_MEMORY,
    ),
    LaneSetting(
        key=START,
        example="fork,spawn",
        read=lambda text, name: parse_choice(text, name, START_METHODS),
        words=lambda value, _: [f"worker_pool_start_method={value}"],
        needs=Feature.START_METHOD,
    ),
    LaneSetting(
        key=AUTOSCALE,
        example="1,4",
        read=_least,
        # Celery's order is the most, then the least.
        words=lambda value, concurrency: ["--autoscale", f"{concurrency},{value}"],
        needs=Feature.AUTOSCALE,
    ),
    LaneSetting(key=CPUS, example="0.25,0.5,1", read=_cpus, words=lambda _value, _concurrency: []),
    LaneSetting(key=RTT, example="0,0.5ms,2ms,10ms", read=_rtt, words=lambda _value, _concurrency: []),
)

LANE_SETTINGS: Mapping[str, LaneSetting] = MappingProxyType({each.key: each for each in _ALL})
"""Every such setting by its key."""


def read_setting(key: str, text: str, where: str) -> str:
    """
    Read the value of a setting, or of a variable of the environment.

    Raises:
        UsageError: If it is wrong.
    """
    if key.startswith(ENVIRONMENT):
        if not _NAME.fullmatch(key.removeprefix(ENVIRONMENT)):
            raise UsageError(f"{where} {key!r} is no variable. Write env.NAME=VALUE, e.g. env.OMP_NUM_THREADS=1.")
        return text
    return LANE_SETTINGS[key].read(text, f"{where} {key}")


def check_settings(pool: str, concurrency: int, settings: Mapping[str, str], where: str) -> None:
    """
    Check that settings have an effect on a pool.

    Raises:
        UsageError: If one has none, with what happens instead, and the pools where it works.
    """
    for key, value in settings.items():
        feature = LANE_SETTINGS[key].needs if key in LANE_SETTINGS else None
        if feature and not POOLS[pool].offers(feature):
            works_on = " and ".join(name for name, each in POOLS.items() if each.offers(feature))
            why = POOLS[pool].traits[feature].meaning
            raise UsageError(f"{where} {key} does not work on {pool}. {why} It is for {works_on}.")
        if key == AUTOSCALE and int(value) > concurrency:
            raise UsageError(f"{where} autoscale {value} is above the most, which is the concurrency: {concurrency}.")


def is_setting(key: str) -> bool:
    """Return whether a key is one of these settings, or a variable of the environment."""
    return key in LANE_SETTINGS or key.startswith(ENVIRONMENT)


def words_of(settings: Mapping[str, str], concurrency: int) -> list[str]:
    """
    Return the words of `celery worker` that set settings: flags first, then `NAME=VALUE`, as Celery takes them.

    Args:
        settings: Settings of a lane by key; variables of the environment are left out.
        concurrency: The slots of each of its nodes.
    """
    phrases = (LANE_SETTINGS[key].words(value, concurrency) for key, value in settings.items() if key in LANE_SETTINGS)
    words = [word for phrase in phrases for word in phrase]
    return [word for word in words if not _is_assignment(word)] + [word for word in words if _is_assignment(word)]


def cpus_of(settings: Sequence[tuple[str, str]]) -> float | None:
    """Return the cores' worth of CPU time that each node of a lane may use; None if its settings say nothing of it."""
    text = dict(settings).get(CPUS)
    return None if text is None else float(text)


def environment_of(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that settings add to the environment of nodes."""
    return {key.removeprefix(ENVIRONMENT): value for key, value in settings.items() if key.startswith(ENVIRONMENT)}


def _is_assignment(word: str) -> bool:
    return "=" in word and not word.startswith("-")
