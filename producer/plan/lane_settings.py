"""
Settings of a lane that are one value each on the command line of its nodes, as data. Pure.

An entry is a key of `--lane` and an axis of `sweep --over`; its nodes, its name in reports and the printed
`celery worker` line follow from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from producer.errors import UsageError
from producer.plan.units import parse_choice, parse_size_bytes, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ON, OFF = SWITCH = ("on", "off")
MAX_TASKS = 10**9
MAX_MEMORY_BYTES = 2**50

ENVIRONMENT = "env."
"""What a key begins with that is a variable of the nodes' environment: `env.NAME=value`."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSetting:
    """
    A setting that is one value on the command line of `celery worker`.

    Attributes:
        key: Its key in a lane's specification, e.g. `events`.
        example: Values for the help, as a sweep takes them.
        read: Reads a value from its text and the name for errors; returns it as it is written.
        words: The words of the command line that set it.
    """

    key: str
    example: str
    read: Callable[[str, str], str]
    words: Callable[[str], Sequence[str]]


def _bytes(text: str, name: str) -> str:
    parse_size_bytes(text, name, MAX_MEMORY_BYTES)
    return text


_ALL = (
    LaneSetting(
        key="events",
        example="on,off",
        read=lambda text, name: parse_choice(text, name, SWITCH),
        words=lambda value: ["-E"] if value == ON else ["worker_send_task_events=false"],
    ),
    LaneSetting(
        key="results",
        example="on,off",
        read=lambda text, name: parse_choice(text, name, SWITCH),
        words=lambda value: [f"task_ignore_result={'false' if value == ON else 'true'}"],
    ),
    LaneSetting(
        key="max-tasks",
        example="10,1000",
        read=lambda text, name: str(whole_number(text, name, 1, MAX_TASKS)),
        words=lambda value: ["--max-tasks-per-child", value],
    ),
    LaneSetting(
        key="max-memory",
        example="100MiB,400MiB",
        read=_bytes,
        # Celery counts in KiB.
        words=lambda value: ["--max-memory-per-child", str(parse_size_bytes(value, "", MAX_MEMORY_BYTES) // 1024)],
    ),
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


def is_setting(key: str) -> bool:
    """Return whether a key is one of these settings, or a variable of the environment."""
    return key in LANE_SETTINGS or key.startswith(ENVIRONMENT)


def words_of(settings: Mapping[str, str]) -> list[str]:
    """Return the words of `celery worker` that set settings: flags first, then `NAME=VALUE`, as Celery takes them."""
    words = [word for key, value in settings.items() if key in LANE_SETTINGS for word in _phrase(key, value)]
    return [word for word in words if not _is_assignment(word)] + [word for word in words if _is_assignment(word)]


def environment_of(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that settings add to the environment of nodes."""
    return {key.removeprefix(ENVIRONMENT): value for key, value in settings.items() if key.startswith(ENVIRONMENT)}


def _phrase(key: str, value: str) -> Sequence[str]:
    return LANE_SETTINGS[key].words(value)


def _is_assignment(word: str) -> bool:
    return "=" in word and not word.startswith("-")
